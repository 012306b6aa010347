//! A router in a process of its own: its documents, its start, its log and its end.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;
use crate::json::overlay;
use crate::process::Process;
use crate::provider::Provider;

pub use crate::process::beside;

/// The key that callers use unless they are told otherwise.
pub const KEY: &str = "tl_testkey1_a-key-that-must-never-be-repeated";
/// What keys are hashed with when no pepper is configured.
const NO_PEPPER: [u8; 32] = [0; 32];
/// Its configuration, in its folder.
const CONFIG: &str = "router.json";
/// Between two questions whether the router is ready.
const READY_PAUSE: Duration = Duration::from_millis(10);
/// How often it is asked.
const READY_TRIES: usize = 3_000;

/// What a router is to be started with.
pub struct Setup {
    providers: Vec<Provider>,
    policy: Value,
    config: Value,
    store: Value,
    keys: Vec<Value>,
    environment: Vec<(String, String)>,
    command: Vec<String>,
}

impl Setup {
    /// A router before these providers, with the default policy and one key that may do anything, on the admin API too.
    #[must_use]
    pub fn new(providers: &[&Provider]) -> Self {
        let providers = providers.iter().map(|provider| (*provider).clone()).collect();
        let setup = Self {
            providers,
            policy: json!({"version": 1}),
            config: json!({}),
            store: json!({"embedded": {"dir": "data"}}),
            keys: Vec::new(),
            environment: Vec::new(),
            command: vec![program().display().to_string()],
        };
        setup.key(KEY, json!({"role": "admin"}))
    }

    /// Sets keys of the policy.
    #[must_use]
    pub fn policy(mut self, keys: Value) -> Self {
        self.policy = overlay(self.policy, keys);
        self
    }

    /// Sets keys of the configuration.
    #[must_use]
    pub fn config(mut self, keys: Value) -> Self {
        self.config = overlay(self.config, keys);
        self
    }

    /// Keeps its state in etcd, whose members are at these URLs.
    #[must_use]
    pub fn etcd(mut self, members: &[String]) -> Self {
        self.store = json!({"etcd": {"endpoints": members}});
        self
    }

    /// Starts with these variables in its environment, too.
    #[must_use]
    pub fn environment(mut self, variables: &[(String, String)]) -> Self {
        self.environment.extend_from_slice(variables);
        self
    }

    /// Runs this program instead of the one beside the tests.
    #[must_use]
    pub fn program(self, program: &Path) -> Self {
        Self { command: vec![program.display().to_string()], ..self }
    }

    /// Is started by this command, which becomes the router.
    #[must_use]
    pub fn through(mut self, words: &[String]) -> Self {
        self.command.splice(..0, words.iter().cloned());
        self
    }

    /// Adds an API key with these rules.
    #[must_use]
    pub fn key(mut self, secret: &str, rules: Value) -> Self {
        let hash = blake3::keyed_hash(&NO_PEPPER, secret.as_bytes()).to_hex();
        let id = secret.split('_').nth(1).unwrap_or("testkey0");
        self.keys.push(overlay(json!({"id": id, "hash": hash.as_str()}), rules));
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// When it does not start; its log says why.
    pub async fn start(self) -> Router {
        let router = self.begin().await;
        router.wait_until_ready().await;
        router
    }

    /// Starts it and waits until it listens; it may not be ready yet.
    ///
    /// # Panics
    /// When it does not start; its log says why.
    pub async fn begin(self) -> Router {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = self.write(folder.path());
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).arg("serve").arg("--config").arg(config).env_clear();
        for provider in &self.providers {
            for (variable, secret) in provider.secrets() {
                command.env(variable, secret);
            }
        }
        command.envs(self.environment.iter().cloned());
        let name = self.config.get("node_id").and_then(Value::as_str).unwrap_or("router");
        Router::run(name, &mut command, folder).await
    }

    fn write(&self, folder: &Path) -> PathBuf {
        let write = |name: &str, document: &Value| {
            let path = folder.join(name);
            fs::write(&path, document.to_string()).expect("a document is written");
            path
        };
        let entries: Vec<Value> = self.providers.iter().map(Provider::entry).collect();
        write("catalog.json", &json!({"version": 1, "providers": entries}));
        write("policy.json", &self.policy);
        write("keys.json", &json!({"version": 1, "keys": self.keys}));
        let config = json!({
            "listen": "127.0.0.1:0",
            "ops": "127.0.0.1:0",
            "admin": "127.0.0.1:0",
            "store": self.store,
            "bootstrap": {"catalog": "catalog.json", "policy": "policy.json", "keys": "keys.json"},
            "log": {"format": "json", "level": "info"},
            "worker_threads": 2,
            "drain": {"wait_ms": 0, "grace_ms": 5_000},
        });
        write(CONFIG, &overlay(config, self.config.clone()))
    }
}

