//! Spans reach a collector that was made from OpenTelemetry's own definitions: one for each call and one for
//! each try, joined to the caller's trace, without a word of what was said; and a collector that is away costs
//! no call.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "fails its test on the spot")]

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use sim_provider::Fault;
use tokio::net::TcpListener;
use tonic::Request;
use tonic::body::Body;
use trunkline_proto::inference::v1::inference_service_client::InferenceServiceClient;
use trunkline_proto::inference::v1::{ChatRequest, ChatStreamRequest, Message, Role, message};
use trunkline_tests::authority::Authority;
use trunkline_tests::cluster::until;
use trunkline_tests::json::{PROMPT, chat, overlay};
use trunkline_tests::process::Process;
use trunkline_tests::provider::Provider;
use trunkline_tests::router::{KEY, Router, Setup};

/// A caller's trace, its span, and the header that names both.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// The same trace, of which nobody is to tell.
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
/// What the collector is called with.
const TOKEN: &str = "a-token-that-must-never-be-repeated";
/// Calls before a collector that takes nothing.
const CALLS_WITHOUT: usize = 50;

/// A collector in a process of its own.
struct Collector {
    process: Process,
    grpc: u64,
    http: u64,
}

impl Collector {
    async fn start() -> Self {
        Self::with(&[]).await
    }

    #[expect(clippy::disallowed_methods, reason = "tests/run tells where it put the interpreter")]
    async fn with(variables: &[(&str, &str)]) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let provisioned = || folder.join("../target/venv/bin/python");
        let python = std::env::var("TRUNKLINE_PYTHON").map_or_else(|_| provisioned(), Into::into);
        let mut command = Command::new(python);
        command.arg(folder.join("sdk/otlp_receiver.py")).envs(variables.iter().copied());
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        let mut process = Process::start("collector", &mut command);
        let ports = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            Some((line["grpc"].as_u64()?, line["http"].as_u64()?))
        };
        let (grpc, http) = process.told(ports).await;
        Self { process, grpc, http }
    }

    fn by_http(&self) -> Value {
        json!({"tracing": {"otlp": {"endpoint": format!("http://127.0.0.1:{}", self.http)}}})
    }

    fn by_grpc(&self) -> Value {
        let endpoint = format!("http://127.0.0.1:{}", self.grpc);
        json!({"tracing": {"otlp": {"endpoint": endpoint, "protocol": "grpc"}}})
    }

    /// Every span that came so far, with what came beside it.
    fn all(&self) -> Vec<Value> {
        let lines = self.process.lines();
        let lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["span"].is_object()).collect()
    }

    /// The spans of a trace, the call's own first, then its tries in order; waits until there are so many.
    async fn trace(&self, id: &str, spans: usize) -> Vec<Value> {
        let of =
            || self.all().into_iter().map(|l| l["span"].clone()).filter(|s| s["traceId"] == id);
        until(&format!("the collector has {spans} spans of {id}"), async || of().count() >= spans)
            .await;
        let mut found: Vec<Value> = of().collect();
        found.sort_by_key(|span| span["attributes"]["trunkline.attempt"].as_u64().unwrap_or(0));
        assert_eq!(found.len(), spans, "{found:#?}");
        found
    }
}

/// The trace that begins with a call: it has the id of the call's generation.
fn trace_of(generation: &str) -> String {
    generation.replace('-', "")
}

fn attribute<'a>(span: &'a Value, name: &str) -> &'a Value {
    &span["attributes"][name]
}

async fn two() -> (Provider, Provider) {
    let bad = Provider::start("bad").await.serving_as("m", json!({"upstream_model": "m-bad"}));
    let good = Provider::start("good").await.serving_as("m", json!({"upstream_model": "m-good"}));
    (bad, good)
}

/// A chat that tries the one before the other.
fn in_order() -> Value {
    overlay(chat("m"), json!({"provider": {"order": ["bad", "good"]}}))
}

fn said_nothing(spans: &[Value], secrets: &[&str]) {
    let text = serde_json::to_string(spans).unwrap();
    let words = PROMPT.split(' ');
    for word in words.chain(secrets.iter().copied()).chain([KEY, TOKEN]) {
        assert!(!text.contains(word), "{word} is in {text}");
    }
}

