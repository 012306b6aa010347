//! The failure table, row by row, from both ends: what the caller saw, and what the providers saw. Streams
//! that break after their first content are in `streaming.rs`.

use serde_json::{Value, json};
use sim_provider::{Ending, Fault, FaultRule, Profile, SimConfig, answer_text};
use trunkline_tests::json::{PROMPT, chat, overlay};
use trunkline_tests::provider::{Provider, TOKENS};
use trunkline_tests::router::{KEY, Router, Setup};

/// A deadline that a loaded machine keeps in health and that a silent provider misses soon.
const SHORT_MS: u64 = 1_500;
/// A deadline that only a hanging call misses.
const LONG_MS: u64 = 30_000;

/// Who pays for a failure in later choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pays {
    Health,
    Capacity,
    Nobody,
}

/// What a row of the table promises.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// The failure's name in records.
    kind: &'static str,
    /// What the caller sees if nothing is left.
    seen: (u16, &'static str),
    /// Tries at an endpoint that stands alone.
    tries: usize,
    pays: Pays,
}

/// A failure that may pass in a moment: an endpoint that stands alone is tried once more.
const fn passing(kind: &'static str, status: u16, error_type: &'static str) -> Row {
    Row { kind, seen: (status, error_type), tries: 2, pays: Pays::Health }
}

/// A failure after which another try at the same endpoint would be in vain.
const fn lasting(kind: &'static str, status: u16, error_type: &'static str) -> Row {
    Row { tries: 1, ..passing(kind, status, error_type) }
}

const SERVER_ERROR: Row = passing("server_error", 502, "provider_error");
const SILENT: Row = lasting("first_content_timeout", 504, "upstream_timeout");

/// Whether the caller asks for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Whole,
    Streamed,
}

const BOTH: [Shape; 2] = [Shape::Whole, Shape::Streamed];

fn ask(model: &str, shape: Shape) -> Value {
    overlay(chat(model), json!({"stream": shape == Shape::Streamed}))
}

/// The same, at the bad provider first.
fn bad_first(model: &str, shape: Shape) -> Value {
    overlay(ask(model, shape), json!({"provider": {"order": ["bad", "good"]}}))
}

fn right_answer() -> String {
    answer_text(PROMPT, TOKENS)
}

/// Both models of a row: `shared` has a healthy endpoint beside the bad one, `lone` has not.
async fn bad_provider() -> Provider {
    Provider::start("bad").await.serving("shared").serving("lone")
}

async fn good_provider() -> Provider {
    Provider::start("good").await.serving("shared")
}

/// Checks a row for a provider that fails every request in this way.
async fn check(fault: Fault, row: Row, shapes: &[Shape]) {
    for shape in shapes {
        let bad = bad_provider().await;
        bad.fails_with(fault.clone());
        check_provider(bad, row, *shape).await;
    }
}

async fn check_provider(bad: Provider, row: Row, shape: Shape) {
    let good = good_provider().await;
    let patience_ms = if row.kind == SILENT.kind { SHORT_MS } else { LONG_MS };
    let timeouts = json!({"first_content_ms": patience_ms, "answer_ms": patience_ms});
    let router = Setup::new(&[&bad, &good]).policy(json!({"timeouts": timeouts})).start().await;
    check_shared(&router, (&bad, &good), row, shape).await;
    check_next(&router, row, shape).await;
    check_lone(&router, row, shape).await;
    // A rest of two seconds may be over before the next call; these last for half a minute.
    let rests = row.pays == Pays::Capacity && row.tries == 1;
    if rests {
        check_resting(&router, row, shape).await;
    }
    let unreachable = matches!(row.kind, "connect" | "dns" | "tls");
    assert_eq!(bad.saw("lone").len(), if unreachable { 0 } else { row.tries });
    let log = router.stop().await;
    assert_eq!(log.calls().len(), 3 + usize::from(rests), "one line for each call");
    assert!(!log.mentions(KEY) && !log.mentions(PROMPT), "a secret or a prompt is in the log");
}

