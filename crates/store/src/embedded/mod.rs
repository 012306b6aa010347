//! A durable store inside the process: the engine of `mvcc` with a disk, for a single node.
//!
//! One process at a time. What was acknowledged survives the death of the process and of the machine.

mod disk;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::mvcc::{Clock, Engine, Limits, Reply, Request, Submit};
use crate::port::{
    About, Answer, KeyValue, Kind, Lease, LeaseId, Listing, Store, StoreError, Txn, TxnResult,
    Watch,
};
use writer::{Job, Order};

/// Requests that may wait for the disk before their callers do.
const QUEUE_MAX: usize = 1024;

/// A store in a directory. Clones share it.
#[derive(Debug, Clone)]
pub struct Embedded {
    engine: Engine,
    orders: mpsc::Sender<Order>,
}

impl Embedded {
    /// Opens the store in a directory, which is created if need be. Leases start their time anew.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process has it open, [`StoreError::Corrupt`] when its
    /// contents make no sense, [`StoreError::Unavailable`] when the directory cannot be used.
    pub async fn open(dir: impl AsRef<Path>, limits: Limits) -> Result<Self, StoreError> {
        let (orders, inbox) = mpsc::channel(QUEUE_MAX);
        let shared = writer::start(dir.as_ref(), limits, inbox).await?;
        let submit = Arc::new(Queue { orders: orders.clone() });
        Ok(Self { engine: Engine { shared, submit, clock: Clock::default() }, orders })
    }

    /// Finishes what was asked before and lets go of the directory. Every later call answers
    /// [`StoreError::Unavailable`]. Without it the directory is let go some time after the last
    /// clone and watch were dropped.
    pub async fn close(&self) {
        let (done, is_done) = oneshot::channel();
        if self.orders.send(Order::Close(done)).await.is_ok() {
            // An error means that the writer has ended already, which is what we want.
            is_done.await.ok();
        }
    }
}

impl Store for Embedded {
    fn list(&self, prefix: &str) -> Answer<'_, Listing> {
        self.engine.list(prefix)
    }

    fn about(&self) -> Answer<'_, About> {
        Box::pin(async { Ok(About { kind: Kind::Embedded, ..About::default() }) })
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

/// Changes made by the writer's thread.
#[derive(Debug)]
struct Queue {
    orders: mpsc::Sender<Order>,
}

impl Submit for Queue {
    fn submit(&self, request: Request) -> Answer<'_, Reply> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let job = Job { request, now: Instant::now(), answer };
            let sent = self.orders.send(Order::Job(job)).await;
            sent.map_err(|_| StoreError::unavailable("the store is closed"))?;
            answered.await.unwrap_or_else(|_| {
                Err(StoreError::InDoubt { reason: "the writer ended".to_owned() })
            })
        })
    }
}
