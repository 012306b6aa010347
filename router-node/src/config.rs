//! What one router is told at its start: flags, environment, file and defaults, in that order of
//! precedence, checked and complete. The only place that reads the environment. What the cluster is
//! told (catalog, policy, keys) lives in the store; here are only the files that fill an empty one.

mod bootstrap;
mod cli;
mod dev;
mod file;
mod otel;
mod page;
mod reload;
mod resolve;
mod tracing_entry;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use trunkline_core::catalog::SecretRef;
use trunkline_core::id::Zone;
use trunkline_core::policy::Role;
use trunkline_runtime::drain;
use trunkline_runtime::telemetry::LogFormat;
use trunkline_runtime::tls::{ClientFiles, TlsFiles};
use trunkline_spec::{Problems, load};

pub use bootstrap::{Documents, Written, check};
pub use cli::{Cli, DemoArgs, DevArgs, KeyArgs, LocalPorts, ServeArgs};
pub use dev::{Dev, KnownProvider, known_providers};
pub use file::{ConfigFile, LogLevel};
pub use page::config_page;
pub use reload::{Changes, Source};
pub use tracing_entry::Tracing;

/// The longest secret file, in bytes; a key has some hundred, so a wrong path shows.
const MAX_SECRET_BYTES: u64 = 16 * 1024;

/// The folder of records, in that of an embedded store.
const RECORDS: &str = "records";

/// Everything a router needs to start. Relative paths of the file have become relative to its folder.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where callers connect, by HTTP and gRPC.
    pub listen: SocketAddr,
    /// Liveness, readiness, metrics and the status page.
    pub ops: SocketAddr,
    /// The admin API.
    pub admin: SocketAddr,
    /// How other routers reach the admin API, as a URL; `None` for where it listens.
    pub advertise_admin: Option<String>,
    /// The failure domain this router stands in.
    pub zone: Zone,
    /// This router's name in the store; `None` to make one up at each start.
    pub node_id: Option<String>,
    /// Where the shared state is.
    pub store: StoreConfig,
    /// TLS on the public port; `None` for plain text.
    pub tls: Option<TlsFiles>,
    /// TLS on the admin port; `None` for plain text, which is refused beyond loopback unless allowed.
    pub admin_tls: Option<TlsFiles>,
    /// The name that other routers' admin ports show a certificate for; `None` for the host that each is asked at.
    pub admin_peer_name: Option<String>,
    /// Roles on the admin API beside those of the keys' own records, by `key/ID` or `cert/NAME`.
    pub admin_roles: BTreeMap<String, Role>,
    /// TLS to probers that ask for it.
    pub evidence_tls: Option<ClientFiles>,
    /// Documents for a store that has none.
    pub bootstrap: Bootstrap,
    /// The secret that keys are hashed with; `None` for no pepper.
    pub key_pepper: Option<SecretRef>,
    /// The bounds of the public port.
    pub limits: Limits,
    /// How log lines look.
    pub log_format: LogFormat,
    /// From which level on lines are logged.
    pub log_level: LogLevel,
    /// Threads that serve calls; `None` for one a core.
    pub worker_threads: Option<usize>,
    /// Where spans of calls go; `None` for nowhere.
    pub tracing: Option<Tracing>,
    /// How the router leaves.
    pub drain: Drain,
}

/// Where the shared state is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreConfig {
    /// In a directory of this machine: one router alone.
    Embedded {
        /// The directory, created if need be.
        dir: PathBuf,
    },
    /// In etcd: a cluster.
    Etcd {
        /// Where its members listen, as URLs.
        endpoints: Vec<String>,
        /// Who we are to it; `None` for no TLS.
        tls: Option<ClientFiles>,
        /// Where what was understood of it is kept, for a start while it is away; `None` for nowhere.
        snapshot_dir: Option<PathBuf>,
    },
}

impl StoreConfig {
    /// Where records are kept on the disk: beside a store that is there, too. In a cluster a router keeps
    /// nothing there but its disk snapshot.
    pub fn records_folder(&self) -> Option<PathBuf> {
        match self {
            Self::Embedded { dir } => Some(dir.join(RECORDS)),
            Self::Etcd { .. } => None,
        }
    }
}

