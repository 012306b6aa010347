//! Money as text: pico-USD (10⁻¹² USD, a whole number) to and from decimal digits, exactly. Not an
//! accounting type; no floating point.

/// Decimal digits of a USD in pico-USD.
const DIGITS: usize = 12;
/// Decimal digits of the largest number.
const MAX_DIGITS: usize = 20;
/// Pico-USD of a USD.
const PICO_PER_USD: u64 = 1_000_000_000_000;

/// `pico_usd` as USD: `1_500_000` is `0.0000015`. Exact, without trailing zeros; a valid JSON number.
#[must_use]
pub fn format_usd(pico_usd: u64) -> String {
    let mut text = String::with_capacity(DIGITS + 2);
    push_usd(&mut text, pico_usd);
    text
}

/// Appends what [`format_usd`] gives, without the formatting machinery: every answer carries four amounts, and
/// that machinery showed in a profile of whole calls.
pub(crate) fn push_usd(text: &mut String, pico_usd: u64) {
    push_number(text, pico_usd / PICO_PER_USD);
    let mut digits = [b'0'; DIGITS];
    let used = write_digits(pico_usd % PICO_PER_USD, &mut digits);
    if used > 0 {
        text.push('.');
        let zeros = digits.iter().rev().take_while(|digit| **digit == b'0').count();
        push_digits(text, digits.get(..DIGITS - zeros).unwrap_or_default());
    }
}

/// Appends a whole number.
pub fn push_number(text: &mut String, number: u64) {
    if let Ok(digit @ 0..=9) = u8::try_from(number) {
        // Most numbers of a record are that small.
        return text.push(char::from(b'0' + digit));
    }
    let mut digits = [b'0'; MAX_DIGITS];
    let used = write_digits(number, &mut digits);
    push_digits(text, digits.get(MAX_DIGITS - used..).unwrap_or_default());
}

/// Writes a number's digits at the end of `digits`, and tells how many they are; none for zero.
fn write_digits(mut number: u64, digits: &mut [u8]) -> usize {
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        if number == 0 {
            break;
        }
        // Below ten by the remainder.
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        used += 1;
    }
    used
}

fn push_digits(text: &mut String, digits: &[u8]) {
    text.extend(digits.iter().copied().map(char::from));
}

/// The decimal number `text` times 10^`scale`, rounded down; the largest value when it does not fit.
///
/// `None` when `text` is not a plain decimal number, zero or more (`12`, `0.5`, `1e-3`).
#[must_use]
pub fn parse_scaled(text: &str, scale: u32) -> Option<u64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (mantissa, ""),
    };
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let first_power = i64::try_from(whole.len()).ok()? - 1 + i64::from(exponent) + i64::from(scale);
    let powers = std::iter::successors(Some(first_power), |power| Some(power - 1));
    let digits = whole.bytes().chain(fraction.bytes()).map(|byte| u64::from(byte - b'0'));
    Some(
        digits
            .zip(powers)
            .map(|(digit, power)| at_power(digit, power))
            .fold(0, u64::saturating_add),
    )
}

/// `digit` × 10^`power`; nothing below one, the largest value above the range.
fn at_power(digit: u64, power: i64) -> u64 {
    if digit == 0 || power < 0 {
        return 0;
    }
    let factor = u32::try_from(power).ok().and_then(|power| 10_u64.checked_pow(power));
    factor.map_or(u64::MAX, |factor| digit.saturating_mul(factor))
}

#[cfg(test)]
mod tests {
    use super::{format_usd, parse_scaled};
    use proptest::prelude::*;

    #[test]
    fn formats_exactly() {
        for (pico, usd) in [
            (0, "0"),
            (1, "0.000000000001"),
            (1_500_000, "0.0000015"),
            (1_000_000_000_000, "1"),
            (12_340_000_000_000, "12.34"),
            (u64::MAX, "18446744.073709551615"),
        ] {
            assert_eq!(format_usd(pico), usd);
        }
    }

    #[test]
    fn parses_and_rounds_down() {
        assert_eq!(parse_scaled("2.5", 6), Some(2_500_000));
        assert_eq!(parse_scaled("1e-3", 6), Some(1_000));
        assert_eq!(parse_scaled("0.0000019", 6), Some(1));
        assert_eq!(parse_scaled("1e400", 6), Some(u64::MAX));
        assert_eq!(parse_scaled("0e2147483647", 12), Some(0));
        for wrong in ["", "-1", "+1", ".5", "1.", "1e", "NaN", "inf", " 1", "1_0", "1.2.3"] {
            assert_eq!(parse_scaled(wrong, 6), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_formatted_parses_back(pico: u64) {
            prop_assert_eq!(parse_scaled(&format_usd(pico), 12), Some(pico));
        }
    }
}
