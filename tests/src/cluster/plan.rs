//! How a cluster is planned and started.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::etcd::Members;
use super::network::Network;
use super::table::Table;
use super::{Cluster, ONE_AT_A_TIME, Prober, wrong_clock};
use crate::json::overlay;
use crate::process::{Process, beside};
use crate::provider::Provider;
use crate::router::{Router, Setup};

/// How the parts reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paths {
    /// Through doors that can be told to misbehave.
    Doors,
    /// Directly: where time is measured, nothing of the harness is in between.
    Direct,
}

/// A cluster to be started.
#[derive(Clone)]
pub struct Plan {
    routers: usize,
    probers: usize,
    zones: usize,
    etcd: usize,
    providers: Vec<Provider>,
    policy: Value,
    config: Value,
    paths: Paths,
    /// How far off the clocks of processes are, in seconds.
    clocks: BTreeMap<String, i64>,
    /// Where the programs are, if not beside the tests.
    programs: Option<PathBuf>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            routers: 1,
            probers: 1,
            zones: 1,
            etcd: 1,
            providers: Vec::new(),
            policy: json!({}),
            config: json!({}),
            paths: Paths::Doors,
            clocks: BTreeMap::new(),
            programs: None,
        }
    }
}

impl Plan {
    /// So many routers.
    #[must_use]
    pub fn routers(self, routers: usize) -> Self {
        Self { routers, ..self }
    }

    /// So many probers.
    #[must_use]
    pub fn probers(self, probers: usize) -> Self {
        Self { probers, ..self }
    }

    /// Routers and probers stand in so many zones, in turn: `zone-0`, `zone-1` and so on.
    #[must_use]
    pub fn zones(self, zones: usize) -> Self {
        Self { zones, ..self }
    }

    /// So many members of etcd.
    #[must_use]
    pub fn etcd(self, etcd: usize) -> Self {
        Self { etcd, ..self }
    }

    /// These providers.
    #[must_use]
    pub fn providers(self, providers: &[&Provider]) -> Self {
        Self { providers: providers.iter().map(|provider| (*provider).clone()).collect(), ..self }
    }

    /// Sets keys of the policy.
    #[must_use]
    pub fn policy(self, keys: Value) -> Self {
        Self { policy: overlay(self.policy, keys), ..self }
    }

    /// Sets keys of every router's configuration.
    #[must_use]
    pub fn config(self, keys: Value) -> Self {
        Self { config: overlay(self.config, keys), ..self }
    }

    /// Lets the parts reach each other this way.
    #[must_use]
    pub fn paths(self, paths: Paths) -> Self {
        Self { paths, ..self }
    }

    /// Runs the programs of this folder instead of those beside the tests.
    #[must_use]
    pub fn programs(self, folder: &Path) -> Self {
        Self { programs: Some(folder.to_owned()), ..self }
    }

    /// Sets the wall clock of a router or prober off, in seconds.
    #[must_use]
    pub fn clock(mut self, name: &str, offset_s: i64) -> Self {
        self.clocks.insert(name.to_owned(), offset_s);
        self
    }

    /// Starts everything, and waits until every router finds every provider up.
    pub async fn start(self) -> Cluster {
        let cluster = self.start_unmeasured().await;
        cluster.wait_until_up().await;
        cluster
    }

    /// Starts everything, and waits until every router is ready.
    pub async fn start_unmeasured(mut self) -> Cluster {
        let alone = ONE_AT_A_TIME.lock().await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut network = Network::default();
        let doors = (self.paths == Paths::Doors).then_some(&mut network);
        let etcd = Members::start(self.etcd, doors).await;
        if self.paths == Paths::Doors {
            for provider in &mut self.providers {
                let door = network.door(&provider.id, provider.sim.addr()).await;
                *provider = provider.clone().at(&format!("http://{door}/v1"));
            }
        }
        let routers = self.start_routers(&etcd, &folder).await;
        let prober = |number| self.start_prober(number, &etcd, &folder);
        let probers = (0..self.probers).map(prober).collect();
        let tables = routers.iter().map(Table::of).collect();
        let providers = self.providers.clone();
        // What is started later is what stands beside the tests.
        let plan = Self { programs: None, ..self };
        Cluster { routers, tables, probers, etcd, providers, network, plan, folder, _alone: alone }
    }

    /// All at once: one after the other, twenty would take long.
    async fn start_routers(&self, etcd: &Members, folder: &TempDir) -> Vec<Router> {
        let mut starts = JoinSet::new();
        for number in 0..self.routers {
            let setup = self.router(&format!("router-{number}"), number, etcd, folder);
            starts.spawn(async move { (number, setup.start().await) });
        }
        let mut routers = starts.join_all().await;
        routers.sort_by_key(|(number, _)| *number);
        routers.into_iter().map(|(_, router)| router).collect()
    }

    /// A router of this name that stands where the one with this number does.
    pub(super) fn router(
        &self,
        name: &str,
        number: usize,
        etcd: &Members,
        folder: &TempDir,
    ) -> Setup {
        let providers: Vec<&Provider> = self.providers.iter().collect();
        let zone = Cluster::zone_of(number, self.zones);
        Setup::new(&providers)
            .policy(self.policy.clone())
            .config(self.config.clone())
            .config(json!({"node_id": name, "zone": zone}))
            .etcd(&etcd.urls())
            .environment(&self.environment(name, folder))
            .program(&self.program("router-node"))
    }

    fn program(&self, name: &str) -> PathBuf {
        self.programs.as_ref().map_or_else(|| beside(name), |folder| folder.join(name))
    }

    pub(super) fn start_prober(&self, number: usize, etcd: &Members, folder: &TempDir) -> Prober {
        let name = format!("prober-{number}");
        let zone = Cluster::zone_of(number, self.zones);
        let mut command = Command::new(self.program("health-prober"));
        command.env_clear().args(["--id", &name, "--zone", &zone, "--log-format", "json"]);
        command.args(["--etcd-endpoints", &etcd.urls().join(","), "--ops", "127.0.0.1:0"]);
        command.args(["--listen", "127.0.0.1:0"]);
        command.envs(self.environment(&name, folder));
        for provider in &self.providers {
            command.envs(provider.secrets());
        }
        let process = Process::start(&name, &mut command);
        Prober { name, zone, process }
    }

    fn environment(&self, name: &str, folder: &TempDir) -> Vec<(String, String)> {
        let offset = self.clocks.get(name);
        offset.map_or_else(Vec::new, |offset| wrong_clock::environment(folder.path(), *offset))
    }
}
