//! From the death of a provider to every router: with calls flowing, a provider's port is closed and its
//! connections are reset; the time until the last router's table says that it is down. Real probers, routers and
//! etcd; the providers and the callers live in this program.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use trunkline_core::observation::Vote;
use trunkline_spec::observation::decode_observation;
use trunkline_store::KeyValue;
use trunkline_store::keys::OBSERVATIONS;

use super::Options;
use crate::cluster::{Cluster, Paths, Table, Tally, Verdict, endpoint, until};
use crate::provider::Provider;
use crate::times::Times;

/// Providers of the one model, at least. Each trial kills the one that has been well for longest.
const PROVIDERS_MIN: u32 = 12;
/// How often a provider is killed at most: what falls a third time is kept out for minutes.
const DEATHS_EACH: u32 = 2;
/// A trial begins while at most this part of the providers is ill, a third: half of a model at most is called
/// down, and then the next death would show as a weight alone.
const ILL_DIVISOR: usize = 3;
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
    for number in 0..options.trials.div_ceil(DEATHS_EACH).max(PROVIDERS_MIN) {
        providers.push(Provider::start(&format!("provider-{number}")).await.serving(MODEL));
    }
    let all: Vec<&Provider> = providers.iter().collect();
    let plan = Cluster::plan().routers(options.routers as usize).probers(options.probers as usize);
    let plan = plan.zones(ZONES).etcd(ETCD).providers(&all).paths(Paths::Direct);
    let cluster = plan.config(json!({"worker_threads": 1})).start().await;
    let load = cluster.load(MODEL, 1, PAUSE);
    let (mut times, mut digests_equal) = (Times::default(), true);
    for victim in providers.iter().cycle().take(options.trials as usize) {
        until("it is well", async || well(&cluster, &victim.id).await).await;
        let few = async || ill(&cluster).await <= providers.len() / ILL_DIVISOR;
        until("few are ill", few).await;
        let began = Instant::now();
        victim.sim.kill();
        down_everywhere(&cluster, &victim.id).await;
        times.add(began.elapsed());
        digests_equal &= cluster.digests_equal().await;
        victim.sim.revive().expect("its port is its own");
    }
    Detected { times, tally: load.stop().await, digests_equal }
}

/// Up for every router and for every prober that watches it: what recovers is down again at its first failure,
/// which would measure something else.
async fn well(cluster: &Cluster, provider: &str) -> bool {
    let id = endpoint(provider, MODEL);
    let records = cluster.etcd.list(OBSERVATIONS).await.entries;
    let about = records.iter().filter(|record| record.key.ends_with(id.as_str()));
    let vote = |record: &KeyValue| decode_observation(&record.value).expect("an observation").vote;
    let up = about.map(vote).all(|vote| vote == Vote::Up);
    up && cluster.verdicts(provider).await.iter().all(|verdict| *verdict == Verdict::Up)
}

/// Providers that any router finds anything but up.
async fn ill(cluster: &Cluster) -> usize {
    let mut ill = 0;
    for provider in &cluster.providers {
        let verdicts = cluster.verdicts(&provider.id).await;
        ill += usize::from(verdicts.iter().any(|verdict| *verdict != Verdict::Up));
    }
    ill
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
