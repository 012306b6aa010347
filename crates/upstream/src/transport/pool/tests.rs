//! The pool against a server on loopback: kept, replaced, never a call lost.

use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::transport::connect;

/// A server on loopback that counts its connections and hangs up after so many answers on one.
struct Server {
    origin: Origin,
    accepted: Arc<AtomicUsize>,
}

impl Server {
    async fn answering(times: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound")).parse();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        TokioExecutor::new().execute(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                TokioExecutor::new().execute(serve(stream, times));
            }
        });
        Self { origin: Origin::of(&url.expect("a URL")), accepted }
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, times: usize) {
    let mut request = [0_u8; 4_096];
    for _ in 0..times {
        if !matches!(stream.read(&mut request).await, Ok(1..)) {
            return;
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        stream.write_all(answer).await.expect("the client listens");
    }
}

fn pool() -> Pool {
    Pool::new(connect::Connectors::new().expect("TLS can be set up"))
}

async fn ask(pool: &Pool, server: &Server) -> Result<Response<Body>, SendError> {
    pool.send(&server.origin, Request::new(Full::default())).await
}

async fn call(pool: &Pool, server: &Server) -> Bytes {
    let response = ask(pool, server).await.expect("an answer");
    response.into_body().collect().await.expect("a whole body").to_bytes()
}

#[tokio::test]
async fn a_connection_serves_one_call_after_another() {
    let (pool, server) = (pool(), Server::answering(usize::MAX).await);
    for _ in 0..5 {
        assert_eq!(call(&pool, &server).await, "ok");
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_connection_that_the_provider_closed_between_two_calls_costs_none() {
    let (pool, server) = (pool(), Server::answering(1).await);
    for _ in 0..50 {
        assert_eq!(call(&pool, &server).await, "ok");
    }
    assert_eq!(server.accepted(), 50);
}

#[tokio::test]
async fn calls_at_the_same_time_get_a_connection_each() {
    let (pool, server) = (pool(), Server::answering(usize::MAX).await);
    let (one, other) = (ask(&pool, &server).await, ask(&pool, &server).await);
    assert_eq!(server.accepted(), 2);
    drop((one.expect("an answer"), other.expect("an answer")));
}

#[tokio::test]
async fn an_answer_dropped_before_its_end_takes_its_connection_along() {
    let (pool, server) = (pool(), Server::answering(usize::MAX).await);
    drop(ask(&pool, &server).await.expect("an answer"));
    assert_eq!(call(&pool, &server).await, "ok");
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn a_provider_that_hangs_up_on_a_fresh_connection_is_asked_once() {
    let (pool, server) = (pool(), Server::answering(0).await);
    let answer = ask(&pool, &server).await;
    assert!(matches!(answer, Err(SendError::Broken)));
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn nobody_listening_is_a_failure_to_connect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound")).parse();
    drop(listener);
    let origin = Origin::of(&url.expect("a URL"));
    let answer = pool().send(&origin, Request::new(Full::default())).await;
    assert!(matches!(answer, Err(SendError::Connect(_))));
}
