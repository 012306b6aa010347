//! What routers owe each other and their operator: each says in the store what it has applied; one that starts
//! without the store serves what it last knew; and what an accident does to the store does nothing to calls.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "fails its test on the spot")]

#[path = "members/etcd.rs"]
mod etcd;

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use etcd::Etcd;
use serde_json::{Value, json};
use sim_provider::Fault;
use trunkline_store::keys::{CONFIG, ROUTERS};
use trunkline_store::{Expect, Store, Txn};
use trunkline_tests::cluster::{keeps, until};
use trunkline_tests::json::{chat, overlay};
use trunkline_tests::provider::Provider;
use trunkline_tests::router::{KEY, Router, Setup, beside};

/// How long it is watched that nothing happens.
const A_WHILE: Duration = Duration::from_secs(5);

fn on(etcd: &Etcd, folder: &Path, providers: &[&Provider]) -> Setup {
    let snapshot_dir = json!({"store": {"etcd": {"snapshot_dir": folder}}});
    Setup::new(providers).etcd(&etcd.members()).config(snapshot_dir)
}

fn command(router: &Router, words: &[&str]) -> Output {
    let mut command = Command::new(beside("admin-cli"));
    command.env_clear().env("TRUNKLINE_ADMIN_KEY", KEY);
    command.env("TRUNKLINE_ENDPOINT", format!("http://{}", router.admin));
    command.args(words).output().unwrap()
}

