//! A real Prometheus, configured as shipped, before a cluster that runs.

use std::time::Duration;

use serde_json::Value;
use sim_provider::Fault;
use trunkline_tests::cluster::{Cluster, until};
use trunkline_tests::json::chat;
use trunkline_tests::operator::Operator;
use trunkline_tests::prometheus::Prometheus;
use trunkline_tests::provider::Provider;
use trunkline_tests::router::Router;

use super::{dashboard_queries, list, rules, text};

/// Between two calls of one caller.
const PAUSE: Duration = Duration::from_millis(20);
/// Over what rates are taken: a few scrapes.
const RATE_OVER: &str = "5s";

/// What Grafana would ask: its variables filled in, with everything chosen.
fn asked(query: &str) -> String {
    let chosen = query.replace("$cluster", ".*").replace("$namespace", ".*");
    let chosen = chosen.replace("$__rate_interval", RATE_OVER);
    assert!(!chosen.contains('$'), "a variable that nobody fills in: {chosen}");
    chosen
}

async fn cluster() -> Cluster {
    let alpha = Provider::start("alpha").await.serving("m").serving("broken");
    let beta = Provider::start("beta").await.serving("m");
    let gamma = Provider::start("gamma").await.serving("m");
    let plan = Cluster::plan().routers(2).probers(3).zones(3);
    let cluster = plan.providers(&[&alpha, &beta, &gamma]).start().await;
    alpha.fails_for("broken", Fault::Reset);
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_scrapes_a_cluster_and_every_query_has_an_answer() {
    let cluster = cluster().await;
    let mut probers = Vec::new();
    for prober in &cluster.probers {
        until("a prober has its operations port", async || prober.operations().is_some()).await;
        probers.extend(prober.operations());
    }
    let routers: Vec<_> = cluster.routers.iter().map(|router| router.ops).collect();
    let prometheus = Prometheus::start(&routers, &probers).await;
    let load = cluster.load("m", 2, PAUSE);
    let failing = tokio::spawn(fail_on(cluster.routers[0].client()));
    let drained = ["drain", "endpoint/gamma/m@global", "--force", "--reason", "to be seen"];
    let router = &cluster.routers[0];
    assert_eq!(Operator::at(router).code(&drained), 0);

    all_targets_are_up(&prometheus, routers.len() + probers.len()).await;
    for (panel, query) in dashboard_queries() {
        let query = asked(&query);
        let what = format!("the panel `{panel}` shows something: {query}");
        until(&what, async || !prometheus.query(&query).await.is_empty()).await;
    }
    every_rule_is_evaluated(&prometheus).await;
    what_is_shown_is_so(&prometheus, router).await;
    failing.abort();
    load.stop_without_loss().await;
}

/// Calls that fail, so that there are errors and further tries to be shown.
async fn fail_on(client: trunkline_tests::client::Client) {
    loop {
        assert_ne!(client.chat(&chat("broken")).await.status(), 200);
        tokio::time::sleep(PAUSE).await;
    }
}

async fn all_targets_are_up(prometheus: &Prometheus, count: usize) {
    let mut targets = Vec::new();
    until("all targets are up", async || {
        let found = prometheus.get("targets?state=active").await.unwrap_or_default();
        targets = list(&found, "/activeTargets").to_vec();
        targets.len() == count && targets.iter().all(|target| text(target, "/health") == "up")
    })
    .await;
    for target in targets {
        assert_eq!(text(&target, "/labels/cluster"), "main", "{target}");
        let job = text(&target, "/labels/job");
        assert!(["trunkline-router", "trunkline-prober"].contains(&job), "{target}");
    }
}

/// Every rule was evaluated without an error.
async fn every_rule_is_evaluated(prometheus: &Prometheus) {
    let all = rules().len();
    let mut loaded = Vec::new();
    until("every rule is evaluated", async || {
        let found = prometheus.get("rules").await.unwrap_or_default();
        let groups = list(&found, "/groups").iter();
        loaded = groups.flat_map(|group| list(group, "/rules").to_vec()).collect();
        loaded.len() == all && loaded.iter().all(|rule| text(rule, "/health") != "unknown")
    })
    .await;
    for rule in loaded {
        assert_eq!(text(&rule, "/health"), "ok", "{rule}");
    }
}

/// Figures that Prometheus has are those of the cluster.
async fn what_is_shown_is_so(prometheus: &Prometheus, router: &Router) {
    let value = async |query: &str| match prometheus.query(query).await.as_slice() {
        [(_, value)] => *value,
        other => panic!("{query}: {other:?}"),
    };
    let one = async |query: &str, expected: f64| {
        let what = format!("{query} is {expected}");
        until(&what, async || (value(query).await - expected).abs() < 1e-9).await;
    };
    one("max(trunkline_routers)", 2.0).await;
    one("trunkline:probers:sum", 3.0).await;
    one("count(trunkline:zone_probers:max == 1)", 3.0).await;
    one("max(trunkline_model_usable_endpoints{model=\"m\"})", 2.0).await;
    one("max(trunkline_endpoint_drain{endpoint=\"gamma/m@global\"})", 1.0).await;
    one("max(trunkline_routers_disagreeing)", 0.0).await;
    assert!(value("sum(trunkline_requests_total{outcome=\"failed\"})").await >= 1.0);

    // The broken one goes down, and is kept because its model has no other.
    one("max(trunkline_kept_endpoints{limit=\"only_one\"})", 1.0).await;
    let pending = "count(ALERTS{alertname=\"TrunklineEjectionLimitReached\"})";
    until("the alert is pending", async || prometheus.query(pending).await.len() == 1).await;

    // What leaves the catalog has no verdict any more.
    let catalog = Operator::at(router).reads(&["catalog", "show"]);
    let without = without_broken(catalog);
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), without.to_string()).expect("a catalog is written");
    let path = file.path().to_string_lossy().into_owned();
    let apply = ["catalog", "apply", "-f", &path, "--reason", "broken", "--force"];
    assert_eq!(Operator::at(router).code(&apply), 0);
    let gone = "trunkline:endpoint_verdict:max{endpoint=\"alpha/broken@global\"}";
    until("its verdict is gone", async || prometheus.query(gone).await.is_empty()).await;
}

fn without_broken(mut catalog: Value) -> Value {
    for provider in catalog["providers"].as_array_mut().into_iter().flatten() {
        if let Some(endpoints) = provider["endpoints"].as_array_mut() {
            endpoints.retain(|endpoint| endpoint["model"] != "broken");
        }
    }
    catalog
}
