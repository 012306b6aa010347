//! What one prober is told at its start, by flags. What it probes stands in the store. The only place that reads the
//! environment and secret files.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Parser, ValueEnum};
use trunkline_core::catalog::SecretRef;
use trunkline_core::id::{ProberId, Zone};
use trunkline_core::money::PicoUsd;
use trunkline_runtime::telemetry::LogFormat;
use trunkline_runtime::tls::TlsFiles;
use trunkline_store::EtcdFlags;
use trunkline_store::keys::Segment;
use trunkline_upstream::Credential;

/// What the probes of one endpoint may cost in a day, all its observers' together.
pub const ENDPOINT_DAILY: PicoUsd = PicoUsd::from_usd(1);
/// What all probes of the cluster may cost in a day.
pub const CLUSTER_DAILY: PicoUsd = PicoUsd::from_usd(5);
/// The longest secret file, in bytes; a key has some hundred, so a wrong path shows.
const SECRET_MAX_BYTES: u64 = 16 * 1024;

/// Finds a secret by its reference, or says in words without the secret why there is none.
pub type SecretFinder = Arc<dyn Fn(&SecretRef) -> Result<Credential, String> + Send + Sync>;

/// One prober.
#[derive(Clone)]
pub struct ProberConfig {
    /// Its name in the store.
    pub id: ProberId,
    /// Where it stands.
    pub zone: Zone,
    /// Where routers reach it with what live traffic saw; empty when they cannot.
    pub address: String,
    /// `host:port` of places that are never down, for its test of its own network; empty for none.
    pub controls: Vec<String>,
    /// What the probes of one endpoint may cost in a day; shared evenly among its observers.
    pub endpoint_daily: PicoUsd,
    /// What all probes of the cluster may cost in a day; shared evenly among the living probers.
    pub cluster_daily: PicoUsd,
    /// Where secrets are found.
    pub secrets: SecretFinder,
}

impl ProberConfig {
    /// A prober with the default allowances, that nobody sends evidence to.
    pub fn new(id: ProberId, zone: Zone, secrets: SecretFinder) -> Self {
        Self {
            id,
            zone,
            address: String::new(),
            controls: Vec::new(),
            endpoint_daily: ENDPOINT_DAILY,
            cluster_daily: CLUSTER_DAILY,
            secrets,
        }
    }
}

impl fmt::Debug for ProberConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("ProberConfig");
        out.field("id", &self.id).field("zone", &self.zone).finish_non_exhaustive()
    }
}

/// Trunkline's health prober: measures providers and publishes what it saw.
#[derive(Clone, Debug, Parser)]
#[command(name = "health-prober", version)]
#[command(mut_arg("etcd_endpoints", |endpoints| endpoints.required(true)))]
pub struct Cli {
    /// The file of what may change while the prober runs: `log`, `controls`, `usd_per_endpoint_day`, `usd_per_day`;
    /// it is read again on SIGHUP
    #[arg(long, env = "TRUNKLINE_PROBER_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// This prober's name in the store; it writes only under it
    #[arg(long, env = "TRUNKLINE_PROBER_ID")]
    pub id: String,
    /// The failure domain this prober stands in
    #[arg(long, env = "TRUNKLINE_ZONE")]
    pub zone: String,
    /// The store.
    #[command(flatten)]
    pub etcd: EtcdFlags,
    /// The operations port: liveness, readiness, metrics
    #[arg(
        long,
        env = "TRUNKLINE_OPS",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:9091"
    )]
    pub ops: SocketAddr,
    /// Where routers bring what live traffic saw; without it the prober works by probes alone
    #[arg(long, env = "TRUNKLINE_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// The URL at which routers reach that port; made from `--listen` when left out
    #[arg(long, env = "TRUNKLINE_ADDRESS", value_name = "URL", requires = "listen")]
    pub address: Option<String>,
    /// The certificate of that port
    #[arg(long, env = "TRUNKLINE_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The key of that port's certificate
    #[arg(long, env = "TRUNKLINE_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Who signs routers' certificates; with it routers must show one, each its own
    #[arg(long, env = "TRUNKLINE_TLS_CLIENT_CA", value_name = "FILE", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,
    /// Allows `--listen` beyond loopback without `--tls-client-ca`: whoever reaches it can then pretend to be
    /// any number of routers
    #[arg(long, env = "TRUNKLINE_ALLOW_OPEN_EVIDENCE")]
    pub allow_open_evidence: bool,
    /// Places that are never down, for the prober's test of its own network
    #[arg(long, env = "TRUNKLINE_CONTROLS", value_name = "HOST:PORT,…", value_delimiter = ',')]
    pub controls: Option<Vec<String>>,
    /// What the probes of one endpoint may cost in a day, in US dollars; 1 when left out
    #[arg(long, env = "TRUNKLINE_PROBE_USD_PER_ENDPOINT_DAY", value_parser = usd)]
    pub usd_per_endpoint_day: Option<PicoUsd>,
    /// What all probes of the cluster may cost in a day, in US dollars; 5 when left out
    #[arg(long, env = "TRUNKLINE_PROBE_USD_PER_DAY", value_parser = usd)]
    pub usd_per_day: Option<PicoUsd>,
    /// How log lines look
    #[arg(long, env = "TRUNKLINE_LOG_FORMAT", value_enum, default_value = "auto")]
    pub log_format: LogFormatArg,
    /// Which log lines are written, such as `info` or `info,h2=warn`; `info` when left out
    #[arg(long, env = "TRUNKLINE_LOG")]
    pub log: Option<String>,
    /// Reads the flags and every file that they name, reports all mistakes, and ends
    #[arg(long)]
    pub check: bool,
}