/// With another endpoint left, the caller sees nothing of the failure.
async fn check_shared(
    router: &Router,
    (bad, good): (&Provider, &Provider),
    row: Row,
    shape: Shape,
) {
    let client = router.client();
    let reply = client.chat(&bad_first("shared", shape)).await;
    assert_eq!(reply.status(), 200, "{}", reply.text());
    assert_eq!(reply.content(), right_answer());
    assert_eq!(reply.is_done(), shape == Shape::Streamed);
    let record = client.record(&reply.head).await;
    assert_eq!(record.outcome(), "completed");
    assert_eq!(record.attempts(), [format!("bad:{}", row.kind), "good:ok".to_owned()]);
    assert_eq!(good.saw("shared").len(), 1);
    assert!(bad.saw("shared").len() <= 1, "the bad one was tried once");
}

/// The next call meets a world in which the right one has paid.
async fn check_next(router: &Router, row: Row, shape: Shape) {
    let client = router.client();
    let after = client.chat(&ask("shared", shape)).await;
    assert_eq!(after.content(), right_answer(), "the next call does not care");
    let record = client.record(&after.head).await;
    let candidate = record.candidate("bad");
    let ghost = candidate.get("ghost_milli").and_then(Value::as_u64);
    let breaker = candidate.get("breaker").and_then(Value::as_str);
    match row.pays {
        Pays::Health => assert!(ghost > Some(1_000), "{candidate}"),
        Pays::Capacity => assert_eq!((ghost, breaker), (Some(0), Some("cooling")), "{candidate}"),
        Pays::Nobody => assert_eq!((ghost, breaker), (Some(0), Some("admitted")), "{candidate}"),
    }
}

/// With nothing left, the caller sees a typed error, and the record tells every try.
async fn check_lone(router: &Router, row: Row, shape: Shape) {
    let client = router.client();
    let reply = client.chat(&ask("lone", shape)).await;
    let (status, error_type) = row.seen;
    assert_eq!((reply.status(), reply.error_type().as_str()), (status, error_type));
    assert_eq!(reply.head.header("content-type"), Some("application/json"));
    let error = reply.error().unwrap_or_default();
    assert_eq!(error.get("code"), Some(&json!(status)));
    assert_eq!(error.pointer("/metadata/attempts"), Some(&json!(row.tries)));
    let waits = matches!(status, 429 | 503);
    assert_eq!(reply.head.header("retry-after").is_some(), waits, "{:?}", reply.head);
    assert_eq!(reply.head.header("x-should-retry"), (!waits).then_some("false"));
    let record = client.record(&reply.head).await;
    assert_eq!((record.outcome(), record.error_type()), ("failed", error_type));
    assert_eq!(record.attempts(), vec![format!("bad:{}", row.kind); row.tries]);
    assert_eq!(record.number("/total_cost"), 0.0, "nothing was used");
}

/// While the endpoint is left alone, callers are told what the try said after which it is, without another.
async fn check_resting(router: &Router, row: Row, shape: Shape) {
    let client = router.client();
    let reply = client.chat(&ask("lone", shape)).await;
    let seen = (reply.status(), reply.error_type());
    assert_eq!(seen, (row.seen.0, row.seen.1.to_owned()), "{}", reply.text());
    assert_eq!(reply.head.header("retry-after").is_some(), row.seen.0 == 429, "{:?}", reply.head);
    assert_eq!(client.record(&reply.head).await.outcome(), "rejected");
}

