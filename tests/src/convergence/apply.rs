//! From a vote to every router: the time from sending the transaction to the moment at which the last router
//! serves calls from a table that has it. The probers are played by this program, so that nothing else is
//! written meanwhile; store, routers and the size of what they compute are real.

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use trunkline_core::id::EndpointId;
use trunkline_core::observation::Vote;

use super::Options;
use crate::cluster::{Cluster, Paths, StandIn, Table, endpoint};
use crate::provider::Provider;
use crate::times::Times;

/// Providers that the endpoints are spread over, as many for each.
const PROVIDERS: u32 = 20;
/// Members of etcd.
const ETCD: usize = 3;
/// Zones.
const ZONES: usize = 3;
/// Between two questions to a router whether it has applied the vote: so exact are the times.
const ASK_AGAIN: std::time::Duration = std::time::Duration::from_millis(5);
/// A step through the endpoints that meets all of them: a prime.
const STRIDE: usize = 613;

/// What was measured.
pub struct Applied {
    /// Until the last router.
    pub times: Times,
    /// Routers at one revision had one digest, and in the end all had the same.
    pub digests_equal: bool,
}

/// Measures.
pub async fn measure(options: &Options) -> Applied {
    let (providers, endpoints) = catalog(options.endpoints).await;
    let all: Vec<&Provider> = providers.iter().collect();
    let plan = Cluster::plan().routers(options.routers as usize).probers(0).zones(ZONES).etcd(ETCD);
    let plan = plan.providers(&all).paths(Paths::Direct).config(json!({"worker_threads": 1}));
    let cluster = plan.start_unmeasured().await;
    let mut probers = Vec::new();
    for number in 0..options.probers as usize {
        let (name, zone) = (format!("prober-{number}"), Cluster::zone_of(number, ZONES));
        let mut prober = StandIn::join(cluster.etcd.store(), &name, &zone).await;
        let revision = prober.vote(&endpoints, Vote::Up).await;
        cluster.wait_for_revision(revision).await;
        probers.push(prober);
    }
    let mut times = Times::default();
    for trial in 0..options.trials as usize {
        let prober = trial % probers.len();
        // Every second time the vote is taken back.
        let vote = if (trial / probers.len()).is_multiple_of(2) { Vote::Suspect } else { Vote::Up };
        let about = (trial / (2 * probers.len()) * STRIDE) % endpoints.len();
        let began = Instant::now();
        let revision = probers[prober].vote(&endpoints[about..=about], vote).await;
        applied_by_all(&cluster, revision).await;
        times.add(began.elapsed());
    }
    Applied { times, digests_equal: cluster.digests_equal().await }
}

/// Providers and the ids of their endpoints.
async fn catalog(endpoints: u32) -> (Vec<Provider>, Vec<EndpointId>) {
    let (mut providers, mut ids) = (Vec::new(), Vec::new());
    for number in 0..PROVIDERS {
        let name = format!("provider-{number}");
        let mut provider = Provider::start(&name).await;
        for model in 0..endpoints / PROVIDERS {
            let model = format!("model-{model}");
            provider = provider.serving(&model);
            ids.push(endpoint(&name, &model));
        }
        providers.push(provider);
    }
    (providers, ids)
}

/// Waits for every router at once: one after the other, a slow one would hide the others.
async fn applied_by_all(cluster: &Cluster, revision: u64) {
    let mut waits = JoinSet::new();
    for table in cluster.tables.clone() {
        waits.spawn(async move { applied(&table, revision).await });
    }
    while waits.join_next().await.is_some() {}
}

async fn applied(table: &Table, revision: u64) {
    while table.revision().await < revision {
        sleep(ASK_AGAIN).await;
    }
}
