//! Token counts and stop reasons in both dialects; not money.

use serde::{Deserialize, Serialize};

/// Counts as the provider reports them; in a stream each report is cumulative and may leave fields out.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Counts {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

impl Counts {
    /// Takes over every count that a later report names.
    pub(super) fn update(&mut self, later: Self) {
        self.input_tokens = later.input_tokens.or(self.input_tokens);
        self.output_tokens = later.output_tokens.or(self.output_tokens);
        self.cache_read_input_tokens =
            later.cache_read_input_tokens.or(self.cache_read_input_tokens);
        self.cache_creation_input_tokens =
            later.cache_creation_input_tokens.or(self.cache_creation_input_tokens);
        self.output_tokens_details = later.output_tokens_details.or(self.output_tokens_details);
    }
}

/// Counts in OpenAI's form. The provider counts cached prompt tokens apart; OpenAI counts them as part of the prompt.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
}

impl From<Counts> for Usage {
    fn from(counts: Counts) -> Self {
        let cached_tokens = counts.cache_read_input_tokens.unwrap_or(0);
        let cache_write_tokens = counts.cache_creation_input_tokens.unwrap_or(0);
        let prompt_tokens = counts
            .input_tokens
            .unwrap_or(0)
            .saturating_add(cached_tokens)
            .saturating_add(cache_write_tokens);
        let completion_tokens = counts.output_tokens.unwrap_or(0);
        Self {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens.saturating_add(completion_tokens),
            prompt_tokens_details: PromptDetails { cached_tokens, cache_write_tokens },
            completion_tokens_details: counts
                .output_tokens_details
                .and_then(|details| details.thinking_tokens)
                .map(|reasoning_tokens| CompletionDetails { reasoning_tokens }),
        }
    }
}

/// OpenAI's `finish_reason` for a `stop_reason`; a reason this module does not know is an ordinary stop.
pub(super) fn finish_reason(stop_reason: Option<&str>) -> &'static str {
    match stop_reason {
        Some("max_tokens" | "model_context_window_exceeded") => "length",
        Some("tool_use") => "tool_calls",
        Some("refusal") => "content_filter",
        _ => "stop",
    }
}
