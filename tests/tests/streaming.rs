//! What a stream's caller may rely on: when headers come, what a break looks like, that nothing is lost,
//! added or held up on the way.

#![expect(clippy::panic, clippy::indexing_slicing, reason = "fails its test on the spot")]

use serde_json::{Value, json};
use sim_provider::{Ending, Fault, FaultRule, Profile, SimConfig, answer_text};
use trunkline_tests::client::{Client, End, Reply};
use trunkline_tests::frames::Frame;
use trunkline_tests::json::{PROMPT, chat, overlay};
use trunkline_tests::provider::{Provider, TOKENS};
use trunkline_tests::router::{Router, Setup};

/// The bytes of one stream that may wait anywhere between a provider and a caller who does not read: what
/// a router holds, and what the system's socket buffers take on the way in and out.
const HELD_MAX: usize = 24 << 20;

/// Tokens of an answer that is too long to be held up on the way.
const TOKENS_MANY: u32 = 25_000;

fn right_answer() -> String {
    answer_text(PROMPT, TOKENS)
}

fn stream(model: &str) -> Value {
    overlay(chat(model), json!({"stream": true}))
}

/// A stream that goes to the bad provider first.
fn bad_first(model: &str) -> Value {
    overlay(stream(model), json!({"provider": {"order": ["bad", "good"]}}))
}

/// A provider that misbehaves, a healthy one, and a router before them.
async fn pair(fault: impl Into<FaultRule>, policy: Value) -> (Provider, Provider, Router) {
    let bad = Provider::start("bad").await.serving("shared");
    let good = Provider::start("good").await.serving("shared");
    bad.fails_with(fault);
    let router = Setup::new(&[&bad, &good]).policy(policy).start().await;
    (bad, good, router)
}

fn timeouts(milliseconds: Value) -> Value {
    json!({"timeouts": milliseconds})
}

#[tokio::test]
async fn a_late_stream_gets_headers_and_comments_while_it_fails_over() {
    let policy = timeouts(json!({
        "commit_after_ms": 200, "keep_alive_ms": 100, "first_content_ms": 1_500,
    }));
    let (bad, good, router) = pair(Fault::BlackHole, policy).await;
    let client = router.client();
    let mut exchange = client.stream(&bad_first("shared")).await;
    assert_eq!(exchange.head.status, 200);
    let saw = bad.saw("shared");
    assert!(saw.len() == 1 && saw[0].end.is_none(), "headers came while the first try goes on");
    let mut comments = 0;
    while let Some(frame) = exchange.frame().await {
        match frame {
            Frame::Comment(text) => {
                assert_eq!(text, "trunkline");
                comments += 1;
            }
            other => {
                assert!(matches!(other, Frame::Event(_)), "{other:?}");
                break;
            }
        }
    }
    assert!(comments >= 2, "{comments} comments before the answer");
    let head = exchange.head.clone();
    let rest = exchange.read().await;
    assert_eq!((rest.end, rest.is_done()), (End::Whole, true));
    let record = client.record(&head).await;
    assert_eq!(record.outcome(), "completed");
    assert_eq!(record.attempts(), ["bad:first_content_timeout", "good:ok"]);
    assert_eq!(good.saw("shared").len(), 1);
}

