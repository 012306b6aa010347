//! Whatever a caller sends, it gets a typed error as JSON, nothing of it is repeated, and neither its own
//! connection nor anybody else's call is harmed.

use serde_json::{Value, json};
use sim_provider::answer_text;
use trunkline_tests::client::{Client, Line, Reply};
use trunkline_tests::json::{PROMPT, chat, overlay};
use trunkline_tests::provider::{Provider, TOKENS};
use trunkline_tests::router::{KEY, Router, Setup};

const CHAT: &str = "/v1/chat/completions";
/// The longest body that the router of these tests takes.
const BODY_MAX: usize = 64 << 10;

async fn router() -> (Provider, Router) {
    let provider = Provider::start("only").await.serving("openai/gpt-4o-mini");
    let limits = json!({"limits": {"body_bytes": BODY_MAX}});
    let router = Setup::new(&[&provider]).config(limits).start().await;
    (provider, router)
}

fn good() -> Value {
    chat("openai/gpt-4o-mini")
}

async fn serves(client: &Client) {
    assert_eq!(client.chat(&good()).await.content(), answer_text(PROMPT, TOKENS));
}

/// The error is typed, in JSON, and says the same in its status and its body.
fn check(reply: &Reply, status: u16, error_type: &str, why: &str) {
    assert_eq!((reply.status(), reply.error_type().as_str()), (status, error_type), "{why}");
    assert_eq!(reply.head.header("content-type"), Some("application/json"), "{why}");
    let error = reply.error().unwrap_or_default();
    assert_eq!(error.get("code"), Some(&json!(status)), "{why}");
    assert!(error.get("message").and_then(Value::as_str).is_some_and(|m| !m.is_empty()), "{why}");
    assert!(!reply.text().contains(KEY), "{why}: the key is repeated");
}

/// Sends a body, checks the error, and then uses the same connection for a call that works.
async fn refused(router: &Router, body: &[u8], (status, error_type): (u16, &str), why: &str) {
    let client = router.client();
    let mut line = Line::connect(router.public).await;
    line.send(&client.request("POST", CHAT, &[], body)).await;
    let (reply, mut line) = line.exchange().await.read_on().await;
    check(&reply, status, error_type, why);
    let next = client.request("POST", CHAT, &[], good().to_string().as_bytes());
    line.send(&next).await;
    let reply = line.exchange().await.read().await;
    assert_eq!(reply.content(), answer_text(PROMPT, TOKENS), "the connection lives on: {why}");
    let record = client.record(&reply.head).await;
    assert_eq!(record.outcome(), "completed");
}