/// What the operator reads when a command succeeds.
fn reads(router: &Router, words: &[&str]) -> Value {
    let output = command(router, &[words, &["-o", "json"]].concat());
    assert!(output.status.success(), "{words:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn routers(router: &Router) -> Vec<Value> {
    reads(router, &["status"])["routers"].as_array().unwrap().clone()
}

async fn status_of(router: &Router, model: &str) -> u16 {
    router.client().chat(&chat(model)).await.status()
}

/// Six models at one provider, so that taking most of them away is an accident.
async fn six() -> Provider {
    let provider = Provider::start("a").await;
    (0..6).fold(provider, |provider, at| provider.serving(&format!("m{at}")))
}

/// Deletes everything under a prefix at one revision, as `etcdctl del --prefix` does; what was there.
async fn delete_below(store: &dyn Store, prefix: &str) -> Vec<(String, Vec<u8>)> {
    let entries = store.list(prefix).await.unwrap().entries;
    let txn = entries.iter().fold(Txn::new(), |txn, entry| txn.delete(&entry.key));
    assert!(store.commit(txn).await.unwrap().committed);
    entries.into_iter().map(|entry| (entry.key, entry.value.to_vec())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_that_starts_while_etcd_is_gone_serves_what_it_knew_and_catches_up() {
    let mut etcd = Etcd::start().await;
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::start("a").await.serving("m");
    on(&etcd, folder.path(), &[&provider]).start().await.stop().await;
    etcd.kill();
    let router = on(&etcd, folder.path(), &[&provider]).start().await;
    assert_eq!(status_of(&router, "m").await, 200);
    assert_eq!(status_of(&router, "other").await, 404);
    let shown = routers(&router);
    assert_eq!(shown.len(), 1, "it knows itself: {shown:?}");
    etcd.start_again().await;
    until("it registers", async || etcd.store().list(ROUTERS).await.unwrap().entries.len() == 1)
        .await;
    reads(&router, &["drain", "provider/a", "--reason", "x", "--force"]);
    assert_ne!(status_of(&router, "m").await, 200, "what the store says is obeyed again");
    router.stop().await;
    assert_eq!(etcd.store().list(ROUTERS).await.unwrap().entries, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_router_left_a_snapshot_and_a_damaged_one_is_not_served() {
    let mut etcd = Etcd::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("snapshot");
    let provider = Provider::start("a").await.serving("m");
    let mut router = on(&etcd, folder.path(), &[&provider]).start().await;
    until("a snapshot is kept", async || file.exists()).await;
    router.process.kill();
    etcd.kill();
    let mut again = on(&etcd, folder.path(), &[&provider]).start().await;
    assert_eq!(status_of(&again, "m").await, 200);
    again.process.kill();

    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let refusing = on(&etcd, folder.path(), &[&provider]).begin().await;
    let damaged = |line: &String| line.contains("damaged") && line.contains("checksum");
    until("it is said why", async || refusing.process.lines().iter().any(damaged)).await;
    assert_ne!(status_of(&refusing, "m").await, 200);
    etcd.start_again().await;
    refusing.wait_until_ready().await;
    assert_eq!(status_of(&refusing, "m").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_store_that_was_away_at_the_start_is_filled_when_it_comes() {
    let mut etcd = Etcd::start().await;
    etcd.kill();
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::start("a").await.serving("m");
    let router = on(&etcd, folder.path(), &[&provider]).begin().await;
    etcd.start_again().await;
    router.wait_until_ready().await;
    until("calls are served", async || status_of(&router, "m").await == 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_all_configuration_by_accident_changes_nothing_for_callers() {
    let etcd = Etcd::start().await;
    let folder = tempfile::tempdir().unwrap();
    let provider = six().await;
    let router = on(&etcd, folder.path(), &[&provider]).start().await;
    let store = etcd.store();
    let deleted = delete_below(&store, CONFIG).await;
    assert_eq!(deleted.len(), 3, "catalog, policy and keys");
    until("it is said", async || router.metric("trunkline_refused_records", "").await == 3.0).await;
    for at in 0..6 {
        assert_eq!(status_of(&router, &format!("m{at}")).await, 200);
    }
    let shown = routers(&router);
    assert_eq!(shown[0]["refused"], 3, "{shown:?}");
    assert!(shown[0]["problem"].as_str().unwrap().contains("deleted"), "{shown:?}");
    let told = command(&router, &["catalog", "confirm", "--endpoints", "6", "--reason", "x"]);
    assert_eq!(told.status.code(), Some(2), "the stored catalog has none: {told:?}");
    let told = String::from_utf8(command(&router, &["catalog", "show"]).stderr).unwrap();
    assert!(told.contains("no catalog is in the store") && told.contains("catalog log"), "{told}");

    // Without documents of its own, which would fill the empty store.
    let nothing = json!({"bootstrap": {"catalog": null, "policy": null, "keys": null}});
    router.stop().await;
    let router = on(&etcd, folder.path(), &[&provider]).config(nothing).start().await;
    assert_eq!(status_of(&router, "m3").await, 200, "a restart forgets nothing");

    for (key, value) in deleted {
        store.put(&key, value.into(), Expect::Absent).await.unwrap();
    }
    until("all is well", async || router.metric("trunkline_refused_records", "").await == 0.0)
        .await;
    assert_eq!(status_of(&router, "m3").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nobody_knows_who_is_alive_no_revision_counts_as_applied_everywhere() {
    let mut etcd = Etcd::start().await;
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::start("a").await.serving("m");
    let router = on(&etcd, folder.path(), &[&provider]).start().await;
    let drained = reads(&router, &["drain", "provider/a", "--reason", "x", "--force"]);
    let revision = drained["revision"].to_string();
    let wait =
        |patience| command(&router, &["wait", "--revision", &revision, "--timeout", patience]);
    assert!(wait("1m").status.success());

    etcd.kill();
    let late = wait("3");
    assert_eq!(late.status.code(), Some(5), "other routers may not have it: {late:?}");
    let told = String::from_utf8(late.stderr).unwrap();
    assert!(told.contains("nobody can tell which routers are alive"), "{told}");
    let shown = reads(&router, &["status"]);
    assert_eq!(shown["routers"].as_array().unwrap().len(), 1, "{shown}");
    let unlisted = shown["unlisted"].as_str().unwrap();
    assert!(unlisted.ends_with("Connection refused (os error 111)"), "{unlisted}");
    for kind in ["routers", "probers", "drains"] {
        let told = command(&router, &["get", kind]);
        assert_eq!(told.status.code(), Some(1), "none is not what is known: {told:?}");
    }
    let found = String::from_utf8(command(&router, &["doctor"]).stdout).unwrap();
    assert!(found.contains("it does not answer: Connection refused"), "{found}");
    assert!(!found.contains("none is alive"), "{found}");

    etcd.start_again().await;
    assert!(wait("1m").status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_old_backup_takes_no_model_away_until_it_is_confirmed() {
    let mut etcd = Etcd::start().await;
    let folder = tempfile::tempdir().unwrap();
    let provider = six().await;
    let router = on(&etcd, folder.path(), &[&provider]).start().await;
    let key = format!("{CONFIG}catalog");
    let whole = etcd.store().get(&key).await.unwrap().unwrap().value;
    let small = String::from_utf8(whole.to_vec()).unwrap();
    let mut small: Value = serde_json::from_str(&small).unwrap();
    small["providers"][0]["endpoints"].as_array_mut().unwrap().truncate(2);
    // The backup is from when there were two models.
    etcd.store().put(&key, small.to_string().into(), Expect::Any).await.unwrap();
    until("it is held back", async || router.metric("trunkline_refused_records", "").await == 1.0)
        .await;
    etcd.kill();
    etcd.back_up();
    etcd.start_again().await;
    for _ in 0..20 {
        etcd.store().put(&key, whole.clone(), Expect::Any).await.unwrap();
    }
    until("it is well", async || router.metric("trunkline_refused_records", "").await == 0.0).await;
    let before = router.metric("trunkline_applied_revision", "").await;
    etcd.kill();
    etcd.restore();
    etcd.start_again().await;
    until("it is told", async || router.metric("trunkline_refused_records", "").await == 1.0).await;
    assert!(router.metric("trunkline_applied_revision", "").await < before);
    assert_eq!(status_of(&router, "m5").await, 200);
    reads(&router, &["catalog", "confirm", "--endpoints", "2", "--reason", "so it was"]);
    assert_eq!(status_of(&router, "m5").await, 404);
    assert_eq!(status_of(&router, "m1").await, 200);
    let shown = routers(&router);
    assert_eq!((&shown[0]["refused"], &shown[0]["lag"]), (&json!(0), &json!(0)), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_router_shows_all_of_them_and_their_signs_cause_no_others() {
    let etcd = Etcd::start().await;
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::start("a").await.serving("m");
    let mut all = Vec::new();
    for name in ["r1", "r2", "r3"] {
        let named = json!({"node_id": name, "zone": format!("zone-{name}")});
        let setup = on(&etcd, &folder.path().join(name), &[&provider]).config(named);
        all.push(setup.start().await);
    }
    let even = |shown: &[Value]| {
        shown.len() == 3 && shown.iter().all(|r| r["lag"] == 0 && r["digest"] == shown[0]["digest"])
    };
    for router in &all {
        until("all three are even", async || even(&routers(router))).await;
    }
    let names: Vec<Value> = routers(&all[0]).iter().map(|r| r["id"].clone()).collect();
    assert_eq!(names, [json!("r1"), json!("r2"), json!("r3")]);
    let store = etcd.store();
    let revision = store.list("").await.unwrap().revision;
    keeps("nobody writes without news", A_WHILE, async || {
        store.list("").await.unwrap().revision == revision
    })
    .await;
    reads(&all[0], &["drain", "provider/a", "--reason", "x", "--force"]);
    until("all know of the drain", async || even(&routers(&all[1]))).await;
    let key = format!("{CONFIG}overrides/drains/provider/b");
    store.put(&key, "nonsense".into(), Expect::Any).await.unwrap();
    until("each says that it refuses that", async || {
        let shown = routers(&all[1]);
        let refuses = |r: &Value| r["refused"] == 1 && r["nacks"][0]["key"] == key;
        shown.len() == 3 && shown.iter().all(refuses)
    })
    .await;
    delete_below(&store, ROUTERS).await;
    until("a deleted sign comes back", async || routers(&all[2]).len() == 3).await;
    all.pop().unwrap().stop().await;
    assert_eq!(routers(&all[0]).len(), 2, "one that ends takes its sign along");
    all.pop().unwrap().process.kill();
    until("a killed one is missed", async || routers(&all[0]).len() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_is_proven_only_when_no_router_has_a_call_there() {
    let etcd = Etcd::start().await;
    let folder = tempfile::tempdir().unwrap();
    let a = Provider::start("a").await.serving("m");
    let b = Provider::start("b").await.serving("m");
    let one = on(&etcd, &folder.path().join("1"), &[&a, &b]).start().await;
    let two = on(&etcd, &folder.path().join("2"), &[&a, &b]).start().await;
    a.fails_with(Fault::Stall { after: 1 });
    let only = json!({"stream": true, "provider": {"only": ["a"]}});
    let client = two.client();
    let exchange = client.stream(&overlay(chat("m"), only)).await;
    assert_eq!(exchange.head.status, 200);
    reads(&one, &["drain", "provider/a", "--reason", "x", "--force"]);
    let drain = || reads(&one, &["get", "drains"])["items"][0].clone();
    until("the other router tells", async || drain()["in_flight"] == 1).await;
    keeps("it is not proven", A_WHILE, async || drain()["state"] == "draining").await;
    drop(exchange);
    until("it is proven", async || drain()["state"] == "proven").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_explained_by_whichever_router_is_asked() {
    let etcd = Etcd::start().await;
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::start("a").await.serving("m");
    let mut all = Vec::new();
    for name in ["r1", "r2", "r3"] {
        let setup = on(&etcd, &folder.path().join(name), &[&provider]);
        all.push(setup.config(json!({"node_id": name})).start().await);
    }
    until("all three are known", async || routers(&all[2]).len() == 3).await;
    let reply = all[0].client().chat(&chat("m")).await;
    for router in &all {
        let answer = reads(router, &["explain", reply.head.generation()]);
        assert_eq!((&answer["router"], &answer["identical"]), (&json!("r1"), &json!(true)));
        assert_eq!(answer["attempts"][0]["provider"], "a");
    }
    let told = |id: &str| String::from_utf8(command(&all[1], &["explain", id]).stderr).unwrap();
    let nowhere = told("01900000-0000-7000-8000-000000000000");
    assert!(nowhere.contains("on any of 3 routers"), "{nowhere}");
    all[0].process.freeze();
    let frozen = told(reply.head.generation());
    all[0].process.thaw();
    assert!(frozen.contains("could not ask r1"), "{frozen}");
}
