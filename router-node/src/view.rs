//! The view that calls are served from: `core`'s snapshot, and beside each endpoint what it takes to call it.
//! It is built whole and swapped atomically; a call takes it once.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderValue;
use trunkline_core::assess::Table;
use trunkline_core::catalog::{Provider, SecretRef};
use trunkline_core::id::ModelId;
use trunkline_core::plan::{LocalLayer, LocalLoad};
use trunkline_core::snapshot::{EndpointState, Snapshot};
use trunkline_upstream::{Credential, Target, TargetError};

use crate::auth::Keyring;
use crate::load::{EndpointLoad, LoadBook, ModelLoad};
use crate::telemetry::EndpointMeter;

/// One endpoint with everything that it takes to call it.
pub struct Lane {
    /// The endpoint, as people write it.
    pub name: Arc<str>,
    /// Its id.
    pub id: Arc<str>,
    /// Its local state.
    pub load: Arc<EndpointLoad>,
    /// Its metrics.
    pub meter: Arc<EndpointMeter>,
    /// Its addresses and headers; `None` when they could not be built, which was logged.
    pub target: Option<Arc<Target>>,
    /// How many credentials it has.
    pub credentials: usize,
}

/// What one call is served from.
pub struct View {
    /// Policy, catalog, verdicts and weights.
    pub snapshot: Snapshot,
    /// One for each of the snapshot's endpoints, in its order.
    pub lanes: Vec<Lane>,
    /// The keys in force.
    pub keyring: Keyring,
    /// The policy's version, as records and headers carry it.
    pub policy_version: Arc<str>,
    /// The same as a header.
    pub policy_header: HeaderValue,
    /// Verdicts and weights, with what they were made from.
    pub table: Table,
    models: BTreeMap<ModelId, Arc<ModelLoad>>,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("revision", &self.snapshot.revision).finish_non_exhaustive()
    }
}

/// Finds a secret by its reference. Reading the environment and files is the configuration's affair.
pub trait Secrets: Send + Sync {
    /// The secret, or why there is none, in words that name the variable or file and not its contents.
    ///
    /// # Errors
    /// The reason.
    fn find(&self, reference: &SecretRef) -> Result<Credential, String>;
}

/// A problem that leaves an endpoint without calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneProblem {
    /// The endpoint, as people write it.
    pub endpoint: String,
    /// What is wrong.
    pub reason: String,
}

impl View {
    /// Builds the view. Endpoints that cannot be called are kept, without a target, and reported.
    pub fn build(
        snapshot: Snapshot,
        keyring: Keyring,
        table: Table,
        book: &LoadBook,
        secrets: &dyn Secrets,
    ) -> (Self, Vec<LaneProblem>) {
        let mut problems = Vec::new();
        let lanes = snapshot
            .endpoints
            .iter()
            .map(|state| {
                let (target, credentials) = match target(&snapshot, state, secrets) {
                    Ok((target, credentials)) => (Some(Arc::new(target)), credentials),
                    Err(reason) => {
                        problems.push(LaneProblem { endpoint: state.endpoint.name(), reason });
                        (None, 0)
                    }
                };
                Lane {
                    name: Arc::from(state.endpoint.name()),
                    id: Arc::from(state.endpoint.id.as_str()),
                    load: book.endpoint(state.endpoint.id),
                    meter: Arc::new(EndpointMeter::new(state)),
                    target,
                    credentials,
                }
            })
            .collect();
        let models = snapshot.models().map(|m| (m.clone(), book.model(m))).collect();
        let policy_version: Arc<str> = Arc::from(snapshot.policy.version.as_str());
        let policy_header = HeaderValue::from_str(&policy_version);
        let policy_header = policy_header.unwrap_or(HeaderValue::from_static(""));
        let view = Self { snapshot, lanes, keyring, policy_version, policy_header, table, models };
        (view, problems)
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

fn target(
    snapshot: &Snapshot,
    state: &EndpointState,
    secrets: &dyn Secrets,
) -> Result<(Target, usize), String> {
    let provider = provider_of(snapshot, state).ok_or("its provider is not in the catalog")?;
    let credentials: Vec<Credential> =
        provider.credentials.iter().map(|r| secrets.find(r)).collect::<Result<_, _>>()?;
    let target = Target::new(provider, &state.endpoint, &credentials);
    Ok((target.map_err(|e: TargetError| e.to_string())?, credentials.len()))
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
