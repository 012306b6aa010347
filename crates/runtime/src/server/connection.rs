//! One connection from the first byte to the last: handshake, protocol, requests, farewell.
//! It does not accept and does not decide when to end: it is told through two switches.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::TryFutureExt;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::gathered::{Outgoing, gather};
use super::metered::Metered;
use super::{Handler, Peer, ServerLimits, ServerOptions, Strangers};
use crate::tls::ServerTls;
use crate::{BoxError, Shutdown, Spawner};

/// What an HTTP/2 client with prior knowledge sends first (RFC 9113, section 3.4).
pub(super) const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The pause before looking again at a preface that came in pieces. Practically none does. It doubles each time:
/// thousands that send one byte and wait cost next to nothing.
const PREFACE_PAUSE: Duration = Duration::from_millis(5);

/// Streams that a peer opened and reset before they were looked at: as many as it may have open,
/// so that a client that gives up on all its calls at once is not taken for an attacker.
const MAX_PENDING_RESETS: usize = 100;
/// Streams that were reset because the peer broke the protocol, before the connection is closed.
const MAX_ERROR_RESETS: usize = 64;
/// Bytes of a request body that a peer may send ahead on one stream.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// Bytes of request bodies that a peer may send ahead on one connection.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Bytes of a response that wait for a slow reader of one stream.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Serves connections, all with the same settings.
pub(super) struct Connector<M> {
    make_service: M,
    http1: http1::Builder,
    http2: http2::Builder<Spawner>,
    tls: Option<Arc<ServerTls>>,
    handshake_timeout: Duration,
    stall_timeout: Duration,
    age_grace: Duration,
    spawner: Spawner,
    strangers: Strangers,
    leaving: Shutdown,
    cut: Shutdown,
}

enum Protocol {
    Http1,
    Http2,
}

impl<M> Connector<M> {
    /// `leaving` is thrown when the server will soon stop.
    pub(super) fn new(options: ServerOptions, make_service: M, leaving: Shutdown) -> Self {
        let ServerOptions { limits, tls, spawner, strangers, .. } = options;
        Self {
            make_service,
            http1: http1_builder(&limits),
            http2: http2_builder(&limits, spawner.clone()),
            tls,
            handshake_timeout: limits.handshake_timeout,
            stall_timeout: limits.stall_timeout,
            age_grace: limits.connection_age_grace,
            spawner,
            strangers,
            leaving,
            cut: Shutdown::new(),
        }
    }

    pub(super) fn spawner(&self) -> &Spawner {
        &self.spawner
    }

    /// Drops every connection that is still there.
    pub(super) fn cut(&self) {
        self.cut.trigger();
    }

    /// Serves one connection to its end. `retire` asks it to finish.
    pub(super) async fn run<S>(
        self: Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        retire: Shutdown,
    ) where
        M: Fn(&Peer) -> S,
        S: Handler,
    {
        let served = async {
            // Small writes leave at once: waiting for more costs a reader up to 40 ms.
            stream.set_nodelay(true)?;
            // The kernel counts also while a peer keeps its window shut, which no timer up here sees.
            SockRef::from(&stream).set_tcp_user_timeout(Some(self.stall_timeout))?;
            match &self.tls {
                None => self.run_plain(stream, address, &retire).await,
                // Boxed: a task is as large as its largest state, and a handshake is large.
                Some(tls) => Box::pin(self.run_tls(stream, address, tls, &retire)).await,
            }
        };
        if let Err(error) = served.await {
            tracing::debug!(peer = %address, %error, "connection ended");
        }
    }

    async fn run_plain<S>(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        retire: &Shutdown,
    ) -> Result<(), BoxError>
    where
        M: Fn(&Peer) -> S,
        S: Handler,
    {
        let Some(protocol) = self.start(detect(&stream), retire).await? else { return Ok(()) };
        let service = (self.make_service)(&Peer { address, certificate: None });
        self.speak(protocol, stream, service, retire).await
    }

    async fn run_tls<S>(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        tls: &ServerTls,
        retire: &Shutdown,
    ) -> Result<(), BoxError>
    where
        M: Fn(&Peer) -> S,
        S: Handler,
    {
        let handshake = TlsAcceptor::from(tls.current()).accept(stream);
        let opened = self.start(handshake, retire).await;
        let opened = opened.inspect_err(|error| self.strangers.refused(address, error));
        let Some(stream) = opened? else { return Ok(()) };
        let (protocol, certificate) = negotiated(&stream);
        let service = (self.make_service)(&Peer { address, certificate });
        self.speak(protocol, stream, service, retire).await
    }

    /// The opening of a connection, within its time. `None` when the server ends meanwhile.
    async fn start<T>(
        &self,
        opening: impl Future<Output = io::Result<T>>,
        retire: &Shutdown,
    ) -> Result<Option<T>, BoxError> {
        tokio::select! {
            opened = tokio::time::timeout(self.handshake_timeout, opening) => Ok(Some(opened??)),
            () = retire.wait() => Ok(None),
        }
    }

