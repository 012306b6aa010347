//! The port: what every store offers, in the shape of etcd's data model.
//!
//! It is not an adapter and holds no state. The promises made in these comments are checked against
//! every adapter by the contract suite.

mod about;
mod error;
mod flaw;
mod txn;
mod watch;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

pub use about::{About, Access, Kind, Member, Told};
pub use error::StoreError;
pub use flaw::Flaw;
pub use txn::{Compare, Condition, Op, TXN_MAX_BYTES, TXN_MAX_OPS, Txn, TxnResult};
pub use watch::{Change, Event, Feed, PROGRESS_INTERVAL, Watch};

pub(crate) use txn::check_key;

/// The longest key, in bytes. Keys of [`crate::keys`] stay far below; a longer one is a mistake.
pub const KEY_MAX_BYTES: usize = 1024;

/// The shortest lease that is granted. etcd rounds shorter ones up to its election timeout, so a
/// shorter one would live longer there than elsewhere.
pub const LEASE_MIN: Duration = Duration::from_secs(2);

/// The longest lease that is granted: a day. What must live longer needs no lease.
pub const LEASE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What a call to a store answers, some time later.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A shared, revisioned map from keys to bytes.
///
/// Every method may be called from any task. Dropping an [`Answer`] before it is ready gives up the
/// wait, not the deed: a commit that was under way may still happen.
pub trait Store: fmt::Debug + Send + Sync {
    /// Everything under a prefix (`""` is everything), as of one revision.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the store does not answer.
    fn list(&self, prefix: &str) -> Answer<'_, Listing>;

    /// Compares, then does the operations of one branch or the other, all at one revision or not at all.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] or [`StoreError::TooLarge`] for a transaction that no store would
    /// take, [`StoreError::LeaseGone`] when a put names a dead lease (nothing is written then),
    /// [`StoreError::Full`], and [`StoreError::Unavailable`] or [`StoreError::InDoubt`] when the
    /// store fails before or after the transaction may have reached it.
    fn commit(&self, txn: Txn) -> Answer<'_, TxnResult>;

    /// A new lease. Keys put under it go away together, at one revision, when it is not kept alive
    /// for its time to live. A restart of the store starts that time anew.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] outside [`LEASE_MIN`]..=[`LEASE_MAX`], or the store's failures.
    fn grant_lease(&self, ttl: Duration) -> Answer<'_, Lease>;

    /// Starts the lease's time to live anew.
    ///
    /// # Errors
    /// [`StoreError::LeaseGone`] when it has expired or was revoked, or the store's failures.
    fn keep_alive(&self, lease: LeaseId) -> Answer<'_, ()>;

    /// Ends a lease now and deletes its keys.
    ///
    /// # Errors
    /// [`StoreError::LeaseGone`] when there is no such lease, or the store's failures.
    fn revoke(&self, lease: LeaseId) -> Answer<'_, ()>;

    /// Follows everything under a prefix: a snapshot first, then every revision that touches it.
    fn watch(&self, prefix: &str) -> Watch;

    /// What the store says of itself, for operators. Nothing, unless an adapter says more.
    ///
    /// # Errors
    /// None of the adapters here: a member that does not answer is part of the answer.
    fn about(&self) -> Answer<'_, About> {
        Box::pin(async { Ok(About::default()) })
    }

    /// The entry of one key, if it exists.
    ///
    /// # Errors
    /// As [`Store::commit`].
    fn get(&self, key: &str) -> Answer<'_, Option<KeyValue>> {
        let txn = Txn::new().get(key);
        Box::pin(async move { Ok(self.commit(txn).await?.reads.pop().flatten()) })
    }

    /// Writes one key without a lease, if it is as expected, and says at which revision.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] with the current entry when it is not as expected; else as
    /// [`Store::commit`].
    fn put(&self, key: &str, value: Bytes, expect: Expect) -> Answer<'_, Revision> {
        let txn = Txn::new().expect(key, expect).put(key, value).or_get(key);
        let key = key.to_owned();
        Box::pin(async move { self.commit(txn).await?.or_conflict(key) })
    }

    /// Deletes one key, if it is as expected, and says at which revision it was gone. With
    /// [`Expect::Any`], deleting what does not exist succeeds and changes nothing.
    ///
    /// # Errors
    /// As [`Store::put`].
    fn delete(&self, key: &str, expect: Expect) -> Answer<'_, Revision> {
        let txn = Txn::new().expect(key, expect).delete(key).or_get(key);
        let key = key.to_owned();
        Box::pin(async move { self.commit(txn).await?.or_conflict(key) })
    }
}

/// A version of the whole store: it grows by one with every transaction that changes something.
/// Zero stands for "before anything", also for the revisions of a key that does not exist.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

/// One entry of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: String,
    /// The bytes under it.
    pub value: Bytes,
    /// The revision at which the key came to be (again, if it was deleted in between).
    pub create_revision: Revision,
    /// The revision of the last put.
    pub mod_revision: Revision,
    /// How many puts since it came to be; the first is 1.
    pub version: u64,
    /// The lease that the last put named.
    pub lease: Option<LeaseId>,
}

/// Everything under a prefix at one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The store's revision; not merely the newest of the entries.
    pub revision: Revision,
    /// In the order of their keys' bytes.
    pub entries: Vec<KeyValue>,
}

/// Names a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub u64);

/// A granted lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Its name.
    pub id: LeaseId,
    /// Its time to live, which may be longer than what was asked for.
    pub ttl: Duration,
}

/// What a writer believes about a key before it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The key does not exist.
    Absent,
    /// The last put was at this revision.
    Revision(Revision),
    /// Whatever it is.
    Any,
}

/// Whether any store may grant a lease of this length.
pub(crate) fn check_ttl(ttl: Duration) -> Result<(), StoreError> {
    if (LEASE_MIN..=LEASE_MAX).contains(&ttl) {
        Ok(())
    } else {
        Err(StoreError::invalid(format!("a lease of {ttl:?}")))
    }
}
