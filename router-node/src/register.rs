//! This router's sign of life: a leased record of what it has applied, what it refuses, and what it still has
//! in flight where something is drained. It is written when one of these changed, and not more often than
//! the cluster can take: other routers' signs change nothing here, so no sign ever causes another.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};
use trunkline_core::id::Zone;
use trunkline_runtime::{BoxError, Shutdown};
use trunkline_spec::overrides::Scope;
use trunkline_spec::router::{DrainedLoad, MAX_NAMED_NACKS, NackRecord, RouterRecord};
use trunkline_store::keys::{Key, Segment};
use trunkline_store::{LeaseId, Store, StoreError, Txn};

use crate::config::Config;
use crate::ingress::grpc::digest_hex;
use crate::pipeline::Router;
use crate::view::View;

/// How long a router counts as alive after its last sign.
const LEASE_TTL: Duration = Duration::from_secs(15);
/// Time between two signs.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(4);
/// Between two records of one router, at least; what changed meanwhile is in the second.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// Records of all routers together, a second: each write wakes every router and every prober.
const CLUSTER_WRITES_A_SECOND: u32 = 20;
/// After a failed errand.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// A store that takes longer does not answer.
const ERRAND_DEADLINE: Duration = Duration::from_secs(5);
/// How often calls in flight are looked at while something is drained.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks without a call in flight after which a drain is quiet here: two, two seconds apart.
const QUIET_LOOKS: u32 = 3;
/// The longest part of the host's name in a name that is made up.
const HOST_CHARS: usize = 40;

/// Who this router is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name in the store.
    pub node: Arc<str>,
    /// Where callers reach it.
    pub address: String,
    /// Where other routers reach its admin API, as a URL; empty when it only knows an address that stands for
    /// all of its host's.
    pub admin_url: String,
    /// Where it stands.
    pub zone: Zone,
}

impl Identity {
    /// The router of this configuration, whose public port and admin API listen there.
    pub fn of(config: &Config, public: SocketAddr, admin: SocketAddr) -> Self {
        let scheme = if config.admin_tls.is_some() { "https" } else { "http" };
        let bound = (!admin.ip().is_unspecified()).then(|| format!("{scheme}://{admin}"));
        Self {
            node: config.node_id.clone().unwrap_or_else(made_up_name).into(),
            address: public.to_string(),
            admin_url: config.advertise_admin.clone().or(bound).unwrap_or_default(),
            zone: config.zone.clone(),
        }
    }
}

/// A name for a router that was given none: the host's and a random part.
fn made_up_name() -> String {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let host: String = host.unwrap_or_default().chars().filter(plain).take(HOST_CHARS).collect();
    let host = if host.is_empty() { "router" } else { &host };
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{host}-{}", random.get(..8).unwrap_or_default())
}

/// Keeps one router registered.
pub struct Registrar {
    router: Arc<Router>,
    store: Arc<dyn Store>,
    identity: Identity,
    key: String,
    lease: Registration,
    /// What the store has.
    written: Option<RouterRecord>,
    write_at: Instant,
    /// There is more to say as soon as a write is allowed.
    pending: bool,
    keep_alive_at: Instant,
    not_before: Instant,
    looked_at: Option<Instant>,
    quiet: Vec<(Scope, u32)>,
    fails: bool,
}

/// The lease of a registered router, for whoever ends it.
#[derive(Clone, Default)]
pub struct Registration(Arc<Mutex<Option<LeaseId>>>);

impl Registration {
    fn get(&self) -> Option<LeaseId> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, lease: Option<LeaseId>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = lease;
    }

    /// Ends it, after the last call: a router that is gone has nothing in flight. A lease that cannot be
    /// ended expires.
    pub async fn end(&self, store: &dyn Store) {
        let Some(lease) = self.get() else { return };
        self.set(None);
        if let Err(error) = in_time(store.revoke(lease)).await {
            tracing::warn!(%error, "the registration could not be ended and will expire");
        }
    }
}

impl Registrar {
    /// Nothing is written yet.
    ///
    /// # Errors
    /// When the name cannot be part of a key.
    pub fn new(
        router: Arc<Router>,
        store: Arc<dyn Store>,
        identity: Identity,
    ) -> Result<Self, BoxError> {
        let name = Segment::new(&identity.node).ok_or("node_id: not a name that a key can hold")?;
        let now = Instant::now();
        Ok(Self {
            router,
            store,
            identity,
            key: Key::Router(name).to_string(),
            lease: Registration::default(),
            written: None,
            write_at: now,
            pending: false,
            keep_alive_at: now,
            not_before: now,
            looked_at: None,
            quiet: Vec::new(),
            fails: false,
        })
    }

    /// The lease, for whoever ends it.
    pub fn registration(&self) -> Registration {
        self.lease.clone()
    }

