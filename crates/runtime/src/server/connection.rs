//! One connection from the first byte to the last: handshake, protocol, requests, farewell.
//! It does not accept and does not decide when to end: it is told through two switches.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::gathered::{Outgoing, gather};
use super::metered::{Metered, is_flood};
use super::offences::Offences;
use super::queue::{Queue, Resets};
use super::turns::{Turns, Unsent};
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
    streams: u32,
    tls: Option<Arc<ServerTls>>,
    handshake_timeout: Duration,
    stall_timeout: Duration,
    age_grace: Duration,
    spawner: Spawner,
    strangers: Strangers,
    offences: Offences,
    leaving: Shutdown,
    cut: Shutdown,
}

/// One connection.
struct Visit {
    peer: SocketAddr,
    /// Asks it to finish.
    retire: Shutdown,
    /// Whether its leaving without a word is no offence: it had another answer than errors.
    welcome: Arc<AtomicBool>,
}

enum Protocol {
    Http1,
    Http2,
}

impl<M> Connector<M> {
    /// `leaving` is thrown when the server will soon stop.
    pub(super) fn new(options: ServerOptions, make_service: M, leaving: Shutdown) -> Self {
        let ServerOptions { limits, tls, spawner, strangers, defences, .. } = options;
        Self {
            make_service,
            http1: http1_builder(&limits),
            http2: http2_builder(&limits, spawner.clone()),
            streams: limits.max_concurrent_streams,
            tls,
            handshake_timeout: limits.handshake_timeout,
            stall_timeout: limits.stall_timeout,
            age_grace: limits.connection_age_grace,
            spawner,
            strangers,
            offences: Offences::new(defences),
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
        let visit = Visit { peer: address, retire, welcome: Arc::default() };
        let served = async {
            // Small writes leave at once: waiting for more costs a reader up to 40 ms.
            stream.set_nodelay(true)?;
            // The kernel counts also while a peer keeps its window shut, which no timer up here sees.
            SockRef::from(&stream).set_tcp_user_timeout(Some(self.stall_timeout))?;
            match &self.tls {
                None => self.run_plain(stream, &visit).await,
                // Boxed: a task is as large as its largest state, and a handshake is large.
                Some(tls) => Box::pin(self.run_tls(stream, tls, &visit)).await,
            }
        };
        if let Err(error) = served.await {
            if is_offence(&error, &visit) {
                self.offences.add(address.ip());
            }
            tracing::debug!(peer = %address, %error, "connection ended");
        }
    }

    async fn run_plain<S>(&self, stream: TcpStream, visit: &Visit) -> Result<(), BoxError>
    where
        M: Fn(&Peer) -> S,
        S: Handler,
    {
        let opening = async {
            self.wait_for_turn(&stream, visit).await?;
            detect(&stream).await
        };
        let Some(protocol) = self.start(opening, visit).await? else { return Ok(()) };
        let service = (self.make_service)(&Peer { address: visit.peer, certificate: None });
        self.speak(protocol, stream, service, visit).await
    }

    async fn run_tls<S>(
        &self,
        stream: TcpStream,
        tls: &ServerTls,
        visit: &Visit,
    ) -> Result<(), BoxError>
    where
        M: Fn(&Peer) -> S,
        S: Handler,
    {
        let handshake = async {
            self.wait_for_turn(&stream, visit).await?;
            let opened = TlsAcceptor::from(tls.current()).accept(stream).await;
            // Whoever begins one has us sign; what it was that failed is all the same.
            opened.inspect_err(|_| self.offences.add(visit.peer.ip()))
        };
        let opened = self.start(handshake, visit).await;
        let opened = opened.inspect_err(|error| self.strangers.refused(visit.peer, error));
        let Some(stream) = opened? else { return Ok(()) };
        let (protocol, certificate) = negotiated(&stream);
        let service = (self.make_service)(&Peer { address: visit.peer, certificate });
        self.speak(protocol, stream, service, visit).await
    }

    /// Waits for the first byte, and somewhat longer where others from the same address just broke the rules.
    async fn wait_for_turn(&self, stream: &TcpStream, visit: &Visit) -> io::Result<()> {
        if stream.peek(&mut [0]).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let wait = self.offences.wait(visit.peer.ip());
        if wait.is_zero() {
            return Ok(());
        }
        tokio::time::sleep(wait).await;
        // Many a flood is sent and left: nothing of it need be read.
        match stream.ready(Interest::READABLE).await?.is_read_closed() {
            true => Err(io::ErrorKind::UnexpectedEof.into()),
            false => Ok(()),
        }
    }

    /// The opening of a connection, within its time. `None` when the server ends meanwhile.
    async fn start<T>(
        &self,
        opening: impl Future<Output = io::Result<T>>,
        visit: &Visit,
    ) -> Result<Option<T>, BoxError> {
        tokio::select! {
            opened = tokio::time::timeout(self.handshake_timeout, opening) => Ok(Some(opened??)),
            () = visit.retire.wait() => Ok(None),
        }
    }

    async fn speak<I, S>(
        &self,
        protocol: Protocol,
        io: I,
        service: S,
        visit: &Visit,
    ) -> Result<(), BoxError>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Handler,
    {
        match protocol {
            Protocol::Http1 => {
                // One call at a time, and callers who no longer want their answer have no other way than to leave.
                visit.welcome.store(true, Ordering::Relaxed);
                let leaving = self.leaving.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let leaving = leaving.clone();
                    service.call(request).map_ok(move |answer| farewell(answer, &leaving))
                });
                let connection = Box::pin(self.http1.serve_connection(TokioIo::new(io), service));
                self.finish(Turns::new(connection, None::<Outgoing<I>>), &visit.retire).await
            }
            Protocol::Http2 => {
                let welcome = Arc::clone(&visit.welcome);
                // Boxed: a stream's future is moved ten times on its way into its task, all nine kilobytes of it.
                let resets = Resets::default();
                let queue = Queue::new(self.streams, resets.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let welcome = Arc::clone(&welcome);
                    let answer = service.call(request);
                    queue.enter(Box::pin(answer.inspect_ok(move |answer| note(answer, &welcome))))
                });
                let (io, outgoing) = gather(io);
                let io = TokioIo::new(Metered::new(io, self.streams, resets));
                let connection = Box::pin(self.http2.serve_connection(io, service));
                self.finish(Turns::new(connection, Some(outgoing)), &visit.retire).await
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

/// Notes that a caller is one: a flood is answered with errors, if at all.
fn note<B>(answer: &Response<B>, welcome: &AtomicBool) {
    // Over gRPC an error that comes at once is a success whose head says how it went.
    if answer.status().is_success() && !answer.headers().contains_key("grpc-status") {
        welcome.store(true, Ordering::Relaxed);
    }
}

/// Whether a connection ended in a way that is worth a wait: it broke the rules of the protocol, or its peer was gone
/// before it could be told so and had no answer but errors. A peer that is slow is no offender.
fn is_offence(error: &BoxError, visit: &Visit) -> bool {
    let welcome = visit.welcome.load(Ordering::Relaxed);
    if error.is::<Unsent>() {
        return !welcome;
    }
    let Some(error) = error.downcast_ref::<hyper::Error>() else { return false };
    if error.is_timeout() || error.is_user() {
        return false;
    }
    match error.source().map(|source| source.downcast_ref::<io::Error>()) {
        Some(Some(io)) => is_flood(io) || !welcome,
        // What HTTP/2 itself says of a peer.
        Some(None) => true,
        None => error.is_parse(),
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

#[cfg(test)]
mod tests;
