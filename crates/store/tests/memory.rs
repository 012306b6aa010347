//! The store in memory keeps the contract.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use trunkline_store::contract::{agrees_with_model, run_all, steps};
use trunkline_store::{Change, Expect, Limits, Memory, Store};

#[tokio::test(start_paused = true)]
async fn it_keeps_the_contract() {
    run_all(Arc::new(Memory::new()), "/contract/").await;
}

#[test]
fn random_operations_agree_with_the_model() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&steps(40), |steps| {
        let store = Arc::new(Memory::new());
        let verdict = runtime.block_on(agrees_with_model(store, "/k/", &steps));
        verdict.map_err(TestCaseError::fail)
    });
    outcome.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_too_far_behind_starts_over_with_a_snapshot() {
    let store = Memory::with_limits(Limits { history_revisions: 3, ..Limits::default() });
    let mut watch = store.watch("/");
    assert!(matches!(watch.next().await, Change::Snapshot(_)));
    for n in 0..5 {
        store.put("/a", n.to_string().into(), Expect::Any).await.unwrap();
    }
    assert_eq!(watch.next().await, Change::Snapshot(store.list("/").await.unwrap()));
    for n in 0..3 {
        store.put("/a", n.to_string().into(), Expect::Any).await.unwrap();
    }
    for _ in 0..3 {
        assert!(matches!(watch.next().await, Change::Batch { .. }));
    }
}

#[tokio::test]
async fn a_store_over_its_quota_takes_deletions_only() {
    let store = Memory::with_limits(Limits { quota_bytes: 100, ..Limits::default() });
    store.put("/a", vec![1; 60].into(), Expect::Any).await.unwrap();
    let full = store.put("/b", vec![1; 60].into(), Expect::Any).await;
    assert!(matches!(full, Err(trunkline_store::StoreError::Full { .. })), "{full:?}");
    store.delete("/a", Expect::Any).await.unwrap();
    store.put("/b", vec![1; 60].into(), Expect::Any).await.unwrap();
}
