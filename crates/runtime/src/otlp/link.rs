//! The connection to a collector: made when there is something to send, kept while it works, and polled only
//! while something is sent, so that nothing has to be spawned for it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HOST, HeaderName, RETRY_AFTER, TE, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::message::ExportResponse;
use super::{Collector, CollectorTls, Protocol};
use crate::BoxError;
use crate::tls;

/// A collector that takes longer over a batch, the connection included, does not answer.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// The longest answer that is read: a collector has little to say.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// gRPC's frame before a message: a flag for compression, and the length.
const GRPC_HEAD_BYTES: usize = 5;
/// Where OTLP/gRPC takes spans.
const GRPC_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS: what OTLP
/// says may pass.
const GRPC_PASSING: [&[u8]; 7] = [b"1", b"4", b"8", b"10", b"11", b"14", b"15"];

/// Why a batch was not taken.
pub(super) enum Trouble {
    /// It may pass.
    Passing {
        /// What happened.
        why: String,
        /// How long the collector asks to wait.
        wait: Option<Duration>,
    },
    /// Another try would come to the same.
    Refused(String),
}

impl Trouble {
    fn passing(why: impl ToString) -> Self {
        Self::Passing { why: why.to_string(), wait: None }
    }
}

/// The way to a collector.
pub(super) struct Link {
    collector: Collector,
    connection: Option<Connection>,
}

type Answer = (http::response::Parts, Collected<Bytes>);

impl Link {
    pub(super) fn new(collector: Collector) -> Self {
        Self { collector, connection: None }
    }

    /// Sends a batch; how many of its spans the collector rejected.
    pub(super) async fn send(&mut self, batch: &Bytes) -> Result<u64, Trouble> {
        let sent = timeout(SEND_WITHIN, self.exchange(batch)).await;
        let answer = match sent {
            Ok(answer) => answer?,
            Err(_) => {
                self.connection = None;
                return Err(Trouble::passing("it did not answer in time"));
            }
        };
        match self.collector.protocol {
            Protocol::Grpc => grpc_outcome(answer),
            Protocol::HttpProtobuf => http_outcome(answer),
        }
    }

    /// A connection that was kept may have been closed meanwhile: then a new one is tried at once.
    async fn exchange(&mut self, batch: &Bytes) -> Result<Answer, Trouble> {
        if let Some(mut kept) = self.connection.take() {
            let request = self.request(batch).map_err(Trouble::Refused)?;
            if let Ok(answer) = kept.exchange(request).await {
                self.connection = kept.usable();
                return Ok(answer);
            }
        }
        let request = self.request(batch).map_err(Trouble::Refused)?;
        let mut connection = connect(&self.collector).await.map_err(Trouble::passing)?;
        let answer = connection.exchange(request).await.map_err(Trouble::passing)?;
        self.connection = connection.usable();
        Ok(answer)
    }

    fn request(&self, batch: &Bytes) -> Result<Request<Full<Bytes>>, String> {
        let Collector { endpoint, protocol, headers, .. } = &self.collector;
        let mut request = Request::new(Full::default());
        *request.method_mut() = Method::POST;
        *request.headers_mut() = headers()?;
        let ours = request.headers_mut();
        let agent = concat!("trunkline/", env!("CARGO_PKG_VERSION"));
        ours.insert(USER_AGENT, HeaderValue::from_static(agent));
        match protocol {
            Protocol::Grpc => {
                ours.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
                ours.insert(TE, HeaderValue::from_static("trailers"));
                let mut parts = endpoint.clone().into_parts();
                parts.path_and_query = Some(http::uri::PathAndQuery::from_static(GRPC_PATH));
                *request.uri_mut() = Uri::from_parts(parts).map_err(|e| e.to_string())?;
                *request.body_mut() = Full::new(framed(batch));
            }
            Protocol::HttpProtobuf => {
                let host = endpoint.authority().map_or("", |authority| authority.as_str());
                ours.insert(HOST, HeaderValue::from_str(host).map_err(|e| e.to_string())?);
                ours.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
                let path = endpoint.path_and_query().cloned();
                *request.uri_mut() = path.map(Uri::from).unwrap_or_default();
                *request.body_mut() = Full::new(batch.clone());
            }
        }
        Ok(request)
    }
}

