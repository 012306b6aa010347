//! What every adapter promises, as checks that run against any store. For tests only.
//!
//! Each check has a prefix of its own, so that one store (a real etcd, say) can serve them all, one
//! after the other. A check panics when a promise is broken.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "a test suite says no by panicking")]

mod keys;
mod leases;
mod model;
mod random;
mod watches;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::port::{Change, Event, KeyValue, Listing, Revision, Store, StoreError, Watch};

pub use random::{Step, Transcript, agrees_with_model, play, steps};

/// How long a check waits for what must come: far above anything promised, only to fail at all.
const PATIENCE: Duration = Duration::from_secs(60);

type Running = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

/// One promise.
#[derive(Clone, Copy)]
pub struct Check {
    /// What is promised.
    pub name: &'static str,
    run: fn(Arena) -> Running,
}

/// A store and the part of it that a check may use.
#[derive(Debug, Clone)]
pub struct Arena {
    store: Arc<dyn Store>,
    prefix: String,
}

impl Arena {
    /// The part of a store under a prefix.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, prefix: &str) -> Self {
        Self { store, prefix: prefix.to_owned() }
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn watch(&self) -> Watch {
        self.store.watch(&self.prefix)
    }
}

macro_rules! check {
    ($module:ident :: $name:ident) => {
        Check { name: stringify!($name), run: |arena| Box::pin($module::$name(arena)) }
    };
}

/// Every promise that can be checked without breaking the store.
pub const CHECKS: &[Check] = &[
    check!(keys::a_new_key_tells_when_it_came_to_be),
    check!(keys::versions_count_and_start_again_after_deletion),
    check!(keys::a_conflict_shows_what_is_there_and_changes_nothing),
    check!(keys::every_condition_is_told_apart),
    check!(keys::one_transaction_is_one_revision),
    check!(keys::what_changes_nothing_makes_no_revision),
    check!(keys::reads_in_a_transaction_see_the_steps_before),
    check!(keys::what_no_store_would_take_is_refused),
    check!(keys::the_largest_transaction_is_taken),
    check!(keys::a_listing_is_in_order_and_only_of_its_prefix),
    check!(keys::a_long_listing_is_complete),
    check!(leases::keys_go_with_their_lease_at_one_revision),
    check!(leases::a_lease_ends_by_itself),
    check!(leases::a_lease_lives_while_it_is_kept_alive),
    check!(leases::a_dead_lease_is_refused),
    check!(leases::a_put_without_a_lease_outlives_the_old_one),
    check!(watches::a_watch_starts_with_a_snapshot_and_goes_on_with_batches),
    check!(watches::a_batch_holds_all_of_its_revision_under_the_prefix),
    check!(watches::racing_writers_are_seen_once_and_in_order),
    check!(watches::a_cancelled_wait_loses_nothing),
    check!(watches::a_quiet_watch_says_how_far_it_is),
];

/// Runs all [`CHECKS`], one after the other, under prefixes below `root`.
///
/// # Panics
/// When a promise is broken.
pub async fn run_all(store: Arc<dyn Store>, root: &str) {
    for check in CHECKS {
        let arena = Arena::new(Arc::clone(&store), &format!("{root}{}/", check.name));
        match timeout(PATIENCE, (check.run)(arena)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => panic!("{}: {error}", check.name),
            Err(_) => panic!("{}: it takes for ever", check.name),
        }
    }
}

/// The next change that is not merely a sign of life.
async fn next_news(watch: &mut Watch) -> Change {
    loop {
        match watch.next().await {
            Change::Progress { .. } => {}
            news @ (Change::Snapshot(_) | Change::Batch { .. }) => return news,
            Change::Silent { reason } => panic!("silent: {reason}"),
        }
    }
}

async fn next_snapshot(watch: &mut Watch) -> Listing {
    match next_news(watch).await {
        Change::Snapshot(listing) => listing,
        other => panic!("not a snapshot: {other:?}"),
    }
}

/// The next batch, in the order of its keys.
async fn next_batch(watch: &mut Watch) -> (Revision, Vec<Event>) {
    match next_news(watch).await {
        Change::Batch { revision, mut events } => {
            events.sort_by(|one, other| one.key().cmp(other.key()));
            (revision, events)
        }
        other => panic!("not a batch: {other:?}"),
    }
}

fn keys_of(entries: &[KeyValue]) -> Vec<&str> {
    entries.iter().map(|entry| entry.key.as_str()).collect()
}
