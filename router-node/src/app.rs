//! The wiring: which tasks a router is made of, and in which order they start and end.

mod ports;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use trunkline_runtime::drain::DrainTimes;
use trunkline_runtime::ops::{self, OpsRoutes};
use trunkline_runtime::otlp::{Exporter, Spans};
use trunkline_runtime::readiness::Readiness;
use trunkline_runtime::telemetry::{Logs, MetricsHandle, init_logs, init_metrics};
use trunkline_runtime::{BoxError, Shutdown, Spawner, Tasks, signals};
use trunkline_store::port::Store;
use trunkline_store::{
    DiskSnapshot, Embedded, Etcd, EtcdOptions, Limits as StoreLimits, StoreError,
};

use crate::admin::keeper;
use crate::admin::{Admin, PeerTls};
use crate::census::{self, Census};
use crate::certificates::Certificates;
use crate::config::{Config, Documents, Source, StoreConfig};
use crate::disk::Disk;
use crate::evidence::{Reporter, board};
use crate::generations::{Background, Outlets};
use crate::ledger::unix_ms;
use crate::page::{self, TagCosts};
use crate::pipeline::Router;
use crate::register::{Identity, Registrar, Registration};
use crate::reload::Reload;
use crate::serve::{self, Parts, Setup};
use crate::settings::Settings;
use crate::spending::Teller;
use crate::telemetry::{Applied, BUCKETS};
use crate::traces::export;

pub use ports::Listeners;
use ports::{Port, serve_admin, serve_public};

/// How often gauges are set.
const OBSERVE_EVERY: Duration = Duration::from_secs(1);
/// A store that does not answer for this long does not keep the ports closed.
const BOOT_PATIENCE: Duration = Duration::from_secs(2);
/// Between two tries to fill a store that was away at the start.
const FILL_EVERY: Duration = Duration::from_secs(1);
/// Longer than the drain may take, so that tasks end by themselves.
const JOIN_MARGIN: Duration = Duration::from_secs(5);

/// Logs and metrics of this process.
pub struct Observability {
    /// Logs; they end when this is dropped.
    pub logs: Logs,
    /// Metrics.
    pub metrics: MetricsHandle,
}

impl Observability {
    /// Sets both up; once in a process.
    ///
    /// # Errors
    /// When they were set up before.
    pub fn start(config: &Config) -> Result<Self, BoxError> {
        let logs = init_logs(config.log_format, config.log_level.as_str())?;
        Ok(Self { logs, metrics: init_metrics(BUCKETS)? })
    }
}

/// A router that runs.
pub struct Running {
    /// What calls are served from.
    pub router: Arc<Router>,
    /// The shared state.
    pub store: Arc<dyn Store>,
    /// Ends it.
    pub shutdown: Shutdown,
    /// Its tasks.
    pub tasks: Tasks,
    /// Where callers connect.
    pub address: SocketAddr,
    /// Who it is.
    pub identity: Identity,
    /// How long it takes to leave.
    pub drain: DrainTimes,
    ends: Ends,
}

/// What is left to do when its tasks have ended.
struct Ends {
    registration: Registration,
    teller: Teller,
    records: Background,
    exporter: Option<Exporter>,
}

impl Running {
    /// Runs until it is asked to end and everything has.
    ///
    /// # Errors
    /// When a task ended by itself, or did not end in time.
    pub async fn join(self) -> Result<(), BoxError> {
        let Ends { registration, teller, records, exporter } = self.ends;
        let drain = self.drain;
        let grace = move || drain.get().delay + drain.get().grace + JOIN_MARGIN;
        let joined = self.tasks.join(grace).await;
        records.finish().await;
        teller.last_words().await;
        registration.end(self.store.as_ref()).await;
        if let Some(exporter) = exporter {
            exporter.finish().await;
        }
        Ok(joined?)
    }
}

/// `router-node serve`: runs until a signal.
///
/// # Errors
/// What keeps it from starting, or the task that failed.
pub async fn serve(config: Config, source: Source) -> Result<(), BoxError> {
    let observability = Observability::start(&config)?;
    let listeners = Listeners::bind(config.listen, config.ops, config.admin).await?;
    let documents = config.bootstrap.read()?;
    let certificates = Certificates::load(&config)?;
    let store = open_store(&config.store, &certificates).await?;
    let filled = timeout(BOOT_PATIENCE, serve::bootstrap(store.as_ref(), &documents)).await;
    let away = match filled {
        Ok(Err(error)) if !is_away(&error) => return Err(error.into()),
        Ok(filled) => filled.is_err(),
        Err(_) => true,
    };
    let mut running = start(&config, listeners, store, &observability, &certificates).await?;
    if away {
        let (store, shutdown) = (Arc::clone(&running.store), running.shutdown.clone());
        running.tasks.spawn("bootstrap", fill_later(store, documents, shutdown));
    }
    running.tasks.spawn("certificates", certificates.watch(running.shutdown.clone()));
    let reload = Reload::new(source, &running, observability.logs.filter());
    running.tasks.spawn("configuration", reload.run(running.shutdown.clone()));
    running.tasks.spawn("signals", signals(running.shutdown.clone()));
    running.join().await
}

