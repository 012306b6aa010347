//! The units of `deploy/systemd` are sound, hold their programs tightly, and the programs work all the same: they
//! run here under the system calls, memory and sockets that the units leave them.

#![expect(clippy::expect_used, reason = "what the test needs fails it on the spot")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use trunkline_tests::authority::Authority;
use trunkline_tests::client::Client;
use trunkline_tests::cluster::{Cluster, until};
use trunkline_tests::images::repository;
use trunkline_tests::json::chat;
use trunkline_tests::process::{Process, beside};
use trunkline_tests::provider::Provider;
use trunkline_tests::router::Setup;

/// The units, and the program that each starts.
const UNITS: [(&str, &str); 2] =
    [("trunkline-router", "router-node"), ("trunkline-prober", "health-prober")];
/// The most exposed that a unit may be, by systemd's own scale from 0 to 100. A service that is reached by
/// network cannot come below 10.
const EXPOSURE: &str = "--threshold=12";

fn unit(name: &str) -> PathBuf {
    repository().join(format!("deploy/systemd/{name}.service"))
}

/// A unit that starts the program beside the tests', in a folder of its own.
fn placed(name: &str, program: &str) -> (tempfile::TempDir, PathBuf) {
    let text = std::fs::read_to_string(unit(name)).expect("a unit");
    let built = beside(program).display().to_string();
    let text = text.replace(&format!("/usr/local/bin/{program}"), &built);
    assert!(text.contains(&built), "{name} starts {program}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(format!("{name}.service"));
    std::fs::write(&path, text).expect("a unit is written");
    (folder, path)
}

fn analyze(words: &[&str], unit: &PathBuf) -> Output {
    let mut analyze = Command::new("systemd-analyze");
    analyze.args(words).arg(unit).output().expect("systemd-analyze: install Debian's systemd")
}

#[test]
fn units_are_understood_and_expose_little() {
    for (name, program) in UNITS {
        let (_folder, unit) = placed(name, program);
        let verified = analyze(&["verify", "--man=no"], &unit);
        assert!(verified.status.success() && verified.stderr.is_empty(), "{verified:?}");
        let exposed = analyze(&["security", "--offline=true", "--no-pager", EXPOSURE], &unit);
        assert!(exposed.status.success(), "{}", String::from_utf8_lossy(&exposed.stdout));
    }
}

#[test]
fn a_unit_that_exposes_more_is_found() {
    let (_folder, unit) = placed("trunkline-router", "router-node");
    let text = std::fs::read_to_string(&unit).expect("a unit");
    std::fs::write(&unit, text.replace("DynamicUser=yes\n", "")).expect("a unit is written");
    let exposed = analyze(&["security", "--offline=true", "--no-pager", EXPOSURE], &unit);
    assert!(!exposed.status.success(), "{}", String::from_utf8_lossy(&exposed.stdout));
}

/// The variables in lines of a unit that begin with a sign, with this folder for where files are.
fn ready(name: &str, folder: &Path) -> Vec<(String, String)> {
    let folder = folder.display().to_string();
    let text = std::fs::read_to_string(unit(name)).expect("a unit");
    let lines = text.lines().filter_map(|line| line.strip_prefix("#Environment="));
    let pairs = lines.flat_map(str::split_whitespace).filter_map(|pair| pair.split_once('='));
    let local = |value: &str| value.replace("%d", &folder).replace("/etc/trunkline", &folder);
    pairs.map(|(variable, value)| (variable.to_owned(), local(value))).collect()
}

#[test]
fn the_lines_that_units_have_ready_for_secrets_fit_their_programs() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
    let file = |name: &str| folder.path().join(name);
    let [cert, key] = authority.issue("anybody");
    let copies = [
        (authority.ca(), "etcd-ca.pem"),
        (cert.clone(), "router.pem"),
        (key.clone(), "etcd-key.pem"),
        (key, "evidence-key.pem"),
    ];
    for (from, to) in copies {
        std::fs::copy(from, file(to)).expect("a file is copied");
    }
    std::fs::write(file("pepper"), "pepper").expect("a file is written");
    let config = json!({"store": {"etcd": {"endpoints": ["https://etcd:2379"]}}}).to_string();
    std::fs::write(file("router.yaml"), config).expect("a file is written");

    let mut router = Command::new(beside("router-node"));
    router.arg("check").arg("--config").arg(file("router.yaml"));
    let mut prober = Command::new(beside("health-prober"));
    prober.arg("--check").args(["--id", "p", "--zone", "z", "--listen", "127.0.0.1:0"]);
    prober.args(["--etcd-endpoints", "https://etcd:2379"]).arg("--tls-cert").arg(&cert);
    for (flag, file) in [("--etcd-ca", authority.ca()), ("--etcd-cert", cert)] {
        prober.arg(flag).arg(file);
    }
    for (program, name) in [(&mut router, "trunkline-router"), (&mut prober, "trunkline-prober")] {
        let variables = ready(name, folder.path());
        assert!(variables.len() >= 2, "{variables:?}");
        let checked = program.env_clear().envs(variables).current_dir(folder.path()).output();
        let checked = checked.expect("a program that runs");
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}

/// What a unit starts its program through here.
fn confined(name: &str) -> Vec<String> {
    let script = repository().join("tests/systemd/confine.py");
    let words = [PathBuf::from("python3"), script, unit(name)];
    words.map(|word| word.display().to_string()).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_work_with_what_their_units_leave_them() {
    let alpha = Provider::start("alpha").await.serving("m");
    let cluster = Cluster::plan().providers(&[&alpha]).start().await;
    let members = cluster.etcd.urls();
    let router = Setup::new(&[&alpha]).etcd(&members).config(json!({"node_id": "confined"}));
    let router = router.through(&confined("trunkline-router")).start().await;
    let reply = router.client().chat(&chat("m")).await;
    assert_eq!(reply.status(), 200, "{}", reply.text());

    let [python, rest @ ..] = &confined("trunkline-prober")[..] else { unreachable!() };
    let mut command = Command::new(python);
    command.args(rest).arg(beside("health-prober")).args(["--id", "confined", "--zone", "z"]);
    command.args(["--etcd-endpoints", &members.join(","), "--ops", "127.0.0.1:0"]);
    command.args(["--listen", "127.0.0.1:0", "--log-format", "json"]).envs(alpha.secrets());
    let mut prober = Process::start("confined", &mut command);
    let address = prober.told(operations).await;
    let port = Client { address, key: String::new() };
    until("it is ready", async || port.get("/readyz").await.status() == 200).await;
    until("it published", async || cluster.votes_of("confined").await.len() == 1).await;

    for process in [&router.process, &prober] {
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()));
        let status = status.expect("a process");
        let filters = status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:"));
        assert_eq!(filters.map(str::trim), Some("3"), "it is confined");
    }
    // They also leave as they should: signals and files are theirs to use.
    prober.end().await;
    router.stop().await;
}

fn operations(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    line.get("ops")?.as_str()?.parse().ok()
}
