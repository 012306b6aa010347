//! A store in memory, gone with the process: for `router-node dev` and tests.
//!
//! It is the embedded store's engine without the disk, not a mock: same revisions, leases, watches.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::mvcc::{Clock, Engine, Limits, Reply, Request, Shared, State, Submit};
use crate::port::{Answer, KeyValue, Lease, LeaseId, Listing, Store, Txn, TxnResult, Watch};

/// A store in memory. Clones share it.
#[derive(Debug, Clone)]
pub struct Memory {
    engine: Engine,
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// An empty store that keeps only so much.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self::on(Clock::default(), limits)
    }

    /// The same for a simulation, on a clock of its own that never goes back. Every call is then answered at
    /// its first poll, and a watch wakes nobody: whoever moves the clock asks again.
    #[must_use]
    pub fn simulated(limits: Limits, now: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self::on(Clock::new(now), limits)
    }

    fn on(clock: Clock, limits: Limits) -> Self {
        let shared = Arc::new(Shared::new(State::new(limits)));
        let submit = Arc::new(Inline { shared: Arc::clone(&shared), clock: clock.clone() });
        Self { engine: Engine { shared, submit, clock } }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for Memory {
    fn list(&self, prefix: &str) -> Answer<'_, Listing> {
        self.engine.list(prefix)
    }

    fn get(&self, key: &str) -> Answer<'_, Option<KeyValue>> {
        self.engine.get(key)
    }

    fn commit(&self, txn: Txn) -> Answer<'_, TxnResult> {
        self.engine.commit(txn)
    }

    fn grant_lease(&self, ttl: Duration) -> Answer<'_, Lease> {
        self.engine.grant_lease(ttl)
    }

    fn keep_alive(&self, lease: LeaseId) -> Answer<'_, ()> {
        self.engine.keep_alive(lease)
    }

    fn revoke(&self, lease: LeaseId) -> Answer<'_, ()> {
        self.engine.revoke(lease)
    }

    fn watch(&self, prefix: &str) -> Watch {
        self.engine.watch(prefix)
    }
}

/// Changes made on the spot, in the caller's task.
#[derive(Debug)]
struct Inline {
    shared: Arc<Shared>,
    clock: Clock,
}

impl Submit for Inline {
    fn submit(&self, request: Request) -> Answer<'_, Reply> {
        Box::pin(async move { self.shared.change(request, self.clock.now()) })
    }
}
