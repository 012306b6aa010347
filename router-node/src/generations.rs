//! The background of the ledger: writes one log line for each record, and keeps recent ones for those who ask
//! where a call went. Text never comes here; a record has none.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};
use trunkline_core::breaker::Admission;
use trunkline_core::snapshot::EndpointState;
use trunkline_runtime::log_sink::LineWriter;
use trunkline_wire::models::{
    DecisionCandidate, DecisionTurn, Generation, GenerationAttempt, GenerationDecision, Usd,
};

use crate::ledger::{Attempt, Counted, Decision, Entry, Record};

/// Records kept for questions: at a few KiB each some 30 MiB at the most.
pub const KEPT: usize = 10_000;
/// Candidates kept of one decision; the rest of a very large model's endpoints are left out of the record.
const KEPT_CANDIDATES: usize = 64;

/// Recent generations, by id.
#[derive(Default)]
pub struct Generations(Mutex<Recent>);

#[derive(Default)]
struct Recent {
    by_id: HashMap<String, Arc<Generation>>,
    order: VecDeque<String>,
}

impl Generations {
    /// The generation of that id, if it is among the last [`KEPT`] of this router.
    pub fn find(&self, id: &str) -> Option<Arc<Generation>> {
        self.recent().by_id.get(id).cloned()
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, generation: Generation) {
        let mut recent = self.recent();
        if recent.order.len() >= KEPT
            && let Some(oldest) = recent.order.pop_front()
        {
            recent.by_id.remove(&oldest);
        }
        recent.order.push_back(generation.id.clone());
        recent.by_id.insert(generation.id.clone(), Arc::new(generation));
    }
}

/// Empties the ledger's queue until every sender is gone.
pub async fn write(
    mut queue: mpsc::Receiver<Entry>,
    generations: Arc<Generations>,
    lines: Option<LineWriter>,
) {
    while let Some(entry) = queue.recv().await {
        match entry {
            Entry::Record(record) => {
                let generation = generation_of(&record);
                if let (Some(lines), Ok(line)) = (&lines, log_line(&generation)) {
                    lines.write_line(&line);
                }
                generations.keep(generation);
            }
            Entry::Barrier(reached) => answer(reached),
        }
    }
}

fn answer(reached: oneshot::Sender<()>) {
    // Whoever asked may have left.
    let _ = reached.send(());
}

/// One line of JSON. The decision is left out: it is large, and `GET /v1/generation` has it.
fn log_line(generation: &Generation) -> Result<Vec<u8>, serde_json::Error> {
    #[derive(serde::Serialize)]
    struct Line<'a> {
        timestamp_ms: u64,
        level: &'static str,
        message: &'static str,
        generation: &'a str,
        request_id: &'a str,
        key: Option<&'a str>,
        operation: &'a str,
        model: &'a str,
        endpoint: Option<&'a str>,
        outcome: &'a str,
        error_type: Option<&'a str>,
        revision: Option<u64>,
        attempts: Vec<(&'a str, &'a str, u64)>,
        tokens_in: u64,
        tokens_out: u64,
        cost_usd: Usd,
        first_content_ms: Option<u64>,
        took_ms: u64,
    }
    let attempts = generation.attempts.iter();
    let line = Line {
        timestamp_ms: generation.created_ms,
        level: "INFO",
        message: "call",
        generation: &generation.id,
        request_id: &generation.request_id,
        key: generation.key.as_deref(),
        operation: &generation.operation,
        model: &generation.requested_model,
        endpoint: generation.attempts.last().map(|a| a.endpoint.as_str()),
        outcome: &generation.outcome,
        error_type: generation.error_type.as_deref(),
        revision: generation.decision.as_ref().map(|d| d.revision),
        attempts: attempts
            .map(|a| (a.endpoint.as_str(), a.failure.as_deref().unwrap_or("ok"), a.duration_ms))
            .collect(),
        tokens_in: generation.tokens_prompt,
        tokens_out: generation.tokens_completion,
        cost_usd: generation.total_cost,
        first_content_ms: generation.latency_ms,
        took_ms: generation.generation_time_ms,
    };
    let mut bytes = serde_json::to_vec(&line)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// What is kept of a record: names instead of positions, and no snapshot.
