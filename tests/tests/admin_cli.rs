//! What an operator may rely on: edits act on calls at once, refusals and conflicts change nothing, and each
//! has an exit code of its own.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};
use sim_provider::Fault;
use trunkline_tests::json::{chat, overlay};
use trunkline_tests::operator::Operator;
use trunkline_tests::provider::Provider;
use trunkline_tests::router::{Router, Setup};

/// Four providers of one model at one price: none has more than a quarter of it.
async fn four() -> (Vec<Provider>, Router) {
    let mut providers = Vec::new();
    for id in ["a", "b", "c", "d"] {
        providers.push(Provider::start(id).await.serving("m"));
    }
    let all: Vec<&Provider> = providers.iter().collect();
    let router = Setup::new(&all).start().await;
    (providers, router)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_provider_gets_no_call_from_the_moment_the_command_returns() {
    let (providers, router) = four().await;
    let operator = Operator::at(&router);
    let answer = operator.reads(&["drain", "provider/a", "--reason", "maintenance"]);
    assert_eq!(answer["items"][0]["usable_after"], 3);
    for _ in 0..40 {
        assert_eq!(router.client().chat(&chat("m")).await.status(), 200);
    }
    assert!(providers[0].saw("m").is_empty());
    let drains = operator.reads(&["get", "drains"]);
    assert_eq!(drains["items"][0]["id"], "provider/a");
    assert_eq!(drains["items"][0]["reason"], "maintenance");
    assert_eq!(drains["items"][0]["by"], "key/testkey1");
    operator.reads(&["undrain", "provider/a", "--reason", "done"]);
    assert_eq!(operator.reads(&["get", "drains"]), json!({"items": []}));
    let only = overlay(chat("m"), json!({"provider": {"only": ["a"]}}));
    assert_eq!(router.client().chat(&only).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_weight_shows_at_once_and_can_be_taken_back() {
    let (_providers, router) = four().await;
    let operator = Operator::at(&router);
    let weight = |operator: &Operator| {
        let status = operator.reads(&["status", "endpoint/a/m"]);
        (status["items"][0]["operator_weight"].clone(), status["items"][0]["pinned"].clone())
    };
    let before = weight(&operator);
    operator.reads(&["weight", "set", "endpoint/a/m", "50", "--reason", "tune"]);
    assert_eq!(weight(&operator), (json!(50), json!(true)));
    operator.reads(&["weight", "reset", "provider/a", "--reason", "back"]);
    assert_eq!(weight(&operator), before);
    operator.is_told(1, &["weight", "reset", "provider/a", "--reason", "again"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn safety_rules_refuse_and_change_nothing_unless_forced() {
    let (_providers, router) = four().await;
    let operator = Operator::at(&router);
    let told = operator.is_told(3, &["drain", "model/m", "--reason", "all of it"]);
    assert!(told.contains("no usable endpoint"), "{told}");
    let told = operator.is_told(3, &["weight", "set", "endpoint/a/m", "1000", "--reason", "more"]);
    assert!(told.contains("% allowed"), "{told}");
    assert_eq!(operator.reads(&["get", "drains"]), json!({"items": []}));
    operator.reads(&["drain", "model/m", "--reason", "all of it", "--dry-run", "--force"]);
    assert_eq!(operator.reads(&["get", "drains"]), json!({"items": []}));
    operator.reads(&["drain", "model/m", "--reason", "all of it", "--force"]);
    assert_eq!(router.client().chat(&chat("m")).await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_looked_too_long_ago_sees_both_versions() {
    let (_providers, router) = four().await;
    let operator = Operator::at(&router);
    let seen = operator.reads(&["status"])["revision"].to_string();
    let first = ["drain", "provider/a", "--reason", "theirs", "--expect-revision", &seen];
    operator.reads(&first);
    let second = ["drain", "provider/a", "--reason", "ours", "--expect-revision", &seen];
    let told = operator.is_told(4, &second);
    assert!(told.contains("theirs") && told.contains("ours"), "{told}");
    assert_eq!(operator.reads(&["get", "drains"])["items"][0]["reason"], "theirs");
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_at_the_same_moment_all_take_effect() {
    let (_providers, router) = four().await;
    let operator = Operator::at(&router);
    std::thread::scope(|scope| {
        let edits = ["a", "b", "c", "d"].map(|provider| {
            let target = format!("endpoint/{provider}/m");
            let operator = &operator;
            scope.spawn(move || {
                operator.code(&["weight", "set", &target, "80", "--reason", "together"])
            })
        });
        for edit in edits {
            assert_eq!(edit.join().unwrap(), 0);
        }
    });
    let endpoints = operator.reads(&["get", "endpoints"]);
    let endpoints = endpoints["items"].as_array().unwrap();
    assert!(endpoints.iter().all(|endpoint| endpoint["operator_weight"] == 80), "{endpoints:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_is_waited_for_names_what_is_still_in_flight() {
    let (providers, router) = four().await;
    providers[0].fails_with(Fault::Stall { after: 1 });
    let only = json!({"stream": true, "provider": {"only": ["a"]}});
    let client = router.client();
    let exchange = client.stream(&overlay(chat("m"), only)).await;
    assert_eq!(exchange.head.status, 200);
    let operator = Operator::at(&router);
    let waiting = ["drain", "provider/a", "--reason", "x", "--wait", "3"];
    let told = operator.is_told(5, &waiting);
    assert!(told.contains("1 calls in flight"), "{told}");
    drop(exchange);
    operator.reads(&["undrain", "provider/a", "--reason", "y"]);
    assert_eq!(operator.code(&["drain", "provider/a", "--reason", "x", "--wait", "30"]), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_apart_and_helped() {
    let (_providers, router) = four().await;
    let operator = Operator::at(&router);
    let told = operator.is_told(1, &["drain", "endpoint/a/n", "--reason", "x"]);
    assert!(told.contains("did you mean endpoint/a/m"), "{told}");
    operator.is_told(2, &["drain", "provider/a"]);
    operator.is_told(2, &["drain", "nonsense", "--reason", "x"]);
    operator.is_told(2, &["drain", "provider/a", "--reason", " "]);
    operator.is_told(2, &["weight", "set", "model/m", "5", "--reason", "x"]);
    operator.is_told(1, &["undrain", "provider/a", "--reason", "x"]);
    operator.is_told(1, &["describe", "provider", "zzz"]);
    let told = operator.is_told(1, &["describe", "endpoint", "a/m"]);
    assert!(told.contains("did you mean a/m@global"), "{told}");
    let told = operator.is_told(2, &["wait", "--revision", "1", "--timeout", "soon"]);
    assert!(told.contains("for example 10m"), "{told}");
    let told = operator.is_told(1, &["--key", "wrong", "status"]);
    assert!(told.contains("not known") && !told.contains("wrong"), "{told}");
    operator.is_told(1, &["--endpoint", "http://127.0.0.1:1", "status"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_at_the_wrong_place_is_told_what_is_there() {
    let (_providers, router) = four().await;
    let operator = Operator::at(&router);
    for other in [router.public, router.ops] {
        let told = operator.is_told(1, &["--endpoint", &format!("http://{other}"), "status"]);
        assert!(told.contains("is not a router's admin API"), "{told}");
    }
    let secure = format!("https://{}", router.admin);
    let told = operator.is_told(2, &["--endpoint", &secure, "status"]);
    assert!(told.contains("--ca"), "{told}");
    let bare = router.admin.to_string();
    let told = operator.is_told(2, &["--endpoint", &bare, "policy", "log"]);
    assert!(told.contains("http://"), "{told}");
    let told = operator.with_key("").is_told(1, &["policy", "log"]);
    assert!(told.contains("TRUNKLINE_ADMIN_KEY"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_route_is_read_from_the_standard_input() {
    let (_providers, router) = four().await;
    let mut command = Operator::at(&router).command(&["explain", "route", "-f", "-", "-o", "json"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(chat("m").to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told.pointer("/decision/models/0"), Some(&json!("m")), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_can_be_explained_by_its_id() {
    let (_providers, router) = four().await;
    let reply = router.client().chat(&chat("m")).await;
    let operator = Operator::at(&router);
    let answer = operator.reads(&["explain", reply.head.generation()]);
    assert_eq!(answer["generation"]["outcome"], "completed");
    assert_eq!(answer["decision"]["candidates"].as_array().unwrap().len(), 4);
    let tried = answer["attempts"][0]["endpoint_id"].clone();
    assert_eq!(answer["decision"]["turns"][0]["id"], tried);
    operator.is_told(1, &["explain", "01900000-0000-7000-8000-000000000000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_names_every_endpoint_and_the_router_that_answers() {
    let (_providers, router) = four().await;
    let operator = Operator::at(&router);
    let status = operator.reads(&["status"]);
    assert_eq!(status["items"].as_array().unwrap().len(), 4);
    assert_eq!(status["routers"][0]["digest"].as_str().unwrap().len(), 12);
    let one = operator.reads(&["describe", "endpoint", "a/m@global"]);
    assert_eq!(one["id"].as_str().unwrap().len(), 10);
    let table = operator.says(&["get", "models"]).stdout;
    assert!(String::from_utf8(table).unwrap().starts_with("NAME"));
}
