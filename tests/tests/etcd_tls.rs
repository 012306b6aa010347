//! A cluster on an etcd that wants certificates and has access control on: every part works with its own, and
//! nobody speaks in another's name.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "fails its test on the spot")]

use serde_json::{Value, json};
use trunkline_store::Store;
use trunkline_store::keys::{PROBERS, SPEND};
use trunkline_tests::cluster::{Table, Verdict, until};
use trunkline_tests::guarded::Guarded;
use trunkline_tests::json::{chat, overlay};
use trunkline_tests::operator::Operator;
use trunkline_tests::provider::Provider;
use trunkline_tests::router::Setup;

/// A key with a limit that it does not reach.
const SPENDER: &str = "tl_spender0_with-a-limit";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_part_works_with_its_own_certificate_and_speaks_for_nobody_else() {
    let etcd = Guarded::start().await;
    let parts = ["--router", "router-a", "--operator", "router-a"];
    let parts = [&parts[..], &["--prober", "a", "--prober", "b", "--prober", "c"]].concat();
    etcd.confine(&parts);
    let alpha = Provider::start("alpha").await.serving("m");
    let beta = Provider::start("beta").await.serving("m");
    let router = Setup::new(&[&alpha, &beta]).etcd(std::slice::from_ref(&etcd.url));
    let router = router.key(SPENDER, json!({"spend": {"day": 1}}));
    let known = etcd.entry(&etcd.authority.issue("router-a"));
    let router = router.config(overlay(json!({"node_id": "router-a"}), known)).start().await;

    let probers = ["a", "b"].map(|name| etcd.prober((name, name), [&alpha, &beta], &[]));
    let liar = etcd.prober(("c", "a"), [&alpha, &beta], &[]);
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
    assert_eq!(router.client_with(SPENDER).chat(&hello).await.status(), 200);
    let told = async || store.list(SPEND).await.is_ok_and(|listing| listing.entries.len() == 1);
    until("the router tells what a key spent", told).await;

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

/// The codes of what `doctor` finds of the store, by what they are about.
fn found(operator: &Operator, flags: &[String]) -> Vec<String> {
    let flags = flags.iter().map(String::as_str);
    let words: Vec<&str> = ["doctor", "-o", "json"].into_iter().chain(flags).collect();
    let output = operator.says(&words);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let items = told["items"].as_array().unwrap().iter();
    let about = |item: &Value| {
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        let subject = text("subject");
        // Which etcd the tests run on is not what they are about.
        let counts = subject.starts_with("store") && text("code") != "store_outdated";
        counts.then(|| format!("{} {subject}", text("code")))
    };
    items.filter_map(about).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_are_given_as_they_were_announced_and_the_doctor_looks_after_them() {
    let etcd = Guarded::start().await;
    let alpha = Provider::start("alpha").await.serving("m");
    let router = Setup::new(&[&alpha]).etcd(std::slice::from_ref(&etcd.url));
    let known = etcd.entry(&etcd.authority.issue("router-a"));
    let router = router.config(overlay(json!({"node_id": "router-a"}), known)).start().await;
    let operator = Operator::at(&router);
    let as_root = etcd.flags("root");
    assert_eq!(found(&operator, &[]), ["store_open store"]);

    let parts = ["--router", "router-a", "--operator", "router-a", "--prober", "a"];
    let announced = etcd.bootstrap(&[&parts[..], &["--dry-run"]].concat());
    let announced = String::from_utf8(announced.stdout).unwrap();
    assert!(announced.ends_with("steps would be done\n"), "{announced}");
    assert_eq!(found(&operator, &as_root), ["store_open store"], "a dry run does nothing");
    let done = String::from_utf8(etcd.bootstrap(&parts).stdout).unwrap();
    assert_eq!(done, announced.replace("would be done", "done"));
    let again = etcd.bootstrap(&parts);
    assert_eq!(String::from_utf8_lossy(&again.stdout), "nothing to do\n");
    assert_eq!(found(&operator, &as_root), [""; 0]);
    assert_eq!(found(&operator, &[]), [""; 0]);

    // A router that operators do not use, which is given a prober's name.
    etcd.confine(&["--router", "router-b"]);
    etcd.etcdctl(&["user", "grant-role", "router-b", "trunkline-prober-a"]);
    let root = ["role", "grant-permission", "trunkline-prober-a", "write", "--prefix", "/"];
    etcd.etcdctl(&root);
    let wide =
        ["store_role_wide store/role/trunkline-prober-a", "store_user_wide store/user/router-b"];
    assert_eq!(found(&operator, &as_root), wide);
    etcd.confine(&["--prober", "a"]);
    assert_eq!(found(&operator, &as_root), wide[1..]);

    let flags = etcd.flags("router-a");
    let flags: Vec<&str> = ["doctor"].into_iter().chain(flags.iter().map(String::as_str)).collect();
    let told = operator.is_told(1, &flags);
    assert!(told.contains("common name root"), "{told}");
}
