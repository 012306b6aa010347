//! What the page shows of this moment. Endpoints are as this router's calls see them; the rest is as the store has
//! it.

use std::collections::BTreeMap;

use serde::Serialize;
use trunkline_core::assess::Row;
use trunkline_core::breaker::Admission;
use trunkline_core::snapshot::EndpointState;
use trunkline_spec::overrides::{Drain, Scope};
use trunkline_spec::router::RouterRecord;

use super::Source;
use super::canary::{self, Shown};
use super::costs::Costs;
use super::evidence::{self, Seen, Stored};
use crate::ingress::grpc::digest_hex;
use crate::ledger::unix_ms;
use crate::register;
use crate::view::{Lane, View};

/// Fraction bits of a weight.
const WEIGHT_ONE: f64 = 65_536.0;
/// Digits of a digest that are shown: enough to tell two apart.
const DIGEST_DIGITS: usize = 12;

/// Everything of this moment.
#[derive(Debug, Serialize)]
pub struct Status {
    at_unix_ms: u64,
    /// Which router this is.
    router: String,
    zone: String,
    version: &'static str,
    revision: u64,
    digest: String,
    policy: String,
    /// A policy that is tried on some callers.
    canary: Option<Shown>,
    /// How long the store has been silent.
    heard_ms_ago: u64,
    /// What is read from the store is here.
    store_answers: bool,
    /// So much looks down to probes alone that nothing is taken out on their word.
    disruption: bool,
    providers: Vec<Provider>,
    drains: Vec<DrainLine>,
    routers: Vec<RouterLine>,
    probers: Vec<ProberLine>,
    costs: Costs,
}

#[derive(Debug, Serialize)]
struct Provider {
    id: String,
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Serialize)]
struct Endpoint {
    id: String,
    model: String,
    region: String,
    verdict: &'static str,
    /// Why it is not taken out although the observers agree that it is down.
    kept_because: Option<&'static str>,
    drained: bool,
    weight: f64,
    operator_weight: u16,
    pinned: bool,
    /// Its part of the weights of its model's endpoints.
    share_permille: u64,
    success_permille: Option<u32>,
    ttft_p50_ms: Option<u32>,
    ttft_p99_ms: Option<u32>,
    tokens_per_second: Option<u32>,
    in_flight: u32,
    breaker: &'static str,
    evidence: Vec<Seen>,
}

