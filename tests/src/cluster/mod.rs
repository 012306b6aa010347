//! A whole cluster of real processes: etcd, routers and probers, before simulated providers, with a door between
//! any two parts that can be told to misbehave. Dropping it ends its own children and nothing else.
//!
//! ```no_run
//! # async fn story() {
//! use trunkline_tests::cluster::Cluster;
//! use trunkline_tests::provider::Provider;
//! let alpha = Provider::start("alpha").await.serving("m");
//! let beta = Provider::start("beta").await.serving("m");
//! let cluster = Cluster::plan().routers(3).probers(5).zones(3).etcd(3).providers(&[&alpha, &beta]);
//! let cluster = cluster.start().await;
//! # }
//! ```

mod door;
mod etcd;
mod load;
mod network;
mod owner;
mod plan;
mod prober;
mod stand_in;
mod table;
mod witness;
mod wrong_clock;

use std::collections::BTreeSet;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep};
use trunkline_core::observation::Vote;
use trunkline_spec::observation::decode_observation;
use trunkline_store::KeyValue;
use trunkline_store::keys::OBSERVATIONS;

use crate::provider::Provider;
use crate::router::Router;

pub use door::Condition;
pub use etcd::{Members, Port};
pub use load::{Load, Tally};
pub use network::Network;
pub use plan::{Paths, Plan};
pub use prober::Prober;
pub use stand_in::{StandIn, endpoint};
pub use table::Table;
pub use trunkline_proto::health::v1::Verdict;
pub use witness::Witness;

/// The longest that anything these tests wait for may take on a loaded machine. Nothing is proven by it.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks at what is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Clusters of one program run one after the other: together they would only measure how busy the machine is.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// A cluster that runs. Routers are called `router-0` and so on, probers `prober-0`, members `etcd-0`, and
/// providers as the catalog calls them.
pub struct Cluster {
    /// The routers.
    pub routers: Vec<Router>,
    /// What each router's admin API shows, in the routers' order.
    pub tables: Vec<Table>,
    /// The probers.
    pub probers: Vec<Prober>,
    /// The members of etcd.
    pub etcd: Members,
    /// The providers.
    pub providers: Vec<Provider>,
    /// What lies between all of them.
    pub network: Network,
    plan: Plan,
    folder: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Cluster {
    /// A plan of one router, one prober and one member of etcd, in one zone.
    #[must_use]
    pub fn plan() -> Plan {
        Plan::default()
    }

    /// The zone of the router or prober with this number.
    #[must_use]
    pub fn zone_of(number: usize, zones: usize) -> String {
        format!("zone-{}", number % zones.max(1))
    }

    /// Starts one more router beside the one with this number, under another name, and waits until it is ready.
    pub async fn another_router(&self, number: usize) -> Router {
        let name = format!("router-{number}-anew");
        self.plan.router(&name, number, &self.etcd, &self.folder).start().await
    }

    /// Asks a prober to end, and starts it again under its name; waits until it has its voice back.
    ///
    /// # Panics
    /// When it does not end, or does not come back.
    pub async fn restart_prober(&mut self, number: usize) {
        self.probers.remove(number).process.end().await;
        let again = self.plan.start_prober(number, &self.etcd, &self.folder);
        until("the prober is ready", async || again.is_ready().await).await;
        self.probers.insert(number, again);
    }

    /// Calls a model through every router without end.
    #[must_use]
    pub fn load(&self, model: &str, callers_each: usize, pause: Duration) -> Load {
        let clients = self.routers.iter().map(Router::client);
        Load::start(clients.collect(), model, callers_each, pause)
    }

    /// The verdict of every router on a provider's first endpoint.
    pub async fn verdicts(&self, provider: &str) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for table in &self.tables {
            verdicts.push(table.row(provider).await.verdict());
        }
        verdicts
    }

    /// Waits until every router has this verdict on a provider.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn wait_for(&self, provider: &str, verdict: Verdict) {
        let everywhere =
            async || self.verdicts(provider).await.iter().all(|found| *found == verdict);
        until(&format!("{provider} is {verdict:?} on every router"), everywhere).await;
    }

    /// Waits until all providers are up on every router.
    pub async fn wait_until_up(&self) {
        for provider in &self.providers {
            self.wait_for(&provider.id, Verdict::Up).await;
        }
    }

    /// Waits until every router has the same table.
    ///
    /// # Panics
    /// When they do not come to, or when two routers at one revision had different ones.
    pub async fn agree(&self) {
        assert!(self.digests_equal().await, "routers have different tables");
    }

    /// Waits until every router has the same table. False when they do not come to, and at once when two
    /// routers at one revision have different digests: no delay excuses that.
    pub async fn digests_equal(&self) -> bool {
        let (mut seen, deadline) = (table::Digests::default(), Instant::now() + PATIENCE);
        while Instant::now() < deadline {
            let mut digests = BTreeSet::new();
            for table in &self.tables {
                let status = table.status().await;
                if !seen.fits(&status) {
                    return false;
                }
                digests.insert(status.table_digest);
            }
            if digests.len() <= 1 {
                return true;
            }
            sleep(LOOK_AGAIN).await;
        }
        false
    }

    /// Waits until every router has applied this revision.
    ///
    /// # Panics
    /// When one does not.
    pub async fn wait_for_revision(&self, revision: u64) {
        for table in &self.tables {
            let applied = async || table.revision().await >= revision;
            until(&format!("every router applies revision {revision}"), applied).await;
        }
    }

    /// What a prober says in the store, endpoint by endpoint.
    ///
    /// # Panics
    /// When the store does not answer, or holds what is no observation.
    pub async fn votes_of(&self, prober: &str) -> Vec<Vote> {
        let records = self.etcd.list(&format!("{OBSERVATIONS}{prober}/")).await.entries;
        let vote = |record: &KeyValue| {
            decode_observation(&record.value).expect("an observation in the store").vote
        };
        records.iter().map(vote).collect()
    }

    /// The provider of this name.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn provider(&self, id: &str) -> &Provider {
        self.providers.iter().find(|p| p.id == id).expect("a provider of that name")
    }
}

/// Waits until something holds.
///
/// # Panics
/// When it does not, for longer than any healthy cluster takes.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "it never came about that {what}");
        sleep(LOOK_AGAIN).await;
    }
}

/// Watches for a while that something keeps holding.
///
/// # Panics
/// At the first moment at which it does not.
pub async fn keeps(what: &str, lasting: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + lasting;
    while Instant::now() < end {
        assert!(holds().await, "it was no longer so that {what}");
        sleep(LOOK_AGAIN).await;
    }
}
