//! The consensus: from what every prober saw to one table of verdicts and weights.
//!
//! It is a pure integer function of the store's contents at one revision. There is no clock and no history in
//! it: what needs time (hysteresis, back-off, ramp) happens in the probers and arrives inside their votes
//! (see [`crate::voter`]). Two routers at the same revision therefore have the same table, and publish the
//! digest that shows it.

mod decide;
mod digest;
mod limit;
mod overrides;
mod tally;
mod weigh;

use std::collections::BTreeMap;

use crate::assign::Roster;
use crate::catalog::{Catalog, Endpoint};
use crate::id::{EndpointId, ProberId, Zone};
use crate::observation::{Observation, ProberInfo};
use crate::policy::Policy;
use crate::snapshot::{EndpointState, Numbers, Verdict, Weight};

pub use decide::Scores;
pub use limit::Limit;
pub use overrides::{Override, Overrides};
pub use tally::Heard;
pub use weigh::Factors;

/// What the store held at one revision, and where the router stands.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Everything that exists.
    pub catalog: &'a Catalog,
    /// The policy in force.
    pub policy: &'a Policy,
    /// Operators' words, resolved to endpoints.
    pub overrides: &'a Overrides,
    /// The living probers.
    pub probers: &'a BTreeMap<ProberId, ProberInfo>,
    /// What was published, whoever published it.
    pub observations: &'a BTreeMap<(EndpointId, ProberId), Observation>,
    /// The zone that the table is for; it is no part of the digest.
    pub zone: &'a Zone,
}

/// What follows for every endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// By endpoint.
    pub rows: BTreeMap<EndpointId, Row>,
    /// So much looks down at once, to probes alone, that the probers' own network is the likelier cause:
    /// nothing is ejected on such evidence.
    pub disruption: bool,
    /// BLAKE3 of everything in the table that does not depend on the router's zone.
    pub digest: [u8; 32],
}

/// What follows for one endpoint, and from what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The verdict in force for this zone, limits applied.
    pub verdict: Verdict,
    /// What the observers agree on, before limits and zone.
    pub agreed: Verdict,
    /// The zones whose observers find it down while the whole does not.
    pub down_zones: Vec<Zone>,
    /// Why it is not ejected although the observers agree that it is down.
    pub limited: Option<Limit>,
    /// Its share for routers of this zone.
    pub weight: Weight,
    /// Taken out by an operator.
    pub drained: bool,
    /// The operator's weight in force, 0 to 1000.
    pub operator_weight: u16,
    /// Who was heard, and how they voted.
    pub heard: Heard,
    /// What was measured, agreed over the observers.
    pub scores: Scores,
    /// What the weight is the product of.
    pub factors: Factors,
}

impl Row {
    /// Whether calls may go there without being a last resort.
    pub fn eligible(&self) -> bool {
        !self.drained && self.operator_weight > 0 && self.verdict.usable()
    }

    /// Nobody has evidence: it weighs as if it were up.
    pub fn no_evidence(&self) -> bool {
        self.heard.voices == 0
    }

    /// The measurements as people read them. There is no 99th percentile of the time between tokens in an
    /// observation; the 90th stands for it.
    pub fn numbers(&self) -> Numbers {
        Numbers {
            success_permille: (!self.no_evidence()).then_some(self.scores.success_permille),
            ttft_p50_ms: self.scores.ttft_p50.map(|b| b.middle()),
            ttft_p99_ms: self.scores.ttft_p99.map(|b| b.middle()),
            inter_token_p99_ms: self.scores.inter_token_p90.map(|b| b.middle()),
            tokens_per_second: self.scores.tokens_per_second_p50.map(|b| b.middle()),
        }
    }
}

impl Table {
    /// The catalog's endpoints with what the table says of each; one the table does not know is as one
    /// nobody has measured, at the catalog's weight.
    pub fn states(&self, catalog: &Catalog) -> Vec<EndpointState> {
        catalog.endpoints.iter().map(|endpoint| self.state(endpoint)).collect()
    }

    fn state(&self, endpoint: &Endpoint) -> EndpointState {
        let unknown = Row {
            operator_weight: endpoint.weight,
            weight: Weight(u32::from(endpoint.weight) << 16),
            ..Row::default()
        };
        let row = self.rows.get(&endpoint.id).unwrap_or(&unknown);
        EndpointState {
            endpoint: endpoint.clone(),
            verdict: row.verdict,
            weight: row.weight,
            numbers: row.numbers(),
            drained: row.drained,
            operator_weight: row.operator_weight,
        }
    }
}

/// An endpoint on its way to its row. Drafts are ordered by (model, id), so a model's are neighbours.
struct Draft<'a> {
    endpoint: &'a Endpoint,
    row: Row,
}

/// The consensus.
pub fn assess(input: &Inputs<'_>) -> Table {
    let roster = Roster::new(input.probers);
    let tallies = tally::count(input, &roster);
    let mut drafts = decide::verdicts(tallies);
    overrides::apply(&mut drafts, input.overrides);
    let disruption = limit::ejections(&mut drafts);
    weigh::shares(&mut drafts, input.policy);
    let digest = digest::of(&drafts, disruption);
    weigh::for_zone(&mut drafts, input.zone);
    let rows = drafts.into_iter().map(|draft| (draft.endpoint.id, draft.row)).collect();
    Table { rows, disruption, digest }
}

#[cfg(test)]
mod tests;
