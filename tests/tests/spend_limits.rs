//! A key spends no more than it may, over however many routers its calls are spread. Real etcd, real processes.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "fails its test on the spot")]

use serde_json::Value;
use trunkline_tests::client::Reply;
use trunkline_tests::cluster::{Cluster, until};
use trunkline_tests::json::chat;
use trunkline_tests::operator::Operator;
use trunkline_tests::provider::Provider;
use trunkline_tests::router::{KEY, Router, Setup};

/// More calls than any limit here allows.
const MANY: usize = 50;
/// Some four calls to the simulated provider, in USD.
const LIMIT: &str = "0.0001";
/// 10⁻¹² USD in one.
const PICO: f64 = 1e12;

/// Two routers on one etcd.
async fn cluster() -> (Provider, Cluster) {
    let provider = Provider::start("only").await.serving("m");
    let plan = Cluster::plan().routers(2).probers(0).providers(&[&provider]);
    (provider, plan.start_unmeasured().await)
}

/// Makes a key with this limit, which all routers know of, and returns it with its public part.
async fn key_with(cluster: &Cluster, flag: &str, limit: &str) -> (String, String) {
    let operator = Operator::at(&cluster.routers[0]);
    let made = operator.reads(&["keys", "create", "--reason", "a test", flag, limit]);
    cluster.wait_for_revision(made["revision"].as_u64().unwrap()).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&made["key"]), text(&made["entry"]["id"]))
}

async fn call(router: &Router, key: &str) -> Reply {
    router.client_with(key).chat(&chat("m")).await
}

/// What a call cost, in pico-dollars.
fn cost(reply: &Reply) -> u64 {
    let usd = reply.json()["usage"]["cost"].as_f64().unwrap();
    (usd * PICO).round() as u64
}

/// Calls a router until it refuses; what the answered calls cost, and the refusal.
async fn spend_all(router: &Router, key: &str) -> (u64, Reply) {
    let mut spent = 0;
    for _ in 0..MANY {
        let reply = call(router, key).await;
        if reply.status() != 200 {
            return (spent, reply);
        }
        spent += cost(&reply);
    }
    unreachable!("no limit was ever reached")
}

/// What a router says that a key has spent in a window, in pico-dollars.
fn spent(router: &Router, id: &str, window: &str) -> u64 {
    let key = Operator::at(router).reads(&["describe", "key", id]);
    let usd = key["spend"][window]["spent_usd"].as_str().unwrap().parse::<f64>().unwrap();
    (usd * PICO).round() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_holds_for_all_routers_together_and_says_when_it_ends() {
    let (_provider, cluster) = cluster().await;
    let (key, id) = key_with(&cluster, "--spend-day", LIMIT).await;
    let [one, other] = &cluster.routers[..] else { unreachable!("two routers") };

    let first = cost(&call(one, &key).await);
    until("the other router knows", async || spent(other, &id, "day") == first).await;
    let (rest, refusal) = spend_all(one, &key).await;
    let all = first + rest;
    let limit = (LIMIT.parse::<f64>().unwrap() * PICO).round() as u64;
    assert!((limit..limit + first).contains(&all), "{all} of {limit}, {first} each");
    until("the other router refuses", async || call(other, &key).await.status() == 402).await;

    assert_eq!(refusal.error_type(), "insufficient_credits");
    let error = refusal.error().unwrap();
    assert_eq!(error["metadata"]["availability"]["code"], "spend_limit");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("0.0001 USD a day") && message.contains("midnight UTC"), "{message}");
    let wait = error["metadata"]["availability"]["retry_after"].as_u64().unwrap();
    assert!((1..=24 * 60 * 60).contains(&wait), "{wait}");
    assert_eq!(refusal.head.header("x-should-retry"), Some("false"));
    assert_eq!(call(one, KEY).await.status(), 200, "another key");

    let own = other.client_with(&key).get("/v1/key").await.json();
    assert_eq!(own["data"]["limit"], 0.0001);
    assert_eq!(
        (own["data"]["limit_remaining"].as_f64(), &own["data"]["limit_reset"]),
        (Some(0.0), &"daily".into())
    );
    let table = Operator::at(other).sees(&["get", "keys"]);
    assert!(table.contains("/0.0001 day"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_a_router_ends_and_one_that_starts_knows_it_all() {
    let (provider, mut cluster) = cluster().await;
    let (key, id) = key_with(&cluster, "--spend-lifetime", LIMIT).await;
    let leaving = cluster.routers.remove(0);
    let (all, refusal) = spend_all(&leaving, &key).await;
    assert!(refusal.text().contains("in all"), "{}", refusal.text());
    let availability = &refusal.error().unwrap()["metadata"]["availability"];
    assert!(availability["retry_after"].is_null(), "it never starts anew");
    leaving.stop().await;
    until("all is known", async || spent(&cluster.routers[0], &id, "lifetime") == all).await;
    let late = Setup::new(&[&provider]).etcd(&cluster.etcd.urls()).start().await;
    assert_eq!(call(&late, &key).await.status(), 402);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_holds_without_the_store_and_what_was_spent_is_told_later() {
    let (_provider, mut cluster) = cluster().await;
    let (key, id) = key_with(&cluster, "--spend-month", LIMIT).await;
    cluster.etcd.kill(0);
    let (all, refusal) = spend_all(&cluster.routers[0], &key).await;
    assert_eq!(refusal.status(), 402);
    assert_eq!(call(&cluster.routers[1], &key).await.status(), 200, "nobody can tell it");
    cluster.etcd.restart(0);
    cluster.etcd.wait_until_serving().await;
    let told = async || spent(&cluster.routers[1], &id, "month") > all;
    until("each router's calls count for the other", told).await;
    assert_eq!(call(&cluster.routers[1], &key).await.status(), 402);
}
