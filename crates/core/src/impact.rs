//! What another catalog or policy would have made of recent calls: each is drawn again under the snapshot in
//! force and under the proposed one, with its own facts, seed and the loads of its time. Only the first turn
//! counts towards shares, cost and latency, because nobody knows what would have failed; every turn counts
//! towards the rules, because a call can reach it.

use std::collections::BTreeMap;

use crate::facts::Facts;
use crate::id::{EndpointId, ModelId};
use crate::money::PicoUsd;
use crate::plan::{LocalLayer, LocalLoad, Plan, draw};
use crate::policy::Tenant;
use crate::snapshot::{Resolved, Snapshot};

/// A recorded call, as far as it can be decided again.
#[derive(Clone, Debug)]
pub struct Past<'a> {
    /// The name that was asked for, without a suffix.
    pub asked: &'a str,
    /// Its facts; the models among them are those of its time.
    pub facts: &'a Facts,
    /// Who called.
    pub tenant: &'a Tenant,
    /// What its router knew of each candidate, by id, ascending.
    pub loads: Vec<(EndpointId, LocalLoad)>,
    /// The seed of its draws.
    pub seed: u64,
    /// Prompt and answer tokens it used; `None` where nothing was settled, and the facts are taken.
    pub tokens: Option<(u64, u64)>,
}

/// Two outcomes of the same calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Impact {
    /// Calls that were decided again.
    pub calls: u64,
    /// Calls whose first endpoint is another one, or that go somewhere only on one side.
    pub moved: u64,
    /// Under the snapshot in force.
    pub before: Side,
    /// Under the proposed one.
    pub after: Side,
}

/// What becomes of the calls under one snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// What each endpoint gets.
    pub endpoints: BTreeMap<EndpointId, Share>,
    /// What all calls are expected to cost.
    pub cost: PicoUsd,
    /// Over the calls, the median and the 99th percentile of the median time to the first token at their
    /// endpoints, in milliseconds; `None` where nothing was measured.
    pub first_token_ms: Option<(u32, u32)>,
    /// Calls for a name that there is not.
    pub unknown_model: u64,
    /// Calls that nothing may serve.
    pub nothing_allowed: u64,
    /// Calls that can reach an endpoint which the other side's data rules forbid.
    pub against_rules: u64,
}

impl Impact {
    /// Adds what became of other calls, such as another router's, under the same two snapshots.
    pub fn add(&mut self, other: &Self, before: &Snapshot, after: &Snapshot) {
        self.calls += other.calls;
        self.moved += other.moved;
        self.before.add(&other.before, before);
        self.after.add(&other.after, after);
    }
}

impl Side {
    fn add(&mut self, other: &Self, snapshot: &Snapshot) {
        for (id, more) in &other.endpoints {
            let share = self.endpoints.entry(*id).or_default();
            share.calls += more.calls;
            share.cost = share.cost + more.cost;
            share.against_rules += more.against_rules;
        }
        self.cost = self.cost + other.cost;
        self.unknown_model += other.unknown_model;
        self.nothing_allowed += other.nothing_allowed;
        self.against_rules += other.against_rules;
        self.time(snapshot);
    }

    /// The times to the first token, from what each endpoint gets.
    fn time(&mut self, snapshot: &Snapshot) {
        let measured = snapshot.endpoints.iter().filter_map(|state| {
            let calls = self.endpoints.get(&state.endpoint.id)?.calls;
            Some((state.numbers.ttft_p50_ms?, calls))
        });
        let mut measured: Vec<(u32, u64)> = measured.collect();
        measured.sort_unstable();
        let all: u64 = measured.iter().map(|(_, calls)| calls).sum();
        let at = |percent: u64| {
            let (place, mut below) = ((all * percent).div_ceil(100).max(1), 0);
            measured.iter().find_map(|(ms, calls)| {
                below += calls;
                (below >= place).then_some(*ms)
            })
        };
        self.first_token_ms = at(50).zip(at(99));
    }
}

/// What one endpoint gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Calls whose first turn it is.
    pub calls: u64,
    /// What they are expected to cost.
    pub cost: PicoUsd,
    /// Calls that can reach it although the other side's data rules forbid it.
    pub against_rules: u64,
}

