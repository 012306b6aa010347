//! What an answer tells of its usage and cost. It counts and prices nothing.

use trunkline_core::usage::TokenCounts;
use trunkline_wire::usage::{Usage, UsageOut};

use crate::ledger::Settlement;

/// A provider's counts in `core`'s terms.
pub fn token_counts(usage: Usage) -> TokenCounts {
    TokenCounts {
        input: usage.prompt_tokens,
        output: usage.completion_tokens,
        cached: usage.cached_tokens,
        cache_write: usage.cache_write_tokens,
        reasoning: usage.reasoning_tokens,
    }
}

/// The parts of a cost, by the names that answers use.
pub fn cost_details(settlement: &Settlement) -> [(&'static str, u64); 3] {
    let cost = settlement.cost;
    [("prompt", cost.input.0), ("completion", cost.output.0), ("request", cost.request.0)]
}

/// What an answer's `usage` says.
pub fn usage_out<'a>(
    settlement: &Settlement,
    details: &'a [(&'static str, u64); 3],
) -> UsageOut<'a> {
    let tokens = settlement.tokens;
    UsageOut {
        tokens: Usage {
            prompt_tokens: tokens.input,
            completion_tokens: tokens.output,
            cached_tokens: tokens.cached,
            cache_write_tokens: tokens.cache_write,
            reasoning_tokens: tokens.reasoning,
            total: tokens.input + tokens.output,
        },
        cost_pico_usd: settlement.cost.total().0,
        cost_details: details,
    }
}
