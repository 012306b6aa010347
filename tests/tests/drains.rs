//! Drains and withdrawals as operators rely on them: nobody is cut, nothing new arrives, the end is proven, and
//! what would leave callers alone is refused.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "fails its test on the spot")]

use serde_json::{Value, json};
use sim_provider::Fault;
use tokio::task::JoinSet;
use trunkline_store::keys::HISTORY;
use trunkline_tests::client::End;
use trunkline_tests::cluster::{Cluster, Paths, until};
use trunkline_tests::json::{chat, overlay};
use trunkline_tests::operator::Operator;
use trunkline_tests::provider::Provider;
use trunkline_tests::router::{Router, Setup};

/// Streams that are open when the drain begins.
const STREAMS: usize = 500;
/// Calls made after the drain is in force everywhere.
const CALLS_AFTER: usize = 90;

fn drain_of(operator: &Operator, target: &str) -> Value {
    let listed = operator.reads(&["get", "drains"]);
    let found = listed["items"].as_array().unwrap().iter().find(|drain| drain["id"] == target);
    found.cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_under_open_streams_cuts_none_lets_no_call_in_and_counts_down() {
    let a = Provider::start("a").await.serving("m");
    let b = Provider::start("b").await.serving("m");
    let plan = Cluster::plan().routers(3).probers(0).providers(&[&a, &b]).paths(Paths::Direct);
    let cluster = plan.start_unmeasured().await;
    // Each stream begins, pauses long enough for all that follows, and then goes on to its end.
    a.fails_with(Fault::SlowFirstToken { delay_ms: 8_000 });
    let only = json!({"stream": true, "provider": {"only": ["a"]}});
    let mut streams = JoinSet::new();
    for number in 0..STREAMS {
        let client = cluster.routers[number % 3].client();
        let body = overlay(chat("m"), only.clone());
        streams.spawn(async move { client.stream(&body).await.read().await });
    }
    until("all streams are at the provider", async || a.saw("m").len() == STREAMS).await;
    let operators: Vec<Operator> = cluster.routers.iter().map(Operator::at).collect();
    operators[0].sees(&["drain", "provider/a", "--reason", "maintenance", "--force"]);
    for operator in &operators {
        let applied = async || drain_of(operator, "provider/a")["applied"] == true;
        until("every router knows that every router has applied it", applied).await;
    }
    let seen = a.saw("m").len();
    for number in 0..CALLS_AFTER {
        let reply = cluster.routers[number % 3].client().chat(&chat("m")).await;
        assert_eq!(reply.status(), 200);
    }
    assert_eq!(a.saw("m").len(), seen, "a call arrived after the drain was in force");

    let mut counts = Vec::new();
    until("it is proven", async || {
        let drain = drain_of(&operators[2], "provider/a");
        counts.push(drain["in_flight"].as_u64().unwrap());
        drain["state"] == "proven"
    })
    .await;
    assert_eq!(counts.first(), Some(&(STREAMS as u64)), "{counts:?}");
    assert!(counts.is_sorted_by(|before, after| before >= after), "{counts:?}");
    assert_eq!(counts.last(), Some(&0));
    while let Some(reply) = streams.join_next().await {
        let reply = reply.unwrap();
        assert!(reply.is_done() && reply.end == End::Whole, "a stream was cut: {}", reply.text());
    }
    assert_eq!(a.saw("m").len(), seen);
}

async fn two_models(policy: Value) -> ([Provider; 2], Router) {
    let a = Provider::start("a").await.serving("m");
    let b = Provider::start("b").await.serving("m").serving("n");
    let router = Setup::new(&[&a, &b]).policy(policy).start().await;
    ([a, b], router)
}

async fn answered_by(router: &Router, name: &str) -> Value {
    let reply = router.client().chat(&chat(name)).await;
    if reply.status() == 200 { reply.json()["model"].clone() } else { json!(reply.status()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_model_is_gone_at_once_and_its_callers_go_on_to_the_next() {
    let routes = json!({"routes": {"fast": {"models": ["m", "n"]}, "m": {"models": ["m", "n"]}}});
    let ([a, b], router) = two_models(routes).await;
    let operator = Operator::at(&router);
    assert_eq!(answered_by(&router, "fast").await, "m");
    let told = operator.is_told(2, &["withdraw", "model/fast", "--reason", "recall"]);
    assert!(told.contains("model/m, model/n"), "{told}");
    let _ = operator.is_told(2, &["withdraw", "provider/a", "--reason", "recall"]);
    operator.sees(&["withdraw", "model/m", "--reason", "recall"]);
    let before = (a.saw("m").len(), b.saw("m").len());
    assert_eq!(answered_by(&router, "fast").await, "n");
    assert_eq!(answered_by(&router, "m").await, "n");
    assert_eq!((a.saw("m").len(), b.saw("m").len()), before);
    let drain = drain_of(&operator, "model/m");
    assert_eq!((&drain["withdrawn"], &drain["reason"]), (&json!(true), &json!("recall")));
    let _ = operator.is_told(2, &["undrain", "model/m", "--reason", "x"]);
    let _ = operator.is_told(2, &["drain", "model/m", "--reason", "x", "--force"]);
    operator.sees(&["unwithdraw", "model/m", "--reason", "mended", "--force"]);
    assert_eq!(answered_by(&router, "fast").await, "m");
    let _ = operator.is_told(1, &["unwithdraw", "model/m", "--reason", "again"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_leave_callers_alone_is_refused_by_name() {
    let routes = json!({"routes": {"fast": {"models": ["m", "n"]}, "only": {"models": ["n"]}}});
    let (_providers, router) = two_models(routes).await;
    let operator = Operator::at(&router);
    let told = operator.is_told(3, &["withdraw", "model/n", "--reason", "recall"]);
    assert!(told.contains("all that n leads to") && told.contains("all that only leads"), "{told}");
    assert!(!told.contains("fast"), "{told}");
    let told = operator.is_told(3, &["drain", "model/only", "--reason", "x"]);
    assert!(told.contains("n would have no usable endpoint left"), "{told}");
    let slowly = ["drain", "model/only", "--reason", "x", "--rate", "10%/min"];
    let told = operator.is_told(3, &slowly);
    assert!(told.contains("n would have no usable endpoint left"), "{told}");
    assert_eq!(operator.reads(&["get", "drains"]), json!({"items": []}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_goes_step_by_step_and_another_ends_by_itself() {
    let mut providers = Vec::new();
    for id in ["a", "b"] {
        providers.push(Provider::start(id).await.serving("m"));
    }
    let plan = Cluster::plan().routers(2).probers(0).providers(&[&providers[0], &providers[1]]);
    let cluster = plan.paths(Paths::Direct).start_unmeasured().await;
    let operator = Operator::at(&cluster.routers[0]);
    operator.sees(&["drain", "provider/a", "--reason", "x", "--rate", "100%/min"]);
    let shown = || operator.reads(&["status", "provider/a"])["items"][0].clone();
    assert_eq!((&shown()["operator_weight"], &shown()["drained"]), (&json!(100), &json!(false)));
    let mut weights = vec![100];
    until("a third of the weight is gone", async || {
        let weight = shown()["operator_weight"].as_u64().unwrap();
        weights.push(weight);
        weight < 67
    })
    .await;
    weights.dedup();
    assert!(weights.is_sorted_by(|before, after| before > after), "{weights:?}");
    assert!(weights.len() >= 4, "in steps: {weights:?}");
    assert_eq!(drain_of(&operator, "provider/a")["state"], "draining");
    operator.sees(&["undrain", "provider/a", "--reason", "enough"]);
    assert_eq!(shown()["operator_weight"], 100);

    operator.sees(&["drain", "provider/a", "--reason", "y", "--expires", "2s", "--force"]);
    assert_eq!(shown()["drained"], true);
    assert!(drain_of(&operator, "provider/a")["expires"].is_string());
    until("it has ended", async || drain_of(&operator, "provider/a").is_null()).await;
    until("calls go there again", async || shown()["drained"] == false).await;
    let history = cluster.etcd.list(HISTORY).await.entries;
    let history: Vec<Value> =
        history.iter().map(|entry| serde_json::from_slice(&entry.value).unwrap()).collect();
    let ended = |entry: &&Value| entry["reason"] == "the drain has expired";
    let ended: Vec<&Value> = history.iter().filter(ended).collect();
    assert_eq!(ended.len(), 1, "one router ended it: {history:?}");
    assert!(ended[0]["by"].as_str().unwrap().starts_with("router/router-"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_cuts_what_is_still_open_by_then_and_says_so() {
    let ([a, _b], router) = two_models(json!({"timeouts": {"keep_alive_ms": 100}})).await;
    a.fails_with(Fault::Stall { after: 2 });
    let client = router.client();
    let only = json!({"provider": {"only": ["a"]}});
    let mut open = client.stream(&overlay(chat("m"), only)).await;
    open.first_content().await;
    let operator = Operator::at(&router);
    let drain = ["drain", "provider/a", "--reason", "x", "--deadline", "2s", "--force"];
    operator.sees(&drain);
    let shown = drain_of(&operator, "provider/a");
    assert!(shown["deadline"].is_string() && shown["in_flight"] == 1, "{shown}");
    let reply = open.read().await;
    assert_eq!(reply.error_type(), "unavailable", "{}", reply.text());
    assert!(reply.text().contains("an operator took this provider out"), "{}", reply.text());
    until("it is proven", async || drain_of(&operator, "provider/a")["state"] == "proven").await;
    operator.sees(&["undrain", "provider/a", "--reason", "y", "--force"]);
    a.sim.clear_faults().unwrap();
    let only = json!({"stream": true, "provider": {"only": ["a"]}});
    let reply = client.chat(&overlay(chat("m"), only)).await;
    assert!(reply.is_done(), "streams after it are whole: {}", reply.text());
}