fn is_away(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable { .. } | StoreError::InDoubt { .. })
}

/// Fills the store once it is there: it was away when the router started.
async fn fill_later(
    store: Arc<dyn Store>,
    documents: Documents,
    shutdown: Shutdown,
) -> Result<(), BoxError> {
    loop {
        tokio::select! {
            filled = serve::bootstrap(store.as_ref(), &documents) => match filled {
                Ok(()) => break,
                Err(error) if is_away(&error) => {}
                Err(error) => return Err(error.into()),
            },
            () = shutdown.wait() => return Ok(()),
        }
        tokio::select! {
            () = sleep(FILL_EVERY) => {}
            () = shutdown.wait() => return Ok(()),
        }
    }
    shutdown.wait().await;
    Ok(())
}

/// Opens the shared state.
///
/// # Errors
/// When it cannot be opened.
pub async fn open_store(
    config: &StoreConfig,
    certificates: &Certificates,
) -> Result<Arc<dyn Store>, BoxError> {
    match config {
        StoreConfig::Embedded { dir } => {
            Ok(Arc::new(Embedded::open(dir, StoreLimits::default()).await?))
        }
        StoreConfig::Etcd { endpoints, .. } => Ok(Arc::new(Etcd::new(EtcdOptions {
            members: endpoints.clone(),
            tls: certificates.etcd.clone(),
        })?)),
    }
}

/// Starts every task of a router.
///
/// # Errors
/// What keeps it from starting.
pub async fn start(
    config: &Config,
    listeners: Listeners,
    store: Arc<dyn Store>,
    observability: &Observability,
    certificates: &Certificates,
) -> Result<Running, BoxError> {
    let (shutdown, readiness) = (Shutdown::new(), Readiness::new());
    let mut tasks = Tasks::new(shutdown.clone());
    let address = listeners.public.local_addr()?;
    let (ops, admin) = (listeners.ops.local_addr()?, listeners.admin.local_addr()?);
    let setup = Setup {
        store: Arc::clone(&store),
        zone: config.zone.clone(),
        pepper: serve::pepper(config.key_pepper.as_ref())?,
        settings: Settings::of(config),
        disk: disk(&config.store),
        readiness: readiness.clone(),
    };
    let Parts { router, mut follower, records } = serve::assemble(setup)?;
    follower.boot(BOOT_PATIENCE).await;
    let (kept, costs) = (Arc::clone(&router.generations), Arc::new(TagCosts::default()));
    let identity = Identity::of(config, address, admin);
    let (spans, exporter) = export(&mut tasks, config, &identity).unzip();
    let outlets = Outlets { lines: observability.logs.lines(), spans };
    let folder = config.store.records_folder();
    let records = Background::new(records, kept, Arc::clone(&costs), outlets, folder);
    keep(&mut tasks, records.clone());
    let drain = DrainTimes::new(config.drain.into());
    let served = last_call(shutdown.clone(), drain.clone(), tasks.spawner());
    tasks.spawn("store", follower.run(served));
    let registrar = Registrar::new(Arc::clone(&router), Arc::clone(&store), identity.clone())?;
    let registration = registrar.registration();
    tasks.spawn_companion("registration", registrar.run(shutdown.clone()));
    let teller = tell_spending(&mut tasks, &router, &store);
    let reporter = Reporter {
        router: Arc::clone(&router),
        store: Arc::clone(&store),
        identity: identity.clone(),
        tls: certificates.evidence.clone(),
    };
    tell_probers(&mut tasks, reporter, &shutdown);
    tasks.spawn_companion("gauges", observe(Arc::clone(&router)));
    tasks.spawn_companion("metrics", observability.metrics.clone().keep_up());
    let page = page::Source {
        router: Arc::clone(&router),
        store: Arc::clone(&store),
        identity: identity.clone(),
        history: Arc::default(),
        costs,
    };
    let (metrics, extra) = (observability.metrics.clone(), show(&mut tasks, page, &shutdown));
    let routes = OpsRoutes { readiness, metrics, extra };
    tasks.spawn_companion("operations", ops::serve(listeners.ops, routes, shutdown.clone()));
    let port =
        |listener, tls: &Option<_>| Port { listener, tls: tls.clone(), drain: drain.clone() };
    let public = port(listeners.public, &certificates.public);
    serve_public(&mut tasks, config, public, &router, &shutdown)?;
    let api = Admin::new(Arc::clone(&router), Arc::clone(&store), identity.clone());
    let (own, name) = (certificates.admin.clone(), config.admin_peer_name.clone());
    let api = api.with_peer_tls(PeerTls { own, name }).until(shutdown.clone());
    tasks.spawn("drains", keeper::keep(api.clone(), shutdown.clone()));
    let admin_port = port(listeners.admin, &certificates.admin);
    serve_admin(&mut tasks, config, admin_port, api, &shutdown);
    // With port 0 in the configuration this line is the only place that tells.
    tracing::info!(public = %address, %ops, %admin, "listening");
    let ends = Ends { registration, teller, records, exporter };
    Ok(Running { router, store, shutdown, tasks, address, identity, drain, ends })
}

