//! What a gRPC caller may rely on: the same answers as over HTTP, deadlines that the router keeps by itself,
//! and streams that never end well unless they are complete.

#![expect(clippy::unwrap_used, reason = "fails its test on the spot")]

use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use sim_provider::Fault;
use tonic::body::Body;
use tonic::{Code, Request, Response, Status};
use trunkline_proto::inference::v1::inference_service_client::InferenceServiceClient;
use trunkline_proto::inference::v1::{
    ChatRequest, ChatStreamRequest, ChatStreamResponse, EmbedRequest, Generation,
    GenerationOutcome, GetGenerationRequest, Message, ProviderPreferences, Role, message,
};
use trunkline_tests::json::{PROMPT, chat};
use trunkline_tests::provider::Provider;
use trunkline_tests::puppet::Puppet;
use trunkline_tests::router::{KEY, Router, Setup};

/// How often a record is asked for that is still being closed. Each is a whole call.
const RECORD_TRIES: usize = 10_000;

/// A client without a clock of its own: what ends a call is the router.
type Caller = InferenceServiceClient<Client<HttpConnector, Body>>;

fn caller(router: &Router) -> Caller {
    let http = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let origin = format!("http://{}", router.public).parse().unwrap();
    InferenceServiceClient::with_origin(http, origin)
}

async fn one(fault: Option<Fault>) -> (Provider, Router) {
    let provider = Provider::start("only").await.serving("m");
    if let Some(fault) = fault {
        provider.fails_with(fault);
    }
    let router = Setup::new(&[&provider]).start().await;
    (provider, router)
}

fn asking() -> ChatRequest {
    let body = Some(message::Body::Content(PROMPT.to_owned()));
    let message = Message { role: Role::User.into(), body, ..Message::default() };
    ChatRequest { model: "m".to_owned(), messages: vec![message], ..ChatRequest::default() }
}

fn signed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {KEY}").parse().unwrap());
    request
}

fn within<T>(timeout: &'static str, message: T) -> Request<T> {
    let mut request = signed(message);
    request.metadata_mut().insert("grpc-timeout", timeout.parse().unwrap());
    request
}

fn streamed(chat: ChatRequest) -> ChatStreamRequest {
    ChatStreamRequest { chat: Some(chat) }
}

/// The events of a stream, and the status that it ended with.
async fn read(
    response: Response<tonic::Streaming<ChatStreamResponse>>,
) -> (Vec<ChatStreamResponse>, Option<Status>) {
    let mut stream = response.into_inner();
    let mut events = Vec::new();
    loop {
        match stream.message().await {
            Ok(Some(event)) => events.push(event),
            Ok(None) => return (events, None),
            Err(status) => return (events, Some(status)),
        }
    }
}

fn text(events: &[ChatStreamResponse]) -> String {
    let choices = events.iter().flat_map(|event| &event.choices);
    choices.filter_map(|choice| choice.delta.as_ref()?.content.as_deref()).collect()
}

async fn record(caller: &mut Caller, id: &str) -> Generation {
    for _ in 0..RECORD_TRIES {
        let asked = signed(GetGenerationRequest { id: id.to_owned() });
        match caller.get_generation(asked).await {
            Ok(found) => return found.into_inner().generation.unwrap(),
            Err(status) => assert_eq!(status.code(), Code::NotFound, "{status}"),
        }
    }
    unreachable!("the record was never closed")
}

fn generation(metadata: &tonic::metadata::MetadataMap) -> String {
    metadata.get("x-trunkline-generation-id").unwrap().to_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_same_call_gets_the_same_answer_over_grpc_and_http() {
    let (_provider, router) = one(None).await;
    let answer = caller(&router).chat(signed(asking())).await.unwrap().into_inner();
    let page = router.client().chat(&chat("m")).await.json();
    let message = answer.choices[0].message.as_ref().unwrap();
    let content = Some(message::Body::Content(
        page["choices"][0]["message"]["content"].as_str().unwrap().to_owned(),
    ));
    assert_eq!(message.body, content);
    let usage = answer.usage.unwrap();
    assert_eq!(json!(usage.prompt_tokens), page["usage"]["prompt_tokens"]);
    assert_eq!(json!(usage.completion_tokens), page["usage"]["completion_tokens"]);
    assert_eq!(usage.cost.unwrap(), page["usage"]["cost"].to_string());
    assert_eq!(answer.model, page["model"]);
    let (events, status) =
        read(caller(&router).chat_stream(signed(streamed(asking()))).await.unwrap()).await;
    assert!(status.is_none(), "{status:?}");
    assert_eq!(Some(message::Body::Content(text(&events))), content);
}

#[tokio::test]
async fn every_answer_names_the_provider_that_gave_it() {
    let first = Provider::start("first").await.serving("m");
    let second = Provider::start("second").await.serving("m");
    let router = Setup::new(&[&first, &second]).start().await;
    let mut caller = caller(&router);
    let order = vec!["first".to_owned(), "second".to_owned()];
    let provider = Some(ProviderPreferences { order, ..ProviderPreferences::default() });
    let asking = ChatRequest { provider: provider.clone(), ..asking() };
    let input = vec!["x".to_owned()];
    let embed = EmbedRequest { model: "m".to_owned(), input, provider, ..EmbedRequest::default() };
    for expected in ["first", "second"] {
        let answer = caller.chat(signed(asking.clone())).await.unwrap().into_inner();
        assert_eq!(answer.provider, expected);
        let vectors = caller.embed(signed(embed.clone())).await.unwrap().into_inner();
        assert_eq!(vectors.provider, expected);
        let stream = caller.chat_stream(signed(streamed(asking.clone()))).await.unwrap();
        let (events, status) = read(stream).await;
        assert!(status.is_none() && events.len() > 1, "{status:?}");
        assert!(events.iter().all(|event| event.provider == expected), "{events:?}");
        first.fails_with(Fault::status(500));
    }
}

/// An aggregator's answer, which names whom it asked in turn.
const AGGREGATED: &str = r#"{"id":"a","object":"chat.completion","created":1,"model":"m","provider":"its maker",
"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],
"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;

#[tokio::test]
async fn what_an_answer_says_of_its_maker_is_kept_beside_the_provider() {
    let length = AGGREGATED.len();
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}");
    let puppet = Puppet::answering(&format!("{head}\r\n\r\n{AGGREGATED}")).await;
    let provider = Provider::start("aggregator").await.serving("m").at(&puppet.base_url());
    let router = Setup::new(&[&provider]).start().await;
    let answer = caller(&router).chat(signed(asking())).await.unwrap().into_inner();
    assert_eq!(answer.provider, "aggregator");
    let said = format!("{:?}", answer.extra.unwrap().fields["provider"]);
    assert!(said.contains("its maker"), "{said}");
}

