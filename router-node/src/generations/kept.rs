//! What is kept of a record, and how it reads when somebody asks. Keeping is part of every call and asking is
//! rare, so the record stays as it is; only its view is let go for the scene that its decision saw.

use std::borrow::Cow;
use std::sync::Arc;

use trunkline_core::facts::Facts;
use trunkline_core::id::{EndpointId, KeyId, ModelId};
use trunkline_core::impact::Past;
use trunkline_core::plan::{Candidate, LocalLoad, Plan, Turn};
use trunkline_core::policy::Tenant;
use trunkline_core::replay;
use trunkline_core::snapshot::Snapshot;
use trunkline_wire::models::{
    DecisionCandidate, DecisionTurn, Generation, GenerationAttempt, GenerationDecision, Usd,
};
use uuid::Uuid;

use super::scene::{Scene, Scenes};
use crate::ledger::{Attempt, Counted, Decision, Record, Told};

/// A record without its view.
#[derive(Clone)]
pub struct Kept {
    body: Body,
    pub(super) story: Option<Story>,
    size: usize,
}

/// Where a record comes from.
#[derive(Clone)]
enum Body {
    /// From a call of this process. In the place of what was asked for stands nothing where the decision tells it.
    Live(Record),
    /// From the disk: told already, without its decision.
    Read(Read),
}

/// A record that an earlier process made.
#[derive(Clone)]
pub(super) struct Read {
    /// Its id.
    pub(super) id: Uuid,
    /// All but its decision.
    pub(super) generation: Generation,
    /// Who called; `None` when nobody was authenticated.
    pub(super) tenant: Option<Tenant>,
}

/// A recorded decision and what became of drawing it again.
pub struct Explained {
    /// The record, with its decision as it was taken.
    pub generation: Generation,
    /// The decision taken again; `None` for a call that was rejected before one.
    pub replayed: Option<Replayed>,
}

/// A decision taken again.
pub struct Replayed {
    /// What came out.
    pub decision: GenerationDecision,
    /// It is what was recorded: the same candidates, exclusions and turns, in the same order.
    pub identical: bool,
    /// What was known of the call.
    pub facts: Facts,
    /// The policy and the endpoints that decided.
    pub snapshot: Snapshot,
    /// The digest of the table that the weights are from.
    pub digest: [u8; 32],
}

impl Kept {
    /// Lets go of the record's view, and of what only its spans tell.
    ///
    /// What is kept is in few pieces of memory: each is touched again when thousands of others came after it, at
    /// the price of a call's whole plan.
    pub(super) fn new(mut record: Record, scenes: &mut Scenes) -> Self {
        (record.trace, record.told) = (None, Told::default());
        let story = record.decision.take().map(|decision| Story::of(decision, scenes));
        if let Some(story) = &story {
            for attempt in &mut record.attempts {
                let place = story.scene.excerpt.place(attempt.endpoint);
                attempt.endpoint = place.unwrap_or(usize::MAX);
            }
            if story.asked() == record.model {
                record.model = String::new();
            }
        }
        let texts = record.model.len() + record.request_id.as_ref().map_or(0, |id| id.len());
        let attempts = record.attempts.len() * size_of::<Attempt>();
        let size = size_of::<Self>() + texts + attempts;
        let size = size + story.as_ref().map_or(0, Story::size);
        Self { body: Body::Live(record), story, size }
    }

    /// A record from the disk.
    pub(super) fn read(read: Read, story: Option<Story>) -> Self {
        let size = size_of::<Self>();
        let size = size + story.as_ref().map_or(0, Story::size);
        Self { body: Body::Read(read), story, size }
    }

    /// What it takes of memory, about, its scene left out.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// It is the record of this generation.
    pub(super) fn is(&self, generation: Uuid) -> bool {
        match &self.body {
            Body::Live(record) => record.generation == generation,
            Body::Read(read) => read.id == generation,
        }
    }

    /// Who called; `None` until authenticated.
    pub(super) fn tenant(&self) -> Option<&Tenant> {
        match &self.body {
            Body::Live(record) => record.key.as_ref().map(|holder| &holder.tenant),
            Body::Read(read) => read.tenant.as_ref(),
        }
    }

    /// The record as a caller reads it.
    pub fn generation(&self) -> Generation {
        let decision = self.story.as_ref().map(|story| story.decision(&story.plan));
        Generation { decision, ..self.undecided() }
    }

    /// The same without its decision.
    pub(super) fn undecided(&self) -> Generation {
        match &self.body {
            Body::Live(record) => told(record, self.story.as_ref()),
            Body::Read(read) => read.generation.clone(),
        }
    }

    /// The record, and its decision drawn again.
    pub fn explained(&self) -> Explained {
        let replayed = self.story.as_ref().map(|story| story.replayed(self.tenant()));
        Explained { generation: self.generation(), replayed }
    }

    /// The call as it can be decided again under another snapshot; `None` for one that was rejected before
    /// any decision.
    pub fn past(&self) -> Option<Past<'_>> {
        let (story, tenant) = (self.story.as_ref()?, self.tenant()?);
        let (asked, tokens) = match &self.body {
            Body::Live(record) => {
                let tokens = record.settlement.map(|s| (s.tokens.input, s.tokens.output));
                (asked(record, Some(story)), tokens)
            }
            Body::Read(read) => {
                let told = &read.generation;
                let used = (told.tokens_prompt, told.tokens_completion);
                (told.requested_model.as_str(), (used != (0, 0)).then_some(used))
            }
        };
        let (loads, facts, seed) = (story.loads(), &story.facts, story.seed);
        Some(Past { asked, facts, tenant, loads, seed, tokens })
    }
}

