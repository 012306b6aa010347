//! The view that calls are served from: `core`'s snapshot, and beside each endpoint what it takes to call it.
//! It is swapped whole; a call takes it once. What configuration alone decides is made when configuration
//! changes and shared by the views between: a new measurement costs a new table and no more.

mod lanes;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use http::HeaderValue;
use trunkline_core::assess::Table;
use trunkline_core::catalog::Provider;
use trunkline_core::id::{ModelId, Zone};
use trunkline_core::plan::{LocalLayer, LocalLoad};
use trunkline_core::policy::Policy;
use trunkline_core::snapshot::{EndpointState, Snapshot};
use trunkline_spec::overrides::{Drain, Scope};

use crate::auth::Keyring;
use crate::canary::Running;
use crate::fold::Fold;
use crate::load::{LoadBook, ModelLoad};
use crate::spending::Accounts;

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
    /// The candidate policy that decides a share of the calls, while there is one.
    pub canary: Option<Running>,
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
    models: Arc<HashMap<ModelId, Arc<ModelLoad>>>,
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
    accounts: Arc<Accounts>,
    book: LoadBook,
    settled: Option<Settled>,
    canary: Option<Running>,
}

/// What is served under one policy.
struct Served {
    snapshot: Snapshot,
    table: Table,
}

impl Served {
    fn under(policy: &Arc<Policy>, fold: &Fold, zone: &Zone) -> Self {
        let table = fold.table_under(policy, zone);
        let (providers, states) = (fold.catalog.providers.clone(), table.states(&fold.catalog));
        let snapshot = Snapshot::new(fold.revision, Arc::clone(policy), providers, states);
        Self { snapshot, table }
    }

    /// With all that does not depend on the policy.
    fn view(self, fold: &Fold, settled: &Settled) -> View {
        let version: Arc<str> = Arc::from(self.snapshot.policy.version.as_str());
        let header = HeaderValue::from_str(&version).unwrap_or(HeaderValue::from_static(""));
        View {
            snapshot: self.snapshot,
            lanes: Arc::clone(&settled.lanes),
            keyring: Arc::clone(&settled.keyring),
            policy_version: version,
            policy_header: header,
            table: self.table,
            canary: None,
            drained: Arc::clone(&settled.drained),
            timed_drains: Arc::clone(&settled.timed_drains),
            probers_by_zone: fold.probers_by_zone(),
            changed: fold.changed,
            applied: AtomicU64::new(fold.revision),
            models: Arc::clone(&settled.models),
        }
    }
}

/// What configuration alone decides.
#[derive(Clone)]
struct Settled {
    configurations: u64,
    looked_up: Instant,
    keyring: Arc<Keyring>,
    lanes: Arc<[Arc<Lane>]>,
    models: Arc<HashMap<ModelId, Arc<ModelLoad>>>,
    drained: Arc<[Scope]>,
    timed_drains: Arc<[Drain]>,
}

impl Builder {
    /// One for routers of `zone`, whose keys are hashed with `pepper` and spend from `accounts`.
    pub fn new(
        zone: Zone,
        pepper: [u8; 32],
        secrets: Arc<dyn Secrets>,
        accounts: Arc<Accounts>,
    ) -> Self {
        Self {
            zone,
            pepper,
            secrets,
            accounts,
            book: LoadBook::default(),
            settled: None,
            canary: None,
        }
    }

    /// The view of what was folded so far.
    pub fn build(&mut self, fold: &Fold) -> View {
        let stable = Served::under(&fold.policy, fold, &self.zone);
        let settled = self.settled(fold, &stable.snapshot);
        self.canary = fold.canary().map(|canary| Running {
            view: Arc::new(Served::under(&canary.policy, fold, &self.zone).view(fold, &settled)),
            tally: Running::tally_after(self.canary.as_ref(), canary),
            canary: Arc::clone(canary),
        });
        View { canary: self.canary.clone(), ..stable.view(fold, &settled) }
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
        let keyring = Keyring::new(self.pepper, &fold.keys(), &self.accounts, keyring);
        let lanes = lanes::of(snapshot, lanes, &self.book, self.secrets.as_ref());
        for lane in lanes.iter() {
            lane.load.cut_at(fold.cuts_at_ms(lane.endpoint()));
        }
        let models = snapshot.models().map(|m| (m.clone(), self.book.model(m))).collect();
        Settled {
            configurations: fold.configurations,
            looked_up: Instant::now(),
            keyring: Arc::new(keyring),
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
