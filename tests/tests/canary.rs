//! A canary as operators rely on it: the same callers on every router, both sides told apart, an end by itself,
//! and nothing let through that an ordinary policy would not be.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "fails its test on the spot")]

use std::fs;

use serde_json::{Value, json};
use sim_provider::Fault;
use tempfile::TempDir;
use trunkline_store::keys::HISTORY;
use trunkline_tests::cluster::{Cluster, Paths, until};
use trunkline_tests::json::{chat, overlay};
use trunkline_tests::operator::Operator;
use trunkline_tests::provider::Provider;
use trunkline_tests::router::{Router, Setup};

/// Conversations that are held; of so many, a tenth is on the candidate's side, give or take what chance gives.
const SESSIONS: usize = 200;
/// How many of them may be there: six standard deviations on either side.
const LIKELY: std::ops::RangeInclusive<usize> = 2..=46;

/// The model that the policy in force gives to those who ask for `fast` is `m`, and the candidate's is `n`.
fn policy() -> Value {
    json!({"aliases": {"fast": "m"}})
}

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn candidate(&self) -> String {
        self.write("candidate.yaml", "version: 1\naliases: {fast: n}\n")
    }
}

async fn two() -> [Provider; 2] {
    [Provider::start("a").await.serving("m"), Provider::start("b").await.serving("n")]
}

/// What answers a call of this session, and under which policy.
async fn asks(router: &Router, session: &str) -> (String, String) {
    let body = overlay(chat("fast"), json!({"session_id": session}));
    let reply = router.client().chat(&body).await;
    let policy = reply.head.header("x-trunkline-policy").unwrap_or_default().to_owned();
    let model = if reply.status() == 200 { reply.json()["model"].clone() } else { json!("error") };
    (model.as_str().unwrap().to_owned(), policy)
}

fn start<'a>(file: &'a str, share: &'a str) -> Vec<&'a str> {
    vec!["policy", "canary", "-f", file, "--share", share, "--reason", "try n", "--force"]
}