#[tokio::test]
async fn a_refused_connection() {
    for shape in BOTH {
        let bad = bad_provider().await;
        bad.sim.kill();
        check_provider(bad, passing("connect", 502, "provider_unavailable"), shape).await;
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve() {
    for shape in BOTH {
        let bad = bad_provider().await.at("http://nowhere.invalid/v1");
        check_provider(bad, lasting("dns", 502, "provider_unavailable"), shape).await;
    }
}

#[tokio::test]
async fn tls_with_a_server_that_does_not_speak_it() {
    for shape in BOTH {
        let bad = bad_provider().await;
        let url = bad.sim.base_url().replace("http://", "https://");
        check_provider(bad.at(&url), lasting("tls", 502, "provider_unavailable"), shape).await;
    }
}

#[tokio::test]
async fn a_reset_before_any_byte() {
    check(Fault::Reset, passing("reset", 502, "provider_unavailable"), &BOTH).await;
}

#[tokio::test]
async fn a_black_hole() {
    check(Fault::BlackHole, SILENT, &BOTH).await;
}

#[tokio::test]
async fn headers_that_come_too_late() {
    check(Fault::SlowHeaders { delay_ms: 600_000 }, SILENT, &BOTH).await;
}

#[tokio::test]
async fn a_first_token_that_comes_too_late() {
    check(Fault::SlowFirstToken { delay_ms: 600_000 }, SILENT, &BOTH).await;
}

#[tokio::test]
async fn silence_after_the_role() {
    check(Fault::Stall { after: 0 }, SILENT, &BOTH).await;
}

#[tokio::test]
async fn nothing_but_comments() {
    check(Fault::CommentsOnly { every_ms: 20 }, SILENT, &BOTH).await;
}

#[tokio::test]
async fn statuses_that_are_the_servers_fault() {
    for status in [425, 500, 502, 520, 521, 522, 523, 524, 525, 526, 527, 528] {
        let shape = if status % 2 == 0 { Shape::Whole } else { Shape::Streamed };
        check(Fault::status(status), SERVER_ERROR, &[shape]).await;
    }
}

#[tokio::test]
async fn statuses_that_say_too_late() {
    for status in [408, 504] {
        check(Fault::status(status), passing("server_error", 504, "upstream_timeout"), &BOTH).await;
    }
}

#[tokio::test]
async fn overload_counts_half() {
    // Half a failure weighs less than a whole one, and asks for no ghost load.
    for status in [503, 529] {
        let row = passing("overloaded", 503, "provider_overloaded");
        check(Fault::status(status), Row { pays: Pays::Nobody, ..row }, &BOTH).await;
    }
}

#[tokio::test]
async fn a_rate_limit_is_capacity() {
    let row = passing("rate_limited", 429, "provider_rate_limited");
    check(Fault::status(429), Row { pays: Pays::Capacity, ..row }, &BOTH).await;
}

fn limited(seconds: &str) -> Fault {
    let retry_after = Some(seconds.to_owned());
    Fault::Status { status: 429, retry_after, retry_after_ms: None }
}

#[tokio::test]
async fn a_long_rate_limit_is_not_waited_for() {
    let row = lasting("rate_limited", 429, "provider_rate_limited");
    check(limited("30"), Row { pays: Pays::Capacity, ..row }, &BOTH).await;
}

#[tokio::test]
async fn a_short_rate_limit_is_waited_for() {
    let (bad, good) = (bad_provider().await, good_provider().await);
    bad.fails_with(FaultRule::times(limited("1"), 1));
    let router = Setup::new(&[&bad, &good]).start().await;
    let reply = router.client().chat(&chat("lone")).await;
    assert_eq!(reply.content(), right_answer());
    let saw = bad.saw("lone");
    let waited = saw[1].received_ms - saw[0].received_ms;
    assert!(waited >= 1_000, "asked again after {waited} ms");
}

#[tokio::test]
async fn the_caller_hears_how_long_a_limited_provider_wants_to_be_left_alone() {
    // As sent, and in seconds as the caller is told: rounded up, bounded, or ours when unreadable.
    let told =
        [("30", "30"), ("2.5", "3"), ("1e9", "60"), ("-5", "1"), ("soon", "1"), ("inf", "1")];
    for (sent, seconds) in told {
        let bad = bad_provider().await;
        bad.fails_with(limited(sent));
        let router = Setup::new(&[&bad]).start().await;
        let client = router.client();
        let reply = client.chat(&chat("lone")).await;
        assert_eq!((reply.status(), reply.head.header("retry-after")), (429, Some(seconds)));
        let next = client.chat(&chat("lone")).await;
        assert_eq!((next.status(), next.error_type().as_str()), (429, "provider_rate_limited"));
        let tries = if matches!(sent, "30" | "2.5" | "1e9") { 1 } else { 2 };
        assert_eq!(bad.saw("lone").len(), tries, "after `{sent}` the provider is left alone");
        assert_eq!(client.record(&next.head).await.outcome(), "rejected");
    }
}

#[tokio::test]
async fn a_limited_credential_leaves_the_other_one_free() {
    let bad = bad_provider().await.with_credentials(&["sk-first-0001", "sk-second-0002"]);
    bad.fails_with(FaultRule::times(limited("30"), 1));
    let router = Setup::new(&[&bad]).start().await;
    let client = router.client();
    assert_eq!(client.chat(&chat("lone")).await.status(), 429);
    assert_eq!(client.chat(&chat("lone")).await.content(), right_answer());
    let tails: Vec<_> = bad.saw("lone").into_iter().filter_map(|e| e.credential_tail).collect();
    assert_eq!(tails, ["0001", "0002"]);
}

#[tokio::test]
async fn a_refused_credential_without_another() {
    for (status, kind) in
        [(401, "credential_refused"), (403, "credential_refused"), (402, "payment_required")]
    {
        let row = lasting(kind, 502, "provider_authentication");
        check(Fault::status(status), Row { pays: Pays::Capacity, ..row }, &BOTH).await;
    }
}

#[tokio::test]
async fn a_refused_credential_with_another() {
    for (status, kind) in
        [(401, "credential_refused"), (403, "credential_refused"), (402, "payment_required")]
    {
        let bad = bad_provider().await.with_credentials(&["sk-first-0001", "sk-second-0002"]);
        bad.fails_with(FaultRule::times(Fault::status(status), 1));
        let router = Setup::new(&[&bad]).start().await;
        let client = router.client();
        let reply = client.chat(&chat("lone")).await;
        assert_eq!(reply.content(), right_answer());
        let record = client.record(&reply.head).await;
        assert_eq!(record.attempts(), [format!("bad:{kind}"), "bad:ok".to_owned()]);
        assert_eq!(client.chat(&chat("lone")).await.content(), right_answer());
        let tails: Vec<_> = bad.saw("lone").into_iter().filter_map(|e| e.credential_tail).collect();
        assert_eq!(tails, ["0001", "0002", "0002"], "the refused one rests");
    }
}

#[tokio::test]
async fn what_a_provider_says_about_our_credentials_is_masked() {
    let bad = bad_provider().await.with_credentials(&["sk-very-secret-credential-0001"]);
    bad.fails_with(Fault::EchoRequest { status: 401 });
    let router = Setup::new(&[&bad]).start().await;
    let client = router.client();
    let reply = client.chat(&chat("lone")).await;
    assert_eq!((reply.status(), reply.error_type().as_str()), (502, "provider_authentication"));
    let text = reply.text();
    assert!(!text.contains("very-secret") && !text.contains("alpha"), "{text}");
}

#[tokio::test]
async fn an_echoed_request_and_key_are_cut_out_of_other_errors() {
    let bad = bad_provider().await.with_credentials(&["sk-very-secret-credential-0001"]);
    bad.fails_with(Fault::EchoRequest { status: 400 });
    let router = Setup::new(&[&bad]).start().await;
    let reply = router.client().chat(&chat("lone")).await;
    assert_eq!((reply.status(), reply.error_type().as_str()), (400, "invalid_request"));
    assert!(!reply.text().contains("very-secret"), "{}", reply.text());
    let log = router.stop().await;
    assert!(!log.mentions("very-secret") && !log.mentions("alpha"), "{:#?}", log.0);
}

#[tokio::test]
async fn a_model_that_the_provider_does_not_know() {
    let row = lasting("model_missing", 404, "model_not_found");
    check(Fault::ModelNotFound, Row { pays: Pays::Capacity, ..row }, &BOTH).await;
}

/// A bad provider with a small window, and a good one with this window.
async fn windows(good_window: u64) -> (Provider, Provider, Router) {
    let small = json!({"context_tokens": 8_192});
    let bad = Provider::start("bad").await.serving_as("shared", small);
    let good =
        Provider::start("good").await.serving_as("shared", json!({"context_tokens": good_window}));
    bad.fails_with(Fault::ContextLength);
    let router = Setup::new(&[&bad, &good]).start().await;
    (bad, good, router)
}

#[tokio::test]
async fn a_prompt_that_is_too_long_goes_to_a_larger_window() {
    for shape in BOTH {
        let (_bad, good, router) = windows(128_000).await;
        let client = router.client();
        let reply = client.chat(&bad_first("shared", shape)).await;
        assert_eq!(reply.content(), right_answer());
        let record = client.record(&reply.head).await;
        assert_eq!(record.attempts(), ["bad:context_length", "good:ok"]);
        assert_eq!(good.saw("shared").len(), 1);
        assert_eq!(record.candidate("bad")["ghost_milli"], 0, "nobody pays");
    }
}

#[tokio::test]
async fn a_prompt_that_is_too_long_goes_nowhere_else() {
    for shape in BOTH {
        let (_bad, good, router) = windows(8_192).await;
        let client = router.client();
        let reply = client.chat(&bad_first("shared", shape)).await;
        assert_eq!((reply.status(), reply.error_type().as_str()), (400, "context_length_exceeded"));
        assert_eq!(client.record(&reply.head).await.attempts(), ["bad:context_length"]);
        assert!(good.saw("shared").is_empty());
    }
}

#[tokio::test]
async fn a_request_at_fault_is_tried_once_and_passed_through() {
    let rows = [
        (400, 400, "invalid_request"),
        (409, 400, "invalid_request"),
        (413, 413, "payload_too_large"),
        (422, 422, "unprocessable"),
    ];
    for (status, seen, error_type) in rows {
        for shape in BOTH {
            let (bad, good) = (bad_provider().await, good_provider().await);
            bad.fails_with(Fault::status(status));
            let router = Setup::new(&[&bad, &good]).start().await;
            let client = router.client();
            let reply = client.chat(&bad_first("shared", shape)).await;
            assert_eq!((reply.status(), reply.error_type().as_str()), (seen, error_type));
            assert!(reply.text().contains("The request was not accepted."), "{}", reply.text());
            assert_eq!(client.record(&reply.head).await.attempts(), ["bad:bad_request"]);
            assert!(good.saw("shared").is_empty(), "no provider could do better");
            let next = client.chat(&bad_first("shared", shape)).await;
            let record = client.record(&next.head).await;
            assert_eq!(record.candidate("bad")["ghost_milli"], 0, "nobody pays");
        }
    }
}

/// A call that a filter refuses, with another model to go to; what the caller and the other model saw.
async fn filtered(fault: Fault, policy: Value, models: Value) -> (u16, String, usize) {
    let bad = Provider::start("bad").await.serving("strict");
    let good = Provider::start("good").await.serving("lenient");
    bad.fails_with(fault);
    let router = Setup::new(&[&bad, &good]).policy(policy).start().await;
    let reply = router.client().chat(&overlay(chat("strict"), json!({"models": models}))).await;
    let what = if reply.status() == 200 { reply.content() } else { reply.error_type() };
    assert_eq!(bad.saw("strict").len(), 1);
    (reply.status(), what, good.saw("lenient").len())
}

#[tokio::test]
async fn a_content_filter_leads_elsewhere_only_by_list_and_policy() {
    let refused = || (400, "content_policy_violation".to_owned(), 0);
    let falls_back = json!({"retry": {"content_filter_falls_back": true}});
    for fault in [Fault::ContentPolicy, Fault::ContentFilter { after: 0 }] {
        let list = json!(["lenient"]);
        let by_list = filtered(fault.clone(), json!({}), list.clone()).await;
        assert_eq!(by_list, refused(), "the policy does not allow it");
        let by_policy = filtered(fault.clone(), falls_back.clone(), json!([])).await;
        assert_eq!(by_policy, refused(), "the caller named no other model");
        let by_both = filtered(fault, falls_back.clone(), list).await;
        assert_eq!(by_both, (200, right_answer(), 1));
    }
}

#[tokio::test]
async fn what_one_dialect_cannot_say_goes_to_a_provider_of_another() {
    let dialect = json!({"dialect": "anthropic"});
    let claude = Provider::start("claude").await.serving("m").described(dialect);
    let plain = Provider::start("plain").await.serving("m");
    let router = Setup::new(&[&claude, &plain]).start().await;
    let client = router.client();
    let choices = |wishes| overlay(chat("m"), json!({"n": 2, "provider": wishes}));
    let reply = client.chat(&choices(json!({"order": ["claude", "plain"]}))).await;
    assert_eq!(reply.status(), 200);
    let record = client.record(&reply.head).await;
    assert_eq!(record.attempts(), ["claude:untranslatable", "plain:ok"]);
    let reply = client.chat(&choices(json!({"only": ["claude"]}))).await;
    assert_eq!((reply.status(), reply.error_type().as_str()), (400, "invalid_request"));
    assert!(claude.saw("m").is_empty());
}

#[tokio::test]
async fn an_error_inside_a_success() {
    check(Fault::ErrorInOk { after: 0 }, passing("error_inside", 502, "provider_error"), &BOTH)
        .await;
}

#[tokio::test]
async fn an_empty_completion() {
    check(Fault::EmptyCompletion, passing("empty", 502, "provider_error"), &BOTH).await;
}

const UNDECODABLE: Row = passing("undecodable", 502, "provider_error");

#[tokio::test]
async fn bad_json() {
    check(Fault::BadJson, UNDECODABLE, &BOTH).await;
}

#[tokio::test]
async fn a_wrong_content_type() {
    check(Fault::WrongContentType, UNDECODABLE, &BOTH).await;
}

#[tokio::test]
async fn a_malformed_first_chunk() {
    check(Fault::MalformedChunk { after: 0 }, UNDECODABLE, &BOTH).await;
}

#[tokio::test]
async fn a_huge_first_chunk() {
    check(Fault::huge_chunk(0), UNDECODABLE, &[Shape::Streamed]).await;
}

#[tokio::test]
async fn a_gzip_bomb() {
    let bomb = Fault::GzipBomb { inflated_bytes: 64 << 20 };
    check(bomb, UNDECODABLE, &BOTH).await;
}

#[tokio::test]
async fn an_end_before_the_first_content() {
    check(
        Fault::EarlyEof { after: 0 },
        passing("empty", 502, "provider_error"),
        &[Shape::Streamed],
    )
    .await;
    check(Fault::EarlyEof { after: 0 }, UNDECODABLE, &[Shape::Whole]).await;
}

#[tokio::test]
async fn a_cut_before_the_first_content() {
    let row = passing("truncated", 502, "provider_error");
    check(Fault::Cut { after: 0 }, row, &BOTH).await;
    check(Fault::CutReset { after: 0 }, row, &BOTH).await;
}

#[tokio::test]
async fn the_calls_own_deadline() {
    for shape in BOTH {
        let (bad, good) = (bad_provider().await, good_provider().await);
        bad.fails_with(Fault::BlackHole);
        let router = Setup::new(&[&bad, &good]).start().await;
        let client = router.client();
        let patience = [("x-trunkline-timeout-ms", "300")];
        let body = bad_first("shared", shape);
        let reply = client.post_with("/v1/chat/completions", &patience, &body).await;
        assert_eq!((reply.status(), reply.error_type().as_str()), (504, "deadline_exceeded"));
        assert_eq!(client.record(&reply.head).await.attempts(), ["bad:deadline"]);
        assert!(good.saw("shared").is_empty(), "no time is left for another try");
    }
}

#[tokio::test]
async fn callers_in_a_hurry_take_no_provider_from_the_others() {
    for shape in BOTH {
        let bad = bad_provider().await;
        bad.fails_with(Fault::BlackHole);
        let router = Setup::new(&[&bad]).start().await;
        let client = router.client();
        for _ in 0..8 {
            let hurry = [("x-trunkline-timeout-ms", "1")];
            let reply = client.post_with("/v1/chat/completions", &hurry, &ask("lone", shape)).await;
            assert_eq!(reply.error_type(), "deadline_exceeded");
        }
        bad.sim.clear_faults().unwrap();
        let reply = client
            .post_with("/v1/chat/completions", &[("x-trunkline-explain", "1")], &ask("lone", shape))
            .await;
        assert_eq!(reply.status(), 200);
        assert_eq!(first_reason(&reply.head), "drawn");
    }
}

#[tokio::test]
async fn a_caller_who_leaves_inside_a_stream() {
    let config =
        SimConfig::with_profile(Profile { tokens_per_second: 20.0, ..Profile::instant(1_000) });
    let provider = Provider::with("only", config).await.serving("slow");
    let router = Setup::new(&[&provider]).start().await;
    let client = router.client();
    let mut stream = client.stream(&chat("slow")).await;
    stream.first_content().await;
    let head = stream.head.clone();
    drop(stream);
    let log = provider.sim.wait_for(|log| log[0].end.is_some()).await.unwrap();
    assert!(log[0].ended(Ending::ClientGone), "{:?}", log[0].end);
    let record = abandoned(&router, &head).await;
    assert_eq!(record.attempts(), ["only:ok"]);
    assert!(record.number("/tokens_completion") >= 1.0, "what was used is settled");
    assert!(record.number("/total_cost") > 0.0, "{:#}", record.0);
    assert_eq!(router.metric("trunkline_requests_total", "abandoned").await, 1.0);
}

#[tokio::test]
async fn a_caller_who_leaves_is_followed_within_a_tenth_of_a_second() {
    let slow = Profile { tokens_per_second: 20.0, ..Profile::instant(1_000) };
    let provider = Provider::with("only", SimConfig::with_profile(slow)).await.serving("slow");
    let router = Setup::new(&[&provider]).start().await;
    let direct =
        trunkline_tests::client::Client { address: provider.sim.addr(), key: String::new() };
    // The quickest of a few: on a loaded machine any one may have to wait for a processor.
    let mut quickest_ms = u64::MAX;
    for _ in 0..8 {
        provider.sim.clear_log();
        let mut stream = router.client().stream(&chat("slow")).await;
        stream.first_content().await;
        // What the provider sees of this request is its own clock's time of the leaving.
        direct.get("/v1/models").await;
        drop(stream);
        let log = provider.sim.wait_for(|log| log[0].end.is_some()).await.unwrap();
        let left_ms = log[1].received_ms;
        quickest_ms = quickest_ms.min(log[0].end.unwrap().at_ms.saturating_sub(left_ms));
    }
    assert!(quickest_ms <= 100, "the provider went on for {quickest_ms} ms");
}

#[tokio::test]
async fn a_caller_who_leaves_before_an_answer() {
    let provider = Provider::start("only").await.serving("silent");
    provider.fails_with(Fault::BlackHole);
    let router = Setup::new(&[&provider]).start().await;
    for shape in BOTH {
        provider.sim.clear_log();
        let body = ask("silent", shape).to_string();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: router\r\nauthorization: Bearer {KEY}\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut line = trunkline_tests::client::Line::connect(router.public).await;
        line.send(head.as_bytes()).await;
        provider.sim.wait_for(|log| log.len() == 1).await.unwrap();
        drop(line);
        let log = provider.sim.wait_for(|log| log[0].end.is_some()).await.unwrap();
        assert!(log[0].ended(Ending::ClientGone), "{:?}", log[0].end);
    }
    let log = router.stop().await;
    let outcomes: Vec<_> = log.calls().into_iter().map(|call| call["outcome"].clone()).collect();
    assert_eq!(outcomes, ["abandoned", "abandoned"]);
}

#[tokio::test]
async fn a_caller_who_leaves_a_trial_gives_it_back() {
    let provider = Provider::start("only").await.serving("m");
    provider.fails_with(Fault::status(500));
    let router = Setup::new(&[&provider]).start().await;
    let client = router.client();
    for _ in 0..5 {
        client.chat(&chat("m")).await;
    }
    provider.sim.clear_log();
    provider.fails_with(Fault::BlackHole);
    // 1 is a trial that is due.
    while router.metric("trunkline_endpoint_breaker", "only/m").await != 1.0 {
        tokio::task::yield_now().await;
    }
    let asked = chat("m");
    tokio::select! {
        _ = client.stream(&asked) => panic!("a silent provider has answered"),
        seen = provider.sim.wait_for(|log| log.len() == 1) => drop(seen.unwrap()),
    }
    while router.metric("trunkline_requests_total", "abandoned").await < 1.0 {
        tokio::task::yield_now().await;
    }
    provider.sim.clear_faults().unwrap();
    let explain = [("x-trunkline-explain", "1")];
    let reply = client.post_with("/v1/chat/completions", &explain, &chat("m")).await;
    assert_eq!(reply.status(), 200);
    assert_eq!(first_reason(&reply.head), "trial");
}

/// Why the first turn of a call stands where it does.
fn first_reason(head: &trunkline_tests::client::Head) -> String {
    let told = head.header("x-trunkline-decision").unwrap_or_default();
    let decision: Value = told.parse().unwrap_or_default();
    decision.pointer("/turns/0/reason").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The record of a call that its caller left, once the router has noticed.
async fn abandoned(
    router: &Router,
    head: &trunkline_tests::client::Head,
) -> trunkline_tests::record::Record {
    while router.metric("trunkline_requests_total", "abandoned").await < 1.0 {
        tokio::task::yield_now().await;
    }
    let record = router.client().record(head).await;
    assert_eq!(record.outcome(), "abandoned");
    record
}
