//! The command line. A flag wins over its `TRUNKLINE_…` variable, and both over the file. What the
//! values mean is in `file`, what they become in `resolve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser};
use trunkline_spec::keys::RoleEntry;
use trunkline_store::EtcdFlags;

use super::file::{
    AdminTlsEntry, ConfigFile, EtcdTlsEntry, EvidenceTlsEntry, LogFormatEntry, LogLevel,
    StoreEntry, TlsEntry, default_snapshot_dir,
};

/// Trunkline's router: serves inference calls and picks a provider for each.
#[derive(Clone, Debug, Parser)]
#[command(name = "router-node", version)]
pub enum Cli {
    /// Serve calls.
    Serve(ServeArgs),
    /// Read the configuration and every document it names, and report all mistakes.
    Check(ServeArgs),
    /// Serve calls on this machine alone, with providers found from API keys in the environment.
    Dev(DevArgs),
    /// A scripted tour: calls, a provider killed, weights moving, a decision explained.
    Demo(DemoArgs),
    /// Make an API key for a store that has none: the key on the standard error stream, its document on the standard output.
    Key(KeyArgs),
}

/// Flags of `serve` and `check`.
#[derive(Clone, Debug, Default, Args)]
pub struct ServeArgs {
    /// The configuration file; without it, flags, environment and defaults make the configuration
    #[arg(long, env = "TRUNKLINE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where callers connect
    #[arg(long, env = "TRUNKLINE_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// The operations port
    #[arg(long, env = "TRUNKLINE_OPS", value_name = "ADDRESS:PORT")]
    pub ops: Option<SocketAddr>,
    /// The admin API
    #[arg(long, env = "TRUNKLINE_ADMIN", value_name = "ADDRESS:PORT")]
    pub admin: Option<SocketAddr>,
    /// How other routers reach the admin API
    #[arg(long, env = "TRUNKLINE_ADVERTISE_ADMIN", value_name = "URL")]
    pub advertise_admin: Option<String>,
    /// The failure domain this router stands in
    #[arg(long, env = "TRUNKLINE_ZONE")]
    pub zone: Option<String>,
    /// This router's name in the store
    #[arg(long, env = "TRUNKLINE_NODE_ID")]
    pub node_id: Option<String>,
    /// Store, identities, documents and the rest.
    #[command(flatten)]
    pub store: StoreArgs,
    /// TLS.
    #[command(flatten)]
    pub tls: TlsArgs,
    /// Documents.
    #[command(flatten)]
    pub documents: DocumentArgs,
    /// The process itself.
    #[command(flatten)]
    pub process: ProcessArgs,
}

/// Flags about the shared state.
#[derive(Clone, Debug, Default, Args)]
pub struct StoreArgs {
    /// Keep the state in this directory: one router alone
    #[arg(
        long,
        env = "TRUNKLINE_STORE_DIR",
        value_name = "DIR",
        conflicts_with = "etcd_endpoints"
    )]
    pub store_dir: Option<PathBuf>,
    /// Keep the state in etcd.
    #[command(flatten)]
    pub etcd: EtcdFlags,
    /// The directory that keeps what was last read of etcd, for a start while it is away
    #[arg(long, env = "TRUNKLINE_SNAPSHOT_DIR", value_name = "DIR")]
    pub snapshot_dir: Option<PathBuf>,
}

/// Flags about the identities of our own ports.
#[derive(Clone, Debug, Default, Args)]
pub struct TlsArgs {
    /// The certificate of the public port
    #[arg(long, env = "TRUNKLINE_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The key of the public port's certificate
    #[arg(long, env = "TRUNKLINE_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Who signs callers' certificates; with it callers must show one
    #[arg(long, env = "TRUNKLINE_TLS_CLIENT_CA", value_name = "FILE", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,
    /// The certificate of the admin port
    #[arg(long, env = "TRUNKLINE_ADMIN_TLS_CERT", value_name = "FILE", requires = "admin_tls_key")]
    pub admin_tls_cert: Option<PathBuf>,
    /// The key of the admin port's certificate
    #[arg(long, env = "TRUNKLINE_ADMIN_TLS_KEY", value_name = "FILE", requires = "admin_tls_cert")]
    pub admin_tls_key: Option<PathBuf>,
    /// Who signs administrators' certificates; with it they must show one
    #[arg(
        long,
        env = "TRUNKLINE_ADMIN_TLS_CLIENT_CA",
        value_name = "FILE",
        requires = "admin_tls_cert"
    )]
    pub admin_tls_client_ca: Option<PathBuf>,
    /// Who signed probers' certificates
    #[arg(long, env = "TRUNKLINE_EVIDENCE_CA", value_name = "FILE")]
    pub evidence_ca: Option<PathBuf>,
    /// This router's own certificate to probers
    #[arg(long, env = "TRUNKLINE_EVIDENCE_CERT", value_name = "FILE", requires = "evidence_ca")]
    pub evidence_cert: Option<PathBuf>,
    /// The key of that certificate
    #[arg(long, env = "TRUNKLINE_EVIDENCE_KEY", value_name = "FILE", requires = "evidence_ca")]
    pub evidence_key: Option<PathBuf>,
}

