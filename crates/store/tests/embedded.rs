//! The embedded store keeps the contract, and what it acknowledged.

use trunkline_store::{Embedded, Expect, Limits, Store, StoreError};

#[tokio::test]
async fn what_was_written_is_there_after_closing_and_opening() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), Limits::default()).await.unwrap();
    let revision = store.put("/a", "1".into(), Expect::Absent).await.unwrap();
    let before = store.list("").await.unwrap();
    let second = Embedded::open(dir.path(), Limits::default()).await;
    assert!(matches!(second, Err(StoreError::InUse { .. })), "{second:?}");
    store.close().await;
    let late = store.put("/a", "2".into(), Expect::Any).await;
    assert!(matches!(late, Err(StoreError::Unavailable { .. })), "{late:?}");
    let again = Embedded::open(dir.path(), Limits::default()).await.unwrap();
    let after = again.list("").await.unwrap();
    assert_eq!(after, before);
    assert_eq!(after.revision, revision);
}
