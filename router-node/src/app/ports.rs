//! The ports of a router: where it listens, and what is served there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::net::TcpListener;
use tower::ServiceExt;
use trunkline_runtime::drain::DrainTimes;
use trunkline_runtime::server::{self, Defences, ServerLimits, ServerOptions, Strangers};
use trunkline_runtime::tls::{ServerTls, certificate};
use trunkline_runtime::{BoxError, Shutdown, Tasks, descriptors};

use crate::admin::Admin;
use crate::admin::access::AdminPeer;
use crate::admin::audit::Audit;
use crate::config::Config;
use crate::ingress::grpc::{Health, Services};
use crate::ingress::http::Public;
use crate::ingress::telemetry::Meter;
use crate::pipeline::Router;

/// The listeners of a router, bound before anything is promised.
pub struct Listeners {
    /// Callers'.
    pub public: TcpListener,
    /// Operations.
    pub ops: TcpListener,
    /// Administrators'.
    pub admin: TcpListener,
}

impl Listeners {
    /// Binds all three.
    ///
    /// # Errors
    /// Names the address that cannot be had.
    pub async fn bind(
        public: SocketAddr,
        ops: SocketAddr,
        admin: SocketAddr,
    ) -> Result<Self, BoxError> {
        let bind = |name: &'static str, address: SocketAddr| async move {
            let bound = TcpListener::bind(address).await;
            bound.map_err(|e| BoxError::from(format!("cannot listen on {address} ({name}): {e}")))
        };
        Ok(Self {
            public: bind("--listen", public).await?,
            ops: bind("--ops", ops).await?,
            admin: bind("--admin", admin).await?,
        })
    }
}

/// Connections of operators and of routers that ask each other, at once.
const ADMIN_CONNECTIONS: usize = 256;
/// Files and sockets that are no caller's: operators' connections, the operations port's 64, those to the store
/// and to probers, documents, records and logs.
const RESERVED_DESCRIPTORS: usize = 512;

/// The bounds of the public port. There is no use in accepting what then cannot be served for want of a
/// descriptor: connections beyond that wait, as those beyond the configured number do.
fn public_limits(config: &Config) -> ServerLimits {
    let (bounds, open_files) = (config.limits, descriptors::raise());
    let (configured, calls) = (bounds.connections, bounds.concurrency);
    let free = open_files.saturating_sub(RESERVED_DESCRIPTORS);
    let connections = descriptors::room(configured, free, calls);
    if connections < bounds.least_connections {
        tracing::warn!(
            connections,
            calls,
            open_files,
            "fewer connections than calls that may run at once: raise the limit of open files, or lower limits.concurrency"
        );
    } else if connections < configured {
        tracing::debug!(
            connections,
            configured,
            open_files,
            "as many connections as there is room for"
        );
    }
    ServerLimits { max_connections: connections, ..limits(config) }
}

fn limits(config: &Config) -> ServerLimits {
    ServerLimits {
        max_connections: ADMIN_CONNECTIONS,
        max_concurrent_streams: config.limits.streams_per_connection,
        max_connection_age: config.limits.connection_age_ms.map(Duration::from_millis),
        ..ServerLimits::default()
    }
}

/// A port that is bound.
pub(super) struct Port {
    /// Where.
    pub(super) listener: TcpListener,
    /// The identity that it shows; `None` for plain text.
    pub(super) tls: Option<Arc<ServerTls>>,
    /// How long it takes to leave.
    pub(super) drain: DrainTimes,
}

/// Serves callers.
pub(super) fn serve_public(
    tasks: &mut Tasks,
    config: &Config,
    Port { listener, tls, drain }: Port,
    router: &Arc<Router>,
    shutdown: &Shutdown,
) -> Result<(), BoxError> {
    let meter = Meter::started();
    let options = ServerOptions {
        limits: public_limits(config),
        drain,
        tls,
        spawner: tasks.spawner(),
        defences: Defences::tell(move |what| meter.defended(what)),
        ..ServerOptions::default()
    };
    let health = Health::default();
    tasks.spawn("health", tell_health(health.clone(), shutdown.clone()));
    let grpc = Services::new(Arc::clone(router), &health)?;
    let public = Arc::new(Public { router: Arc::clone(router), grpc });
    let make = move |peer: &server::Peer| {
        let (public, peer) = (Arc::clone(&public), peer.address.ip());
        service_fn(move |request: Request<Incoming>| Arc::clone(&public).answer(request, peer))
    };
    tasks.spawn("public", server::serve(listener, options, make, shutdown.clone()));
    Ok(())
}

/// Serves operators.
pub(super) fn serve_admin(
    tasks: &mut Tasks,
    config: &Config,
    Port { listener, tls, drain }: Port,
    api: Admin,
    shutdown: &Shutdown,
) {
    let audit = Arc::new(Audit::default());
    let told = Arc::clone(&audit);
    let strangers = Strangers::tell(move |peer, why| told.stranger(peer.ip(), why));
    let (limits, spawner) = (limits(config), tasks.spawner());
    let options =
        ServerOptions { limits, drain, tls, spawner, strangers, ..ServerOptions::default() };
    let routes = api.routes(audit);
    let make = move |peer: &server::Peer| {
        let certificate = peer.certificate.as_ref();
        let names = certificate.map(|shown| certificate::names(shown)).unwrap_or_default();
        let peer = AdminPeer { address: peer.address.ip(), names: names.into() };
        let known = routes.clone().map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            request
        });
        hyper_util::service::TowerToHyperService::new(known)
    };
    tasks.spawn("admin", server::serve(listener, options, make, shutdown.clone()));
}

/// Says over gRPC that calls are taken, and no longer so from the shutdown on.
async fn tell_health(health: Health, shutdown: Shutdown) -> Result<(), BoxError> {
    health.serving().await;
    shutdown.wait().await;
    health.draining().await;
    Ok(())
}
