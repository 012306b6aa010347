//! The line between one process and the store. It carries, or it does not, or it loses the answers.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use trunkline_store::{
    Answer, Lease, LeaseId, Listing, Memory, Store, StoreError, Txn, TxnResult, Watch,
};

/// How a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Line {
    /// It carries both ways.
    #[default]
    Open,
    /// It carries nothing.
    Cut,
    /// What is asked is done, and nobody hears of it.
    Deaf,
}

/// One process's line.
#[derive(Debug)]
pub(super) struct Link {
    store: Memory,
    line: Mutex<Line>,
}

impl Link {
    pub(super) fn new(store: &Memory) -> Self {
        Self { store: store.clone(), line: Mutex::default() }
    }

    pub(super) fn set(&self, line: Line) {
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = line;
    }

    async fn carry<T>(&self, errand: Answer<'_, T>) -> Result<T, StoreError> {
        let line = *self.line.lock().unwrap_or_else(PoisonError::into_inner);
        match line {
            Line::Open => errand.await,
            Line::Cut => Err(StoreError::Unavailable { reason: "the line is cut".to_owned() }),
            Line::Deaf => {
                errand.await?;
                Err(StoreError::InDoubt { reason: "the answer is lost".to_owned() })
            }
        }
    }
}

impl Store for Link {
    fn list(&self, prefix: &str) -> Answer<'_, Listing> {
        Box::pin(self.carry(self.store.list(prefix)))
    }

    fn commit(&self, txn: Txn) -> Answer<'_, TxnResult> {
        Box::pin(self.carry(self.store.commit(txn)))
    }

    fn grant_lease(&self, ttl: Duration) -> Answer<'_, Lease> {
        Box::pin(self.carry(self.store.grant_lease(ttl)))
    }

    fn keep_alive(&self, lease: LeaseId) -> Answer<'_, ()> {
        Box::pin(self.carry(self.store.keep_alive(lease)))
    }

    fn revoke(&self, lease: LeaseId) -> Answer<'_, ()> {
        Box::pin(self.carry(self.store.revoke(lease)))
    }

    fn watch(&self, prefix: &str) -> Watch {
        self.store.watch(prefix)
    }
}
