//! What an application meets that comes from another router or straight from a provider: it asks in that one's
//! words, and the providers behind this one answer in their own.

use serde_json::{Value, json};
use trunkline_tests::frames::Frame;
use trunkline_tests::json::{chat, overlay};
use trunkline_tests::provider::{Provider, TOKENS};
use trunkline_tests::puppet::Puppet;
use trunkline_tests::router::{Router, Setup};

const CHAT: &str = "/v1/chat/completions";

/// An answer of a provider, head and body.
fn answer(status: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// A router before a provider that always answers so, as the model `m`.
async fn before(answer: &str) -> (Provider, Puppet, Router) {
    let puppet = Puppet::answering(answer).await;
    let provider = Provider::start("only").await.serving("m").at(&puppet.base_url());
    let router = Setup::new(&[&provider]).start().await;
    (provider, puppet, router)
}

/// The usage objects of a stream, in their order.
fn usages(frames: &[Frame]) -> Vec<Value> {
    let usage = |frame: &Frame| {
        let Frame::Event(event) = frame else { return None };
        event.get("usage").filter(|usage| !usage.is_null()).cloned()
    };
    frames.iter().filter_map(usage).collect()
}

#[tokio::test]
async fn usage_include_asks_for_usage_in_a_stream() {
    let provider = Provider::start("only").await.serving("m");
    let router = Setup::new(&[&provider]).start().await;
    let asked = json!({"stream": true, "usage": {"include": true}});
    let reply = router.client().chat(&overlay(chat("m"), asked)).await;
    let usages = usages(&reply.frames());
    assert_eq!(usages.len(), 1, "{}", reply.text());
    assert_eq!(usages[0]["completion_tokens"], TOKENS);
    assert!(usages[0]["cost"].as_f64() > Some(0.0), "{}", usages[0]);
}

#[tokio::test]
async fn usage_beside_content_is_told_once_and_with_the_cost() {
    let chunk = |content: &str, finish: Value, tokens: u32| {
        let choice = json!({"index": 0, "delta": {"content": content}, "finish_reason": finish});
        let usage =
            json!({"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": 10 + tokens});
        let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [choice], "usage": usage});
        format!("data: {chunk}\n\n")
    };
    let body = chunk("one", Value::Null, 1) + &chunk(" two", json!("stop"), 2) + "data: [DONE]\n\n";
    let (_provider, _puppet, router) = before(&answer("200 OK", "text/event-stream", &body)).await;
    let asked = json!({"stream": true, "stream_options": {"include_usage": true}});
    let client = router.client();
    let reply = client.chat(&overlay(chat("m"), asked)).await;
    assert!(reply.is_done() && reply.content() == "one two", "{}", reply.text());
    let usages = usages(&reply.frames());
    assert_eq!(usages.len(), 1, "clients add up what they find: {}", reply.text());
    assert_eq!(
        (&usages[0]["prompt_tokens"], &usages[0]["completion_tokens"]),
        (&json!(10), &json!(2))
    );
    assert_eq!(usages[0]["cost"], json!(0.000014));
    assert_eq!(client.record(&reply.head).await.number("/total_cost"), 0.000014);
}

#[tokio::test]
async fn a_chunk_written_on_several_lines_arrives_whole() {
    let choice = json!({"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"});
    let body = format!(
        "data: {{\"id\": \"c\",\ndata: \"object\": \"chat.completion.chunk\",\ndata:\ndata: \"model\": \"theirs\", \"choices\": [{choice}]}}\n\n\
         data: [DONE]\n\n"
    );
    let puppet = Puppet::answering(&answer("200 OK", "text/event-stream", &body)).await;
    // The chunk is written anew: it names the model as the caller does.
    let renamed = json!({"upstream_model": "theirs"});
    let provider = Provider::start("only").await.serving_as("m", renamed).at(&puppet.base_url());
    let router = Setup::new(&[&provider]).start().await;
    let reply = router.client().stream(&chat("m")).await.read().await;
    assert!(reply.is_done() && reply.content() == "hi", "{}", reply.text());
    let lines = reply.text();
    let odd: Vec<_> =
        lines.lines().filter(|line| !line.is_empty() && !line.starts_with("data:")).collect();
    assert!(odd.is_empty(), "{odd:?}");
}

#[tokio::test]
async fn what_a_provider_finds_wrong_reaches_the_caller_in_whatever_shape_it_says_it() {
    let fastapi = r#"{"detail":[{"type":"missing","loc":["body","messages",0,"role"],"msg":"Field required","input":"planted"}]}"#;
    let flat = r#"{"object":"error","message":"Bad tools","type":"BadRequestError","param":"tools","code":400}"#;
    for (status, body, message, param) in [
        ("422 Unprocessable Entity", fastapi, "only: messages.0.role: Field required", Value::Null),
        ("400 Bad Request", flat, "only: Bad tools", json!("tools")),
    ] {
        let (_provider, _puppet, router) = before(&answer(status, "application/json", body)).await;
        let error = router.client().chat(&chat("m")).await.error().unwrap();
        assert_eq!((&error["message"], &error["param"]), (&json!(message), &param));
    }
}

