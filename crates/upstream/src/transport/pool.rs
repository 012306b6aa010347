//! Connections between two requests: one small pool for each origin, HTTP/1.1, newest first. It never tries a
//! request twice, but for one that a connection gave back unsent because its peer had hung up meanwhile.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::{Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;
use tower::{Service, ServiceExt};

use super::connect::Connectors;

/// Idle connections are let go before most load balancers (60 s) cut them under a request.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Idle connections kept to one origin: as many as a busy router has calls at once to one provider. A larger
/// burst connects anew.
const IDLE_CONNECTIONS: usize = 1_024;

type Sender = SendRequest<Full<Bytes>>;

/// Where connections lead: scheme, host and port.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    name: Arc<str>,
    url: Uri,
}

impl Origin {
    /// The origin of a URL.
    pub(crate) fn of(url: &Uri) -> Self {
        let name = match (url.scheme_str(), url.authority()) {
            (Some(scheme), Some(authority)) => format!("{scheme}://{authority}"),
            _ => url.to_string(),
        };
        Self { name: Arc::from(name), url: url.clone() }
    }
}

/// Why a request got no answer.
#[derive(Debug)]
pub(crate) enum SendError {
    /// No connection came about.
    Connect(Box<dyn StdError + Send + Sync>),
    /// It broke before an answer began.
    Broken,
}

/// The connections to every origin.
#[derive(Clone)]
pub(super) struct Pool {
    connectors: Connectors,
    idle: Arc<IdleConnections>,
}

impl Pool {
    pub(super) fn new(connectors: Connectors) -> Self {
        Self { connectors, idle: Arc::default() }
    }

    /// Sends a request, its path alone in the URI and its `Host` among the headers, and returns when the
    /// answer's headers are in.
    pub(super) async fn send(
        &self,
        origin: &Origin,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Body>, SendError> {
        loop {
            let kept = self.idle.take(&origin.name);
            let fresh = kept.is_none();
            let mut sender = match kept {
                Some(sender) => sender,
                None => self.connect(&origin.url).await.map_err(SendError::Connect)?,
            };
            match sender.try_send_request(request).await {
                Ok(response) => {
                    let (idle, origin) = (Arc::clone(&self.idle), Arc::clone(&origin.name));
                    let place = Place { idle, origin, sender };
                    return Ok(response.map(|body| Body { body, place: Some(place) }));
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !fresh => request = unsent,
                    Some(_) | None => return Err(SendError::Broken),
                },
            }
        }
    }

    async fn connect(&self, origin: &Uri) -> Result<Sender, Box<dyn StdError + Send + Sync>> {
        let mut connector = self.connectors.for_url(origin);
        let stream = connector.ready().await?.call(origin.clone()).await?;
        let (sender, connection) = http1::handshake(stream).await?;
        // It lives as long as its sender or its answer; how it ends shows in those.
        TokioExecutor::new().execute(async move { drop(connection.await) });
        Ok(sender)
    }
}

/// Connections without a request.
#[derive(Default)]
struct IdleConnections(Mutex<Lists>);

#[derive(Default)]
struct Lists {
    /// By origin; the connection used last is at the end.
    by_origin: HashMap<Arc<str>, Vec<Idle>>,
    swept: Option<Instant>,
}

struct Idle {
    sender: Sender,
    since: Instant,
}

impl Idle {
    fn usable(&self, now: Instant) -> bool {
        !self.sender.is_closed() && now - self.since < IDLE_MAX
    }
}

impl IdleConnections {
    fn lists(&self) -> MutexGuard<'_, Lists> {
        // A list of connections is whole between any two statements, poisoned or not.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that was used last and is through with it.
    fn take(&self, origin: &str) -> Option<Sender> {
        let now = Instant::now();
        let mut lists = self.lists();
        let idle = lists.by_origin.get_mut(origin)?;
        while idle.pop_if(|newest| !newest.usable(now)).is_some() {}
        let ready = idle.iter().rposition(|one| one.sender.is_ready())?;
        Some(idle.remove(ready).sender)
    }

    fn give_back(&self, origin: Arc<str>, sender: Sender) {
        let since = Instant::now();
        let mut lists = self.lists();
        if lists.swept.is_none_or(|swept| since - swept >= IDLE_MAX) {
            lists.swept = Some(since);
            lists.by_origin.values_mut().for_each(|idle| idle.retain(|one| one.usable(since)));
            lists.by_origin.retain(|_, idle| !idle.is_empty());
        }
        let idle = lists.by_origin.entry(origin).or_default();
        if idle.len() < IDLE_CONNECTIONS {
            idle.push(Idle { sender, since });
        }
    }
}

/// An answer's body. Read to its end, it gives its connection back; dropped before, it closes it.
pub(crate) struct Body {
    body: Incoming,
    place: Option<Place>,
}

/// Where a connection belongs.
struct Place {
    idle: Arc<IdleConnections>,
    origin: Arc<str>,
    sender: Sender,
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let ended = frame.is_none() || self.body.is_end_stream();
        if ended && let Some(Place { idle, origin, sender }) = self.place.take() {
            idle.give_back(origin, sender);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