#[tokio::test]
async fn a_deadline_ends_a_call_that_waits() {
    let (_provider, router) = one(Some(Fault::BlackHole)).await;
    let mut caller = caller(&router);
    let status = caller.chat(within("300m", asking())).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert!(!status.details().is_empty());
    let record = record(&mut caller, &generation(status.metadata())).await;
    assert_eq!(record.outcome(), GenerationOutcome::Failed);
}

#[tokio::test]
async fn a_deadline_holds_for_the_whole_stream() {
    let (_provider, router) = one(Some(Fault::Stall { after: 3 })).await;
    let mut caller = caller(&router);
    let stream = caller.chat_stream(within("700m", streamed(asking()))).await.unwrap();
    let (events, status) = read(stream).await;
    assert!(!text(&events).is_empty());
    let status = status.unwrap();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_a_status_and_never_well() {
    for fault in [Fault::Cut { after: 3 }, Fault::EarlyEof { after: 3 }] {
        let (_provider, router) = one(Some(fault)).await;
        let stream = caller(&router).chat_stream(signed(streamed(asking()))).await.unwrap();
        let (events, status) = read(stream).await;
        assert!(!text(&events).is_empty());
        let status = status.unwrap();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert!(!status.details().is_empty());
    }
}

#[tokio::test]
async fn a_caller_who_leaves_is_recorded_as_gone() {
    let (_provider, router) = one(Some(Fault::Stall { after: 3 })).await;
    let mut caller = caller(&router);
    let response = caller.chat_stream(signed(streamed(asking()))).await.unwrap();
    let id = generation(response.metadata());
    let mut stream = response.into_inner();
    assert!(stream.message().await.unwrap().is_some());
    drop(stream);
    let record = record(&mut caller, &id).await;
    assert_eq!(record.outcome(), GenerationOutcome::Abandoned);
}

#[tokio::test]
async fn the_decision_comes_with_the_answer_when_asked_for() {
    let (_provider, router) = one(None).await;
    let mut caller = caller(&router);
    let explained = ChatRequest { explain: true, ..asking() };
    let answer = caller.chat(signed(explained.clone())).await.unwrap().into_inner();
    assert_eq!(answer.decision.unwrap().turns[0].provider, "only");
    let (events, status) =
        read(caller.chat_stream(signed(streamed(explained))).await.unwrap()).await;
    assert!(status.is_none(), "{status:?}");
    let decided: Vec<bool> = events.iter().map(|event| event.decision.is_some()).collect();
    assert_eq!(decided.iter().filter(|with| **with).count(), 1);
    let last = events.last().unwrap();
    assert!(last.decision.is_some() && last.usage.is_some());
    let answer = caller.chat(signed(asking())).await.unwrap().into_inner();
    assert!(answer.decision.is_none());
}

#[tokio::test]
async fn a_long_message_is_refused_like_a_long_body() {
    let provider = Provider::start("only").await.serving("m");
    let limits = json!({"limits": {"body_bytes": 65_536}});
    let router = Setup::new(&[&provider]).config(limits).start().await;
    let input = vec!["x".repeat(100_000)];
    let long = EmbedRequest { model: "m".to_owned(), input, ..EmbedRequest::default() };
    let status = caller(&router).embed(signed(long)).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(!status.details().is_empty());
    assert!(provider.saw("m").is_empty());
}

#[tokio::test]
async fn ids_come_back_with_answers_and_with_refusals() {
    let (_provider, router) = one(None).await;
    let mut caller = caller(&router);
    let named = |model: &str| {
        let mut request = signed(ChatRequest { model: model.to_owned(), ..asking() });
        request.metadata_mut().insert("x-request-id", "mine-1".parse().unwrap());
        request
    };
    let answer = caller.chat(named("m")).await.unwrap();
    assert_eq!(answer.metadata().get("x-request-id").unwrap(), "mine-1");
    assert_eq!(generation(answer.metadata()), answer.get_ref().generation_id);
    let refusal = caller.chat(named("no-such-model")).await.unwrap_err();
    assert_eq!(refusal.code(), Code::NotFound);
    assert_eq!(refusal.metadata().get("x-request-id").unwrap(), "mine-1");
    let record = record(&mut caller, &generation(refusal.metadata())).await;
    assert_eq!(record.outcome(), GenerationOutcome::Rejected);
    assert_eq!(record.request_id, "mine-1");
}