    async fn speak<I, S>(
        &self,
        protocol: Protocol,
        io: I,
        service: S,
        retire: &Shutdown,
    ) -> Result<(), BoxError>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Handler,
    {
        match protocol {
            Protocol::Http1 => {
                let leaving = self.leaving.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let leaving = leaving.clone();
                    service.call(request).map_ok(move |answer| farewell(answer, &leaving))
                });
                let connection = Box::pin(self.http1.serve_connection(TokioIo::new(io), service));
                self.finish(Turns::new(connection, None::<Outgoing<I>>), retire).await
            }
            Protocol::Http2 => {
                // Boxed: a stream's future is moved ten times on its way into its task, all nine kilobytes of it.
                let service =
                    service_fn(move |request: Request<Incoming>| Box::pin(service.call(request)));
                let (io, outgoing) = gather(io);
                let io = TokioIo::new(Metered::new(io));
                let connection = Box::pin(self.http2.serve_connection(io, service));
                self.finish(Turns::new(connection, Some(outgoing)), retire).await
            }
        }
    }

    /// Drives a connection; once retired it may finish what it has, within its grace and unless it is cut.
    async fn finish<C, I>(&self, mut turns: Turns<C, I>, retire: &Shutdown) -> Result<(), BoxError>
    where
        Turns<C, I>: Future<Output = Result<(), BoxError>> + Unpin,
        C: GracefulConnection,
    {
        tokio::select! {
            biased;
            ended = &mut turns => return ended,
            () = retire.wait() => {}
        }
        turns.last_calls();
        tokio::select! {
            biased;
            ended = &mut turns => ended,
            () = self.cut.wait() => Ok(()),
            () = tokio::time::sleep(self.age_grace) => Ok(()),
        }
    }
}

/// A connection's turns. At the end of each one, what it wrote is sent.
///
/// It is boxed, once: as a part of the task it would be kept several times over, one copy for each function that it
/// passes through.
struct Turns<C: Future, I> {
    connection: Pin<Box<C>>,
    /// Where what it wrote waits, if it does.
    outgoing: Option<Outgoing<I>>,
    /// What the connection ended with, while its last words are on their way.
    ended: Option<C::Output>,
}

impl<C: GracefulConnection, I> Turns<C, I> {
    fn new(connection: Pin<Box<C>>, outgoing: Option<Outgoing<I>>) -> Self {
        Self { connection, outgoing, ended: None }
    }

    /// Lets the connection finish what it has, and take nothing more.
    fn last_calls(&mut self) {
        if self.ended.is_none() {
            self.connection.as_mut().graceful_shutdown();
        }
    }
}

impl<C, I> Future for Turns<C, I>
where
    C: GracefulConnection,
    C::Error: Into<BoxError> + Unpin,
    I: AsyncWrite + Unpin,
{
    type Output = Result<(), BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.ended.is_none()
            && let Poll::Ready(ended) = this.connection.as_mut().poll(cx)
        {
            this.ended = Some(ended);
        }
        if let Some(outgoing) = &mut this.outgoing {
            ready!(outgoing.poll_send(cx))?;
        }
        match this.ended.take() {
            Some(ended) => Poll::Ready(ended.map_err(Into::into)),
            None => Poll::Pending,
        }
    }
}

/// Tells a caller over HTTP/1.1 with its answer that the next call needs another connection, from when the server
/// is asked to end: closed later, between two answers, the connection could swallow a call that is on its way.
/// HTTP/2 has a frame for that.
fn farewell<B>(mut answer: Response<B>, leaving: &Shutdown) -> Response<B> {
    if leaving.is_triggered() {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

fn http1_builder(limits: &ServerLimits) -> http1::Builder {
    let mut http1 = http1::Builder::new();
    // The number of fields is left at hyper's 100: setting it moves them from stack to heap.
    http1
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout)
        .max_header_size(usize::try_from(limits.max_header_bytes).unwrap_or(usize::MAX))
        .max_buf_size(limits.max_buffer_bytes.max(8 * 1024))
        // A client that leaves is noticed at once, also while it waits for its answer.
        .half_close(false)
        .writev(true);
    http1
}

fn http2_builder(limits: &ServerLimits, spawner: Spawner) -> http2::Builder<Spawner> {
    let mut http2 = http2::Builder::new(spawner);
    http2
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.keep_alive_interval)
        .keep_alive_timeout(limits.keep_alive_timeout)
        .max_concurrent_streams(limits.max_concurrent_streams)
        .max_header_list_size(limits.max_header_bytes)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_ERROR_RESETS)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES);
    http2
}

/// Looks at the first bytes without taking them, so that no layer has to put them back.
async fn detect(stream: &TcpStream) -> io::Result<Protocol> {
    let mut first = [0; HTTP2_PREFACE.len()];
    let mut pause = PREFACE_PAUSE;
    loop {
        let length = stream.peek(&mut first).await?;
        let seen = first.get(..length).unwrap_or_default();
        if seen.is_empty() || !HTTP2_PREFACE.starts_with(seen) {
            return Ok(Protocol::Http1);
        }
        if length == HTTP2_PREFACE.len() {
            return Ok(Protocol::Http2);
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

/// What the handshake settled: the protocol (ALPN) and the client's certificate.
fn negotiated(
    stream: &TlsStream<TcpStream>,
) -> (Protocol, Option<rustls::pki_types::CertificateDer<'static>>) {
    let (_, session) = stream.get_ref();
    let protocol = match session.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    let chain = session.peer_certificates().unwrap_or_default();
    (protocol, chain.first().map(|certificate| certificate.clone().into_owned()))
}
