//! Transactions: what is compared, what is done, what comes back.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{Expect, KEY_MAX_BYTES, KeyValue, LeaseId, Revision, StoreError};

/// The most compares, and the most operations of each branch: etcd's default.
pub const TXN_MAX_OPS: usize = 128;

/// The most bytes in all keys and values of a transaction, and so the largest value. etcd's default
/// request limit is 1.5 MiB (1,572,864); the difference is room for its framing.
pub const TXN_MAX_BYTES: usize = 1_500_000;

/// If everything compared holds, `then`; else `otherwise`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Txn {
    /// All of these must hold.
    pub compare: Vec<Compare>,
    /// Done in this order when they do.
    pub then: Vec<Op>,
    /// Done in this order when one does not.
    pub otherwise: Vec<Op>,
}

/// One thing that must be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compare {
    /// Of which key.
    pub key: String,
    /// What must hold.
    pub condition: Condition,
}

/// What must hold of a key. Both revisions of a key that does not exist are zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It does not exist.
    Absent,
    /// It exists.
    Present,
    /// It came to be at this revision.
    CreatedAt(Revision),
    /// It was last put at this revision.
    ModifiedAt(Revision),
    /// It exists and holds exactly these bytes.
    Value(Bytes),
    /// It exists under this lease.
    Lease(LeaseId),
}

/// One step of a transaction. A branch may write a key only once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Writes a key. Without a lease it is detached from the one it had.
    Put {
        /// The key.
        key: String,
        /// The bytes.
        value: Bytes,
        /// The lease to live under.
        lease: Option<LeaseId>,
    },
    /// Deletes a key; no event and no new revision if it does not exist.
    Delete {
        /// The key.
        key: String,
    },
    /// Reads a key as it is at this step, after the steps before.
    Get {
        /// The key.
        key: String,
    },
}

impl Op {
    /// The key that the step is about.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Delete { key } | Self::Get { key } => key,
        }
    }
}

/// What a transaction did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxnResult {
    /// Whether everything compared did hold, so that `then` was done.
    pub committed: bool,
    /// The store's revision after it.
    pub revision: Revision,
    /// One answer for each [`Op::Get`] of the branch that was done, in order.
    pub reads: Vec<Option<KeyValue>>,
}

impl TxnResult {
    pub(super) fn or_conflict(mut self, key: String) -> Result<Revision, StoreError> {
        if self.committed {
            return Ok(self.revision);
        }
        Err(StoreError::Conflict { key, current: self.reads.pop().flatten().map(Box::new) })
    }
}

impl Txn {
    /// A transaction that compares nothing and does nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition.
    #[must_use]
    pub fn when(mut self, key: &str, condition: Condition) -> Self {
        self.compare.push(Compare { key: key.to_owned(), condition });
        self
    }

    /// Adds the condition that an expectation stands for.
    #[must_use]
    pub fn expect(self, key: &str, expect: Expect) -> Self {
        match expect {
            Expect::Absent => self.when(key, Condition::Absent),
            Expect::Revision(revision) => self.when(key, Condition::ModifiedAt(revision)),
            Expect::Any => self,
        }
    }

    /// Then writes a key without a lease.
    #[must_use]
    pub fn put(mut self, key: &str, value: impl Into<Bytes>) -> Self {
        self.then.push(Op::Put { key: key.to_owned(), value: value.into(), lease: None });
        self
    }

    /// Then writes a key under a lease.
    #[must_use]
    pub fn put_leased(mut self, key: &str, value: impl Into<Bytes>, lease: LeaseId) -> Self {
        self.then.push(Op::Put { key: key.to_owned(), value: value.into(), lease: Some(lease) });
        self
    }

    /// Then deletes a key.
    #[must_use]
    pub fn delete(mut self, key: &str) -> Self {
        self.then.push(Op::Delete { key: key.to_owned() });
        self
    }

    /// Then reads a key.
    #[must_use]
    pub fn get(mut self, key: &str) -> Self {
        self.then.push(Op::Get { key: key.to_owned() });
        self
    }

    /// Otherwise reads a key.
    #[must_use]
    pub fn or_get(mut self, key: &str) -> Self {
        self.otherwise.push(Op::Get { key: key.to_owned() });
        self
    }

    /// Whether it may change anything, whichever branch is done.
    #[must_use]
    pub fn may_write(&self) -> bool {
        self.then.iter().chain(&self.otherwise).any(|op| match op {
            Op::Put { .. } | Op::Delete { .. } => true,
            Op::Get { .. } => false,
        })
    }

    /// Whether any store may take it; adapters ask before anything else.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] over a limit, [`StoreError::Invalid`] for an empty key or one that
    /// a branch writes twice (which etcd refuses, and which has no one meaning in a batch of events).
    pub fn check(&self) -> Result<(), StoreError> {
        let longest = self.compare.len().max(self.then.len()).max(self.otherwise.len());
        at_most("the number of operations", longest, TXN_MAX_OPS)?;
        for compare in &self.compare {
            check_key(&compare.key)?;
        }
        check_branch(&self.then)?;
        check_branch(&self.otherwise)?;
        at_most("the transaction", self.bytes(), TXN_MAX_BYTES)
    }

    fn bytes(&self) -> usize {
        let compared = self.compare.iter().map(|compare| {
            let value = match &compare.condition {
                Condition::Value(value) => value.len(),
                Condition::Absent
                | Condition::Present
                | Condition::CreatedAt(_)
                | Condition::ModifiedAt(_)
                | Condition::Lease(_) => 0,
            };
            compare.key.len() + value
        });
        let done = self.then.iter().chain(&self.otherwise).map(|op| match op {
            Op::Put { key, value, .. } => key.len() + value.len(),
            Op::Delete { key } | Op::Get { key } => key.len(),
        });
        compared.chain(done).sum()
    }
}

fn check_branch(ops: &[Op]) -> Result<(), StoreError> {
    let mut written = BTreeSet::new();
    for op in ops {
        check_key(op.key())?;
        let writes = match op {
            // To etcd it would mean "no lease".
            Op::Put { lease: Some(LeaseId(0)), .. } => {
                return Err(StoreError::invalid("zero is not a lease"));
            }
            Op::Put { .. } | Op::Delete { .. } => true,
            Op::Get { .. } => false,
        };
        if writes && !written.insert(op.key()) {
            return Err(StoreError::invalid(format!("{} is written twice", op.key())));
        }
    }
    Ok(())
}

pub(crate) fn check_key(key: &str) -> Result<(), StoreError> {
    if key.is_empty() {
        return Err(StoreError::invalid("a key is empty"));
    }
    at_most("a key", key.len(), KEY_MAX_BYTES)
}

fn at_most(what: &'static str, size: usize, limit: usize) -> Result<(), StoreError> {
    if size > limit { Err(StoreError::TooLarge { what, size, limit }) } else { Ok(()) }
}
