//! Loads against the benchmark's own servers, in one process, and against servers that do it wrong.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use tokio::net::TcpListener;

use super::super::{dialect, grpc_bridge, hosting, minimal_proxy, upstream};
use super::*;

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn spec(kind: Kind, target: SocketAddr) -> LoadSpec {
    LoadSpec { kind, target, connections: 4, warm_ms: 50, measure_ms: 200 }
}

/// Runs the load while `servers` serve, and returns what it told.
async fn told(
    spec: &LoadSpec,
    servers: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<Vec<Event>> {
    let mut told = Vec::new();
    tokio::select! {
        done = run(spec, &mut told, || ()) => done?,
        ended = servers => bail!("a server ended: {ended:?}"),
    }
    let lines = String::from_utf8(told)?;
    lines.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn measured(told: &[Event]) -> &Measured {
    match told {
        [Event::Started, Event::Stopped, Event::Measured(measured)] => measured,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn whole_answers_pass_the_minimal_proxy() {
    let ((upstream, at), (proxy, target)) = (listener().await, listener().await);
    let servers = async {
        tokio::try_join!(upstream::serve(upstream), minimal_proxy::serve(proxy, at)).map(|_| ())
    };
    let told = told(&spec(Kind::Whole, target), servers).await.unwrap();
    let measured = measured(&told);
    assert!(measured.calls > 0 && measured.latency.p99_ms >= measured.latency.p50_ms);
}

#[tokio::test]
async fn streams_pass_the_minimal_proxy_whole() {
    for interval_us in [0, 1_000] {
        let ((upstream, at), (proxy, target)) = (listener().await, listener().await);
        let servers = async {
            tokio::try_join!(upstream::serve(upstream), minimal_proxy::serve(proxy, at)).map(|_| ())
        };
        let kind = Kind::Streamed { chunks: 20, interval_us };
        let told = told(&spec(kind, target), servers).await.unwrap();
        let measured = measured(&told);
        assert!(measured.calls > 0 && measured.chunks >= 20, "{measured:?}");
    }
}

#[tokio::test]
async fn held_streams_stay_open_until_the_end() {
    let ((upstream, at), (proxy, target)) = (listener().await, listener().await);
    let servers = async {
        tokio::try_join!(upstream::serve(upstream), minimal_proxy::serve(proxy, at)).map(|_| ())
    };
    let kind = Kind::Held { interval_us: 10_000 };
    let told = told(&spec(kind, target), servers).await.unwrap();
    assert_eq!(measured(&told).calls, 0);
}

#[tokio::test]
async fn grpc_calls_pass_the_bridge() {
    let ((upstream, at), (bridge, target)) = (listener().await, listener().await);
    let servers = async {
        tokio::try_join!(upstream::serve(upstream), grpc_bridge::serve(bridge, at)).map(|_| ())
    };
    let told = told(&spec(Kind::Grpc { per_connection: 4 }, target), servers).await.unwrap();
    assert!(measured(&told).calls > 0);
}

/// A server whose every answer is `status` with `body`.
async fn wrong(listener: TcpListener, status: u16, body: Bytes) -> anyhow::Result<()> {
    let answer = move |_: Request<Incoming>| {
        let mut response = Response::new(Full::new(body.clone()));
        *response.status_mut() = ::http::StatusCode::from_u16(status).unwrap();
        async move { Ok::<_, Infallible>(response) }
    };
    hosting::serve(listener, service_fn(answer)).await
}

#[tokio::test]
async fn an_error_status_fails_the_load() {
    let (listener, target) = listener().await;
    let servers = wrong(listener, 503, dialect::reply(dialect::MODEL));
    let error = told(&spec(Kind::Whole, target), servers).await.unwrap_err();
    assert!(error.to_string().starts_with("status 503"), "{error}");
}

#[tokio::test]
async fn another_answer_fails_the_load() {
    let (listener, target) = listener().await;
    let servers = wrong(listener, 200, Bytes::from_static(b"{\"choices\":[]}"));
    let error = told(&spec(Kind::Whole, target), servers).await.unwrap_err();
    assert!(error.to_string().contains("not the upstream's answer"), "{error}");
}

#[tokio::test]
async fn a_stream_cut_short_fails_the_load() {
    let (listener, target) = listener().await;
    let frames = dialect::Frames::new(dialect::MODEL, 20);
    let servers = wrong(listener, 200, [frames.first, frames.content].concat().into());
    let kind = Kind::Streamed { chunks: 20, interval_us: 0 };
    let error = told(&spec(kind, target), servers).await.unwrap_err();
    assert!(error.to_string().contains("without its last event"), "{error}");
}
