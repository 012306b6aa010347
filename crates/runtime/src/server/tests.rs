//! Promises of the accept loop, kept over real sockets. Where a limit must pass, time is paused:
//! it jumps to the next timer as soon as nobody has anything left to do.

use std::convert::Infallible;
use std::pin::Pin;

use bytes::Bytes;
use http::{StatusCode, Version};
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::*;
use crate::drain::Drain;
use crate::tls::TlsFiles;

type Answer = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send>>;

/// More than the system's buffers of both sides hold.
const MUCH: usize = 16 << 20;

/// Answers `/` at once with what it saw, `/much` with many bytes; other paths never, and tells when it is dropped.
#[derive(Clone)]
struct Echo {
    peer: Peer,
    started: mpsc::UnboundedSender<()>,
    dropped: mpsc::UnboundedSender<()>,
    leave: Arc<Semaphore>,
}

struct TellDrop(mpsc::UnboundedSender<()>);

impl Drop for TellDrop {
    fn drop(&mut self) {
        self.0.send(()).ok();
    }
}

impl Service<Request<Incoming>> for Echo {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let told = TellDrop(self.dropped.clone());
        let (started, leave) = (self.started.clone(), Arc::clone(&self.leave));
        let certified = self.peer.certificate.is_some();
        Box::pin(async move {
            started.send(()).ok();
            if request.uri().path() == "/much" {
                return Ok(Response::new(Full::new(vec![0; MUCH].into())));
            }
            if request.uri().path() != "/" {
                leave.acquire().await.unwrap().forget();
            }
            drop(told);
            let text = format!("{:?} certified={certified}", request.version());
            Ok(Response::new(Full::new(text.into())))
        })
    }
}

struct Running {
    address: SocketAddr,
    shutdown: Shutdown,
    ended: JoinHandle<Result<(), BoxError>>,
    started: mpsc::UnboundedReceiver<()>,
    dropped: mpsc::UnboundedReceiver<()>,
    leave: Arc<Semaphore>,
    drain: DrainTimes,
    spawner: Spawner,
}

async fn start(limits: ServerLimits, tls: Option<Arc<ServerTls>>) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (start_teller, started) = mpsc::unbounded_channel();
    let (drop_teller, dropped) = mpsc::unbounded_channel();
    let leave = Arc::new(Semaphore::new(0));
    let for_service = Arc::clone(&leave);
    let make = move |peer: &Peer| Echo {
        peer: peer.clone(),
        started: start_teller.clone(),
        dropped: drop_teller.clone(),
        leave: Arc::clone(&for_service),
    };
    let shutdown = Shutdown::new();
    let (spawner, drain) = (Spawner::new(), DrainTimes::default());
    let options = ServerOptions {
        limits,
        drain: drain.clone(),
        tls,
        spawner: spawner.clone(),
        ..ServerOptions::default()
    };
    let ended = tokio::task::spawn_local(serve(listener, options, make, shutdown.clone()));
    Running { address, shutdown, ended, started, dropped, leave, drain, spawner }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn http1(&self) -> http1::SendRequest<Empty<Bytes>> {
        http1_over(self.connect().await).await
    }

    async fn http2(&self) -> http2::SendRequest<Empty<Bytes>> {
        http2_over(self.connect().await).await
    }

    async fn end(self) {
        self.shutdown.trigger();
        self.ended.await.unwrap().unwrap();
    }
}

async fn http1_over<I>(io: I) -> http1::SendRequest<Empty<Bytes>>
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
    tokio::task::spawn_local(connection);
    sender
}

async fn http2_over<I>(io: I) -> http2::SendRequest<Empty<Bytes>>
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http2::handshake(Spawner::new(), TokioIo::new(io)).await.unwrap();
    tokio::task::spawn_local(connection);
    sender
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::builder().uri(format!("http://test{path}")).body(Empty::new()).unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// Everything that the server sends until it closes.
async fn until_closed(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset after the last byte is a close, too.
    stream.read_to_end(&mut bytes).await.ok();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test(flavor = "local")]
