//! The world: everybody in it, and one queue of what happens next.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use health_prober::cycle::Letter;
use health_prober::evidence::{Seen, Traffic};
use health_prober::probe::{PROMPT_TOKENS, Probe, Report, Task};
use health_prober::publish::{Ended, Errand};
use health_prober::self_test::PERIOD_MS;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;
use trunkline_core::assess::Table;
use trunkline_core::catalog::{Catalog, Endpoint};
use trunkline_core::draw::Rng;
use trunkline_core::failure::{Failure, FailureKind};
use trunkline_core::id::EndpointId;
use trunkline_core::money::PicoUsd;
use trunkline_core::snapshot::Weight;
use trunkline_spec::observation::encode_observation;
use trunkline_store::keys::{CONFIG, OBSERVATIONS};
use trunkline_store::{Expect, Limits, Memory, Store};

use super::demand;
use super::liar::Liar;
use super::link::Line;
use super::poll::now;
use super::prober::Prober;
use super::provider::{Conduct, patience_ms};
use super::router::Router;
use super::scale::{Scale, provider_name, zone_name};

/// The longest way of one message, in milliseconds.
const WAY_MAX_MS: u64 = 20;
/// How long a process waits for a store that does not answer, in milliseconds.
const STORE_PATIENCE_MS: u64 = 5_000;
/// The shortest time between two things that a prober does by itself, in milliseconds.
const REST_MS: u64 = 5;
/// How often routers tell what they saw, and everybody looks whether a lease has ended, in milliseconds.
const BEAT_MS: u64 = 1_000;
/// Endpoints that a liar speaks about at once.
const LIES: u64 = 4;
/// Failed live calls after which a router's own breaker sends no more, a second.
const BREAKER_CALLS: u32 = 5;

/// What happens next.
enum What {
    Wake(usize),
    ProbeEnded(usize, u64, Report),
    ErrandReaches(usize, u64, Errand),
    ErrandEnded(usize, u64, Ended),
    ProberLooks(usize),
    RouterLooks(usize),
    RouterSwaps(usize),
    Lie(usize),
    Beat,
}

/// Something that happens at its time; of what happens at once, what was said first.
struct Due {
    at: Reverse<(u64, u64)>,
    what: What,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

/// What was counted.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// What paid probes were expected to cost, by endpoint.
    pub spent: BTreeMap<EndpointId, PicoUsd>,
    /// Paid probes.
    pub generations: u64,
    /// Processes of probers that were started.
    pub lives: u64,
    /// Keys written in the store by probers, by second.
    pub puts: BTreeMap<u64, u64>,
    /// Transactions of probers that the store took.
    pub writes: u64,
    /// Bytes of keys and values written by probers.
    pub bytes: u64,
    /// Verdicts of the first router that differ from the one before, by endpoint.
    pub verdict_changes: BTreeMap<EndpointId, u64>,
}

impl Books {
    /// What all paid probes were expected to cost.
    pub fn spent_in_all(&self) -> PicoUsd {
        self.spent.values().copied().sum()
    }
}

/// Something that must never be, and when it was.
#[derive(Clone, Debug)]
pub struct Breach {
    /// The simulated time, in milliseconds.
    pub at_ms: u64,
    /// What was seen.
    pub what: String,
}

/// A cluster and its surroundings.
pub struct World {
    /// The time, in milliseconds since the world began.
    pub now_ms: u64,
    /// How large it is.
    pub scale: Scale,
    /// What exists.
    pub catalog: Catalog,
    /// What each provider does; may be changed at any time.
    pub conducts: Vec<Conduct>,
    /// What was counted.
    pub books: Books,
    pub(super) probers: Vec<Prober>,
    pub(super) routers: Vec<Router>,
    pub(super) liars: Vec<Liar>,
    pub(super) store: Memory,
    pub(super) rng: Rng,
    /// The digest of the table at each revision at which any router formed one.
    digests: BTreeMap<u64, [u8; 32]>,
    providers: BTreeMap<EndpointId, usize>,
    queue: BinaryHeap<Due>,
    said: u64,
    clock_ms: Arc<AtomicU64>,
    runtime: Arc<Runtime>,
    breach: Option<Breach>,
}

