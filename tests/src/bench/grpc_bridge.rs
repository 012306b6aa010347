//! The yardstick for gRPC: takes unary chats and calls an OpenAI-style upstream, by the shortest typed way.
//! It knows text messages and two parameters; every other method says that it is not there.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request as HttpRequest, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tonic::codegen::tokio_stream::Empty;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use trunkline_proto::inference::v1::inference_service_server::{
    InferenceService, InferenceServiceServer,
};
use trunkline_proto::inference::v1::{
    ChatRequest, ChatResponse, ChatStreamRequest, ChatStreamResponse, Choice, EmbedRequest,
    EmbedResponse, ExplainRouteRequest, ExplainRouteResponse, FinishReason, GetGenerationRequest,
    GetGenerationResponse, ListEndpointsRequest, ListEndpointsResponse, ListModelsRequest,
    ListModelsResponse, Message, Role, Usage, message,
};

use super::minimal_proxy::connector;

/// Answers unary chats on `listener` from `upstream`, until dropped.
///
/// # Errors
/// What the server failed with.
pub async fn serve(listener: TcpListener, upstream: SocketAddr) -> anyhow::Result<()> {
    let bridge = Bridge {
        client: Client::builder(TokioExecutor::new()).build(connector()),
        uri: format!("http://{upstream}/v1/chat/completions").parse()?,
    };
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = tonic::transport::Server::builder();
    let mut server = server.tcp_nodelay(true);
    server.add_service(InferenceServiceServer::new(bridge)).serve_with_incoming(incoming).await?;
    Ok(())
}

struct Bridge {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: Uri,
}

impl Bridge {
    async fn call(&self, body: Vec<u8>) -> Result<(StatusCode, Bytes), Status> {
        let mut request = HttpRequest::new(Full::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json);
        let response = self.client.request(request).await.map_err(unavailable)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(unavailable)?;
        Ok((status, body.to_bytes()))
    }
}

fn unavailable(error: impl std::error::Error) -> Status {
    Status::unavailable(error.to_string())
}

fn not_here<T>() -> Result<T, Status> {
    Err(Status::unimplemented("the bridge of the benchmark answers unary chats alone"))
}

#[tonic::async_trait]
impl InferenceService for Bridge {
    async fn chat(&self, request: Request<ChatRequest>) -> Result<Response<ChatResponse>, Status> {
        let request = request.into_inner();
        let body = serde_json::to_vec(&Asked::from(&request));
        let (status, body) = self.call(body.map_err(|e| Status::internal(e.to_string()))?).await?;
        if !status.is_success() {
            return Err(Status::unavailable(format!("the upstream answered {status}")));
        }
        let answer: Answered = serde_json::from_slice(&body).map_err(unavailable)?;
        Ok(Response::new(answer.into()))
    }

    type ChatStreamStream = Empty<Result<ChatStreamResponse, Status>>;

    async fn chat_stream(
        &self,
        _: Request<ChatStreamRequest>,
    ) -> Result<Response<Self::ChatStreamStream>, Status> {
        not_here()
    }

    async fn embed(&self, _: Request<EmbedRequest>) -> Result<Response<EmbedResponse>, Status> {
        not_here()
    }

    async fn list_models(
        &self,
        _: Request<ListModelsRequest>,
    ) -> Result<Response<ListModelsResponse>, Status> {
        not_here()
    }

    async fn list_endpoints(
        &self,
        _: Request<ListEndpointsRequest>,
    ) -> Result<Response<ListEndpointsResponse>, Status> {
        not_here()
    }

    async fn get_generation(
        &self,
        _: Request<GetGenerationRequest>,
    ) -> Result<Response<GetGenerationResponse>, Status> {
        not_here()
    }

    async fn explain_route(
        &self,
        _: Request<ExplainRouteRequest>,
    ) -> Result<Response<ExplainRouteResponse>, Status> {
        not_here()
    }
}

/// A request in the HTTP dialect.
#[derive(Serialize)]
struct Asked<'a> {
    model: &'a str,
    messages: Vec<AskedMessage<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
}

#[derive(Serialize)]
struct AskedMessage<'a> {
    role: &'static str,
    content: &'a str,
}

impl<'a> From<&'a ChatRequest> for Asked<'a> {
    fn from(request: &'a ChatRequest) -> Self {
        let message = |message: &'a Message| AskedMessage {
            role: role_name(message.role()),
            content: match &message.body {
                Some(message::Body::Content(text)) => text,
                Some(message::Body::Parts(_)) | None => "",
            },
        };
        Self {
            model: &request.model,
            messages: request.messages.iter().map(message).collect(),
            temperature: request.temperature,
            max_tokens: request.max_tokens,
        }
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::Developer => "developer",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
        Role::User | Role::Unspecified => "user",
    }
}

/// An answer in the HTTP dialect.
#[derive(Deserialize)]
struct Answered {
    id: String,
    model: String,
    created: i64,
    choices: Vec<AnsweredChoice>,
    usage: AnsweredUsage,
}

#[derive(Deserialize)]
struct AnsweredChoice {
    index: u32,
    message: AnsweredMessage,
}

#[derive(Deserialize)]
struct AnsweredMessage {
    content: String,
}

#[derive(Deserialize)]
struct AnsweredUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

impl From<Answered> for ChatResponse {
    fn from(answer: Answered) -> Self {
        let choice = |choice: AnsweredChoice| Choice {
            index: choice.index,
            message: Some(Message {
                role: Role::Assistant.into(),
                body: Some(message::Body::Content(choice.message.content)),
                ..Message::default()
            }),
            finish_reason: FinishReason::Stop.into(),
            ..Choice::default()
        };
        Self {
            id: answer.id,
            model: answer.model,
            created: answer.created,
            choices: answer.choices.into_iter().map(choice).collect(),
            usage: Some(Usage {
                prompt_tokens: answer.usage.prompt_tokens,
                completion_tokens: answer.usage.completion_tokens,
                total_tokens: answer.usage.total_tokens,
                ..Usage::default()
            }),
            ..Self::default()
        }
    }
}