/// The name that was asked for.
fn asked<'a>(record: &'a Record, story: Option<&'a Story>) -> &'a str {
    match story {
        Some(story) if record.model.is_empty() => story.asked(),
        _ => &record.model,
    }
}

fn told(record: &Record, story: Option<&Story>) -> Generation {
    let settled = record.settlement;
    let tokens = settled.map(|s| s.tokens).unwrap_or_default();
    let served = record.serving_endpoint().filter(|_| record.error.is_none());
    let served = served.and_then(|at| story?.scene.endpoint(at)).map(|(state, ..)| &state.endpoint);
    Generation {
        id: record.generation.to_string(),
        request_id: record.known_as(),
        key: record.key.as_ref().map(|k| k.tenant.key.shared()),
        operation: Cow::Borrowed(record.operation.name()),
        requested_model: asked(record, story).to_owned(),
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
        decision: None,
    }
}

/// A decision with names instead of positions.
pub fn decision_of(decision: Decision) -> GenerationDecision {
    let story = Story::of(decision, &mut Scenes::default());
    story.decision(&story.plan)
}

/// A decision, with all that it depends on besides who called. Positions are those of the scene.
#[derive(Clone)]
pub(super) struct Story {
    pub(super) revision: u64,
    pub(super) policy: Arc<str>,
    pub(super) digest: [u8; 32],
    pub(super) scene: Arc<Scene>,
    pub(super) facts: Facts,
    pub(super) seed: u64,
    pub(super) plan: Plan,
}

impl Story {
    fn of(decision: Decision, scenes: &mut Scenes) -> Self {
        let Decision { view, plan, seed, facts } = decision;
        let scene = scenes.of(&view, &facts.models);
        Self {
            revision: view.snapshot.revision,
            policy: Arc::clone(&view.policy_version),
            digest: view.table.digest,
            plan: scene.excerpt.placed(Arc::unwrap_or_clone(plan)),
            scene,
            facts,
            seed,
        }
    }

    /// The name of the first model, which is what most calls ask for.
    fn asked(&self) -> &str {
        self.facts.models.first().map_or("", ModelId::as_str)
    }

    fn size(&self) -> usize {
        let candidates = self.plan.candidates.capacity() * size_of::<Candidate>();
        let turns = self.plan.turns.capacity() * size_of::<Turn>();
        let parameters = self.facts.parameters.iter().map(|p| p.len() + size_of::<String>());
        candidates + turns + parameters.sum::<usize>()
    }

    fn replayed(&self, tenant: Option<&Tenant>) -> Replayed {
        // A decision is never without a tenant; one that lost it would show as another plan.
        let nobody = Tenant::unrestricted(KeyId::new(""));
        let snapshot = &self.scene.excerpt.snapshot;
        let tenant = tenant.unwrap_or(&nobody);
        let again = replay::replay(snapshot, tenant, &self.facts, &self.plan, self.seed);
        Replayed {
            decision: self.decision(&again),
            identical: again == self.plan,
            facts: self.facts.clone(),
            snapshot: snapshot.clone(),
            digest: self.digest,
        }
    }

    /// What was known of each candidate, by id.
    fn loads(&self) -> Vec<(EndpointId, LocalLoad)> {
        let endpoints = &self.scene.excerpt.snapshot.endpoints;
        let known = self.plan.candidates.iter();
        let known = known.filter_map(|c| Some((endpoints.get(c.endpoint)?.endpoint.id, c.load)));
        let mut known: Vec<_> = known.collect();
        known.sort_by_key(|(id, _)| *id);
        known
    }

    fn decision(&self, plan: &Plan) -> GenerationDecision {
        GenerationDecision {
            revision: self.revision,
            policy: Arc::clone(&self.policy),
            seed: format!("{:016x}", self.seed),
            candidates: plan.candidates.iter().filter_map(|c| candidate(c, &self.scene)).collect(),
            turns: plan.turns.iter().filter_map(|one| turn(one, &self.scene)).collect(),
        }
    }
}

fn attempt(attempt: &Attempt, story: &Story) -> Option<GenerationAttempt> {
    let (state, name, id) = story.scene.endpoint(attempt.endpoint)?;
    Some(GenerationAttempt {
        endpoint: Arc::clone(name),
        endpoint_id: Arc::clone(id),
        provider_name: state.endpoint.provider.shared(),
        model: state.endpoint.model.shared(),
        status: attempt.status,
        failure: attempt.failure.map(|kind| Cow::Borrowed(kind.as_str())),
        began_ms: attempt.began_ms,
        duration_ms: attempt.took_ms,
        dropped_parameters: attempt.dropped.iter().map(|p| Cow::Borrowed(*p)).collect(),
    })
}

fn candidate(candidate: &Candidate, scene: &Scene) -> Option<DecisionCandidate> {
    let (state, name, id) = scene.endpoint(candidate.endpoint)?;
    let load = candidate.load;
    Some(DecisionCandidate {
        endpoint: Arc::clone(name),
        endpoint_id: Arc::clone(id),
        excluded: candidate.excluded.map(|e| Cow::Borrowed(e.as_str())),
        verdict: Cow::Borrowed(state.verdict.as_str()),
        weight: state.weight.0,
        in_flight: load.in_flight,
        ghost_milli: load.ghost_milli,
        breaker: Cow::Borrowed(load.admission.as_str()),
        throttle_permille: load.throttle_permille,
    })
}

fn turn(turn: &Turn, scene: &Scene) -> Option<DecisionTurn> {
    let (_, name, id) = scene.endpoint(turn.endpoint)?;
    Some(DecisionTurn {
        endpoint: Arc::clone(name),
        endpoint_id: Arc::clone(id),
        reason: Cow::Borrowed(turn.reason.as_str()),
    })
}