/// How log lines look, as a flag says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormatArg {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// One line for people.
    Text,
}

impl From<LogFormatArg> for LogFormat {
    fn from(arg: LogFormatArg) -> Self {
        match arg {
            LogFormatArg::Auto => Self::Auto,
            LogFormatArg::Json => Self::Json,
            LogFormatArg::Text => Self::Text,
        }
    }
}

/// The port where routers bring what live traffic saw.
#[derive(Clone, Debug)]
pub struct EvidencePort {
    /// Where it is.
    pub listen: SocketAddr,
    /// Its identity; `None` for plain text.
    pub tls: Option<TlsFiles>,
}

impl Cli {
    /// The prober that the flags describe, but for what can change: that is [`crate::tuning`]'s.
    ///
    /// # Errors
    /// A name or a zone that no key can hold.
    pub fn prober(&self) -> anyhow::Result<ProberConfig> {
        anyhow::ensure!(Segment::new(&self.id).is_some(), "--id: not a name that a key can hold");
        anyhow::ensure!(
            Segment::new(&self.zone).is_some(),
            "--zone: not a name that a key can hold"
        );
        Ok(ProberConfig::new(
            ProberId::new(&self.id),
            Zone::new(&self.zone),
            Arc::new(|reference: &SecretRef| find_secret(reference)),
        ))
    }

    /// The port where routers bring evidence, if there is to be one.
    ///
    /// # Errors
    /// A port that strangers reach, or an address that routers cannot use.
    pub fn evidence_port(&self) -> anyhow::Result<Option<EvidencePort>> {
        let Some(listen) = self.listen else { return Ok(None) };
        anyhow::ensure!(
            listen.ip().is_loopback() || self.tls_client_ca.is_some() || self.allow_open_evidence,
            "--listen: `{listen}` can be reached from other machines, and whoever reaches it can pretend to be \
             routers; use 127.0.0.1, or set --tls-cert, --tls-key and --tls-client-ca"
        );
        let files = self.tls_cert.clone().zip(self.tls_key.clone());
        let client_ca = self.tls_client_ca.clone();
        let tls = files.map(|(certificate, key)| TlsFiles { certificate, key, client_ca });
        match &self.address {
            Some(url) => {
                let scheme = if tls.is_some() { "https://" } else { "http://" };
                anyhow::ensure!(
                    url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()),
                    "--address: `{url}` is not a URL of that port; write `{scheme}host:{}`",
                    listen.port()
                );
            }
            None => anyhow::ensure!(
                !listen.ip().is_unspecified(),
                "--address: name the URL at which routers reach `{listen}`"
            ),
        }
        Ok(Some(EvidencePort { listen, tls }))
    }

    /// The URL that routers are told: the one that was given, or that of the port as it was bound.
    pub fn advertised(&self, port: &EvidencePort, bound: SocketAddr) -> String {
        let scheme = if port.tls.is_some() { "https" } else { "http" };
        self.address.clone().unwrap_or_else(|| format!("{scheme}://{bound}"))
    }
}