impl World {
    /// A world of this scale in which everybody has just been started.
    pub fn new(scale: &Scale, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let text = scale.catalog();
        let catalog = trunkline_spec::catalog::parse(&text).expect("the simulation's own catalog");
        let (store, clock_ms) = simulated_store(scale);
        let key = format!("{CONFIG}catalog");
        now(store.put(&key, text.into(), Expect::Absent)).expect("at once").expect("an empty store");
        let prober = |at: usize| format!("prober-{at}-{seed}");
        let liars = (0..scale.liars)
            .map(|at| Liar::new(prober(at), zone_name(at, scale.zones), &mut rng))
            .collect();
        let probers = (scale.liars..scale.probers)
            .map(|at| Prober::new(&prober(at), &zone_name(at, scale.zones), scale, &mut rng))
            .collect();
        let routers = (0..scale.routers)
            .map(|at| Router::new(&zone_name(at, scale.zones), &store))
            .collect();
        let number = |e: &Endpoint| {
            (0..scale.providers).find(|n| provider_name(*n) == e.provider.as_str()).unwrap_or(0)
        };
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        let mut world = Self {
            now_ms: 0,
            scale: scale.clone(),
            providers: catalog.endpoints.iter().map(|e| (e.id, number(e))).collect(),
            conducts: vec![Conduct::Works; scale.providers],
            books: Books::default(),
            catalog,
            probers,
            routers,
            liars,
            store,
            rng,
            digests: BTreeMap::new(),
            queue: BinaryHeap::new(),
            said: 0,
            clock_ms,
            runtime: Arc::new(runtime),
            breach: None,
        };
        world.begin_all();
        world
    }

    fn begin_all(&mut self) {
        (0..self.probers.len()).for_each(|at| self.start_prober(at));
        for at in 0..self.liars.len() {
            self.say(1, What::Lie(at));
        }
        self.say(1, What::Beat);
    }

    /// Lets time pass until `end_ms`.
    ///
    /// # Errors
    /// The first promise that was broken.
    pub fn run_until(&mut self, end_ms: u64) -> Result<(), Breach> {
        let runtime = self.runtime();
        let _timers = runtime.enter();
        while self.queue.peek().is_some_and(|due| due.at.0.0 <= end_ms) {
            let Some(Due { at: Reverse((at_ms, _)), what }) = self.queue.pop() else { break };
            self.set_clock(at_ms);
            self.happen(what);
            if let Some(breach) = self.breach.take() {
                return Err(breach);
            }
        }
        self.set_clock(end_ms);
        Ok(())
    }

    /// Whose timers the polled futures set. None of them ever fires: the world's clock is another.
    pub(super) fn runtime(&self) -> Arc<Runtime> {
        Arc::clone(&self.runtime)
    }

    fn set_clock(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        self.clock_ms.store(now_ms, Relaxed);
    }

    fn say(&mut self, in_ms: u64, what: What) {
        self.said += 1;
        self.queue.push(Due { at: Reverse((self.now_ms + in_ms, self.said)), what });
    }

