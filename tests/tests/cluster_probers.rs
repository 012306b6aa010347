//! What a cluster promises when its probers are dead, mute, lying, paused or cut off: no provider is ejected that
//! works, none is kept that does not, and no call is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use trunkline_core::id::EndpointId;
use trunkline_core::observation::Vote;
use trunkline_store::KeyValue;
use trunkline_store::keys::{OBSERVATIONS, PROBERS};
use trunkline_tests::cluster::{
    Cluster, Condition, Load, Plan, StandIn, Verdict, endpoint, keeps, until,
};
use trunkline_tests::provider::Provider;
use trunkline_tests::router::Router;

const PROVIDERS: [&str; 3] = ["alpha", "beta", "gamma"];
/// Between two calls of one caller.
const PAUSE: Duration = Duration::from_millis(50);
/// How long it is watched that nothing happens.
const A_WHILE: Duration = Duration::from_secs(3);
/// Ten minutes.
const OFF_S: i64 = 600;

async fn plan(probers: usize) -> Plan {
    let mut providers = Vec::new();
    for id in PROVIDERS {
        providers.push(Provider::start(id).await.serving("m"));
    }
    plan_before(&providers, probers)
}

fn plan_before(providers: &[Provider], probers: usize) -> Plan {
    let all: Vec<&Provider> = providers.iter().collect();
    Cluster::plan().routers(3).probers(probers).zones(3).etcd(1).providers(&all)
}

async fn no_ejection(cluster: &Cluster) -> bool {
    for provider in &cluster.providers {
        if cluster.verdicts(&provider.id).await.contains(&Verdict::Down) {
            return false;
        }
    }
    true
}

async fn living(cluster: &Cluster) -> Vec<KeyValue> {
    cluster.etcd.list(PROBERS).await.entries
}

