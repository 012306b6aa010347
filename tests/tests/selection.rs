//! Which provider a call goes to, as its caller can steer it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sim_provider::Fault;
use trunkline_tests::client::Client;
use trunkline_tests::json::{chat, overlay};
use trunkline_tests::provider::Provider;
use trunkline_tests::router::{Router, Setup};

/// Three providers of one model: `dear`, `fair` and `cheap`, 30, 10 and 1 dollars a million tokens.
async fn market() -> (Vec<Provider>, Router) {
    let mut providers = Vec::new();
    for (id, price) in [("dear", 30.0), ("fair", 10.0), ("cheap", 1.0)] {
        let keys = json!({"price": {"input": price, "output": price}});
        providers.push(Provider::start(id).await.serving_as("model", keys));
    }
    let all: Vec<&Provider> = providers.iter().collect();
    let router = Setup::new(&all).start().await;
    (providers, router)
}

/// Who served a call, or the error that its caller saw.
async fn served_by(client: &Client, body: Value) -> String {
    let reply = client.chat(&body).await;
    if reply.status() != 200 {
        return reply.error_type();
    }
    client.record(&reply.head).await.text("/provider_name").to_owned()
}

fn asking(provider: Value) -> Value {
    overlay(chat("model"), json!({"provider": provider}))
}

#[tokio::test]
async fn sorting_by_price_takes_the_cheapest() {
    let (_providers, router) = market().await;
    let client = router.client();
    for _ in 0..5 {
        assert_eq!(served_by(&client, asking(json!({"sort": "price"}))).await, "cheap");
        assert_eq!(served_by(&client, asking(json!({"sort": {"by": "price"}}))).await, "cheap");
        assert_eq!(served_by(&client, chat("model:floor")).await, "cheap");
    }
    for body in [asking(json!({"sort": "latency"})), chat("model:nitro")] {
        let by = served_by(&client, body).await;
        assert!(["dear", "fair", "cheap"].contains(&by.as_str()), "{by}");
    }
}

#[tokio::test]
async fn balancing_prefers_the_cheap_without_starving_the_dear() {
    let (providers, router) = market().await;
    let client = router.client();
    for _ in 0..100 {
        assert_eq!(client.chat(&chat("model")).await.status(), 200);
    }
    let counts: Vec<usize> = providers.iter().map(|p| p.saw("model").len()).collect();
    assert!(counts[2] > 80, "dear, fair, cheap: {counts:?}");
}

#[tokio::test]
async fn order_is_kept_and_the_rest_follows() {
    let (providers, router) = market().await;
    let client = router.client();
    let order = asking(json!({"order": ["dear", "fair"]}));
    assert_eq!(served_by(&client, order.clone()).await, "dear");
    providers[0].fails_with(Fault::status(500));
    assert_eq!(served_by(&client, order.clone()).await, "fair");
    providers[1].fails_with(Fault::status(500));
    assert_eq!(served_by(&client, order).await, "cheap", "the rest follows");
    let alone = asking(json!({"order": ["dear", "fair"], "allow_fallbacks": false}));
    assert_eq!(served_by(&client, alone).await, "provider_error", "nobody else may follow");
    assert_eq!(providers[2].saw("model").len(), 1);
}

#[tokio::test]
async fn only_and_ignore_are_kept() {
    let (providers, router) = market().await;
    let client = router.client();
    for _ in 0..5 {
        assert_eq!(served_by(&client, asking(json!({"only": ["fair"]}))).await, "fair");
        let two = json!({"ignore": ["cheap", "fair"]});
        assert_eq!(served_by(&client, asking(two)).await, "dear");
    }
    assert_eq!(served_by(&client, asking(json!({"only": ["nobody"]}))).await, "no_endpoint");
    let all = json!({"ignore": ["dear", "fair", "cheap"]});
    let reply = client.chat(&asking(all)).await;
    assert_eq!((reply.status(), reply.error_type().as_str()), (404, "no_endpoint"));
    assert!(providers[2].saw("model").is_empty());
    providers[1].fails_with(Fault::status(500));
    assert_eq!(served_by(&client, asking(json!({"only": ["fair"]}))).await, "provider_error");
    assert!(providers[2].saw("model").is_empty(), "a failure does not widen what is allowed");
}

#[tokio::test]
async fn the_highest_price_is_hard() {
    let (providers, router) = market().await;
    let client = router.client();
    for _ in 0..5 {
        let most = json!({"max_price": {"prompt": 9.99}});
        assert_eq!(served_by(&client, asking(most)).await, "cheap");
    }
    let reply = client.chat(&asking(json!({"max_price": {"completion": 0.5}}))).await;
    assert_eq!((reply.status(), reply.error_type().as_str()), (404, "no_endpoint"));
    let excluded = &reply.error().unwrap()["metadata"]["availability"]["excluded_by"];
    assert_eq!(excluded, &json!(["max_price"]), "the caller hears why");
    providers[2].fails_with(Fault::status(500));
    let most = json!({"max_price": {"prompt": 9.99}});
    assert_eq!(served_by(&client, asking(most)).await, "provider_error", "never a dearer call");
}

