//! What every way of running a router shares: from a store and a configuration to the state that calls are
//! served from, before anything listens.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use trunkline_core::catalog::SecretRef;
use trunkline_core::id::Zone;
use trunkline_runtime::BoxError;
use trunkline_runtime::readiness::Readiness;
use trunkline_store::port::{Expect, Store, StoreError, Txn};
use trunkline_upstream::{Credential, Transport};

use crate::admission::Admission;
use crate::config::{self, Documents};
use crate::disk::Disk;
use crate::evidence::Board;
use crate::fold::{CATALOG, Fold, KEYS, POLICY};
use crate::follow::Follower;
use crate::generations::Generations;
use crate::heard::Heard;
use crate::ledger::{Entry, Ledger};
use crate::load::Clock;
use crate::pipeline::Router;
use crate::settings::Settings;
use crate::spending::Accounts;
use crate::telemetry::Telemetry;
use crate::view::{Builder, Secrets};

/// What hashes keys where no pepper is configured.
pub const NO_PEPPER: [u8; 32] = [0; 32];
/// The context that a pepper is derived for, as BLAKE3 asks.
const PEPPER_CONTEXT: &str = "trunkline 2026 api key pepper";

/// Finds secrets where documents say they are.
pub struct ConfiguredSecrets;

impl Secrets for ConfiguredSecrets {
    fn find(&self, reference: &SecretRef) -> Result<Credential, String> {
        let secret = config::secret(reference).map_err(|e| e.to_string())?;
        Credential::new(&secret).map_err(|e| e.to_string())
    }
}

/// The key that API keys are hashed with.
///
/// # Errors
/// When the configured secret cannot be had.
pub fn pepper(reference: Option<&SecretRef>) -> Result<[u8; 32], BoxError> {
    let Some(reference) = reference else { return Ok(NO_PEPPER) };
    let secret = config::secret(reference)?;
    Ok(blake3::derive_key(PEPPER_CONTEXT, secret.as_bytes()))
}

/// Writes documents into a store that has none of their kind; what is there stays, and a router that may not
/// write needs to only where something is missing. The catalog comes last: whoever has one is ready for calls, and
/// must know their keys by then.
///
/// # Errors
/// When the store cannot be written.
pub async fn bootstrap(store: &dyn Store, documents: &Documents) -> Result<(), StoreError> {
    let named = [
        (KEYS, documents.keys.as_ref().map(|d| &d.canonical)),
        (POLICY, documents.policy.as_ref().map(|d| &d.canonical)),
        (CATALOG, documents.catalog.as_ref().map(|d| &d.canonical)),
    ];
    for (path, canonical) in named {
        let Some(canonical) = canonical else { continue };
        let key = format!("{}{path}", trunkline_store::keys::CONFIG);
        if store.get(&key).await?.is_some() {
            continue;
        }
        let txn = Txn::new().expect(&key, Expect::Absent).put(&key, canonical.clone().into_bytes());
        store.commit(txn).await?;
    }
    Ok(())
}

/// What a router is made of.
pub struct Parts {
    /// What calls are served from.
    pub router: Arc<Router>,
    /// Follows the store.
    pub follower: Follower,
    /// Records on their way to the background.
    pub records: mpsc::Receiver<Entry>,
}

/// How a router is made.
pub struct Setup {
    /// The shared state.
    pub store: Arc<dyn Store>,
    /// The zone it stands in.
    pub zone: Zone,
    /// The key that API keys are hashed with.
    pub pepper: [u8; 32],
    /// What of its configuration can change.
    pub settings: Settings,
    /// What was understood of the store, on the disk; for a store on other machines.
    pub disk: Option<Disk>,
    /// Tells when the router is ready.
    pub readiness: Readiness,
}

/// Makes a router. It serves nothing until its follower has read a catalog.
///
/// # Errors
/// When the connections to providers cannot be set up.
pub fn assemble(setup: Setup) -> Result<Parts, BoxError> {
    let telemetry = Arc::new(Telemetry::new());
    let (ledger, records) = Ledger::new(Arc::clone(&telemetry));
    let fold = Fold::default();
    let accounts = Arc::new(Accounts::default());
    let secrets = Arc::new(ConfiguredSecrets);
    let mut builder = Builder::new(setup.zone, setup.pepper, secrets, Arc::clone(&accounts));
    let router = Arc::new(Router {
        view: ArcSwap::from_pointee(builder.build(&fold)),
        transport: Transport::new()?,
        ledger: Arc::new(ledger),
        generations: Arc::new(Generations::default()),
        telemetry,
        admission: Admission::new(),
        evidence: Board::new(),
        clock: Clock::start(),
        heard: Heard::default(),
        accounts,
        settings: ArcSwap::from_pointee(setup.settings),
    });
    let follower = Follower {
        watch: setup.store.watch(trunkline_store::keys::ROOT),
        fold,
        builder,
        router: Arc::clone(&router),
        disk: setup.disk,
        configured: setup.readiness.guard("configuration"),
    };
    Ok(Parts { router, follower, records })
}

#[cfg(test)]
mod tests;
