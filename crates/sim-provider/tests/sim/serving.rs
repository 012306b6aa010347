//! Healthy answers on a bare socket: shapes, counts, the log, profiles and HTTP/2.

use std::time::Duration;

use crate::raw::{Raw, ask, ask_stream, exchange, header};
use serde_json::{Value, json};
use sim_provider::{
    Ending, Fault, ModelList, Profile, SimConfig, SimProvider, answer_text, count_tokens,
};
use tokio::time::Instant;

async fn healthy() -> SimProvider {
    SimProvider::start(SimConfig::default()).await.unwrap()
}

async fn call(sim: &SimProvider, head: &str, body: &Value) -> (String, Value) {
    let mut raw = Raw::connect(sim.addr()).await.unwrap();
    raw.send(head, &body.to_string()).await;
    let head = raw.head().await;
    let (body, _) = raw.body(&head).await;
    (head, body.json())
}

#[tokio::test]
async fn an_answer_repeats_the_words_of_the_prompt_and_counts_right() {
    let sim = healthy().await;
    let (_, body, _) = exchange(&sim, &ask()).await;
    let prompt = "one two three four five six";
    let body = body.json();
    assert_eq!(body["choices"][0]["message"]["content"], answer_text(prompt, 5));
    assert_eq!(body["choices"][0]["finish_reason"], "length");
    assert_eq!(body["usage"]["prompt_tokens"], count_tokens(prompt));
    assert_eq!(body["usage"]["completion_tokens"], 5);
    assert_eq!(body["usage"]["total_tokens"], count_tokens(prompt) + 5);
}

#[tokio::test]
async fn a_stream_has_one_event_a_chunk_and_usage_only_on_request() {
    let sim = healthy().await;
    let (head, body, _) = exchange(&sim, &ask_stream()).await;
    assert!(header(&head, "content-type").unwrap().starts_with("text/event-stream"));
    // The role, five tokens, the finish reason, the terminal event.
    assert_eq!(body.chunks.len(), 8);
    assert!(body.chunks.iter().all(|c| c.starts_with(b"data: ") && c.ends_with(b"\n\n")));
    assert!(body.is_done());
    assert!(body.events().iter().all(|event| event.get("usage").is_none()));
    let mut ask = ask_stream();
    ask["stream_options"] = json!({"include_usage": true});
    let (_, body, _) = exchange(&sim, &ask).await;
    let events = body.events();
    let (last, before) = events.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["completion_tokens"], 5);
    assert!(before.iter().all(|event| event["usage"].is_null()));
}

#[tokio::test]
async fn several_choices_and_stop_texts_are_honoured() {
    let sim = healthy().await;
    let mut ask = ask();
    ask["n"] = 2.into();
    ask["stop"] = json!(["four"]);
    let (_, body, _) = exchange(&sim, &ask).await;
    let body = body.json();
    assert_eq!(body["choices"][0]["message"]["content"], "one two three ");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["choices"][1]["message"]["content"], "two three ");
    ask["stream"] = true.into();
    let (_, body, _) = exchange(&sim, &ask).await;
    assert_eq!(body.events().iter().filter(|e| e["choices"][0]["index"] == 1).count(), 5);
}

#[tokio::test]
async fn wrong_requests_get_the_right_refusals() {
    let config = SimConfig {
        models: ModelList::Only(vec!["m".to_owned()]),
        api_keys: vec!["sk-good".to_owned()],
        ..SimConfig::default()
    };
    let sim = SimProvider::start(config).await.unwrap();
    let good = "POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer sk-good";
    let messages = json!([{"role": "user", "content": "hi"}]);
    for (head, body, status, code) in [
        (good, json!({"model": "m", "messages": messages}), "200", Value::Null),
        (good, json!({"model": "x", "messages": messages}), "404", "model_not_found".into()),
        (good, json!({"model": "m"}), "400", Value::Null),
        (good, json!({"model": "m", "messages": [{}]}), "400", Value::Null),
        (good, json!({"model": "m", "messages": messages, "n": 99}), "400", Value::Null),
        (good, json!({"model": "m", "messages": messages, "max_tokens": 0}), "400", Value::Null),
        ("POST /v1/chat/completions HTTP/1.1", json!({}), "401", "invalid_api_key".into()),
        (
            "GET /nowhere HTTP/1.1\r\nauthorization: Bearer sk-good",
            json!({}),
            "404",
            "model_not_found".into(),
        ),
    ] {
        let (answer, body) = call(&sim, head, &body).await;
        assert_eq!(answer.get(9..12), Some(status), "{body}");
        assert_eq!(body["error"]["code"], code, "{body}");
    }
}