pub fn generation_of(record: &Record) -> Generation {
    let states =
        record.decision.as_ref().map(|d| d.view.snapshot.endpoints.as_slice()).unwrap_or_default();
    let settled = record.settlement;
    let tokens = settled.map(|s| s.tokens).unwrap_or_default();
    let served =
        record.serving_endpoint().and_then(|at| states.get(at)).filter(|_| record.error.is_none());
    Generation {
        id: record.generation.to_string(),
        request_id: record.request_id.clone(),
        key: record.key.as_ref().map(|k| k.tenant.key.to_string()),
        operation: record.operation.name().to_owned(),
        requested_model: record.model.clone(),
        model: served.map(|s| s.endpoint.model.to_string()),
        provider_name: served.map(|s| s.endpoint.provider.to_string()),
        created_ms: record.arrived_unix_ms,
        transport: record.came_by.as_str().to_owned(),
        streamed: record.stream,
        outcome: record.ending.as_str().to_owned(),
        error_type: record.error.map(|e| e.row().name.to_owned()),
        user: record.user.clone(),
        tags: record.tags.clone(),
        tokens_prompt: tokens.input,
        tokens_completion: tokens.output,
        tokens_cached: tokens.cached,
        tokens_reasoning: tokens.reasoning,
        tokens_estimated: settled.is_some_and(|s| s.counted == Counted::Estimate),
        total_cost: Usd(settled.map_or(0, |s| s.cost.total().0)),
        latency_ms: record.first_content_ms,
        generation_time_ms: record.took_ms,
        attempts: record.attempts.iter().filter_map(|a| attempt_of(a, states)).collect(),
        decision: record.decision.as_ref().map(decision_of),
    }
}

fn attempt_of(attempt: &Attempt, states: &[EndpointState]) -> Option<GenerationAttempt> {
    let endpoint = &states.get(attempt.endpoint)?.endpoint;
    Some(GenerationAttempt {
        endpoint: endpoint.name(),
        endpoint_id: endpoint.id.to_string(),
        provider_name: endpoint.provider.to_string(),
        model: endpoint.model.to_string(),
        status: attempt.status,
        failure: attempt.failure.map(|kind| kind.as_str().to_owned()),
        began_ms: attempt.began_ms,
        duration_ms: attempt.took_ms,
        dropped_parameters: attempt.dropped.iter().map(|p| (*p).to_owned()).collect(),
    })
}

/// A decision with names instead of positions.
pub fn decision_of(decision: &Decision) -> GenerationDecision {
    let snapshot = &decision.view.snapshot;
    let candidates = decision.plan.candidates.iter().take(KEPT_CANDIDATES);
    GenerationDecision {
        revision: snapshot.revision,
        policy: snapshot.policy.version.clone(),
        seed: format!("{:016x}", decision.seed),
        candidates: candidates
            .filter_map(|candidate| {
                let state = snapshot.endpoints.get(candidate.endpoint)?;
                Some(DecisionCandidate {
                    endpoint: state.endpoint.name(),
                    endpoint_id: state.endpoint.id.to_string(),
                    excluded: candidate.excluded.map(|e| e.as_str().to_owned()),
                    verdict: state.verdict.as_str().to_owned(),
                    weight: state.weight.0,
                    in_flight: candidate.load.in_flight,
                    ghost_milli: candidate.load.ghost_milli,
                    breaker: breaker_name(candidate.load.admission).to_owned(),
                    throttle_permille: candidate.load.throttle_permille,
                })
            })
            .collect(),
        turns: decision
            .plan
            .turns
            .iter()
            .filter_map(|turn| {
                let endpoint = &snapshot.endpoints.get(turn.endpoint)?.endpoint;
                Some(DecisionTurn {
                    endpoint: endpoint.name(),
                    endpoint_id: endpoint.id.to_string(),
                    reason: turn.reason.as_str().to_owned(),
                })
            })
            .collect(),
    }
}

fn breaker_name(admission: Admission) -> &'static str {
    match admission {
        Admission::Admitted => "admitted",
        Admission::Trial => "trial",
        Admission::Cooling => "cooling",
        Admission::Ejected => "ejected",
    }
}
