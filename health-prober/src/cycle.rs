//! The cycle of a prober: due → probe → observe → publish. It owns all state and does no I/O: what is due it
//! hands out, what happened it is told, and the clock reading comes in. `app` does the rest.

mod assignment;
mod due;
mod listening;
mod restored;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use trunkline_core::draw::{Rng, affinity_key};
use trunkline_core::failure::FailureKind;
use trunkline_core::id::{EndpointId, ProberId, RouterId};
use trunkline_core::money::PicoUsd;
use trunkline_core::observation::{Observation, Vote};
use trunkline_core::voter::{Actions, Event, LocalHealth, Sign};
use trunkline_store::Change;

use crate::config::{ProberConfig, SecretFinder};
use crate::fold::{Fold, Touched};
use crate::probe::{Report, Task};
use crate::purse::Purse;
use crate::record::WriteClass;
use crate::telemetry::Telemetry;
use crate::watched::Watched;
use due::next_probe_ms;

/// How often time alone is let work on the votes.
const TICK_MS: u64 = 250;
/// A tick that comes this much late says that this process does badly.
const LATE_MS: u64 = 1_000;
/// Time without a late tick that counts as one good sign.
const RELIEF_MS: u64 = 5_000;
/// Probes at once: a prober is not a load generator.
const PROBES_AT_ONCE: usize = 64;
/// An observation on its way to the store.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Whom it is about.
    pub endpoint: EndpointId,
    /// What it says.
    pub observation: Observation,
    /// How urgent it is.
    pub class: WriteClass,
}

/// The state of one prober.
pub struct Cycle {
    me: ProberId,
    secrets: SecretFinder,
    endpoint_daily: PicoUsd,
    cluster_daily: PicoUsd,
    telemetry: Telemetry,
    rng: Rng,
    fold: Fold,
    watched: BTreeMap<EndpointId, Watched>,
    /// Whose vote the store may not know yet.
    unsaid: BTreeSet<EndpointId>,
    purse: Purse,
    own: LocalHealth,
    observers: u64,
    /// When each router last reported.
    routers: BTreeMap<RouterId, u64>,
    /// What is watched changed since the routers were told.
    rewatched: bool,
    under_way: usize,
    tick_ms: u64,
    relief_ms: u64,
}

impl Cycle {
    /// A prober that knows nothing yet.
    pub fn new(config: &ProberConfig, telemetry: Telemetry, now_ms: u64) -> Self {
        Self {
            me: config.id.clone(),
            secrets: Arc::clone(&config.secrets),
            endpoint_daily: config.endpoint_daily,
            cluster_daily: config.cluster_daily,
            telemetry,
            rng: Rng::new(affinity_key(config.id.as_str().as_bytes())),
            fold: Fold::default(),
            watched: BTreeMap::new(),
            unsaid: BTreeSet::new(),
            purse: Purse::new(config.cluster_daily, now_ms),
            own: LocalHealth::default(),
            observers: 1,
            routers: BTreeMap::new(),
            rewatched: false,
            under_way: 0,
            tick_ms: now_ms,
            relief_ms: now_ms,
        }
    }

    /// The store changed.
    pub fn learn(&mut self, change: Change, now_ms: u64) {
        if matches!(change, Change::Silent { .. }) {
            self.telemetry.store_silent();
        }
        let listed = matches!(change, Change::Snapshot(_));
        let Touched { catalog, assignment, votes } = self.fold.apply(change);
        if assignment {
            self.reassign(now_ms);
        }
        if listed {
            self.say_again_what_the_store_forgot();
        }
        if catalog {
            self.find_targets();
        }
        let of_interest: Vec<EndpointId> = match assignment {
            true => self.watched.keys().copied().collect(),
            false => votes.into_iter().filter(|id| self.watched.contains_key(id)).collect(),
        };
        self.listen_to_peers(&of_interest, now_ms);
    }

