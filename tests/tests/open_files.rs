//! A system that gives few descriptors: a router says so when calls that it promised would wait for one, and else
//! does not bother whoever starts it.

use std::process::Command;

use serde_json::{Value, json};
use trunkline_tests::process::{Process, beside};
use trunkline_tests::provider::Provider;
use trunkline_tests::router::Setup;

/// The words of a command that runs another with so many descriptors at most.
fn few(open_files: u32) -> Vec<String> {
    let script = format!("ulimit -n {open_files}; exec \"$@\"");
    ["sh", "-c", &script, "sh"].map(str::to_owned).to_vec()
}

/// Warnings and worse.
fn complaints(log: &[String]) -> Vec<Value> {
    let lines = log.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| ["WARN", "ERROR"].map(Value::from).contains(&line["level"])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_warns_when_there_is_no_room_for_the_calls_that_it_promises() {
    let alpha = Provider::start("alpha").await.serving("m");
    let started = async |calls: u64| {
        let limits = json!({"limits": {"concurrency": calls}});
        let router = Setup::new(&[&alpha]).config(limits).through(&few(2_048)).start().await;
        complaints(&router.stop().await.0)
    };
    let told = started(1_000).await;
    let about = |line: &Value| line["open_files"] == 2_048 && line["connections"] == 768;
    assert!(told.len() == 1 && told.iter().all(about), "{told:#?}");
    assert_eq!(started(500).await, [Value::Null; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_developers_first_line_is_no_warning() {
    let data = tempfile::tempdir().unwrap();
    let words = few(1_024);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).arg(beside("router-node")).arg("dev").env_clear();
    for port in ["--listen", "--ops", "--admin"] {
        command.args([port, "127.0.0.1:0"]);
    }
    command.arg("--data-dir").arg(data.path().join("dev"));
    let mut dev = Process::start("dev", &mut command);
    dev.told(|line| line.contains("\"listening\"").then_some(())).await;
    assert_eq!(complaints(&dev.lines()), [Value::Null; 0]);
}