/// A router that runs. Dropping it ends it at once.
pub struct Router {
    /// The process.
    pub process: Process,
    /// Where callers connect.
    pub public: SocketAddr,
    /// Operations.
    pub ops: SocketAddr,
    /// Administrators.
    pub admin: SocketAddr,
    folder: TempDir,
}

impl Router {
    /// A caller with the usual key.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client_with(KEY)
    }

    /// A caller with this key; with none when it is empty.
    #[must_use]
    pub fn client_with(&self, key: &str) -> Client {
        Client { address: self.public, key: key.to_owned() }
    }

    /// The sum of a metric over the series whose labels contain `labels`.
    pub async fn metric(&self, name: &str, labels: &str) -> f64 {
        metric(self.ops, name, labels).await
    }

    /// Asks it to end, waits until it has, and returns its log.
    ///
    /// # Panics
    /// When it does not end, or not well.
    pub async fn stop(self) -> Log {
        Log(self.process.end().await)
    }

    /// As [`Router::stop`], for one that may take so long.
    ///
    /// # Panics
    /// When it does not end, or not well.
    pub async fn stop_within(self, patience: Duration) -> Log {
        Log(self.process.end_within(patience).await)
    }

    /// Sets keys in its configuration file, and tells it. Other keys stay as they are.
    ///
    /// # Panics
    /// When there is no room for files.
    pub fn reconfigure(&self, keys: Value) {
        let file = self.folder.path().join(CONFIG);
        let written = fs::read(&file).expect("a configuration");
        let config = serde_json::from_slice(&written).expect("a configuration");
        self.rewrite(&overlay(config, keys).to_string());
    }

    /// Puts this text into its configuration file, and tells it.
    ///
    /// # Panics
    /// When there is no room for files.
    pub fn rewrite(&self, config: &str) {
        fs::write(self.folder.path().join(CONFIG), config).expect("a configuration is written");
        self.process.hang_up();
    }

    /// Its configuration file, as it stands.
    ///
    /// # Panics
    /// When it is not there.
    #[must_use]
    pub fn written(&self) -> String {
        fs::read_to_string(self.folder.path().join(CONFIG)).expect("a configuration")
    }

    async fn run(name: &str, command: &mut Command, folder: TempDir) -> Self {
        let mut process = Process::start(name, command);
        let [public, ops, admin] = process.told(listening).await;
        Self { process, public, ops, admin, folder }
    }

    /// Waits until it takes calls.
    ///
    /// # Panics
    /// When it does not.
    pub async fn wait_until_ready(&self) {
        let operations = Client { address: self.ops, key: String::new() };
        for _ in 0..READY_TRIES {
            if operations.get("/readyz").await.status() == 200 {
                return;
            }
            tokio::time::sleep(READY_PAUSE).await;
        }
        panic!("the router is not ready: {:#?}", self.process.lines());
    }
}

/// The sum of a metric at an operations port over the series whose labels contain `labels`.
pub async fn metric(operations: SocketAddr, name: &str, labels: &str) -> f64 {
    let operations = Client { address: operations, key: String::new() };
    let page = operations.get("/metrics").await.text();
    let series = page.lines().filter_map(|line| line.strip_prefix(name));
    let labelled = series.filter(|rest| rest.starts_with(['{', ' ']) && rest.contains(labels));
    labelled.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

fn listening(line: &str) -> Option<[SocketAddr; 3]> {
    let line: Value = serde_json::from_str(line).ok()?;
    let address = |name: &str| line.get(name)?.as_str()?.parse().ok();
    Some([address("public")?, address("ops")?, address("admin")?])
}

/// The router's program, beside the tests'.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn program() -> PathBuf {
    beside("router-node")
}

/// All that a router logged.
pub struct Log(
    /// Its lines.
    pub Vec<String>,
);

impl Log {
    /// The lines of calls, one for each record.
    #[must_use]
    pub fn calls(&self) -> Vec<Value> {
        let lines = self.0.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line.get("message").is_some_and(|m| m == "call")).collect()
    }

    /// Whether a text stands anywhere.
    #[must_use]
    pub fn mentions(&self, text: &str) -> bool {
        self.0.iter().any(|line| line.contains(text))
    }
}
