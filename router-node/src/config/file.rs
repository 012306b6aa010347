//! The configuration file as people write it, and its defaults. What the values become is in `resolve`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trunkline_spec::catalog::SecretEntry;
use trunkline_spec::keys::RoleEntry;

use super::tracing_entry::TracingEntry;

/// The configuration of `router-node serve`. Relative paths are relative to this file's folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    /// Where callers connect, by HTTP and gRPC: an IP address and a port.
    pub listen: String,
    /// Where liveness, readiness, metrics and the status page are: an IP address and a port.
    pub ops: String,
    /// Where the admin API is: an IP address and a port. Beyond loopback it needs `admin_tls`.
    pub admin: String,
    /// How other routers reach the admin API to find the record of a call: a URL such as `https://router-0:9091`. Where it listens when left out; on `0.0.0.0` the others are then not told.
    pub advertise_admin: Option<String>,
    /// The failure domain this router stands in, such as a data centre; probers see faults by zone.
    pub zone: String,
    /// This router's name in the store, unique in the cluster; the host's name and a random part when left out.
    pub node_id: Option<String>,
    /// Where the shared state is; in the directory `./data` when left out.
    pub store: StoreEntry,
    /// TLS on the public port; plain text when left out.
    pub tls: Option<TlsEntry>,
    /// TLS on the admin port; plain text when left out.
    pub admin_tls: Option<AdminTlsEntry>,
    /// Roles on the admin API, by `cert/NAME` (a common name or URI of a client's certificate) or `key/ID`; a key has the role of its record as well.
    pub admin_roles: BTreeMap<String, RoleEntry>,
    /// Allows the admin API beyond loopback without `admin_tls` and its `client_ca`: whoever reaches it can then steer all traffic.
    pub allow_open_admin: bool,
    /// TLS to the probers that this router tells what live traffic saw; needed where they listen with TLS.
    pub evidence_tls: Option<EvidenceTlsEntry>,
    /// Documents for a store that has none; one that has them keeps its own.
    pub bootstrap: BootstrapEntry,
    /// The secret with which API keys are hashed; the same on every router. Keys are hashed without one when left out.
    pub key_pepper: Option<SecretEntry>,
    /// The bounds of the public port.
    pub limits: LimitsEntry,
    /// The log, on the standard error stream.
    pub log: LogEntry,
    /// Threads that serve calls; one a core when left out.
    #[schemars(range(min = 1, max = 512))]
    pub worker_threads: Option<u32>,
    /// Spans of calls, for OpenTelemetry; none are made when left out.
    pub tracing: TracingEntry,
    /// How the router leaves when it is told to stop.
    pub drain: DrainEntry,
}

impl Default for ConfigFile {
    fn default() -> Self {
        Self {
            listen: "0.0.0.0:8080".into(),
            ops: "0.0.0.0:9090".into(),
            admin: "127.0.0.1:9091".into(),
            advertise_admin: None,
            zone: "default".into(),
            node_id: None,
            store: StoreEntry::Embedded { dir: "./data".into() },
            tls: None,
            admin_tls: None,
            admin_roles: BTreeMap::new(),
            allow_open_admin: false,
            evidence_tls: None,
            bootstrap: BootstrapEntry::default(),
            key_pepper: None,
            limits: LimitsEntry::default(),
            log: LogEntry::default(),
            worker_threads: None,
            tracing: TracingEntry::default(),
            drain: DrainEntry::default(),
        }
    }
}

/// Where the shared state is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StoreEntry {
    /// In a directory of this machine: one router alone.
    Embedded {
        /// The directory, created if need be.
        dir: String,
    },
    /// In etcd: a cluster.
    Etcd {
        /// Where its members listen: URLs such as `https://etcd-0:2379`.
        endpoints: Vec<String>,
        /// TLS to etcd; needed for `https://` URLs.
        #[serde(default)]
        tls: Option<EtcdTlsEntry>,
        /// The directory that keeps what was last read of it, so that a router can start while it is away; created if need be, readable by its owner alone. `null` keeps nothing.
        #[serde(default = "default_snapshot_dir")]
        snapshot_dir: Option<String>,
    },
}

/// Beside the embedded store's default: one volume serves either.
pub(super) fn default_snapshot_dir() -> Option<String> {
    Some("./data".to_owned())
}