async fn one_port_speaks_both_protocols_and_keeps_connections() {
    let server = start(ServerLimits::default(), None).await;
    let (mut one, mut two) = (server.http1().await, server.http2().await);
    for _ in 0..2 {
        one.ready().await.unwrap();
        let answer = one.send_request(get("/")).await.unwrap();
        assert_eq!(text(answer).await, "HTTP/1.1 certified=false");
        let answer = two.send_request(get("/")).await.unwrap();
        assert_eq!(answer.version(), Version::HTTP_2);
        assert_eq!(text(answer).await, "HTTP/2.0 certified=false");
    }
    server.end().await;
}

#[tokio::test(flavor = "local")]
async fn an_http2_preface_may_come_in_pieces() {
    let server = start(ServerLimits::default(), None).await;
    let (near, far) = tokio::io::duplex(64 * 1024);
    let mut socket = server.connect().await;
    socket.set_nodelay(true).unwrap();
    tokio::task::spawn_local(async move {
        let mut far = far;
        let mut preface = [0; 24];
        far.read_exact(&mut preface).await.unwrap();
        for byte in preface {
            socket.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        tokio::io::copy_bidirectional(&mut far, &mut socket).await.ok();
    });
    let mut client = http2_over(near).await;
    let answer = client.send_request(get("/")).await.unwrap();
    assert_eq!(text(answer).await, "HTTP/2.0 certified=false");
    server.end().await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_client_that_says_nothing_is_cut() {
    let server = start(ServerLimits::default(), None).await;
    assert_eq!(until_closed(server.connect().await).await, "");
    let mut half_preface = server.connect().await;
    half_preface.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    assert_eq!(until_closed(half_preface).await, "");
    server.end().await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_client_that_never_ends_its_head_is_cut() {
    let server = start(ServerLimits::default(), None).await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nhost: te").await.unwrap();
    assert_eq!(until_closed(slow).await, "");
    server.end().await;
}

#[tokio::test(flavor = "local")]
async fn heads_beyond_the_limits_are_refused() {
    let server = start(ServerLimits::default(), None).await;
    let long = format!("x: {}\r\n", "y".repeat(17 * 1024));
    for fields in [long, "x: y\r\n".repeat(101)] {
        let mut client = server.connect().await;
        let head = format!("GET / HTTP/1.1\r\nhost: test\r\n{fields}\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        let answer = until_closed(client).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    server.end().await;
}

#[tokio::test(flavor = "local")]
async fn a_client_that_leaves_stops_the_work_for_it() {
    let mut server = start(ServerLimits::default(), None).await;
    let mut one = server.connect().await;
    one.write_all(b"GET /wait HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    server.started.recv().await.unwrap();
    drop(one);
    server.dropped.recv().await.unwrap();

    let mut two = server.http2().await;
    let call = tokio::task::spawn_local(two.send_request(get("/wait")));
    server.started.recv().await.unwrap();
    call.abort();
    server.dropped.recv().await.unwrap();
    server.end().await;
}

#[tokio::test(flavor = "local")]
async fn a_drain_lets_calls_finish_and_takes_no_new_connection() {
    let mut server = start(ServerLimits::default(), None).await;
    let idle = server.http1().await;
    let (mut one, mut two) = (server.http1().await, server.http2().await);
    let first = tokio::task::spawn_local(one.send_request(get("/wait")));
    let second = tokio::task::spawn_local(two.send_request(get("/wait")));
    server.started.recv().await.unwrap();
    server.started.recv().await.unwrap();
    server.shutdown.trigger();
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    while !idle.is_closed() {
        tokio::task::yield_now().await;
    }
    assert!(!server.ended.is_finished());
    server.leave.add_permits(2);
    let first = first.await.unwrap().unwrap();
    assert_eq!(first.headers()["connection"], "close");
    assert_eq!(text(first).await, "HTTP/1.1 certified=false");
    assert_eq!(second.await.unwrap().unwrap().status(), StatusCode::OK);
    server.end().await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn calls_that_outlive_the_grace_period_are_dropped() {
    let mut server = start(ServerLimits::default(), None).await;
    let (mut one, mut two) = (server.http1().await, server.http2().await);
    let first = tokio::task::spawn_local(one.send_request(get("/wait")));
    let second = tokio::task::spawn_local(two.send_request(get("/wait")));
    server.started.recv().await.unwrap();
    server.started.recv().await.unwrap();
    let began = tokio::time::Instant::now();
    server.shutdown.trigger();
    assert!(first.await.unwrap().is_err());
    assert!(second.await.unwrap().is_err());
    server.dropped.recv().await.unwrap();
    server.dropped.recv().await.unwrap();
    server.ended.await.unwrap().unwrap();
    assert!(began.elapsed() >= Drain::default().grace);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn the_delay_before_a_drain_still_accepts_and_sends_callers_elsewhere() {
    let server = start(ServerLimits::default(), None).await;
    // As when the configuration is read again: the server looks when it is told to leave.
    server.drain.set(Drain { delay: Duration::from_secs(5), ..Drain::default() });
    let began = tokio::time::Instant::now();
    let (mut early, mut streams) = (server.http1().await, server.http2().await);
    let answer = early.send_request(get("/")).await.unwrap();
    assert!(!answer.headers().contains_key("connection"));
    assert_eq!(text(answer).await, "HTTP/1.1 certified=false");
    server.shutdown.trigger();
    let mut late = server.http1().await;
    for caller in [&mut early, &mut late] {
        let answer = caller.send_request(get("/")).await.unwrap();
        assert_eq!(
            (answer.status(), &answer.headers()["connection"]),
            (StatusCode::OK, &"close".parse().unwrap())
        );
    }
    let answer = streams.send_request(get("/")).await.unwrap();
    assert_eq!((answer.status(), answer.headers().get("connection")), (StatusCode::OK, None));
    drop(streams);
    server.ended.await.unwrap().unwrap();
    assert!(began.elapsed() >= Duration::from_secs(5));
}

#[tokio::test(flavor = "local")]
async fn connections_beyond_the_limit_wait_for_room() {
    let limits = ServerLimits { max_connections: 1, ..ServerLimits::default() };
    let mut server = start(limits, None).await;
    let mut first = server.http1().await;
    let waiting = tokio::task::spawn_local(first.send_request(get("/wait")));
    server.started.recv().await.unwrap();
    let mut second = server.http1().await;
    let call = tokio::task::spawn_local(async move { second.send_request(get("/")).await });
    server.leave.add_permits(1);
    assert_eq!(waiting.await.unwrap().unwrap().status(), StatusCode::OK);
    assert!(!call.is_finished() && server.started.is_empty());
    drop(first);
    assert_eq!(call.await.unwrap().unwrap().status(), StatusCode::OK);
    server.end().await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_old_connection_is_told_to_finish() {
    let age = Duration::from_secs(40);
    let limits = ServerLimits { max_connection_age: Some(age), ..ServerLimits::default() };
    let server = start(limits, None).await;
    let began = tokio::time::Instant::now();
    let mut client = server.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    let answer = until_closed(client).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    // The bound below the header timeout shows that age, not idleness, ended it.
    assert!(began.elapsed() < ServerLimits::default().header_read_timeout);
    assert!(began.elapsed() >= age * 8 / 10);
    server.end().await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_call_that_outlives_its_old_connection_is_dropped_at_last() {
    let age = Duration::from_secs(40);
    let limits = ServerLimits { max_connection_age: Some(age), ..ServerLimits::default() };
    let grace = limits.connection_age_grace;
    let mut server = start(limits, None).await;
    let (mut one, mut two) = (server.http1().await, server.http2().await);
    let began = tokio::time::Instant::now();
    let first = tokio::task::spawn_local(one.send_request(get("/wait")));
    let second = tokio::task::spawn_local(two.send_request(get("/wait")));
    assert!(first.await.unwrap().is_err());
    assert!(second.await.unwrap().is_err());
    assert!(began.elapsed() >= grace, "{:?}", began.elapsed());
    server.dropped.recv().await.unwrap();
    server.dropped.recv().await.unwrap();
    server.end().await;
}

#[tokio::test(flavor = "local")]
async fn a_peer_that_takes_nothing_is_dropped() {
    let limits =
        ServerLimits { stall_timeout: Duration::from_millis(300), ..ServerLimits::default() };
    let mut server = start(limits, None).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    let mut deaf = socket.connect(server.address).await.unwrap();
    deaf.write_all(b"GET /much HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    server.started.recv().await.unwrap();
    server.spawner.idle().await;
    let mut rest = Vec::new();
    let read = tokio::io::copy(&mut deaf, &mut rest).await;
    assert!(read.is_err() || rest.len() < MUCH, "{} bytes came", rest.len());
    server.end().await;
}

/// An authority, and the files of a server and of a client that it signed.
struct Identities {
    files: TlsFiles,
    client: rustls::ClientConfig,
    anonymous: rustls::ClientConfig,
}

fn identities(folder: &std::path::Path) -> Identities {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["authority.test".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let issue = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &issuer).unwrap(), key)
    };
    let (server, server_key) = issue("server.test");
    let (client, client_key) = issue("client.test");
    let write = |name: &str, pem: String| {
        std::fs::write(folder.join(name), pem).unwrap();
        folder.join(name)
    };
    let files = TlsFiles {
        certificate: write("tls.crt", server.pem()),
        key: write("tls.key", server_key.serialize_pem()),
        client_ca: Some(write("ca.crt", authority.pem())),
    };
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let trusting = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let client_key = PrivateKeyDer::from_pem_slice(client_key.serialize_pem().as_bytes()).unwrap();
    let known =
        trusting.clone().with_client_auth_cert(vec![client.der().clone()], client_key).unwrap();
    Identities { files, client: known, anonymous: trusting.with_no_client_auth() }
}

async fn tls_connect(
    server: &Running,
    mut config: rustls::ClientConfig,
    protocol: &[u8],
) -> tokio_rustls::client::TlsStream<TcpStream> {
    config.alpn_protocols = vec![protocol.to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("server.test").unwrap();
    connector.connect(name, server.connect().await).await.unwrap()
}

#[tokio::test(flavor = "local")]
async fn tls_speaks_both_protocols_and_knows_its_peer() {
    let folder = tempfile::tempdir().unwrap();
    let Identities { files, client, anonymous } = identities(folder.path());
    let server =
        start(ServerLimits::default(), Some(ServerTls::load("test", files).unwrap())).await;
    let mut two = http2_over(tls_connect(&server, client.clone(), b"h2").await).await;
    let answer = two.send_request(get("/")).await.unwrap();
    assert_eq!(text(answer).await, "HTTP/2.0 certified=true");
    let mut one = http1_over(tls_connect(&server, client, b"http/1.1").await).await;
    let answer = one.send_request(get("/")).await.unwrap();
    assert_eq!(text(answer).await, "HTTP/1.1 certified=true");
    // TLS 1.3 lets the client finish first; the refusal comes with the first read.
    let mut stranger = tls_connect(&server, anonymous, b"http/1.1").await;
    assert!(stranger.read_u8().await.is_err());
    server.end().await;
}

#[tokio::test(flavor = "local")]
async fn a_caller_who_only_connected_does_not_hold_up_the_drain() {
    let server = start(ServerLimits::default(), None).await;
    let silent = server.connect().await;
    // A second call on another connection shows that the first one was accepted before it.
    let mut client = server.http1().await;
    client.send_request(get("/")).await.unwrap();
    let (done, end) = oneshot::channel();
    tokio::task::spawn_local(async move {
        server.end().await;
        done.send(()).ok();
    });
    end.await.unwrap();
    assert_eq!(until_closed(silent).await, "");
}

#[test]
fn only_the_peers_own_faults_are_not_worth_a_pause() {
    assert!(is_about_one_peer(&io::ErrorKind::ConnectionAborted.into()));
    // EMFILE, by its Linux number: the process has no descriptor left.
    assert!(!is_about_one_peer(&io::Error::from_raw_os_error(24)));
}
