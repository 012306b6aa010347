//! One call's plan: which endpoints are tried, in which order, and why.
//!
//! A plan is a function of (snapshot, tenant, facts, local load, seed) and of nothing else: keep those and
//! `explain` can draw the same plan again.

use crate::breaker::Admission;
use crate::draw::{Rng, Ticket, rendezvous, two_draws};
use crate::facts::{Facts, Preferences, Sort};
use crate::filter::{Exclusion, exclusion};
use crate::policy::Tenant;
use crate::snapshot::{EndpointState, Snapshot};

/// What this router alone knows about an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalLoad {
    /// Calls in flight from this router.
    pub in_flight: u32,
    /// Ghost load, in thousandths of a call.
    pub ghost_milli: u32,
    /// The breaker's word.
    pub admission: Admission,
    /// Whether its last ten seconds here were at least 90 % good.
    pub recently_good: bool,
    /// The share of calls to keep away, in ‰.
    pub throttle_permille: u32,
}

/// The router's local layer, by position in the snapshot's endpoints.
pub trait LocalLayer {
    /// What is known about the endpoint at this position.
    fn load(&self, endpoint: usize) -> LocalLoad;
}

/// Why an endpoint has its place in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Drawn by weight and load.
    Drawn,
    /// The session's home.
    Affinity,
    /// The caller's order.
    Ordered,
    /// The caller's sort.
    Sorted,
    /// Drawn like any other; its breaker is due for one trial, which this call is.
    Trial,
    /// The cluster says down, but this router's last ten seconds were good.
    LocallyGood,
    /// Nothing better exists.
    LastDitch,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Drawn,
        Self::Affinity,
        Self::Ordered,
        Self::Sorted,
        Self::Trial,
        Self::LocallyGood,
        Self::LastDitch,
    ];

    /// The name in records and explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drawn => "drawn",
            Self::Affinity => "affinity",
            Self::Ordered => "ordered",
            Self::Sorted => "sorted",
            Self::Trial => "trial",
            Self::LocallyGood => "locally_good",
            Self::LastDitch => "last_ditch",
        }
    }
}

/// One place in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Position in the snapshot's endpoints.
    pub endpoint: usize,
    /// Which of the call's models it serves: 0 is what was asked for.
    pub stage: usize,
    /// Why it stands here.
    pub reason: Reason,
}

/// An endpoint that was looked at, with what spoke for or against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Position in the snapshot's endpoints.
    pub endpoint: usize,
    /// Which of the call's models it serves.
    pub stage: usize,
    /// What this router knew about it.
    pub load: LocalLoad,
    /// Why it was left out; `None` when it was not.
    pub excluded: Option<Exclusion>,
}

/// Ordered candidates for one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order they are tried.
    pub turns: Vec<Turn>,
    /// Everything that was looked at.
    pub candidates: Vec<Candidate>,
}

/// Draws the plan.
pub fn draw(
    snapshot: &Snapshot,
    tenant: &Tenant,
    facts: &Facts,
    local: &dyn LocalLayer,
    seed: u64,
) -> Plan {
    let mut rng = Rng::new(seed);
    let mut plan = Plan::default();
    for (stage, model) in facts.models.iter().enumerate() {
        let first = plan.candidates.len();
        let endpoints = snapshot.endpoints_of(model);
        // Plans are kept in records, as large as they are.
        plan.candidates.reserve_exact(endpoints.len());
        for endpoint in endpoints {
            let Some(state) = snapshot.endpoints.get(endpoint) else { continue };
            let excluded = exclusion(state, &snapshot.policy, tenant, facts);
            let load = local.load(endpoint);
            plan.candidates.push(Candidate { endpoint, stage, load, excluded });
        }
        let candidates = plan.candidates.get(first..).unwrap_or_default();
        let mut stage = Stage { snapshot, facts, stage, pool: eligible(snapshot, candidates) };
        stage.fill(&mut plan.turns, &mut rng);
    }
    plan
}

