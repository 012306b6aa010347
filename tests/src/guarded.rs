//! An etcd that only talks to those who show a certificate, and the parts that show one.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;
use trunkline_store::keys::ROOT;
use trunkline_store::{ClientFiles, ClientTls, Etcd, EtcdOptions, Store};

use crate::authority::Authority;
use crate::cluster::{Port, until};
use crate::process::{Process, beside, etcd_program};
use crate::provider::Provider;

/// One member of etcd that only talks to clients with a certificate.
pub struct Guarded {
    /// Who signs everybody's certificates.
    pub authority: Authority,
    /// Its client URL.
    pub url: String,
    _ports: [Port; 2],
    _process: Process,
    _folder: TempDir,
}

impl Guarded {
    /// Starts it and waits until it serves. Access control is off.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        let (authority, ports) = (Authority::new(), [Port::hold(), Port::hold()]);
        let [clients, peers] = [&ports[0], &ports[1]].map(|port| port.address);
        let (url, peers) = (format!("https://{clients}"), format!("http://{peers}"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [cert, key] = authority.issue("etcd");
        let mut command = Command::new(etcd_program());
        command.arg("--data-dir").arg(folder.path()).args(["--name", "one", "--log-level", "warn"]);
        command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        command.args(["--initial-cluster", &format!("one={peers}"), "--client-cert-auth"]);
        command.arg("--trusted-ca-file").arg(authority.ca());
        command.arg("--cert-file").arg(cert).arg("--key-file").arg(key);
        let process = Process::start("etcd", &mut command);
        let etcd = Self { authority, url, _ports: ports, _process: process, _folder: folder };
        let store = etcd.store();
        until("etcd serves", async || store.list(ROOT).await.is_ok()).await;
        etcd
    }

    /// As its administrator.
    ///
    /// # Panics
    /// When files cannot be written.
    #[must_use]
    pub fn store(&self) -> Etcd {
        self.store_with(self.authority.ca(), self.authority.issue("root"))
    }

    /// As whoever has this identity, trusting this authority.
    ///
    /// # Panics
    /// When the files are of no use.
    #[must_use]
    pub fn store_with(&self, ca: PathBuf, [cert, key]: [PathBuf; 2]) -> Etcd {
        let files = ClientFiles { ca, identity: Some((cert, key)) };
        let tls = Some(ClientTls::load("etcd", files).expect("an identity"));
        Etcd::new(EtcdOptions { members: vec![self.url.clone()], tls }).expect("a member's address")
    }

    /// What a router's configuration says of it.
    #[must_use]
    pub fn entry(&self, [cert, key]: &[PathBuf; 2]) -> Value {
        let tls = json!({"ca": self.authority.ca(), "cert": cert, "key": key});
        json!({"store": {"etcd": {"tls": tls}}})
    }

    /// `admin-cli bootstrap etcd` with these flags, as root.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn bootstrap(&self, flags: &[&str]) -> Output {
        let mut command = Command::new(beside("admin-cli"));
        command.env_clear().args(["bootstrap", "etcd"]).args(flags).args(self.flags("root"));
        command.output().expect("admin-cli runs")
    }

    /// Gives these parts their rights.
    ///
    /// # Panics
    /// When that fails.
    pub fn confine(&self, flags: &[&str]) {
        let ran = self.bootstrap(flags);
        assert!(ran.status.success(), "{flags:?}: {ran:?}");
    }

    /// etcd's own client, as root.
    ///
    /// # Panics
    /// When it fails.
    pub fn etcdctl(&self, words: &[&str]) {
        let [cert, key] = self.authority.issue("root");
        let mut command = Command::new(etcd_program().with_file_name("etcdctl"));
        command.args(words).env("ETCDCTL_API", "3").env("ETCDCTL_ENDPOINTS", &self.url);
        command.env("ETCDCTL_CACERT", self.authority.ca());
        command.env("ETCDCTL_CERT", cert).env("ETCDCTL_KEY", key);
        let ran = command.output().expect("etcdctl runs");
        assert!(ran.status.success(), "{words:?}: {ran:?}");
    }

    /// The flags with which a program reaches it as this user.
    ///
    /// # Panics
    /// When a path is no text.
    #[must_use]
    pub fn flags(&self, user: &str) -> Vec<String> {
        let text = |path: &Path| path.to_str().expect("a path that is text").to_owned();
        let [cert, key] = self.authority.issue(user);
        let files =
            [("--etcd-ca", self.authority.ca()), ("--etcd-cert", cert), ("--etcd-key", key)];
        let files = files.iter().flat_map(|(flag, file)| [(*flag).to_owned(), text(file)]);
        ["--etcd-endpoints".to_owned(), self.url.clone()].into_iter().chain(files).collect()
    }

    /// A prober of that name, with the certificate of a user and these further flags.
    #[must_use]
    pub fn prober(
        &self,
        (name, user): (&str, &str),
        providers: [&Provider; 2],
        further: &[&str],
    ) -> Process {
        let mut command = Command::new(beside("health-prober"));
        command.env_clear().args(["--id", name, "--zone", name, "--log-format", "json"]);
        command.args(["--ops", "127.0.0.1:0"]).args(self.flags(user)).args(further);
        for provider in providers {
            command.envs(provider.secrets());
        }
        Process::start(name, &mut command)
    }
}