/// Flags about documents and secrets.
#[derive(Clone, Debug, Default, Args)]
pub struct DocumentArgs {
    /// The catalog for a store that has none
    #[arg(long, env = "TRUNKLINE_CATALOG", value_name = "FILE")]
    pub catalog: Option<PathBuf>,
    /// The policy for a store that has none
    #[arg(long, env = "TRUNKLINE_POLICY", value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// The API keys for a store that has none
    #[arg(long, env = "TRUNKLINE_KEYS", value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// The file that holds the secret with which keys are hashed
    #[arg(long, env = "TRUNKLINE_KEY_PEPPER_FILE", value_name = "FILE")]
    pub key_pepper_file: Option<String>,
}

/// Flags about the process itself.
#[derive(Clone, Debug, Default, Args)]
pub struct ProcessArgs {
    /// How log lines look
    #[arg(long, env = "TRUNKLINE_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormatEntry>,
    /// From which level on lines are logged
    #[arg(long, env = "TRUNKLINE_LOG_LEVEL", value_enum)]
    pub log_level: Option<LogLevel>,
    /// Threads that serve calls; one a core when left out
    #[arg(long, env = "TRUNKLINE_WORKER_THREADS")]
    pub worker_threads: Option<u32>,
    /// The longest request body, in bytes
    #[arg(long, env = "TRUNKLINE_BODY_BYTES")]
    pub body_bytes: Option<u64>,
    /// Calls at once
    #[arg(long, env = "TRUNKLINE_CONCURRENCY")]
    pub concurrency: Option<u64>,
    /// Connections at once
    #[arg(long, env = "TRUNKLINE_CONNECTIONS")]
    pub connections: Option<u64>,
    /// How long calls are still accepted after the router said that it is not ready, in milliseconds
    #[arg(long, env = "TRUNKLINE_DRAIN_WAIT_MS")]
    pub drain_wait_ms: Option<u64>,
    /// How long calls may take to finish after that, in milliseconds
    #[arg(long, env = "TRUNKLINE_DRAIN_GRACE_MS")]
    pub drain_grace_ms: Option<u64>,
}

/// Ports of a command that serves this machine alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Args)]
pub struct LocalPorts {
    /// Where callers connect; a loopback address
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// The operations port; a loopback address
    #[arg(long, default_value = "127.0.0.1:9090", value_name = "ADDRESS:PORT")]
    pub ops: SocketAddr,
    /// The admin API; a loopback address
    #[arg(long, default_value = "127.0.0.1:9091", value_name = "ADDRESS:PORT")]
    pub admin: SocketAddr,
}

/// Flags of `dev`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct DevArgs {
    /// Ports.
    #[command(flatten)]
    pub ports: LocalPorts,
    /// Where the state is kept between runs
    #[arg(long, default_value = ".trunkline", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Forget the state of earlier runs
    #[arg(long)]
    pub fresh: bool,
    /// A catalog to use instead of the providers found in the environment
    #[arg(long, value_name = "FILE")]
    pub catalog: Option<PathBuf>,
    /// A policy to use
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// From which level on lines are logged
    #[arg(long, value_enum, default_value = "info")]
    pub log_level: LogLevel,
}

/// Flags of `demo`: none. It takes free ports, so that it runs beside anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Args)]
pub struct DemoArgs {}

/// Flags of `key`.
#[derive(Clone, Debug, Args)]
pub struct KeyArgs {
    /// What its holder may do on the admin API beside making calls: viewer, operator or admin
    #[arg(long, value_name = "ROLE", value_parser = role)]
    pub role: Option<RoleEntry>,
    /// Who has it and what for
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// The file that holds the secret with which keys are hashed, as on the routers
    #[arg(long, env = "TRUNKLINE_KEY_PEPPER_FILE", value_name = "FILE")]
    pub key_pepper_file: Option<String>,
}

fn role(text: &str) -> Result<RoleEntry, String> {
    let role = serde_json::from_value(serde_json::Value::from(text));
    role.map_err(|_| "write viewer, operator or admin".to_owned())
}

