//! Drains and withdrawals as operators rely on them: nobody is cut, nothing new arrives, the end is proven, and
//! what would leave callers alone is refused.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "fails its test on the spot")]

use serde_json::{Value, json};
use sim_provider::Fault;
use tokio::task::JoinSet;
use trunkline_store::keys::HISTORY;
use trunkline_tests::client::{End, Reply};
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
    // They pause long enough for all that follows.
    let streams = opened(&a, &cluster.routers, STREAMS, 8_000).await;
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
    none_is_cut(streams).await;
    assert_eq!(a.saw("m").len(), seen);
}

/// Opens streams at `a` through these routers, in turn; each begins, pauses, and goes on to its end.
async fn opened(a: &Provider, through: &[Router], many: usize, pause_ms: u64) -> JoinSet<Reply> {
    a.fails_with(Fault::SlowFirstToken { delay_ms: pause_ms });
    let only = json!({"stream": true, "provider": {"only": ["a"]}});
    let mut streams = JoinSet::new();
    for number in 0..many {
        let client = through[number % through.len()].client();
        let body = overlay(chat("m"), only.clone());
        streams.spawn(async move { client.stream(&body).await.read().await });
    }
    until("all streams are at the provider", async || a.saw("m").len() == many).await;
    streams
}

async fn none_is_cut(mut streams: JoinSet<Reply>) {
    while let Some(reply) = streams.join_next().await {
        let reply = reply.unwrap();
        assert!(reply.is_done() && reply.end == End::Whole, "a stream was cut: {}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_endpoint_stays_out_while_nothing_else_works() {
    let a = Provider::start("a").await.serving("m");
    let b = Provider::start("b").await.serving("m");
    let router = Setup::new(&[&a, &b]).start().await;
    let streams = opened(&a, std::slice::from_ref(&router), STREAMS, 8_000).await;
    let operator = Operator::at(&router);
    operator.sees(&["drain", "provider/a", "--reason", "maintenance", "--force"]);
    b.fails_with(Fault::Status { status: 500, retry_after: None, retry_after_ms: None });
    let client = router.client();
    until("the router takes b as its last resort", async || {
        assert_ne!(client.chat(&chat("m")).await.status(), 200, "a is drained, and b fails");
        router.metric("trunkline_panic_picks_total", "").await > 0.0
    })
    .await;
    for _ in 0..CALLS_AFTER {
        assert_ne!(client.chat(&chat("m")).await.status(), 200);
    }
    assert_eq!(a.saw("m").len(), STREAMS, "a call went to a drained endpoint");
    none_is_cut(streams).await;
    until("it is proven", async || drain_of(&operator, "provider/a")["state"] == "proven").await;
    assert_eq!(a.saw("m").len(), STREAMS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_outlives_a_rolling_restart_of_the_routers() {
    let a = Provider::start("a").await.serving("m");
    let b = Provider::start("b").await.serving("m");
    let patience = json!({"timeouts": {"first_content_ms": 60_000}});
    let grace = json!({"drain": {"wait_ms": 0, "grace_ms": 60_000}});
    let plan = Cluster::plan().routers(3).probers(0).providers(&[&a, &b]).paths(Paths::Direct);
    let plan = plan.policy(patience.clone()).config(grace.clone());
    let mut cluster = plan.start_unmeasured().await;
    let streams = opened(&a, &cluster.routers, STREAMS, 20_000).await;
    let first = Operator::at(&cluster.routers[0]);
    first.sees(&["drain", "provider/a", "--reason", "maintenance", "--force"]);
    let (mut ending, mut replaced) = (JoinSet::new(), Vec::new());
    for (number, old) in cluster.routers.drain(..).enumerate() {
        let name = json!({"node_id": format!("replaced-{number}")});
        let setup = Setup::new(&[&a, &b]).policy(patience.clone()).config(grace.clone());
        replaced.push(setup.config(name).etcd(&cluster.etcd.urls()).start().await);
        ending.spawn(old.stop());
    }
    let operator = Operator::at(&replaced[2]);
    let mut counts = Vec::new();
    until("it is proven", async || {
        let drain = drain_of(&operator, "provider/a");
        counts.push(drain["in_flight"].as_u64().unwrap());
        drain["state"] == "proven"
    })
    .await;
    // Routers report once a second: what they had in flight is known a little after the drain.
    let peak = counts.iter().position(|count| *count == STREAMS as u64).unwrap();
    assert!(counts[peak..].is_sorted_by(|before, after| before >= after), "{counts:?}");
    assert_eq!(counts.last(), Some(&0));
    none_is_cut(streams).await;
    while let Some(ended) = ending.join_next().await {
        drop(ended.unwrap());
    }
    let status = operator.reads(&["status"]);
    let routers: Vec<&Value> =
        status["routers"].as_array().unwrap().iter().map(|router| &router["id"]).collect();
    assert_eq!(routers, ["replaced-0", "replaced-1", "replaced-2"]);
    assert_eq!(drain_of(&operator, "provider/a")["state"], "proven");
    for router in &replaced {
        assert_eq!(router.client().chat(&chat("m")).await.status(), 200);
    }
    assert_eq!(a.saw("m").len(), STREAMS, "a call went to a drained endpoint");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_is_understood_at_once_and_held_to_the_rules_as_a_whole() {
    let mut providers = Vec::new();
    for id in ["open-a", "open-b", "other"] {
        providers.push(Provider::start(id).await.serving("m"));
    }
    let all: Vec<&Provider> = providers.iter().collect();
    let router = Setup::new(&all).start().await;
    let operator = Operator::at(&router);
    let told = operator.is_told(3, &["drain", "endpoint/*/m@*", "--reason", "x"]);
    assert!(told.contains("m would have no usable endpoint left"), "{told}");
    let told = operator.is_told(1, &["drain", "provider/close*", "--reason", "x"]);
    assert!(told.contains("there is no provider/close*"), "{told}");
    let drained = operator.reads(&["drain", "provider/open*", "--reason", "x", "--force"]);
    assert_eq!(drained["targets"], json!(["provider/open-a", "provider/open-b"]));
    assert_eq!(drained["items"][0]["usable_after"], 1);
    let shown = || operator.reads(&["get", "drains"])["items"].as_array().unwrap().len();
    assert_eq!(shown(), 2);
    operator.sees(&["drain", "provider/open*", "--reason", "y", "--force", "--wait", "60"]);
    let back = operator.reads(&["undrain", "provider/open*", "--reason", "z", "--force"]);
    assert_eq!(back["targets"], json!(["provider/open-a", "provider/open-b"]));
    assert_eq!(shown(), 0);
    let _ = operator.is_told(1, &["undrain", "provider/open*", "--reason", "z"]);
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
