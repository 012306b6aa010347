//! What live traffic is worth to the cluster: it finds what no probe can see, it spares paid probes, it is heard
//! before a probe that fails, and one router that lies changes nothing.

use std::time::Duration;

use serde_json::json;
use sim_provider::{Fault, FaultRule, LogEntry};
use trunkline_core::id::EndpointId;
use trunkline_core::observation::Vote;
use trunkline_proto::health::v1::OutcomeCounts;
use trunkline_spec::observation::decode_observation;
use trunkline_store::KeyValue;
use trunkline_store::keys::OBSERVATIONS;
use trunkline_tests::cluster::{Cluster, Verdict, Witness, endpoint, keeps, until};
use trunkline_tests::provider::Provider;

/// Between two calls of one caller.
const PAUSE: Duration = Duration::from_millis(20);
/// How long it is watched that nothing happens.
const A_WHILE: Duration = Duration::from_secs(3);
/// What a liar claims to have seen, each time.
const CLAIM: u64 = 1_000_000;
/// Calls that a provider allows in an hour: some seconds' worth.
const ALLOWANCE: u32 = 1_500;
/// What probes ask and callers of these tests do not.
const PROBE: &str = "Count upwards from one.";

/// Waits until every prober hears of so many routers.
async fn heard(cluster: &Cluster, routers: usize) {
    for prober in &cluster.probers {
        let known = async || prober.metric("trunkline_prober_evidence_routers", "").await;
        until("all routers report to every prober", async || known().await == routers as f64).await;
    }
}

/// Waits until every prober was told of so many more live calls.
async fn told(cluster: &Cluster, calls: f64) {
    for prober in &cluster.probers {
        let sum = async || prober.metric("trunkline_prober_evidence_calls_total", "").await;
        let before = sum().await;
        until("every prober hears of live calls", async || sum().await >= before + calls).await;
    }
}

/// Changes of votes to anything but up, over all probers.
async fn doubts(cluster: &Cluster) -> f64 {
    let mut sum = 0.0;
    for prober in &cluster.probers {
        for vote in [Vote::Suspect, Vote::Degraded, Vote::Down, Vote::Config] {
            let label = format!("vote=\"{}\"", vote.as_str());
            sum += prober.metric("trunkline_prober_vote_changes_total", &label).await;
        }
    }
    sum
}

