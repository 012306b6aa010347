//! Records and scenes as lines of JSON: what a decision can be drawn again from, and what its caller may read.
//! A caller's key is here by its public part, never by its secret or hash, and no text of a call comes here.

mod facts;
mod scene;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use trunkline_core::breaker::Admission;
use trunkline_core::filter::Exclusion;
use trunkline_core::id::{KeyId, ModelId, ProviderId};
use trunkline_core::plan::{Candidate, LocalLoad, Plan, Reason, Turn};
use trunkline_core::policy::Tenant;
use trunkline_wire::models::Generation;
use uuid::Uuid;

use super::kept::{Kept, Read, Story};
use super::scene::Scene;
use crate::ingress::grpc::digest_hex;
use facts::WrittenFacts;
use scene::{WrittenData, WrittenScene};

/// How the line of a record begins.
pub(super) const RECORD: &[u8] = b"{\"record\":";

/// One line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// What records of this segment refer to by its number.
    Scene(Box<WrittenScene>),
    /// A record.
    Record(Box<WrittenRecord>),
}

/// Appends the line of a scene.
pub(super) fn scene(number: u32, scene: &Scene, to: &mut Vec<u8>) {
    append(&Line::Scene(Box::new(WrittenScene::of(number, &scene.excerpt.snapshot))), to);
}

/// Appends the line of a record whose scene has this number in the segment.
pub(super) fn record(kept: &Kept, scene: Option<u32>, to: &mut Vec<u8>) {
    append(&Line::Record(Box::new(WrittenRecord::of(kept, scene))), to);
}

fn append(line: &Line, to: &mut Vec<u8>) {
    let start = to.len();
    match serde_json::to_writer(&mut *to, line) {
        Ok(()) => to.push(b'\n'),
        // Nothing in these types can fail to be written; half a line must not stay if that changes.
        Err(_) => to.truncate(start),
    }
}

/// Reads a line; `None` for one that is not understood.
pub(super) fn read(line: &[u8]) -> Option<Line> {
    serde_json::from_slice(line).ok()
}

/// A record.
#[derive(Serialize, Deserialize)]
pub(super) struct WrittenRecord {
    /// All that its caller may read, but the decision.
    generation: Generation,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<WrittenKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decision: Option<WrittenDecision>,
}

/// What the caller's key allowed.
#[derive(Serialize, Deserialize)]
struct WrittenKey {
    id: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    models: Option<Vec<Arc<str>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    providers: Option<Vec<Arc<str>>>,
    #[serde(default, skip_serializing_if = "WrittenData::says_nothing")]
    data: WrittenData,
}

/// A decision; positions are those of its scene.
#[derive(Serialize, Deserialize)]
struct WrittenDecision {
    scene: u32,
    revision: u64,
    policy: Arc<str>,
    digest: String,
    seed: String,
    facts: WrittenFacts,
    candidates: Vec<WrittenCandidate>,
    turns: Vec<WrittenTurn>,
}

#[derive(Serialize, Deserialize)]
struct WrittenCandidate {
    endpoint: usize,
    #[serde(default, skip_serializing_if = "is_default")]
    stage: usize,
    #[serde(default, skip_serializing_if = "is_default")]
    in_flight: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    ghost_milli: u32,
    breaker: Cow<'static, str>,
    #[serde(default, skip_serializing_if = "is_default")]
    recently_good: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    throttle_permille: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    excluded: Option<Cow<'static, str>>,
}

#[derive(Serialize, Deserialize)]
struct WrittenTurn {
    endpoint: usize,
    #[serde(default, skip_serializing_if = "is_default")]
    stage: usize,
    reason: Cow<'static, str>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl WrittenRecord {
    fn of(kept: &Kept, scene: Option<u32>) -> Self {
        let decision = kept.story.as_ref().zip(scene);
        Self {
            generation: kept.undecided(),
            key: kept.tenant().map(WrittenKey::of),
            decision: decision.map(|(story, scene)| WrittenDecision::of(story, scene)),
        }
    }

