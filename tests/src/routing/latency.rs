//! How long callers wait for the first content, under load, by how their routers choose.

use std::collections::BTreeMap;

use health_prober::damping::DampedLatency;
use router_node::load::InFlight;
use trunkline_core::observation::Observation;
use trunkline_core::score::Bucket;
use trunkline_core::snapshot::Snapshot;
use trunkline_core::window::{Timings, Window};

use super::ours::{Cluster, works};
use super::queues::{Call, Next, Queue, Served, Street};

/// Routers.
const ROUTERS: usize = 20;
/// Endpoints, and how soon each begins to answer, in milliseconds.
const TTFT_MS: [u64; 5] = [380, 395, 410, 425, 440];
/// From the first content to the end.
const REST_MS: u64 = 600;
/// Calls that each endpoint serves at once.
const SLOTS: usize = 40;
/// Time between two publications of what was measured.
const PUBLISH_MS: u64 = 5_000;
/// From a publication to the routers.
const DELAY_MS: u64 = 1_000;
/// Calls before this time are not counted.
const WARM_UP_MS: u64 = 30_000;
/// Nor do any arrive after this one.
const END_MS: u64 = 300_000;

/// How routers choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The endpoint with the lowest published latency.
    Fastest,
    /// In proportion to one over the square of the published latency.
    InverseSquare,
    /// Any, with equal chances.
    Random,
    /// As ours do.
    Ours,
}

/// What is measured, and what was published of it.
struct Board {
    windows: Vec<Window>,
    damped: Vec<DampedLatency>,
    /// Of the last publication: mean times in milliseconds.
    mean_ms: Vec<f64>,
    recent: Vec<(u64, u64)>,
    coming: BTreeMap<u64, News>,
    next_ms: u64,
}

struct News {
    mean_ms: Vec<f64>,
    snapshot: Snapshot,
}

impl Board {
    fn new(endpoints: usize) -> Self {
        Self {
            windows: vec![Window::default(); endpoints],
            damped: vec![DampedLatency::default(); endpoints],
            mean_ms: TTFT_MS.iter().map(|ms| *ms as f64).collect(),
            recent: vec![(0, 0); endpoints],
            coming: BTreeMap::new(),
            next_ms: PUBLISH_MS,
        }
    }

    fn see(&mut self, served: Served) {
        let mut timings = Timings::default();
        let ttft_ms = u32::try_from(served.ttft_ms).unwrap_or(u32::MAX);
        timings.ttft.add(Bucket::of(ttft_ms), 1);
        // Known when it comes; a window never goes back, so what comes is seen a little early.
        self.windows[served.endpoint].time(&timings, served.at_ms - served.at_ms % 1_000);
        let (count, sum) = &mut self.recent[served.endpoint];
        (*count, *sum) = (*count + 1, *sum + served.ttft_ms);
    }

    /// Publishes whatever is due, and lets what was published reach the routers.
    fn turn(&mut self, cluster: &mut Cluster, now_ms: u64) {
        while self.next_ms <= now_ms {
            let at_ms = self.next_ms;
            self.next_ms += PUBLISH_MS;
            let mut mean_ms = self.mean_ms.clone();
            for (mean, recent) in mean_ms.iter_mut().zip(&mut self.recent) {
                let (count, sum) = std::mem::take(recent);
                if count > 0 {
                    *mean = sum as f64 / count as f64;
                }
            }
            for (damped, window) in self.damped.iter_mut().zip(&self.windows) {
                damped.feed(&window.latency(at_ms), at_ms);
                damped.shown(&damped.next());
            }
            let said = |n: usize| Observation { latency: self.damped[n].next(), ..works() };
            let snapshot = cluster.agreed(said);
            self.coming.insert(at_ms + DELAY_MS, News { mean_ms, snapshot });
        }
        while let Some(first) = self.coming.first_entry().filter(|news| *news.key() <= now_ms) {
            let News { mean_ms, snapshot } = first.remove();
            (self.mean_ms, cluster.snapshot) = (mean_ms, snapshot);
        }
    }
}

/// The 99th percentile of the time to the first content, in milliseconds, at a load in percent of what all
/// endpoints can serve when they are whole; the last may have half its slots.
pub(super) fn p99_ms(rule: Rule, load_percent: u32, half: bool) -> u64 {
    let whole = |ttft_ms: &u64| Queue::new(SLOTS, *ttft_ms, REST_MS);
    let mut queues: Vec<Queue> = TTFT_MS.iter().map(whole).collect();
    let capacity: f64 = queues.iter().map(Queue::capacity).sum();
    if let Some(last) = queues.last_mut().filter(|_| half) {
        last.slots /= 2;
    }
    let calls_per_s = capacity * f64::from(load_percent) / 100.0;
    let mut street = Street::new(queues, ROUTERS, calls_per_s, u64::from(load_percent));
    let mut cluster = Cluster::new(ROUTERS, &[1; TTFT_MS.len()]);
    let mut board = Board::new(TTFT_MS.len());
    let mut held: BTreeMap<(usize, usize), Vec<InFlight>> = BTreeMap::new();
    let mut waits: Vec<u64> = Vec::new();
    while let Some((now_ms, next)) = street.next() {
        // Whoever still waits at the end is served, too: else the longest waits would not count.
        if now_ms >= END_MS && held.values().all(Vec::is_empty) {
            break;
        }
        board.turn(&mut cluster, now_ms);
        let served = match next {
            Next::Arrival { .. } if now_ms >= END_MS => None,
            Next::Arrival { router } => {
                let endpoint = choose(rule, router, &board, &cluster, (street.dice(), now_ms));
                held.entry((router, endpoint)).or_default().push(cluster.begin(router, endpoint));
                street.enter(endpoint, Call { router, arrived_ms: now_ms }, now_ms)
            }
            Next::Done { endpoint, router } => {
                _ = held.get_mut(&(router, endpoint)).and_then(Vec::pop);
                street.leave(endpoint, now_ms)
            }
        };
        if let Some(served) = served {
            board.see(served);
            if now_ms >= WARM_UP_MS {
                waits.push(served.ttft_ms);
            }
        }
    }
    waits.sort_unstable();
    waits.get(waits.len() * 99 / 100).copied().unwrap_or(0)
}

fn choose(
    rule: Rule,
    router: usize,
    board: &Board,
    cluster: &Cluster,
    (dice, now_ms): (u64, u64),
) -> usize {
    let uniform = (dice >> 11) as f64 / (1u64 << 53) as f64;
    match rule {
        Rule::Fastest => {
            let fastest = board.mean_ms.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1));
            fastest.map_or(0, |(at, _)| at)
        }
        Rule::InverseSquare => {
            let weights: Vec<f64> = board.mean_ms.iter().map(|ms| 1.0 / (ms * ms)).collect();
            let mut point = uniform * weights.iter().sum::<f64>();
            let hit = weights.iter().position(|weight| {
                point -= weight;
                point < 0.0
            });
            hit.unwrap_or(0)
        }
        Rule::Random => (uniform * TTFT_MS.len() as f64) as usize,
        Rule::Ours => cluster.choose(router, dice, now_ms).unwrap_or(0),
    }
}