fn usd(text: &str) -> Result<PicoUsd, String> {
    let number: f64 = text.parse().map_err(|_| "not a number of dollars".to_owned())?;
    PicoUsd::from_usd_f64(number).ok_or_else(|| "not an amount of dollars".to_owned())
}

/// Reads a secret from the environment or a file.
///
/// # Errors
/// Names the variable or the file, never the secret.
pub fn find_secret(reference: &SecretRef) -> Result<Credential, String> {
    let (text, place) = match reference {
        SecretRef::Env(name) => {
            #[expect(clippy::disallowed_methods, reason = "this is config.rs")]
            let value = std::env::var(name).map_err(|e| format!("variable {name}: {e}"))?;
            (value, format!("variable {name}"))
        }
        SecretRef::File(path) => (read_secret(path)?, format!("file {path}")),
    };
    if text.trim().is_empty() {
        return Err(format!("{place} is empty"));
    }
    Credential::new(&text).map_err(|error| format!("{place}: {error}"))
}

fn read_secret(path: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("file {path}: {error}");
    if std::fs::metadata(path).map_err(failed)?.len() > SECRET_MAX_BYTES {
        return Err(format!("file {path} is too long for a secret"));
    }
    std::fs::read_to_string(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: [&str; 7] = [
        "health-prober",
        "--id",
        "p1",
        "--zone",
        "a",
        "--etcd-endpoints",
        "http://127.0.0.1:2379,http://127.0.0.1:2381",
    ];

    #[test]
    fn flags_make_a_prober_with_the_documented_allowances() {
        let cli = Cli::try_parse_from(FLAGS).unwrap();
        let config = cli.prober().unwrap();
        assert_eq!((config.id.as_str(), config.zone.as_str()), ("p1", "a"));
        assert_eq!((config.endpoint_daily, config.cluster_daily), (ENDPOINT_DAILY, CLUSTER_DAILY));
        assert_eq!((cli.etcd.etcd_endpoints.len(), cli.etcd.tls()), (2, None));
    }

    #[test]
    fn a_name_that_no_key_can_hold_is_refused() {
        let cli = Cli { id: "a/b".to_owned(), ..Cli::try_parse_from(FLAGS).unwrap() };
        assert!(cli.prober().unwrap_err().to_string().contains("--id"));
    }

    fn listening(flags: &[&str]) -> Result<Option<EvidencePort>, String> {
        let cli = Cli::try_parse_from(FLAGS.iter().chain(flags)).map_err(|e| e.to_string())?;
        cli.evidence_port().map_err(|error| error.to_string())
    }

    #[test]
    fn a_port_for_evidence_is_for_routers_alone() {
        assert!(listening(&[]).unwrap().is_none());
        assert!(listening(&["--listen", "127.0.0.1:7000"]).unwrap().is_some());
        let open = listening(&["--listen", "0.0.0.0:7000"]).unwrap_err();
        assert!(open.contains("--tls-client-ca"), "{open}");
        let anywhere = ["--listen", "0.0.0.0:7000", "--allow-open-evidence"];
        let nameless = listening(&anywhere).unwrap_err();
        assert!(nameless.contains("--address"), "{nameless}");
        let named = [&anywhere[..], &["--address", "http://prober-1:7000"]].concat();
        assert!(listening(&named).unwrap().is_some());
        let odd = [&anywhere[..], &["--address", "prober-1:7000"]].concat();
        assert!(listening(&odd).unwrap_err().contains("http://host:7000"));
    }

    #[test]
    fn a_missing_secret_is_named_by_its_place() {
        let error = find_secret(&SecretRef::File("/no/such/file".to_owned())).err().unwrap();
        assert!(error.contains("/no/such/file"), "{error}");
    }
}
