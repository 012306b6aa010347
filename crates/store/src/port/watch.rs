//! Watches: a snapshot, then every revision after it, without a gap.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use super::{KeyValue, Listing, Revision};

/// How often a quiet watch says that it is still up to date; also etcd's recommended setting.
pub const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// What a watch tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Forget what you had; this is everything now. It comes first, and again whenever events could
    /// not be had one by one (compaction, falling behind, a store restored from a backup; in the
    /// last case its revision may be lower than one seen before).
    Snapshot(Listing),
    /// All that one revision changed under the prefix: apply all of it, then look.
    Batch {
        /// Greater than that of every change before it since the last snapshot.
        revision: Revision,
        /// At most one for each key; never empty.
        events: Vec<Event>,
    },
    /// Up to this revision there is nothing that you have not been told.
    Progress {
        /// At least that of every change before it since the last snapshot.
        revision: Revision,
    },
    /// The store does not answer: keep what you have, it may be getting old. Said once for each
    /// failed try; what follows may be any of the others, still without a gap.
    Silent {
        /// What was seen, for the log.
        reason: String,
    },
}

/// What happened to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It was written.
    Put(KeyValue),
    /// It was deleted, or its lease ended.
    Delete {
        /// The key.
        key: String,
    },
}

impl Event {
    /// The key that it is about.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Put(entry) => &entry.key,
            Self::Delete { key } => key,
        }
    }
}

/// Follows a prefix. It does its own reconnecting, in the caller's task: nothing happens unless
/// [`Watch::next`] is awaited.
pub struct Watch {
    feed: Box<dyn Feed>,
}

impl Watch {
    /// A watch over an adapter's feed.
    #[must_use]
    pub fn new(feed: impl Feed + 'static) -> Self {
        Self { feed: Box::new(feed) }
    }

    /// The next thing to know. It never ends. Dropping the future before it is ready loses nothing.
    pub async fn next(&mut self) -> Change {
        self.feed.next().await
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Watch").finish_non_exhaustive()
    }
}

/// What an adapter supplies for a [`Watch`].
pub trait Feed: Send {
    /// As [`Watch::next`], and as safe to cancel.
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Change> + Send + '_>>;
}
