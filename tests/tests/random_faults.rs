//! Ten thousand streams through providers that fail in every way at random. Whatever happens, no answer is
//! silently truncated or mixed up, none is counted or charged twice, and none hangs.

#![expect(clippy::panic, reason = "fails its test on the spot")]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sim_provider::{Fault, FaultRule, Profile, SimConfig, answer_text};
use tokio::task::JoinSet;
use trunkline_tests::client::{Client, End, Line, Reply};
use trunkline_tests::frames::Frame;
use trunkline_tests::json::overlay;
use trunkline_tests::provider::Provider;
use trunkline_tests::router::{KEY, Setup};

const CALLS: u64 = 10_000;
/// Callers at once.
const CALLERS: u64 = 48;
/// Enough that one model's breakers do not decide everything.
const MODELS: u64 = 40;
const TOKENS: u32 = 8;
/// Prints with every failure; another one finds other sequences.
const SEED: u64 = 20_261_122;

/// How often each fault hits, and how far into the answer.
fn faults() -> Vec<(Fault, f64)> {
    let after_content = [1, 4, 7].into_iter().flat_map(|after| {
        [
            Fault::Cut { after },
            Fault::CutReset { after },
            Fault::EarlyEof { after },
            Fault::MalformedChunk { after },
            Fault::ErrorInOk { after },
        ]
    });
    let before_content = [
        Fault::Reset,
        Fault::status(500),
        Fault::status(429),
        Fault::status(503),
        Fault::Cut { after: 0 },
        Fault::EmptyCompletion,
        Fault::BadJson,
        Fault::WrongContentType,
        Fault::ErrorInOk { after: 0 },
        Fault::NoDone,
    ];
    let silent = [Fault::BlackHole, Fault::Stall { after: 0 }, Fault::Stall { after: 4 }];
    let quick = after_content.chain(before_content).map(|fault| (fault, 0.008));
    quick.chain(silent.map(|fault| (fault, 0.002))).collect()
}

async fn faulty(id: &str, seed: u64) -> Provider {
    let config = SimConfig::with_profile(Profile::instant(TOKENS));
    let mut provider = Provider::with(id, config).await;
    for model in 0..MODELS {
        provider = provider.serving(&format!("model-{model}"));
    }
    for (at, (fault, probability)) in (0..).zip(faults()) {
        let rule = FaultRule::from(fault).with_probability(probability, seed.wrapping_add(at));
        provider.fails_with(rule);
    }
    provider
}

/// What one call is, drawn from the seed.
#[derive(Clone, Copy, Debug)]
struct Plan {
    number: u64,
    assured: bool,
    leaves: bool,
}

impl Plan {
    fn draw(number: u64) -> Self {
        // SplitMix64's finalizer: neighbouring numbers give unrelated draws.
        let mut mixed = (SEED ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let drawn = (mixed >> 33) % 100;
        Self { number, assured: drawn < 25, leaves: drawn >= 97 }
    }

    fn prompt(self) -> String {
        format!("call {} has words of its own", self.number)
    }

    fn body(self) -> Value {
        let delivery = if self.assured { json!({"delivery": "assured"}) } else { json!({}) };
        let body = json!({
            "model": format!("model-{}", self.number % MODELS),
            "messages": [{"role": "user", "content": self.prompt()}],
            "stream": true,
        });
        overlay(body, delivery)
    }
}

/// How a call ended for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Saw {
    Answer,
    BrokenStream,
    Refusal,
    Left,
}

/// Makes the call, on `line` if there is one left, and judges what came.
async fn call(client: &Client, plan: Plan, line: Option<Line>) -> (Saw, String, Option<Line>) {
    let mut line = match line {
        Some(line) => line,
        None => Line::connect(client.address).await,
    };
    let body = plan.body().to_string();
    line.send(&client.request("POST", "/v1/chat/completions", &[], body.as_bytes())).await;
    let mut exchange = line.exchange().await;
    let generation = exchange.head.generation().to_owned();
    if plan.leaves && exchange.head.status == 200 {
        exchange.frame().await;
        return (Saw::Left, generation, None);
    }
    let (reply, line) = exchange.read_on().await;
    let saw = judge(&reply, plan);
    (saw, generation, (reply.end == End::Whole).then_some(line))
}

