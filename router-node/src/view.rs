//! The view that calls are served from: `core`'s snapshot, and beside each endpoint what it takes to call it.
//! It is swapped whole; a call takes it once. What configuration alone decides is made when configuration
//! changes and shared by the views between: a new measurement costs a new table and no more.

mod lanes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use http::HeaderValue;
use trunkline_core::assess::Table;
use trunkline_core::catalog::Provider;
use trunkline_core::id::{ModelId, Zone};
use trunkline_core::plan::{LocalLayer, LocalLoad};
use trunkline_core::snapshot::{EndpointState, Snapshot};
use trunkline_spec::overrides::{Drain, Scope};

use crate::auth::Keyring;
use crate::fold::Fold;
use crate::load::{LoadBook, ModelLoad};

pub use lanes::{Lane, Secrets};

/// Secrets are looked up again at the first view after this long, so that one that was replaced or was not
/// there yet is found without a change of the catalog.
const SECRETS_EVERY: Duration = Duration::from_secs(10);

/// What one call is served from.
pub struct View {
    /// Policy, catalog, verdicts and weights.
    pub snapshot: Snapshot,
    /// One for each of the snapshot's endpoints, in its order.
    pub lanes: Arc<[Arc<Lane>]>,
    /// The keys in force.
    pub keyring: Arc<Keyring>,
    /// The policy's version, as records and headers carry it.
    pub policy_version: Arc<str>,
    /// The same as a header.
    pub policy_header: HeaderValue,
    /// Verdicts and weights, with what they were made from.
    pub table: Table,
    /// What is drained.
    pub drained: Arc<[Scope]>,
    /// Those of the drains that somebody has to change as time passes.
    pub timed_drains: Arc<[Drain]>,
    /// Living probers, by where they stand.
    pub probers_by_zone: BTreeMap<Zone, u32>,
    /// The last revision that made a difference; see [`Fold::changed`].
    pub changed: u64,
    /// Everything up to this revision is in it: the snapshot's own, and then those that made no difference.
    pub applied: AtomicU64,
    models: Arc<BTreeMap<ModelId, Arc<ModelLoad>>>,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("revision", &self.snapshot.revision).finish_non_exhaustive()
    }
}

impl View {
    /// Everything up to this revision is in it.
    pub fn applied_revision(&self) -> u64 {
        self.applied.load(Relaxed)
    }

    /// The local layer at this moment.
    pub fn local(&self, now_ms: u64) -> LocalNow<'_> {
        LocalNow { view: self, now_ms }
    }

    /// The retry budget's numbers for a model.
    pub fn model_load(&self, model: &ModelId) -> Option<&Arc<ModelLoad>> {
        self.models.get(model)
    }
}

/// Makes views, one after the other.
pub struct Builder {
    zone: Zone,
    pepper: [u8; 32],
    secrets: Arc<dyn Secrets>,
    book: LoadBook,
    settled: Option<Settled>,
}

/// What configuration alone decides.
#[derive(Clone)]
struct Settled {
    configurations: u64,
    looked_up: Instant,
    policy_version: Arc<str>,
    policy_header: HeaderValue,
    keyring: Arc<Keyring>,
    lanes: Arc<[Arc<Lane>]>,
    models: Arc<BTreeMap<ModelId, Arc<ModelLoad>>>,
    drained: Arc<[Scope]>,
    timed_drains: Arc<[Drain]>,
}

impl Builder {
    /// One for routers of `zone`, whose keys are hashed with `pepper`.
    pub fn new(zone: Zone, pepper: [u8; 32], secrets: Arc<dyn Secrets>) -> Self {
        Self { zone, pepper, secrets, book: LoadBook::default(), settled: None }
    }

    /// The view of what was folded so far.
    pub fn build(&mut self, fold: &Fold) -> View {
        let table = fold.table(&self.zone);
        let (providers, states) = (fold.catalog.providers.clone(), table.states(&fold.catalog));
        let policy = Arc::clone(&fold.policy);
        let snapshot = Snapshot::new(fold.revision, policy, providers, states);
        let settled = self.settled(fold, &snapshot);
        View {
            snapshot,
            lanes: settled.lanes,
            keyring: settled.keyring,
            policy_version: settled.policy_version,
            policy_header: settled.policy_header,
            table,
            drained: settled.drained,
            timed_drains: settled.timed_drains,
            probers_by_zone: fold.probers_by_zone(),
            changed: fold.changed,
            applied: AtomicU64::new(fold.revision),
            models: settled.models,
        }
    }

    fn settled(&mut self, fold: &Fold, snapshot: &Snapshot) -> Settled {
        let current = self.settled.as_ref().filter(|settled| {
            let as_configured = settled.configurations == fold.configurations;
            as_configured && settled.looked_up.elapsed() < SECRETS_EVERY
        });
        let settled = current.cloned().unwrap_or_else(|| self.settle(fold, snapshot));
        self.settled.insert(settled).clone()
    }

    fn settle(&self, fold: &Fold, snapshot: &Snapshot) -> Settled {
        let before = self.settled.as_ref();
        let lanes = before.map(|settled| &*settled.lanes).unwrap_or_default();
        let keyring = before.map(|settled| &*settled.keyring);
        let version: Arc<str> = Arc::from(snapshot.policy.version.as_str());
        let header = HeaderValue::from_str(&version).unwrap_or(HeaderValue::from_static(""));
        let lanes = lanes::of(snapshot, lanes, &self.book, self.secrets.as_ref());
        for lane in lanes.iter() {
            lane.load.cut_at(fold.cuts_at_ms(lane.endpoint()));
        }
        let models = snapshot.models().map(|m| (m.clone(), self.book.model(m))).collect();
        Settled {
            configurations: fold.configurations,
            looked_up: Instant::now(),
            policy_version: version,
            policy_header: header,
            keyring: Arc::new(Keyring::new(self.pepper, &fold.keys(), keyring)),
            lanes,
            models: Arc::new(models),
            drained: Arc::from(fold.drained()),
            timed_drains: Arc::from(fold.timed_drains()),
        }
    }
}

/// The provider that runs an endpoint.
pub fn provider_of<'a>(snapshot: &'a Snapshot, state: &EndpointState) -> Option<&'a Provider> {
    let id = &state.endpoint.provider;
    let at = snapshot.providers.binary_search_by(|p| p.id.cmp(id)).ok()?;
    snapshot.providers.get(at)
}

/// The router's local layer at one moment.
pub struct LocalNow<'a> {
    view: &'a View,
    now_ms: u64,
}

impl LocalLayer for LocalNow<'_> {
    fn load(&self, endpoint: usize) -> LocalLoad {
        let Some(lane) = self.view.lanes.get(endpoint) else { return LocalLoad::default() };
        lane.load.read(lane.credentials, self.now_ms)
    }
}