#[tokio::test]
async fn bodies_that_cannot_be_read() {
    let (provider, router) = router().await;
    let invalid = (400, "invalid_request");
    let deep = format!("{{\"model\":\"m\",\"x\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let truncated = good().to_string();
    let truncated = &truncated[..truncated.len() - 3];
    let twice = r#"{"model":"openai/gpt-4o-mini","model":"other","messages":[]}"#;
    let bodies: [(&[u8], &str); 12] = [
        (b"", "nothing"),
        (b"hello", "no JSON"),
        (b"[]", "a list"),
        (b"null", "null"),
        (b"{}", "no model"),
        (deep.as_bytes(), "too deep"),
        (truncated.as_bytes(), "truncated"),
        (twice.as_bytes(), "a key twice"),
        (b"{\"model\":\"\xff\xfe\",\"messages\":[]}", "not UTF-8"),
        (b"{\"model\":\"a\0b\",\"messages\":[]}", "NUL"),
        (b"{\"model\":\"m\"} trailing", "something after it"),
        (
            b"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\xc3\x28\"}]}",
            "a broken text",
        ),
    ];
    for (body, why) in bodies {
        refused(&router, body, invalid, why).await;
    }
    assert_eq!(provider.sim.log().len(), bodies.len(), "only the good calls reached the provider");
    let log = router.stop().await;
    assert_eq!(log.calls().len(), 2 * bodies.len(), "every call has one record");
    let rejected = log.calls().into_iter().filter(|call| call["outcome"] == "rejected").count();
    assert_eq!(rejected, bodies.len());
}

#[tokio::test]
async fn values_of_a_wrong_type_name_their_field() {
    let (_provider, router) = router().await;
    let wrong = [
        (json!({"model": 5}), "model"),
        (json!({"model": null}), "model"),
        (json!({"model": ""}), "model"),
        (json!({"stream": "yes"}), "stream"),
        (json!({"max_tokens": "many"}), "max_tokens"),
        (json!({"models": "other"}), "models"),
        (json!({"provider": []}), "provider"),
        (json!({"provider": {"order": "only"}}), "provider.order"),
        (json!({"provider": {"max_price": {"prompt": "cheap"}}}), "provider.max_price"),
        (json!({"delivery": "tomorrow"}), "delivery"),
    ];
    for (keys, field) in wrong {
        let body = overlay(good(), keys.clone());
        refused(&router, body.to_string().as_bytes(), (400, "invalid_request"), field).await;
        let reply = router.client().chat(&body).await;
        let error = reply.error().unwrap();
        assert_eq!(error["param"], field, "{keys}: {error}");
    }
}

#[tokio::test]
async fn bodies_that_are_too_large() {
    let (provider, router) = router().await;
    let client = router.client();
    let body = overlay(good(), json!({"padding": "x".repeat(BODY_MAX)})).to_string();
    let reply = client.open("POST", CHAT, &[], body.as_bytes()).await.read().await;
    check(&reply, 413, "payload_too_large", "announced");

    // Without a length nobody knows before it is too long.
    let mut request = client.request("POST", CHAT, &[("transfer-encoding", "chunked")], b"");
    let text = String::from_utf8(request).unwrap().replace("content-length: 0\r\n", "");
    request = text.into_bytes();
    request.extend(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).into_bytes());
    let mut line = Line::connect(router.public).await;
    line.send(&request).await;
    check(&line.exchange().await.read().await, 413, "payload_too_large", "chunked");

    assert!(provider.sim.log().is_empty());
    serves(&client).await;
    let fits = overlay(good(), json!({"padding": "x".repeat(BODY_MAX - 1_000)}));
    assert_eq!(client.chat(&fits).await.status(), 200, "just below the bound");
}

#[tokio::test]
async fn a_body_that_never_ends_harms_nobody() {
    let (_provider, router) = router().await;
    let client = router.client();
    let body = good().to_string();
    let request = client.request("POST", CHAT, &[], body.as_bytes());
    let mut lines = Vec::new();
    for _ in 0..50 {
        let mut line = Line::connect(router.public).await;
        line.send(&request[..request.len() - 5]).await;
        lines.push(line);
    }
    serves(&client).await;
    for mut line in lines {
        line.send(&request[request.len() - 5..]).await;
        assert_eq!(line.exchange().await.read().await.status(), 200);
    }
}

#[tokio::test]
async fn headers_that_are_too_large() {
    let (_provider, router) = router().await;
    let client = router.client();
    for (name, size) in [("x-padding", 1 << 20), ("x-padding", 20 << 10), ("cookie", 1 << 20)] {
        let padding = "x".repeat(size);
        let body = good().to_string();
        let request = client.request("POST", CHAT, &[(name, &padding)], body.as_bytes());
        let mut line = Line::connect(router.public).await;
        line.send(&request).await;
        // The router may hang up while the rest is still being sent, which can swallow its answer.
        if let Some(exchange) = line.try_exchange().await {
            assert_eq!(exchange.head.status, 431, "{name} of {size} bytes");
        }
        serves(&client).await;
    }
}

#[tokio::test]
async fn what_is_no_http_is_hung_up_on() {
    let (_provider, router) = router().await;
    let client = router.client();
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\ncontent-length: 6\r\n\r\n",
    ] {
        let mut line = Line::connect(router.public).await;
        line.send(garbage).await;
        line.finish().await;
        if let Some(exchange) = line.try_exchange().await {
            assert!((400..500).contains(&exchange.head.status), "{:?}", exchange.head);
        }
        serves(&client).await;
    }
}

