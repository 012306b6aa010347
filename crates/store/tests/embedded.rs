//! The embedded store keeps the contract, and what it acknowledged.
#![expect(clippy::unwrap_used, reason = "what the tests share fails them by panicking")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::task::JoinSet;
use tokio::time::timeout;
use trunkline_store::contract::{agrees_with_model, run_all, steps};
use trunkline_store::{Change, Embedded, Expect, Limits, Store, StoreError, Txn};

async fn open(dir: &Path) -> Result<Embedded, StoreError> {
    Embedded::open(dir, Limits::default()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    run_all(Arc::new(open(dir.path()).await.unwrap()), "/contract/").await;
}

#[test]
fn random_operations_agree_with_the_model() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(runtime.block_on(open(dir.path())).unwrap());
    let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
    let case = std::cell::Cell::new(0);
    let outcome = TestRunner::new(config).run(&steps(30), |steps| {
        case.set(case.get() + 1);
        let prefix = format!("/{}/", case.get());
        let verdict = runtime.block_on(agrees_with_model(store.clone(), &prefix, &steps));
        verdict.map_err(TestCaseError::fail)
    });
    outcome.unwrap();
}

#[tokio::test]
async fn what_was_written_is_there_after_closing_and_opening() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await.unwrap();
    let lease = store.grant_lease(Duration::from_secs(60)).await.unwrap().id;
    store.put("/a", "1".into(), Expect::Absent).await.unwrap();
    store.put("/gone", "1".into(), Expect::Absent).await.unwrap();
    store.put("/a", "2".into(), Expect::Any).await.unwrap();
    store.delete("/gone", Expect::Any).await.unwrap();
    store.commit(Txn::new().put_leased("/b", "1", lease)).await.unwrap();
    let before = store.list("").await.unwrap();
    store.close().await;

    let again = open(dir.path()).await.unwrap();
    assert_eq!(again.list("").await.unwrap(), before);
    assert_ne!(again.grant_lease(Duration::from_secs(60)).await.unwrap().id, lease);
    again.keep_alive(lease).await.unwrap();
    again.revoke(lease).await.unwrap();
    assert_eq!(again.get("/b").await.unwrap(), None);
}

#[tokio::test]
async fn a_second_process_is_told_that_the_store_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let _store = open(dir.path()).await.unwrap();
    let writer =
        Command::new(env!("CARGO_BIN_EXE_store-test-writer")).arg(dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&writer.stderr);
    assert!(!writer.status.success() && said.contains("InUse"), "{said}");
    let second = open(dir.path()).await;
    assert!(matches!(second, Err(StoreError::InUse { .. })), "{second:?}");
}

#[tokio::test]
async fn a_closed_store_says_so_to_callers_and_watches() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await.unwrap();
    let mut watch = store.watch("/");
    assert!(matches!(watch.next().await, Change::Snapshot(_)));
    store.close().await;
    let late = store.put("/a", "2".into(), Expect::Any).await;
    assert!(matches!(late, Err(StoreError::Unavailable { .. })), "{late:?}");
    assert!(matches!(watch.next().await, Change::Silent { .. }));
    store.close().await;
}

#[tokio::test]
async fn what_is_not_a_store_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("trunkline.redb");
    std::fs::write(&file, vec![7; 8192]).unwrap();
    let opened = open(dir.path()).await;
    assert!(
        matches!(opened, Err(StoreError::Corrupt { .. } | StoreError::Unavailable { .. })),
        "{opened:?}"
    );
    assert_eq!(std::fs::read(&file).unwrap(), vec![7; 8192]);
}

/// Everything acknowledged before a SIGKILL is there afterwards, at the revision that was told, and
/// whatever else is there is whole.
#[tokio::test]
async fn a_killed_process_loses_nothing_that_was_acknowledged() {
    const ROUNDS: usize = 5;
    let dir = tempfile::tempdir().unwrap();
    for round in 0..ROUNDS {
        let dir = dir.path().join(round.to_string());
        let acknowledged = write_until_killed(&dir, 200 + 70 * round);
        let store = open(&dir).await.unwrap();
        let listing = store.list("").await.unwrap();
        let there: BTreeMap<String, u64> =
            listing.entries.iter().map(|entry| (entry.key.clone(), entry.mod_revision.0)).collect();
        for (key, revision) in &acknowledged {
            assert_eq!(there.get(key), Some(revision), "{key}");
        }
        assert!(listing.entries.iter().all(|entry| entry.value.len() == 500));
        // One revision a key and none in between: no transaction is there by half.
        assert_eq!(listing.revision.0, 1 + there.len() as u64);
        store.put("/after", "1".into(), Expect::Absent).await.unwrap();
    }
}

/// Lets the writer run until it has printed `lines`, kills it, and says all that it had printed.
fn write_until_killed(dir: &Path, lines: usize) -> Vec<(String, u64)> {
    let mut writer = Command::new(env!("CARGO_BIN_EXE_store-test-writer"))
        .arg(dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(writer.stdout.take().unwrap()).lines();
    let mut acknowledged: Vec<String> = output.by_ref().take(lines).map(Result::unwrap).collect();
    writer.kill().unwrap();
    writer.wait().unwrap();
    acknowledged.extend(output.map_while(Result::ok));
    assert!(acknowledged.len() >= lines);
    let parsed = acknowledged.iter().map(|line| {
        let (key, revision) = line.split_once(' ').unwrap();
        (key.to_owned(), revision.parse().unwrap())
    });
    parsed.collect()
}

/// However they are grouped on their way to the disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_at_once_all_get_their_own_revision() {
    const WRITERS: usize = 500;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await.unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        writers.spawn(
            async move { store.put(&format!("/{writer}"), "1".into(), Expect::Absent).await },
        );
    }
    let all = timeout(Duration::from_secs(60), writers.join_all()).await.unwrap();
    let mut revisions: Vec<u64> = all.into_iter().map(|put| put.unwrap().0).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (2..2 + WRITERS as u64).collect::<Vec<_>>());
}
