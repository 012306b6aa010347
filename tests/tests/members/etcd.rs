//! One real member of etcd with a data folder that can be copied away and put back, as backups are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use trunkline_store::{EtcdOptions, Store};
use trunkline_tests::cluster::{Port, until};
use trunkline_tests::process::{Process, etcd_program};

/// The member.
pub struct Etcd {
    process: Option<Process>,
    folder: TempDir,
    client: Port,
    peer: Port,
}

impl Etcd {
    /// Starts it and waits until it serves.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (client, peer) = (Port::hold(), Port::hold());
        let mut etcd = Self { process: None, folder, client, peer };
        etcd.start_again().await;
        etcd
    }

    /// Starts it on the data it has and waits until it serves.
    pub async fn start_again(&mut self) {
        let (client, peer) = (url(&self.client), url(&self.peer));
        let mut command = Command::new(etcd_program());
        command.arg("--data-dir").arg(self.data());
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--name", "one", "--initial-cluster", &format!("one={peer}")]);
        command.args(["--log-level", "warn"]);
        self.process = Some(Process::start("etcd", &mut command));
        let store = self.store();
        until("etcd serves", async || store.list("").await.is_ok()).await;
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Copies its data away; it must not run.
    pub fn back_up(&self) {
        copy(&self.data(), &self.folder.path().join("backup"));
    }

    /// Puts the copy back; it must not run.
    pub fn restore(&self) {
        fs::remove_dir_all(self.data()).unwrap();
        copy(&self.folder.path().join("backup"), &self.data());
    }

    /// Where it listens.
    pub fn members(&self) -> Vec<String> {
        vec![url(&self.client)]
    }

    /// A store on it, for the test itself.
    pub fn store(&self) -> trunkline_store::Etcd {
        trunkline_store::Etcd::new(EtcdOptions { members: self.members(), tls: None }).unwrap()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn url(port: &Port) -> String {
    format!("http://{}", port.address)
}