#[tokio::test]
async fn a_call_that_failed_over_is_one_span_with_one_for_each_try() {
    let collector = Collector::start().await;
    let (bad, good) = two().await;
    bad.fails_with(Fault::status(500));
    let headers = json!({"tracing": {"otlp": {
        "headers": {"env": "OTLP_HEADERS"}, "attributes": {"deployment.environment.name": "test"},
    }}});
    let config = overlay(overlay(collector.by_http(), headers), json!({"node_id": "r0"}));
    let variables = [("OTLP_HEADERS".to_owned(), format!("authorization=Bearer%20{TOKEN}"))];
    let setup = Setup::new(&[&bad, &good]).config(config).environment(&variables);
    let router = setup.start().await;
    let path = "/v1/chat/completions";
    let reply = router.client().post_with(path, &[("traceparent", PARENT)], &in_order()).await;
    assert_eq!(reply.status(), 200);
    let spans = collector.trace(TRACE, 3).await;
    let [call, failed, answered] = &spans[..] else { unreachable!() };
    assert_eq!(
        (&call["name"], &call["kind"]),
        (&json!("POST /v1/chat/completions"), &json!("SPAN_KIND_SERVER"))
    );
    assert_eq!(call["parentSpanId"], CALLER);
    assert_eq!(attribute(call, "http.response.status_code"), 200);
    assert_eq!(attribute(call, "gen_ai.request.model"), "m");
    assert_eq!(attribute(call, "trunkline.generation.id"), reply.head.generation());
    assert_eq!(attribute(call, "trunkline.attempts"), 2);
    assert_eq!(attribute(call, "trunkline.outcome"), "completed");
    assert_eq!(call["status"], Value::Null);
    for attempt in [failed, answered] {
        assert_eq!(attempt["parentSpanId"], call["spanId"]);
        assert_eq!(attempt["kind"], "SPAN_KIND_CLIENT");
        assert_eq!(attribute(attempt, "gen_ai.operation.name"), "chat");
        assert_eq!(attribute(attempt, "gen_ai.provider.name"), "openai");
        assert_eq!(attribute(attempt, "server.address"), "127.0.0.1");
        assert_eq!(attribute(attempt, "trunkline.turn.reason"), "ordered");
    }
    assert_eq!(failed["name"], "chat m-bad");
    assert_eq!(attribute(failed, "error.type"), "server_error");
    assert_eq!(attribute(failed, "http.response.status_code"), 500);
    assert_eq!(attribute(failed, "trunkline.endpoint"), "bad/m@global");
    assert_eq!(failed["status"]["code"], "STATUS_CODE_ERROR");
    assert_eq!(answered["name"], "chat m-good");
    let usage = reply.json()["usage"].clone();
    assert_eq!(attribute(answered, "gen_ai.usage.input_tokens"), &usage["prompt_tokens"]);
    assert_eq!(attribute(answered, "gen_ai.usage.output_tokens"), &usage["completion_tokens"]);
    assert_eq!(attribute(answered, "gen_ai.response.finish_reasons"), &json!(["stop"]));
    assert_eq!(attribute(answered, "gen_ai.response.model"), "m-good");
    assert_eq!(attribute(answered, "trunkline.provider"), "good");
    let came = &collector.all()[0];
    assert_eq!(came["headers"]["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(came["resource"]["service.name"], "trunkline-router");
    assert_eq!(came["resource"]["service.instance.id"], "r0");
    assert_eq!(came["resource"]["deployment.environment.name"], "test");
    said_nothing(&spans, &[]);
    assert!(spans.iter().all(|span| span["unknown"] == false), "{spans:#?}");
    let log = router.stop().await;
    assert_eq!(log.calls()[0]["trace_id"], TRACE);
    assert!(!log.mentions(TOKEN));
}

#[tokio::test]
async fn a_stream_tells_of_its_first_chunk_and_lasts_to_its_end() {
    let collector = Collector::start().await;
    let provider = Provider::start("only").await.serving("m");
    let router = Setup::new(&[&provider]).config(collector.by_grpc()).start().await;
    let reply = router.client().stream(&chat("m")).await.read().await;
    assert!(reply.is_done());
    let spans = collector.trace(&trace_of(reply.head.generation()), 2).await;
    let [call, attempt] = &spans[..] else { unreachable!() };
    assert_eq!(call["parentSpanId"], "");
    assert_eq!(call["events"][0]["name"], "trunkline.first_content");
    assert_eq!(attribute(call, "gen_ai.request.stream"), true);
    assert_eq!(attribute(attempt, "gen_ai.response.finish_reasons"), &json!(["stop"]));
    assert_eq!(attribute(attempt, "gen_ai.usage.output_tokens"), 12);
    assert!(attribute(attempt, "gen_ai.response.time_to_first_chunk").is_number());
    assert!(attempt["nanos"].as_u64() <= call["nanos"].as_u64());
    assert_eq!(collector.all()[0]["way"], "grpc");
    said_nothing(&spans, &[]);
}

#[tokio::test]
async fn a_grpc_call_joins_its_callers_trace_and_a_stream_that_breaks_says_why() {
    let collector = Collector::start().await;
    let provider = Provider::start("only").await.serving("m");
    provider.fails_with(Fault::Cut { after: 3 });
    let router = Setup::new(&[&provider]).config(collector.by_grpc()).start().await;
    let http = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let origin = format!("http://{}", router.public).parse().unwrap();
    let mut caller: InferenceServiceClient<Client<HttpConnector, Body>> =
        InferenceServiceClient::with_origin(http, origin);
    let body = Some(message::Body::Content(PROMPT.to_owned()));
    let message = Message { role: Role::User.into(), body, ..Message::default() };
    let chat = ChatRequest { model: "m".to_owned(), messages: vec![message], ..Default::default() };
    let mut request = Request::new(ChatStreamRequest { chat: Some(chat) });
    request.metadata_mut().insert("authorization", format!("Bearer {KEY}").parse().unwrap());
    request.metadata_mut().insert("traceparent", PARENT.parse().unwrap());
    let mut stream = caller.chat_stream(request).await.unwrap().into_inner();
    while let Ok(Some(_)) = stream.message().await {}
    let spans = collector.trace(TRACE, 2).await;
    let [call, attempt] = &spans[..] else { unreachable!() };
    assert_eq!(call["name"], "trunkline.inference.v1.InferenceService/ChatStream");
    assert_eq!(call["parentSpanId"], CALLER);
    assert_eq!(attribute(call, "trunkline.outcome"), "failed");
    assert_eq!(call["status"]["code"], "STATUS_CODE_ERROR");
    assert_eq!(attribute(attempt, "error.type"), "truncated");
    assert_eq!(attribute(attempt, "gen_ai.usage.output_tokens"), 3);
}

#[tokio::test]
async fn a_refused_call_is_a_span_without_tries() {
    let collector = Collector::start().await;
    let provider = Provider::start("only").await.serving("m");
    let router = Setup::new(&[&provider]).config(collector.by_http()).start().await;
    let reply = router.client_with("tl_nobody00_knows-this-key").chat(&chat("m")).await;
    assert_eq!(reply.status(), 401);
    let spans = collector.trace(&trace_of(reply.head.generation()), 1).await;
    assert_eq!(attribute(&spans[0], "error.type"), "authentication");
    assert_eq!(attribute(&spans[0], "http.response.status_code"), 401);
    assert_eq!(attribute(&spans[0], "trunkline.outcome"), "rejected");
    said_nothing(&spans, &["knows-this-key"]);
}

#[tokio::test]
async fn a_provider_is_told_of_the_trace_only_where_the_catalog_says_so() {
    let collector = Collector::start().await;
    let (bad, good) = two().await;
    let good = good.described(json!({"propagate_trace": true}));
    bad.fails_with(Fault::status(500));
    let router = Setup::new(&[&bad, &good]).config(collector.by_http()).start().await;
    let headers = [("traceparent", PARENT), ("tracestate", "vendor=1")];
    let path = "/v1/chat/completions";
    assert_eq!(router.client().post_with(path, &headers, &in_order()).await.status(), 200);
    let spans = collector.trace(TRACE, 3).await;
    let seen = good.saw("m-good");
    let span = spans[2]["spanId"].as_str().unwrap();
    assert_eq!(seen[0].header("traceparent"), Some(format!("00-{TRACE}-{span}-01").as_str()));
    assert_eq!(seen[0].header("tracestate"), Some("vendor=1"));
    assert_eq!(spans[2]["traceState"], "vendor=1");
    assert!(bad.saw("m-bad")[0].header("traceparent").is_none());
}

#[tokio::test]
async fn callers_decide_whether_they_are_told_of_and_else_the_ratio_does() {
    let collector = Collector::start().await;
    let provider = Provider::start("only").await.serving("m");
    let none = json!({"tracing": {"otlp": {"sample_ratio": 0.0}}});
    let setup = Setup::new(&[&provider]).config(overlay(collector.by_http(), none));
    let router = setup.start().await;
    let post = async |headers: &[(&str, &str)]| {
        router.client().post_with("/v1/chat/completions", headers, &chat("m")).await.status()
    };
    assert_eq!(post(&[]).await, 200);
    assert_eq!(post(&[("traceparent", UNSAMPLED)]).await, 200);
    assert_eq!(post(&[("traceparent", "00-nonsense")]).await, 200);
    assert_eq!(post(&[("traceparent", PARENT)]).await, 200);
    collector.trace(TRACE, 2).await;
    // Records are told of in their order, so whatever else was sampled is here by now.
    assert_eq!(collector.all().len(), 2);
    let calls = router.stop().await.calls();
    assert_eq!(calls[1]["trace_id"], TRACE);
    assert_eq!(calls[2]["trace_id"], json!(trace_of(calls[2]["generation"].as_str().unwrap())));
}

#[tokio::test]
async fn the_ratio_can_change_while_a_router_runs() {
    let collector = Collector::start().await;
    let provider = Provider::start("only").await.serving("m");
    let share = |ratio: f64| json!({"tracing": {"otlp": {"sample_ratio": ratio}}});
    let setup = Setup::new(&[&provider]).config(overlay(collector.by_http(), share(0.0)));
    let router = setup.start().await;
    assert_eq!(router.client().chat(&chat("m")).await.status(), 200);
    router.reconfigure(share(1.0));
    let changed = async || router.metric("trunkline_config_reloads_total", "\"changed\"").await;
    until("the ratio is another", async || changed().await == 1.0).await;
    let reply = router.client().chat(&chat("m")).await;
    collector.trace(&trace_of(reply.head.generation()), 2).await;
    assert_eq!(collector.all().len(), 2, "nothing is told of the call before");
}

#[tokio::test]
async fn opentelemetrys_variables_are_enough() {
    let collector = Collector::start().await;
    let provider = Provider::start("only").await.serving("m");
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{}", collector.http)),
        ("OTEL_SERVICE_NAME", "edge".to_owned()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value));
    let router = Setup::new(&[&provider]).environment(&variables).start().await;
    let reply = router.client().chat(&chat("m")).await;
    collector.trace(&trace_of(reply.head.generation()), 2).await;
    assert_eq!(collector.all()[0]["resource"]["service.name"], "edge");
}

#[tokio::test]
async fn what_a_busy_collector_did_not_take_is_sent_again() {
    let collector = Collector::with(&[("BUSY_AT_FIRST", "1")]).await;
    let provider = Provider::start("only").await.serving("m");
    for way in [collector.by_http(), collector.by_grpc()] {
        let router = Setup::new(&[&provider]).config(way).start().await;
        let reply = router.client().chat(&chat("m")).await;
        collector.trace(&trace_of(reply.head.generation()), 2).await;
        until("the router knows that they arrived", async || {
            router.metric("trunkline_spans_total", "exported").await >= 2.0
        })
        .await;
        assert!(router.metric("trunkline_spans_total", "failed").await < 1.0);
    }
}

#[tokio::test]
async fn a_collector_is_spoken_to_by_mutual_tls_and_a_foreign_one_gets_nothing() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let ca = ours.ca();
    let [cert, key] = ours.issue("collector");
    let files = [("TLS_CERT", &cert), ("TLS_KEY", &key), ("TLS_CA", &ca)];
    let variables = files.map(|(name, path)| (name, path.to_str().unwrap()));
    let collector = Collector::with(&variables).await;
    let [cert, key] = ours.issue("router");
    let provider = Provider::start("only").await.serving("m");
    for way in [collector.by_http(), collector.by_grpc()] {
        let endpoint = way["tracing"]["otlp"]["endpoint"].as_str().unwrap();
        let secure = |ca: &Path| {
            let endpoint = endpoint.replace("http://", "https://");
            let tls = json!({"ca": ca, "cert": cert, "key": key});
            overlay(way.clone(), json!({"tracing": {"otlp": {"endpoint": endpoint, "tls": tls}}}))
        };
        let router = Setup::new(&[&provider]).config(secure(&ca)).start().await;
        let reply = router.client().chat(&chat("m")).await;
        collector.trace(&trace_of(reply.head.generation()), 2).await;
        for part in ["certificate", "ca"] {
            let labels = format!("purpose=\"collector\",part=\"{part}\"");
            let ends = router.metric("trunkline_certificate_expiry_timestamp_seconds", &labels);
            assert!(ends.await > now_s(), "{part}");
        }
        let before = collector.all().len();
        let router = Setup::new(&[&provider]).config(secure(&theirs.ca())).start().await;
        assert_eq!(router.client().chat(&chat("m")).await.status(), 200);
        let log = router.stop().await;
        assert!(log.mentions("invalid peer certificate"), "{:#?}", log.0);
        assert_eq!(collector.all().len(), before);
    }
}