    /// Registers, and goes on until it is dropped: a router that leaves still has calls in flight.
    ///
    /// # Errors
    /// None: a store that is away is tried again.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), BoxError> {
        loop {
            let outcome = self.turn(shutdown.is_triggered()).await;
            self.note(outcome);
            let router = Arc::clone(&self.router);
            tokio::select! {
                () = router.heard.moved() => {}
                () = sleep_until(self.wake_at()) => {}
                () = shutdown.wait(), if !shutdown.is_triggered() => {}
            }
        }
    }

    /// One look, and the most pressing errand.
    async fn turn(&mut self, leaving: bool) -> Result<(), StoreError> {
        let now = Instant::now();
        self.look_at_drains(now);
        if now < self.not_before {
            return Ok(());
        }
        let record = self.record(leaving);
        let Some(lease) = self.lease.get() else { return self.register(record).await };
        if now >= self.keep_alive_at {
            self.keep_alive_at = now + KEEP_ALIVE_EVERY;
            in_time(self.store.keep_alive(lease)).await?;
            if !self.router.heard.knows_router(&self.identity.node) {
                // Somebody deleted the record and left the lease.
                self.written = None;
            }
        }
        self.pending = self.is_news(&record);
        if self.pending && now >= self.write_at {
            return self.write(record, lease).await;
        }
        Ok(())
    }

    async fn register(&mut self, record: RouterRecord) -> Result<(), StoreError> {
        let lease = in_time(self.store.grant_lease(LEASE_TTL)).await?.id;
        self.keep_alive_at = Instant::now() + KEEP_ALIVE_EVERY;
        self.write(record, lease).await?;
        self.lease.set(Some(lease));
        tracing::info!(node = &*self.identity.node, "registered");
        Ok(())
    }

    async fn write(&mut self, record: RouterRecord, lease: LeaseId) -> Result<(), StoreError> {
        let txn = Txn::new().put_leased(&self.key, record.clone().encode(), lease);
        in_time(self.store.commit(txn)).await?;
        let routers = u32::try_from(self.router.heard.routers()).unwrap_or(u32::MAX);
        let fair = Duration::from_secs(1) * routers / CLUSTER_WRITES_A_SECOND;
        self.write_at = Instant::now() + fair.max(WRITE_EVERY);
        self.written = Some(record);
        self.pending = false;
        Ok(())
    }

    /// Whether a record says more than the last one did. That the store went on is no news: every sign of
    /// another router makes it go on.
    fn is_news(&self, record: &RouterRecord) -> bool {
        let applied_revision = record.applied_revision;
        let last = self.written.as_ref().map(|w| RouterRecord { applied_revision, ..w.clone() });
        last.as_ref() != Some(record)
    }

    fn record(&self, leaving: bool) -> RouterRecord {
        let view = self.router.view.load();
        let drains = self.drains(&view);
        RouterRecord { leaving, drains, ..reading(&self.router, &self.identity, &view) }
    }

    fn drains(&self, view: &View) -> Vec<DrainedLoad> {
        let load = |scope: &Scope| {
            let looks =
                self.quiet.iter().find(|(known, _)| known == scope).map(|(_, looks)| *looks);
            let in_flight = in_flight(view, scope);
            let quiet = in_flight == 0 && looks.is_some_and(|looks| looks >= QUIET_LOOKS);
            DrainedLoad { scope: scope.to_string(), in_flight, quiet }
        };
        view.drained.iter().map(load).collect()
    }

    /// Counts the looks at which a drain had nothing in flight.
    fn look_at_drains(&mut self, now: Instant) {
        if self.looked_at.is_some_and(|at| now < at + LOOK_EVERY) {
            return;
        }
        self.looked_at = Some(now);
        let view = self.router.view.load_full();
        let looks = |scope: &Scope| {
            let before = self.quiet.iter().find(|(known, _)| known == scope).map(|(_, n)| *n);
            let empty = in_flight(&view, scope) == 0;
            (scope.clone(), if empty { before.unwrap_or(0).saturating_add(1) } else { 0 })
        };
        self.quiet = view.drained.iter().map(looks).collect();
    }

    fn wake_at(&self) -> Instant {
        let mut due = self.keep_alive_at;
        if self.pending {
            due = due.min(self.write_at);
        }
        if !self.router.view.load().drained.is_empty() {
            due = due.min(self.looked_at.map_or(due, |at| at + LOOK_EVERY));
        }
        if self.lease.get().is_none() { self.not_before } else { due.max(self.not_before) }
    }

    fn note(&mut self, outcome: Result<(), StoreError>) {
        let Err(error) = outcome else {
            self.fails = false;
            return;
        };
        if matches!(error, StoreError::LeaseGone { .. }) {
            self.lease.set(None);
        }
        self.not_before = Instant::now() + RETRY_AFTER;
        if !std::mem::replace(&mut self.fails, true) {
            tracing::warn!(%error, "the registration failed, trying on");
        }
    }
}

/// What a router says of itself at this moment, without its drains.
pub fn reading(router: &Router, identity: &Identity, view: &View) -> RouterRecord {
    let nacks = router.heard.nacks();
    let named = nacks.iter().take(MAX_NAMED_NACKS).map(|nack| NackRecord {
        key: nack.key.clone(),
        revision: nack.revision,
        reason: nack.reason.clone(),
    });
    RouterRecord {
        address: identity.address.clone(),
        admin_url: identity.admin_url.clone(),
        zone: identity.zone.as_str().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        applied_revision: view.applied_revision(),
        changed_revision: view.changed,
        table_digest: digest_hex(&view.table.digest),
        nack_count: nacks.len() as u64,
        nacks: named.collect(),
        ..RouterRecord::default()
    }
}

/// Calls that this router has in flight at what a scope covers.
pub fn in_flight(view: &View, scope: &Scope) -> u64 {
    let lanes = view.snapshot.endpoints.iter().zip(view.lanes.iter());
    let covered = lanes.filter(|(state, _)| scope.covers(&state.endpoint));
    covered.map(|(_, lane)| u64::from(lane.load.in_flight())).sum()
}

async fn in_time<T>(errand: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let late = StoreError::InDoubt { reason: "no answer within five seconds".to_owned() };
    timeout(ERRAND_DEADLINE, errand).await.unwrap_or(Err(late))
}
