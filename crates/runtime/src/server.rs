//! The HTTP accept loop: HTTP/1.1 and HTTP/2 (prior knowledge or ALPN) on one port, with limits and
//! a drain that has an end. It routes nothing: the service that it is given does.

mod connection;
mod gathered;
mod lifetime;
mod limits;
mod metered;
mod offences;
mod queue;
mod turns;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::drain::DrainTimes;
use crate::live::Live;
use crate::tls::ServerTls;
use crate::{BoxError, Shutdown, Spawner};
use connection::Connector;
use lifetime::Lifetimes;
pub use limits::ServerLimits;
pub use offences::{Defence, Defences};

/// The first pause after the system refused to accept (out of descriptors or memory). It doubles
/// up to [`ACCEPT_PAUSE_MAX`], so that a full process does not spin.
const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest pause after a refused accept: room that appears is used within a second.
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// What a server needs besides its service.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// Its bounds.
    pub limits: ServerLimits,
    /// How long it takes to leave.
    pub drain: DrainTimes,
    /// Its identity; without it the port speaks plain text.
    pub tls: Option<Arc<ServerTls>>,
    /// Starts the connections, and lets a drain wait for them.
    pub spawner: Spawner,
    /// Is told of those who were refused at the handshake.
    pub strangers: Strangers,
    /// Is told of connections that were ended for what came over them, and of those that wait because of it.
    pub defences: Defences,
}

/// Is told of everybody whose certificate was refused, or who showed none where one is asked for: from where, and
/// why. Those who only connect and leave are not told of.
#[derive(Clone, Default)]
pub struct Strangers(Option<Arc<Told>>);

type Told = dyn Fn(SocketAddr, &str) + Send + Sync;

impl Strangers {
    /// Tells this.
    #[must_use]
    pub fn tell(told: impl Fn(SocketAddr, &str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(told)))
    }

    fn refused(&self, peer: SocketAddr, error: &BoxError) {
        // What TLS itself refuses is invalid data; a peer that left is not.
        let error = error.downcast_ref::<io::Error>();
        let refused = error.filter(|error| error.kind() == io::ErrorKind::InvalidData);
        if let (Some(told), Some(error)) = (&self.0, refused) {
            told(peer, &error.to_string());
        }
    }
}

impl fmt::Debug for Strangers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Strangers").field(&self.0.is_some()).finish()
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The certificate that it proved to own, when the server asks for one.
    pub certificate: Option<CertificateDer<'static>>,
}

/// What answers the requests of one connection: any hyper service with a sendable body.
pub trait Handler:
    Service<
        Request<Incoming>,
        Response = Response<Self::Payload>,
        Error: Into<BoxError>,
        Future: Send + 'static,
    > + Send
    + 'static
{
    /// The response body.
    type Payload: Body<Data: Send, Error: Into<BoxError>> + Send + 'static;
}

impl<S, B> Handler for S
where
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Payload = B;
}

/// Serves until the shutdown, then drains: it goes on accepting for its delay, while answers over HTTP/1.1 ask for
/// another connection; stops, tells every connection to finish, and drops those that have not after its grace.
///
/// `make_service` is called once a connection, after the TLS handshake.
///
/// # Errors
/// None at present; the type is that of a task.
pub async fn serve<M, S>(
    listener: TcpListener,
    options: ServerOptions,
    make_service: M,
    shutdown: Shutdown,
) -> Result<(), BoxError>
where
    M: Fn(&Peer) -> S + Send + Sync + 'static,
    S: Handler,
{
    let (limits, leave) = (options.limits.clone(), options.drain.clone());
    let slots = Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS)));
    let mut lifetimes = Lifetimes::new(limits.max_connection_age);
    let connector = Arc::new(Connector::new(options, make_service, shutdown.clone()));
    let live = Live::default();
    let mut stop = std::pin::pin!(stop_accepting(shutdown, leave.clone()));
    loop {
        let (stream, address, slot) = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            () = lifetimes.next_end() => continue,
            () = stop.as_mut() => break,
        };
        let retire = lifetimes.assign();
        let alive = live.enter();
        let connection = Arc::clone(&connector).run(stream, address, retire);
        connector.spawner().spawn_connection(async move {
            connection.await;
            drop((slot, alive));
        });
    }
    drop(listener);
    lifetimes.end_all();
    drain(&live, &connector, leave.get().grace).await;
    Ok(())
}

async fn stop_accepting(shutdown: Shutdown, leave: DrainTimes) {
    shutdown.wait().await;
    tokio::time::sleep(leave.get().delay).await;
}

async fn drain<M>(live: &Live, connector: &Connector<M>, grace: Duration) {
    if tokio::time::timeout(grace, live.none_left()).await.is_err() {
        tracing::warn!(connections = live.count(), "grace period over, connections dropped");
        connector.cut();
        live.none_left().await;
    }
}

/// The next connection, once there is room for one. Cancel-safe: nothing accepted is lost.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed; without a permit the connection would be uncounted, no worse.
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    let mut pause = ACCEPT_PAUSE_MIN;
    loop {
        match listener.accept().await {
            Ok((stream, address)) => return (stream, address, slot),
            Err(error) if is_about_one_peer(&error) => {}
            Err(error) => {
                tracing::warn!(%error, pause_ms = pause.as_millis(), "cannot accept, pausing");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(ACCEPT_PAUSE_MAX);
            }
        }
    }
}

/// The peer left between connecting and being accepted; the listener itself is fine.
fn is_about_one_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests;
