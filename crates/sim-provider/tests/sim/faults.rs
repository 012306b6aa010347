//! Every fault, as it looks on a bare socket.

use std::io::Read;
use std::time::Duration;

use crate::raw::{Closed, Raw, ask, ask_stream, exchange, faulty, header};
use flate2::read::GzDecoder;
use serde_json::json;
use sim_provider::{Ending, Fault, FaultRule, LogEntry, SimConfig, SimProvider};
use tokio::time::Instant;

const FIVE: &str = "one two three four five";

fn last(log: &[LogEntry]) -> &LogEntry {
    log.last().expect("an entry")
}

fn all_ended(log: &[LogEntry]) -> bool {
    !log.is_empty() && log.iter().all(|entry| entry.end.is_some())
}

#[tokio::test]
async fn reset_comes_before_any_byte() {
    let sim = faulty(Fault::Reset).await;
    let mut raw = Raw::connect(sim.addr()).await.unwrap();
    raw.chat(&ask()).await;
    assert_eq!(raw.closed().await, Closed::Reset);
    let log = sim.wait_for(all_ended).await.unwrap();
    assert!(last(&log).ended(Ending::Faulted));
    assert_eq!(last(&log).fault, Some(Fault::Reset));
}

#[tokio::test]
async fn a_black_hole_reads_stays_silent_and_notices_the_client_leave() {
    let sim = faulty(Fault::BlackHole).await;
    let mut raw = Raw::connect(sim.addr()).await.unwrap();
    raw.chat(&ask()).await;
    sim.wait_for(|log| log.len() == 1).await.unwrap();
    assert!(raw.is_silent());
    drop(raw);
    let log = sim.wait_for(all_ended).await.unwrap();
    assert!(last(&log).ended(Ending::ClientGone));
}

#[tokio::test]
async fn a_stall_sends_its_tokens_then_stays_silent_and_notices_the_client_leave() {
    let sim = faulty(Fault::Stall { after: 2 }).await;
    let mut raw = Raw::connect(sim.addr()).await.unwrap();
    raw.chat(&ask_stream()).await;
    raw.head().await;
    for expected in [r#""content":"""#, r#""content":"one""#, r#""content":" two""#] {
        let chunk = raw.chunk().await.unwrap().unwrap();
        assert!(String::from_utf8(chunk).unwrap().contains(expected), "{expected}");
    }
    sim.wait_for(|log| last(log).tokens == 2).await.unwrap();
    assert!(raw.is_silent());
    drop(raw);
    let log = sim.wait_for(all_ended).await.unwrap();
    assert!(last(&log).ended(Ending::ClientGone));
    assert_eq!(last(&log).tokens, 2);
}

#[tokio::test]
async fn an_unstreamed_stall_sends_half_of_the_body() {
    let sim = faulty(Fault::Stall { after: 2 }).await;
    let mut raw = Raw::connect(sim.addr()).await.unwrap();
    raw.chat(&ask()).await;
    raw.head().await;
    let half = raw.chunk().await.unwrap().unwrap();
    assert!(serde_json::from_slice::<serde_json::Value>(&half).is_err());
    assert!(raw.is_silent());
}

#[tokio::test]
async fn a_cut_closes_the_socket_without_the_last_chunk() {
    for ask in [ask(), ask_stream()] {
        let sim = faulty(Fault::Cut { after: 2 }).await;
        let (_, body, closed) = exchange(&sim, &ask).await;
        assert!(!body.whole);
        assert_eq!(closed, Some(Closed::Orderly));
        if ask["stream"] == true {
            assert_eq!(body.content(), "one two");
        }
        let log = sim.wait_for(all_ended).await.unwrap();
        assert!(last(&log).ended(Ending::Faulted));
    }
}

#[tokio::test]
async fn a_cut_by_reset_delivers_its_tokens_and_then_a_reset() {
    let sim = faulty(Fault::CutReset { after: 2 }).await;
    let (_, body, closed) = exchange(&sim, &ask_stream()).await;
    assert_eq!(body.content(), "one two");
    assert_eq!(closed, Some(Closed::Reset));
}

