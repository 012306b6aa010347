//! The project's compose file, as `docker-compose` understands it, played without an engine: each service is a
//! process in its image's files, at a loopback address of its own.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::container::Container;
use super::image::{Image, repository, succeeds};
use crate::process::{Process, etcd_program, tool};

/// What services listen at in a container, where they have a network of their own.
const EVERYWHERE: &str = "0.0.0.0";

/// The compose file with everything in it written out.
///
/// # Panics
/// When `docker-compose` refuses it.
#[must_use]
pub fn config() -> Value {
    let mut compose = Command::new(tool("docker-compose", "TRUNKLINE_COMPOSE", "containers.sh"));
    compose.arg("--file").arg(repository().join("deploy/compose/compose.yaml"));
    compose.args(["--profile", "tools", "config", "--format", "json"]);
    // It looks for settings there; this machine's must not matter.
    compose.env_clear().env("HOME", "/nonexistent");
    serde_json::from_slice(&succeeds(&mut compose).stdout).expect("it writes JSON")
}

/// The services of a compose file, each with a name and an address that all of them know.
pub struct Services {
    config: Value,
    images: BTreeMap<String, Image>,
    addresses: BTreeMap<String, IpAddr>,
    running: Vec<(String, Process, TempDir)>,
}

impl Services {
    /// Those of the project's file, none of them started.
    #[must_use]
    pub fn new() -> Self {
        let config = config();
        // Of one's own, so that several programs can do this at once on one machine.
        let [high, low] =
            [std::process::id() >> 7, std::process::id()].map(|n| 1 + (n & 127) as u8);
        let names = config["services"].as_object().expect("services").keys().cloned();
        let address = |number| IpAddr::from(Ipv4Addr::new(127, high, low, number));
        let addresses = names.zip((1..).map(address)).collect();
        Self { config, images: BTreeMap::new(), addresses, running: Vec::new() }
    }

    /// Where a service is.
    #[must_use]
    pub fn address(&self, service: &str) -> IpAddr {
        self.addresses[service]
    }

    /// The names that begin so, in order.
    #[must_use]
    pub fn named(&self, beginning: &str) -> Vec<String> {
        let names = self.addresses.keys().filter(|name| name.starts_with(beginning));
        names.cloned().collect()
    }

    /// Starts a service.
    pub fn start(&mut self, service: &str) {
        let (process, files) = self.container(service).start(service);
        self.running.push((service.to_owned(), process, files));
    }

    /// The processes of the services that were started, by name.
    pub fn running(&self) -> impl Iterator<Item = (&str, &Process)> {
        self.running.iter().map(|(name, process, _)| (name.as_str(), process))
    }

    /// A service as the file describes it, not started.
    ///
    /// # Panics
    /// When it is of an image that is not built here.
    pub fn container(&mut self, service: &str) -> Container {
        let described = self.config["services"][service].clone();
        let mut container = match described.pointer("/build/target").and_then(Value::as_str) {
            Some(target) => {
                let built = self.images.entry(target.to_owned());
                Container::of(built.or_insert_with(|| Image::build(target)))
            }
            None if service.starts_with("etcd") => {
                Container::around(&etcd_program(), "/usr/local/bin/etcd")
            }
            None if service == "prometheus" => {
                let program = tool("prometheus", "TRUNKLINE_PROMETHEUS", "prometheus.sh");
                Container::around(&program, "/bin/prometheus")
            }
            None => panic!("{service} has an image of others"),
        };
        let own = self.address(service).to_string();
        // A container has a network of its own; here it is one address, so `everywhere` is that one.
        let placed = |text: &str| text.replace(EVERYWHERE, &own);
        if let Some(words) = described["command"].as_array() {
            let mut words: Vec<_> = words.iter().filter_map(Value::as_str).map(placed).collect();
            if service == "prometheus" {
                words.push(format!("--web.listen-address={own}:9090"));
            }
            container = container.words(&words);
        }
        for (name, value) in described["environment"].as_object().into_iter().flatten() {
            container = container.variable(name, &placed(value.as_str().unwrap_or_default()));
        }
        for mount in described["volumes"].as_array().into_iter().flatten() {
            let target = mount["target"].as_str().expect("a place in the container");
            let source = Path::new(mount["source"].as_str().expect("what is mounted"));
            container = match mount["type"].as_str() {
                Some("bind") if source.is_dir() => container.folder(target, source),
                Some("bind") => {
                    let text = std::fs::read_to_string(source).expect("a mounted file");
                    container.file(target, &placed(&text))
                }
                _ => container.volume(target),
            };
        }
        // Engines write this file: this machine's own name and the others'.
        let hosts = self.addresses.iter().map(|(name, address)| format!("{address} {name}\n"));
        let hosts: String = ["127.0.0.1 localhost\n".to_owned()].into_iter().chain(hosts).collect();
        container.file("/etc/hosts", &hosts)
    }
}

impl Default for Services {
    fn default() -> Self {
        Self::new()
    }
}