/// TLS to etcd. All files are PEM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EtcdTlsEntry {
    /// Who signed etcd's certificates.
    pub ca: String,
    /// Our certificate, when etcd asks for one.
    #[serde(default)]
    pub cert: Option<String>,
    /// The key of our certificate.
    #[serde(default)]
    pub key: Option<String>,
}

/// TLS to probers. All files are PEM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceTlsEntry {
    /// Who signed probers' certificates.
    pub ca: String,
    /// This router's own certificate, when probers ask for one; another router's would make both count as one.
    #[serde(default)]
    pub cert: Option<String>,
    /// The key of our certificate.
    #[serde(default)]
    pub key: Option<String>,
}

/// The identity of a port. All files are PEM, and are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsEntry {
    /// The certificate chain, the port's own first.
    pub cert: String,
    /// The key of the certificate.
    pub key: String,
    /// Who signs clients' certificates; with it a client must show one.
    #[serde(default)]
    pub client_ca: Option<String>,
}

/// The identity of the admin port, which is shown to other routers' admin ports, too. All files are PEM, and are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminTlsEntry {
    /// The certificate chain, the port's own first.
    pub cert: String,
    /// The key of the certificate.
    pub key: String,
    /// Who signs operators' and other routers' certificates; with it a client must show one.
    #[serde(default)]
    pub client_ca: Option<String>,
    /// The name that the certificates of all routers' admin ports hold, such as `admin.trunkline.internal`: routers ask each other by it, wherever they are. The host of each router's `advertise_admin` when left out.
    #[serde(default)]
    pub peer_name: Option<String>,
}

/// Documents for a store that has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BootstrapEntry {
    /// The catalog's file.
    pub catalog: Option<String>,
    /// The policy's file.
    pub policy: Option<String>,
    /// The file of API keys.
    pub keys: Option<String>,
}

/// The bounds of the public port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsEntry {
    /// The longest request body, in bytes.
    #[schemars(range(min = 1024, max = 1_073_741_824))]
    pub body_bytes: u64,
    /// Calls at once; more are refused with 503.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub concurrency: u64,
    /// Connections at once; more wait in the system's queue. Fewer where the system's limit of open files leaves less room.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections: u64,
    /// Streams at once on one HTTP/2 connection.
    #[schemars(range(min = 1, max = 10_000))]
    pub streams_per_connection: u64,
    /// The age, give or take a tenth, at which a connection is told to finish so that clients spread over new routers, in milliseconds; `null` keeps connections.
    #[schemars(range(min = 1_000, max = 86_400_000))]
    pub connection_age_ms: Option<u64>,
}

impl Default for LimitsEntry {
    fn default() -> Self {
        Self {
            // What the largest requests with images have; OpenAI's own limit is the same.
            body_bytes: 20 * 1024 * 1024,
            concurrency: 10_000,
            // Some 30 KiB each: 2 GiB at the worst.
            connections: 65_536,
            streams_per_connection: 100,
            connection_age_ms: Some(30 * 60 * 1_000),
        }
    }
}

/// The log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogEntry {
    /// How lines look.
    pub format: LogFormatEntry,
    /// From which level on lines are logged.
    pub level: LogLevel,
}

/// How log lines look.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum LogFormatEntry {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// One line for people.
    Text,
}

/// From which level on lines are logged.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Only what needs somebody's attention.
    Error,
    /// What may need attention, too.
    Warn,
    /// The course of events.
    #[default]
    Info,
    /// What one looks at when something is odd.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The word, which is also a filter for the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How the router leaves when it is told to stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DrainEntry {
    /// How long calls are still accepted after the router said that it is not ready, so that balancers notice, in milliseconds.
    #[schemars(range(min = 0, max = 3_600_000))]
    pub wait_ms: u64,
    /// How long calls may take to finish after that, in milliseconds; then they are cut.
    #[schemars(range(min = 0, max = 3_600_000))]
    pub grace_ms: u64,
}

impl Default for DrainEntry {
    fn default() -> Self {
        // Kubernetes needs a few seconds to stop sending; a minute lets all but the longest answers end.
        Self { wait_ms: 5_000, grace_ms: 60_000 }
    }
}
