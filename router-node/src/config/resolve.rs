//! The file's values → [`Config`], reporting every one that cannot be. Pure: it opens no file.

mod collector;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use trunkline_core::catalog::SecretRef;
use trunkline_core::id::Zone;
use trunkline_core::policy::Role;
use trunkline_runtime::telemetry::LogFormat;
use trunkline_runtime::tls::{ClientFiles, TlsFiles, is_server_name};
use trunkline_spec::{Problems, catalog};

use super::file::{
    AdminTlsEntry, ConfigFile, EtcdTlsEntry, EvidenceTlsEntry, LimitsEntry, LogFormatEntry,
    StoreEntry, TlsEntry,
};
use super::{Bootstrap, Config, Drain, Limits, StoreConfig};

/// The longest name of a zone or router, in characters: both become segments of store keys.
const MAX_NAME_CHARS: usize = 128;
/// The most etcd members; clusters have three, five or seven.
const MAX_ETCD_ENDPOINTS: usize = 16;
/// The most threads; more than any machine has use for.
const MAX_WORKER_THREADS: u64 = 512;
/// The longest time to leave, in milliseconds: an hour.
const MAX_DRAIN_MS: u64 = 3_600_000;

/// The configuration that the file describes; `folder` is the file's.
pub(super) fn resolve(file: &ConfigFile, folder: &Path) -> Result<Config, Problems> {
    let mut reading = Reading { folder, problems: Problems::default() };
    let config = Config {
        listen: reading.address("listen", &file.listen),
        ops: reading.address("ops", &file.ops),
        admin: reading.address("admin", &file.admin),
        advertise_admin: file.advertise_admin.as_ref().map(|url| reading.admin_url(url)),
        zone: Zone::new(&reading.name("zone", &file.zone)),
        node_id: file.node_id.as_ref().map(|id| reading.name("node_id", id)),
        store: reading.store(&file.store),
        tls: file.tls.as_ref().map(|tls| reading.tls("tls", tls)),
        admin_tls: file.admin_tls.as_ref().map(|tls| reading.admin_tls(tls)),
        admin_peer_name: file.admin_tls.as_ref().and_then(|tls| reading.peer_name(tls)),
        admin_roles: reading.admin_roles(file),
        evidence_tls: file.evidence_tls.as_ref().map(|tls| reading.evidence_tls(tls)),
        bootstrap: Bootstrap {
            catalog: reading.optional("bootstrap.catalog", file.bootstrap.catalog.as_ref()),
            policy: reading.optional("bootstrap.policy", file.bootstrap.policy.as_ref()),
            keys: reading.optional("bootstrap.keys", file.bootstrap.keys.as_ref()),
        },
        key_pepper: file.key_pepper.as_ref().map(|entry| reading.secret("key_pepper", entry)),
        limits: reading.limits(&file.limits),
        log_format: match file.log.format {
            LogFormatEntry::Auto => LogFormat::Auto,
            LogFormatEntry::Json => LogFormat::Json,
            LogFormatEntry::Text => LogFormat::Text,
        },
        log_level: file.log.level,
        worker_threads: file
            .worker_threads
            .map(|n| reading.count("worker_threads", u64::from(n), (1, MAX_WORKER_THREADS))),
        tracing: file.tracing.otlp.as_ref().map(|otlp| reading.tracing(otlp)),
        drain: Drain {
            wait_ms: reading.within("drain.wait_ms", file.drain.wait_ms, (0, MAX_DRAIN_MS)),
            grace_ms: reading.within("drain.grace_ms", file.drain.grace_ms, (0, MAX_DRAIN_MS)),
        },
    };
    reading.check_ports(&config);
    reading.check_admin(&config, file.allow_open_admin);
    reading.problems.or(config)
}

/// One file being read.
struct Reading<'a> {
    folder: &'a Path,
    problems: Problems,
}

