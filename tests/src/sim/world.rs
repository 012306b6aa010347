//! The world: everybody in it, and one queue of what happens next.

mod others;
mod probers;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use health_prober::probe::Report;
use health_prober::publish::{Ended, Errand};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;
use trunkline_core::assess::Table;
use trunkline_core::catalog::{Catalog, Endpoint};
use trunkline_core::draw::Rng;
use trunkline_core::id::EndpointId;
use trunkline_core::money::PicoUsd;
use trunkline_store::keys::CONFIG;
use trunkline_store::{Expect, Limits, Memory, Store};

use super::liar::Liar;
use super::poll::now;
use super::prober::Prober;
use super::provider::Conduct;
use super::router::Router;
use super::scale::{Scale, provider_name, zone_name};

/// The longest way of one message, in milliseconds.
const WAY_MAX_MS: u64 = 20;
/// How often routers tell what they saw, and everybody looks whether a lease has ended, in milliseconds.
const BEAT_MS: u64 = 1_000;

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
        now(store.put(&key, text.into(), Expect::Absent))
            .expect("at once")
            .expect("an empty store");
        let prober = |at: usize| format!("prober-{at}-{seed}");
        let liars = (0..scale.liars)
            .map(|at| Liar::new(prober(at), zone_name(at, scale.zones), &mut rng))
            .collect();
        let probers = (scale.liars..scale.probers)
            .map(|at| Prober::new(&prober(at), &zone_name(at, scale.zones), scale, &mut rng))
            .collect();
        let routers =
            (0..scale.routers).map(|at| Router::new(&zone_name(at, scale.zones), &store)).collect();
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

    /// The store changed: everybody who reaches it will see it, sooner or later.
    pub(super) fn news(&mut self) {
        (0..self.probers.len()).for_each(|at| self.look_soon(at));
        (0..self.routers.len()).for_each(|at| self.router_looks_soon(at));
    }

    fn break_off(&mut self, what: String) {
        self.breach.get_or_insert(Breach { at_ms: self.now_ms, what });
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
