//! A real Prometheus with the rules and the scrape configuration that are shipped, and its tool.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;
use crate::process::{Process, tool};

/// How often the tests' Prometheus scrapes and evaluates: as often as routers set their gauges.
const EVERY: &str = "1s";

/// Where the rules and the configuration are.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus")
}

/// What `promtool` says, run in the folder of the rules.
///
/// # Panics
/// When it was not provisioned.
#[must_use]
pub fn promtool(words: &[&str]) -> Output {
    let tool = tool("promtool", "TRUNKLINE_PROMTOOL", "prometheus.sh");
    Command::new(tool).args(words).current_dir(folder()).output().expect("promtool runs")
}

/// A Prometheus that runs.
pub struct Prometheus {
    /// Its API, and its pages for people.
    pub address: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes these operations ports.
    ///
    /// # Panics
    /// When it does not start; its log says why.
    pub async fn start(routers: &[SocketAddr], probers: &[SocketAddr]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write_configuration(folder.path(), routers, probers);
        let mut command = Command::new(tool("prometheus", "TRUNKLINE_PROMETHEUS", "prometheus.sh"));
        command.arg("--config.file=prometheus.yaml").arg("--storage.tsdb.path=data");
        command.args(["--web.listen-address=127.0.0.1:0", "--log.format=json"]);
        command.current_dir(folder.path()).env_clear();
        let mut process = Process::start("prometheus", &mut command);
        let address = process.told(listening).await;
        Self { address, _process: process, _folder: folder }
    }

    /// The `data` of an answer of the API; nothing while it is not ready or refuses.
    pub async fn get(&self, path: &str) -> Option<Value> {
        let api = Client { address: self.address, key: String::new() };
        let reply = api.get(&format!("/api/v1/{path}")).await;
        (reply.status() == 200).then(|| reply.json().get("data").cloned()).flatten()
    }

    /// The samples of an instant query: labels and value.
    ///
    /// # Panics
    /// When the query is refused.
    pub async fn query(&self, query: &str) -> Vec<(Value, f64)> {
        let data = self.get(&format!("query?query={}", percent_encoded(query))).await;
        let data = data.unwrap_or_else(|| panic!("refused: {query}"));
        let samples = data.pointer("/result").and_then(Value::as_array).cloned();
        let sample = |sample: &Value| {
            let labels = sample.get("metric").cloned().unwrap_or(json!({}));
            let value = sample.pointer("/value/1").and_then(Value::as_str)?;
            Some((labels, value.parse().ok()?))
        };
        samples.unwrap_or_default().iter().filter_map(sample).collect()
    }
}

/// The shipped files, with a shorter interval, and the targets that they name.
fn write_configuration(folder: &Path, routers: &[SocketAddr], probers: &[SocketAddr]) {
    let shipped = |name: &str| {
        let path = self::folder().join(name);
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    let config = shipped("prometheus.yaml");
    let quick = config.replace("_interval: 15s", &format!("_interval: {EVERY}"));
    assert_ne!(quick, config, "the intervals are not where they were");
    let write = |name: &str, text: &str| fs::write(folder.join(name), text);
    let targets = |addresses: &[SocketAddr]| json!([{"targets": addresses}]).to_string();
    fs::create_dir(folder.join("targets"))
        .and_then(|()| write("prometheus.yaml", &quick))
        .and_then(|()| write("rules.yaml", &shipped("rules.yaml")))
        .and_then(|()| write("targets/routers.yaml", &targets(routers)))
        .and_then(|()| write("targets/probers.yaml", &targets(probers)))
        .expect("a configuration is written");
}

fn listening(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let said = line.get("msg")? == "Listening on";
    said.then(|| line.get("address")?.as_str()?.parse().ok()).flatten()
}

/// Everything but letters and digits is encoded: a query has all kinds of signs.
fn percent_encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
