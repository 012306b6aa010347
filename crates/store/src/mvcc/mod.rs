//! The engine of the adapters that keep their own state: revisions, transactions, leases, watches.
//!
//! It is not a store by itself: `memory` runs it alone, `embedded` puts a disk between planning a
//! change and applying it. Nothing becomes visible here before it is as durable as it will get.

mod clock;
mod delta;
mod engine;
mod feed;
mod history;
mod plan;
mod state;

use std::fmt;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::port::{Answer, Event, Lease, LeaseId, Revision, StoreError, Txn, TxnResult};

pub(crate) use clock::Clock;
pub(crate) use delta::Delta;
pub(crate) use engine::Engine;
pub(crate) use feed::MvccFeed;
pub(crate) use plan::plan;
pub(crate) use state::{Held, State};

/// How much an engine keeps.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Revisions of history. A watch that is further behind starts over with a snapshot.
    pub history_revisions: usize,
    /// Bytes of keys and values in the history, for the same reason.
    pub history_bytes: usize,
    /// Bytes of keys and values in the store, all of which is also in memory.
    pub quota_bytes: usize,
}

impl Default for Limits {
    /// History for minutes of a busy cluster; a quota far above any catalog.
    fn default() -> Self {
        Self { history_revisions: 10_000, history_bytes: 64 << 20, quota_bytes: 1 << 30 }
    }
}

/// All that one revision changed.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) revision: Revision,
    pub(crate) events: Vec<Event>,
}

/// A change that is asked for, or one that has become due.
#[derive(Debug)]
pub(crate) enum Request {
    Commit(Txn),
    Grant(Duration),
    KeepAlive(LeaseId),
    Revoke(LeaseId),
    /// End the leases whose time is up, nothing else; every other request does so first as well.
    Expire,
}

/// What came of a request.
#[derive(Debug)]
pub(crate) enum Reply {
    Committed(TxnResult),
    Granted(Lease),
    Done,
}

/// A reply, or why there is none.
pub(crate) type Outcome = Result<Reply, StoreError>;

/// A way to have changes made.
pub(crate) trait Submit: fmt::Debug + Send + Sync {
    /// Plans a request, makes it as durable as it will get, and applies it.
    fn submit(&self, request: Request) -> Answer<'_, Reply>;
}

/// The state and the bell that rings when it changes.
#[derive(Debug)]
pub(crate) struct Shared {
    state: RwLock<State>,
    bell: watch::Sender<Life>,
}

/// Whether the engine still takes changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Running,
    Closed,
}

impl Shared {
    pub(crate) fn new(state: State) -> Self {
        Self { state: RwLock::new(state), bell: watch::Sender::new(Life::Running) }
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a planned change visible, at once for everybody.
    pub(crate) fn apply(&self, delta: Delta) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).apply(delta);
        self.bell.send_modify(|_| ());
    }

    /// Starts over with a state that was read anew.
    pub(crate) fn replace(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        self.bell.send_modify(|_| ());
    }

    /// Plans and applies in one step, for an engine without a disk.
    pub(crate) fn change(&self, request: Request, now: Instant) -> Outcome {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let mut delta = Delta::new(&state);
        let outcome = plan(&state, &mut delta, request, now);
        state.apply(delta);
        drop(state);
        self.bell.send_modify(|_| ());
        outcome
    }

    pub(crate) fn close(&self) {
        self.bell.send_replace(Life::Closed);
    }

    pub(crate) fn listen(&self) -> watch::Receiver<Life> {
        self.bell.subscribe()
    }
}
