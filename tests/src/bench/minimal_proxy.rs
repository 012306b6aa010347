//! The yardstick for HTTP: a reverse proxy that does nothing but pass on. It parses no body, checks no key,
//! chooses nothing and writes no log.

use std::net::SocketAddr;

use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Uri};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;

use super::hosting;

/// Passes every request on `listener` to `upstream`, until dropped.
///
/// # Errors
/// What the system said when it would not accept a connection.
pub async fn serve(listener: TcpListener, upstream: SocketAddr) -> anyhow::Result<()> {
    let client = Client::builder(TokioExecutor::new()).build::<_, Incoming>(connector());
    let authority: Authority = upstream.to_string().parse()?;
    let service = service_fn(move |mut request: Request<Incoming>| {
        readdress(&mut request, &authority);
        client.request(request)
    });
    hosting::serve(listener, service).await
}

/// Connections without Nagle's delay.
pub(super) fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector
}

fn readdress(request: &mut Request<Incoming>, authority: &Authority) {
    let path = request.uri().path_and_query().cloned();
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority.clone());
    parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    // These three always make an address.
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    request.headers_mut().remove(HOST);
}