#[tokio::test]
async fn a_late_stream_that_fails_everywhere_ends_with_the_error_chunk() {
    let policy = timeouts(json!({
        "commit_after_ms": 200, "keep_alive_ms": 100, "first_content_ms": 700,
    }));
    let bad = Provider::start("bad").await.serving("lone");
    bad.fails_with(Fault::BlackHole);
    let router = Setup::new(&[&bad]).policy(policy).start().await;
    let client = router.client();
    let reply = client.chat(&stream("lone")).await;
    assert_eq!((reply.status(), reply.end), (200, End::Cut));
    assert_eq!((reply.error_type().as_str(), reply.content().as_str()), ("upstream_timeout", ""));
    assert!(reply.text().contains(r#""model":"lone""#), "{}", reply.text());
    assert!(!reply.frames().contains(&Frame::Done));
    let record = client.record(&reply.head).await;
    assert_eq!((record.outcome(), record.error_type()), ("failed", "upstream_timeout"));
}

/// What a break after content looks like, whatever broke.
async fn breaks(fault: Fault, kind: &str, error_type: &str) {
    let policy = timeouts(json!({"stall_ms": 1_000}));
    let (bad, good, router) = pair(fault, policy).await;
    let client = router.client();
    let reply = client.chat(&bad_first("shared")).await;
    assert_eq!((reply.status(), reply.end), (200, End::Cut), "the connection is cut");
    assert_eq!(reply.content(), answer_text(PROMPT, 3), "what came before it was passed on");
    assert!(!reply.frames().contains(&Frame::Done), "a truncated stream is never a success");
    check_error_chunk(&reply, error_type);
    let record = client.record(&reply.head).await;
    assert_eq!((record.outcome(), record.error_type()), ("failed", error_type));
    assert_eq!(record.attempts(), [format!("bad:{kind}")]);
    assert_eq!(record.number("/tokens_completion"), 3.0, "what was used is settled");
    assert!(good.saw("shared").is_empty(), "no other endpoint continues an answer");
    assert_eq!(bad.saw("shared").len(), 1);
}

/// The last chunk of a broken stream, member by member.
fn check_error_chunk(reply: &Reply, error_type: &str) {
    let frames = reply.frames();
    let Some(Frame::Event(last)) = frames.last() else { panic!("{frames:?}") };
    let error = reply.error().unwrap_or_default();
    let text = |key: &str| error.get(key).cloned().unwrap_or_default();
    assert!(text("message").as_str().is_some_and(|message| message.starts_with("bad: ")));
    let metadata = overlay(
        error.get("metadata").cloned().unwrap_or_default(),
        json!({"error_type": error_type, "provider": "bad", "attempts": 1, "tokens_emitted": 3}),
    );
    let expected = json!({
        "id": reply.head.generation(),
        "object": "chat.completion.chunk",
        "model": "shared",
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
        "error": {
            "code": if error_type == "upstream_timeout" { 504 } else { 502 },
            "message": text("message"),
            "type": "server_error",
            "param": null,
            "metadata": metadata,
        },
    });
    assert_eq!(last, &expected);
}

#[tokio::test]
async fn every_break_after_content_ends_with_the_error_chunk_and_a_cut() {
    breaks(Fault::Stall { after: 3 }, "stall", "upstream_timeout").await;
    breaks(Fault::Cut { after: 3 }, "truncated", "provider_error").await;
    breaks(Fault::CutReset { after: 3 }, "truncated", "provider_error").await;
    breaks(Fault::EarlyEof { after: 3 }, "truncated", "provider_error").await;
    breaks(Fault::MalformedChunk { after: 3 }, "undecodable", "provider_error").await;
    breaks(Fault::huge_chunk(3), "undecodable", "provider_error").await;
    breaks(Fault::ErrorInOk { after: 3 }, "error_inside", "provider_error").await;
}

#[tokio::test]
async fn a_filter_that_stops_an_answer_midway_is_the_answers_end() {
    let (_bad, good, router) = pair(Fault::ContentFilter { after: 3 }, json!({})).await;
    let reply = router.client().chat(&bad_first("shared")).await;
    assert_eq!((reply.end, reply.is_done()), (End::Whole, true));
    assert_eq!(reply.content(), answer_text(PROMPT, 3));
    assert!(reply.text().contains(r#""finish_reason":"content_filter""#), "{}", reply.text());
    assert!(good.saw("shared").is_empty());
}

#[tokio::test]
async fn a_provider_that_forgets_done_is_finished_by_us() {
    let (_bad, good, router) = pair(Fault::NoDone, json!({})).await;
    let client = router.client();
    let reply = client.chat(&bad_first("shared")).await;
    assert_eq!((reply.end, reply.is_done()), (End::Whole, true));
    assert_eq!(reply.content(), right_answer());
    assert_eq!(client.record(&reply.head).await.outcome(), "completed");
    assert!(good.saw("shared").is_empty());
}

#[tokio::test]
async fn the_usage_chunk_is_for_those_who_ask() {
    let provider = Provider::start("only").await.serving("model");
    let router = Setup::new(&[&provider]).start().await;
    let client = router.client();
    let without = client.chat(&stream("model")).await;
    assert!(without.is_done() && !without.text().contains("\"usage\":{"), "{}", without.text());
    let record = client.record(&without.head).await;
    assert_eq!(record.number("/tokens_completion"), f64::from(TOKENS), "it was counted");

    let asked = json!({"stream_options": {"include_usage": true}});
    let with = client.chat(&overlay(stream("model"), asked)).await;
    let frames = with.frames();
    let Some(Frame::Event(usage)) = frames.iter().rev().nth(1) else { panic!("{frames:?}") };
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["completion_tokens"], TOKENS);
    let cost = usage["usage"]["cost"].as_f64().unwrap();
    let prompt_tokens = usage["usage"]["prompt_tokens"].as_f64().unwrap();
    let expected = prompt_tokens * 1e-6 + f64::from(TOKENS) * 2e-6;
    assert!((cost - expected).abs() < 1e-12, "{cost} is not {expected}");
    let charged = client.record(&with.head).await.number("/total_cost");
    assert!((charged - expected).abs() < 1e-12, "{charged} is not {expected}");
    for request in provider.saw("model") {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body["stream_options"]["include_usage"], true, "we always ask");
    }
}

#[tokio::test]
async fn assured_delivery_retries_a_break_at_any_point() {
    let faults = [
        Fault::Stall { after: 11 },
        Fault::Cut { after: 11 },
        Fault::CutReset { after: 5 },
        Fault::EarlyEof { after: 1 },
        Fault::MalformedChunk { after: 5 },
        Fault::ErrorInOk { after: 11 },
    ];
    for fault in faults {
        let policy = timeouts(json!({"stall_ms": 1_000}));
        let (bad, good, router) = pair(fault.clone(), policy).await;
        let client = router.client();
        let body = overlay(bad_first("shared"), json!({"delivery": "assured"}));
        let reply = client.chat(&body).await;
        assert_eq!((reply.end, reply.is_done()), (End::Whole, true), "{fault:?}");
        assert_eq!(reply.content(), right_answer(), "{fault:?}");
        assert_eq!(client.record(&reply.head).await.attempts().len(), 2);
        assert_eq!((bad.saw("shared").len(), good.saw("shared").len()), (1, 1));
    }
}

#[tokio::test]
async fn assured_delivery_can_be_the_policys_and_releases_nothing_early() {
    let policy = json!({
        "retry": {"assured": true},
        "timeouts": {"commit_after_ms": 100, "keep_alive_ms": 100, "stall_ms": 1_000},
    });
    let (bad, _good, router) = pair(Fault::Stall { after: 6 }, policy).await;
    let mut exchange = router.client().stream(&bad_first("shared")).await;
    loop {
        let frame = exchange.frame().await.unwrap();
        if frame.content().is_some() {
            break;
        }
        assert!(!matches!(frame, Frame::Odd(_) | Frame::Done), "{frame:?}");
    }
    assert!(bad.saw("shared")[0].end.is_some(), "content came only after the first try was over");
    let reply = exchange.read().await;
    assert!(reply.is_done());
}

#[tokio::test]
async fn unknown_fields_reach_the_provider_byte_for_byte() {
    let provider = Provider::start("only").await.serving_as("ours", json!({"upstream_model": "x"}));
    let router = Setup::new(&[&provider]).start().await;
    // Numbers beyond 64 bits, odd spacing, escapes and unknown names: none of it is ours to change.
    let odd = r#""x_big": 123456789012345678901234567890.10, "x_text":"\u00e9\/ é", "x": {"b" : [1e5,  -0.0]}"#;
    let messages = r#""messages": [ {"role":"user", "content":"alpha  beta\tgamma"} ]"#;
    let body = format!(r#"{{"model":"ours", {messages}, {odd}, "seed":7}}"#).replace("\\t", "\\t");
    let exchange = router.client().open("POST", "/v1/chat/completions", &[], body.as_bytes()).await;
    assert_eq!(exchange.read().await.status(), 200);
    let seen = provider.sim.log();
    let seen = String::from_utf8(seen[0].body.to_vec()).unwrap();
    assert!(seen.contains(odd) && seen.contains(messages), "{seen}");
    assert!(seen.contains(r#""model":"x""#) && !seen.contains("ours"), "{seen}");
}

#[tokio::test]
async fn routing_fields_do_not_reach_the_provider() {
    let provider = Provider::start("only").await.serving("model").serving("other");
    let router = Setup::new(&[&provider]).start().await;
    let ours = json!({
        "provider": {"order": ["only"]}, "models": ["other"], "session_id": "s-1",
        "delivery": "assured", "stream": true,
    });
    assert!(router.client().chat(&overlay(chat("model"), ours)).await.is_done());
    let body: Value = serde_json::from_slice(&provider.saw("model")[0].body).unwrap();
    for field in ["provider", "models", "session_id", "delivery"] {
        assert_eq!(body.get(field), None, "{field} is between the caller and the router");
    }
}

#[tokio::test]
async fn chunks_are_forwarded_byte_for_byte() {
    let provider = Provider::start("only").await.serving("model");
    let router = Setup::new(&[&provider]).start().await;
    let asked = overlay(stream("model"), json!({"stream_options": {"include_usage": true}}));
    let ours = router.client().chat(&asked).await;
    let direct = Client { address: provider.sim.addr(), key: String::new() };
    let theirs = direct.chat(&asked).await;
    assert_eq!(neutral(&ours.text()), neutral(&theirs.text()));
}

/// The frames without what must differ: the answer's number, and the usage, which gains its cost.
fn neutral(stream: &str) -> Vec<String> {
    let without_id = |frame: &str| {
        let rest = frame.strip_prefix("data: {\"id\":\"").and_then(|rest| rest.split_once('"'));
        rest.map_or(frame, |(_, rest)| rest).to_owned()
    };
    let frames = stream.split_inclusive("\n\n");
    frames.filter(|frame| !frame.contains("\"choices\":[]")).map(without_id).collect()
}

#[tokio::test]
async fn a_caller_who_does_not_read_holds_the_provider_back() {
    // Some 45 MB of answer, offered at once.
    let wordy = Profile::instant(TOKENS_MANY);
    let words = vec!["word-after-word-after-word-after-word"; 40].join("-");
    let provider = Provider::with("only", SimConfig::with_profile(wordy)).await.serving("model");
    let router = Setup::new(&[&provider]).start().await;
    let body = overlay(stream("model"), json!({"messages": [{"role": "user", "content": words}]}));
    let mut exchange = router.client().stream(&body).await;
    exchange.first_content().await;
    let emitted = settled(&provider).await;
    let held = usize::try_from(emitted).unwrap() * (words.len() + 150);
    assert!(held < HELD_MAX, "{held} bytes are on the way to a caller who does not read");
    let reply = exchange.read().await;
    assert!(reply.is_done(), "once read, it all comes");
    let log = provider.sim.wait_for(|log| log[0].end.is_some()).await.unwrap();
    assert!(log[0].ended(Ending::Completed) && log[0].tokens == TOKENS_MANY);
}

/// The tokens that the provider could get rid of before it was held back: the count that many looks in a
/// row, each after the provider had its turn, find unchanged.
async fn settled(provider: &Provider) -> u32 {
    let (mut last, mut same) = (0, 0);
    while same < 50 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        let now = provider.sim.log()[0].tokens;
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    last
}

#[tokio::test]
async fn a_silent_answer_is_kept_alive_after_its_first_content() {
    let slow = Profile { tokens_per_second: 2.0, ..Profile::instant(3) };
    let provider = Provider::with("only", SimConfig::with_profile(slow)).await.serving("model");
    let policy = timeouts(json!({"keep_alive_ms": 100, "stall_ms": 20_000}));
    let router = Setup::new(&[&provider]).policy(policy).start().await;
    let reply = router.client().chat(&stream("model")).await;
    let comments = reply.frames().iter().filter(|f| matches!(f, Frame::Comment(_))).count();
    assert!(comments >= 4, "{comments} comments");
    assert!(reply.is_done() && reply.content() == answer_text(PROMPT, 3));
}

#[tokio::test]
async fn assured_delivery_that_fails_everywhere_releases_nothing() {
    let bad = Provider::start("bad").await.serving("shared");
    let worse = Provider::start("worse").await.serving("shared");
    bad.fails_with(Fault::Cut { after: 7 });
    worse.fails_with(Fault::CutReset { after: 2 });
    let router = Setup::new(&[&bad, &worse]).start().await;
    let client = router.client();
    let reply = client.chat(&overlay(stream("shared"), json!({"delivery": "assured"}))).await;
    assert_eq!((reply.status(), reply.error_type().as_str()), (502, "provider_error"));
    let record = client.record(&reply.head).await;
    assert_eq!((record.outcome(), record.attempts().len()), ("failed", 2));
    assert_eq!((bad.saw("shared").len(), worse.saw("shared").len()), (1, 1));
}

#[tokio::test]
async fn completions_stream_and_break_like_chats() {
    let (_bad, _good, router) = pair(FaultRule::times(Fault::Cut { after: 3 }, 1), json!({})).await;
    let client = router.client();
    let body = json!({
        "model": "shared", "prompt": PROMPT, "stream": true, "provider": {"order": ["bad"]},
    });
    let text = |reply: &Reply| -> String {
        let frames = reply.frames().into_iter();
        let texts = frames.filter_map(|frame| match frame {
            Frame::Event(event) => event.pointer("/choices/0/text")?.as_str().map(str::to_owned),
            Frame::Comment(_) | Frame::Done | Frame::Odd(_) => None,
        });
        texts.collect()
    };
    let broken = client.post("/v1/completions", &body).await;
    assert_eq!((broken.end, broken.error_type().as_str()), (End::Cut, "provider_error"));
    assert_eq!(text(&broken), answer_text(PROMPT, 3));
    let whole = client.post("/v1/completions", &body).await;
    assert_eq!((whole.end, whole.is_done(), text(&whole)), (End::Whole, true, right_answer()));
}