impl Reading<'_> {
    fn address(&mut self, path: &str, text: &str) -> SocketAddr {
        text.parse().unwrap_or_else(|_| {
            let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
            let hint = match host.parse::<IpAddr>() {
                _ if text.bytes().all(|b| b.is_ascii_digit()) => format!("write `0.0.0.0:{text}`"),
                Ok(_) => "the port is a number from 0 to 65535".to_owned(),
                Err(_) => {
                    "use an IP address and a port, such as `0.0.0.0:8080` or `[::]:8080`".to_owned()
                }
            };
            self.problems.add(path, format!("`{text}` is not an address; {hint}"));
            SocketAddr::from(([0, 0, 0, 0], 0))
        })
    }

    fn admin_url(&mut self, text: &str) -> String {
        let url: Option<http::Uri> = text.parse().ok();
        let known = |url: &http::Uri| matches!(url.scheme_str(), Some("http" | "https"));
        if !url.is_some_and(|url| known(&url) && url.authority().is_some()) {
            let message = format!("`{text}` is not a URL; write `https://HOST:PORT`");
            self.problems.add("advertise_admin", message);
        }
        text.to_owned()
    }

    fn name(&mut self, path: &str, name: &str) -> String {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if name.is_empty() || name.len() > MAX_NAME_CHARS || !name.bytes().all(plain) {
            let message = format!(
                "`{}` is not a name; use 1 to {MAX_NAME_CHARS} letters, digits and . _ -",
                name.escape_debug()
            );
            self.problems.add(path, message);
        }
        name.to_owned()
    }

    fn file(&mut self, path: &str, text: &str) -> PathBuf {
        if text.is_empty() || text.contains('\0') {
            self.problems.add(path, "not a path; name a file or leave the key out");
        }
        self.folder.join(text)
    }

    fn optional(&mut self, path: &str, text: Option<&String>) -> Option<PathBuf> {
        text.map(|text| self.file(path, text))
    }

    fn secret(&mut self, path: &str, entry: &catalog::SecretEntry) -> SecretRef {
        match catalog::admit_secret(path, entry, &mut self.problems) {
            SecretRef::File(file) => SecretRef::File(self.folder.join(file).display().to_string()),
            SecretRef::Env(name) => SecretRef::Env(name),
        }
    }

    fn tls(&mut self, path: &str, entry: &TlsEntry) -> TlsFiles {
        TlsFiles {
            certificate: self.file(&format!("{path}.cert"), &entry.cert),
            key: self.file(&format!("{path}.key"), &entry.key),
            client_ca: self.optional(&format!("{path}.client_ca"), entry.client_ca.as_ref()),
        }
    }

    fn admin_tls(&mut self, entry: &AdminTlsEntry) -> TlsFiles {
        let AdminTlsEntry { cert, key, client_ca, .. } = entry.clone();
        self.tls("admin_tls", &TlsEntry { cert, key, client_ca })
    }

    fn peer_name(&mut self, entry: &AdminTlsEntry) -> Option<String> {
        let name = entry.peer_name.clone()?;
        if !is_server_name(&name) {
            let message = format!(
                "`{}` is no name that a certificate can hold; write a host's name without port",
                name.escape_debug()
            );
            self.problems.add("admin_tls.peer_name", message);
        }
        Some(name)
    }

    fn store(&mut self, entry: &StoreEntry) -> StoreConfig {
        match entry {
            StoreEntry::Embedded { dir } => {
                StoreConfig::Embedded { dir: self.file("store.embedded.dir", dir) }
            }
            StoreEntry::Etcd { endpoints, tls, snapshot_dir } => {
                self.etcd_endpoints(endpoints, tls.is_some());
                let tls = tls.as_ref().map(|tls| self.etcd_tls(tls));
                let dir = self.optional("store.etcd.snapshot_dir", snapshot_dir.as_ref());
                StoreConfig::Etcd { endpoints: endpoints.clone(), tls, snapshot_dir: dir }
            }
        }
    }

    fn etcd_endpoints(&mut self, endpoints: &[String], with_tls: bool) {
        let path = "store.etcd.endpoints";
        if endpoints.is_empty() || endpoints.len() > MAX_ETCD_ENDPOINTS {
            let message =
                format!("name 1 to {MAX_ETCD_ENDPOINTS} URLs such as `http://127.0.0.1:2379`");
            self.problems.add(path, message);
        }
        for (at, url) in endpoints.iter().enumerate() {
            let path = format!("{path}[{at}]");
            if let Err(message) = catalog::check_base_url(url, catalog::Plaintext::Allowed) {
                self.problems.add(&path, message);
            } else if url.starts_with("https://") && !with_tls {
                self.problems.add(
                    path,
                    "https:// needs `store.etcd.tls` with the `ca` that signed etcd's certificate",
                );
            } else if url.starts_with("http://") && with_tls {
                self.problems
                    .add(path, "`store.etcd.tls` is set, but this URL is http://; write https://");
            }
        }
    }

    fn etcd_tls(&mut self, entry: &EtcdTlsEntry) -> ClientFiles {
        let path = "store.etcd.tls";
        let identity = self.identity(path, entry.cert.as_ref(), entry.key.as_ref());
        ClientFiles { ca: self.file(&format!("{path}.ca"), &entry.ca), identity }
    }

    fn admin_roles(&mut self, file: &ConfigFile) -> BTreeMap<String, Role> {
        let asked_for = file.admin_tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        for name in file.admin_roles.keys() {
            let path = format!("admin_roles.{name}");
            match name.split_once('/') {
                Some(("key", id)) if !id.is_empty() => {}
                Some(("cert", who)) if !who.is_empty() && asked_for => {}
                Some(("cert", who)) if !who.is_empty() => self.problems.add(
                    path,
                    "no client shows a certificate; set `admin_tls` with `client_ca`, or name keys",
                ),
                _ => self.problems.add(path, "nobody is called so; write `cert/NAME` or `key/ID`"),
            }
        }
        file.admin_roles.iter().map(|(name, role)| (name.clone(), Role::from(*role))).collect()
    }

    fn evidence_tls(&mut self, entry: &EvidenceTlsEntry) -> ClientFiles {
        let path = "evidence_tls";
        let identity = self.identity(path, entry.cert.as_ref(), entry.key.as_ref());
        ClientFiles { ca: self.file(&format!("{path}.ca"), &entry.ca), identity }
    }

    fn identity(
        &mut self,
        path: &str,
        cert: Option<&String>,
        key: Option<&String>,
    ) -> Option<(PathBuf, PathBuf)> {
        let cert = self.optional(&format!("{path}.cert"), cert);
        let key = self.optional(&format!("{path}.key"), key);
        if cert.is_some() != key.is_some() {
            let missing = if cert.is_some() { "key" } else { "cert" };
            let message = format!("`cert` and `key` belong together; add `{missing}: …`");
            self.problems.add(path, message);
        }
        cert.zip(key)
    }

    fn limits(&mut self, entry: &LimitsEntry) -> Limits {
        let streams =
            self.within("limits.streams_per_connection", entry.streams_per_connection, (1, 10_000));
        let age = entry.connection_age_ms;
        let concurrency = self.count("limits.concurrency", entry.concurrency, (1, 1_000_000));
        let connections = self.count("limits.connections", entry.connections, (1, 1_000_000));
        Limits {
            body_bytes: self.count("limits.body_bytes", entry.body_bytes, (1_024, 1 << 30)),
            concurrency,
            connections,
            // Each of the calls at once may come on a connection of its own.
            least_connections: connections.min(concurrency),
            streams_per_connection: u32::try_from(streams).unwrap_or(u32::MAX),
            connection_age_ms: age
                .map(|ms| self.within("limits.connection_age_ms", ms, (1_000, 86_400_000))),
        }
    }

    fn count(&mut self, path: &str, value: u64, range: (u64, u64)) -> usize {
        usize::try_from(self.within(path, value, range)).unwrap_or(usize::MAX)
    }

    fn within(&mut self, path: &str, value: u64, (least, most): (u64, u64)) -> u64 {
        if !(least..=most).contains(&value) {
            self.problems.add(path, format!("{value} is out of range; use {least} to {most}"));
        }
        value
    }

    /// Port 0 asks the system for a free one and collides with nothing.
    fn check_ports(&mut self, config: &Config) {
        let ports = [("listen", config.listen), ("ops", config.ops), ("admin", config.admin)];
        for (at, (path, address)) in ports.iter().enumerate() {
            let clash = ports.iter().take(at).find(|(_, earlier)| {
                let same_ip = earlier.ip() == address.ip()
                    || earlier.ip().is_unspecified()
                    || address.ip().is_unspecified();
                same_ip && earlier.port() == address.port() && address.port() != 0
            });
            if let Some((other, _)) = clash {
                let message =
                    format!("port {} is that of `{other}`, too; choose another", address.port());
                self.problems.add(*path, message);
            }
        }
    }

    fn check_admin(&mut self, config: &Config, open_allowed: bool) {
        let known_callers = config.admin_tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        let unreadable = self.problems.0.iter().any(|p| p.path == "admin");
        if !(config.admin.ip().is_loopback() || known_callers || open_allowed || unreadable) {
            let message = format!(
                "`{}` can be reached from other machines, and whoever reaches the admin API steers all \
                 traffic; use 127.0.0.1, or set `admin_tls` with `client_ca`",
                config.admin
            );
            self.problems.add("admin", message);
        }
    }
}