/// Seconds since 1970.
fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

#[tokio::test]
async fn a_router_starts_without_the_files_for_its_collector_and_takes_them_up_when_they_come() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let ca = folder.path().join("ca.pem");
    let otlp = json!({"endpoint": "https://127.0.0.1:4318", "tls": {"ca": ca}});
    let provider = Provider::start("only").await.serving("m");
    let config = json!({"tracing": {"otlp": otlp}});
    let router = Setup::new(&[&provider]).config(config).start().await;
    let (reloads, looked) = ("trunkline_certificate_reloads_total", "purpose=\"collector\"");
    let outcome = |word: &str| format!("{looked},outcome=\"{word}\"");
    router.process.hang_up();
    let (refused, changed) = (outcome("refused"), outcome("changed"));
    until("the file is missed", async || router.metric(reloads, &refused).await >= 1.0).await;
    std::fs::copy(authority.ca(), &ca).unwrap();
    router.process.hang_up();
    until("it is taken up", async || router.metric(reloads, &changed).await >= 1.0).await;
    let expiry = "trunkline_certificate_expiry_timestamp_seconds";
    let part = format!("{looked},part=\"ca\"");
    assert!(router.metric(expiry, &part).await > now_s());
}

#[tokio::test]
async fn the_last_spans_are_sent_before_a_router_ends() {
    let collector = Collector::start().await;
    let provider = Provider::start("only").await.serving("m");
    let router = Setup::new(&[&provider]).config(collector.by_grpc()).start().await;
    let reply = router.client().chat(&chat("m")).await;
    router.stop().await;
    collector.trace(&trace_of(reply.head.generation()), 2).await;
}

/// A router whose collector is at this port.
async fn before(port: u16, provider: &Provider) -> Router {
    let endpoint = format!("http://127.0.0.1:{port}");
    let config = json!({"tracing": {"otlp": {"endpoint": endpoint}}});
    Setup::new(&[provider]).config(config).start().await
}

#[tokio::test]
async fn a_collector_that_is_away_or_silent_costs_no_call() {
    let provider = Provider::start("only").await.serving("m");
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ports = [&silent, &gone].map(|listener| listener.local_addr().unwrap().port());
    drop(gone);
    for port in ports {
        let router = before(port, &provider).await;
        for _ in 0..CALLS_WITHOUT {
            assert_eq!(router.client().chat(&chat("m")).await.status(), 200);
        }
        let log = router.stop().await;
        assert_eq!(log.calls().len(), CALLS_WITHOUT);
        let told = log.mentions("the collector does not take spans")
            || log.mentions("the collector did not take the last spans in time");
        assert!(told, "{:#?}", log.0);
    }
}
