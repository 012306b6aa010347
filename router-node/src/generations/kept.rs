//! What is kept of a record, and how it reads when somebody asks. Keeping is part of every call and asking is
//! rare, so the record stays as it is; only the view is let go, and what the call saw of it taken over.

use std::borrow::Cow;
use std::sync::Arc;

use trunkline_core::breaker::Admission;
use trunkline_core::plan::{Candidate, Turn};
use trunkline_core::snapshot::{Verdict, Weight};
use trunkline_wire::models::{
    DecisionCandidate, DecisionTurn, Generation, GenerationAttempt, GenerationDecision, Usd,
};

use crate::ledger::{Attempt, Counted, Decision, Record};
use crate::view::{Lane, View};

/// Candidates kept of one decision, beside those that have a turn: the rest of a very large model's endpoints
/// are left out.
const KEPT_CANDIDATES: usize = 64;

/// A record without its view.
pub(super) struct Kept {
    record: Box<Record>,
    story: Option<Story>,
}

impl Kept {
    /// Lets go of the record's view.
    pub(super) fn new(mut record: Box<Record>) -> Self {
        let story = record.decision.take().map(Story::of);
        Self { record, story }
    }

    /// It is the record of this generation.
    pub(super) fn is(&self, generation: uuid::Uuid) -> bool {
        self.record.generation == generation
    }

    /// The record as a caller reads it.
    pub(super) fn generation(&self) -> Generation {
        let (record, story) = (&*self.record, self.story.as_ref());
        let settled = record.settlement;
        let tokens = settled.map(|s| s.tokens).unwrap_or_default();
        let served = record.serving_endpoint().filter(|_| record.error.is_none());
        let served = served.and_then(|at| story?.seen(at)).map(|seen| seen.lane.endpoint());
        Generation {
            id: record.generation.to_string(),
            request_id: record.request_id.clone(),
            key: record.key.as_ref().map(|k| k.tenant.key.shared()),
            operation: Cow::Borrowed(record.operation.name()),
            requested_model: record.model.clone(),
            model: served.map(|endpoint| endpoint.model.shared()),
            provider_name: served.map(|endpoint| endpoint.provider.shared()),
            created_ms: record.arrived_unix_ms,
            transport: Cow::Borrowed(record.came_by.as_str()),
            streamed: record.stream,
            outcome: Cow::Borrowed(record.ending.as_str()),
            error_type: record.error.map(|e| Cow::Borrowed(e.row().name)),
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
            attempts: record.attempts.iter().filter_map(|a| attempt(a, story?)).collect(),
            decision: story.map(Story::decision),
        }
    }
}

/// A decision with names instead of positions.
pub fn decision_of(decision: Decision) -> GenerationDecision {
    Story::of(decision).decision()
}

/// What a decision saw.
struct Story {
    revision: u64,
    policy: Arc<str>,
    seed: u64,
    seen: Vec<Seen>,
    turns: Vec<Turn>,
}

/// A candidate as it stood.
struct Seen {
    candidate: Candidate,
    verdict: Verdict,
    weight: Weight,
    lane: Arc<Lane>,
}

impl Story {
    fn of(decision: Decision) -> Self {
        let Decision { view, plan, seed } = decision;
        let plan = Arc::unwrap_or_clone(plan);
        let candidates = plan.candidates.into_iter().enumerate();
        let kept = candidates.filter(|(at, candidate)| {
            let has_turn = || plan.turns.iter().any(|turn| turn.endpoint == candidate.endpoint);
            *at < KEPT_CANDIDATES || has_turn()
        });
        Self {
            revision: view.snapshot.revision,
            policy: Arc::clone(&view.policy_version),
            seed,
            seen: kept.filter_map(|(_, candidate)| seen(candidate, &view)).collect(),
            turns: plan.turns,
        }
    }

    fn seen(&self, endpoint: usize) -> Option<&Seen> {
        self.seen.iter().find(|seen| seen.candidate.endpoint == endpoint)
    }

    fn decision(&self) -> GenerationDecision {
        GenerationDecision {
            revision: self.revision,
            policy: Arc::clone(&self.policy),
            seed: format!("{:016x}", self.seed),
            candidates: self.seen.iter().map(candidate).collect(),
            turns: self.turns.iter().filter_map(|one| turn(one, self)).collect(),
        }
    }
}

fn seen(candidate: Candidate, view: &View) -> Option<Seen> {
    let state = view.snapshot.endpoints.get(candidate.endpoint)?;
    let lane = Arc::clone(view.lanes.get(candidate.endpoint)?);
    Some(Seen { candidate, verdict: state.verdict, weight: state.weight, lane })
}

fn attempt(attempt: &Attempt, story: &Story) -> Option<GenerationAttempt> {
    let lane = &story.seen(attempt.endpoint)?.lane;
    Some(GenerationAttempt {
        endpoint: Arc::clone(&lane.name),
        endpoint_id: Arc::clone(&lane.id),
        provider_name: lane.endpoint().provider.shared(),
        model: lane.endpoint().model.shared(),
        status: attempt.status,
        failure: attempt.failure.map(|kind| Cow::Borrowed(kind.as_str())),
        began_ms: attempt.began_ms,
        duration_ms: attempt.took_ms,
        dropped_parameters: attempt.dropped.iter().map(|p| Cow::Borrowed(*p)).collect(),
    })
}

fn candidate(seen: &Seen) -> DecisionCandidate {
    let Candidate { load, excluded, .. } = seen.candidate;
    DecisionCandidate {
        endpoint: Arc::clone(&seen.lane.name),
        endpoint_id: Arc::clone(&seen.lane.id),
        excluded: excluded.map(|e| Cow::Borrowed(e.as_str())),
        verdict: Cow::Borrowed(seen.verdict.as_str()),
        weight: seen.weight.0,
        in_flight: load.in_flight,
        ghost_milli: load.ghost_milli,
        breaker: Cow::Borrowed(breaker_name(load.admission)),
        throttle_permille: load.throttle_permille,
    }
}

fn turn(turn: &Turn, story: &Story) -> Option<DecisionTurn> {
    let lane = &story.seen(turn.endpoint)?.lane;
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