#[tokio::test]
async fn unknown_models_are_told_with_the_nearest_names() {
    let (_provider, router) = router().await;
    let client = router.client();
    let reply = client.chat(&chat("openai/gpt-4o-minni")).await;
    check(&reply, 404, "model_not_found", "misspelled");
    let error = reply.error().unwrap();
    assert_eq!(error["param"], "model");
    assert!(error["message"].as_str().unwrap().contains("openai/gpt-4o-mini"), "{error}");
    for strange in ["\u{0}", "a\u{7}\u{1b}[31m", "😀", &"m".repeat(10_000), "../../etc/passwd"] {
        let reply = client.chat(&chat(strange)).await;
        assert!(matches!(reply.status(), 400 | 404), "{strange:?}: {}", reply.text());
        let message = reply.error().unwrap()["message"].as_str().unwrap().to_owned();
        assert!(message.len() < 1_000 && !message.contains('\u{1b}'), "{message:?}");
    }
}

#[tokio::test]
async fn unknown_keys_are_refused_and_not_repeated() {
    let (provider, router) = router().await;
    let long = "x".repeat(2_000);
    for key in ["", "tl_testkey1_another-key-altogether", "not a key", &long] {
        let reply = router.client_with(key).chat(&good()).await;
        check(&reply, 401, "authentication", key);
        assert!(key.is_empty() || !reply.text().contains(key), "{}", reply.text());
        let page = router.client_with(key).get("/v1/models").await;
        check(&page, 401, "authentication", key);
    }
    assert!(provider.sim.log().is_empty());
    let log = router.stop().await;
    assert!(!log.mentions("another-key-altogether"), "{:#?}", log.0);
}

#[tokio::test]
async fn another_keys_generation_is_as_absent_as_none() {
    let provider = Provider::start("only").await.serving("openai/gpt-4o-mini");
    let other = "tl_otherkey_of-somebody-else";
    let router = Setup::new(&[&provider]).key(other, json!({})).start().await;
    let reply = router.client().chat(&good()).await;
    let path = format!("/v1/generation?id={}", reply.head.generation());
    assert_eq!(router.client().get(&path).await.status(), 200);
    let stranger = router.client_with(other);
    check(&stranger.get(&path).await, 404, "not_found", "somebody else's");
    check(&stranger.get("/v1/generation?id=none").await, 404, "not_found", "nobody's");
    check(&stranger.get("/v1/generation").await, 400, "invalid_request", "no id");
}

#[tokio::test]
async fn wrong_routes_and_methods() {
    let (_provider, router) = router().await;
    let client = router.client();
    for path in ["/", "/v1", "/v1/chat", "/v1/chat/completions/", "/v2/models", "/%00", "/metrics"]
    {
        check(&client.get(path).await, 404, "not_found", path);
        check(&client.post(path, &good()).await, 404, "not_found", path);
    }
    for (method, path, allowed) in [
        ("GET", CHAT, "POST"),
        ("DELETE", CHAT, "POST"),
        ("PUT", "/v1/embeddings", "POST"),
        ("POST", "/v1/models", "GET"),
        ("DELETE", "/v1/generation", "GET"),
    ] {
        let reply = client.open(method, path, &[], b"{}").await.read().await;
        check(&reply, 405, "method_not_allowed", path);
        assert_eq!(reply.head.header("allow"), Some(allowed), "{method} {path}");
    }
}

#[tokio::test]
async fn limits_of_a_key_are_typed_errors() {
    let provider = Provider::start("only").await.serving("a").serving("b");
    let narrow = "tl_narrowed_may-do-little";
    let rules = json!({"models": ["a"], "requests_per_minute": 2});
    let router = Setup::new(&[&provider]).key(narrow, rules).start().await;
    let client = router.client_with(narrow);
    check(&client.chat(&chat("b")).await, 403, "permission_denied", "another model");
    assert_eq!(client.chat(&chat("a")).await.status(), 200);
    let reply = client.chat(&chat("a")).await;
    check(&reply, 429, "rate_limited", "the third call of a minute");
    assert!(reply.head.header("retry-after").is_some(), "{:?}", reply.head);
    assert_eq!(router.client().chat(&chat("a")).await.status(), 200, "other keys are not limited");
}
