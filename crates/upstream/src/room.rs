//! The room that a provider says it has left: what the rate-limit headers of its last answer told.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use http::{HeaderMap, HeaderName};
use trunkline_core::catalog::Dialect;
use trunkline_core::observation::Capacity;

/// Stands for what was not told.
const NOT_TOLD: u64 = u64::MAX;

/// The names of the headers, requests first, then tokens; of each the allowance, then what is left of it.
type Names = [[HeaderName; 2]; 2];

static OPENAI: Names = [
    [
        HeaderName::from_static("x-ratelimit-limit-requests"),
        HeaderName::from_static("x-ratelimit-remaining-requests"),
    ],
    [
        HeaderName::from_static("x-ratelimit-limit-tokens"),
        HeaderName::from_static("x-ratelimit-remaining-tokens"),
    ],
];

static ANTHROPIC: Names = [
    [
        HeaderName::from_static("anthropic-ratelimit-requests-limit"),
        HeaderName::from_static("anthropic-ratelimit-requests-remaining"),
    ],
    [
        HeaderName::from_static("anthropic-ratelimit-tokens-limit"),
        HeaderName::from_static("anthropic-ratelimit-tokens-remaining"),
    ],
];

/// What the last answer that told anything said. Answers write to it without a lock, so a reader may see the
/// allowance of one with what is left after another.
#[derive(Debug)]
pub struct Room {
    told: AtomicBool,
    /// As [`Names`].
    values: [[AtomicU64; 2]; 2],
}

impl Default for Room {
    fn default() -> Self {
        let unknown = || [AtomicU64::new(NOT_TOLD), AtomicU64::new(NOT_TOLD)];
        Self { told: AtomicBool::new(false), values: [unknown(), unknown()] }
    }
}

impl Room {
    /// Takes in the headers of an answer, if they tell of both an allowance and what is left.
    pub(crate) fn read(&self, dialect: Dialect, headers: &HeaderMap) {
        let names = match dialect {
            Dialect::OpenAi => &OPENAI,
            Dialect::Anthropic => &ANTHROPIC,
        };
        let number = |name: &HeaderName| headers.get(name)?.to_str().ok()?.trim().parse().ok();
        for ([limit, remaining], [limit_to, remaining_to]) in names.iter().zip(&self.values) {
            // Most answers tell nothing, and cost one look.
            let Some(left) = number(remaining) else { continue };
            let Some(allowed) = number(limit) else { continue };
            limit_to.store(allowed, Relaxed);
            remaining_to.store(left, Relaxed);
            self.told.store(true, Relaxed);
        }
    }

    /// What was told since this was last asked; requests and tokens may have been told by different answers.
    pub fn take(&self) -> Option<Capacity> {
        if !self.told.load(Relaxed) || !self.told.swap(false, Relaxed) {
            return None;
        }
        let value = |value: &AtomicU64| Some(value.load(Relaxed)).filter(|v| *v != NOT_TOLD);
        let [[limit_requests, remaining_requests], [limit_tokens, remaining_tokens]] = &self.values;
        Some(Capacity {
            limit_requests: value(limit_requests),
            remaining_requests: value(remaining_requests),
            limit_tokens: value(limit_tokens),
            remaining_tokens: value(remaining_tokens),
            ..Capacity::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(dialect: Dialect, headers: &[(&'static str, &'static str)]) -> Option<Capacity> {
        let map = headers.iter().map(|(name, value)| {
            (HeaderName::from_static(name), http::HeaderValue::from_static(value))
        });
        let room = Room::default();
        room.read(dialect, &map.collect());
        let taken = room.take();
        assert_eq!(room.take(), None);
        taken
    }

    #[test]
    fn both_dialects_tell_of_their_room() {
        let openai = [
            ("x-ratelimit-limit-requests", "500"),
            ("x-ratelimit-remaining-requests", "499"),
            ("x-ratelimit-limit-tokens", "30000"),
            ("x-ratelimit-remaining-tokens", "1200"),
        ];
        let expected = Capacity {
            limit_requests: Some(500),
            remaining_requests: Some(499),
            limit_tokens: Some(30_000),
            remaining_tokens: Some(1_200),
            ..Capacity::default()
        };
        assert_eq!(told(Dialect::OpenAi, &openai), Some(expected));
        let anthropic = [
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "0"),
        ];
        let expected = Capacity {
            limit_requests: Some(50),
            remaining_requests: Some(0),
            ..Capacity::default()
        };
        assert_eq!(told(Dialect::Anthropic, &anthropic), Some(expected));
    }

    #[test]
    fn what_cannot_be_read_is_not_told() {
        let odd =
            [("x-ratelimit-limit-requests", "many"), ("x-ratelimit-remaining-requests", "10")];
        assert_eq!(told(Dialect::OpenAi, &odd), None);
        assert_eq!(told(Dialect::OpenAi, &[("x-ratelimit-remaining-tokens", "7")]), None);
        assert_eq!(told(Dialect::OpenAi, &[]), None);
    }
}