async fn a_death_is_noticed(cluster: &Cluster, provider: &str) {
    cluster.provider(provider).sim.kill();
    cluster.wait_for(provider, Verdict::Down).await;
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probers_die_one_by_one_and_in_the_end_all() {
    let mut cluster = plan(5).await.start().await;
    let load = cluster.load("m", 2, PAUSE);
    for number in 0..2 {
        cluster.probers[number].process.kill();
        keeps("nothing is ejected", A_WHILE, async || no_ejection(&cluster).await).await;
    }
    until("two probers are missed", async || living(&cluster).await.len() == 3).await;
    a_death_is_noticed(&cluster, "alpha").await;
    for number in 2..5 {
        cluster.probers[number].process.kill();
    }
    until("all probers are missed", async || living(&cluster).await.is_empty()).await;
    for provider in PROVIDERS {
        cluster.wait_for(provider, Verdict::Unknown).await;
    }
    cluster.provider("beta").sim.kill();
    keeps("nothing is ejected", A_WHILE, async || no_ejection(&cluster).await).await;
    cluster.agree().await;
    load.stop_without_loss().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_liars_of_five_change_no_verdict() {
    let cluster = plan(3).await.start().await;
    let load = cluster.load("m", 2, PAUSE);
    let all = PROVIDERS.map(|provider| endpoint(provider, "m"));
    let mut liars = Vec::new();
    for (name, zone) in [("liar-0", "zone-0"), ("liar-1", "zone-1")] {
        liars.push(StandIn::join(cluster.etcd.store(), name, zone).await);
    }
    // All is down; one is down; in the end, all is well although one is dead.
    for lie in [&all[..], &all[..1]] {
        tell(&cluster, &mut liars, &all, Vote::Up).await;
        tell(&cluster, &mut liars, lie, Vote::Down).await;
        let up = async || {
            let verdicts = cluster.verdicts("alpha").await;
            verdicts.iter().all(|verdict| *verdict == Verdict::Up) && no_ejection(&cluster).await
        };
        keeps("a lie changes nothing", A_WHILE, up).await;
    }
    tell(&cluster, &mut liars, &all, Vote::Up).await;
    a_death_is_noticed(&cluster, "alpha").await;
    load.stop_without_loss().await;
}

/// All liars say so, and every router has heard it.
async fn tell(cluster: &Cluster, liars: &mut [StandIn], endpoints: &[EndpointId], vote: Vote) {
    let mut last = 0;
    for liar in liars {
        last = liar.vote(endpoints, vote).await;
    }
    cluster.wait_for_revision(last).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prober_that_loses_all_packets_is_not_believed_and_then_missed() {
    let cluster = plan(5).await.start().await;
    let load = cluster.load("m", 2, PAUSE);
    for provider in PROVIDERS {
        cluster.network.set("prober-0", provider, Condition::Lost);
    }
    let doubts = async || {
        let votes = cluster.votes_of("prober-0").await;
        assert!(no_ejection(&cluster).await);
        votes.iter().filter(|vote| matches!(vote, Vote::Suspect | Vote::Down)).count() == 3
    };
    until("prober-0 doubts every provider", doubts).await;
    // Up to now it could still say so.
    cluster.network.set("prober-0", "*", Condition::Lost);
    until("prober-0 is missed", async || {
        assert!(no_ejection(&cluster).await);
        living(&cluster).await.len() == 4
    })
    .await;
    cluster.agree().await;
    load.stop_without_loss().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_that_loses_its_way_out_avoids_what_it_cannot_reach_and_convinces_nobody() {
    let cluster = plan(5).await.start().await;
    let everywhere = cluster.load("m", 2, PAUSE);
    let zone = ["prober-1", "prober-4", "router-1"];
    zone.iter().for_each(|part| cluster.network.set(part, "alpha", Condition::Cut));
    let by_zone = [Verdict::Up, Verdict::ZoneDown, Verdict::Up];
    until("alpha is down for zone-1 alone", async || cluster.verdicts("alpha").await == by_zone)
        .await;
    everywhere.stop_without_loss().await;

    // Now nothing can be served from that zone, and its probers see only their own trouble.
    let elsewhere = load_on(&[&cluster.routers[0], &cluster.routers[2]]);
    for part in zone {
        PROVIDERS.iter().for_each(|to| cluster.network.set(part, to, Condition::Cut));
    }
    for prober in ["prober-1", "prober-4"] {
        until("the zone's probers find everything down", async || {
            assert!(no_ejection(&cluster).await);
            cluster.votes_of(prober).await.iter().all(|vote| *vote == Vote::Down)
        })
        .await;
    }
    cluster.wait_until_up().await;
    cluster.agree().await;
    elsewhere.stop_without_loss().await;
}

fn load_on(routers: &[&Router]) -> Load {
    Load::start(routers.iter().map(|router| router.client()).collect(), "m", 2, PAUSE)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prober_that_was_paused_beyond_its_lease_cannot_write_as_who_it_was() {
    let cluster = plan(5).await.start().await;
    let load = cluster.load("m", 2, PAUSE);
    let zombie = &cluster.probers[0];
    zombie.process.freeze();
    a_death_is_noticed(&cluster, "alpha").await;
    until("the paused prober is missed", async || living(&cluster).await.len() == 4).await;
    let paused_at = cluster.etcd.list(OBSERVATIONS).await.revision;
    zombie.process.thaw();
    let down = async || cluster.verdicts("alpha").await.iter().all(|v| *v == Verdict::Down);
    until("it joins again", async || {
        assert!(down().await, "it spoke with its old voice");
        living(&cluster).await.len() == 5
    })
    .await;
    keeps("alpha is down", A_WHILE, down).await;
    let own = living(&cluster).await.into_iter().find(|entry| entry.key.ends_with("prober-0"));
    let reborn = own.expect("it joined again").create_revision;
    assert!(reborn > paused_at);
    let records = cluster.etcd.list(&format!("{OBSERVATIONS}prober-0/")).await;
    let between = records.entries.iter().map(|record| record.mod_revision);
    let between: Vec<_> = between.filter(|at| *at > paused_at && *at < reborn).collect();
    assert!(between.is_empty(), "written by a dead prober: {between:?}");
    cluster.agree().await;
    load.stop_without_loss().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_that_are_ten_minutes_off_change_nothing() {
    let plan = plan(5).await.clock("router-1", OFF_S).clock("router-2", -OFF_S);
    let mut cluster = plan.clock("prober-1", OFF_S).clock("prober-2", -OFF_S).start().await;
    // Ten minutes change the tens of minutes: the log's times show that the clocks are off indeed.
    let (mut routers, mut probers) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..3 {
        routers.insert(cluster.routers[number].process.told(tens_of_minutes).await);
        probers.insert(cluster.probers[number].process.told(tens_of_minutes).await);
    }
    assert_eq!((routers.len(), probers.len()), (3, 3), "{routers:?} {probers:?}");
    let load = cluster.load("m", 2, PAUSE);
    a_death_is_noticed(&cluster, "alpha").await;
    load.stop_without_loss().await;
}

/// A line's time up to the tens of minutes.
fn tens_of_minutes(line: &str) -> Option<String> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let time = line.get("timestamp")?.as_str()?;
    Some(time.chars().take("2026-11-25T10:1".len()).collect())
}

/// Most probers lose their way out. Nobody can tell from votes who is right; but that almost everything is down
/// at once, to probes alone, is less likely than that the probers are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fourteen_sick_probers_of_twenty_eject_nobody_for_long() {
    let mut providers = Vec::new();
    for number in 0..10 {
        providers.push(Provider::start(&format!("provider-{number}")).await.serving("m"));
    }
    let cluster = plan_before(&providers, 20).start().await;
    // Without calls at first: where enough of them work, no probe can find an endpoint down.
    for number in 0..14 {
        cluster.network.set(&format!("prober-{number}"), "provider-*", Condition::Cut);
    }
    for number in 0..14 {
        let prober = format!("prober-{number}");
        until("every sick prober finds everything down", async || {
            cluster.votes_of(&prober).await.iter().all(|vote| *vote == Vote::Down)
        })
        .await;
    }
    until("nothing is ejected", async || no_ejection(&cluster).await).await;
    let load = cluster.load("m", 2, PAUSE);
    keeps("nothing is ejected", A_WHILE, async || no_ejection(&cluster).await).await;
    cluster.agree().await;
    load.stop_without_loss().await;
}