    /// The record; `None` when it does not fit its segment.
    pub(super) fn kept(self, scenes: &BTreeMap<u32, Arc<Scene>>) -> Option<Kept> {
        let story = match self.decision {
            Some(decision) => Some(decision.story(scenes)?),
            None => None,
        };
        let id = Uuid::parse_str(&self.generation.id).ok()?;
        let tenant = self.key.map(WrittenKey::tenant);
        Some(Kept::read(Read { id, generation: self.generation, tenant }, story))
    }
}

impl WrittenKey {
    fn of(tenant: &Tenant) -> Self {
        let models = tenant.models.as_ref();
        let providers = tenant.providers.as_ref();
        Self {
            id: tenant.key.shared(),
            models: models.map(|models| models.iter().map(ModelId::shared).collect()),
            providers: providers.map(|some| some.iter().map(ProviderId::shared).collect()),
            data: WrittenData::of(&tenant.data),
        }
    }

    fn tenant(self) -> Tenant {
        let models = self.models.map(|models| models.iter().map(|m| ModelId::new(m)).collect());
        let providers =
            self.providers.map(|some| some.iter().map(|p| ProviderId::new(p)).collect());
        let data = self.data.rules();
        Tenant { models, providers, data, ..Tenant::unrestricted(KeyId::new(&self.id)) }
    }
}

impl WrittenDecision {
    fn of(story: &Story, scene: u32) -> Self {
        let candidate = |candidate: &Candidate| WrittenCandidate {
            endpoint: candidate.endpoint,
            stage: candidate.stage,
            in_flight: candidate.load.in_flight,
            ghost_milli: candidate.load.ghost_milli,
            breaker: Cow::Borrowed(candidate.load.admission.as_str()),
            recently_good: candidate.load.recently_good,
            throttle_permille: candidate.load.throttle_permille,
            excluded: candidate.excluded.map(|why| Cow::Borrowed(why.as_str())),
        };
        let turn = |turn: &Turn| WrittenTurn {
            endpoint: turn.endpoint,
            stage: turn.stage,
            reason: Cow::Borrowed(turn.reason.as_str()),
        };
        Self {
            scene,
            revision: story.revision,
            policy: Arc::clone(&story.policy),
            digest: digest_hex(&story.digest),
            seed: format!("{:016x}", story.seed),
            facts: WrittenFacts::of(&story.facts),
            candidates: story.plan.candidates.iter().map(candidate).collect(),
            turns: story.plan.turns.iter().map(turn).collect(),
        }
    }

    fn story(self, scenes: &BTreeMap<u32, Arc<Scene>>) -> Option<Story> {
        let candidates: Option<Vec<Candidate>> =
            self.candidates.into_iter().map(WrittenCandidate::candidate).collect();
        let turns: Option<Vec<Turn>> = self.turns.into_iter().map(WrittenTurn::turn).collect();
        Some(Story {
            revision: self.revision,
            policy: self.policy,
            digest: digest(&self.digest)?,
            scene: Arc::clone(scenes.get(&self.scene)?),
            facts: self.facts.facts()?,
            seed: u64::from_str_radix(&self.seed, 16).ok()?,
            plan: Plan { candidates: candidates?, turns: turns? },
        })
    }
}

impl WrittenCandidate {
    fn candidate(self) -> Option<Candidate> {
        let load = LocalLoad {
            in_flight: self.in_flight,
            ghost_milli: self.ghost_milli,
            admission: named(&Admission::ALL, &self.breaker, |word| word.as_str())?,
            recently_good: self.recently_good,
            throttle_permille: self.throttle_permille,
        };
        let excluded = match &self.excluded {
            Some(name) => Some(named(&Exclusion::ALL, name, |why| why.as_str())?),
            None => None,
        };
        Some(Candidate { endpoint: self.endpoint, stage: self.stage, load, excluded })
    }
}

impl WrittenTurn {
    fn turn(self) -> Option<Turn> {
        let reason = named(&Reason::ALL, &self.reason, |reason| reason.as_str())?;
        Some(Turn { endpoint: self.endpoint, stage: self.stage, reason })
    }
}

/// The one of this name.
fn named<T: Copy>(all: &[T], name: &str, name_of: fn(T) -> &'static str) -> Option<T> {
    all.iter().copied().find(|one| name_of(*one) == name)
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(digest)
}