impl ServeArgs {
    /// Puts what the flags and the environment say in place of what the file says. A path given here is
    /// relative to the working directory, as paths on a command line are.
    pub(super) fn apply(&self, file: &mut ConfigFile) {
        put(&mut file.listen, self.listen.map(|a| a.to_string()));
        put(&mut file.ops, self.ops.map(|a| a.to_string()));
        put(&mut file.admin, self.admin.map(|a| a.to_string()));
        put(&mut file.zone, self.zone.clone());
        if self.advertise_admin.is_some() {
            self.advertise_admin.clone_into(&mut file.advertise_admin);
        }
        if self.node_id.is_some() {
            self.node_id.clone_into(&mut file.node_id);
        }
        self.store.apply(file);
        self.tls.apply(file);
        self.documents.apply(file);
        self.process.apply(file);
    }
}

impl StoreArgs {
    fn apply(&self, file: &mut ConfigFile) {
        if let Some(dir) = &self.store_dir {
            file.store = StoreEntry::Embedded { dir: here(dir) };
        }
        if !self.etcd.etcd_endpoints.is_empty() {
            let (tls, snapshot_dir) = match &file.store {
                StoreEntry::Etcd { tls, snapshot_dir, .. } => (tls.clone(), snapshot_dir.clone()),
                StoreEntry::Embedded { .. } => (None, default_snapshot_dir()),
            };
            let endpoints = self.etcd.etcd_endpoints.clone();
            file.store = StoreEntry::Etcd { endpoints, tls, snapshot_dir };
        }
        if let (Some(files), StoreEntry::Etcd { tls, .. }) = (self.etcd.tls(), &mut file.store) {
            let (cert, key) = files.identity.unzip();
            let (cert, key) = (cert.as_deref().map(here), key.as_deref().map(here));
            *tls = Some(EtcdTlsEntry { ca: here(&files.ca), cert, key });
        }
        if let (Some(dir), StoreEntry::Etcd { snapshot_dir, .. }) =
            (&self.snapshot_dir, &mut file.store)
        {
            *snapshot_dir = Some(here(dir));
        }
    }
}

impl TlsArgs {
    fn apply(&self, file: &mut ConfigFile) {
        let entry = |cert: &Option<PathBuf>, key: &Option<PathBuf>, ca: &Option<PathBuf>| {
            let (cert, key) = (cert.as_deref().map(here)?, key.as_deref().map(here)?);
            Some(TlsEntry { cert, key, client_ca: ca.as_deref().map(here) })
        };
        if let Some(tls) = entry(&self.tls_cert, &self.tls_key, &self.tls_client_ca) {
            file.tls = Some(tls);
        }
        let admin = entry(&self.admin_tls_cert, &self.admin_tls_key, &self.admin_tls_client_ca);
        if let Some(TlsEntry { cert, key, client_ca }) = admin {
            let peer_name = file.admin_tls.take().and_then(|written| written.peer_name);
            file.admin_tls = Some(AdminTlsEntry { cert, key, client_ca, peer_name });
        }
        if let Some(ca) = &self.evidence_ca {
            let (cert, key) = (self.evidence_cert.as_deref(), self.evidence_key.as_deref());
            file.evidence_tls =
                Some(EvidenceTlsEntry { ca: here(ca), cert: cert.map(here), key: key.map(here) });
        }
    }
}

impl DocumentArgs {
    fn apply(&self, file: &mut ConfigFile) {
        let into = &mut file.bootstrap;
        for (place, path) in [
            (&mut into.catalog, &self.catalog),
            (&mut into.policy, &self.policy),
            (&mut into.keys, &self.keys),
        ] {
            if let Some(path) = path {
                *place = Some(here(path));
            }
        }
        if let Some(pepper) = &self.key_pepper_file {
            let pepper = here(std::path::Path::new(pepper));
            file.key_pepper = Some(trunkline_spec::catalog::SecretEntry::File(pepper));
        }
    }
}

impl ProcessArgs {
    fn apply(&self, file: &mut ConfigFile) {
        put(&mut file.log.format, self.log_format);
        put(&mut file.log.level, self.log_level);
        if self.worker_threads.is_some() {
            file.worker_threads = self.worker_threads;
        }
        put(&mut file.limits.body_bytes, self.body_bytes);
        put(&mut file.limits.concurrency, self.concurrency);
        put(&mut file.limits.connections, self.connections);
        put(&mut file.drain.wait_ms, self.drain_wait_ms);
        put(&mut file.drain.grace_ms, self.drain_grace_ms);
    }
}

fn put<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// A path of the command line, made absolute, so that it is not taken as relative to the file.
pub(super) fn here(path: &std::path::Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}
