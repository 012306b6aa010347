//! The accept loop of the benchmark's own HTTP servers. It has no limits and no drain: it is as little as
//! a server can be, so that what is measured beside it is measured against the floor.

use std::error::Error;

use hyper::body::{Body, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Answers every connection with `service`, until dropped.
///
/// # Errors
/// What the system said when it would not accept a connection.
pub async fn serve<S, B>(listener: TcpListener, service: S) -> anyhow::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let socket = TokioIo::new(socket);
        connections.spawn(http1::Builder::new().serve_connection(socket, service.clone()));
        // The ended ones only; a connection's own failure is its caller's to report.
        while connections.try_join_next().is_some() {}
    }
}
