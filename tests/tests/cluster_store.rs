//! What a cluster promises when etcd fails: calls go on, nothing is ejected for want of information, and once
//! etcd is back all routers have one table again. Real etcd, real processes.

use std::time::Duration;

use serde_json::json;
use trunkline_core::observation::Vote;
use trunkline_store::keys::CONFIG;
use trunkline_store::{Expect, Store, Txn};
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
    cluster.etcd.restart(0);
    cluster.etcd.restart(1);
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
        cluster.etcd.restart(member);
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
async fn a_slow_way_to_a_slow_store_keeps_no_router_behind() {
    let cluster = plan(3).await.start().await;
    let load = cluster.load("m", 2, PAUSE);
    cluster.network.set("router-0", "etcd-*", Condition::Delayed(Duration::from_millis(300)));
    cluster.network.set("etcd-*", "etcd-*", Condition::Delayed(Duration::from_millis(20)));
    a_death_is_still_noticed(&cluster, "alpha").await;
    load.stop_without_loss().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_restored_from_an_old_backup_is_told_again_what_it_forgot() {
    let mut cluster = plan(1).await.start().await;
    let load = cluster.load("m", 2, PAUSE);
    cluster.etcd.back_up();
    cluster.etcd.wait_until_serving().await;
    a_death_is_still_noticed(&cluster, "alpha").await;
    cluster.etcd.restore();
    cluster.etcd.wait_until_serving().await;
    let said = async || {
        let mut votes = Vec::new();
        for prober in &cluster.probers {
            votes.extend(cluster.votes_of(&prober.name).await);
        }
        votes.iter().filter(|vote| **vote == Vote::Down).count() == cluster.probers.len()
    };
    until("every prober has said again that alpha is down", said).await;
    cluster.wait_for("alpha", Verdict::Down).await;
    cluster.agree().await;
    load.stop_without_loss().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalog_deleted_by_accident_stays_in_force() {
    let cluster = plan(1).await.start().await;
    let load = cluster.load("m", 2, PAUSE);
    let store = cluster.etcd.store();
    let catalogs = cluster.etcd.list(&format!("{CONFIG}catalog")).await.entries;
    let all = catalogs.iter().fold(Txn::new(), |txn, entry| txn.delete(&entry.key));
    let deleted = store.commit(all).await.expect("etcd takes writes").revision;
    cluster.wait_for_revision(deleted.0).await;
    a_death_is_still_noticed(&cluster, "alpha").await;
    load.stop_without_loss().await;
}
