//! The store in memory keeps the contract.

use trunkline_store::{Change, Expect, Memory, Store};

#[tokio::test(start_paused = true)]
async fn a_watch_starts_with_a_snapshot_and_goes_on_with_batches() {
    let store = Memory::new();
    let first = store.put("/a", "1".into(), Expect::Absent).await.unwrap();
    let mut watch = store.watch("/");
    let Change::Snapshot(listing) = watch.next().await else { panic!("no snapshot") };
    assert_eq!(listing.revision, first);
    let second = store.put("/a", "2".into(), Expect::Revision(first)).await.unwrap();
    let Change::Batch { revision, events } = watch.next().await else { panic!("no batch") };
    assert_eq!((revision, events.len()), (second, 1));
    assert_eq!(watch.next().await, Change::Progress { revision: second });
}
