//! Taking a decision again from what was kept of it: the excerpt of its snapshot, its facts, the loads that it
//! saw and its seed. The draw is [`crate::plan::draw`] itself; nothing here decides.

use std::ops::Range;
use std::sync::Arc;

use crate::facts::Facts;
use crate::id::ModelId;
use crate::plan::{LocalLayer, LocalLoad, Plan, draw};
use crate::policy::Tenant;
use crate::snapshot::{EndpointState, Snapshot};

/// The part of a snapshot that decides over calls for some models. Endpoints of one model keep their order,
/// on which a draw depends, and nothing else of their positions matters to it.
#[derive(Clone, Debug)]
pub struct Excerpt {
    /// The policy, and the endpoints of those models alone.
    pub snapshot: Snapshot,
    /// Where they are in the whole snapshot, ascending.
    from: Vec<Range<usize>>,
}

impl Excerpt {
    /// What calls for these models see of a snapshot.
    pub fn of(snapshot: &Snapshot, models: &[ModelId]) -> Self {
        let ranges = models.iter().map(|model| snapshot.endpoints_of(model));
        let mut from: Vec<Range<usize>> = ranges.filter(|range| !range.is_empty()).collect();
        from.sort_by_key(|range| range.start);
        from.dedup();
        let part = |range: &Range<usize>| snapshot.endpoints.get(range.clone()).unwrap_or_default();
        let endpoints: Vec<EndpointState> = from.iter().flat_map(part).cloned().collect();
        let policy = Arc::clone(&snapshot.policy);
        Self { snapshot: Snapshot::new(snapshot.revision, policy, Vec::new(), endpoints), from }
    }

    /// A snapshot that is its own excerpt.
    pub fn whole(snapshot: Snapshot) -> Self {
        let all = 0..snapshot.endpoints.len();
        Self { snapshot, from: vec![all] }
    }

    /// The other one decides the same, at the same positions.
    pub fn same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.snapshot.policy, &other.snapshot.policy)
            && self.from == other.from
            && self.snapshot.endpoints == other.snapshot.endpoints
    }

    /// The positions in the whole snapshot, in the order of the excerpt's endpoints.
    pub fn positions(&self) -> impl Iterator<Item = usize> {
        self.from.iter().cloned().flatten()
    }

    /// Where an endpoint of the whole snapshot is in the excerpt; `None` for one that is not in it.
    pub fn place(&self, endpoint: usize) -> Option<usize> {
        let mut before = 0;
        for range in &self.from {
            if range.contains(&endpoint) {
                return Some(before + endpoint - range.start);
            }
            before += range.len();
        }
        None
    }

    /// A plan of the whole snapshot with positions in the excerpt.
    pub fn placed(&self, mut plan: Plan) -> Plan {
        plan.candidates.retain_mut(|c| self.place(c.endpoint).map(|at| c.endpoint = at).is_some());
        plan.turns
            .retain_mut(|turn| self.place(turn.endpoint).map(|at| turn.endpoint = at).is_some());
        plan
    }
}

/// The loads that a plan was drawn with, by position in the snapshot that it belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loads(Vec<LocalLoad>);

impl Loads {
    /// Those of a plan's candidates.
    pub fn of(plan: &Plan) -> Self {
        let endpoints = plan.candidates.iter().map(|c| c.endpoint + 1).max().unwrap_or(0);
        let mut loads = vec![LocalLoad::default(); endpoints];
        for candidate in &plan.candidates {
            if let Some(load) = loads.get_mut(candidate.endpoint) {
                *load = candidate.load;
            }
        }
        Self(loads)
    }
}

impl LocalLayer for Loads {
    fn load(&self, endpoint: usize) -> LocalLoad {
        self.0.get(endpoint).copied().unwrap_or_default()
    }
}

/// The plan that `recorded` must have been, from all that it depended on. Both have positions in the excerpt
/// whose snapshot this is; they are equal unless the record is damaged or the rules have changed since.
pub fn replay(
    excerpt: &Snapshot,
    tenant: &Tenant,
    facts: &Facts,
    recorded: &Plan,
    seed: u64,
) -> Plan {
    draw(excerpt, tenant, facts, &Loads::of(recorded), seed)
}

#[cfg(test)]
mod tests;