/// Probes of all probers that ended so.
async fn probes(cluster: &Cluster, labels: &str) -> f64 {
    let mut sum = 0.0;
    for prober in &cluster.probers {
        sum += prober.metric("trunkline_prober_probes_total", labels).await;
    }
    sum
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_calls_bring_down_what_no_probe_can_see() {
    // Probers may only list its models, which goes on working: alone they would find it up for ever.
    let dying = Provider::start("dying").await.serving_as("m", json!({"probe": "list"}));
    let steady = Provider::start("steady").await.serving("m");
    let cluster = Cluster::plan().routers(3).probers(3).zones(3).providers(&[&dying, &steady]);
    let cluster = cluster.start().await;
    heard(&cluster, 3).await;
    let load = cluster.load("m", 2, PAUSE);
    told(&cluster, 100.0).await;
    cluster.provider("dying").fails_for("m", Fault::status(500));
    cluster.wait_for("dying", Verdict::Down).await;
    for table in &cluster.tables {
        let evidence = table.row("dying").await.evidence.expect("what the verdict rests on");
        assert!(evidence.passive && evidence.votes_down >= 2, "{evidence:?}");
    }
    until("every probe has worked", async || {
        let ok = probes(&cluster, "outcome=\"ok\"").await;
        ok > 0.0 && ok == probes(&cluster, "").await
    })
    .await;
    assert!(cluster.routers[0].metric("trunkline_evidence_batches_total", "urgent").await > 0.0);
    assert_eq!(cluster.routers[0].metric("trunkline_evidence_streams", "").await, 3.0);
    load.stop_without_loss().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_that_lies_changes_nothing() {
    let alpha = Provider::start("alpha").await.serving("m");
    let beta = Provider::start("beta").await.serving("m");
    let cluster = Cluster::plan().routers(2).probers(3).zones(3).providers(&[&alpha, &beta]);
    let cluster = cluster.start().await;
    let both = ["alpha", "beta"].map(|provider| endpoint(provider, "m"));
    let load = cluster.load("m", 2, PAUSE);
    let mut liar = Witness::join(&cluster, "liar").await;
    liar.tell(&[], OutcomeCounts::default(), 0).await;
    heard(&cluster, 3).await;
    told(&cluster, 100.0).await;

    let before = doubts(&cluster).await;
    let failing = OutcomeCounts { health: CLAIM, ..OutcomeCounts::default() };
    let refused = OutcomeCounts { config: CLAIM, ..OutcomeCounts::default() };
    let limited = OutcomeCounts { rate_limited: CLAIM, ..OutcomeCounts::default() };
    for (about, lie, in_a_row) in [
        (&both[..], failing, u32::MAX),
        (&both[..1], failing, 3),
        (&both[..], refused, 0),
        (&both[..], limited, 0),
    ] {
        lies_change_nothing(&cluster, &mut liar, (about, lie, in_a_row)).await;
    }
    assert_eq!(doubts(&cluster).await, before, "somebody's vote changed");
    let heard = async || {
        let claimed = cluster.probers[0].metric("trunkline_prober_evidence_calls_total", "");
        claimed.await > CLAIM as f64
    };
    assert!(heard().await, "the lies were not even taken in");

    // That all is well is not believed either.
    cluster.provider("alpha").sim.kill();
    let fine = OutcomeCounts { ok: CLAIM, ..OutcomeCounts::default() };
    until("alpha is down on every router", async || {
        liar.tell(&both, fine, 0).await;
        cluster.verdicts("alpha").await.iter().all(|verdict| *verdict == Verdict::Down)
    })
    .await;
    load.stop_without_loss().await;
}

async fn lies_change_nothing(
    cluster: &Cluster,
    liar: &mut Witness,
    (about, lie, in_a_row): (&[EndpointId], OutcomeCounts, u32),
) {
    keeps("a lie changes nothing", A_WHILE, async || {
        liar.tell(about, lie, in_a_row).await;
        let mut rows = Vec::new();
        for table in &cluster.tables {
            rows.extend([table.row("alpha").await, table.row("beta").await]);
        }
        rows.iter().all(|row| {
            row.verdict() == Verdict::Up && row.success_permille.is_some_and(|p| p >= 950)
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_live_calls_work_no_probe_is_paid_and_none_that_fails_is_believed() {
    let only = Provider::start("only").await.serving("m");
    let cluster = Cluster::plan().probers(3).zones(3).providers(&[&only]).start().await;
    let paid = || cluster.provider("only").saw("m").into_iter().filter(is_probe).count();
    until("a probe is paid while there is no traffic", async || paid() > 0).await;
    heard(&cluster, 1).await;
    let load = cluster.load("m", 2, PAUSE);
    told(&cluster, 100.0).await;

    // Lists fail and calls go on: every prober suspects, and would now ask for a generation.
    let before = paid();
    let lists = FaultRule::from(Fault::status(500)).for_model("");
    cluster.provider("only").fails_with(lists);
    for prober in &cluster.probers {
        let failed = async || {
            let labels = "outcome=\"server_error\"";
            prober.metric("trunkline_prober_probes_total", labels).await
        };
        until("every prober fails again and again", async || failed().await >= 3.0).await;
    }
    keeps("it is up", A_WHILE, async || {
        cluster.verdicts("only").await.iter().all(|verdict| *verdict == Verdict::Up)
    })
    .await;
    assert!(probes(&cluster, "outcome=\"server_error\"").await >= 9.0);
    assert_eq!(paid(), before, "a probe was paid although live calls told as much");

    // It was the traffic that spared them: without it they ask.
    load.stop_without_loss().await;
    until("a probe is paid again", async || paid() > before).await;
}

fn is_probe(entry: &LogEntry) -> bool {
    String::from_utf8_lossy(&entry.body).contains(PROBE)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_answers_tell_of_the_room_that_is_left_moves_calls_away_before_it_is_gone() {
    let alpha = Provider::start("alpha").await.serving("m");
    let beta = Provider::start("beta").await.serving("m");
    let plan = Cluster::plan().routers(3).probers(3).zones(3).providers(&[&alpha, &beta]);
    let cluster = plan.start().await;
    heard(&cluster, 3).await;
    let limit = Fault::RateLimit { requests: ALLOWANCE, window_ms: 3_600_000 };
    alpha.fails_with(FaultRule::from(limit).for_model("m"));
    let load = cluster.load("m", 2, PAUSE);
    let id = endpoint("alpha", "m");
    let told = async || {
        let records = cluster.etcd.list(OBSERVATIONS).await.entries;
        let about = records.iter().filter(|record| record.key.ends_with(id.as_str()));
        let read = |record: &KeyValue| decode_observation(&record.value).expect("an observation");
        about.map(read).filter_map(|o| Some((o.capacity.limit_requests?, o.capacity))).next()
    };
    until("probers tell of alpha's allowance", async || told().await.is_some()).await;
    let (allowance, _) = told().await.expect("just told");
    assert_eq!(allowance, u64::from(ALLOWANCE));
    let weight = async |provider: &str| cluster.tables[0].row(provider).await.weight_q16;
    until("alpha weighs less than half of beta", async || {
        weight("alpha").await * 2 < weight("beta").await
    })
    .await;
    assert!(
        cluster.verdicts("alpha").await.iter().all(|v| *v == Verdict::Up),
        "that is no illness"
    );
    load.stop_without_loss().await;
}
