//! The connections to providers. One client for all of them, without any cleverness of its own: no
//! redirects, no proxies, no retries, no total timeout. Deadlines are the caller's.

mod connect;
mod pool;

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::Full;
use trunkline_core::catalog::Dialect;
use trunkline_core::failure::FailureKind;
use trunkline_wire::operation::Operation;

use crate::anthropic;
use crate::classify::Failed;
use crate::events::EventStream;
use crate::retry_after::retry_after_ms;
use crate::room::Room;
use crate::target::Target;
use crate::whole::{self, Whole};
use pool::Pool;
pub(crate) use pool::{Body, Origin, SendError};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The client could not be built.
#[derive(Debug, thiserror::Error)]
#[error("TLS to providers could not be set up: {0}")]
pub struct TransportError(#[from] rustls::Error);

/// One request to one endpoint.
pub struct Call<'a> {
    /// Where to.
    pub target: &'a Target,
    /// What for.
    pub operation: Operation,
    /// Which of the target's credentials, by position.
    pub credential: usize,
    /// The request in the OpenAI-compatible dialect, with the endpoint's own model name in it.
    pub body: Bytes,
    /// Seconds since 1970, for dialects whose answers do not carry the time.
    pub created: u64,
    /// Where it is written down what the answer's headers tell of the room that is left.
    pub room: &'a Room,
    /// The call's place in a trace, for a provider that may know it.
    pub trace: Option<Box<TraceHeaders>>,
}

/// A call's place in a trace, as W3C Trace Context writes it.
#[derive(Clone, Debug)]
pub struct TraceHeaders {
    /// `traceparent`: the trace, and the span of this very request.
    pub parent: HeaderValue,
    /// `tracestate`, as it came.
    pub state: Option<HeaderValue>,
}

/// The connections to all providers.
#[derive(Clone)]
pub struct Transport {
    pool: Pool,
}

impl Transport {
    /// Sets the client up; nothing is connected yet.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new() -> Result<Self, TransportError> {
        Ok(Self { pool: Pool::new(connect::Connectors::new()?) })
    }

    /// Asks for a whole answer and reads it to its end.
    ///
    /// # Errors
    /// [`Failed`], whatever went wrong: connection, status, body or meaning.
    pub async fn whole(&self, mut call: Call<'_>) -> Result<Whole, Failed> {
        let response = self.send(&mut call).await?;
        whole::read(response, &call).await.map_err(|failed| failed.without(&call.target.secrets))
    }

    /// Asks for a stream; returns when its headers are in.
    ///
    /// # Errors
    /// [`Failed`] for a connection or status failure, or when the answer is no event stream.
    pub async fn stream(&self, mut call: Call<'_>) -> Result<EventStream, Failed> {
        let response = self.send(&mut call).await?;
        EventStream::open(response, &call)
            .await
            .map_err(|failed| failed.without(&call.target.secrets))
    }

    /// Lists the provider's models: proves name, TLS and credential without spending anything.
    ///
    /// # Errors
    /// [`Failed`] for a connection or status failure.
    pub async fn list_models(
        &self,
        target: &Target,
        credential: usize,
    ) -> Result<Vec<String>, Failed> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = target.models.clone();
        *request.headers_mut() = credential_headers(target, credential)?;
        let response = checked(self.request(request, target).await?).await?;
        let body = whole::bounded(response, whole::MAX_ANSWER_BYTES).await?;
        anthropic::models::ids(&body)
            .map_err(|_| Failed::new(FailureKind::Undecodable, "the model list is not readable"))
    }

    async fn send(&self, call: &mut Call<'_>) -> Result<Response<Body>, Failed> {
        let mut request = Request::new(Full::new(body(call)?));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = call.target.path(call.operation).clone();
        *request.headers_mut() = credential_headers(call.target, call.credential)?;
        if let Some(trace) = &call.trace {
            let headers = request.headers_mut();
            headers.insert(TRACEPARENT, trace.parent.clone());
            trace.state.iter().for_each(|state| _ = headers.insert(TRACESTATE, state.clone()));
        }
        let sent = async {
            let response = self.request(request, call.target).await?;
            call.room.read(call.target.dialect, response.headers());
            checked(response).await
        };
        sent.await.map_err(|failed: Failed| failed.without(&call.target.secrets))
    }

    async fn request(
        &self,
        request: Request<Full<Bytes>>,
        target: &Target,
    ) -> Result<Response<Body>, Failed> {
        let response = self.pool.send(&target.origin, request).await;
        response.map_err(|error| Failed::of_send(&error))
    }
}

fn credential_headers(target: &Target, credential: usize) -> Result<http::HeaderMap, Failed> {
    let headers = target.headers.get(credential).cloned();
    headers.ok_or_else(|| Failed::new(FailureKind::Local, "no such credential"))
}

/// The request in the provider's own dialect; it is sent once, so it is taken.
fn body(call: &mut Call<'_>) -> Result<Bytes, Failed> {
    match (call.target.dialect, call.operation) {
        (Dialect::OpenAi, _) => Ok(std::mem::take(&mut call.body)),
        (Dialect::Anthropic, Operation::Chat) => {
            let target = call.target;
            anthropic::request::to_messages(
                &call.body,
                &target.upstream_model,
                target.max_output_tokens,
            )
            .map(Bytes::from)
            .map_err(|e| {
                let mut failed = Failed::new(FailureKind::Untranslatable, &e.message);
                failed.param = Some(e.param);
                failed
            })
        }
        (Dialect::Anthropic, Operation::Completion | Operation::Embedding) => {
            let message = "this provider serves chat completions only";
            Err(Failed::new(FailureKind::Untranslatable, message))
        }
    }
}

/// The answer if its status is a success, else the failure it stands for.
async fn checked(response: Response<Body>) -> Result<Response<Body>, Failed> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let wait = retry_after_ms(response.headers(), SystemTime::now());
    // An error whose body cannot be read is still that error.
    let body = whole::bounded(response, whole::MAX_ERROR_BYTES).await.unwrap_or_default();
    Err(Failed::of_status(status.as_u16(), wait, &body))
}
