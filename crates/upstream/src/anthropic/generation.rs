//! What a Claude model of a given version accepts, read from its id; not a catalog and no prices.
//!
//! The provider answers 400 to parameters that a model has outgrown, so a faithful translation has to know five
//! version boundaries. An id without a version (an alias, another vendor's model behind the same dialect) is taken as
//! accepting the classic parameters.

/// First version that can think at all.
const THINKING_SINCE: (u32, u32) = (3, 7);
/// First version that refuses `temperature` together with `top_p`.
const ONE_SAMPLER_SINCE: (u32, u32) = (4, 1);
/// First version with structured outputs (`output_config.format`, strict tools).
const STRUCTURED_SINCE: (u32, u32) = (4, 5);
/// First version with adaptive thinking and `output_config.effort`.
const ADAPTIVE_SINCE: (u32, u32) = (4, 6);
/// First version that refuses sampling parameters and thinking budgets, and knows `xhigh` and `display`.
const ADAPTIVE_ONLY_SINCE: (u32, u32) = (4, 7);

/// Longer runs of digits are dates (`20250929`), not versions.
const MAX_VERSION_DIGITS: usize = 2;

/// A model's version, if its id tells one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generation(Option<(u32, u32)>);

impl Generation {
    /// Reads `claude-opus-4-6`, `claude-3-7-sonnet-20250219`, `anthropic.claude-sonnet-4-5-…-v1:0` and the like.
    pub(super) fn of(model: &str) -> Self {
        let Some(start) = model.find("claude") else { return Self(None) };
        let tail = model.get(start..).unwrap_or_default();
        let mut parts = tail.split(|c: char| !c.is_ascii_alphanumeric()).map(version_number);
        let Some(major) = parts.by_ref().flatten().next() else { return Self(None) };
        let minor = parts.next().flatten().unwrap_or(0);
        Self(Some((major, minor)))
    }

    pub(super) fn can_think(self) -> bool {
        self.0.is_none_or(|version| version >= THINKING_SINCE)
    }

    pub(super) fn takes_one_sampler_only(self) -> bool {
        self.since(ONE_SAMPLER_SINCE)
    }

    pub(super) fn has_structured_outputs(self) -> bool {
        self.since(STRUCTURED_SINCE)
    }

    pub(super) fn thinks_adaptively(self) -> bool {
        self.since(ADAPTIVE_SINCE)
    }

    pub(super) fn only_adaptive(self) -> bool {
        self.since(ADAPTIVE_ONLY_SINCE)
    }

    fn since(self, first: (u32, u32)) -> bool {
        self.0.is_some_and(|version| version >= first)
    }
}

fn version_number(part: &str) -> Option<u32> {
    if part.len() > MAX_VERSION_DIGITS { None } else { part.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::Generation;

    #[test]
    fn versions_are_read_from_every_spelling_of_an_id() {
        let table = [
            ("claude-opus-4-6", Some((4, 6))),
            ("claude-3-7-sonnet-20250219", Some((3, 7))),
            ("claude-sonnet-4-20250514", Some((4, 0))),
            ("anthropic/claude-4.7-opus", Some((4, 7))),
            ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", Some((4, 5))),
            ("claude-sonnet-5", Some((5, 0))),
            ("claude-latest", None),
            ("MiniMax-M2", None),
            ("", None),
        ];
        for (model, version) in table {
            assert_eq!(Generation::of(model), Generation(version), "{model}");
        }
    }

    #[test]
    fn an_unknown_model_takes_the_classic_parameters() {
        let unknown = Generation::of("house-model");
        assert!(unknown.can_think());
        assert!(!unknown.thinks_adaptively());
        assert!(!unknown.has_structured_outputs());
        assert!(!unknown.takes_one_sampler_only());
    }
}
