//! What an operator sees at a terminal: the pages of `tests/snapshots/` show it, with ids, numbers and times made
//! equal. `UPDATE_SNAPSHOTS=1` writes them again, for a person to read before they are committed.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "fails its test on the spot")]

#[path = "operator_views/shown.rs"]
mod shown;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use shown::is_as_before;
use trunkline_tests::client::Client;
use trunkline_tests::cluster::{Cluster, Verdict, until};
use trunkline_tests::provider::Provider;
use trunkline_tests::router::{KEY, Router, Setup, beside};

fn says(router: &Router, words: &[&str]) -> Output {
    let mut command = Command::new(beside("admin-cli"));
    command.env_clear().env("TRUNKLINE_ADMIN_KEY", KEY);
    command.env("TRUNKLINE_ENDPOINT", format!("http://{}", router.admin));
    command.args(words).output().unwrap()
}

fn reads(router: &Router, words: &[&str]) -> Value {
    let output = says(router, &[words, &["-o", "json"]].concat());
    assert!(output.status.success(), "{words:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The codes of what is found.
fn found(router: &Router) -> Vec<String> {
    let output = says(router, &["doctor", "-o", "json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let items = told["items"].as_array().unwrap();
    assert_eq!(output.status.code(), Some(i32::from(!items.is_empty())), "{output:?}");
    items.iter().map(|item| item["code"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_view_reads_as_it_did_when_it_was_last_looked_at() {
    let a = Provider::start("alpha").await.serving("acme/large").serving("acme/small");
    let b = Provider::start("beta").await.serving("acme/large");
    let policy = json!({"routes": {"default": {"models": ["acme/large", "acme/small"]}}});
    let named = json!({"node_id": "r1", "zone": "here"});
    let router = Setup::new(&[&a, &b]).policy(policy).config(named).start().await;
    until("it has registered", async || router.metric("trunkline_routers", "").await == 1.0).await;
    let drain = says(&router, &["drain", "provider/beta", "--force", "--reason", "new quota"]);
    is_as_before("drain", &drain);
    until("it is proven", async || {
        reads(&router, &["get", "drains"])["items"][0]["state"] == "proven"
    })
    .await;
    for (name, words) in [
        ("status", &["status"][..]),
        ("get-providers", &["get", "providers"]),
        ("get-models", &["get", "models"]),
        ("get-endpoints", &["get", "endpoints"]),
        ("get-endpoints-wide", &["get", "endpoints", "-o", "wide"]),
        ("get-drains-yaml", &["get", "drains", "-o", "yaml"]),
        ("get-routers", &["get", "routers"]),
        ("get-probers", &["get", "probers"]),
        ("describe-router", &["describe", "router", "r1"]),
        ("describe-endpoint", &["describe", "endpoint", "alpha/acme/small@global"]),
        ("wait", &["wait", "--revision", "4"]),
        ("doctor", &["doctor"]),
        ("top", &["top", "--once"]),
    ] {
        is_as_before(name, &says(&router, words));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_read_the_same_in_json_and_nobody_else_gets_colours() {
    let a = Provider::start("alpha").await.serving("m");
    let router = Setup::new(&[&a]).start().await;
    for kind in ["providers", "models", "endpoints", "drains", "routers", "probers"] {
        let list = reads(&router, &["get", kind]);
        let items = list["items"].as_array().unwrap();
        assert!(items.iter().all(|item| item["id"].is_string()), "{kind}: {list}");
    }
    let yaml =
        String::from_utf8(says(&router, &["get", "endpoints", "-o", "yaml"]).stdout).unwrap();
    assert!(yaml.starts_with("---\nitems:"), "{yaml}");
    let table = says(&router, &["status"]).stdout;
    assert!(!table.contains(&0x1b), "a pipe is no terminal: {}", String::from_utf8_lossy(&table));
    assert_eq!(says(&router, &["top", "-o", "json"]).status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_is_told_which_router_has_not_applied_it() {
    let a = Provider::start("alpha").await.serving("m");
    let b = Provider::start("beta").await.serving("m");
    let cluster = Cluster::plan().routers(3).providers(&[&a, &b]).start_unmeasured().await;
    let router = &cluster.routers[0];
    until("all are registered and even", async || {
        let routers = reads(router, &["get", "routers"]);
        let routers = routers["items"].as_array().unwrap();
        routers.len() == 3 && routers.iter().all(|router| router["lag"] == 0)
    })
    .await;
    cluster.routers[2].process.freeze();
    let drained = reads(router, &["drain", "provider/alpha", "--force", "--reason", "x"]);
    let revision = drained["revision"].to_string();
    let late = says(router, &["wait", "--revision", &revision, "--timeout", "3"]);
    let told = String::from_utf8(late.stderr).unwrap();
    assert_eq!(late.status.code(), Some(5), "{told}");
    assert!(told.contains("router-2 (at ") && !told.contains("router-1"), "{told}");
    assert!(found(router).contains(&"router_behind".to_owned()));
    cluster.routers[2].process.thaw();
    let done = says(router, &["wait", "--revision", &revision, "--timeout", "60"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let ahead = says(router, &["wait", "--revision", "1000000", "--timeout", "0"]);
    assert_eq!(ahead.status.code(), Some(5), "{ahead:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_names_what_is_broken_and_falls_silent_when_it_is_not() {
    let a = Provider::start("alpha").await.serving("m");
    let b = Provider::start("beta").await.serving("m");
    let plan = Cluster::plan().probers(3).zones(3).providers(&[&a, &b]);
    let cluster = plan.start().await;
    let router = &cluster.routers[0];
    // Which etcd is at hand depends on the machine.
    let ill =
        || found(router).into_iter().filter(|code| code != "store_outdated").collect::<Vec<_>>();
    until("all is well", async || ill().is_empty()).await;
    let load = cluster.load("m", 2, std::time::Duration::from_millis(50));
    cluster.provider("alpha").sim.kill();
    cluster.wait_for("alpha", Verdict::Down).await;
    assert_eq!(ill(), ["endpoint_down"]);
    says(router, &["drain", "provider/beta", "--force", "--reason", "both"]);
    assert_eq!(ill(), ["endpoint_kept"], "there is no other");
    says(router, &["drain", "model/m", "--force", "--reason", "all"]);
    assert!(ill().contains(&"model_without_endpoint".to_owned()));
    for target in ["provider/beta", "model/m"] {
        says(router, &["undrain", target, "--reason", "back"]);
    }
    cluster.provider("alpha").sim.revive().unwrap();
    cluster.wait_for("alpha", Verdict::Up).await;
    until("all is well again", async || ill().is_empty()).await;
    drop(load);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_is_left_as_it_was_found_and_coloured_only_if_wanted() {
    let a = Provider::start("alpha").await.serving("m");
    let router = Setup::new(&[&a]).start().await;
    until("it has registered", async || router.metric("trunkline_routers", "").await == 1.0).await;
    // Of Python no more is used than every machine with tests/provision/system.sh has.
    let mut stories = Command::new("python3");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("terminal");
    stories.arg("-B").arg(folder.join("operator.py"));
    stories.env("ADMIN_CLI", beside("admin-cli")).env("TRUNKLINE_ADMIN_KEY", KEY);
    stories.env("TRUNKLINE_ENDPOINT", format!("http://{}", router.admin));
    let told = tokio::task::spawn_blocking(move || stories.output()).await.unwrap().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_store_operators_still_see_what_calls_are_served_from() {
    let a = Provider::start("alpha").await.serving("m");
    let mut cluster = Cluster::plan().providers(&[&a]).start_unmeasured().await;
    let operations = Client { address: cluster.routers[0].ops, key: String::new() };
    let whole = operations.get("/status.json").await.json();
    assert_eq!(whole["store_answers"], true);
    cluster.etcd.kill(0);
    until("the page says so", async || {
        operations.get("/status.json").await.json()["store_answers"] == false
    })
    .await;
    let left = operations.get("/status.json").await.json();
    assert_eq!(left["providers"][0]["endpoints"][0]["model"], "m");
    assert_eq!(left["routers"][0]["id"], "router-0");
    let router = &cluster.routers[0];
    assert!(found(router).contains(&"store_member_unreachable".to_owned()));
    until("its silence is found", async || found(router).contains(&"store_silent".to_owned()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_names_the_variable_that_lacks_and_no_secret() {
    let a = Provider::start("alpha").await.serving("m").with_credentials(&["never-to-be-seen"]);
    let lacking = [("SECRET_ALPHA_0".to_owned(), String::new())];
    let router = Setup::new(&[&a]).environment(&lacking).start().await;
    let told = String::from_utf8(says(&router, &["doctor"]).stdout).unwrap();
    assert!(told.contains("provider/alpha: this router cannot call 1 of its endpoints"), "{told}");
    assert!(told.contains("SECRET_ALPHA_0") && !told.contains("never-to-be-seen"), "{told}");
}

/// Words in a text between two of these marks that look like a finding's code.
fn codes(text: &str, mark: char) -> BTreeSet<&str> {
    let code = |word: &&str| {
        word.contains('_') && word.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    };
    text.split(mark).filter(code).collect()
}

#[test]
fn every_finding_has_its_row_in_the_docs_and_no_other_has() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let sources = ["store", "members", "routing"].map(|part| {
        let text = read(&format!("router-node/src/admin/diagnosis/{part}.rs"));
        text.split("#[cfg(test)]").next().unwrap().to_owned()
    });
    let of_store = ["port/flaw", "etcd/access/rights"].map(|part| {
        let text = read(&format!("crates/store/src/{part}.rs"));
        text.split("#[cfg(test)]").next().unwrap().to_owned()
    });
    let of_cli = read("admin-cli/src/commands/doctor.rs");
    let sources = format!("{}{}{of_cli}", sources.concat(), of_store.concat());
    let mut known = codes(&sources, '"');
    known.retain(|code| !["size_bytes", "answered_by"].contains(code));
    let page = read("docs/operating.md");
    let table = page.split("## What `doctor` may find").nth(1).unwrap();
    assert_eq!(codes(table, '`'), known);
}
