//! Promises about watches.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::{Arena, next_batch, next_snapshot};
use crate::port::{
    Change, Event, Expect, KeyValue, Listing, PROGRESS_INTERVAL, Revision, StoreError, Txn, Watch,
};

type Verdict = Result<(), StoreError>;

pub(super) async fn a_watch_starts_with_a_snapshot_and_goes_on_with_batches(
    arena: Arena,
) -> Verdict {
    let (store, key) = (&arena.store, arena.key("a"));
    let first = store.put(&key, "1".into(), Expect::Absent).await?;
    let mut watch = arena.watch();
    let snapshot = next_snapshot(&mut watch).await;
    assert_eq!(snapshot, store.list(&arena.prefix).await?);
    let second = store.put(&key, "2".into(), Expect::Revision(first)).await?;
    let entry = store.get(&key).await?.into_iter().map(Event::Put).collect();
    let third = store.delete(&key, Expect::Revision(second)).await?;
    assert_eq!(next_batch(&mut watch).await, (second, entry));
    assert_eq!(next_batch(&mut watch).await, (third, vec![Event::Delete { key }]));
    Ok(())
}

pub(super) async fn a_batch_holds_all_of_its_revision_under_the_prefix(arena: Arena) -> Verdict {
    let store = &arena.store;
    let mut watch = store.watch(&arena.key("in/"));
    assert_eq!(next_snapshot(&mut watch).await.entries, []);
    store.put(&arena.key("out/a"), "1".into(), Expect::Any).await?;
    let names: Vec<String> = (0..100).map(|n| arena.key(&format!("in/{n:03}"))).collect();
    let large = Bytes::from(vec![1; 10_000]);
    let txn = names
        .iter()
        .fold(Txn::new().put(&arena.key("out/b"), "1"), |txn, name| txn.put(name, large.clone()));
    let written = store.commit(txn).await?.revision;
    let (revision, events) = next_batch(&mut watch).await;
    let keys: Vec<&str> = events.iter().map(Event::key).collect();
    assert_eq!((revision, keys), (written, names.iter().map(String::as_str).collect()));
    Ok(())
}

pub(super) async fn racing_writers_are_seen_once_and_in_order(arena: Arena) -> Verdict {
    const WRITERS: usize = 8;
    const WRITES: usize = 25;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let arena = arena.clone();
        writers.spawn(async move {
            for write in 0..WRITES {
                let (own, shared) = (arena.key(&format!("own/{writer}")), arena.key("shared"));
                let value = Bytes::from(format!("{writer}-{write}"));
                arena.store.commit(Txn::new().put(&own, value.clone()).put(&shared, value)).await?;
            }
            Ok::<_, StoreError>(())
        });
    }
    let mut watch = arena.watch();
    let mut seen = Seen::start(&mut watch).await;
    while seen.version("shared", &arena) < WRITERS * WRITES {
        seen.take(watch.next().await);
    }
    while let Some(ended) = writers.join_next().await {
        assert!(matches!(ended, Ok(Ok(()))), "{ended:?}");
    }
    assert_eq!(seen.listing(), arena.store.list(&arena.prefix).await?);
    Ok(())
}

pub(super) async fn a_cancelled_wait_loses_nothing(arena: Arena) -> Verdict {
    const WRITES: usize = 200;
    let writer = {
        let arena = arena.clone();
        async move {
            for write in 0..WRITES {
                let value = Bytes::from(write.to_string());
                arena.store.put(&arena.key("a"), value, Expect::Any).await?;
            }
            Ok::<_, StoreError>(())
        }
    };
    let mut writers = JoinSet::new();
    writers.spawn(writer);
    let mut watch = arena.watch();
    let mut seen = Seen::default();
    while seen.version("a", &arena) < WRITES {
        // Far too short to finish anything that waits.
        if let Ok(change) = timeout(Duration::from_micros(200), watch.next()).await {
            seen.take(change);
        }
    }
    assert_eq!(seen.listing(), arena.store.list(&arena.prefix).await?);
    Ok(())
}

pub(super) async fn a_quiet_watch_says_how_far_it_is(arena: Arena) -> Verdict {
    let mut watch = arena.store.watch(&arena.key("in/"));
    next_snapshot(&mut watch).await;
    let revision = arena.store.put(&arena.key("out"), "1".into(), Expect::Any).await?;
    let written = Instant::now();
    loop {
        match watch.next().await {
            Change::Progress { revision: reached } if reached >= revision => break,
            Change::Progress { .. } => {}
            other => panic!("not progress: {other:?}"),
        }
        assert!(written.elapsed() < 4 * PROGRESS_INTERVAL, "it never gets there");
    }
    Ok(())
}

/// What a watch has told so far, folded; refuses what a watch must not say.
#[derive(Default)]
struct Seen {
    revision: Revision,
    entries: BTreeMap<String, KeyValue>,
}

impl Seen {
    async fn start(watch: &mut Watch) -> Self {
        let mut seen = Self::default();
        seen.take(Change::Snapshot(next_snapshot(watch).await));
        seen
    }

    fn take(&mut self, change: Change) {
        match change {
            Change::Snapshot(listing) => {
                assert!(listing.revision >= self.revision);
                self.revision = listing.revision;
                let entries = listing.entries.into_iter();
                self.entries = entries.map(|entry| (entry.key.clone(), entry)).collect();
            }
            Change::Batch { revision, events } => {
                assert!(revision > self.revision, "{revision} after {}", self.revision);
                assert!(!events.is_empty());
                self.revision = revision;
                events.into_iter().for_each(|event| self.apply(event));
            }
            Change::Progress { revision } => {
                assert!(revision >= self.revision, "{revision} after {}", self.revision);
                self.revision = revision;
            }
            Change::Silent { reason } => panic!("silent: {reason}"),
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Put(entry) => {
                assert_eq!(entry.mod_revision, self.revision);
                let before = self.entries.insert(entry.key.clone(), entry.clone());
                assert_eq!(entry.version, before.map_or(0, |kv| kv.version) + 1, "a gap");
            }
            Event::Delete { key } => assert!(self.entries.remove(&key).is_some(), "{key} twice"),
        }
    }

    fn version(&self, name: &str, arena: &Arena) -> usize {
        let entry = self.entries.get(&arena.key(name));
        entry.map_or(0, |entry| usize::try_from(entry.version).unwrap_or(usize::MAX))
    }

    fn listing(&self) -> Listing {
        Listing { revision: self.revision, entries: self.entries.values().cloned().collect() }
    }
}
