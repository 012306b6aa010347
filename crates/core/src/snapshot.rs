//! The immutable view one call is served from: policy, catalog, verdicts and weights at one revision.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::catalog::{Endpoint, Provider};
use crate::id::ModelId;
use crate::policy::{Policy, Route, Strategy, Timeouts};

/// What the probers agree on about an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nobody has evidence; weighs as up.
    #[default]
    Unknown,
    /// It works.
    Up,
    /// It works badly.
    Degraded,
    /// The only observer says it is down; too few to eject.
    AdvisoryDown,
    /// It is down for observers in this zone only.
    ZoneDown,
    /// It is down.
    Down,
    /// It refuses our credential or does not know the model.
    ConfigError,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Unknown,
        Self::Up,
        Self::Degraded,
        Self::AdvisoryDown,
        Self::ZoneDown,
        Self::Down,
        Self::ConfigError,
    ];

    /// Whether calls may go there without being a last resort.
    pub const fn usable(self) -> bool {
        match self {
            Self::Unknown | Self::Up | Self::Degraded | Self::AdvisoryDown | Self::ZoneDown => true,
            Self::Down | Self::ConfigError => false,
        }
    }

    /// The name in logs, metrics and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::AdvisoryDown => "advisory_down",
            Self::ZoneDown => "zone_down",
            Self::Down => "down",
            Self::ConfigError => "config_error",
        }
    }
}

/// A cluster-wide share, Q16: 65,536 is an operator weight of 1 with every factor at 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(pub u32);

impl Weight {
    /// Excluded.
    pub const ZERO: Self = Self(0);
}

/// What was measured, agreed over the probers. `None` where nobody has measured yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Success in ‰.
    pub success_permille: Option<u32>,
    /// Median time to the first token.
    pub ttft_p50_ms: Option<u32>,
    /// 99th percentile of the time to the first token.
    pub ttft_p99_ms: Option<u32>,
    /// 99th percentile of the time between two tokens.
    pub inter_token_p99_ms: Option<u32>,
    /// Median throughput in tokens a second.
    pub tokens_per_second: Option<u32>,
}

/// An endpoint with what is agreed about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointState {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// What the probers agree on.
    pub verdict: Verdict,
    /// Its share.
    pub weight: Weight,
    /// What was measured.
    pub numbers: Numbers,
    /// Taken out by an operator.
    pub drained: bool,
    /// The operator's weight in force, 0 to 1000: the catalog's, or the override's.
    pub operator_weight: u16,
}

/// The view at one revision. Endpoints are ordered by model, then id, so a model's are one range.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The store revision it was computed from.
    pub revision: u64,
    /// The policy in force.
    pub policy: Arc<Policy>,
    /// By id, ascending.
    pub providers: Vec<Provider>,
    /// By (model, id), ascending.
    pub endpoints: Vec<EndpointState>,
    /// Every call looks its model up several times, so they are hashed.
    models: HashMap<ModelId, Range<usize>>,
}

/// What a requested name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved<'a> {
    /// A route of the policy.
    Route(&'a Route),
    /// A model of the catalog.
    Model(&'a ModelId),
}

impl Snapshot {
    /// Builds the view; sorts `endpoints` and `providers` and indexes the models.
    pub fn new(
        revision: u64,
        policy: impl Into<Arc<Policy>>,
        mut providers: Vec<Provider>,
        mut endpoints: Vec<EndpointState>,
    ) -> Self {
        providers.sort_by(|a, b| a.id.cmp(&b.id));
        endpoints.sort_by(|a, b| {
            (&a.endpoint.model, a.endpoint.id).cmp(&(&b.endpoint.model, b.endpoint.id))
        });
        let mut models: HashMap<ModelId, Range<usize>> = HashMap::new();
        for (at, state) in endpoints.iter().enumerate() {
            models.entry(state.endpoint.model.clone()).or_insert(at..at).end = at + 1;
        }
        Self { revision, policy: policy.into(), providers, endpoints, models }
    }

    /// What a requested name stands for; routes come before models, so that a policy can redirect one.
    pub fn resolve(&self, name: &str) -> Option<Resolved<'_>> {
        if let Some(route) = self.policy.routes.get(name) {
            return Some(Resolved::Route(route));
        }
        self.models.get_key_value(name).map(|(model, _)| Resolved::Model(model))
    }

    /// Positions of a model's endpoints in [`Self::endpoints`]; empty for a model nobody serves.
    pub fn endpoints_of(&self, model: &ModelId) -> Range<usize> {
        self.models.get(model).cloned().unwrap_or(0..0)
    }

    /// The models of the catalog, ascending.
    pub fn models(&self) -> impl Iterator<Item = &ModelId> {
        let served = self.endpoints.chunk_by(|a, b| a.endpoint.model == b.endpoint.model);
        served.filter_map(|states| states.first()).map(|state| &state.endpoint.model)
    }

    /// The deadlines for calls that asked for `name`.
    pub fn timeouts(&self, name: &str) -> Timeouts {
        let route = self.policy.routes.get(name);
        route.and_then(|r| r.timeouts).unwrap_or(self.policy.timeouts)
    }

    /// How weights are formed for a model: its own route's strategy, else the policy's.
    pub fn strategy(policy: &Policy, model: &ModelId) -> Strategy {
        let route = policy.routes.get(model.as_str());
        route.and_then(|r| r.strategy).unwrap_or(policy.strategy)
    }

    /// Up to `most` known names that look like `name`, nearest first.
    pub fn nearest_names(&self, name: &str, most: usize) -> Vec<String> {
        let known = self.models().map(ModelId::as_str);
        nearest(name, known.chain(self.policy.routes.keys().map(String::as_str)), most)
    }
}

/// Names at most this long are compared; longer ones are no typing mistakes.
const MAX_COMPARED_CHARS: usize = 128;

/// Up to `most` of `known` that a person may have meant by `name`, nearest first.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>, most: usize) -> Vec<String> {
    if name.len() > MAX_COMPARED_CHARS {
        return Vec::new();
    }
    let name = name.to_lowercase();
    let mut scored: Vec<(usize, &str)> = known
        .filter(|k| k.len() <= MAX_COMPARED_CHARS)
        .filter_map(|k| {
            let candidate = k.to_lowercase();
            let distance = if !name.is_empty() && candidate.contains(&name) {
                1
            } else {
                edit_distance(&name, &candidate)
            };
            (distance <= 2 + name.chars().count() / 3).then_some((distance, k))
        })
        .collect();
    scored.sort();
    scored.dedup();
    scored.into_iter().take(most).map(|(_, k)| k.to_owned()).collect()
}

/// Levenshtein distance over characters, one row at a time.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cb, above) in b.iter().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = *above;
            left = replaced.min(left + 1).min(diagonal + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distance_counts_single_edits() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("abc", ""), 3);
        assert_eq!(edit_distance("same", "same"), 0);
    }

    #[test]
    fn the_nearest_names_come_first_and_strangers_not_at_all() {
        let known = ["openai/gpt-4o", "openai/gpt-4o-mini", "anthropic/claude"];
        let near = nearest("openai/gpt4o", known.into_iter(), 3);
        assert_eq!(near.first().map(String::as_str), Some("openai/gpt-4o"));
        assert!(nearest("zzzzzzzzzzzzzzzzzzzz", known.into_iter(), 3).is_empty());
        assert_eq!(nearest("claude", known.into_iter(), 3), ["anthropic/claude"]);
    }
}
