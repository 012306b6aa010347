//! The background of the ledger: writes one log line for each record, and keeps recent ones for those who ask
//! where a call went. Text never comes here; a record has none.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};
use trunkline_core::breaker::Admission;
use trunkline_core::plan::{Candidate, Turn};
use trunkline_runtime::log_sink::LineWriter;
use trunkline_wire::models::{
    DecisionCandidate, DecisionTurn, Generation, GenerationAttempt, GenerationDecision, Usd,
};

use uuid::Uuid;

use crate::ledger::{Attempt, Counted, Decision, Entry, Record};
use crate::view::View;

/// Records kept for questions: at a few KiB each some 30 MiB at the most.
pub const KEPT: usize = 10_000;
/// Candidates kept of one decision; the rest of a very large model's endpoints are left out of the record.
const KEPT_CANDIDATES: usize = 64;

/// Recent generations, the oldest first.
#[derive(Default)]
pub struct Generations(Mutex<VecDeque<(Uuid, Generation)>>);

impl Generations {
    /// The generation of that id, if it is among the last [`KEPT`] of this router. It looks from the newest
    /// on: whoever asks asks soon, and rarely, while keeping one is part of every call.
    pub fn find(&self, id: &str) -> Option<Generation> {
        let id = Uuid::parse_str(id).ok()?;
        let recent = self.recent();
        recent.iter().rev().find(|(kept, _)| *kept == id).map(|(_, generation)| generation.clone())
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, VecDeque<(Uuid, Generation)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, id: Uuid, generation: Generation) {
        let mut recent = self.recent();
        if recent.len() >= KEPT {
            recent.pop_front();
        }
        recent.push_back((id, generation));
    }
}

/// Empties the ledger's queue until every sender is gone.
pub async fn write(
    mut queue: mpsc::Receiver<Entry>,
    generations: Arc<Generations>,
    lines: Option<LineWriter>,
) {
    let mut line = Vec::new();
    while let Some(entry) = queue.recv().await {
        match entry {
            Entry::Record(record) => {
                let id = record.generation;
                let generation = generation_of(*record);
                if let Some(lines) = &lines {
                    line.clear();
                    if write_log_line(&generation, &mut line).is_ok() {
                        lines.write_line(&line);
                    }
                }
                generations.keep(id, generation);
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
fn write_log_line(generation: &Generation, to: &mut Vec<u8>) -> Result<(), serde_json::Error> {
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
        endpoint: generation.attempts.last().map(|a| &*a.endpoint),
        outcome: &generation.outcome,
        error_type: generation.error_type.as_deref(),
        revision: generation.decision.as_ref().map(|d| d.revision),
        attempts: attempts
            .map(|a| (&*a.endpoint, a.failure.as_deref().unwrap_or("ok"), a.duration_ms))
            .collect(),
        tokens_in: generation.tokens_prompt,
        tokens_out: generation.tokens_completion,
        cost_usd: generation.total_cost,
        first_content_ms: generation.latency_ms,
        took_ms: generation.generation_time_ms,
    };
    serde_json::to_writer(to, &line)
}

/// What is kept of a record: names instead of positions, shared instead of copied, and no snapshot.
fn generation_of(record: Record) -> Generation {
    let view = record.decision.as_ref().map(|decision| decision.view.as_ref());
    let settled = record.settlement;
    let tokens = settled.map(|s| s.tokens).unwrap_or_default();
    let served = record.serving_endpoint().filter(|_| record.error.is_none());
    let served = served.and_then(|at| view?.snapshot.endpoints.get(at)).map(|s| &s.endpoint);
    Generation {
        id: record.generation.to_string(),
        request_id: record.request_id,
        key: record.key.as_ref().map(|k| k.tenant.key.shared()),
        operation: Cow::Borrowed(record.operation.name()),
        requested_model: record.model,
        model: served.map(|endpoint| endpoint.model.shared()),
        provider_name: served.map(|endpoint| endpoint.provider.shared()),
        created_ms: record.arrived_unix_ms,
        transport: Cow::Borrowed(record.came_by.as_str()),
        streamed: record.stream,
        outcome: Cow::Borrowed(record.ending.as_str()),
        error_type: record.error.map(|e| Cow::Borrowed(e.row().name)),
        user: record.user,
        tags: record.tags,
        tokens_prompt: tokens.input,
        tokens_completion: tokens.output,
        tokens_cached: tokens.cached,
        tokens_reasoning: tokens.reasoning,
        tokens_estimated: settled.is_some_and(|s| s.counted == Counted::Estimate),
        total_cost: Usd(settled.map_or(0, |s| s.cost.total().0)),
        latency_ms: record.first_content_ms,
        generation_time_ms: record.took_ms,
        attempts: record.attempts.iter().filter_map(|a| attempt_of(a, view?)).collect(),
        decision: record.decision.as_ref().map(decision_of),
    }
}

fn attempt_of(attempt: &Attempt, view: &View) -> Option<GenerationAttempt> {
    let endpoint = &view.snapshot.endpoints.get(attempt.endpoint)?.endpoint;
    let lane = view.lanes.get(attempt.endpoint)?;
    Some(GenerationAttempt {
        endpoint: Arc::clone(&lane.name),
        endpoint_id: Arc::clone(&lane.id),
        provider_name: endpoint.provider.shared(),
        model: endpoint.model.shared(),
        status: attempt.status,
        failure: attempt.failure.map(|kind| Cow::Borrowed(kind.as_str())),
        began_ms: attempt.began_ms,
        duration_ms: attempt.took_ms,
        dropped_parameters: attempt.dropped.iter().map(|p| Cow::Borrowed(*p)).collect(),
    })
}

/// A decision with names instead of positions.
pub fn decision_of(decision: &Decision) -> GenerationDecision {
    let view = &decision.view;
    let candidates = decision.plan.candidates.iter().take(KEPT_CANDIDATES);
    let turns = decision.plan.turns.iter();
    GenerationDecision {
        revision: view.snapshot.revision,
        policy: Arc::clone(&view.policy_version),
        seed: format!("{:016x}", decision.seed),
        candidates: candidates.filter_map(|candidate| candidate_of(candidate, view)).collect(),
        turns: turns.filter_map(|turn| turn_of(turn, view)).collect(),
    }
}

fn candidate_of(candidate: &Candidate, view: &View) -> Option<DecisionCandidate> {
    let state = view.snapshot.endpoints.get(candidate.endpoint)?;
    let lane = view.lanes.get(candidate.endpoint)?;
    Some(DecisionCandidate {
        endpoint: Arc::clone(&lane.name),
        endpoint_id: Arc::clone(&lane.id),
        excluded: candidate.excluded.map(|e| Cow::Borrowed(e.as_str())),
        verdict: Cow::Borrowed(state.verdict.as_str()),
        weight: state.weight.0,
        in_flight: candidate.load.in_flight,
        ghost_milli: candidate.load.ghost_milli,
        breaker: Cow::Borrowed(breaker_name(candidate.load.admission)),
        throttle_permille: candidate.load.throttle_permille,
    })
}

fn turn_of(turn: &Turn, view: &View) -> Option<DecisionTurn> {
    let lane = view.lanes.get(turn.endpoint)?;
    Some(DecisionTurn {
        endpoint: Arc::clone(&lane.name),
        endpoint_id: Arc::clone(&lane.id),
        reason: Cow::Borrowed(turn.reason.as_str()),
    })
}

fn breaker_name(admission: Admission) -> &'static str {
    match admission {
        Admission::Admitted => "admitted",
        Admission::Trial => "trial",
        Admission::Cooling => "cooling",
        Admission::Ejected => "ejected",
    }
}