    /// Due: the probes to send now. Whoever takes them must report each with [`Self::observe`].
    pub fn due(&mut self, now_ms: u64) -> Vec<Task> {
        let mut tasks = Vec::new();
        let ids: Vec<EndpointId> = self
            .watched
            .iter()
            .filter(|(_, w)| w.target.is_some() && next_probe_ms(w) <= now_ms)
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            if self.under_way >= PROBES_AT_ONCE {
                break;
            }
            let probes = [self.light_due(id, now_ms), self.full_due(id, now_ms)];
            tasks.extend(probes.into_iter().flatten());
        }
        tasks
    }

    /// Observe: a probe ended.
    pub fn observe(&mut self, report: &Report, now_ms: u64) {
        self.under_way = self.under_way.saturating_sub(1);
        self.telemetry.probe_ended(report);
        match &report.outcome {
            Ok(_) => self.own.note(Sign::Good),
            Err(failure) if failure.kind == FailureKind::Local => self.own.note(Sign::Bad),
            Err(_) => {}
        }
        let concerned = |(id, w): (&EndpointId, &Watched)| w.awaits(*id, report).then_some(*id);
        let concerned: Vec<EndpointId> = self.watched.iter().filter_map(concerned).collect();
        for id in concerned {
            let Some(watched) = self.watched.get_mut(&id) else { continue };
            let before = watched.voter.vote();
            let actions = watched.observe(report, now_ms);
            watched.settle(now_ms);
            self.follow_up(id, before, actions, now_ms);
        }
    }

    /// Observe: the prober's test of its own network ended.
    pub fn self_tested(&mut self, passed: bool, now_ms: u64) {
        self.own.note(if passed { Sign::SelfTestPassed } else { Sign::SelfTestFailed });
        self.tell_all(&Event::Own(self.own), now_ms);
    }

    /// Lets time work. Call it whenever [`Self::next_wake_ms`] has come, or more often.
    pub fn tick(&mut self, now_ms: u64) {
        self.ripen(now_ms);
        if now_ms < self.tick_ms {
            return;
        }
        if now_ms - self.tick_ms >= LATE_MS {
            self.own.note(Sign::Bad);
            self.relief_ms = now_ms + RELIEF_MS;
        } else if now_ms >= self.relief_ms {
            self.own.note(Sign::Good);
            self.relief_ms = now_ms + RELIEF_MS;
        }
        self.tick_ms = now_ms + TICK_MS;
        self.tell_all(&Event::Own(self.own), now_ms);
        self.miss_silent_routers(now_ms);
        for watched in self.watched.values_mut() {
            watched.settle(now_ms);
        }
        self.telemetry.state(self.own, self.watched.values().map(|w| w.voter.vote()));
    }

    /// Lets suspicions become verdicts as soon as they may: a tick's wait would be a tenth of a detection.
    fn ripen(&mut self, now_ms: u64) {
        let ripe = |w: &Watched| w.voter.ripe_ms().is_some_and(|at| at <= now_ms);
        let ids: Vec<EndpointId> =
            self.watched.iter().filter(|(_, w)| ripe(w)).map(|(id, _)| *id).collect();
        for id in ids {
            self.tell(id, Event::Tick, now_ms);
        }
    }

    /// When there is something to do again without anything happening.
    pub fn next_wake_ms(&self, now_ms: u64) -> u64 {
        let free = self.under_way < PROBES_AT_ONCE;
        let probes = self.watched.values().filter(|w| free && w.target.is_some());
        let ripe =
            self.watched.values().filter_map(|w| w.voter.ripe_ms()).filter(|at| *at > now_ms);
        probes.map(next_probe_ms).chain(ripe).min().unwrap_or(u64::MAX).min(self.tick_ms)
    }

    /// Publish: a new life has begun, in which nothing was said yet.
    pub fn born(&mut self) {
        self.unsaid = self.watched.keys().copied().collect();
    }

    /// Publish: whether there are votes that the store does not know.
    pub fn has_urgent_letters(&self) -> bool {
        !self.unsaid.is_empty()
    }

    /// Publish: up to `most` letters about votes that the store does not know, what keeps calls away first. The
    /// rest is in the order of the endpoints, which all observers share: so their voices meet.
    pub fn urgent_letters(&self, incarnation: u64, most: usize, now_ms: u64) -> Vec<Letter> {
        let unsaid = self.unsaid.iter().filter_map(|id| self.watched.get_key_value(id));
        let letters = unsaid.filter_map(|(id, w)| letter(*id, w, incarnation, now_ms));
        let mut letters: Vec<Letter> =
            letters.filter(|letter| letter.class == WriteClass::Urgent).collect();
        letters.sort_by_key(|letter| urgency(letter.observation.vote));
        letters.truncate(most);
        letters
    }

    /// Publish: up to `most` letters about whatever is worth one, the most urgent first.
    pub fn letters(&self, incarnation: u64, most: usize, now_ms: u64) -> Vec<Letter> {
        let all = self.watched.iter();
        let mut letters: Vec<Letter> =
            all.filter_map(|(id, w)| letter(*id, w, incarnation, now_ms)).collect();
        letters.sort_by_key(|letter| std::cmp::Reverse(letter.class));
        letters.truncate(most);
        letters
    }

    /// Publish: the letters are in the store since `revision`.
    pub fn published(&mut self, letters: &[Letter], revision: u64, now_ms: u64) {
        for letter in letters {
            self.telemetry.published(letter.class);
            if let Some(watched) = self.watched.get_mut(&letter.endpoint) {
                watched.published(&letter.observation, revision, &mut self.rng, now_ms);
                if watched.voter.vote() == letter.observation.vote {
                    self.unsaid.remove(&letter.endpoint);
                }
            }
        }
    }

    /// Records of this prober in the store about what it no longer watches.
    pub fn leavings(&self) -> Vec<EndpointId> {
        let recorded = self.fold.recorded_by(&self.me);
        recorded.filter(|id| !self.watched.contains_key(id)).collect()
    }

    /// How well the prober itself does.
    pub fn own(&self) -> LocalHealth {
        self.own
    }

    /// How many probers live.
    pub fn probers(&self) -> usize {
        self.fold.probers.len().max(1)
    }

    /// The vote on an endpoint, if it is watched.
    pub fn vote(&self, endpoint: EndpointId) -> Option<Vote> {
        self.watched.get(&endpoint).map(|w| w.voter.vote())
    }

    fn follow_up(&mut self, id: EndpointId, before: Vote, actions: Actions, now_ms: u64) {
        let Some(watched) = self.watched.get_mut(&id) else { return };
        let situation = watched.situation(self.own.score(), self.observers, now_ms);
        if actions.vote_changed {
            self.unsaid.insert(id);
            self.telemetry.vote_changed(situation.vote);
            tracing::info!(
                endpoint = watched.endpoint.name(),
                from = before.as_str(),
                to = situation.vote.as_str(),
                "vote changed"
            );
            watched.schedule.repace(&situation, &mut self.rng, now_ms);
        }
        if actions.look_now {
            watched.schedule.hurry(&mut self.rng, now_ms);
        } else if actions.look_free {
            watched.schedule.look(&mut self.rng, now_ms);
        }
    }

    fn tell(&mut self, id: EndpointId, event: Event, now_ms: u64) {
        let Some(watched) = self.watched.get_mut(&id) else { return };
        let before = watched.voter.vote();
        let actions = watched.voter.step(event, now_ms);
        self.follow_up(id, before, actions, now_ms);
    }

    fn tell_all(&mut self, event: &Event, now_ms: u64) {
        let ids: Vec<EndpointId> = self.watched.keys().copied().collect();
        for id in ids {
            self.tell(id, event.clone(), now_ms);
        }
    }
}

/// What is worth writing about an endpoint, if anything is.
fn letter(
    endpoint: EndpointId,
    watched: &Watched,
    incarnation: u64,
    now_ms: u64,
) -> Option<Letter> {
    let observation = watched.observation(incarnation, now_ms);
    let class = watched.record.class(&observation, now_ms)?;
    Some(Letter { endpoint, observation, class })
}

/// The smaller, the sooner it is written where not all can be.
fn urgency(vote: Vote) -> u8 {
    match vote {
        Vote::Down | Vote::Config => 0,
        Vote::Suspect => 1,
        Vote::Recovering | Vote::Degraded => 2,
        Vote::Up | Vote::Unknown => 3,
    }
}
