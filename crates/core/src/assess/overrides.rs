//! Third stage: operators' words, which beat everything the probers say.

use std::collections::BTreeMap;

use crate::assess::Draft;
use crate::id::EndpointId;

/// The largest operator weight.
const MAX_OPERATOR_WEIGHT: u16 = 1000;

/// What operators say about one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Override {
    /// Take it out; what is in flight finishes.
    pub drained: bool,
    /// The weight in force instead of the catalog's, 0 to 1000.
    pub weight: Option<u16>,
}

/// What operators say, resolved from scopes (an endpoint, a model, a provider, …) to endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// By endpoint; those nobody speaks about are absent.
    pub endpoints: BTreeMap<EndpointId, Override>,
}

pub(super) fn apply(drafts: &mut [Draft<'_>], overrides: &Overrides) {
    for draft in drafts {
        let word = overrides.endpoints.get(&draft.endpoint.id).copied().unwrap_or_default();
        let weight = word.weight.unwrap_or(draft.row.operator_weight);
        draft.row.operator_weight = weight.min(MAX_OPERATOR_WEIGHT);
        draft.row.drained = word.drained;
    }
}
