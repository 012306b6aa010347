//! The public port: which request goes where, and how an answer or an error becomes a response.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_TYPE, RETRY_AFTER, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use trunkline_wire::error::{ErrorBody, ErrorType};
use trunkline_wire::operation::Operation;
use uuid::Uuid;

use crate::canary::Decided;
use crate::ingress::arriving::{self, Arriving, BODY_TIMEOUT, STRANGERS_BYTES, Sender};
use crate::ingress::body::Payload;
use crate::ingress::decision;
use crate::ingress::grpc::{PeerAddress, Services};
use crate::ingress::pages;
use crate::ledger::{CameBy, OpenRecord};
use crate::pipeline::{self, Answer, Arrival, Router};
use crate::rejection::{Rejection, reject};
use crate::traces;

/// Longest request id that is taken over from a caller.
const MAX_REQUEST_ID_BYTES: usize = 128;
/// Most tags in the header.
const MAX_TAGS: usize = 16;
/// Without a better word from a provider, a refused caller waits this long.
const DEFAULT_RETRY_AFTER_MS: u64 = 1_000;

/// Headers of an ordinary response, hyper's two included, so that their map is made once.
const RESPONSE_HEADERS: usize = 6;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_GENERATION_ID: HeaderName = HeaderName::from_static("x-trunkline-generation-id");
const X_POLICY: HeaderName = HeaderName::from_static("x-trunkline-policy");
const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const X_SESSION_ID: HeaderName = HeaderName::from_static("x-session-id");
const X_TAGS: HeaderName = HeaderName::from_static("x-trunkline-tags");
const X_TIMEOUT_MS: HeaderName = HeaderName::from_static("x-trunkline-timeout-ms");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The public port's services.
pub struct Public {
    /// The pipeline.
    pub router: Arc<Router>,
    /// The gRPC services.
    pub grpc: Services,
}

