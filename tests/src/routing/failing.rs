//! How many first attempts hit an endpoint that begins to fail at once, by how many routers share the calls.

use trunkline_core::failure::{Failure, FailureKind};
use trunkline_core::observation::{Counts, Observation, Vote};

use super::ours::{Cluster, works};
use super::queues::{Call, Next, Queue, Street};

/// Endpoints; the first one fails.
const ENDPOINTS: usize = 5;
/// Calls a second, over all routers.
const CALLS_PER_S: f64 = 37.0;
/// How long everything works first.
const CALM_MS: u64 = 30_000;
/// How long the failure is watched.
const FAILING_MS: u64 = 120_000;
/// From the first failure to the verdict in every router, where there is a consensus.
const CONSENSUS_MS: u64 = 1_200;

/// The share of first attempts that hit the failing endpoint, in hundredths of a percent.
pub(super) fn hits_basis_points(routers: usize, consensus: bool, seed: u64) -> u64 {
    let queues = (0..ENDPOINTS).map(|_| Queue::new(usize::MAX, 400, 5_000)).collect();
    let mut street = Street::new(queues, routers, CALLS_PER_S, seed);
    let mut cluster = Cluster::new(routers, &[1; ENDPOINTS]);
    let mut held = std::collections::BTreeMap::new();
    let (mut calls, mut hits) = (0u64, 0u64);
    while let Some((now_ms, next)) = street.next() {
        if now_ms >= CALM_MS + FAILING_MS {
            break;
        }
        if consensus && now_ms >= CALM_MS + CONSENSUS_MS {
            cluster.snapshot = cluster.agreed(|number| if number == 0 { down() } else { works() });
        }
        match next {
            Next::Arrival { router } => {
                let dice = street.dice();
                let Some(endpoint) = cluster.choose(router, dice, now_ms) else { continue };
                let failing = now_ms >= CALM_MS;
                calls += u64::from(failing);
                if failing && endpoint == 0 {
                    hits += 1;
                    let refused = Failure::new(FailureKind::Connect);
                    cluster.load(router, endpoint).failed(&refused, 0, now_ms);
                    continue;
                }
                held.entry((router, endpoint))
                    .or_insert_with(Vec::new)
                    .push(cluster.begin(router, endpoint));
                street.enter(endpoint, Call { router, arrived_ms: now_ms }, now_ms);
            }
            Next::Done { endpoint, router } => {
                _ = held.get_mut(&(router, endpoint)).and_then(Vec::pop);
                cluster.load(router, endpoint).succeeded(now_ms);
                street.leave(endpoint, now_ms);
            }
        }
    }
    hits * 10_000 / calls.max(1)
}

fn down() -> Observation {
    let counts = Counts { health: 20, ..Counts::default() };
    Observation { vote: Vote::Down, counts, ..works() }
}