#[tokio::test]
async fn an_early_eof_ends_the_body_cleanly_but_says_nothing_of_an_end() {
    let sim = faulty(Fault::EarlyEof { after: 3 }).await;
    let (_, body, closed) = exchange(&sim, &ask_stream()).await;
    assert_eq!((body.whole, closed), (true, None));
    assert_eq!(body.content(), "one two three");
    assert!(!body.is_done());
    assert!(body.events().iter().all(|e| e["choices"][0]["finish_reason"].is_null()));
}

#[tokio::test]
async fn no_done_leaves_out_the_terminal_event_only() {
    let sim = faulty(Fault::NoDone).await;
    let (_, body, _) = exchange(&sim, &ask_stream()).await;
    assert_eq!(body.content(), FIVE);
    assert!(!body.is_done());
    assert!(body.whole);
    assert_eq!(body.events().last().unwrap()["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn a_malformed_chunk_sits_between_good_ones() {
    let sim = faulty(Fault::MalformedChunk { after: 2 }).await;
    let (_, body, _) = exchange(&sim, &ask_stream()).await;
    let good = |chunk: &&Vec<u8>| {
        let json = chunk.strip_prefix(b"data: ").unwrap();
        serde_json::from_slice::<serde_json::Value>(json).is_ok()
    };
    // The role and two tokens come before it.
    assert_eq!(body.chunks.iter().take_while(good).count(), 3);
    assert_eq!(body.content(), FIVE);
}

#[tokio::test]
async fn a_huge_chunk_is_one_valid_event_over_a_mebibyte() {
    let sim = faulty(Fault::huge_chunk(1)).await;
    let (_, body, _) = exchange(&sim, &ask_stream()).await;
    let sizes: Vec<usize> = body.events().iter().map(|event| event.to_string().len()).collect();
    assert_eq!(sizes.iter().filter(|size| **size > 1 << 20).count(), 1);
    assert!(body.is_done());
    let (_, body, _) = exchange(&sim, &ask()).await;
    assert!(body.text().len() > 1 << 20);
    assert_eq!(body.json()["choices"][0]["message"]["content"], FIVE);
}

#[tokio::test]
async fn a_gzip_bomb_inflates_to_the_size_asked_for() {
    let sim = faulty(Fault::GzipBomb { inflated_bytes: 10_000_000 }).await;
    let (head, body, _) = exchange(&sim, &ask()).await;
    assert_eq!(header(&head, "content-encoding"), Some("gzip"));
    let packed = body.chunks.concat();
    assert!(packed.len() < 100_000);
    let mut inflated = Vec::new();
    GzDecoder::new(packed.as_slice()).read_to_end(&mut inflated).unwrap();
    assert_eq!(inflated.len(), 10_000_000);
}

#[tokio::test]
async fn a_wrong_content_type_is_a_page() {
    let sim = faulty(Fault::WrongContentType).await;
    let (head, body, _) = exchange(&sim, &ask_stream()).await;
    assert!(head.starts_with("http/1.1 200"));
    assert!(header(&head, "content-type").unwrap().starts_with("text/html"));
    assert!(body.text().starts_with("<!doctype html>"));
}

#[tokio::test]
async fn any_status_comes_with_its_body_and_odd_retry_headers_as_given() {
    for (status, retry_after) in [
        (401, None),
        (402, None),
        (403, None),
        (408, None),
        (429, Some("0")),
        (429, Some("-5")),
        (429, Some("wed, 21 oct 2026 07:28:00 gmt")),
        (429, Some("soon")),
        (503, Some("1000000000")),
        (500, None),
        (529, None),
    ] {
        let retry_after = retry_after.map(str::to_owned);
        let ms = Some("1500".to_owned());
        let fault = Fault::Status { status, retry_after: retry_after.clone(), retry_after_ms: ms };
        let sim = faulty(fault).await;
        let (head, body, _) = exchange(&sim, &ask_stream()).await;
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{head}");
        assert_eq!(header(&head, "retry-after"), retry_after.as_deref());
        assert_eq!(header(&head, "retry-after-ms"), Some("1500"));
        let error = &body.json()["error"];
        assert!(error["message"].is_string() && error["type"].is_string());
        assert!(error.get("param").is_some() && error.get("code").is_some());
    }
}

#[tokio::test]
async fn the_named_refusals_have_their_codes() {
    for (fault, status, code) in [
        (Fault::ContextLength, "400", "context_length_exceeded"),
        (Fault::ContentPolicy, "400", "content_policy_violation"),
        (Fault::ModelNotFound, "404", "model_not_found"),
    ] {
        let sim = faulty(fault).await;
        let (head, body, _) = exchange(&sim, &ask()).await;
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{head}");
        assert_eq!(body.json()["error"]["code"], code);
    }
}

#[tokio::test]
async fn an_empty_completion_has_no_content_and_stops() {
    let sim = faulty(Fault::EmptyCompletion).await;
    let (_, body, _) = exchange(&sim, &ask()).await;
    assert_eq!(body.json()["choices"][0]["message"]["content"], "");
    assert_eq!(body.json()["choices"][0]["finish_reason"], "stop");
    assert_eq!(body.json()["usage"]["completion_tokens"], 0);
    let (_, body, _) = exchange(&sim, &ask_stream()).await;
    assert_eq!(body.content(), "");
    assert!(body.is_done());
}

#[tokio::test]
async fn an_error_hides_in_a_200() {
    let sim = faulty(Fault::ErrorInOk { after: 0 }).await;
    for ask in [ask(), ask_stream()] {
        let (head, body, _) = exchange(&sim, &ask).await;
        assert!(head.starts_with("http/1.1 200"));
        let first = if ask["stream"] == true { body.events().remove(0) } else { body.json() };
        assert_eq!(first["error"]["type"], "server_error");
    }
    let sim = faulty(Fault::ErrorInOk { after: 2 }).await;
    let (_, body, _) = exchange(&sim, &ask_stream()).await;
    assert_eq!(body.content(), "one two");
    assert_eq!(body.events().last().unwrap()["error"]["type"], "server_error");
    assert!(!body.is_done());
}

#[tokio::test]
async fn bad_json_is_bad_in_every_event() {
    let sim = faulty(Fault::BadJson).await;
    let (_, body, _) = exchange(&sim, &ask()).await;
    assert!(body.whole);
    assert!(serde_json::from_str::<serde_json::Value>(&body.text()).is_err());
    let (_, body, _) = exchange(&sim, &ask_stream()).await;
    assert!(body.events().is_empty());
    assert!(body.chunks.len() > 5);
}

#[tokio::test]
async fn the_content_filter_ends_an_answer() {
    let sim = faulty(Fault::ContentFilter { after: 1 }).await;
    let (_, body, _) = exchange(&sim, &ask_stream()).await;
    assert_eq!(body.content(), "one");
    let reasons: Vec<_> =
        body.events().iter().map(|e| e["choices"][0]["finish_reason"].clone()).collect();
    assert_eq!(reasons.last().unwrap(), "content_filter");
}

#[tokio::test]
async fn a_rate_limit_counts_down_and_then_refuses() {
    let sim = faulty(Fault::RateLimit { requests: 2, window_ms: 3_600_000 }).await;
    for remaining in ["1", "0"] {
        let (head, _, _) = exchange(&sim, &ask()).await;
        assert!(head.starts_with("http/1.1 200"));
        assert_eq!(header(&head, "x-ratelimit-limit-requests"), Some("2"));
        assert_eq!(header(&head, "x-ratelimit-remaining-requests"), Some(remaining));
    }
    let (head, body, _) = exchange(&sim, &ask()).await;
    assert!(head.starts_with("http/1.1 429"));
    assert!(header(&head, "x-ratelimit-reset-requests").unwrap().ends_with("ms"));
    let seconds: u64 = header(&head, "retry-after").unwrap().parse().unwrap();
    assert!((1..=1800).contains(&seconds), "{seconds}");
    assert_eq!(body.json()["error"]["code"], "rate_limit_exceeded");
}

#[tokio::test]
async fn comments_keep_coming_and_nothing_else_does() {
    let sim = faulty(Fault::CommentsOnly { every_ms: 1 }).await;
    let mut raw = Raw::connect(sim.addr()).await.unwrap();
    raw.chat(&ask_stream()).await;
    raw.head().await;
    for _ in 0..5 {
        assert_eq!(raw.chunk().await.unwrap().unwrap(), b": keep-alive\n\n");
    }
    drop(raw);
    let log = sim.wait_for(all_ended).await.unwrap();
    assert!(last(&log).ended(Ending::ClientGone));
}

#[tokio::test]
async fn an_echo_shows_the_request_and_the_whole_key() {
    let sim = faulty(Fault::EchoRequest { status: 400 }).await;
    let mut raw = Raw::connect(sim.addr()).await.unwrap();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer sk-very-secret";
    raw.send(head, &ask().to_string()).await;
    let head = raw.head().await;
    let (body, _) = raw.body(&head).await;
    let message = body.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("sk-very-secret") && message.contains("one two three"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn slow_headers_and_a_slow_first_token_are_late_but_whole() {
    let delay_ms = 60_000;
    for fault in [Fault::SlowHeaders { delay_ms }, Fault::SlowFirstToken { delay_ms }] {
        let sim = faulty(fault.clone()).await;
        let mut raw = Raw::connect(sim.addr()).await.unwrap();
        let asked = Instant::now();
        raw.chat(&ask_stream()).await;
        let head = raw.head().await;
        if matches!(fault, Fault::SlowHeaders { .. }) {
            assert!(asked.elapsed() >= Duration::from_millis(delay_ms));
        }
        let (body, _) = raw.body(&head).await;
        assert!(asked.elapsed() >= Duration::from_millis(delay_ms));
        assert_eq!(body.content(), FIVE);
        let log = sim.log();
        assert!(last(&log).ended(Ending::Completed));
    }
}

#[tokio::test]
async fn before_a_slow_first_token_the_headers_come_at_once() {
    let sim = faulty(Fault::SlowFirstToken { delay_ms: 3_600_000 }).await;
    let mut raw = Raw::connect(sim.addr()).await.unwrap();
    raw.chat(&ask_stream()).await;
    assert!(raw.head().await.starts_with("http/1.1 200"));
    assert!(raw.is_silent());
    drop(raw);
    let log = sim.wait_for(all_ended).await.unwrap();
    assert!(last(&log).ended(Ending::ClientGone));
}

#[tokio::test]
async fn a_model_name_brings_its_fault_and_others_stay_healthy() {
    let sim = SimProvider::start(SimConfig::default()).await.unwrap();
    let mut ask = ask_stream();
    ask["model"] = "acme/fault:cut@1".into();
    let (_, body, _) = exchange(&sim, &ask).await;
    assert_eq!((body.content().as_str(), body.whole), ("one", false));
    ask["model"] = "acme/well".into();
    let (_, body, _) = exchange(&sim, &ask).await;
    assert_eq!((body.content().as_str(), body.whole), (FIVE, true));
    ask["model"] = "fault:nonsense".into();
    let (head, _, _) = exchange(&sim, &ask).await;
    assert!(head.starts_with("http/1.1 404"));
}

#[tokio::test]
async fn faults_are_set_counted_filtered_and_cleared_over_http() {
    let sim = SimProvider::start(SimConfig::default()).await.unwrap();
    let mut control = Raw::connect(sim.addr()).await.unwrap();
    let rule = json!({"fault": {"kind": "status", "status": 503}, "count": 1, "model": "m"});
    control.send("POST /_sim/fault HTTP/1.1", &rule.to_string()).await;
    assert!(control.head().await.starts_with("http/1.1 200"));
    let mut other = ask();
    other["model"] = "other".into();
    let status = |head: String| head.get(9..12).unwrap().to_owned();
    assert_eq!(status(exchange(&sim, &other).await.0), "200");
    assert_eq!(status(exchange(&sim, &ask()).await.0), "503");
    assert_eq!(status(exchange(&sim, &ask()).await.0), "200");
    sim.set_fault(FaultRule::from(Fault::status(500)));
    assert_eq!(status(exchange(&sim, &ask()).await.0), "500");
    let mut control = Raw::connect(sim.addr()).await.unwrap();
    control.send("DELETE /_sim/fault HTTP/1.1", "").await;
    assert!(control.head().await.starts_with("http/1.1 200"));
    assert_eq!(status(exchange(&sim, &ask()).await.0), "200");
    let mut control = Raw::connect(sim.addr()).await.unwrap();
    control.send("POST /_sim/fault HTTP/1.1", r#"{"fault": {"kind": "nonsense"}}"#).await;
    assert!(control.head().await.starts_with("http/1.1 400"));
}