impl Public {
    /// Answers one request. What is not a call over HTTP waits in a box of its own: a call's future is moved on
    /// its way into the server, and is only as large as its largest part.
    ///
    /// # Errors
    /// None: every failure is a response.
    pub async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        peer: IpAddr,
    ) -> Result<Response<Payload>, std::convert::Infallible> {
        if is_grpc(request.headers()) {
            request.extensions_mut().insert(PeerAddress(peer));
            let sender = self.sender(request.headers(), peer);
            let request = request.map(|body| Arriving::new(body, sender));
            let response = Box::pin(self.grpc.clone().answer(request)).await;
            return Ok(response.map(Payload::Grpc));
        }
        // Of a request that has a length as well, hyper forgets the length. Where a proxy before us believed it
        // instead, what follows on the connection is not what the proxy sent: nothing may follow.
        let framed_twice = request.headers().contains_key(TRANSFER_ENCODING);
        let mut response = self.route(request, peer).await;
        if framed_twice {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    async fn route(&self, request: Request<Incoming>, peer: IpAddr) -> Response<Payload> {
        let path = request.uri().path();
        let operation = match path {
            "/v1/chat/completions" => Some(Operation::Chat),
            "/v1/completions" => Some(Operation::Completion),
            "/v1/embeddings" => Some(Operation::Embedding),
            _ => None,
        };
        let mut response = match (operation, request.method()) {
            (Some(operation), &Method::POST) => return self.call(operation, request, peer).await,
            (Some(_), _) => not_allowed("POST"),
            (None, &Method::GET) => Box::pin(page(&self.router, &request, peer)).await,
            (None, _) if pages::exists(path) => not_allowed("GET"),
            (None, _) => error_response(&no_such_route()),
        };
        response.headers_mut().insert(X_REQUEST_ID, page_id(request.headers()));
        response
    }

    async fn call(
        &self,
        operation: Operation,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> Response<Payload> {
        let router = &self.router;
        let (head, body) = request.into_parts();
        let request_id = request_id(&head.headers);
        let mut record = router.ledger.open(operation, CameBy::Http, request_id);
        traces::begin(router, &head.headers, &mut record);
        let ids = Ids::of(router, &record, request_id);
        let arrived = match timeout(&head.headers) {
            Ok(timeout) => self.body(&head.headers, body, peer).await.map(|body| (body, timeout)),
            Err(rejection) => Err(rejection),
        };
        let (body, timeout) = match arrived {
            Ok(arrived) => arrived,
            Err(rejection) => {
                record.failed(rejection.error_type);
                return identified(router, error_response(&rejection), ids);
            }
        };
        let (explain, awaited) = decision::asked(&head.headers);
        let arrival = Arrival {
            operation,
            body,
            credential: credential(&head.headers).cloned(),
            peer,
            session: text(&head.headers, &X_SESSION_ID).map(str::to_owned),
            tags: tags(&head.headers),
            timeout,
            decided: ids.decided.clone(),
            explain,
        };
        let mut response = match pipeline::run(router, arrival, record).await {
            Ok(Answer::Whole(body, _)) => json_response(StatusCode::OK, body),
            Ok(Answer::Stream(stream)) => {
                stream_response(Payload::events(operation, stream, ids.generation_text()))
            }
            Err(rejection) => error_response(&rejection),
        };
        if let Some(awaited) = awaited {
            awaited.write(response.headers_mut());
        }
        identified(router, response, ids)
    }

    /// The body, once it is in. Whom it is from is looked at before, where it is long: a stranger must not make
    /// the router hold it. Of short ones the key is looked up once, with the rest of the call.
    async fn body(
        &self,
        headers: &HeaderMap,
        body: Incoming,
        peer: IpAddr,
    ) -> Result<Bytes, Rejection> {
        uncompressed(headers)?;
        let most = self.router.settings.load().body_bytes;
        let announced =
            headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
        if announced.is_some_and(|length: usize| length > most) {
            return Err(too_large(most));
        }
        if announced.is_none_or(|length| length > STRANGERS_BYTES) {
            self.sender(headers, peer).known()?;
        }
        read_body(body, most).await
    }

    fn sender(&self, headers: &HeaderMap, peer: IpAddr) -> Sender {
        let router = Arc::clone(&self.router);
        Sender { router, credential: credential(headers).cloned(), peer }
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|t| t.as_bytes().starts_with(b"application/grpc"))
}

async fn page(
    router: &Arc<Router>,
    request: &Request<Incoming>,
    peer: IpAddr,
) -> Response<Payload> {
    let (path, query) = (request.uri().path(), request.uri().query());
    match pages::answer(router, path, query, (credential(request.headers()), peer)).await {
        Ok(body) => json_response(StatusCode::OK, body),
        Err(rejection) => error_response(&rejection),
    }
}

/// What a response that no record is kept of is known by: the caller's own id, or one of ours.
fn page_id(headers: &HeaderMap) -> HeaderValue {
    let own = || Uuid::now_v7().hyphenated().to_string();
    let id = request_id(headers).map_or_else(own, str::to_owned);
    HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("unknown"))
}

fn request_id(headers: &HeaderMap) -> Option<&str> {
    let id = text(headers, &X_REQUEST_ID)?;
    let fits = !id.is_empty() && id.len() <= MAX_REQUEST_ID_BYTES;
    (fits && id.bytes().all(|b| b.is_ascii_graphic())).then_some(id)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn credential(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(AUTHORIZATION).or_else(|| headers.get(&X_API_KEY))
}

/// `feature=chat,stage=prod`; what does not read as a pair is left out: attribution must not fail a call.
fn tags(headers: &HeaderMap) -> Vec<(String, String)> {
    let Some(list) = text(headers, &X_TAGS) else { return Vec::new() };
    let pairs = list.split(',').filter_map(|pair| pair.split_once('='));
    pairs.take(MAX_TAGS).map(|(k, v)| (k.trim().to_owned(), v.trim().to_owned())).collect()
}

/// How long the caller will wait, in milliseconds. Whoever is not understood would wait longer than it thinks.
fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Rejection> {
    let Some(value) = headers.get(&X_TIMEOUT_MS) else { return Ok(None) };
    match value.to_str().ok().and_then(|text| text.trim().parse().ok()) {
        Some(ms @ 1..) => Ok(Some(Duration::from_millis(ms))),
        Some(0) | None => {
            let message = "the header `x-trunkline-timeout-ms` must be a whole number of milliseconds, one or more";
            Err(about_header(&X_TIMEOUT_MS, message))
        }
    }
}

/// A body is read as it comes: compressed, nothing can be read in it.
fn uncompressed(headers: &HeaderMap) -> Result<(), Rejection> {
    let encoding = headers.get(CONTENT_ENCODING);
    if encoding.is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Ok(());
    }
    let message = "the body came compressed; send plain JSON, without `content-encoding`";
    Err(about_header(&CONTENT_ENCODING, message))
}

fn about_header(header: &HeaderName, message: &str) -> Rejection {
    let mut rejection = reject(ErrorType::InvalidRequest, message);
    rejection.param = Some(header.as_str().to_owned());
    rejection
}

async fn read_body(body: Incoming, most: usize) -> Result<Bytes, Rejection> {
    let mut collecting = pin!(Limited::new(body, most).collect());
    // Most bodies came with their head: those need no timer.
    let there = poll_fn(|cx| Poll::Ready(collecting.as_mut().poll(cx))).await;
    let collected = match there {
        Poll::Ready(collected) => Ok(collected),
        Poll::Pending => tokio::time::timeout(BODY_TIMEOUT, collecting).await,
    };
    match collected {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large(most)),
        Ok(Err(_)) => Err(reject(ErrorType::InvalidRequest, "the request's body broke off")),
        Err(_) => Err(arriving::late()),
    }
}