    /// The time that a message takes.
    fn way_ms(&mut self) -> u64 {
        1 + self.rng.below(WAY_MAX_MS)
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Wake(at) => self.wake(at),
            What::ProbeEnded(at, life, report) => self.probe_ended(at, life, report),
            What::ErrandReaches(at, life, errand) => self.errand_reaches(at, life, errand),
            What::ErrandEnded(at, life, ended) => self.errand_ended(at, life, ended),
            What::ProberLooks(at) => self.prober_looks(at),
            What::RouterLooks(at) => self.router_looks(at),
            What::RouterSwaps(at) => self.router_swaps(at),
            What::Lie(at) => self.lie(at),
            What::Beat => self.beat(),
        }
    }

    pub(super) fn start_prober(&mut self, at: usize) {
        self.books.lives += 1;
        let (store, now_ms) = (self.store.clone(), self.now_ms);
        self.probers[at].start(&store, now_ms);
        self.look_soon(at);
        self.plan_wake(at);
    }

    fn look_soon(&mut self, at: usize) {
        let way_ms = self.way_ms();
        let Some(process) = &mut self.probers[at].process else { return };
        if !process.looking {
            process.looking = true;
            self.say(way_ms, What::ProberLooks(at));
        }
    }

    pub(super) fn router_looks_soon(&mut self, at: usize) {
        let way_ms = self.way_ms();
        if !self.routers[at].looking {
            self.routers[at].looking = true;
            self.say(way_ms, What::RouterLooks(at));
        }
    }

    /// The store changed: everybody who reaches it will see it, sooner or later.
    pub(super) fn news(&mut self) {
        (0..self.probers.len()).for_each(|at| self.look_soon(at));
        (0..self.routers.len()).for_each(|at| self.router_looks_soon(at));
    }

    pub(super) fn plan_wake(&mut self, at: usize) {
        let now_ms = self.now_ms;
        let prober = &mut self.probers[at];
        let clock = prober.clock;
        let Some(process) = prober.process.as_mut().filter(|_| !prober.paused) else { return };
        let errand_ms = match process.errand_under_way {
            true => u64::MAX,
            false => process.publisher.next_wake_ms(),
        };
        let local_ms = process.cycle.next_wake_ms().min(errand_ms).min(process.self_test_ms);
        let wake_ms = clock.moment_ms(local_ms).max(now_ms + REST_MS);
        if process.wake_ms <= now_ms || wake_ms < process.wake_ms {
            process.wake_ms = wake_ms;
            self.say(wake_ms - now_ms, What::Wake(at));
        }
    }

    /// What a prober does by itself: see `health_prober::app`.
    fn wake(&mut self, at: usize) {
        let now_ms = self.now_ms;
        let way_ms = self.way_ms();
        let prober = &mut self.probers[at];
        let (life, egress) = (prober.life, prober.egress);
        let local_ms = prober.clock.local_ms(now_ms);
        let Some(process) = prober.process.as_mut().filter(|_| !prober.paused) else { return };
        if process.wake_ms != now_ms {
            return;
        }
        process.cycle.tick(local_ms);
        let tasks = process.cycle.due(local_ms);
        if process.self_test_ms <= local_ms {
            process.cycle.self_tested(egress, local_ms);
            process.self_test_ms = local_ms + PERIOD_MS;
        }
        if !process.errand_under_way
            && let Some(errand) = process.publisher.next_errand(&process.cycle, local_ms)
        {
            process.errand_under_way = true;
            self.say(way_ms, What::ErrandReaches(at, life, errand));
        }
        tasks.into_iter().for_each(|task| self.probe(at, &task));
        self.plan_wake(at);
    }

    fn probe(&mut self, at: usize, task: &Task) {
        let (life, egress) = (self.probers[at].life, self.probers[at].egress);
        let level = task.probe.level();
        let (ms, outcome) = if egress {
            let provider = self.providers.get(&task.endpoint).copied().unwrap_or(0);
            let ttft_ms = 200 + 20 * provider as u32;
            let conduct = self.conducts[provider];
            conduct.answer(level, ttft_ms, &mut self.rng, self.now_ms)
        } else {
            (patience_ms(level), Err(Failure::new(FailureKind::Connect)))
        };
        self.pay(task);
        let report = Report { endpoint: task.endpoint, probe: task.probe, outcome };
        self.say(ms * u64::from(task.patience), What::ProbeEnded(at, life, report));
    }

    fn pay(&mut self, task: &Task) {
        let Probe::Generate { tokens, .. } = task.probe else { return };
        let priced = self.catalog.endpoints.iter().find(|e| e.id == task.endpoint);
        let cost = priced.map(|e| e.price.of(PROMPT_TOKENS, u64::from(tokens)));
        let spent = self.books.spent.entry(task.endpoint).or_default();
        *spent = *spent + cost.unwrap_or(PicoUsd::ZERO);
        self.books.generations += 1;
    }

    fn probe_ended(&mut self, at: usize, life: u64, report: Report) {
        let now_ms = self.now_ms;
        let prober = &mut self.probers[at];
        if prober.life != life {
            return;
        }
        if prober.paused {
            self.say(BEAT_MS, What::ProbeEnded(at, life, report));
            return;
        }
        let local_ms = prober.clock.local_ms(now_ms);
        if let Some(process) = &mut prober.process {
            process.cycle.observe(&report, local_ms);
        }
        self.plan_wake(at);
    }

    fn errand_reaches(&mut self, at: usize, life: u64, errand: Errand) {
        let prober = &self.probers[at];
        let line = prober.line;
        // What is on its way arrives, even if its sender died meanwhile.
        if let Some(process) = &prober.process {
            process.link.set(line);
        }
        let ended = now(errand).expect("a simulated store answers at once");
        let back_ms = match line {
            Line::Open => self.way_ms(),
            Line::Cut | Line::Deaf => STORE_PATIENCE_MS,
        };
        self.news();
        self.say(back_ms, What::ErrandEnded(at, life, ended));
    }

    fn errand_ended(&mut self, at: usize, life: u64, ended: Ended) {
        let now_ms = self.now_ms;
        if self.probers[at].life != life {
            return;
        }
        if self.probers[at].paused {
            self.say(BEAT_MS, What::ErrandEnded(at, life, ended));
            return;
        }
        self.book(&ended);
        let prober = &mut self.probers[at];
        let local_ms = prober.clock.local_ms(now_ms);
        if let Some(process) = &mut prober.process {
            process.errand_under_way = false;
            // The publisher has drawn its conclusions; its caller only logs.
            _ = process.publisher.ended(ended, &mut process.cycle, local_ms);
        }
        self.plan_wake(at);
    }

    fn book(&mut self, ended: &Ended) {
        let written: &[Letter] = match ended {
            Ended::Written(letters, Ok(Some(_))) => letters,
            Ended::Written(..) | Ended::KeptAlive(_) => return,
            Ended::Born(_) | Ended::Shown(..) | Ended::Tidied(_) => &[],
        };
        let puts = written.len().max(1) as u64;
        *self.books.puts.entry(self.now_ms / 1_000).or_default() += puts;
        self.books.writes += 1;
        for letter in written {
            let key = OBSERVATIONS.len() + "prober-00/".len() + letter.endpoint.as_str().len();
            self.books.bytes += (key + encode_observation(&letter.observation).len()) as u64;
        }
    }

    fn prober_looks(&mut self, at: usize) {
        let now_ms = self.now_ms;
        let prober = &mut self.probers[at];
        let local_ms = prober.clock.local_ms(now_ms);
        let reached = prober.line == Line::Open && !prober.paused;
        let Some(process) = &mut prober.process else { return };
        process.looking = false;
        if !reached {
            return;
        }
        while let Some(change) = now(process.watch.next()) {
            process.cycle.learn(change, local_ms);
        }
        self.plan_wake(at);
    }

    fn router_looks(&mut self, at: usize) {
        let now_ms = self.now_ms;
        let router = &mut self.routers[at];
        router.looking = false;
        if !router.connected {
            return;
        }
        let before = router.swap_ms;
        let due = router.look(now_ms);
        if let Some(due_ms) = due.filter(|_| due != before) {
            self.say(due_ms - now_ms, What::RouterSwaps(at));
        }
    }

    fn router_swaps(&mut self, at: usize) {
        if self.routers[at].swap_ms.is_some_and(|due| due <= self.now_ms) {
            self.swap(at);
        }
    }

    /// Forms a router's table and holds it against what any table promises.
    pub(super) fn swap(&mut self, at: usize) {
        let before = self.routers[at].table.take();
        let router = &mut self.routers[at];
        let revision = router.fold.revision;
        let table = router.swap().clone();
        let first = *self.digests.entry(revision).or_insert(table.digest);
        if first != table.digest {
            self.break_off(format!("router {at} has another table at revision {revision}"));
        }
        if let Err(what) = demand::always(&table, &self.catalog) {
            self.break_off(format!("router {at} at revision {revision}: {what}"));
        }
        if at == 0 {
            self.count_changes(before.as_ref(), &table);
        }
    }

    fn count_changes(&mut self, before: Option<&Table>, after: &Table) {
        for (id, row) in &after.rows {
            let old = before.and_then(|table| table.rows.get(id));
            if old.is_some_and(|old| old.verdict != row.verdict) {
                *self.books.verdict_changes.entry(*id).or_default() += 1;
            }
        }
    }

    fn break_off(&mut self, what: String) {
        self.breach.get_or_insert(Breach { at_ms: self.now_ms, what });
    }

    fn lie(&mut self, at: usize) {
        let endpoints = &self.catalog.endpoints;
        let first = self.rng.below(endpoints.len() as u64) as usize;
        let about = endpoints.iter().cycle().skip(first);
        let about: Vec<EndpointId> =
            about.take(endpoints.len().min(LIES as usize)).map(|e| e.id).collect();
        self.liars[at].lie(&self.store, &about, &mut self.rng);
        self.news();
        let in_ms = 1_000 + self.rng.below(2_000);
        self.say(in_ms, What::Lie(at));
    }

    fn beat(&mut self) {
        self.news();
        if self.scale.calls_per_second > 0 {
            (0..self.routers.len()).for_each(|at| self.tell_traffic(at));
        }
        self.say(BEAT_MS, What::Beat);
    }

    /// A router's calls of the last second, told to every prober.
    fn tell_traffic(&mut self, at: usize) {
        let Some(table) = self.routers[at].table.take() else { return };
        for (id, _) in table.rows.iter().filter(|(_, row)| row.weight > Weight::ZERO) {
            let provider = self.providers.get(id).copied().unwrap_or(0);
            let calls = self.scale.calls_per_second;
            let counts = self.conducts[provider].serve(calls, &mut self.rng, self.now_ms);
            let failed = if counts.ok > 0 { 0 } else { counts.health.min(BREAKER_CALLS) };
            let seen = Seen { counts, consecutive_health: failed, ..Seen::default() };
            self.tell(&Traffic { endpoint: *id, seen });
        }
        self.routers[at].table = Some(table);
    }

    fn tell(&mut self, traffic: &Traffic) {
        for at in 0..self.probers.len() {
            let now_ms = self.now_ms;
            let prober = &mut self.probers[at];
            let local_ms = prober.clock.local_ms(now_ms);
            if let Some(process) = prober.process.as_mut().filter(|_| !prober.paused) {
                process.cycle.hear(traffic, local_ms);
                self.plan_wake(at);
            }
        }
    }

    /// The table of the first router, if it has one.
    pub fn table(&self) -> Option<&Table> {
        self.routers.first()?.table.as_ref()
    }

    /// The provider that an endpoint belongs to, by number.
    pub(super) fn provider_of(&self, endpoint: EndpointId) -> usize {
        self.providers.get(&endpoint).copied().unwrap_or(0)
    }
}

/// An empty store on a clock that stands still until it is moved.
fn simulated_store(scale: &Scale) -> (Memory, Arc<AtomicU64>) {
    let limits = Limits { history_revisions: scale.history_revisions, ..Limits::default() };
    let (clock_ms, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let read = Arc::clone(&clock_ms);
    let now = move || began + Duration::from_millis(read.load(Relaxed));
    (Memory::simulated(limits, now), clock_ms)
}
