//! The operations port: `/livez`, `/readyz`, `/metrics` and pages that a program adds.
//! It is for operators and their tools: keep it off the port that faces callers.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::net::TcpListener;

use crate::readiness::Readiness;
use crate::server::{self, ServerLimits, ServerOptions};
use crate::telemetry::MetricsHandle;
use crate::{BoxError, Shutdown, panics};

/// Scrapers, probes and a few people at once.
const MAX_CONNECTIONS: usize = 64;
/// Scrapers come every 15 to 60 s; longer silence is a lost peer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

const TEXT: &str = "text/plain; charset=utf-8";
/// A page may load and ask this port alone, runs no script that stands in it, and sits in no frame: text that
/// came from a document or a caller stays text even where somebody forgot to escape it.
const ONLY_OURS: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a page is made by. It runs on a thread that may block, not on those that serve.
pub type PageMaker = Arc<dyn Fn() -> Page + Send + Sync>;

/// The contents of one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its media type.
    pub content_type: &'static str,
    /// Its bytes.
    pub body: Bytes,
}

/// What the operations port shows.
#[derive(Clone)]
pub struct OpsRoutes {
    /// Answers `/readyz`, and begins its drain when the process is asked to end.
    pub readiness: Readiness,
    /// Answers `/metrics`.
    pub metrics: MetricsHandle,
    /// Further pages by exact path.
    pub extra: Vec<(&'static str, PageMaker)>,
}

impl fmt::Debug for OpsRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<_> = self.extra.iter().map(|(path, _)| path).collect();
        f.debug_struct("OpsRoutes").field("extra", &paths).finish_non_exhaustive()
    }
}

/// Serves the operations port for as long as the process lives, through its drain: start it as a
/// companion ([`crate::Tasks::spawn_companion`]). The shutdown makes it report not ready.
///
/// # Errors
/// None at present; the type is that of a task.
pub async fn serve(
    listener: TcpListener,
    routes: OpsRoutes,
    shutdown: Shutdown,
) -> Result<(), BoxError> {
    let readiness = routes.readiness.clone();
    let limits = ServerLimits {
        max_connections: MAX_CONNECTIONS,
        header_read_timeout: IDLE_TIMEOUT,
        ..ServerLimits::default()
    };
    // A spawner of its own: no drain waits for a scraper that keeps its connection.
    let options = ServerOptions { limits, ..ServerOptions::default() };
    let routes = Arc::new(routes);
    let make_service = move |_: &server::Peer| {
        let routes = Arc::clone(&routes);
        service_fn(move |request| answer(Arc::clone(&routes), request))
    };
    let mut served =
        std::pin::pin!(server::serve(listener, options, make_service, Shutdown::new()));
    tokio::select! {
        ended = served.as_mut() => return ended,
        () = shutdown.wait() => readiness.drain(),
    }
    served.await
}

async fn answer(
    routes: Arc<OpsRoutes>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Ok(text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n"));
    }
    Ok(match request.uri().path() {
        "/livez" => text(StatusCode::OK, "alive\n"),
        "/readyz" => ready(&routes.readiness),
        "/metrics" => {
            let metrics = routes.metrics.clone();
            page(move || Page { content_type: PROMETHEUS_TEXT, body: metrics.render().into() })
                .await
        }
        path => match routes.extra.iter().find(|(known, _)| *known == path) {
            Some((_, make)) => {
                let make = Arc::clone(make);
                page(move || make()).await
            }
            None => text(StatusCode::NOT_FOUND, "no such page\n"),
        },
    })
}

fn ready(readiness: &Readiness) -> Response<Full<Bytes>> {
    let pending = readiness.pending();
    if pending.is_empty() {
        return text(StatusCode::OK, "ready\n");
    }
    text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", pending.join(", ")))
}

/// Makes a page on a blocking thread: thousands of series take milliseconds, and callers of the
/// other port would wait for them.
async fn page<F>(make: F) -> Response<Full<Bytes>>
where
    F: FnOnce() -> Page + Send + 'static,
{
    match tokio::task::spawn_blocking(make).await {
        Ok(page) => response(StatusCode::OK, page.content_type, page.body),
        Err(error) => {
            tracing::error!(error = panics::of_task(&error), "operations page failed");
            text(StatusCode::INTERNAL_SERVER_ERROR, "page failed\n")
        }
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    response(status, TEXT, body.into())
}

fn response(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(ONLY_OURS));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::telemetry::init_metrics;

    async fn fetch(address: std::net::SocketAddr, line: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("{line} HTTP/1.1\r\nhost: ops\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn the_port_tells_life_readiness_metrics_and_more() {
        let readiness = Readiness::new();
        let guard = readiness.guard("snapshot");
        let table: PageMaker =
            Arc::new(|| Page { content_type: "application/json", body: "{}".into() });
        let broken: PageMaker = Arc::new(|| panic!("a broken page"));
        let routes = OpsRoutes {
            readiness: readiness.clone(),
            metrics: init_metrics(&[("test_wait_seconds", &[0.1])]).unwrap(),
            extra: vec![("/table", table), ("/broken", broken)],
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        let mut tasks = crate::Tasks::new(shutdown.clone());
        tasks.spawn_companion("operations", serve(listener, routes, shutdown.clone()));

        assert!(fetch(address, "GET /livez").await.starts_with("HTTP/1.1 200 "));
        let answer = fetch(address, "GET /readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.ends_with("not ready: snapshot\n"), "{answer}");
        guard.ready();
        assert!(fetch(address, "GET /readyz").await.ends_with("\r\n\r\nready\n"));
        let answer = fetch(address, "GET /metrics").await;
        assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
        let answer = fetch(address, "GET /table").await;
        assert!(answer.contains("application/json") && answer.ends_with("{}"), "{answer}");
        assert!(answer.contains("content-security-policy: default-src 'none'; "), "{answer}");
        assert!(fetch(address, "GET /broken").await.starts_with("HTTP/1.1 500 "));
        assert!(fetch(address, "GET /nothing").await.starts_with("HTTP/1.1 404 "));
        assert!(fetch(address, "POST /livez").await.starts_with("HTTP/1.1 405 "));

        shutdown.trigger();
        while readiness.is_ready() {
            tokio::task::yield_now().await;
        }
        let answer = fetch(address, "GET /readyz").await;
        assert!(answer.ends_with("not ready: draining\n"), "{answer}");
        assert!(fetch(address, "GET /livez").await.starts_with("HTTP/1.1 200 "));
        tasks.join(|| std::time::Duration::from_secs(5)).await.unwrap();
    }
}
