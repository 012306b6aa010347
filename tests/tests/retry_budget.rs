//! Extra tries are rationed: when much fails at once, callers get the original error instead of more load.

use serde_json::{Value, json};
use sim_provider::{Fault, FaultRule};
use trunkline_tests::json::{chat, overlay};
use trunkline_tests::provider::Provider;
use trunkline_tests::router::{Router, Setup};

async fn pair(retry: Value) -> (Provider, Provider, Router) {
    let bad = Provider::start("bad").await.serving("model");
    let good = Provider::start("good").await.serving("model");
    let router = Setup::new(&[&bad, &good]).policy(json!({"retry": retry})).start().await;
    (bad, good, router)
}

fn bad_first() -> Value {
    overlay(chat("model"), json!({"provider": {"order": ["bad", "good"]}}))
}

#[tokio::test]
async fn without_any_the_original_error_comes_with_a_note() {
    let (bad, good, router) = pair(json!({"budget_percent": 0, "budget_floor": 0})).await;
    bad.fails_with(Fault::status(500));
    let client = router.client();
    let reply = client.chat(&bad_first()).await;
    assert_eq!((reply.status(), reply.error_type().as_str()), (502, "provider_error"));
    assert!(reply.text().contains("retry budget"), "{}", reply.text());
    assert!(good.saw("model").is_empty());
    assert_eq!(client.record(&reply.head).await.attempts(), ["bad:server_error"]);
    assert_eq!(router.metric("trunkline_retry_budget_exhausted_total", "").await, 1.0);
}

#[tokio::test]
async fn it_is_given_back_when_a_try_is_over() {
    let (bad, good, router) = pair(json!({"budget_percent": 0, "budget_floor": 1})).await;
    bad.fails_with(Fault::status(500));
    good.fails_with(FaultRule::times(Fault::BlackHole, 1));
    let client = router.client();
    let holder = client.clone();
    let held = tokio::task::JoinSet::from_iter([async move { holder.chat(&bad_first()).await }]);
    good.sim.wait_for(|log| log.len() == 1).await.unwrap();

    let refused = client.chat(&bad_first()).await;
    assert_eq!(refused.status(), 502);
    assert!(refused.text().contains("retry budget"), "{}", refused.text());

    drop(held);
    good.sim.wait_for(|log| log[0].end.is_some()).await.unwrap();
    let served = client.chat(&bad_first()).await;
    assert_eq!(served.status(), 200, "{}", served.text());
    assert_eq!(client.record(&served.head).await.attempts(), ["bad:server_error", "good:ok"]);
}

#[tokio::test]
async fn no_more_tries_than_the_policy_allows() {
    let mut providers = Vec::new();
    for id in ["p1", "p2", "p3", "p4", "p5"] {
        let provider = Provider::start(id).await.serving("model");
        provider.fails_with(Fault::status(500));
        providers.push(provider);
    }
    for (attempts, expected) in [(1, 1), (3, 3), (5, 5)] {
        let all: Vec<&Provider> = providers.iter().collect();
        let policy = json!({"retry": {"attempts": attempts}});
        let router = Setup::new(&all).policy(policy).start().await;
        let client = router.client();
        let reply = client.chat(&chat("model")).await;
        let tried = client.record(&reply.head).await.attempts();
        let distinct: std::collections::BTreeSet<_> = tried.iter().collect();
        assert_eq!((reply.status(), tried.len(), distinct.len()), (502, expected, expected));
        let previous = &reply.error().unwrap()["metadata"]["previous_errors"];
        let told = previous.as_array().map_or(0, Vec::len);
        assert_eq!(told, expected - 1, "each earlier failure is told: {previous}");
    }
}