#[tokio::test]
async fn vectors_without_usage_are_not_counted_as_an_answers_tokens() {
    let vector = vec!["0.25"; 400].join(",");
    let body =
        format!(r#"{{"object":"list","model":"m","data":[{{"index":0,"embedding":[{vector}]}}]}}"#);
    let (_provider, _puppet, router) = before(&answer("200 OK", "application/json", &body)).await;
    let client = router.client();
    let asked = json!({"model": "m", "input": "x".repeat(60)});
    let reply = client.post("/v1/embeddings", &asked).await;
    assert_eq!(reply.json()["usage"]["completion_tokens"], 0, "{}", reply.text());
    let record = client.record(&reply.head).await;
    assert_eq!((record.number("/tokens_prompt"), record.number("/tokens_completion")), (10.0, 0.0));
}

#[tokio::test]
async fn headers_that_would_be_misunderstood_are_refused() {
    let provider = Provider::start("only").await.serving("m");
    let router = Setup::new(&[&provider]).start().await;
    let client = router.client();
    for (name, value) in [
        ("x-trunkline-timeout-ms", "soon"),
        ("x-trunkline-timeout-ms", "0"),
        ("x-trunkline-timeout-ms", "1.5"),
        ("content-encoding", "gzip"),
    ] {
        let reply = client.post_with(CHAT, &[(name, value)], &chat("m")).await;
        assert_eq!(
            (reply.status(), reply.error_type().as_str()),
            (400, "invalid_request"),
            "{name}"
        );
        let error = reply.error().unwrap();
        assert_eq!(error["param"], name);
        assert!(error["message"].as_str().unwrap().contains(name), "{error}");
    }
    assert!(provider.saw("m").is_empty());
    let headers = [("x-trunkline-timeout-ms", "60000"), ("content-encoding", "identity")];
    assert_eq!(client.post_with(CHAT, &headers, &chat("m")).await.status(), 200);
}

#[tokio::test]
async fn a_key_tells_when_it_ends() {
    let provider = Provider::start("only").await.serving("m");
    let ends = json!({"expires_at_ms": 4_102_444_800_000_u64});
    let router = Setup::new(&[&provider]).key("tl_passing0_x", ends).start().await;
    let key = router.client_with("tl_passing0_x").get("/v1/key").await.json();
    assert_eq!(key["data"]["expires_at_s"], 4_102_444_800_u64, "{key}");
}

#[tokio::test]
async fn pages_and_refusals_have_a_request_id() {
    let provider = Provider::start("only").await.serving("m");
    let router = Setup::new(&[&provider]).start().await;
    let client = router.client();
    for (method, path) in
        [("GET", "/v1/models"), ("GET", "/v1/models/none"), ("GET", CHAT), ("POST", "/v1/nowhere")]
    {
        let named = [("x-request-id", "mine-1")];
        let reply = client.open(method, path, &named, b"").await.read().await;
        assert_eq!(reply.head.header("x-request-id"), Some("mine-1"), "{method} {path}");
        let reply = client.open(method, path, &[], b"").await.read().await;
        let id = reply.head.header("x-request-id").unwrap_or_default();
        assert_eq!(id.len(), 36, "{method} {path}: `{id}`");
    }
}

#[tokio::test]
async fn a_model_tells_every_parameter_that_some_endpoint_supports() {
    let able = json!({"capabilities": ["chat", "tools"]});
    let any = Provider::start("any")
        .await
        .serving_as("m", able)
        .serving_as("n", json!({"capabilities": ["chat"]}));
    let some = json!({"parameters": ["seed", "own_knob"], "price": {"input": 0.1, "output": 0.1}});
    let some = Provider::start("some").await.serving_as("m", some);
    let router = Setup::new(&[&any, &some]).start().await;
    let client = router.client();
    let parameters = |page: &Value| page["supported_parameters"].as_array().unwrap().clone();
    let of_m = parameters(&client.get("/v1/models/m").await.json());
    for name in ["temperature", "tools", "seed", "own_knob"] {
        assert_eq!(of_m.iter().filter(|found| *found == name).count(), 1, "{name} in {of_m:?}");
    }
    assert!(!of_m.contains(&json!("dimensions")), "{of_m:?}");
    let of_n = parameters(&client.get("/v1/models/n").await.json());
    assert!(of_n.contains(&json!("temperature")) && !of_n.contains(&json!("tools")), "{of_n:?}");
    let page = client.get("/v1/models/m/endpoints").await.json();
    let endpoints = page["data"]["endpoints"].as_array().unwrap();
    let own = endpoints.iter().find(|endpoint| endpoint["provider_name"] == "some").unwrap();
    assert_eq!(parameters(own), [json!("seed"), json!("own_knob")]);
}

#[tokio::test]
async fn the_images_of_a_prompt_are_charged() {
    let price = json!({"price": {"input": 0.0, "output": 0.0, "image": 0.002}});
    let provider = Provider::start("only").await.serving_as("m", price);
    let router = Setup::new(&[&provider]).start().await;
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}});
    let content = json!([{"type": "text", "text": "which is which?"}, image, image]);
    let asked = json!({"messages": [{"role": "user", "content": content}]});
    let client = router.client();
    let reply = client.chat(&overlay(chat("m"), asked)).await;
    assert_eq!(reply.json()["usage"]["cost"], json!(0.004), "{}", reply.text());
    assert_eq!(client.record(&reply.head).await.number("/total_cost"), 0.004);
}
