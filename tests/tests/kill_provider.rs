//! A provider dies under two hundred calls at once. No call is lost that had another provider left, and
//! none hangs.

#![expect(clippy::expect_used, reason = "fails its test on the spot")]

use std::sync::Arc;

use serde_json::{Value, json};
use sim_provider::{LogEntry, Profile, SimConfig, answer_text};
use tokio::task::JoinSet;
use trunkline_tests::client::{Client, End, Reply};
use trunkline_tests::frames::Frame;
use trunkline_tests::json::{PROMPT, chat, overlay};
use trunkline_tests::provider::Provider;
use trunkline_tests::router::Setup;

const CALLS: usize = 200;
/// Calls after the death.
const LATER: usize = 30;
const MODELS: usize = 4;
const TOKENS: u32 = 20;
/// The victim dies when so many of its calls are where they are to be met.
const UNDER_WAY: usize = 20;

/// Where the victim's calls are when it dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// Asked, and nothing answered yet.
    BeforeContent,
    /// Somewhere in the answer.
    InsideTheAnswer,
}

/// How a call is made, in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Whole,
    Streamed,
    Assured,
}

fn body(number: usize) -> (Kind, Value) {
    let model = chat(&format!("model-{}", number % MODELS));
    match number % 3 {
        0 => (Kind::Whole, model),
        1 => (Kind::Streamed, overlay(model, json!({"stream": true}))),
        _ => (Kind::Assured, overlay(model, json!({"stream": true, "delivery": "assured"}))),
    }
}

async fn provider(id: &str, moment: Moment) -> Provider {
    // Slow enough that its calls are there when the victim dies.
    let ttft_ms = if moment == Moment::BeforeContent { 2_000 } else { 100 };
    let profile = Profile { ttft_ms, tokens_per_second: 40.0, ..Profile::instant(TOKENS) };
    let mut provider = Provider::with(id, SimConfig::with_profile(profile)).await;
    for model in 0..MODELS {
        provider = provider.serving(&format!("model-{model}"));
    }
    provider
}

/// What the caller of a call must not see.
fn judge(kind: Kind, reply: &Reply) {
    let expected = answer_text(PROMPT, TOKENS);
    assert_eq!(reply.status(), 200, "{kind:?}: {}", reply.text());
    if kind == Kind::Whole || reply.is_done() {
        assert_eq!((reply.content(), reply.end), (expected, End::Whole), "{kind:?}");
        return;
    }
    // Only what was released already cannot be taken back; its caller is told.
    assert_eq!((kind, reply.end), (Kind::Streamed, End::Cut), "{}", reply.text());
    assert!(!reply.content().is_empty() && expected.starts_with(&reply.content()));
    assert!(reply.frames().last().and_then(Frame::error).is_some(), "{}", reply.text());
}

async fn kill_one(victim: usize, moment: Moment) {
    let mut providers = Vec::new();
    for id in ["one", "two", "three"] {
        providers.push(provider(id, moment).await);
    }
    let all: Vec<&Provider> = providers.iter().collect();
    // A third of all calls needs another try at the same time: the default budget makes them queue for it.
    let router = Setup::new(&all).start().await;
    let client = router.client();
    let mut calls = JoinSet::new();
    for number in 0..CALLS {
        let client = client.clone();
        calls.spawn(async move {
            let (kind, body) = body(number);
            (kind, client.chat(&body).await)
        });
    }
    let victim = Arc::clone(&all.get(victim).expect("one of three").sim);
    let there = |log: &[LogEntry]| match moment {
        Moment::BeforeContent => log.len() >= UNDER_WAY,
        Moment::InsideTheAnswer => log.iter().filter(|e| e.tokens > 0).count() >= UNDER_WAY,
    };
    victim.wait_for(there).await.expect("calls are under way");
    victim.kill();
    judge_all(&calls.join_all().await, moment);
    let retried = router.metric("trunkline_retries_total", "").await;
    assert!(retried > 0.0, "nobody met the dead provider: nothing was tested");
    let later = nobody_notices(&client, &all).await;
    let log = router.stop().await;
    assert_eq!(log.calls().len(), CALLS + later, "one record for each call");
}

fn judge_all(replies: &[(Kind, Reply)], moment: Moment) {
    for (kind, reply) in replies {
        judge(*kind, reply);
    }
    let broken = replies.iter().filter(|(_, reply)| reply.end == End::Cut).count();
    let most = if moment == Moment::InsideTheAnswer { CALLS / 3 } else { 0 };
    assert!(broken <= most, "{broken} streams broke");
}

/// Calls after the death; how many.
async fn nobody_notices(client: &Client, providers: &[&Provider]) -> usize {
    for provider in providers {
        provider.sim.set_profile(Profile::instant(TOKENS));
    }
    for number in 0..LATER {
        let (kind, body) = body(number);
        let reply = client.chat(&body).await;
        assert_eq!(reply.content(), answer_text(PROMPT, TOKENS), "{kind:?}");
    }
    LATER
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_three_dies_before_it_answers() {
    for victim in 0..3 {
        kill_one(victim, Moment::BeforeContent).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_three_dies_inside_its_answers() {
    for victim in 0..3 {
        kill_one(victim, Moment::InsideTheAnswer).await;
    }
}
