//! The script that starts a cluster on one machine does so, and leaves nothing behind.
#![expect(clippy::expect_used, clippy::panic, reason = "what the test needs fails it on the spot")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::net::TcpListener;
use trunkline_tests::client::Client;
use trunkline_tests::cluster::until;
use trunkline_tests::json::chat;
use trunkline_tests::process::{Process, beside, etcd_program};

/// Where the script's routers listen without an offset.
const ROUTERS: [u16; 3] = [8081, 8082, 8083];
/// Where the first router's admin API is.
const ADMIN: u16 = 9191;
/// Offsets that leave all ports below those that the system gives away by itself.
const OFFSETS: std::ops::Range<u16> = 3_000..20_000;
/// How long its end may take on a loaded machine.
const END: Duration = Duration::from_secs(30);

/// An offset at which the routers' ports are free, different for programs that run at once.
async fn offset() -> u16 {
    let spread = OFFSETS.end - OFFSETS.start;
    let first =
        u16::try_from(std::process::id() % u32::from(spread)).expect("less than the spread");
    for step in (0..spread).step_by(20) {
        let offset = OFFSETS.start + (first + step) % spread;
        if TcpListener::bind(("127.0.0.1", ROUTERS[0] + offset)).await.is_ok() {
            return offset;
        }
    }
    panic!("no free ports");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_command_starts_a_cluster_and_its_end_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let programs = ["router-node", "health-prober", "sim-provider"].map(beside);
    let programs = programs[0].parent().expect("a program is in a folder");
    let offset = offset().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/local/cluster");
    let mut command = Command::new(script);
    command.env("TRUNKLINE_BIN", programs).env("TRUNKLINE_ETCD", etcd_program());
    command.env("TRUNKLINE_LOCAL_FOLDER", folder.path().join("local"));
    command.env("TRUNKLINE_LOCAL_OFFSET", offset.to_string());
    let mut cluster = Process::start("cluster", &mut command);
    cluster.told(|line| line.starts_with("ready").then_some(())).await;
    for port in ROUTERS {
        let address = ([127, 0, 0, 1], port + offset).into();
        let reply = Client { address, key: "local".to_owned() }.chat(&chat("sim/chat")).await;
        assert_eq!(reply.status(), 200, "{}", reply.text());
    }
    let mut status = Command::new(beside("admin-cli"));
    status.env("TRUNKLINE_ADMIN_KEY", "local").args(["status", "--endpoint"]);
    let status = status.arg(format!("http://127.0.0.1:{}", ADMIN + offset)).output();
    let status = status.expect("admin-cli runs");
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    let numbers = std::fs::read_dir(folder.path().join("local")).expect("its folder");
    let numbers =
        numbers.flatten().filter(|file| file.path().extension().is_some_and(|e| e == "pid"));
    let parts: Vec<String> = numbers
        .map(|file| std::fs::read_to_string(file.path()).expect("a number").trim().to_owned())
        .collect();
    assert_eq!(parts.len(), 3 + 3 + 5 + 3);
    tokio::time::timeout(END, cluster.end()).await.expect("it ends when asked to");
    until("no part is left", async || {
        !parts.iter().any(|part| Path::new("/proc").join(part).exists())
    })
    .await;
}