/// Documents for a store that has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bootstrap {
    /// The catalog.
    pub catalog: Option<PathBuf>,
    /// The policy.
    pub policy: Option<PathBuf>,
    /// The API keys.
    pub keys: Option<PathBuf>,
}

/// The bounds of the public port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest request body, in bytes.
    pub body_bytes: usize,
    /// Calls at once; more are refused at once.
    pub concurrency: usize,
    /// Connections at once; more wait in the system's queue.
    pub connections: usize,
    /// When the system has room for fewer connections than this, somebody should know.
    pub least_connections: usize,
    /// Streams at once on one HTTP/2 connection.
    pub streams_per_connection: u32,
    /// The age at which a connection is told to finish, in milliseconds; `None` keeps connections.
    pub connection_age_ms: Option<u64>,
}

/// How the router leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long it still accepts calls after it said that it is not ready, in milliseconds.
    pub wait_ms: u64,
    /// How long calls may take to finish after that, in milliseconds.
    pub grace_ms: u64,
}

impl From<Drain> for drain::Drain {
    fn from(Drain { wait_ms, grace_ms }: Drain) -> Self {
        Self { delay: Duration::from_millis(wait_ms), grace: Duration::from_millis(grace_ms) }
    }
}

impl Config {
    /// The configuration of `router-node serve` and `check`: flag over environment over file over default.
    ///
    /// # Errors
    /// Everything wrong with the file and the flags, with lines.
    pub fn load(args: &ServeArgs) -> Result<Self, Problems> {
        Self::read(args).map(|(config, _)| config)
    }

    /// The same, and the file with flags and environment put in, from which it was made.
    fn read(args: &ServeArgs) -> Result<(Self, ConfigFile), Problems> {
        let Some(path) = &args.config else {
            let mut file = ConfigFile::default();
            args.apply(&mut file);
            otel::apply(&mut file, variable)?;
            return Ok((resolve::resolve(&file, Path::new(""))?, file));
        };
        let text = bootstrap::read("--config", path)?;
        let name = path.display().to_string();
        let mut loaded = load::<ConfigFile>(&text).map_err(|problems| problems.in_file(&name))?;
        args.apply(&mut loaded.document);
        otel::apply(&mut loaded.document, variable)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        match resolve::resolve(&loaded.document, folder) {
            Ok(config) => Ok((config, loaded.document)),
            Err(problems) => Err(loaded.locate(problems).in_file(&name)),
        }
    }
}

/// Why a secret cannot be had. It names the reference, never the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set, is empty, or is not text.
    #[error("the environment variable `{0}` is not set; set it where the router starts")]
    Variable(String),
    /// The file cannot be read.
    #[error("the secret file `{file}` cannot be read: {source}")]
    File {
        /// Its path.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is empty, too long, or is not text.
    #[error("the secret file `{0}` does not hold one short line of text")]
    Content(String),
}

/// Fetches a secret. The caller wraps it at once in a type that cannot be printed. Paths are relative to
/// the working directory.
///
/// # Errors
/// [`SecretError`], which names where the secret should be.
pub fn secret(reference: &SecretRef) -> Result<String, SecretError> {
    match reference {
        SecretRef::Env(name) => {
            let value = variable(name).filter(|value| !value.trim().is_empty());
            value.map(|v| v.trim().to_owned()).ok_or_else(|| SecretError::Variable(name.clone()))
        }
        SecretRef::File(file) => secret_file(file),
    }
}

fn secret_file(file: &str) -> Result<String, SecretError> {
    let failed = |source| SecretError::File { file: file.to_owned(), source };
    if std::fs::metadata(file).map_err(failed)?.len() > MAX_SECRET_BYTES {
        return Err(SecretError::Content(file.to_owned()));
    }
    let bytes = std::fs::read(file).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|_| SecretError::Content(file.to_owned()))?;
    let secret = text.trim();
    if secret.is_empty() || secret.contains('\n') {
        return Err(SecretError::Content(file.to_owned()));
    }
    Ok(secret.to_owned())
}

/// A variable of the environment, if it is set and is text.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests;
