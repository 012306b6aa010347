//! The cycle of a prober: due → probe → observe → publish. It owns all state and does no I/O: what is due it
//! hands out, what happened it is told, and the clock reading comes in. `app` does the rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use trunkline_core::assign::Roster;
use trunkline_core::catalog::{Catalog, Endpoint};
use trunkline_core::draw::{Rng, affinity_key};
use trunkline_core::failure::FailureKind;
use trunkline_core::id::{EndpointId, ProberId};
use trunkline_core::money::PicoUsd;
use trunkline_core::observation::{Observation, Vote};
use trunkline_core::voter::{Actions, Event, Generation, LocalHealth, Sign};
use trunkline_store::Change;
use trunkline_upstream::{Credential, Target};

use crate::config::{ProberConfig, SecretFinder};
use crate::evidence::Traffic;
use crate::fold::{Fold, Touched};
use crate::probe::{Probe, Report, Task};
use crate::purse::Purse;
use crate::record::WriteClass;
use crate::schedule::{Schedule, live_traffic_suffices};
use crate::telemetry::Telemetry;
use crate::watched::Watched;

/// How often time alone is let work on the votes.
const TICK_MS: u64 = 250;
/// A tick that comes this much late says that this process does badly.
const LATE_MS: u64 = 1_000;
/// Probes at once: a prober is not a load generator.
const PROBES_AT_ONCE: usize = 64;
/// First probes are spread over this time for each endpoint there is …
const SPREAD_PER_ENDPOINT_MS: u64 = 10;
/// … up to the pace of light probes.
const SPREAD_MAX_MS: u64 = 15_000;

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
    purse: Purse,
    own: LocalHealth,
    observers: u64,
    under_way: usize,
    tick_ms: u64,
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
            purse: Purse::new(config.cluster_daily, now_ms),
            own: LocalHealth::default(),
            observers: 1,
            under_way: 0,
            tick_ms: now_ms,
        }
    }

    /// The store changed.
    pub fn learn(&mut self, change: Change, now_ms: u64) {
        if matches!(change, Change::Silent { .. }) {
            self.telemetry.store_silent();
        }
        let Touched { assignment, votes } = self.fold.apply(change);
        if assignment {
            self.reassign(now_ms);
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
        let Some(watched) = self.watched.get_mut(&report.endpoint) else { return };
        let before = watched.voter.vote();
        let actions = watched.observe(report, now_ms);
        watched.settle(now_ms);
        self.follow_up(report.endpoint, before, actions, now_ms);
    }

    /// Observe: live traffic told something.
    pub fn hear(&mut self, traffic: &Traffic, now_ms: u64) {
        let Some(watched) = self.watched.get_mut(&traffic.endpoint) else { return };
        let before = watched.voter.vote();
        let actions = watched.hear(&traffic.seen, now_ms);
        self.follow_up(traffic.endpoint, before, actions, now_ms);
    }

    /// Observe: the prober's test of its own network ended.
    pub fn self_tested(&mut self, passed: bool, now_ms: u64) {
        self.own.note(if passed { Sign::SelfTestPassed } else { Sign::SelfTestFailed });
        self.tell_all(Event::Own(self.own), now_ms);
    }

    /// Lets time work. Call it whenever [`Self::next_wake_ms`] has come, or more often.
    pub fn tick(&mut self, now_ms: u64) {
        if now_ms < self.tick_ms {
            return;
        }
        let late = now_ms - self.tick_ms >= LATE_MS;
        self.own.note(if late { Sign::Bad } else { Sign::Good });
        self.tick_ms = now_ms + TICK_MS;
        self.tell_all(Event::Own(self.own), now_ms);
        for watched in self.watched.values_mut() {
            watched.settle(now_ms);
        }
        self.telemetry.state(self.own, self.watched.values().map(|w| w.voter.vote()));
    }

    /// When there is something to do again without anything happening.
    pub fn next_wake_ms(&self) -> u64 {
        let free = self.under_way < PROBES_AT_ONCE;
        let probes = self.watched.values().filter(|w| free && w.target.is_some());
        probes.map(next_probe_ms).min().unwrap_or(u64::MAX).min(self.tick_ms)
    }

    /// Publish: up to `most` letters of at least this class, the most urgent first.
    pub fn letters(
        &self,
        incarnation: u64,
        least: WriteClass,
        most: usize,
        now_ms: u64,
    ) -> Vec<Letter> {
        let letter = |(id, watched): (&EndpointId, &Watched)| {
            let observation = watched.observation(incarnation, now_ms);
            let class = watched.record.class(&observation, now_ms)?;
            (class >= least).then_some(Letter { endpoint: *id, observation, class })
        };
        let mut letters: Vec<Letter> = self.watched.iter().filter_map(letter).collect();
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

    fn light_due(&mut self, id: EndpointId, now_ms: u64) -> Option<Task> {
        let watched = self.watched.get_mut(&id)?;
        let probe = watched.light_probe()?;
        if watched.light_under_way || watched.schedule.light_due_ms > now_ms {
            return None;
        }
        let situation = watched.situation(self.own.score(), self.observers, now_ms);
        watched.schedule.light_sent(&situation, &mut self.rng, now_ms);
        watched.light_under_way = true;
        self.task(id, probe)
    }

    fn full_due(&mut self, id: EndpointId, now_ms: u64) -> Option<Task> {
        let watched = self.watched.get_mut(&id)?;
        let probe = watched.full_probe()?;
        if watched.full_under_way || watched.schedule.full_due_ms > now_ms {
            return None;
        }
        let situation = watched.situation(self.own.score(), self.observers, now_ms);
        watched.schedule.full_sent(&situation, &mut self.rng, now_ms);
        if live_traffic_suffices(&situation) {
            return None;
        }
        let cost = watched.cost(probe);
        let affordable = watched.purse.affords(cost, now_ms) && self.purse.affords(cost, now_ms);
        let generation = if affordable { Generation::Allowed } else { Generation::Withheld };
        watched.voter.step(Event::Generation(generation), now_ms);
        if !affordable {
            self.telemetry.purse_empty();
            return None;
        }
        watched.purse.pay(cost);
        self.purse.pay(cost);
        self.telemetry.paid(cost);
        watched.full_under_way = true;
        self.task(id, probe)
    }

    fn task(&mut self, id: EndpointId, probe: Probe) -> Option<Task> {
        let target = self.watched.get(&id)?.target.clone()?;
        self.under_way += 1;
        let patience = 1 + u32::from(self.own.score());
        Some(Task { endpoint: id, probe, target, patience })
    }

    fn follow_up(&mut self, id: EndpointId, before: Vote, actions: Actions, now_ms: u64) {
        let Some(watched) = self.watched.get_mut(&id) else { return };
        let situation = watched.situation(self.own.score(), self.observers, now_ms);
        if actions.vote_changed {
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
        }
    }

    fn tell(&mut self, id: EndpointId, event: Event, now_ms: u64) {
        let Some(watched) = self.watched.get_mut(&id) else { return };
        let before = watched.voter.vote();
        let actions = watched.voter.step(event, now_ms);
        self.follow_up(id, before, actions, now_ms);
    }

    fn tell_all(&mut self, event: Event, now_ms: u64) {
        let ids: Vec<EndpointId> = self.watched.keys().copied().collect();
        for id in ids {
            self.tell(id, event, now_ms);
        }
    }

    /// Works out anew which endpoints are this prober's to watch; what is watched already stays as it is.
    /// While the prober itself is not counted among the living it goes on with what it has.
    fn reassign(&mut self, now_ms: u64) {
        let roster = Roster::new(&self.fold.probers);
        let Some(me) = roster.position(&self.me) else { return };
        let is_mine = |e: &&Endpoint| roster.of(e.id).contains(&me);
        let endpoints: Vec<Endpoint> =
            self.fold.catalog.endpoints.iter().filter(is_mine).cloned().collect();
        self.observers = roster.observers().max(1) as u64;
        let mut before = std::mem::take(&mut self.watched);
        let spread_ms = (SPREAD_PER_ENDPOINT_MS * endpoints.len() as u64).min(SPREAD_MAX_MS);
        for endpoint in endpoints {
            let mut watched = before.remove(&endpoint.id).unwrap_or_else(|| {
                let schedule = Schedule::new(spread_ms, &mut self.rng, now_ms);
                let purse = Purse::new(self.endpoint_daily, now_ms);
                Watched::new(endpoint.clone(), schedule, purse)
            });
            watched.target = target(&self.fold.catalog, &endpoint, &self.secrets);
            watched.endpoint = endpoint;
            self.watched.insert(watched.endpoint.id, watched);
        }
        let share = self.cluster_daily.0 / self.fold.probers.len().max(1) as u64;
        self.purse.set_daily(PicoUsd(share), now_ms);
        self.telemetry.watching(self.watched.len());
    }

    /// Tells the voters what the endpoints' other observers say.
    fn listen_to_peers(&mut self, endpoints: &[EndpointId], now_ms: u64) {
        let mut news = Vec::with_capacity(endpoints.len());
        let roster = Roster::new(&self.fold.probers);
        for id in endpoints {
            let observers = roster.of(*id);
            let others = observers.iter().filter_map(|at| roster.members().get(*at));
            let others = others.filter(|m| *m.id != self.me).map(|m| (m.id, m.info));
            let suspecting = self.fold.doubters(*id, others);
            news.push((*id, Event::Peers { suspecting, observers: observers.len() as u32 }));
        }
        for (id, event) in news {
            self.tell(id, event, now_ms);
        }
    }
}

/// When the next probe of an endpoint can be sent; never while both are under way.
fn next_probe_ms(watched: &Watched) -> u64 {
    let light = watched.light_probe().filter(|_| !watched.light_under_way);
    let full = watched.full_probe().filter(|_| !watched.full_under_way);
    let light = light.map_or(u64::MAX, |_| watched.schedule.light_due_ms);
    light.min(full.map_or(u64::MAX, |_| watched.schedule.full_due_ms))
}

/// How an endpoint is called; `None`, and a line in the log, when that cannot be found out.
fn target(catalog: &Catalog, endpoint: &Endpoint, secrets: &SecretFinder) -> Option<Arc<Target>> {
    let provider = catalog.provider(&endpoint.provider)?;
    let credentials: Result<Vec<Credential>, String> =
        provider.credentials.iter().map(|reference| secrets(reference)).collect();
    let target = credentials
        .and_then(|c| Target::new(provider, endpoint, &c).map_err(|error| error.to_string()));
    match target {
        Ok(target) => Some(Arc::new(target)),
        Err(reason) => {
            tracing::warn!(endpoint = endpoint.name(), reason, "endpoint cannot be probed");
            None
        }
    }
}
