//! A cluster on an etcd that wants certificates and has access control on: every part works with its own, and
//! nobody speaks in another's name.

#![expect(clippy::expect_used, reason = "fails its test on the spot")]

use std::path::Path;
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;
use trunkline_store::keys::{PROBERS, ROOT};
use trunkline_store::{ClientFiles, ClientTls, Etcd, EtcdOptions, Store};
use trunkline_tests::authority::Authority;
use trunkline_tests::cluster::{Port, Table, Verdict, until};
use trunkline_tests::json::chat;
use trunkline_tests::process::{Process, beside, etcd_program};
use trunkline_tests::provider::Provider;
use trunkline_tests::router::Setup;

/// One member of etcd that only talks to clients with a certificate.
struct Guarded {
    authority: Authority,
    url: String,
    _ports: [Port; 2],
    _process: Process,
    _folder: TempDir,
}

impl Guarded {
    async fn start() -> Self {
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
    fn store(&self) -> Etcd {
        let [cert, key] = self.authority.issue("root");
        let files = ClientFiles { ca: self.authority.ca(), identity: Some((cert, key)) };
        let tls = Some(ClientTls::load("etcd", files).expect("an identity"));
        Etcd::new(EtcdOptions { members: vec![self.url.clone()], tls }).expect("a member's address")
    }

    /// Runs the script that operators run.
    fn access(&self, words: &[&str]) {
        let [cert, key] = self.authority.issue("root");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut command = Command::new(root.join("deploy/etcd/access.sh"));
        command.args(words).env("ETCDCTL", etcd_program().with_file_name("etcdctl"));
        command.env("ETCDCTL_ENDPOINTS", &self.url).env("ETCDCTL_CACERT", self.authority.ca());
        command.env("ETCDCTL_CERT", cert).env("ETCDCTL_KEY", key);
        let ran = command.output().expect("a script that runs");
        assert!(ran.status.success(), "{words:?}: {ran:?}");
    }

    /// A prober of that name, with the certificate of a user.
    fn prober(&self, name: &str, user: &str, providers: [&Provider; 2]) -> Process {
        let [cert, key] = self.authority.issue(user);
        let mut command = Command::new(beside("health-prober"));
        command.env_clear().args(["--id", name, "--zone", name, "--log-format", "json"]);
        command.args(["--etcd-endpoints", &self.url, "--ops", "127.0.0.1:0"]);
        command.arg("--etcd-ca").arg(self.authority.ca());
        command.arg("--etcd-cert").arg(cert).arg("--etcd-key").arg(key);
        for provider in providers {
            command.envs(provider.secrets());
        }
        Process::start(name, &mut command)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_part_works_with_its_own_certificate_and_speaks_for_nobody_else() {
    let etcd = Guarded::start().await;
    for words in [
        ["router", "router-a"].as_slice(),
        &["operator", "router-a"],
        &["prober", "a"],
        &["prober", "b"],
        &["prober", "c"],
        &["enable"],
    ] {
        etcd.access(words);
    }
    let alpha = Provider::start("alpha").await.serving("m");
    let beta = Provider::start("beta").await.serving("m");
    let [cert, key] = etcd.authority.issue("router-a");
    let tls = json!({"ca": etcd.authority.ca(), "cert": cert, "key": key});
    let router = Setup::new(&[&alpha, &beta]).etcd(std::slice::from_ref(&etcd.url));
    let router = router.config(json!({"node_id": "router-a", "store": {"etcd": {"tls": tls}}}));
    let router = router.start().await;

    let probers = ["a", "b"].map(|name| etcd.prober(name, name, [&alpha, &beta]));
    let liar = etcd.prober("c", "a", [&alpha, &beta]);
    let store = etcd.store();
    let alive = async || {
        let listed = store.list(PROBERS).await.map(|listing| listing.entries);
        listed.unwrap_or_default().into_iter().map(|entry| entry.key).collect::<Vec<String>>()
    };
    until("two probers live", async || alive().await.len() == 2).await;
    let table = Table::of(&router);
    let verdict = async || table.row("alpha").await.verdict();
    until("alpha is up", async || verdict().await == Verdict::Up).await;
    let hello = chat("m");
    let called = router.client().chat(&hello).await;
    assert_eq!(called.status(), 200, "{}", called.text());

    alpha.sim.kill();
    until("alpha is down", async || verdict().await == Verdict::Down).await;
    assert_eq!(router.client().chat(&hello).await.status(), 200);
    until("the store refused the liar", async || {
        liar.lines().iter().any(|line| line.contains("permission denied"))
    })
    .await;
    assert_eq!(alive().await, ["a", "b"].map(|name| format!("{PROBERS}{name}")));
    for prober in &probers {
        assert!(prober.lines().iter().all(|line| !line.contains("permission denied")));
    }
}
