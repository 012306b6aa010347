//! What a cluster promises when providers die, fall silent, slow down or refuse: every router learns of it, and
//! no call is lost that another provider could serve.

use std::time::Duration;

use serde_json::json;
use sim_provider::{Fault, FaultRule};
use tokio::time::{Instant, sleep_until};
use trunkline_tests::cluster::{Cluster, Plan, Verdict, keeps, until};
use trunkline_tests::provider::Provider;

/// Between two calls of one caller.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a slow provider is watched.
const A_WHILE: Duration = Duration::from_secs(10);
/// What a slow provider takes to its first content.
const SLOW_MS: u64 = 700;
/// What the cheapest provider takes in ten seconds before it refuses.
const CHEAP_REQUESTS: u32 = 20;
/// Time that the routers have to learn how much the cheapest takes …
const LEARNING: Duration = Duration::from_secs(25);
/// … and then time in which its refusals are counted: together less than the minute that is promised.
const COUNTING: Duration = Duration::from_secs(15);

/// A turn of a provider that flaps: long enough to be called down, and up again were it not for its past.
const FLAP_EVERY: Duration = Duration::from_secs(4);
/// Its turns: without a memory for falls, each would change the verdict.
const FLAPS: usize = 16;
/// Changes of its verdict, at most: what is promised for ten minutes.
const FLAP_CHANGES_MAX: usize = 6;

async fn providers(prices: [f64; 3]) -> Vec<Provider> {
    let mut providers = Vec::new();
    for (id, price) in ["alpha", "beta", "gamma"].into_iter().zip(prices) {
        let price = json!({"price": {"input": price, "output": price}});
        providers.push(Provider::start(id).await.serving_as("m", price));
    }
    providers
}

async fn plan(prices: [f64; 3]) -> Plan {
    let providers = providers(prices).await;
    let all: Vec<&Provider> = providers.iter().collect();
    let timeouts = json!({"timeouts": {"first_content_ms": 1_500, "answer_ms": 1_500}});
    Cluster::plan().routers(3).probers(5).zones(3).etcd(1).providers(&all).policy(timeouts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_provider_leaves_every_router_and_comes_back() {
    let cluster = plan([1.0; 3]).await.start().await;
    let load = cluster.load("m", 2, PAUSE);
    cluster.provider("alpha").sim.kill();
    cluster.wait_for("alpha", Verdict::Down).await;
    cluster.agree().await;
    cluster.provider("alpha").sim.revive().expect("its port is its own");
    cluster.wait_for("alpha", Verdict::Up).await;
    for router in &cluster.routers {
        let admitted = async || router.metric("trunkline_endpoint_breaker", "alpha").await == 0.0;
        until("every router calls it again", admitted).await;
    }
    cluster.agree().await;
    load.stop_without_loss().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_black_hole_swallows_no_call() {
    let cluster = plan([1.0; 3]).await.start().await;
    let load = cluster.load("m", 2, PAUSE);
    cluster.provider("alpha").fails_with(Fault::BlackHole);
    cluster.wait_for("alpha", Verdict::Down).await;
    cluster.agree().await;
    load.stop_without_loss().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_provider_gets_less_and_is_not_ejected() {
    let cluster = plan([1.0; 3]).await.start().await;
    cluster.provider("alpha").fails_with(Fault::SlowFirstToken { delay_ms: SLOW_MS });
    cluster.providers.iter().for_each(|provider| provider.sim.clear_log());
    let load = cluster.load("m", 2, PAUSE);
    keeps("alpha is not ejected", A_WHILE, async || {
        !cluster.verdicts("alpha").await.contains(&Verdict::Down)
    })
    .await;
    let [slow, fast] = ["alpha", "beta"].map(|id| cluster.provider(id).saw("m").len());
    assert!(slow > 0 && slow * 2 < fast, "alpha got {slow} calls, beta {fast}");
    cluster.agree().await;
    load.stop_without_loss().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flapping_provider_is_soon_left_alone_and_costs_no_call() {
    let cluster = plan([1.0; 3]).await.start().await;
    let load = cluster.load("m", 2, PAUSE);
    let (alpha, mut verdicts) = (cluster.provider("alpha"), vec![Verdict::Up]);
    for turn in 0..FLAPS {
        if turn % 2 == 0 {
            alpha.sim.kill();
        } else {
            alpha.sim.revive().expect("its port is its own");
        }
        // Looked at all the time: what changes and changes back within a turn counts, too.
        keeps("it is looked at", FLAP_EVERY, async || {
            verdicts.push(cluster.tables[0].row("alpha").await.verdict());
            verdicts.dedup();
            true
        })
        .await;
    }
    assert!(verdicts.contains(&Verdict::Down), "it was never noticed: nothing was tested");
    assert!(verdicts.len() - 1 <= FLAP_CHANGES_MAX, "{verdicts:?}");
    cluster.agree().await;
    load.stop_without_loss().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_refusals_at_the_cheapest_is_over_within_a_minute() {
    let cluster = plan([1.0, 2.0, 2.0]).await.start().await;
    let limit = Fault::RateLimit { requests: CHEAP_REQUESTS, window_ms: 10_000 };
    cluster.provider("alpha").fails_with(FaultRule::from(limit).for_model("m"));
    let began = Instant::now();
    let load = cluster.load("m", 4, PAUSE);
    sleep_until(began + LEARNING).await;
    let before = refusals_and_calls(&cluster).await;
    sleep_until(began + LEARNING + COUNTING).await;
    let after = refusals_and_calls(&cluster).await;
    let (refusals, calls) = (after.0 - before.0, after.1 - before.1);
    assert!(calls > 500.0, "{calls} calls are no storm");
    assert!(after.0 > 0.0, "the limit was never met: nothing was tested");
    assert!(refusals < calls * 0.05, "{refusals} refusals of {calls} first attempts");
    assert!(cluster.verdicts("alpha").await.iter().all(|v| *v != Verdict::Down), "a 429 is health");
    cluster.agree().await;
    load.stop_without_loss().await;
}

/// Tries at the cheapest that it refused, and calls in all, over all routers.
async fn refusals_and_calls(cluster: &Cluster) -> (f64, f64) {
    let (mut refusals, mut calls) = (0.0, 0.0);
    for router in &cluster.routers {
        refusals += router.metric("trunkline_attempts_total", "outcome=\"rate_limited\"").await;
        calls += router.metric("trunkline_requests_total", "").await;
    }
    (refusals, calls)
}