fn side<'a>(status: &'a Value, id: &str) -> &'a Value {
    status["items"].as_array().unwrap().iter().find(|side| side["id"] == id).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_router_puts_the_same_callers_on_the_same_side_until_it_is_promoted() {
    let [a, b] = two().await;
    let plan = Cluster::plan().routers(2).probers(0).providers(&[&a, &b]).paths(Paths::Direct);
    let cluster = plan.policy(policy()).start_unmeasured().await;
    let [one, other] = &cluster.routers[..] else { panic!("two routers") };
    let (operator, files) = (Operator::at(one), Files::new());
    let file = files.candidate();
    let base = operator.reads(&["policy", "log"])["items"][0]["id"].clone();
    assert!(operator.sees(&["policy", "canary", "status"]).contains("no canary runs"));
    let dry = operator.reads(&[&start(&file, "10%")[..], &["--dry-run"]].concat());
    assert!(operator.sees(&["policy", "canary", "status"]).contains("no canary runs"));

    let begun = operator.reads(&start(&file, "10%"));
    let candidate = begun["version"].as_str().unwrap().to_owned();
    assert_eq!((&dry["version"], &begun["head"]), (&json!(candidate), &base));
    let revision = begun["revision"].to_string();
    operator.sees(&["wait", "--revision", &revision]);
    let mut chosen = 0;
    for number in 0..SESSIONS {
        let session = format!("session-{number}");
        let (model, policy) = asks(one, &session).await;
        let again = asks(other, &session).await;
        assert_eq!((&model, &policy), (&again.0, &again.1), "{session} on the other router");
        assert_eq!(model == "n", policy == candidate, "{session}: {model} under {policy}");
        chosen += usize::from(model == "n");
    }
    assert!(LIKELY.contains(&chosen), "{chosen} of {SESSIONS}");

    let status = operator.reads(&["policy", "canary", "status"]);
    assert_eq!(status["routers"], json!(["router-0", "router-1"]), "{status}");
    assert_eq!(status["canary"]["share_permille"], 100);
    assert_eq!(side(&status, "canary")["calls"], 2 * chosen);
    assert_eq!(side(&status, "stable")["calls"], 2 * (SESSIONS - chosen));
    assert_eq!(side(&status, "canary")["version"], json!(candidate));
    let counted = one.metric("trunkline_policy_calls_total", r#"side="canary""#).await;
    assert!((counted - chosen as f64).abs() < f64::EPSILON, "{counted}");
    assert!(operator.sees(&["status"]).contains("decides 10 % of the calls"));
    let log = operator.reads(&["policy", "log"])["items"].clone();
    assert_eq!(log[0]["id"], json!(candidate));
    assert_eq!((&log[0]["how"], &log[0]["in_force"]), (&json!("policy canary"), &json!(false)));

    let told = operator.is_told(
        4,
        &["policy", "canary", "promote", "--reason", "good", "--expect-version", "0123456789"],
    );
    assert!(told.contains(&candidate), "{told}");
    let promote = ["policy", "canary", "promote", "--reason", "good", "--force"];
    let revision = operator.reads(&promote)["revision"].to_string();
    operator.sees(&["wait", "--revision", &revision]);
    for router in [one, other] {
        assert_eq!(asks(router, "anybody").await, ("n".to_owned(), candidate.clone()));
    }
    let log = operator.reads(&["policy", "log"])["items"].clone();
    assert_eq!((&log[0]["id"], &log[0]["in_force"]), (&json!(candidate), &json!(true)));
    assert_eq!(log[0]["how"], "policy canary promote");
    assert!(operator.sees(&["policy", "canary", "status"]).contains("no canary runs"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_names_the_policy_that_decided_and_is_replayed_under_it() {
    let [a, b] = two().await;
    let router = Setup::new(&[&a, &b]).policy(policy()).start().await;
    let (operator, files) = (Operator::at(&router), Files::new());
    let begun = operator.reads(&start(&files.candidate(), "50%"));
    let (mut sides, client) = (Vec::new(), router.client());
    for number in 0..20 {
        let body = overlay(chat("fast"), json!({"user": format!("user-{number}")}));
        let reply = client.chat(&body).await;
        let explained = operator.reads(&["explain", reply.head.generation()]);
        let policy = explained["decision"]["policy"].clone();
        assert_eq!(json!(reply.head.header("x-trunkline-policy")), policy);
        assert_eq!(policy == begun["version"], reply.json()["model"] == "n", "{explained}");
        assert_eq!(explained["identical"], true, "{explained}");
        sides.push(policy);
    }
    sides.sort_by_key(Value::to_string);
    sides.dedup();
    assert_eq!(sides.len(), 2, "both policies decided some calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_ends_by_itself_by_a_word_and_when_the_policy_changes() {
    let [a, b] = two().await;
    let router = Setup::new(&[&a, &b]).policy(policy()).start().await;
    let (operator, files) = (Operator::at(&router), Files::new());
    let (file, stable) =
        (files.candidate(), operator.reads(&["policy", "log"])["items"][0].clone());
    let running = || operator.reads(&["policy", "canary", "status"])["canary"]["id"].clone();

    operator.sees(&[&start(&file, "50%")[..], &["--for", "2s"]].concat());
    assert!(running().is_string());
    until("it has ended", async || running().is_null()).await;

    operator.sees(&start(&file, "50%"));
    let another = files.write("other.yaml", "version: 1\naliases: {fast: n}\ntags: [other]\n");
    let told = operator.is_told(4, &start(&another, "5%"));
    assert!(told.contains("promote or abort it first"), "{told}");
    operator.sees(&start(&file, "20%"));
    let share = operator.reads(&["policy", "canary", "status"])["canary"]["share_permille"].clone();
    assert_eq!(share, 200, "the same candidate gets another share");
    operator.sees(&["policy", "canary", "abort", "--reason", "seen enough"]);
    assert!(running().is_null());
    let _ = operator.is_told(1, &["policy", "canary", "abort", "--reason", "again"]);

    operator.sees(&start(&file, "50%"));
    let applied = files.write("applied.yaml", "version: 1\naliases: {fast: m}\ntags: [a]\n");
    operator.sees(&["policy", "apply", "-f", &applied, "--reason", "something else"]);
    assert!(running().is_null(), "what it was compared with is no longer in force");
    operator.sees(&["policy", "rollback", "--reason", "back"]);
    assert!(running().is_null());
    assert_eq!(operator.reads(&["policy", "log"])["items"][0]["id"], stable["id"]);
    assert_eq!(asks(&router, "anybody").await.0, "m");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_fails_too_often_is_stopped_and_the_history_says_why() {
    let [a, b] = two().await;
    let plan = Cluster::plan().probers(0).providers(&[&a, &b]).paths(Paths::Direct);
    let cluster = plan.policy(policy()).start_unmeasured().await;
    let (router, files) = (&cluster.routers[0], Files::new());
    let operator = Operator::at(router);
    b.fails_with(Fault::ContentPolicy);
    let rules = ["--abort-on", "failed+5%"];
    operator.sees(&[&start(&files.candidate(), "50%")[..], &rules].concat());
    let mut number = 0;
    until("it is stopped", async || {
        for _ in 0..50 {
            number += 1;
            asks(router, &format!("s{number}")).await;
        }
        operator.reads(&["policy", "canary", "status"])["canary"].is_null()
    })
    .await;
    let (model, _) = asks(router, "anybody").await;
    assert_eq!(model, "m");
    let told = operator.sees(&["policy", "canary", "status"]);
    assert!(told.contains("by router/router-0") && told.contains("calls fail"), "{told}");
    let history = cluster.etcd.list(HISTORY).await.entries;
    let history: Vec<Value> =
        history.iter().map(|entry| serde_json::from_slice(&entry.value).unwrap()).collect();
    let ended = history.iter().find(|entry| entry["verb"] == "policy canary abort").unwrap();
    assert_eq!(ended["by"], "router/router-0", "{ended}");
    assert!(ended["reason"].as_str().unwrap().contains("of the canary's calls fail"), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_is_held_to_the_rules_of_a_policy_and_is_part_of_the_dataflow() {
    let place =
        |jurisdiction| json!({"jurisdiction": jurisdiction, "retention": "zero", "training": "no"});
    let a = Provider::start("a").await.serving_as("m", place("eu"));
    let b = Provider::start("b").await.serving_as("n", place("us"));
    let router = Setup::new(&[&a, &b])
        .policy(json!({"data": {"jurisdictions": ["eu"]}, "aliases": {"fast": "m"}}))
        .key("tl_operator_moves", json!({"role": "operator"}))
        .start()
        .await;
    let (operator, files) = (Operator::at(&router), Files::new());
    let candidate = "version: 1\naliases: {fast: n}\ndata: {jurisdictions: [eu, us]}\n";
    let file = files.write("wide.yaml", candidate);
    let flows = || -> Vec<Value> {
        let flows = operator.reads(&["dataflow"])["items"].clone();
        flows.as_array().unwrap().iter().map(|flow| flow["id"].clone()).collect()
    };
    assert_eq!(flows(), ["a@global"]);
    let told = operator.is_told(3, &start(&file, "5%"));
    assert!(told.contains("--accept-dataflow"), "{told}");
    let accept =
        ["policy", "canary", "-f", &file, "--share", "5%", "--reason", "x", "--accept-dataflow"];
    let told = operator.is_told(3, &accept);
    assert!(told.contains("data rules of the policy would let in b/n@global"), "{told}");
    let lowly = operator.with_key("tl_operator_moves");
    let told = lowly.is_told(1, &start(&file, "5%"));
    assert!(told.contains("needs admin"), "{told}");
    operator.sees(&[&start(&file, "5%")[..], &["--accept-dataflow"]].concat());
    assert_eq!(flows(), ["a@global", "b@global"], "what a share of the calls can reach");
    let told = operator.is_told(3, &["policy", "canary", "promote", "--reason", "x", "--force"]);
    assert!(told.contains("b@global"), "what was accepted for a share was not for all: {told}");
    lowly.sees(&["policy", "canary", "abort", "--reason", "x"]);
    assert_eq!(flows(), ["a@global"]);
}