async fn connect(collector: &Collector) -> Result<Connection, BoxError> {
    let Collector { endpoint, protocol, tls, .. } = collector;
    let secure = endpoint.scheme_str() == Some("https");
    let host = endpoint.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = endpoint.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let tcp = TcpStream::connect((host, port)).await?;
    tcp.set_nodelay(true)?;
    if !secure {
        return Connection::new(tcp, *protocol).await;
    }
    let config = Arc::new(client_config(tls, *protocol)?);
    let name = ServerName::try_from(host.to_owned())?;
    let stream = TlsConnector::from(config).connect(name, tcp).await?;
    Connection::new(stream, *protocol).await
}

fn framed(batch: &Bytes) -> Bytes {
    let mut body = BytesMut::with_capacity(GRPC_HEAD_BYTES + batch.len());
    body.put_u8(0);
    body.put_u32(u32::try_from(batch.len()).unwrap_or(u32::MAX));
    body.put_slice(batch);
    body.freeze()
}

/// From the files as they are now: a certificate that was renewed is used for the next connection.
fn client_config(files: &CollectorTls, protocol: Protocol) -> Result<ClientConfig, BoxError> {
    let mut config = tls::client_config(files.ca.clone(), files.identity.clone(), trusted)?;
    config.alpn_protocols = match protocol {
        Protocol::Grpc => vec![b"h2".to_vec()],
        Protocol::HttpProtobuf => vec![b"http/1.1".to_vec()],
    };
    Ok(config)
}

/// The system's authorities.
fn trusted() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// A connection, and the work that keeps it going.
struct Connection {
    sender: Sender,
    driver: Pin<Box<dyn Future<Output = Result<(), hyper::Error>> + Send>>,
    ended: bool,
}

enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    async fn new<S>(stream: S, protocol: Protocol) -> Result<Self, BoxError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stream = TokioIo::new(stream);
        match protocol {
            Protocol::Grpc => {
                let (sender, driver) = http2::handshake(TokioExecutor::new(), stream).await?;
                let (sender, driver) = (Sender::Two(sender), Box::pin(driver));
                Ok(Self { sender, driver, ended: false })
            }
            Protocol::HttpProtobuf => {
                let (sender, driver) = http1::handshake(stream).await?;
                let (sender, driver) = (Sender::One(sender), Box::pin(driver));
                Ok(Self { sender, driver, ended: false })
            }
        }
    }

    /// Sends a request and reads its answer to the end.
    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, BoxError> {
        let sender = &mut self.sender;
        let mut answer = Box::pin(async move {
            let response = match sender {
                Sender::One(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await?
                }
                Sender::Two(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await?
                }
            };
            let (head, body): (_, Incoming) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?;
            Ok::<Answer, BoxError>((head, body))
        });
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            _ = &mut self.driver => self.ended = true,
        }
        // The connection is over, and whether the answer came before shows in what was read of it.
        answer.await
    }

    /// The connection, if something more may be sent on it.
    fn usable(self) -> Option<Self> {
        (!self.ended).then_some(self)
    }
}

fn http_outcome((head, body): Answer) -> Result<u64, Trouble> {
    let why = || format!("it answered {}", head.status);
    match head.status {
        status if status.is_success() => Ok(rejected(&body.to_bytes())),
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            let wait = head.headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
            Err(Trouble::Passing { why: why(), wait: wait.map(Duration::from_secs) })
        }
        _ => Err(Trouble::Refused(why())),
    }
}

fn grpc_outcome((head, body): Answer) -> Result<u64, Trouble> {
    let in_trailers = body.trailers().and_then(|trailers| trailers.get(GRPC_STATUS));
    let status = in_trailers.or_else(|| head.headers.get(GRPC_STATUS)).cloned();
    match status.as_ref().map(HeaderValue::as_bytes) {
        Some(b"0") => {
            let message = body.to_bytes();
            Ok(rejected(message.get(GRPC_HEAD_BYTES..).unwrap_or_default()))
        }
        Some(code) => {
            let why = format!("it answered with gRPC status {}", String::from_utf8_lossy(code));
            if GRPC_PASSING.contains(&code) {
                Err(Trouble::passing(why))
            } else {
                Err(Trouble::Refused(why))
            }
        }
        None if head.status.is_success() => {
            Err(Trouble::passing("its answer broke off before its status"))
        }
        None => Err(Trouble::Refused(format!("it answered {}, which is no gRPC", head.status))),
    }
}

/// How many spans an answer says were rejected; what cannot be read says none.
fn rejected(answer: &[u8]) -> u64 {
    let answer = ExportResponse::decode(answer).unwrap_or_default();
    let partial = answer.partial_success.unwrap_or_default();
    if partial.rejected_spans > 0 {
        tracing::warn!(spans = partial.rejected_spans, "the collector rejected spans");
    }
    u64::try_from(partial.rejected_spans).unwrap_or(0)
}