fn eligible<'a>(snapshot: &'a Snapshot, candidates: &[Candidate]) -> Vec<Eligible<'a>> {
    let allowed = candidates.iter().filter(|c| c.excluded.is_none());
    allowed
        .filter_map(|c| {
            let state = snapshot.endpoints.get(c.endpoint)?;
            let (ticket, trial) = (ticket(state, c), c.load.admission == Admission::Trial);
            Some(Eligible { state, ticket, rank: rank(state, c.load)?, trial })
        })
        .collect()
}

/// An endpoint that the hard filters allow.
#[derive(Clone, Copy)]
struct Eligible<'a> {
    state: &'a EndpointState,
    ticket: Ticket,
    rank: Rank,
    trial: bool,
}

/// The fail-open order: the first of these that has anybody is drawn from. A due trial is among the admitted: behind
/// them it would never be drawn while one of them is left, and what recovered would never be called again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Admitted,
    LocallyGood,
    LastDitch,
}

fn rank(state: &EndpointState, load: LocalLoad) -> Option<Rank> {
    match (state.verdict.usable(), load.admission) {
        // A cooling credential would only collect another 429.
        (_, Admission::Cooling) => None,
        (true, Admission::Admitted | Admission::Trial) => Some(Rank::Admitted),
        (false, _) if load.recently_good => Some(Rank::LocallyGood),
        (false, Admission::Admitted | Admission::Trial) | (_, Admission::Ejected) => {
            Some(Rank::LastDitch)
        }
    }
}

/// Of an endpoint with neither weight nor verdict to its name: it is only ever drawn as a last resort.
const LAST_RESORT_WEIGHT: u32 = 1;

fn ticket(state: &EndpointState, candidate: &Candidate) -> Ticket {
    let load = candidate.load;
    let kept = u64::from(1000 - load.throttle_permille.min(1000));
    let weight = (u64::from(state.weight.0) * kept / 1000) as u32;
    Ticket {
        endpoint: candidate.endpoint,
        weight: weight.max(LAST_RESORT_WEIGHT),
        load_milli: u64::from(load.in_flight) * 1000 + u64::from(load.ghost_milli),
    }
}

/// The turns of one model.
struct Stage<'a> {
    snapshot: &'a Snapshot,
    facts: &'a Facts,
    stage: usize,
    pool: Vec<Eligible<'a>>,
}

