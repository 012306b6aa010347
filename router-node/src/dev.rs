//! `router-node dev`: everything on this machine, in one process. Three simulated providers, and beside them
//! every real one whose key is in the environment.

mod banner;
mod catalog;
mod sims;

use std::path::Path;
use std::sync::Arc;

use health_prober::config::ProberConfig;
use health_prober::evidence::mailbox;
use trunkline_core::catalog::SecretRef;
use trunkline_core::id::{ProberId, Zone};
use trunkline_runtime::{BoxError, signals};
use trunkline_spec::{keys, policy};
use trunkline_store::port::{Expect, Store};

use crate::app::{self, Listeners, Observability, Running};
use crate::certificates::Certificates;
use crate::config::{Config, Dev, DevArgs, Drain, Limits, ServeArgs, StoreConfig};
use crate::evidence::local;
use crate::fold::{CATALOG, KEYS, POLICY};

use crate::serve::ConfiguredSecrets;
use crate::view::Secrets;

pub use catalog::Offer;
pub use sims::Sims;

/// The API key of a development router.
pub const DEV_KEY: &str = "dev";
/// The public part of that key.
const DEV_KEY_ID: &str = "devlocal";
/// A developer who presses Ctrl-C does not wait longer.
const DRAIN_GRACE_MS: u64 = 2_000;
/// A developer's own callers are few: a smaller limit of open files than `serve` would like is no news to them.
const LEAST_CONNECTIONS: usize = 128;
/// Zones that a development router pretends its probers stand in.
pub const ZONES: [&str; 3] = ["zone-a", "zone-b", "zone-c"];

/// Runs until a signal.
///
/// # Errors
/// What keeps it from starting, or the task that failed.
pub async fn run(args: DevArgs) -> Result<(), BoxError> {
    let dev = args.checked()?;
    if dev.fresh {
        forget(&dev.data_dir)?;
    }
    let config = config(&dev)?;
    let observability = Observability::start(&config)?;
    let sims = Sims::start().await?;
    let (mut running, offer) = start(&dev, &config, &sims, &observability).await?;
    banner::print(&dev, &running, &sims, &offer);
    running.tasks.spawn("signals", signals(running.shutdown.clone()));
    running.join().await
}

/// Starts a development router with these providers; comes back with what it serves.
///
/// # Errors
/// What keeps it from starting.
pub async fn start(
    dev: &Dev,
    config: &Config,
    sims: &Sims,
    observability: &Observability,
) -> Result<(Running, Offer), BoxError> {
    let listeners = Listeners::bind(config.listen, config.ops, config.admin).await?;
    let certificates = Certificates::default();
    let store = app::open_store(&config.store, &certificates).await?;
    let offer = catalog::offer(dev, sims).await?;
    fill(store.as_ref(), dev, &offer.document).await?;
    let mut running = app::start(config, listeners, store, observability, &certificates).await?;
    start_probers(&mut running);
    Ok((running, offer))
}

/// The configuration of a development router: the defaults, on this machine alone.
///
/// # Errors
/// None that a user can cause: the defaults are sound.
pub fn config(dev: &Dev) -> Result<Config, BoxError> {
    let defaults = Config::load(&ServeArgs::default())?;
    Ok(Config {
        limits: Limits { least_connections: LEAST_CONNECTIONS, ..defaults.limits },
        listen: dev.ports.listen,
        ops: dev.ports.ops,
        admin: dev.ports.admin,
        zone: Zone::new(ZONES.first().copied().unwrap_or_default()),
        node_id: Some("dev".to_owned()),
        store: StoreConfig::Embedded { dir: dev.data_dir.clone() },
        log_level: dev.log_level,
        drain: Drain { wait_ms: 0, grace_ms: DRAIN_GRACE_MS },
        ..defaults
    })
}

fn forget(dir: &Path) -> Result<(), BoxError> {
    match std::fs::remove_dir_all(dir) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("cannot remove {}: {error}", dir.display()).into()),
    }
}

/// The catalog and the key are written at every start, because the simulated providers' ports change; a
/// policy only where there is none, because a developer may have edited it.
async fn fill(store: &dyn Store, dev: &Dev, catalog: &str) -> Result<(), BoxError> {
    let key = |path: &str| format!("{}{path}", trunkline_store::keys::CONFIG);
    let canonical = trunkline_spec::catalog::canonical(catalog)?;
    store.put(&key(CATALOG), canonical.into_bytes().into(), Expect::Any).await?;
    let canonical = keys::canonical(&key_document())?;
    store.put(&key(KEYS), canonical.into_bytes().into(), Expect::Any).await?;
    let text = match &dev.policy {
        Some(file) => std::fs::read_to_string(file)?,
        None => "version: 1\ntags: [feature, stage]\n".to_owned(),
    };
    let expect = if dev.policy.is_some() { Expect::Any } else { Expect::Absent };
    match store.put(&key(POLICY), policy::canonical(&text)?.into_bytes().into(), expect).await {
        Ok(_) | Err(trunkline_store::port::StoreError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn key_document() -> String {
    let hash = crate::auth::hash_key(&crate::serve::NO_PEPPER, DEV_KEY.as_bytes());
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "version: 1\nkeys:\n  - id: {DEV_KEY_ID}\n    hash: {hex}\n    role: admin\n    note: development\n"
    )
}

/// Three probers of three pretend zones, in this process: the same code as `health-prober`.
fn start_probers(running: &mut Running) {
    for zone in ZONES {
        let secrets = Arc::new(|reference: &SecretRef| ConfiguredSecrets.find(reference));
        let id = ProberId::new(&format!("dev-{zone}"));
        let prober = ProberConfig::new(id, Zone::new(zone), secrets);
        let (sender, evidence) = mailbox();
        let (store, shutdown) = (Arc::clone(&running.store), running.shutdown.clone());
        let (router, identity) = (Arc::clone(&running.router), running.identity.clone());
        let report = local::report(router, identity, sender, shutdown.clone());
        running.tasks.spawn("reports to a prober", report);
        running.tasks.spawn("prober", health_prober::app::run(prober, store, evidence, shutdown));
    }
}