/// Waits until a router that was asked to end takes no calls any more, and has ended those that it had.
async fn last_call(shutdown: Shutdown, drain: DrainTimes, connections: Spawner) {
    shutdown.wait().await;
    sleep(drain.get().delay).await;
    connections.idle().await;
}

/// The background of the ledger.
fn keep(tasks: &mut Tasks, records: Background) {
    tasks.spawn_companion("records", async move {
        records.run().await;
        Ok(())
    });
}

/// Sends spans to the collector, if one is named.
fn export(tasks: &mut Tasks, config: &Config, identity: &Identity) -> Option<(Spans, Exporter)> {
    let (spans, exporter) = export::exporter(config.tracing.as_ref()?, identity);
    let sending = exporter.clone();
    tasks.spawn_companion("spans", async move {
        sending.run().await;
        Ok(())
    });
    Some((spans, exporter))
}

/// Collects what live calls tell, and tells it.
fn tell_probers(tasks: &mut Tasks, reporter: Reporter, shutdown: &Shutdown) {
    let (router, identity) = (Arc::clone(&reporter.router), reporter.identity.clone());
    tasks.spawn("evidence", board::collect(router, identity, shutdown.clone()));
    tasks.spawn("reports", reporter.run(shutdown.clone()));
}

/// Adds to the store what calls here cost.
fn tell_spending(tasks: &mut Tasks, router: &Arc<Router>, store: &Arc<dyn Store>) -> Teller {
    let teller = Teller { accounts: Arc::clone(&router.accounts), store: Arc::clone(store) };
    let cluster = Arc::clone(router);
    tasks.spawn_companion("spending", teller.clone().run(move || cluster.heard.routers()));
    teller
}

/// The status page, and the memory behind its plots.
fn show(
    tasks: &mut Tasks,
    source: page::Source,
    shutdown: &Shutdown,
) -> Vec<(&'static str, ops::PageMaker)> {
    let (router, history) = (Arc::clone(&source.router), Arc::clone(&source.history));
    tasks.spawn("history", page::remember(router, history, shutdown.clone()));
    page::pages(source)
}

/// The disk snapshot of a store on other machines.
fn disk(config: &StoreConfig) -> Option<Disk> {
    match config {
        StoreConfig::Embedded { .. } => None,
        StoreConfig::Etcd { endpoints, snapshot_dir, .. } => {
            snapshot_dir.as_ref().map(|dir| Disk::new(DiskSnapshot::new(dir, endpoints)))
        }
    }
}

/// Sets the gauges once a second, those of the last calls of a router that leaves, too.
async fn observe(router: Arc<Router>) -> Result<(), BoxError> {
    let mut ticks = tokio::time::interval(OBSERVE_EVERY);
    census::Telemetry::describe();
    let mut census = Census::default();
    loop {
        ticks.tick().await;
        let (view, now) = (router.view.load_full(), router.clock.now_ms());
        for (state, lane) in view.snapshot.endpoints.iter().zip(view.lanes.iter()) {
            lane.meter.observe(state, lane.load.in_flight(), lane.load.admission(now));
        }
        let digest =
            view.table.digest.iter().take(6).fold(0, |bits, byte| (bits << 8) | u64::from(*byte));
        let applied = Applied {
            revision: view.applied_revision(),
            watch_age_s: router.heard.age_ms(now) as f64 / 1000.0,
            digest_prefix: digest,
            nacks: router.heard.nacks().len(),
            routers: router.heard.routers(),
        };
        router.telemetry.observe(router.admission.in_flight(), applied);
        census.take(&view, unix_ms());
        census.disagreeing(router.heard.agreement.differing());
    }
}
