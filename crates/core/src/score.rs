//! Numbers that stand for what was measured: latency buckets, success and headroom in ‰, medians, and the
//! few fixed-point functions that weights need. Integers only, so that every machine gets the same bits.

use crate::observation::{Capacity, Counts};

/// One in Q16 fixed point.
pub const ONE_Q16: u32 = 1 << 16;

/// 2^(k/4) in Q16 for k = 0…3, rounded to the nearest.
const QUARTERS_Q16: [u64; 4] = [65_536, 77_936, 92_682, 110_218];
/// 2^(−k/4) in Q16 for k = 0…3, rounded to the nearest.
const NEGATIVE_QUARTERS_Q16: [u32; 4] = [65_536, 55_109, 46_341, 38_968];

/// What an endpoint that nobody has called yet is taken for, in ‰.
const PRIOR_SUCCESS_PERMILLE: u64 = 950;
/// How many calls that belief is worth.
const PRIOR_CALLS: u64 = 10;

/// A logarithmic bucket, four to the octave: bucket i covers the values from 2^(i/4) up to 2^((i+1)/4).
/// Latencies count milliseconds in it, speeds tokens per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(u8);

impl Bucket {
    /// The bucket of the largest `u32`.
    pub const MAX: Self = Self(127);

    /// The bucket of that index, at most [`Self::MAX`].
    pub const fn new(index: u8) -> Self {
        if index > Self::MAX.0 { Self::MAX } else { Self(index) }
    }

    /// The bucket that a value falls into; 0 falls into that of 1.
    pub fn of(value: u32) -> Self {
        // ⌊4·log2(v)⌋ is ⌊log2(v⁴)⌋, and v⁴ fits 128 bits.
        let fourth = u128::from(value.max(1)).pow(4);
        Self(fourth.ilog2() as u8)
    }

    /// Its place, 0 to 127.
    pub const fn index(self) -> u8 {
        self.0
    }

    /// The bucket this many places further (or nearer, when negative), within 0 to 127.
    #[must_use]
    pub fn moved(self, places: i16) -> Self {
        let index = i16::from(self.0).saturating_add(places).clamp(0, i16::from(Self::MAX.0));
        Self(index as u8)
    }

    /// The smallest whole number that is not below the bucket.
    pub fn lowest(self) -> u32 {
        let edge = 1u128 << self.0;
        let root = edge.isqrt().isqrt();
        let lowest = if root.pow(4) < edge { root + 1 } else { root };
        lowest as u32
    }

    /// The whole number in the middle of the bucket: what is shown for it. Some of the first buckets hold
    /// no whole number; for them it is the next one.
    pub fn middle(self) -> u32 {
        let next = if self == Self::MAX { u32::MAX } else { Self(self.0 + 1).lowest() };
        let lowest = self.lowest();
        lowest + next.saturating_sub(1).saturating_sub(lowest) / 2
    }

    /// Its lower edge in Q16, exact to one part in 65,536.
    pub(crate) fn edge_q16(self) -> u64 {
        let quarter = QUARTERS_Q16.get(usize::from(self.0 % 4)).copied().unwrap_or(0);
        quarter << (self.0 / 4)
    }

    /// The bucket of a value in Q16.
    pub(crate) fn of_q16(value: u64) -> Self {
        let value = value.max(u64::from(ONE_Q16));
        let octave = value.ilog2() - 16;
        let mantissa = value >> octave;
        let quarter = QUARTERS_Q16.iter().rposition(|edge| *edge <= mantissa).unwrap_or(0) as u32;
        Self::new((octave * 4 + quarter).min(u32::from(Self::MAX.0)) as u8)
    }
}

/// 2^(−x/4) in Q16; it halves with every four places and is 0 from x = 68 on.
pub fn two_to_minus_quarters_q16(x: u32) -> u32 {
    let quarter = NEGATIVE_QUARTERS_Q16.get((x % 4) as usize).copied().unwrap_or(0);
    quarter.checked_shr(x / 4).unwrap_or(0)
}

/// (part/whole)^exponent in Q16, at most 1; the exponent is a small whole number. 0/0 is 1.
pub fn ratio_power_q16(part: u64, whole: u64, exponent: u32) -> u32 {
    if part >= whole {
        return ONE_Q16;
    }
    let ratio = ((u128::from(part) << 16) / u128::from(whole)) as u64;
    let power = (0..exponent).fold(u64::from(ONE_Q16), |power, _| (power * ratio) >> 16);
    power as u32
}

/// A share in ‰ as Q16, at most 1.
pub fn permille_q16(permille: u32) -> u32 {
    permille.min(1000) * ONE_Q16 / 1000
}

/// Success in ‰: `(ok·1000 + 950·10) / (n + 10)`, so that a handful of calls moves it only so far.
/// Rate limits, client mistakes and our own failures are in neither sum; an overload counts half.
pub fn success_permille(counts: &Counts) -> u32 {
    // In halves of a call, so that half a failure is a whole number.
    let half = u64::from(counts.overloaded);
    let ok = 2 * u64::from(counts.ok) + half;
    let all = ok + 2 * u64::from(counts.health) + half;
    ((ok * 1000 + 2 * PRIOR_CALLS * PRIOR_SUCCESS_PERMILLE) / (all + 2 * PRIOR_CALLS)) as u32
}

