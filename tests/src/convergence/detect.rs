//! From the death of a provider to every router: with calls flowing, a provider's port is closed and its
//! connections are reset; the time until the last router's table says that it is down. Real probers, routers and
//! etcd; the providers and the callers live in this program.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::Options;
use super::times::Times;
use crate::cluster::{Cluster, Paths, Table, Tally, Verdict};
use crate::provider::Provider;

/// Providers of the one model. Each trial kills the one that has been well for longest, so that those before
/// have time to recover, and never so many are ill that their routers doubt the probers.
const PROVIDERS: u32 = 12;
/// Members of etcd.
const ETCD: usize = 3;
/// Zones.
const ZONES: usize = 3;
/// The model.
const MODEL: &str = "m";
/// Between two calls of the one caller that each router has.
const PAUSE: Duration = Duration::from_millis(50);
/// Between two questions to a router for its verdict: so exact are the times.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// What was measured.
pub struct Detected {
    /// Until the last router.
    pub times: Times,
    /// What became of the calls meanwhile.
    pub tally: Tally,
    /// Routers at one revision had one digest, and after each trial all had the same.
    pub digests_equal: bool,
}

/// Measures.
pub async fn measure(options: &Options) -> Detected {
    let mut providers = Vec::new();
    for number in 0..PROVIDERS {
        providers.push(Provider::start(&format!("provider-{number}")).await.serving(MODEL));
    }
    let all: Vec<&Provider> = providers.iter().collect();
    let plan = Cluster::plan().routers(options.routers as usize).probers(options.probers as usize);
    let plan = plan.zones(ZONES).etcd(ETCD).providers(&all).paths(Paths::Direct);
    let cluster = plan.config(json!({"worker_threads": 1})).start().await;
    let load = cluster.load(MODEL, 1, PAUSE);
    let (mut times, mut digests_equal) = (Times::default(), true);
    for victim in providers.iter().cycle().take(options.trials as usize) {
        cluster.wait_for(&victim.id, Verdict::Up).await;
        let began = Instant::now();
        victim.sim.kill();
        down_everywhere(&cluster, &victim.id).await;
        times.add(began.elapsed());
        digests_equal &= cluster.digests_equal().await;
        victim.sim.revive().expect("its port is its own");
    }
    Detected { times, tally: load.stop().await, digests_equal }
}

async fn down_everywhere(cluster: &Cluster, provider: &str) {
    let mut waits = JoinSet::new();
    for table in cluster.tables.clone() {
        let provider = provider.to_owned();
        waits.spawn(async move { down(&table, &provider).await });
    }
    while waits.join_next().await.is_some() {}
}

async fn down(table: &Table, provider: &str) {
    while table.row(provider).await.verdict() != Verdict::Down {
        sleep(ASK_AGAIN).await;
    }
}
