//! Lanes: each endpoint with what it takes to call it. They are kept over views; only what is made of
//! something else than before is made anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use trunkline_core::catalog::{Endpoint, Provider, SecretRef};
use trunkline_core::id::ProviderId;
use trunkline_core::snapshot::{EndpointState, Snapshot};
use trunkline_upstream::{Credential, Target};

use super::provider_of;
use crate::load::{EndpointLoad, LoadBook};
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
    source: Source,
}

impl Lane {
    /// Why it cannot be called, in words that name variables and files and never what is in them.
    pub fn problem(&self) -> Option<String> {
        let Source { endpoint, account } = &self.source;
        target(endpoint, account).err()
    }

    /// The endpoint as the catalog has it.
    pub fn endpoint(&self) -> &Endpoint {
        &self.source.endpoint
    }
}

/// What a lane is made of.
#[derive(PartialEq, Eq)]
struct Source {
    endpoint: Endpoint,
    account: Account,
}

/// A provider, and its secrets or why there are none.
#[derive(Clone, PartialEq, Eq)]
struct Account {
    provider: Option<Provider>,
    credentials: Result<Arc<[Credential]>, String>,
}

/// Finds a secret by its reference. Reading the environment and files is the configuration's affair.
pub trait Secrets: Send + Sync {
    /// The secret, or why there is none, in words that name the variable or file and not its contents.
    ///
    /// # Errors
    /// The reason.
    fn find(&self, reference: &SecretRef) -> Result<Credential, String>;
}

/// A lane for each of the snapshot's endpoints, in its order; those of `before` that are made of the same are
/// kept.
pub(super) fn of(
    snapshot: &Snapshot,
    before: &[Arc<Lane>],
    book: &LoadBook,
    secrets: &dyn Secrets,
) -> Arc<[Arc<Lane>]> {
    let mut accounts: BTreeMap<ProviderId, Account> = BTreeMap::new();
    let known: BTreeMap<&str, &Arc<Lane>> = before.iter().map(|lane| (&*lane.id, lane)).collect();
    let lane = |state: &EndpointState| {
        let id = state.endpoint.provider.clone();
        let account = accounts.entry(id).or_insert_with(|| account(snapshot, state, secrets));
        let kept = known.get(state.endpoint.id.as_str()).filter(|lane| {
            lane.source.endpoint == state.endpoint && lane.source.account == *account
        });
        kept.map_or_else(|| Arc::new(make(state, account.clone(), book)), |lane| Arc::clone(lane))
    };
    snapshot.endpoints.iter().map(lane).collect()
}

fn account(snapshot: &Snapshot, state: &EndpointState, secrets: &dyn Secrets) -> Account {
    let provider = provider_of(snapshot, state).cloned();
    let references = provider.iter().flat_map(|provider| &provider.credentials);
    Account { credentials: references.map(|r| secrets.find(r)).collect(), provider }
}

fn make(state: &EndpointState, account: Account, book: &LoadBook) -> Lane {
    let name = state.endpoint.name();
    let (target, credentials) = match target(&state.endpoint, &account) {
        Ok((target, credentials)) => (Some(Arc::new(target)), credentials),
        Err(reason) => {
            tracing::warn!(endpoint = name, reason, "endpoint cannot be called");
            (None, 0)
        }
    };
    Lane {
        name: Arc::from(name),
        id: Arc::from(state.endpoint.id.as_str()),
        load: book.endpoint(state.endpoint.id),
        meter: Arc::new(EndpointMeter::new(state)),
        target,
        credentials,
        source: Source { endpoint: state.endpoint.clone(), account },
    }
}

fn target(endpoint: &Endpoint, account: &Account) -> Result<(Target, usize), String> {
    let provider = account.provider.as_ref().ok_or("its provider is not in the catalog")?;
    let credentials = account.credentials.as_ref().map_err(String::clone)?;
    let target = Target::new(provider, endpoint, credentials).map_err(|e| e.to_string())?;
    Ok((target, credentials.len()))
}