/// What is left of the provider's allowance, in ‰: the scarcer of requests and tokens.
/// `None` when the provider says nothing.
pub fn headroom_permille(capacity: &Capacity) -> Option<u32> {
    let requests = left_permille(capacity.remaining_requests, capacity.limit_requests);
    let tokens = left_permille(capacity.remaining_tokens, capacity.limit_tokens);
    [requests, tokens].into_iter().flatten().min()
}

fn left_permille(remaining: Option<u64>, limit: Option<u64>) -> Option<u32> {
    let (remaining, limit) = (remaining?, limit.filter(|l| *l > 0)?);
    let permille = u128::from(remaining.min(limit)) * 1000 / u128::from(limit);
    Some(permille as u32)
}

/// As many values as an endpoint has observers, and some to spare, are sorted without allocating.
const FEW: usize = 8;

/// The lower median; `None` of nothing. With 2f + 1 values of which f are lies, it is never outside the
/// range of the true ones. Every value counts once, whatever sample stands behind it.
pub fn lower_median<T: Ord + Copy>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let mut few = [None; FEW];
    let mut count = 0;
    for (place, value) in few.iter_mut().zip(&mut values) {
        *place = Some(value);
        count += 1;
    }
    let Some(next) = values.next() else {
        let few = few.get_mut(..count)?;
        few.sort_unstable();
        return few.get(count.checked_sub(1)? / 2).copied().flatten();
    };
    let mut many: Vec<T> = few.into_iter().flatten().chain([next]).chain(values).collect();
    many.sort_unstable();
    many.get((many.len() - 1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_four_to_the_octave_from_one() {
        let indexes = [1, 2, 4, 8, 1024].map(|ms| Bucket::of(ms).index());
        assert_eq!(indexes, [0, 4, 8, 12, 40]);
        assert_eq!(Bucket::of(0), Bucket::of(1));
        assert_eq!(Bucket::of(u32::MAX), Bucket::MAX);
    }

    #[test]
    fn a_bucket_begins_where_it_says_and_its_middle_is_inside() {
        for index in 12..=127 {
            let bucket = Bucket::new(index);
            assert_eq!(Bucket::of(bucket.lowest()), bucket);
            assert_eq!(Bucket::of(bucket.lowest() - 1), bucket.moved(-1));
            assert_eq!(Bucket::of(bucket.middle()), bucket);
        }
    }

    #[test]
    fn an_edge_in_fixed_point_falls_into_its_own_bucket() {
        for index in 0..=127 {
            let bucket = Bucket::new(index);
            assert_eq!(Bucket::of_q16(bucket.edge_q16()), bucket);
        }
    }

    #[test]
    fn four_quarters_are_a_half() {
        assert_eq!(two_to_minus_quarters_q16(0), ONE_Q16);
        assert_eq!(two_to_minus_quarters_q16(4), ONE_Q16 / 2);
        assert_eq!(two_to_minus_quarters_q16(1), 55_109);
        assert_eq!(two_to_minus_quarters_q16(u32::MAX), 0);
    }

    #[test]
    fn three_times_the_price_is_a_ninth_of_the_square() {
        assert_eq!(ratio_power_q16(1, 3, 2), 7_281);
        assert_eq!(ratio_power_q16(5, 5, 3), ONE_Q16);
        assert_eq!(ratio_power_q16(0, 0, 2), ONE_Q16);
        assert_eq!(ratio_power_q16(1, 3, 0), ONE_Q16);
    }

    #[test]
    fn a_few_calls_do_not_decide_the_success() {
        let of = |ok, health| success_permille(&Counts { ok, health, ..Counts::default() });
        assert_eq!(of(0, 0), 950);
        assert_eq!(of(0, 1), 863);
        assert_eq!(of(1_000_000, 0), 999);
        assert_eq!(of(0, 1_000_000), 0);
    }

    #[test]
    fn an_overload_is_half_a_failure_and_a_rate_limit_none() {
        let of = |overloaded, rate_limited| {
            success_permille(&Counts { overloaded, rate_limited, ..Counts::default() })
        };
        assert_eq!(of(10, 0), 725);
        assert_eq!(of(0, 1_000), 950);
    }

    #[test]
    fn headroom_is_the_scarcer_of_requests_and_tokens() {
        let capacity = Capacity {
            limit_requests: Some(100),
            remaining_requests: Some(50),
            limit_tokens: Some(1_000),
            remaining_tokens: Some(30),
            ..Capacity::default()
        };
        assert_eq!(headroom_permille(&capacity), Some(30));
        assert_eq!(headroom_permille(&Capacity::default()), None);
        let none_allowed = Capacity { limit_requests: Some(0), ..capacity };
        assert_eq!(headroom_permille(&none_allowed), Some(30));
    }

    #[test]
    fn the_median_is_the_lower_one() {
        assert_eq!(lower_median([4, 1, 3, 2].into_iter()), Some(2));
        assert_eq!(lower_median([9, 1, 5].into_iter()), Some(5));
        assert_eq!(lower_median(std::iter::empty::<u32>()), None);
        for count in 1..40u32 {
            assert_eq!(lower_median((0..count).rev()), Some((count - 1) / 2));
        }
    }
}
