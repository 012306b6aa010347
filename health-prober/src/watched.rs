//! One endpoint under watch: its vote, its measurements, when it is probed next and what is published of it.

use std::sync::Arc;

use trunkline_core::catalog::{Capabilities, Endpoint, ProbeMode};
use trunkline_core::draw::Rng;
use trunkline_core::failure::Failure;
use trunkline_core::id::{EndpointId, RouterId};
use trunkline_core::money::PicoUsd;
use trunkline_core::observation::{Capacity, Observation};
use trunkline_core::voter::{Actions, Event, Generation, Level, ROOM_MAX_AGE_MS, Voter};
use trunkline_core::window::{WINDOW_S, Window};
use trunkline_upstream::{Room, Target};
use trunkline_wire::operation::Operation;

use crate::damping::{DampedLatency, LearnedCap};
use crate::evidence::Seen;
use crate::probe::{PROMPT_TOKENS, Probe, Report};
use crate::purse::Purse;
use crate::record::Record;
use crate::schedule::{Schedule, Situation};

/// One generation in so many is long enough to measure speed.
const LONG_ONE_IN: u32 = 10;
/// Its tokens.
const LONG_TOKENS: u32 = 32;
/// The tokens of all others.
const SHORT_TOKENS: u32 = 1;

/// One endpoint under watch.
pub struct Watched {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// How to call it; `None` when that could not be found out, which was logged.
    pub target: Option<Arc<Target>>,
    /// The vote.
    pub voter: Voter,
    /// When it is probed next.
    pub schedule: Schedule,
    /// What its probes may cost.
    pub purse: Purse,
    /// What was published.
    pub record: Record,
    /// The endpoint whose light probe is under way for this one too.
    pub light_under_way: Option<EndpointId>,
    /// A generation is under way.
    pub full_under_way: bool,
    timings: Window,
    latency: DampedLatency,
    cap: LearnedCap,
    generations: u32,
    retry_after_until_ms: u64,
    /// What answers to probes tell of the room that is left …
    room: Arc<Room>,
    /// … and what they told last, and when.
    own_room: Option<(Capacity, u64)>,
}

impl Watched {
    /// An endpoint that nothing is known of.
    pub fn new(endpoint: Endpoint, schedule: Schedule, purse: Purse) -> Self {
        let voter = Voter::new(generation_in(endpoint.probe));
        Self {
            endpoint,
            target: None,
            voter,
            schedule,
            purse,
            record: Record::default(),
            light_under_way: None,
            full_under_way: false,
            timings: Window::default(),
            latency: DampedLatency::default(),
            cap: LearnedCap::default(),
            generations: 0,
            retry_after_until_ms: 0,
            room: Arc::default(),
            own_room: None,
        }
    }

    /// The catalog describes it anew. What may no longer be asked to generate must not wait for a generation.
    pub fn describe(&mut self, endpoint: Endpoint, now_ms: u64) {
        if endpoint.probe != self.endpoint.probe {
            self.voter.step(Event::Generation(generation_in(endpoint.probe)), now_ms);
        }
        self.endpoint = endpoint;
    }

    /// The light probe that its mode allows.
    pub fn light_probe(&self) -> Option<Probe> {
        match self.endpoint.probe {
            ProbeMode::Generate | ProbeMode::List => Some(Probe::List),
            ProbeMode::Connect => Some(Probe::Connect),
            ProbeMode::None => None,
        }
    }

    /// The generation that its mode and abilities allow; every tenth is long enough to measure speed.
    pub fn full_probe(&self) -> Option<Probe> {
        if self.endpoint.probe != ProbeMode::Generate {
            return None;
        }
        let operation = match self.endpoint.capabilities {
            Capabilities { chat: true, .. } => Operation::Chat,
            Capabilities { completion: true, .. } => Operation::Completion,
            Capabilities { embedding: true, .. } => Operation::Embedding,
            Capabilities { .. } => return None,
        };
        let long = self.generations % LONG_ONE_IN == 1;
        Some(Probe::Generate { operation, tokens: if long { LONG_TOKENS } else { SHORT_TOKENS } })
    }

    /// Where probes write down what answers tell of the room that is left.
    pub fn room(&self) -> Arc<Room> {
        Arc::clone(&self.room)
    }

    /// What a probe is expected to cost.
    pub fn cost(&self, probe: Probe) -> PicoUsd {
        match probe {
            Probe::Connect | Probe::List => PicoUsd::ZERO,
            Probe::Generate { operation: Operation::Embedding, .. } => {
                self.endpoint.price.of(PROMPT_TOKENS, 0)
            }
            Probe::Generate { tokens, .. } => {
                self.endpoint.price.of(PROMPT_TOKENS, u64::from(tokens))
            }
        }
    }

