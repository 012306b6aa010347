//! How many first attempts are turned away by the rate limit of the cheapest endpoint, with and without what
//! the probers learn of it.

use health_prober::damping::LearnedCap;
use trunkline_core::failure::{Failure, FailureKind};
use trunkline_core::observation::{Capacity, Counts, Observation};
use trunkline_core::window::Window;

use super::ours::{Cluster, works};
use super::queues::{Call, Next, Queue, Street};

/// Routers.
const ROUTERS: usize = 20;
/// Prices: the first is the cheapest, by so much that it draws most of the calls.
const USD: [u32; 5] = [1, 4, 4, 4, 4];
/// Calls a second that each endpoint could take: a fifth of all.
const LIMIT_PER_S: u64 = 8;
/// Half of what all could take together.
const CALLS_PER_S: f64 = LIMIT_PER_S as f64 * USD.len() as f64 / 2.0;
/// Time between two publications.
const PUBLISH_MS: u64 = 5_000;
/// From a publication to the routers.
const DELAY_MS: u64 = 1_000;
/// What happens before is not counted: the "within 60 s".
const LEARN_MS: u64 = 60_000;
/// How long is counted.
const COUNT_MS: u64 = 600_000;

/// Who holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// Nobody.
    None,
    /// Each router for itself: cooldown and throttle.
    Local,
    /// Each router, and the cap that probers learn.
    Learned,
}

/// First attempts that are refused after the first minute, in hundredths of a percent.
pub(super) fn refused_basis_points(guard: Guard) -> u64 {
    let queues = USD.iter().map(|_| Queue::new(usize::MAX, 400, 5_000)).collect();
    let mut street = Street::new(queues, ROUTERS, CALLS_PER_S, 7);
    let mut cluster = Cluster::new(ROUTERS, &USD);
    let mut prober = Prober::default();
    let (mut taken, mut second) = (0u64, 0u64);
    let (mut calls, mut refused) = (0u64, 0u64);
    let mut held = std::collections::BTreeMap::new();
    while let Some((now_ms, next)) = street.next() {
        if now_ms >= LEARN_MS + COUNT_MS {
            break;
        }
        if guard == Guard::Learned {
            prober.turn(&mut cluster, now_ms);
        }
        let Next::Arrival { router } = next else {
            let Next::Done { endpoint, router } = next else { continue };
            _ = held.get_mut(&(router, endpoint)).and_then(Vec::pop);
            street.leave(endpoint, now_ms);
            continue;
        };
        let dice = street.dice();
        let Some(endpoint) = cluster.choose(router, dice, now_ms) else { continue };
        calls += u64::from(now_ms >= LEARN_MS);
        if second != now_ms / 1_000 {
            (second, taken) = (now_ms / 1_000, 0);
        }
        if endpoint == 0 && taken >= LIMIT_PER_S {
            refused += u64::from(now_ms >= LEARN_MS);
            prober.saw(Counts { rate_limited: 1, ..Counts::default() }, now_ms);
            if guard != Guard::None {
                let limit = Failure::new(FailureKind::RateLimited);
                cluster.load(router, endpoint).failed(&limit, 0, now_ms);
            }
            continue;
        }
        if endpoint == 0 {
            taken += 1;
            prober.saw(Counts { ok: 1, ..Counts::default() }, now_ms);
        }
        cluster.load(router, endpoint).succeeded(now_ms);
        held.entry((router, endpoint))
            .or_insert_with(Vec::new)
            .push(cluster.begin(router, endpoint));
        street.enter(endpoint, Call { router, arrived_ms: now_ms }, now_ms);
    }
    refused * 10_000 / calls.max(1)
}

/// What the probers make of the cheapest endpoint's live calls.
#[derive(Default)]
struct Prober {
    window: Window,
    cap: LearnedCap,
    published_ms: u64,
    shown: Option<(u64, Option<u16>)>,
}

impl Prober {
    fn saw(&mut self, counts: Counts, now_ms: u64) {
        self.window.count(&counts, now_ms);
    }

    fn turn(&mut self, cluster: &mut Cluster, now_ms: u64) {
        if now_ms >= self.published_ms + PUBLISH_MS {
            self.published_ms = now_ms;
            let recent = self.window.recent_counts(now_ms);
            let refused = u64::from(recent.rate_limited);
            self.cap.feed((recent.judged() + refused, refused), now_ms);
            self.shown = Some((now_ms + DELAY_MS, self.cap.permille()));
        }
        if let Some((_, cap)) = self.shown.take_if(|(at_ms, _)| *at_ms <= now_ms) {
            let capped = |number: usize| {
                let learned_cap_permille = cap.filter(|_| number == 0);
                let capacity = Capacity { learned_cap_permille, ..Capacity::default() };
                Observation { capacity, ..works() }
            };
            cluster.snapshot = cluster.agreed(capped);
        }
    }
}