fn too_large(most: usize) -> Rejection {
    let message = format!("the body is larger than {most} bytes; shorten the prompt");
    reject(ErrorType::PayloadTooLarge, message)
}

fn no_such_route() -> Rejection {
    reject(
        ErrorType::NotFound,
        "no such route; the API begins at /v1, for instance /v1/chat/completions",
    )
}

fn not_allowed(method: &'static str) -> Response<Payload> {
    let rejection = reject(ErrorType::MethodNotAllowed, format!("this route takes {method}"));
    let mut response = error_response(&rejection);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(method));
    response
}

fn json_response(status: StatusCode, body: Bytes) -> Response<Payload> {
    let mut response = Response::new(Payload::full(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(RESPONSE_HEADERS);
    headers.insert(CONTENT_TYPE, JSON);
    response
}

fn stream_response(payload: Payload) -> Response<Payload> {
    let mut response = Response::new(payload);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// An error as a response. SDKs retry by status alone unless told otherwise: our own tries are used up, so
/// another one soon would only add load.
fn error_response(error: &ErrorBody) -> Response<Payload> {
    let row = error.error_type.row();
    let status = StatusCode::from_u16(row.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json_response(status, error.to_json());
    let headers = response.headers_mut();
    match row.status {
        429 | 503 => {
            let wait = error.availability.as_ref().and_then(|a| a.retry_after_ms);
            let wait = wait.unwrap_or(DEFAULT_RETRY_AFTER_MS);
            headers.insert(RETRY_AFTER_MS, HeaderValue::from(wait));
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.div_ceil(1000)));
        }
        _ => {
            headers.insert(X_SHOULD_RETRY, HeaderValue::from_static("false"));
        }
    }
    response
}

/// What a call's response is known by.
struct Ids {
    generation: HeaderValue,
    request: HeaderValue,
    decided: Decided,
}

impl Ids {
    fn of(router: &Router, record: &OpenRecord, request_id: Option<&str>) -> Self {
        let own = record.read(|r| {
            HeaderValue::from_str(
                r.generation.hyphenated().encode_lower(&mut Uuid::encode_buffer()),
            )
        });
        let generation = own.and_then(Result::ok).unwrap_or(HeaderValue::from_static("unknown"));
        let request = request_id.and_then(|id| HeaderValue::from_str(id).ok());
        Self {
            request: request.unwrap_or_else(|| generation.clone()),
            generation,
            decided: Decided::of(router),
        }
    }

    fn generation_text(&self) -> String {
        self.generation.to_str().unwrap_or_default().to_owned()
    }
}

fn identified(router: &Router, mut response: Response<Payload>, ids: Ids) -> Response<Payload> {
    let headers = response.headers_mut();
    headers.insert(X_GENERATION_ID, ids.generation);
    headers.insert(X_REQUEST_ID, ids.request);
    headers.insert(X_POLICY, ids.decided.policy_header(router));
    response
}
