//! Money as whole pico-dollars: exact, and small enough for the price of one token.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;

/// One US dollar.
const PICO_PER_USD: u64 = 1_000_000_000_000;

/// An amount in 10⁻¹² USD. Saturates at about 18.4 million dollars, far above any single call or day cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PicoUsd(pub u64);

impl PicoUsd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Whole dollars.
    pub const fn from_usd(usd: u64) -> Self {
        Self(usd.saturating_mul(PICO_PER_USD))
    }

    /// The price of one unit out of a price for a million of them, in USD, rounded to the nearest
    /// pico-dollar. `None` for negative, infinite or not-a-number input.
    pub fn per_unit_of_million(usd_per_million: f64) -> Option<Self> {
        Self::from_usd_f64(usd_per_million / 1e6)
    }

    /// A dollar amount as people write it. `None` for negative, infinite or not-a-number input.
    pub fn from_usd_f64(usd: f64) -> Option<Self> {
        let pico = (usd * PICO_PER_USD as f64).round();
        (pico.is_finite() && pico >= 0.0).then_some(Self(pico as u64))
    }

    /// `self` times a count, saturating.
    pub const fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }
}

impl Add for PicoUsd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for PicoUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// Exact decimal dollars without trailing zeros: `0.00015`.
impl fmt::Display for PicoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / PICO_PER_USD, self.0 % PICO_PER_USD);
        if part == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{part:012}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_per_million_is_exact_for_one_token() {
        assert_eq!(PicoUsd::per_unit_of_million(0.15), Some(PicoUsd(150_000)));
        assert_eq!(PicoUsd::per_unit_of_million(-1.0), None);
        assert_eq!(PicoUsd::per_unit_of_million(f64::NAN), None);
    }

    #[test]
    fn dollars_are_written_exactly() {
        assert_eq!(PicoUsd(150_000).to_string(), "0.00000015");
        assert_eq!(PicoUsd::from_usd(3).to_string(), "3");
        assert_eq!((PicoUsd::from_usd(1) + PicoUsd(1)).to_string(), "1.000000000001");
    }

    #[test]
    fn sums_saturate_instead_of_wrapping() {
        assert_eq!(PicoUsd(u64::MAX) + PicoUsd(1), PicoUsd(u64::MAX));
        assert_eq!(PicoUsd(u64::MAX).times(2), PicoUsd(u64::MAX));
    }
}