#[tokio::test]
async fn a_session_stays_where_it_is() {
    let mut providers = Vec::new();
    for id in ["a", "b", "c", "d"] {
        providers.push(Provider::start(id).await.serving("model"));
    }
    let all: Vec<&Provider> = providers.iter().collect();
    let router = Setup::new(&all).start().await;
    let client = router.client();
    let mut homes = BTreeMap::<String, BTreeSet<String>>::new();
    for session in 0..12 {
        let session = format!("session-{session}");
        for _ in 0..4 {
            let body = overlay(chat("model"), json!({"session_id": session}));
            let by = served_by(&client, body).await;
            homes.entry(session.clone()).or_default().insert(by);
        }
        let header = [("x-session-id", session.as_str())];
        let reply = client.post_with("/v1/chat/completions", &header, &chat("model")).await;
        let by = client.record(&reply.head).await.text("/provider_name").to_owned();
        homes.entry(session).or_default().insert(by);
    }
    let moved: Vec<_> = homes.iter().filter(|(_, at)| at.len() != 1).collect();
    assert!(moved.is_empty(), "{moved:?}");
    let used: BTreeSet<_> = homes.values().flatten().collect();
    assert!(used.len() >= 3, "sessions spread over providers: {used:?}");
}

#[tokio::test]
async fn a_session_finds_another_home_when_its_own_fails() {
    let (providers, router) = market().await;
    let client = router.client();
    let body = overlay(chat("model"), json!({"session_id": "one"}));
    let home = served_by(&client, body.clone()).await;
    let at_home = providers.iter().find(|p| p.id == home).unwrap();
    at_home.fails_with(Fault::status(500));
    assert_ne!(served_by(&client, body).await, home);
}

#[tokio::test]
async fn other_models_of_the_list_follow_in_order() {
    let bad = Provider::start("bad").await.serving("first").serving("second");
    let good = Provider::start("good").await.serving("third");
    bad.fails_with(Fault::status(500));
    let router = Setup::new(&[&bad, &good]).start().await;
    let client = router.client();
    let body = overlay(chat("first"), json!({"models": ["second", "third"]}));
    let reply = client.chat(&body).await;
    assert_eq!(reply.json()["model"], "third", "the answer names the model that gave it");
    let record = client.record(&reply.head).await;
    let expected = ["bad:server_error"; 4].into_iter().chain(["good:ok"]);
    assert_eq!(record.attempts(), expected.collect::<Vec<_>>(), "each model gets one more try");
    assert_eq!((bad.saw("first").len(), bad.saw("second").len()), (2, 2));
}

#[tokio::test]
async fn data_rules_exclude_what_does_not_say() {
    let silent = Provider::start("silent").await.serving("model");
    let keeps = json!({"retention": {"days": 30}, "training": "no"});
    let keeps = Provider::start("keeps").await.serving_as("model", keeps);
    let zero = json!({"retention": "zero", "training": "no"});
    let zero = Provider::start("zero").await.serving_as("model", zero);
    let router = Setup::new(&[&silent, &keeps, &zero]).start().await;
    let client = router.client();
    for _ in 0..10 {
        assert_eq!(served_by(&client, asking(json!({"zdr": true}))).await, "zero");
        let deny = json!({"data_collection": "deny", "ignore": ["zero"]});
        assert_eq!(served_by(&client, asking(deny)).await, "keeps");
    }
    assert!(silent.saw("model").is_empty());
}

#[tokio::test]
async fn parameters_are_dropped_or_required() {
    let plain = json!({"parameters": ["temperature"]});
    let plain = Provider::start("plain").await.serving_as("model", plain);
    let rich = json!({"parameters": ["temperature", "seed"], "price": {"input": 90, "output": 90}});
    let rich = Provider::start("rich").await.serving_as("model", rich);
    let router = Setup::new(&[&plain, &rich]).start().await;
    let client = router.client();
    let with = |provider: Value| overlay(asking(provider), json!({"seed": 1, "temperature": 0.5}));
    let reply = client.chat(&with(json!({"only": ["plain"]}))).await;
    let record = client.record(&reply.head).await;
    assert_eq!(record.0["attempts"][0]["dropped_parameters"], json!(["seed"]));
    let sent: Value = serde_json::from_slice(&plain.saw("model")[0].body).unwrap();
    assert_eq!((sent.get("seed"), &sent["temperature"]), (None, &json!(0.5)));
    let required = with(json!({"require_parameters": true}));
    for _ in 0..5 {
        assert_eq!(served_by(&client, required.clone()).await, "rich");
    }
}