#[derive(Debug, Serialize)]
struct DrainLine {
    target: String,
    reason: String,
    by: Option<String>,
    at_unix_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
struct RouterLine {
    id: String,
    zone: String,
    version: String,
    revision: u64,
    /// Revisions that made a difference and that it has not applied.
    lag: u64,
    digest: String,
    refused: u64,
    problem: Option<String>,
    leaving: bool,
    answers: bool,
}

#[derive(Debug, Serialize)]
struct ProberLine {
    id: String,
    zone: String,
    version: String,
    local_health: u8,
    self_suspect: bool,
}

/// A weight as people compare it, with two decimals.
pub fn weight(weight_q16: u32) -> f64 {
    (f64::from(weight_q16) / WEIGHT_ONE * 100.0).round() / 100.0
}

/// This moment.
pub async fn of(source: &Source) -> Status {
    let stored = evidence::read(source.store.as_ref()).await;
    let store_answers = stored.is_some();
    let mut stored = stored.unwrap_or_default();
    let (router, view) = (&source.router, source.router.view.load_full());
    let now_ms = router.clock.now_ms();
    Status {
        at_unix_ms: unix_ms(),
        router: source.identity.node.to_string(),
        zone: source.identity.zone.to_string(),
        version: env!("CARGO_PKG_VERSION"),
        revision: view.applied_revision(),
        digest: short(&digest_hex(&view.table.digest)),
        policy: view.policy_version.to_string(),
        canary: view.canary.as_ref().map(canary::of),
        heard_ms_ago: router.heard.age_ms(now_ms),
        store_answers,
        disruption: view.table.disruption,
        providers: providers(&view, &mut stored, now_ms),
        drains: drains(&view, &stored.drains),
        routers: routers(source, &view, stored.routers),
        probers: stored.probers.into_iter().map(|(id, prober)| line(id, prober)).collect(),
        costs: source.costs.read(),
    }
}

fn line(id: String, prober: evidence::Prober) -> ProberLine {
    let record = prober.record;
    ProberLine {
        id,
        zone: record.zone,
        version: record.version,
        local_health: record.local_health,
        self_suspect: record.self_suspect,
    }
}

fn providers(view: &View, stored: &mut Stored, now_ms: u64) -> Vec<Provider> {
    let mut providers: BTreeMap<&str, Vec<Endpoint>> = BTreeMap::new();
    for (state, lane) in view.snapshot.endpoints.iter().zip(view.lanes.iter()) {
        let seen = stored.seen.remove(&state.endpoint.id).unwrap_or_default();
        let shown = endpoint(view, state, lane, now_ms);
        let list = providers.entry(state.endpoint.provider.as_str()).or_default();
        list.push(Endpoint { evidence: seen, ..shown });
    }
    let named = |(id, endpoints): (&str, _)| Provider { id: id.to_owned(), endpoints };
    providers.into_iter().map(named).collect()
}

fn endpoint(view: &View, state: &EndpointState, lane: &Lane, now_ms: u64) -> Endpoint {
    let (endpoint, numbers) = (&state.endpoint, &state.numbers);
    let row = view.table.rows.get(&endpoint.id);
    Endpoint {
        id: endpoint.id.to_string(),
        model: endpoint.model.to_string(),
        region: endpoint.region.to_string(),
        verdict: state.verdict.as_str(),
        kept_because: row.and_then(|row: &Row| row.limited).map(|limit| limit.as_str()),
        drained: state.drained,
        weight: weight(state.weight.0),
        operator_weight: state.operator_weight,
        pinned: state.operator_weight != endpoint.weight,
        share_permille: share_permille(view, state),
        success_permille: numbers.success_permille,
        ttft_p50_ms: numbers.ttft_p50_ms,
        ttft_p99_ms: numbers.ttft_p99_ms,
        tokens_per_second: numbers.tokens_per_second,
        in_flight: lane.load.in_flight(),
        breaker: match lane.load.admission(now_ms) {
            Admission::Admitted => "admitted",
            Admission::Trial => "trial",
            Admission::Cooling => "cooling",
            Admission::Ejected => "ejected",
        },
        evidence: Vec::new(),
    }
}

/// What is drained or taken out has no part.
fn share_permille(view: &View, state: &EndpointState) -> u64 {
    let part = |state: &EndpointState| {
        let counts = !state.drained && state.operator_weight > 0 && state.verdict.usable();
        if counts { u64::from(state.weight.0) } else { 0 }
    };
    let range = view.snapshot.endpoints_of(&state.endpoint.model);
    let all: u64 = view.snapshot.endpoints.get(range).unwrap_or_default().iter().map(part).sum();
    (part(state) * 1000 + all / 2).checked_div(all).unwrap_or(0)
}

/// What calls obey, with the words that the store has for it.
fn drains(view: &View, words: &[Drain]) -> Vec<DrainLine> {
    let line = |scope: &Scope| {
        let said = words.iter().find(|drain| drain.scope == *scope);
        DrainLine {
            target: target(view, scope),
            reason: said.map(|drain| drain.reason.clone()).unwrap_or_default(),
            by: said.and_then(|drain| drain.by.clone()),
            at_unix_ms: said.and_then(|drain| drain.at_ms),
        }
    };
    view.drained.iter().map(line).collect()
}

/// A target as people write it: endpoints by their names, when the catalog still has them.
fn target(view: &View, scope: &Scope) -> String {
    match scope {
        Scope::Endpoint(id) => {
            let state = view.snapshot.endpoints.iter().find(|state| state.endpoint.id == *id);
            state.map_or_else(|| scope.to_string(), |s| format!("endpoint/{}", s.endpoint.name()))
        }
        Scope::Provider(_) | Scope::Model(_) => scope.to_string(),
    }
}

/// The registered routers, this one as it is now.
fn routers(
    source: &Source,
    view: &View,
    mut registered: BTreeMap<String, RouterRecord>,
) -> Vec<RouterLine> {
    let own = &*source.identity.node;
    let reading = register::reading(&source.router, &source.identity, view);
    registered.insert(own.to_owned(), reading);
    let line = |(id, record): (String, RouterRecord)| RouterLine {
        answers: id == own,
        id,
        lag: view.changed.saturating_sub(record.applied_revision),
        zone: record.zone,
        version: record.version,
        revision: record.applied_revision,
        digest: short(&record.table_digest),
        refused: record.nack_count,
        problem: record.nacks.first().map(|nack| format!("{}: {}", nack.key, nack.reason)),
        leaving: record.leaving,
    };
    registered.into_iter().map(line).collect()
}

fn short(digest: &str) -> String {
    digest.chars().take(DIGEST_DIGITS).collect()
}