/// Decides recorded calls under two snapshots.
pub fn impact<'a>(
    before: &Snapshot,
    after: &Snapshot,
    calls: impl IntoIterator<Item = Past<'a>>,
) -> Impact {
    let mut sum = Impact::default();
    let (mut was, mut is) = (Tally::new(before, after), Tally::new(after, before));
    for past in calls {
        let added = added_models(before, &past);
        let (old, new) = (was.count(&past, &added), is.count(&past, &added));
        sum.calls += 1;
        sum.moved += u64::from(old != new);
    }
    sum.before = was.close();
    sum.after = is.close();
    sum
}

/// The models that a call may fall back to beside those that its name stands for.
fn added_models<'a>(before: &Snapshot, past: &Past<'a>) -> Vec<&'a ModelId> {
    let named = chain(before, past.asked).unwrap_or_default();
    past.facts.models.iter().filter(|model| !named.contains(model)).collect()
}

fn chain<'a>(snapshot: &'a Snapshot, asked: &str) -> Option<&'a [ModelId]> {
    snapshot.resolve(asked).map(|resolved| match resolved {
        Resolved::Route(route) => route.models.as_slice(),
        Resolved::Model(model) => std::slice::from_ref(model),
    })
}

/// One side on its way.
struct Tally<'a> {
    snapshot: &'a Snapshot,
    other: &'a Snapshot,
    side: Side,
}

impl<'a> Tally<'a> {
    fn new(snapshot: &'a Snapshot, other: &'a Snapshot) -> Self {
        Self { snapshot, other, side: Side::default() }
    }

    /// Counts a call, and says where it goes first.
    fn count(&mut self, past: &Past<'_>, added: &[&ModelId]) -> Option<EndpointId> {
        let Some(named) = chain(self.snapshot, past.asked) else {
            self.side.unknown_model += 1;
            return None;
        };
        let refused = |allowed: &Vec<ModelId>| named.iter().any(|model| !allowed.contains(model));
        if past.tenant.models.as_ref().is_some_and(refused) {
            self.side.nothing_allowed += 1;
            return None;
        }
        let plan = self.plan(past, named, added);
        self.check(&plan);
        let first = plan.turns.first().and_then(|t| self.snapshot.endpoints.get(t.endpoint));
        let Some(first) = first else {
            self.side.nothing_allowed += 1;
            return None;
        };
        let (input, output) = past.tokens.unwrap_or_else(|| expected(past.facts));
        let cost = first.endpoint.price.of(input, output);
        let share = self.side.endpoints.entry(first.endpoint.id).or_default();
        share.calls += 1;
        share.cost = share.cost + cost;
        self.side.cost = self.side.cost + cost;
        Some(first.endpoint.id)
    }

    fn plan(&self, past: &Past<'_>, named: &[ModelId], added: &[&ModelId]) -> Plan {
        let known = Known { snapshot: self.snapshot, loads: &past.loads };
        if past.facts.models.iter().eq(named.iter().chain(added.iter().copied())) {
            return draw(self.snapshot, past.tenant, past.facts, &known, past.seed);
        }
        let mut facts = past.facts.clone();
        facts.models = named.to_vec();
        facts.models.extend(added.iter().filter(|m| !named.contains(m)).map(|m| (*m).clone()));
        draw(self.snapshot, past.tenant, &facts, &known, past.seed)
    }

    fn check(&mut self, plan: &Plan) {
        let rules = &self.other.policy.data;
        let reached = plan.turns.iter().filter_map(|t| self.snapshot.endpoints.get(t.endpoint));
        let mut any = false;
        for state in reached.filter(|state| !rules.allow(&state.endpoint)) {
            self.side.endpoints.entry(state.endpoint.id).or_default().against_rules += 1;
            any = true;
        }
        self.side.against_rules += u64::from(any);
    }

    fn close(mut self) -> Side {
        self.side.time(self.snapshot);
        self.side
    }
}

/// What a call of which nothing was settled is taken to use, as sorting by price takes it.
fn expected(facts: &Facts) -> (u64, u64) {
    (facts.input_tokens, facts.max_output_tokens.unwrap_or(facts.input_tokens / 4))
}

/// The loads of a call's time; an endpoint that was no candidate then is idle.
struct Known<'a> {
    snapshot: &'a Snapshot,
    loads: &'a [(EndpointId, LocalLoad)],
}

impl LocalLayer for Known<'_> {
    fn load(&self, endpoint: usize) -> LocalLoad {
        let id = self.snapshot.endpoints.get(endpoint).map(|state| state.endpoint.id);
        let known = id.and_then(|id| self.loads.binary_search_by(|(known, _)| known.cmp(&id)).ok());
        known.and_then(|at| self.loads.get(at)).map(|(_, load)| *load).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