#[tokio::test]
async fn anthropic_needs_a_key_and_a_version_and_names_its_events() {
    let sim = healthy().await;
    let body = json!({"model": "m", "max_tokens": 2, "stream": true,
                      "messages": [{"role": "user", "content": "one two three"}]});
    let (head, error) = call(&sim, "POST /v1/messages HTTP/1.1", &body).await;
    assert!(head.starts_with("http/1.1 401"));
    assert_eq!(error["error"]["type"], "authentication_error");
    let keyed = "POST /v1/messages HTTP/1.1\r\nx-api-key: k";
    assert!(call(&sim, keyed, &body).await.0.starts_with("http/1.1 400"));

    let mut raw = Raw::connect(sim.addr()).await.unwrap();
    let full = format!("{keyed}\r\nanthropic-version: 2023-06-01");
    raw.send(&full, &body.to_string()).await;
    let head = raw.head().await;
    assert!(header(&head, "request-id").is_some());
    let text = raw.body(&head).await.0.text();
    let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(
        names,
        [
            "message_start",
            "content_block_start",
            "ping",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
}

#[tokio::test]
async fn the_log_keeps_the_body_as_sent_and_only_the_tail_of_the_key() {
    let sim = healthy().await;
    let mut raw = Raw::connect(sim.addr()).await.unwrap();
    let body = r#"{"model":"m",  "messages":[{"role":"user","content":"hi"}], "odd": 1.50}"#;
    let head =
        "POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer sk-secret-1234\r\nx-tag: a";
    raw.send(head, body).await;
    let head = raw.head().await;
    raw.body(&head).await;
    let log = sim.wait_for(|log| log.iter().any(|entry| entry.end.is_some())).await.unwrap();
    let entry = &log[0];
    assert_eq!(entry.body, body);
    assert_eq!((entry.method.as_str(), entry.path.as_str()), ("POST", "/v1/chat/completions"));
    assert_eq!((entry.model.as_str(), entry.stream, entry.status), ("m", false, Some(200)));
    assert_eq!(entry.credential_tail.as_deref(), Some("1234"));
    assert_eq!(entry.header("authorization"), Some("…1234"));
    assert_eq!(entry.header("x-tag"), Some("a"));
    assert!(entry.ended(Ending::Completed));
    assert_eq!(entry.tokens, 16);

    raw.send("GET /_sim/log?since=0 HTTP/1.1", "").await;
    let head = raw.head().await;
    let text = raw.body(&head).await.0.text();
    assert!(!text.contains("sk-secret"));
    let entries: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(entries[0]["end"]["ending"], "completed");
    assert_eq!(entries[0]["body"], body);
    raw.send("GET /_sim/log?since=1 HTTP/1.1", "").await;
    let head = raw.head().await;
    assert_eq!(raw.body(&head).await.0.json(), json!([]));
    raw.send("DELETE /_sim/log HTTP/1.1", "").await;
    raw.head().await;
    assert!(sim.log().is_empty());
}

#[tokio::test]
async fn beyond_the_concurrency_limit_requests_are_refused() {
    let sim = healthy().await;
    sim.set_profile(Profile { concurrency_limit: Some(1), ..Profile::default() });
    sim.set_fault(Fault::BlackHole.into());
    let mut first = Raw::connect(sim.addr()).await.unwrap();
    first.chat(&ask()).await;
    sim.wait_for(|log| log.iter().any(|entry| entry.fault.is_some())).await.unwrap();
    sim.clear_faults().unwrap();
    let (head, _, _) = exchange(&sim, &ask()).await;
    assert!(head.starts_with("http/1.1 429"));
    assert_eq!(header(&head, "retry-after"), Some("1"));
    drop(first);
    sim.wait_for(|log| log.iter().all(|entry| entry.end.is_some())).await.unwrap();
    assert!(exchange(&sim, &ask()).await.0.starts_with("http/1.1 200"));
}

#[tokio::test(start_paused = true)]
async fn a_profile_sets_the_pace_of_streamed_and_whole_answers() {
    let config = SimConfig::with_profile(Profile {
        ttft_ms: 10_000,
        tokens_per_second: 0.5,
        ..Profile::default()
    });
    let sim = SimProvider::start(config).await.unwrap();
    for ask in [ask(), ask_stream()] {
        let asked = Instant::now();
        exchange(&sim, &ask).await;
        // Ten seconds to the first token and four pauses of two seconds; timers end within a tick.
        let over = asked.elapsed().checked_sub(Duration::from_secs(18)).unwrap();
        assert!(over < Duration::from_secs(1), "{over:?}");
    }
}

#[tokio::test]
async fn http2_is_spoken_on_the_same_port_and_a_cancelled_stream_is_noticed() {
    let sim = healthy().await;
    let socket = tokio::net::TcpStream::connect(sim.addr()).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(socket);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    let post = || {
        http::Request::post(format!("{}/chat/completions", sim.base_url()))
            .body(http_body_util::Full::new(bytes::Bytes::from(ask_stream().to_string())))
            .unwrap()
    };
    let exchange = async {
        let response = sender.send_request(post()).await.unwrap();
        assert_eq!(response.version(), http::Version::HTTP_2);
        let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
        assert!(body.ends_with(b"data: [DONE]\n\n"));

        sim.set_fault(Fault::Stall { after: 1 }.into());
        let response = sender.send_request(post()).await.unwrap();
        sim.wait_for(|log| log.last().is_some_and(|entry| entry.tokens == 1)).await.unwrap();
        drop(response);
        let log = sim.wait_for(|log| log.iter().all(|entry| entry.end.is_some())).await.unwrap();
        assert!(log[1].ended(Ending::ClientGone));
    };
    tokio::select! {
        () = exchange => {}
        ended = connection => panic!("the connection ended first: {ended:?}"),
    }
}
