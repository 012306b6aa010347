//! Finding the end of plain string content, a word at a time: most bytes of a request are in strings.

/// How many bytes from the front are plain string content: no quote, backslash or control character.
///
/// The first words are looked at one by one, because keys and ids are short; then four at a time, which the
/// compiler turns into vector instructions, because prompts are long.
#[inline]
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    for at in 0..SHORT_WORDS {
        let Some((word, after)) = rest.split_first_chunk::<8>() else {
            return at * 8 + plain_bytes(rest);
        };
        let stop = stops(*word);
        if stop != 0 {
            return at * 8 + lane(stop);
        }
        rest = after;
    }
    SHORT_WORDS * 8 + long_run(rest)
}

/// Words that are looked at one by one: names of members are seldom longer.
const SHORT_WORDS: usize = 3;

/// The same, for strings that have turned out to be long.
fn long_run(bytes: &[u8]) -> usize {
    let (blocks, tail) = bytes.as_chunks::<32>();
    let mut run = 0;
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        if words.iter().fold(0, |all, word| all | stops(*word)) != 0 {
            return run + plain_words(words);
        }
        run += block.len();
    }
    let (words, end) = tail.as_chunks::<8>();
    let front = plain_words(words);
    if front < words.len() * 8 { run + front } else { run + front + plain_bytes(end) }
}

/// How many bytes from the front of these words are plain.
fn plain_words(words: &[[u8; 8]]) -> usize {
    let stop_at = |(at, word): (usize, &[u8; 8])| match stops(*word) {
        0 => None,
        stop => Some(at * 8 + lane(stop)),
    };
    words.iter().enumerate().find_map(stop_at).unwrap_or(words.len() * 8)
}

/// How many bytes from the front of these few are plain.
fn plain_bytes(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| !matches!(**byte, b'"' | b'\\' | 0..=0x1f)).count()
}

/// The top bit of each lane whose byte is not plain, exact up to the first such lane.
///
/// Subtracting a bound from a lane borrows into its top bit exactly when the lane is below the bound and
/// itself below 0x80; a borrow out of a lane can only disturb the lanes behind it.
#[inline]
fn stops(word: [u8; 8]) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    const QUOTES: u64 = ONES * b'"' as u64;
    const BACKSLASHES: u64 = ONES * b'\\' as u64;
    let lanes = u64::from_le_bytes(word);
    let quote = (lanes ^ QUOTES).wrapping_sub(ONES);
    let backslash = (lanes ^ BACKSLASHES).wrapping_sub(ONES);
    let control = lanes.wrapping_sub(ONES * 0x20);
    (quote | backslash | control) & !lanes & TOPS
}

/// The place of the first marked lane.
#[inline]
fn lane(stops: u64) -> usize {
    (stops.trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests {
    use super::{plain_bytes, plain_run};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn words_see_what_bytes_see(bytes in prop::collection::vec(prop_oneof![
            60 => 0x20_u8..=0x7f, 20 => 0x80_u8..=0xff, 1 => any::<u8>(), 1 => Just(b'"'), 1 => Just(b'\\'),
        ], 0..120)) {
            prop_assert_eq!(plain_run(&bytes), plain_bytes(&bytes));
        }
    }
}
