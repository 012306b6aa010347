//! Seeded pseudo-random numbers, so that a run can be repeated exactly. Not for secrets.

/// Largest value of [`permille`] plus one.
const PERMILLE: u64 = 1000;

/// One step of SplitMix64 (Steele, Lea, Flood 2014) over the seed and a counter.
#[must_use]
pub fn draw(seed: u64, counter: u64) -> u64 {
    let mut z = seed.wrapping_add(counter.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A number from 0 to 999.
#[must_use]
pub fn permille(seed: u64, counter: u64) -> u16 {
    u16::try_from(draw(seed, counter) % PERMILLE).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::permille;

    #[test]
    fn draws_repeat_with_the_seed_and_spread_evenly() {
        let hits = |seed| (0..10_000).filter(|&n| permille(seed, n) < 250).count();
        assert_eq!(hits(7), hits(7));
        assert!((2_300..2_700).contains(&hits(7)), "{}", hits(7));
        assert_ne!(permille(1, 0), permille(2, 0));
    }
}