fn judge(reply: &Reply, plan: Plan) -> Saw {
    let expected = answer_text(&plan.prompt(), TOKENS);
    if reply.status() != 200 {
        assert_ne!(reply.error_type(), "none", "seed {SEED}, {plan:?}: {}", reply.text());
        return Saw::Refusal;
    }
    let (frames, content) = (reply.frames(), reply.content());
    let odd = frames.iter().find(|frame| matches!(frame, Frame::Odd(_)));
    assert_eq!(odd, None, "seed {SEED}, {plan:?}");
    if frames.contains(&Frame::Done) {
        let right = reply.is_done() && reply.end == End::Whole && content == expected;
        assert!(right, "seed {SEED}, {plan:?}: {content:?}");
        return Saw::Answer;
    }
    assert_eq!(reply.end, End::Cut, "seed {SEED}, {plan:?}");
    assert_ne!(reply.error_type(), "none", "seed {SEED}, {plan:?}: {frames:?}");
    assert!(expected.starts_with(&content), "seed {SEED}, {plan:?}: {content:?}");
    assert!(!plan.assured || content.is_empty(), "seed {SEED}, {plan:?}: {content:?}");
    Saw::BrokenStream
}

async fn caller(client: Client, numbers: impl Iterator<Item = u64>) -> Vec<(Saw, String)> {
    let (mut seen, mut kept) = (Vec::new(), None);
    for number in numbers {
        let (saw, generation, line) = call(&client, Plan::draw(number), kept.take()).await;
        kept = line;
        seen.push((saw, generation));
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_faulty_streams() {
    let mut providers = Vec::new();
    for (id, seed) in [("one", SEED), ("two", SEED + 1_000), ("three", SEED + 2_000)] {
        providers.push(faulty(id, seed).await);
    }
    let timeouts = json!({"first_content_ms": 1_500, "stall_ms": 1_500, "commit_after_ms": 500});
    let providers: Vec<&Provider> = providers.iter().collect();
    let router = Setup::new(&providers).policy(json!({"timeouts": timeouts})).start().await;
    let mut callers = JoinSet::new();
    for first in 0..CALLERS {
        let numbers = (first..CALLS).step_by(usize::try_from(CALLERS).unwrap());
        callers.spawn(caller(router.client(), numbers));
    }
    let seen: Vec<(Saw, String)> = callers.join_all().await.into_iter().flatten().collect();
    assert_eq!(seen.len() as u64, CALLS);

    let mut counts = BTreeMap::new();
    for (saw, _) in &seen {
        *counts.entry(*saw).or_insert(0_u64) += 1;
    }
    println!("seed {SEED}: {counts:?}");
    let answers = counts.get(&Saw::Answer).copied().unwrap_or(0);
    assert!(answers > CALLS * 8 / 10, "seed {SEED}: only {counts:?}");
    let broken = counts.get(&Saw::BrokenStream).copied().unwrap_or(0);
    assert!(broken > 0, "seed {SEED}: no stream broke, so nothing was tested: {counts:?}");

    let spent = router.client_with(KEY).get("/v1/key").await.json();
    let spent = spent["data"]["usage"].as_f64().unwrap();
    while router.metric("trunkline_calls_in_flight", "").await > 0.0 {
        tokio::task::yield_now().await;
    }
    let counted = router.metric("trunkline_requests_total", "").await;
    let completed = router.metric("trunkline_requests_total", "completed").await;
    let dropped = router.metric("trunkline_records_dropped_total", "").await;
    let log = router.stop().await;
    let lines = log.calls();
    assert_eq!((counted as u64, dropped as u64), (CALLS, 0), "seed {SEED}");
    check_records(&seen, &lines);
    let logged = lines.iter().filter(|line| line["outcome"] == "completed").count();
    assert_eq!(logged as u64, completed as u64, "seed {SEED}");
    let charged: f64 = lines.iter().filter_map(|line| line["cost_usd"].as_f64()).sum();
    assert!(spent <= charged + 1e-9 && spent > charged * 0.99, "seed {SEED}: {spent} of {charged}");
}

/// One line a call, and it says what the caller saw.
fn check_records(seen: &[(Saw, String)], lines: &[Value]) {
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let by_id: BTreeMap<String, &Value> =
        lines.iter().map(|line| (text(line, "generation"), line)).collect();
    assert_eq!((by_id.len(), lines.len()), (seen.len(), seen.len()), "seed {SEED}");
    let distinct: BTreeSet<&String> = seen.iter().map(|(_, generation)| generation).collect();
    assert_eq!(distinct.len(), seen.len(), "seed {SEED}");
    for (saw, generation) in seen {
        let line = by_id.get(generation).unwrap_or_else(|| panic!("seed {SEED}: {generation}"));
        let outcome = text(line, "outcome");
        let right = match saw {
            Saw::Answer => outcome == "completed" && line["tokens_out"] == TOKENS,
            Saw::BrokenStream => outcome == "failed",
            Saw::Refusal => outcome == "failed" || outcome == "rejected",
            Saw::Left => true,
        };
        assert!(right, "seed {SEED}: {saw:?} is logged as {line}");
    }
}