impl Stage<'_> {
    fn fill(&mut self, turns: &mut Vec<Turn>, rng: &mut Rng) {
        let wishes = self.facts.preferences.as_deref();
        let most = match wishes {
            Some(wishes) if !wishes.allow_fallbacks && wishes.order.is_empty() => 1,
            _ => usize::from(self.snapshot.policy.retry.attempts),
        };
        // Panic is one trial at a time: a last-ditch turn stands alone.
        let best = self.pool.iter().map(|e| e.rank).min();
        let bound = if best == Some(Rank::LastDitch) { 1 } else { most };
        let start = turns.len();
        turns.reserve_exact(bound.min(self.pool.len()));
        while turns.len() - start < bound {
            let Some((at, reason)) = self.next(turns.get(start..).unwrap_or_default(), rng) else {
                return;
            };
            let chosen = self.pool.swap_remove(at);
            turns.push(Turn { endpoint: chosen.ticket.endpoint, stage: self.stage, reason });
        }
    }

    /// The next turn of this model: position in the pool, and why.
    fn next(&self, tried: &[Turn], rng: &mut Rng) -> Option<(usize, Reason)> {
        let best = self.pool.iter().map(|e| e.rank).min()?;
        if best == Rank::LastDitch && !tried.is_empty() {
            return None;
        }
        let reason = match best {
            Rank::Admitted => None,
            Rank::LocallyGood => Some(Reason::LocallyGood),
            Rank::LastDitch => Some(Reason::LastDitch),
        };
        let group: Vec<usize> = (0..self.pool.len())
            .filter(|at| self.pool.get(*at).is_some_and(|e| e.rank == best))
            .collect();
        let (at, how) = self.choose(group, tried, rng)?;
        let trial = best == Rank::Admitted && self.pool.get(at).is_some_and(|e| e.trial);
        Some((at, if trial { Reason::Trial } else { reason.unwrap_or(how) }))
    }

    fn choose(&self, group: Vec<usize>, tried: &[Turn], rng: &mut Rng) -> Option<(usize, Reason)> {
        let wishes = self.facts.preferences.as_deref();
        if let Some(at) = wishes.and_then(|wishes| self.first_ordered(&group, wishes)) {
            return Some((at, Reason::Ordered));
        }
        let group = self.preferred(group);
        if let Some(sort) = wishes.and_then(|wishes| wishes.sort) {
            return self.first_sorted(&group, sort).map(|at| (at, Reason::Sorted));
        }
        let group = self.other_providers(group, tried);
        let tickets: Vec<Ticket> =
            group.iter().filter_map(|at| self.pool.get(*at)).map(|e| e.ticket).collect();
        if let Some(key) = self.facts.affinity.filter(|_| tried.is_empty()) {
            let id_of = |endpoint: usize| {
                let id = self.snapshot.endpoints.get(endpoint).map(|s| s.endpoint.id);
                id.map_or(0, |id| crate::draw::affinity_key(id.as_str().as_bytes()))
            };
            let at = rendezvous(&tickets, key, id_of)?;
            return group.get(at).map(|at| (*at, Reason::Affinity));
        }
        let at = two_draws(&tickets, rng)?;
        group.get(at).map(|at| (*at, Reason::Drawn))
    }

    /// The first of the caller's `order` that is in the group.
    fn first_ordered(&self, group: &[usize], wishes: &Preferences) -> Option<usize> {
        let place = |at: &usize| {
            let provider = self.pool.get(*at)?.state.endpoint.provider.as_str();
            wishes.order.iter().position(|p| p == provider)
        };
        let ordered = group.iter().filter_map(|at| place(at).map(|place| (place, *at)));
        ordered.min().map(|(_, at)| at)
    }

    fn first_sorted(&self, group: &[usize], sort: Sort) -> Option<usize> {
        let facts = self.facts;
        let output = facts.max_output_tokens.unwrap_or(facts.input_tokens / 4);
        group.iter().copied().min_by_key(|at| {
            let Some(state) = self.pool.get(*at).map(|e| e.state) else { return (u64::MAX, *at) };
            let numbers = &state.numbers;
            let key = match sort {
                Sort::Price => state.endpoint.price.of(facts.input_tokens, output).0,
                Sort::Latency => numbers.ttft_p50_ms.map_or(u64::MAX, u64::from),
                Sort::Throughput => u64::MAX - numbers.tokens_per_second.map_or(0, u64::from),
            };
            (key, *at)
        })
    }

    /// Those that meet the caller's soft wishes, or all when none does.
    fn preferred(&self, group: Vec<usize>) -> Vec<usize> {
        let Some(wishes) = self.facts.preferences.as_deref() else { return group };
        if wishes.min_throughput.is_none() && wishes.max_latency_ms.is_none() {
            return group;
        }
        let meets = |at: &&usize| {
            let Some(numbers) = self.pool.get(**at).map(|e| &e.state.numbers) else { return false };
            let fast = wishes.min_throughput.is_none_or(|w| numbers.tokens_per_second >= Some(w));
            let soon = wishes
                .max_latency_ms
                .is_none_or(|w| numbers.ttft_p50_ms.is_some_and(|ttft| ttft <= w));
            fast && soon
        };
        let met: Vec<usize> = group.iter().filter(meets).copied().collect();
        if met.is_empty() { group } else { met }
    }

    /// A further try prefers providers that were not tried yet.
    fn other_providers(&self, group: Vec<usize>, tried: &[Turn]) -> Vec<usize> {
        if tried.is_empty() {
            return group;
        }
        let was_tried = |at: usize| {
            let provider = self.pool.get(at).map(|e| &e.state.endpoint.provider);
            tried.iter().any(|turn| {
                let state = self.snapshot.endpoints.get(turn.endpoint);
                state.map(|s| &s.endpoint.provider) == provider
            })
        };
        let others: Vec<usize> = group.iter().copied().filter(|at| !was_tried(*at)).collect();
        if others.is_empty() { group } else { others }
    }
}

#[cfg(test)]
mod tests;
