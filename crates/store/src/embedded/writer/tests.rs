//! Stories about the thread that writes.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use super::*;
use crate::mvcc::Reply;
use crate::port::{Revision, Txn};

/// A disk that counts its syncs and can be told to fail.
#[derive(Debug)]
struct Flaky {
    inner: InMemoryBackend,
    syncs: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
}

impl StorageBackend for Flaky {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        if self.fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("no space left"));
        }
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)
    }
}

struct Bench {
    writer: Writer,
    syncs: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
    orders: mpsc::Sender<Order>,
    inbox: mpsc::Receiver<Order>,
    _dir: tempfile::TempDir,
}

impl Bench {
    /// A writer on the flaky disk; what it opens after a failure is an empty store in a directory.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (syncs, fails) = (Arc::default(), Arc::default());
        let (inner, path) = (InMemoryBackend::new(), dir.path().to_owned());
        let disk =
            Disk::over(Flaky { inner, syncs: Arc::clone(&syncs), fails: Arc::clone(&fails) });
        let limits = Limits::default();
        let shared = Arc::new(Shared::new(State::new(limits)));
        let (orders, inbox) = mpsc::channel(1000);
        let writer = Writer { dir: path, limits, shared, disk: Some(disk) };
        Self { writer, syncs, fails, orders, inbox, _dir: dir }
    }

    fn order(&self, key: &str) -> oneshot::Receiver<Outcome> {
        let (answer, answered) = oneshot::channel();
        let request = Request::Commit(Txn::new().put(key, "1"));
        self.orders.try_send(Order::Job(Job { request, now: Instant::now(), answer })).unwrap();
        answered
    }

    fn group(&mut self) {
        let first = self.inbox.try_recv().unwrap();
        assert!(self.writer.group(first, &mut self.inbox).is_none());
    }

    fn syncs_of_a_group(&mut self, orders: usize) -> usize {
        let answers: Vec<_> = (0..orders).map(|n| self.order(&format!("/{n}"))).collect();
        let before = self.syncs.load(Ordering::SeqCst);
        self.group();
        for mut answer in answers {
            assert!(matches!(answer.try_recv(), Ok(Ok(Reply::Committed(_)))));
        }
        self.syncs.load(Ordering::SeqCst) - before
    }
}

#[test]
fn what_waits_together_is_synced_once_for_all() {
    let mut bench = Bench::new();
    bench.syncs_of_a_group(1);
    let alone = bench.syncs_of_a_group(1);
    assert!(alone > 0);
    assert_eq!(bench.syncs_of_a_group(GROUP_MAX), alone);
    assert_eq!(bench.writer.shared.read(State::revision), Revision(1 + 2 + GROUP_MAX as u64));
}

#[test]
fn a_group_is_bounded() {
    let mut bench = Bench::new();
    let _answers: Vec<_> = (0..=GROUP_MAX).map(|n| bench.order(&format!("/{n}"))).collect();
    bench.group();
    bench.group();
    assert!(bench.inbox.try_recv().is_err());
}

#[test]
fn a_failed_sync_shows_nothing_and_answers_that_nobody_knows() {
    let mut bench = Bench::new();
    bench.fails.store(true, Ordering::SeqCst);
    let mut answer = bench.order("/a");
    bench.group();
    assert!(matches!(answer.try_recv(), Ok(Err(StoreError::InDoubt { .. }))));
    assert_eq!(bench.writer.shared.read(|state| state.entries("").count()), 0);
}

#[test]
fn after_a_failure_the_disk_is_read_again_before_anything_is_written() {
    let mut bench = Bench::new();
    let kept = bench.order("/lost");
    bench.group();
    drop(kept);
    bench.fails.store(true, Ordering::SeqCst);
    let doubtful = bench.order("/a");
    bench.group();
    drop(doubtful);
    let mut answer = bench.order("/b");
    bench.group();
    assert!(matches!(answer.try_recv(), Ok(Ok(Reply::Committed(_)))));
    let there = bench.writer.shared.read(|state| state.listing("").entries);
    let keys: Vec<&str> = there.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["/b"], "what the directory held, and what was written since");
}
