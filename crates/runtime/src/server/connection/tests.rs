//! What is an offence, and what becomes of the next connection after one. Nothing here is true only on a fast
//! machine: no clock is paused, for one that jumps lets offences be forgotten.

use std::convert::Infallible;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

mod order;

const CALL: &[u8] = b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
const ANSWER: &[u8] = b"well";
/// A head of HTTP/2 without dynamic parts: GET, http, the path / and an authority.
const HEAD: [u8; 8] = [0x82, 0x86, 0x84, 0x41, 0x03, b'a', b'b', b'c'];

/// Serves one connection after the other; every call has this answer.
struct Server<M> {
    listener: TcpListener,
    connector: Arc<Connector<M>>,
    calls: Arc<AtomicUsize>,
}

async fn server(status: u16) -> Server<impl Fn(&Peer) -> Counting> {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let make = move |_: &Peer| Counting { calls: Arc::clone(&counted), status };
    let connector = Arc::new(Connector::new(ServerOptions::default(), make, Shutdown::new()));
    Server { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), connector, calls }
}

#[derive(Clone)]
struct Counting {
    calls: Arc<AtomicUsize>,
    status: u16,
}

impl hyper::service::Service<Request<Incoming>> for Counting {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn call(&self, _: Request<Incoming>) -> Self::Future {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let answer =
            Response::builder().status(self.status).body(Full::new(Bytes::from_static(ANSWER)));
        std::future::ready(Ok(answer.unwrap()))
    }
}

/// How a client ends after it sent what it has.
enum Leaves {
    /// It waits for the server to hang up.
    Never,
    /// It says that nothing more will come, and waits.
    Politely,
    /// It is gone, and resets the connection.
    AtOnce,
    /// The same once it has its answer.
    Answered,
}

impl<M: Fn(&Peer) -> Counting> Server<M> {
    /// What the server said over a connection.
    async fn meet(&self, sends: &[u8], leaves: Leaves) -> Vec<u8> {
        let mut client = TcpStream::connect(self.listener.local_addr().unwrap()).await.unwrap();
        let (stream, address) = self.listener.accept().await.unwrap();
        let served = Arc::clone(&self.connector).run(stream, address, Shutdown::new());
        let met = async move {
            // A server that hung up in the middle takes no more.
            client.write_all(sends).await.ok();
            let mut said = Vec::new();
            match leaves {
                Leaves::Never => {}
                Leaves::Politely => client.shutdown().await.unwrap(),
                Leaves::AtOnce | Leaves::Answered => {
                    while matches!(leaves, Leaves::Answered) && !said.ends_with(ANSWER) {
                        client.read_buf(&mut said).await.unwrap();
                    }
                    client.set_zero_linger().unwrap();
                    return said;
                }
            }
            client.read_to_end(&mut said).await.ok();
            said
        };
        tokio::join!(met, served).0
    }

    /// Whether such a connection makes the next ones wait.
    fn noted(&self) -> bool {
        self.connector.offences.any()
    }
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

fn http2(frames: &[Vec<u8>]) -> Vec<u8> {
    [&HTTP2_PREFACE[..], &frame(4, 0, 0, &[]), &frames.concat()].concat()
}

#[tokio::test]
async fn what_breaks_the_rules_is_an_offence() {
    let pings = vec![frame(6, 0, 0, &[7; 8]); 10_000];
    for (why, bytes) in [
        ("no HTTP", b"no HTTP\r\n\r\n".to_vec()),
        ("data on no stream", http2(&[frame(0, 0, 0, &[])])),
        ("a flood of pings", http2(&pings)),
        ("a flood by a caller", http2(&[vec![frame(1, 5, 1, &HEAD)], pings.clone()].concat())),
    ] {
        let server = server(200).await;
        server.meet(&bytes, Leaves::Never).await;
        assert!(server.noted(), "{why}");
    }
    let server = server(401).await;
    server.meet(&http2(&[frame(1, 5, 1, &HEAD)]), Leaves::AtOnce).await;
    assert!(server.noted(), "a stranger who is gone before he is told anything");
}

#[tokio::test]
async fn what_callers_do_is_no_offence() {
    let half = b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 9\r\n\r\n";
    let call = http2(&[frame(1, 5, 1, &HEAD)]);
    for (why, bytes, leaves) in [
        ("a balancer that looks whether somebody listens", &b""[..], Leaves::Politely),
        ("a call", CALL, Leaves::Never),
        ("a caller who gives up", half, Leaves::Answered),
        ("a call over HTTP/2", &call, Leaves::Politely),
        ("a caller over HTTP/2 who is gone", &call, Leaves::Answered),
    ] {
        let server = server(200).await;
        server.meet(bytes, leaves).await;
        assert!(!server.noted(), "{why}");
    }
}

#[tokio::test]
async fn after_offences_a_new_connection_waits_and_is_served() {
    let server = server(200).await;
    let began = Instant::now();
    for _ in 0..1_000 {
        server.connector.offences.add([127, 0, 0, 1].into());
    }
    let said = server.meet(CALL, Leaves::Never).await;
    assert!(said.starts_with(b"HTTP/1.1 200 OK"), "{said:?}");
    // However slow all of this was: the wait does not fade as fast as time passes.
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
}

#[tokio::test]
async fn who_left_during_the_wait_is_not_read() {
    let server = server(200).await;
    for _ in 0..1_000 {
        server.connector.offences.add([127, 0, 0, 1].into());
    }
    assert_eq!(server.meet(CALL, Leaves::Politely).await, b"");
    assert_eq!(server.calls.load(Ordering::Relaxed), 0);
}
