//! In which order the requests of two connections begin. One thread serves both, and what they sent is there before
//! it looks: nothing is left to chance.

use tokio::sync::mpsc;

use super::*;

/// Streams that a connection may have.
const STREAMS: u8 = 100;
/// Requests of a connection that may begin before others have their turn.
const AT_ONCE: usize = 32;

/// Tells whose request begins.
struct Telling {
    whose: SocketAddr,
    told: mpsc::UnboundedSender<SocketAddr>,
}

impl hyper::service::Service<Request<Incoming>> for Telling {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send>>;

    fn call(&self, _: Request<Incoming>) -> Self::Future {
        let (whose, told) = (self.whose, self.told.clone());
        Box::pin(async move {
            told.send(whose).ok();
            Ok(Response::new(Full::new(Bytes::from_static(ANSWER))))
        })
    }
}

/// A connection that had its first answer and is idle.
async fn idle_connections<const N: usize>(
    begun: &mpsc::UnboundedSender<SocketAddr>,
) -> [TcpStream; N] {
    let told = begun.clone();
    let make = move |peer: &Peer| Telling { whose: peer.address, told: told.clone() };
    let connector = Arc::new(Connector::new(ServerOptions::default(), make, Shutdown::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut all = Vec::new();
    for _ in 0..N {
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, address) = listener.accept().await.unwrap();
        let run = Arc::clone(&connector).run(stream, address, Shutdown::new());
        tokio::task::spawn_local(run);
        client.write_all(&http2(&[frame(1, 5, 1, &HEAD)])).await.unwrap();
        until_answered(&mut client).await;
        all.push(client);
    }
    all.try_into().unwrap()
}

async fn until_answered(client: &mut TcpStream) {
    let mut said = Vec::new();
    while !said.windows(ANSWER.len()).any(|bytes| bytes == ANSWER) {
        assert!(client.read_buf(&mut said).await.unwrap() > 0, "hung up on: {said:?}");
    }
}

/// Sends without letting anybody else do anything.
fn send(client: &TcpStream, frames: &[Vec<u8>]) {
    let bytes = frames.concat();
    assert_eq!(client.try_write(&bytes).unwrap(), bytes.len());
}

/// The streams after the first.
fn streams() -> impl Iterator<Item = u8> {
    (3..).step_by(2).take(STREAMS.into())
}

#[tokio::test(flavor = "local")]
async fn a_connection_that_opens_many_streams_lets_others_have_their_turn() {
    let (teller, mut begun) = mpsc::unbounded_channel();
    let [many, one] = idle_connections(&teller).await;
    while begun.try_recv().is_ok() {}
    send(&many, &streams().map(|stream| frame(1, 5, stream, &HEAD)).collect::<Vec<_>>());
    send(&one, &[frame(1, 5, 3, &HEAD)]);
    let mut order = Vec::new();
    while order.len() <= STREAMS.into() {
        order.push(begun.recv().await.unwrap());
    }
    let one = one.local_addr().unwrap();
    let before = order.iter().position(|whose| *whose == one).unwrap();
    assert!(before <= AT_ONCE, "{before} of the other connection began before");
}

#[tokio::test(flavor = "local")]
async fn streams_reset_before_their_turn_never_begin() {
    let (teller, mut begun) = mpsc::unbounded_channel();
    let [mut client] = idle_connections(&teller).await;
    while begun.try_recv().is_ok() {}
    let reset = |stream| [frame(1, 5, stream, &HEAD), frame(3, 0, stream, &[0, 0, 0, 8])];
    let mut frames = streams().take(90).flat_map(reset).collect::<Vec<_>>();
    frames.push(frame(1, 5, 201, &HEAD));
    send(&client, &frames);
    until_answered(&mut client).await;
    let began = std::iter::from_fn(|| begun.try_recv().ok()).count();
    assert_eq!(began, 1, "the one that was not reset");
}
