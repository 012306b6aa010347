//! What `admin-cli` does without a router, or before it finds one: contexts, manual pages, imports.
#![expect(clippy::unwrap_used, reason = "fails its test on the spot")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use trunkline_tests::provider::Provider;
use trunkline_tests::router::{KEY, Setup, beside};

/// Somebody whose home is this folder, with no variable set.
fn at_home(home: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(beside("admin-cli"));
    command.env_clear().env("HOME", home).current_dir(home).args(words).output().unwrap()
}

fn reads(home: &Path, words: &[&str]) -> Value {
    let output = at_home(home, &[words, &["-o", "json"]].concat());
    assert!(output.status.success(), "{words:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_is_all_that_it_takes_to_reach_a_cluster() {
    let provider = Provider::start("a").await.serving("m");
    let router = Setup::new(&[&provider]).start().await;
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    fs::write(home.join("key"), KEY).unwrap();
    let endpoint = format!("http://{}", router.admin);
    let set = ["context", "set", "here", "--endpoint", &endpoint, "--key-file", "key"];
    let kept = reads(home, &set);
    assert_eq!(kept.pointer("/items/0/current"), Some(&json!(true)));
    let file = fs::read_to_string(home.join(".config/trunkline/contexts.yaml")).unwrap();
    assert!(!file.contains(KEY), "a key is never kept");
    assert_eq!(reads(home, &["get", "models"]).pointer("/items/0/id"), Some(&json!("m")));

    reads(home, &["context", "set", "gone", "--endpoint", "http://127.0.0.1:1"]);
    reads(home, &["context", "use", "gone"]);
    assert_eq!(at_home(home, &["status"]).status.code(), Some(1));
    reads(home, &["status", "--context", "here"]);
    let told = at_home(home, &["status", "--endpoint", &endpoint]);
    let told = String::from_utf8(told.stderr).unwrap();
    assert!(told.contains("no API key"), "a context's key goes to its own endpoint: {told}");
    reads(home, &["context", "remove", "gone"]);
    assert_eq!(at_home(home, &["context", "use", "gone"]).status.code(), Some(1));
    assert_eq!(at_home(home, &["status", "--context", "gone"]).status.code(), Some(2));
}

#[test]
fn manual_pages_are_written_and_found_by_name() {
    let home = tempfile::tempdir().unwrap();
    assert!(at_home(home.path(), &["man", "pages"]).status.success());
    let page = fs::read_to_string(home.path().join("pages/admin-cli-keys-create.1")).unwrap();
    assert!(page.contains("networks") || page.contains("network"), "{page}");
    let first = at_home(home.path(), &["man"]);
    assert!(String::from_utf8(first.stdout).unwrap().contains(".TH admin-cli"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_configuration_starts_a_router() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let config = "model_list:\n  - model_name: m\n    litellm_params: {model: hosted_vllm/their-m, \
                  api_base: 'http://127.0.0.1:1/v1', tpm: 5}\n";
    fs::write(home.join("config.yaml"), config).unwrap();
    let dry = reads(home, &["import", "litellm", "config.yaml", "--dry-run"]);
    assert_eq!(dry.pointer("/files"), Some(&json!([])));
    let done = reads(home, &["import", "litellm", "config.yaml"]);
    assert!(done.to_string().contains("litellm_params.tpm"), "{done}");
    let again = at_home(home, &["import", "litellm", "config.yaml"]);
    assert_eq!(again.status.code(), Some(2), "files that are there stay: {again:?}");
    reads(home, &["import", "litellm", "config.yaml", "--force"]);
    let mut check = Command::new(beside("router-node"));
    check.env_clear().current_dir(home).arg("check");
    check.args(["--catalog", "catalog.json", "--policy", "policy.json"]);
    let checked = check.output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn whoever_has_read_enough_may_leave() {
    let mut command = Command::new(beside("admin-cli"));
    command.args(["schema", "catalog"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
