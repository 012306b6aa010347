//! What a call used, and what that costs.

use crate::catalog::Price;
use crate::money::PicoUsd;

/// Tokens of one answer, as its provider counted them.
///
/// `cached` and `cache_write` are parts of `input`; `reasoning` is a part of `output`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenCounts {
    /// All prompt tokens.
    pub input: u64,
    /// All answer tokens.
    pub output: u64,
    /// Prompt tokens read from the provider's cache.
    pub cached: u64,
    /// Prompt tokens written to the provider's cache.
    pub cache_write: u64,
    /// Answer tokens spent on reasoning.
    pub reasoning: u64,
}

/// The parts of a call's cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Prompt, cache reads and writes included.
    pub input: PicoUsd,
    /// Answer.
    pub output: PicoUsd,
    /// The flat price of the call and of its images.
    pub request: PicoUsd,
}

impl Cost {
    /// Everything together.
    pub fn total(self) -> PicoUsd {
        self.input + self.output + self.request
    }
}

/// Prices an answer. Counts that contradict each other (more cached than sent) are clamped, never negative.
pub fn cost(price: &Price, tokens: TokenCounts, images: u64) -> Cost {
    let cached = tokens.cached.min(tokens.input);
    let written = tokens.cache_write.min(tokens.input - cached);
    let plain = tokens.input - cached - written;
    Cost {
        input: price.input.times(plain)
            + price.cache_read.times(cached)
            + price.cache_write.times(written),
        output: price.output.times(tokens.output),
        request: price.request + price.image.times(images),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: Price = Price {
        input: PicoUsd(100),
        output: PicoUsd(400),
        cache_read: PicoUsd(10),
        cache_write: PicoUsd(125),
        request: PicoUsd(7),
        image: PicoUsd(1000),
    };

    #[test]
    fn cached_tokens_cost_their_own_price() {
        let tokens = TokenCounts { input: 10, output: 2, cached: 4, cache_write: 1, reasoning: 0 };
        let cost = cost(&PRICE, tokens, 1);
        assert_eq!(cost.input, PicoUsd(5 * 100 + 4 * 10 + 125));
        assert_eq!(cost.output, PicoUsd(800));
        assert_eq!(cost.request, PicoUsd(1007));
        assert_eq!(cost.total(), PicoUsd(665 + 800 + 1007));
    }

    #[test]
    fn contradicting_counts_are_clamped() {
        let tokens = TokenCounts { input: 3, cached: 9, cache_write: 9, ..TokenCounts::default() };
        assert_eq!(cost(&PRICE, tokens, 0).input, PicoUsd(30));
    }
}
