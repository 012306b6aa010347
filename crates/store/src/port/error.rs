//! What can go wrong, named by what the caller should do.

use super::KeyValue;

/// Why a store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else wrote first: look at the current entry and decide again.
    #[error("{key} is not as expected")]
    Conflict {
        /// The key that was to be written.
        key: String,
        /// What is there now; nothing if the key does not exist.
        current: Option<Box<KeyValue>>,
    },
    /// The store did not answer and nothing was written: try again later.
    #[error("the store does not answer: {reason}")]
    Unavailable {
        /// What was seen, for the log.
        reason: String,
    },
    /// The store failed while a write was under way: read before you write again.
    #[error("the outcome of a write is unknown: {reason}")]
    InDoubt {
        /// What was seen, for the log.
        reason: String,
    },
    /// The lease has expired or was revoked: get a new one and write everything again.
    #[error("the lease {lease:?} is gone")]
    LeaseGone {
        /// Which one; nothing when the store did not say.
        lease: Option<super::LeaseId>,
    },
    /// Write less at once.
    #[error("{what} is too large: {size}, at most {limit}")]
    TooLarge {
        /// What exceeds its limit.
        what: &'static str,
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// No store would take this: correct the caller.
    #[error("not a valid request: {reason}")]
    Invalid {
        /// What is wrong with it.
        reason: String,
    },
    /// The store's quota is used up: delete something, or have the operator enlarge it.
    #[error("the store is full: {reason}")]
    Full {
        /// Which quota.
        reason: String,
    },
    /// This identity may not do that: have the operator look at certificates and roles.
    #[error("the store refuses this identity: {reason}")]
    Denied {
        /// What the store said.
        reason: String,
    },
    /// Another process has this store open: stop one of the two.
    #[error("{path} is in use by another process")]
    InUse {
        /// The directory of the embedded store.
        path: String,
    },
    /// What is on disk cannot be understood: restore a backup. Nothing was changed.
    #[error("the store is damaged: {reason}")]
    Corrupt {
        /// What does not fit.
        reason: String,
    },
}

impl StoreError {
    /// Whether the same call may succeed later with nothing changed by the caller.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Conflict { .. }
            | Self::InDoubt { .. }
            | Self::LeaseGone { .. }
            | Self::TooLarge { .. }
            | Self::Invalid { .. }
            | Self::Full { .. }
            | Self::Denied { .. }
            | Self::InUse { .. }
            | Self::Corrupt { .. } => false,
        }
    }

    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into() }
    }

    pub(crate) fn invalid(reason: impl Into<String>) -> Self {
        Self::Invalid { reason: reason.into() }
    }
}
