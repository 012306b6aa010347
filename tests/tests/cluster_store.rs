//! What a cluster promises when etcd fails: calls go on, nothing is ejected for want of information, and once
//! etcd is back all routers have one table again. Real etcd, real processes.

use std::time::Duration;

use serde_json::json;
use trunkline_store::keys::ROOT;
use trunkline_store::{Expect, Store};
use trunkline_tests::cluster::{Cluster, Condition, Plan, Verdict, keeps, until};
use trunkline_tests::provider::Provider;

/// Between two calls of one caller.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a failure is looked at.
const A_WHILE: Duration = Duration::from_secs(5);
/// Longer than the leases of probers live.
const FROZEN: Duration = Duration::from_secs(20);

async fn plan(etcd: usize) -> Plan {
    let mut providers = Vec::new();
    for id in ["alpha", "beta", "gamma"] {
        providers.push(Provider::start(id).await.serving("m"));
    }
    let all: Vec<&Provider> = providers.iter().collect();
    let timeouts = json!({"timeouts": {"first_content_ms": 2_000}});
    Cluster::plan().routers(3).probers(5).zones(3).etcd(etcd).providers(&all).policy(timeouts)
}

async fn no_ejection(cluster: &Cluster) -> bool {
    for provider in &cluster.providers {
        if cluster.verdicts(&provider.id).await.contains(&Verdict::Down) {
            return false;
        }
    }
    true
}

/// Kills a provider and waits until all routers agree that it is down.
async fn a_death_is_still_noticed(cluster: &Cluster, provider: &str) {
    cluster.provider(provider).sim.kill();
    cluster.wait_for(provider, Verdict::Down).await;
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_of_etcd_dies() {
    let mut cluster = plan(3).await.start().await;
    let load = cluster.load("m", 2, PAUSE);
    let leader = cluster.etcd.leader().await;
    cluster.etcd.kill(leader);
    a_death_is_still_noticed(&cluster, "alpha").await;
    load.stop_without_loss().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_quorum_is_lost_while_a_provider_dies() {
    let mut cluster = plan(3).await.start().await;
    let load = cluster.load("m", 2, PAUSE);
    cluster.etcd.kill(0);
    cluster.etcd.kill(1);
    cluster.provider("alpha").sim.kill();
    keeps("nothing is ejected", A_WHILE, async || no_ejection(&cluster).await).await;
    cluster.etcd.restart(0, Some(&cluster.network));
    cluster.etcd.restart(1, Some(&cluster.network));
    cluster.wait_for("alpha", Verdict::Down).await;
    cluster.agree().await;
    load.stop_without_loss().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_etcd_is_gone_under_load() {
    let mut cluster = plan(3).await.start().await;
    let load = cluster.load("m", 2, PAUSE);
    (0..cluster.etcd.count()).for_each(|member| cluster.etcd.kill(member));
    let up = async || cluster.verdicts("alpha").await.iter().all(|v| *v == Verdict::Up);
    keeps("the last table is in force", A_WHILE, up).await;
    for member in 0..cluster.etcd.count() {
        cluster.etcd.restart(member, Some(&cluster.network));
    }
    cluster.etcd.wait_until_serving().await;
    a_death_is_still_noticed(&cluster, "alpha").await;
    load.stop_without_loss().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_compacted_while_a_router_hears_nothing() {
    let cluster = plan(1).await.start().await;
    let load = cluster.load("m", 2, PAUSE);
    cluster.network.set("router-0", "etcd-*", Condition::Lost);
    a_death_is_noticed_by_others(&cluster).await;
    let store = cluster.etcd.store();
    let written = store.put("/elsewhere", "1".into(), Expect::Any).await;
    cluster.etcd.compact(written.expect("a write").0).await;
    cluster.network.heal();
    cluster.wait_for("alpha", Verdict::Down).await;
    cluster.agree().await;
    load.stop_without_loss().await;
}

/// All but `router-0` learn of a death.
async fn a_death_is_noticed_by_others(cluster: &Cluster) {
    cluster.provider("alpha").sim.kill();
    let seen = async || {
        let verdicts = cluster.verdicts("alpha").await;
        assert_ne!(verdicts.first(), Some(&Verdict::Down), "it cannot have heard of it");
        verdicts.iter().skip(1).all(|verdict| *verdict == Verdict::Down)
    };
    until("the others find alpha down", seen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_etcd_ejects_nobody() {
    let cluster = plan(3).await.start().await;
    let load = cluster.load("m", 2, PAUSE);
    cluster.etcd.freeze();
    keeps("nothing is ejected", FROZEN, async || no_ejection(&cluster).await).await;
    cluster.etcd.thaw();
    // Leases may have run out all at once: that is no evidence against anybody.
    keeps("nothing is ejected", A_WHILE, async || no_ejection(&cluster).await).await;
    cluster.wait_until_up().await;
    cluster.agree().await;
    load.stop_without_loss().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_has_no_space_left_while_a_provider_dies() {
    let cluster = plan(1).await.start().await;
    let load = cluster.load("m", 2, PAUSE);
    cluster.etcd.run_out_of_space().await;
    let refused = cluster.etcd.store().put("/elsewhere", "1".into(), Expect::Any).await;
    assert!(refused.is_err(), "etcd takes writes: nothing was tested");
    cluster.provider("alpha").sim.kill();
    keeps("nothing is ejected", A_WHILE, async || no_ejection(&cluster).await).await;
    cluster.etcd.have_space_again().await;
    cluster.wait_for("alpha", Verdict::Down).await;
    cluster.agree().await;
    load.stop_without_loss().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routers_cannot_be_kept_apart_by_a_slow_store() {
    let cluster = plan(3).await.start().await;
    let load = cluster.load("m", 2, PAUSE);
    cluster.network.set("router-*", "etcd-*", Condition::Delayed(Duration::from_millis(150)));
    cluster.network.set("etcd-0", "etcd-*", Condition::Delayed(Duration::from_millis(20)));
    a_death_is_still_noticed(&cluster, "alpha").await;
    let listed = cluster.etcd.store().list(ROOT).await.expect("etcd serves");
    assert!(listed.revision.0 > 0);
    load.stop_without_loss().await;
}