    /// What its waits depend on.
    pub fn situation(&self, local_health: u8, observers: u64, now_ms: u64) -> Situation {
        Situation {
            vote: self.voter.vote(),
            local_health,
            good_live_calls: self.voter.good_live_calls(now_ms),
            live_calls_work: self.voter.live_calls_work(now_ms),
            observers,
            back_off_until_ms: self.voter.back_off_until_ms(),
        }
    }

    /// Whether this endpoint, of that id, waits for what a report tells.
    pub fn awaits(&self, id: EndpointId, report: &Report) -> bool {
        match report.probe.level() {
            Level::Connect | Level::List => self.light_under_way == Some(report.endpoint),
            Level::Generate => self.full_under_way && id == report.endpoint,
        }
    }

    /// A probe ended.
    pub fn observe(&mut self, report: &Report, now_ms: u64) -> Actions {
        let level = report.probe.level();
        match level {
            Level::Connect | Level::List => self.light_under_way = None,
            Level::Generate => {
                self.full_under_way = false;
                self.generations = self.generations.wrapping_add(1);
            }
        }
        let failure = match &report.outcome {
            Ok(timings) => {
                self.timings.time(timings, now_ms);
                None
            }
            Err(failure) => {
                self.note_retry_after(failure, now_ms);
                Some(failure.kind)
            }
        };
        if let Some(room) = self.room.take() {
            self.own_room = Some((room, now_ms));
        }
        self.voter.step(Event::Probed { level, failure }, now_ms)
    }

    /// Live calls ended at a router.
    pub fn hear(&mut self, router: &RouterId, seen: &Seen, now_ms: u64) -> Actions {
        self.voter.time_calls(router, &seen.timings, now_ms);
        if let Some(room) = seen.room {
            self.voter.note_room(router, room, now_ms);
        }
        let traffic = Event::Traffic {
            router: router.clone(),
            counts: seen.counts,
            consecutive_health: seen.consecutive_health,
        };
        self.voter.step(traffic, now_ms)
    }

    /// Lets smoothing go on; call it a few times a second.
    pub fn settle(&mut self, now_ms: u64) {
        if self.latency.wants(now_ms) {
            // Probes ask for a token or a few; where live calls are measured, they say more.
            let measured = self.voter.live_latency(now_ms).or(&self.timings.latency(now_ms));
            self.latency.feed(&measured, now_ms);
        }
        self.cap.feed(self.voter.recent_refusals(now_ms), now_ms);
    }

    /// What would be published now.
    pub fn observation(&self, incarnation: u64, now_ms: u64) -> Observation {
        let vote = self.voter.vote();
        Observation {
            sequence: self.record.next_sequence(),
            incarnation,
            vote,
            evidence: self.voter.evidence(now_ms),
            ramp_permille: self.voter.ramp_permille(),
            window_s: WINDOW_S,
            counts: self.voter.counts(now_ms),
            latency: self.latency.next(),
            capacity: self.capacity(now_ms),
            flap: self.voter.flap(),
            since_revision: self.record.since_revision(vote),
        }
    }

    /// An observation is in the store.
    pub fn published(&mut self, written: &Observation, revision: u64, rng: &mut Rng, now_ms: u64) {
        self.latency.shown(&written.latency);
        self.record.written(written, revision, rng.next(), now_ms);
    }

    fn capacity(&self, now_ms: u64) -> Capacity {
        let left_ms = self.retry_after_until_ms.saturating_sub(now_ms);
        let retry_after_s = (left_ms > 0).then_some(left_ms.div_ceil(1000).min(3600) as u32);
        let own = self.own_room.filter(|(_, at)| now_ms < at.saturating_add(ROOM_MAX_AGE_MS));
        let room = self.voter.live_room(now_ms).or(own.map(|(room, _)| room));
        Capacity {
            learned_cap_permille: self.cap.permille(),
            retry_after_s,
            ..room.unwrap_or_default()
        }
    }

    fn note_retry_after(&mut self, failure: &Failure, now_ms: u64) {
        if let Some(wait_ms) = failure.retry_after_ms {
            self.retry_after_until_ms = now_ms.saturating_add(wait_ms);
        }
    }
}

/// Whether an endpoint of this mode may be asked to generate.
fn generation_in(mode: ProbeMode) -> Generation {
    match mode {
        ProbeMode::Generate => Generation::Allowed,
        ProbeMode::List | ProbeMode::Connect | ProbeMode::None => Generation::Withheld,
    }
}
