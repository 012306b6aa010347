//! The store's calls, over a state and a way to have it changed.

use std::sync::Arc;
use std::time::Duration;

use super::{Clock, MvccFeed, Reply, Request, Shared, Submit};
use crate::port::{
    Answer, KeyValue, Lease, LeaseId, Listing, StoreError, Txn, TxnResult, Watch, check_key,
};

/// What `memory` and `embedded` are made of.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    pub(crate) shared: Arc<Shared>,
    pub(crate) submit: Arc<dyn Submit>,
    pub(crate) clock: Clock,
}

impl Engine {
    pub(crate) fn list(&self, prefix: &str) -> Answer<'_, Listing> {
        let prefix = prefix.to_owned();
        Box::pin(async move {
            self.end_leases().await?;
            Ok(self.shared.read(|state| state.listing(&prefix)))
        })
    }

    pub(crate) fn get(&self, key: &str) -> Answer<'_, Option<KeyValue>> {
        let key = key.to_owned();
        Box::pin(async move {
            check_key(&key)?;
            self.end_leases().await?;
            Ok(self.shared.read(|state| state.entry(&key).cloned()))
        })
    }

    pub(crate) fn commit(&self, txn: Txn) -> Answer<'_, TxnResult> {
        Box::pin(async move {
            txn.check()?;
            match self.submit.submit(Request::Commit(txn)).await? {
                Reply::Committed(result) => Ok(result),
                Reply::Granted(_) | Reply::Done => Err(mismatched()),
            }
        })
    }

    pub(crate) fn grant_lease(&self, ttl: Duration) -> Answer<'_, Lease> {
        Box::pin(async move {
            match self.submit.submit(Request::Grant(ttl)).await? {
                Reply::Granted(lease) => Ok(lease),
                Reply::Committed(_) | Reply::Done => Err(mismatched()),
            }
        })
    }

    pub(crate) fn keep_alive(&self, lease: LeaseId) -> Answer<'_, ()> {
        Box::pin(async move { self.submit.submit(Request::KeepAlive(lease)).await.map(|_| ()) })
    }

    pub(crate) fn revoke(&self, lease: LeaseId) -> Answer<'_, ()> {
        Box::pin(async move { self.submit.submit(Request::Revoke(lease)).await.map(|_| ()) })
    }

    pub(crate) fn watch(&self, prefix: &str) -> Watch {
        Watch::new(MvccFeed::new(self.clone(), prefix))
    }

    /// Ends the leases whose time is up, so that no reader sees their keys.
    pub(super) async fn end_leases(&self) -> Result<(), StoreError> {
        if self.shared.read(|state| state.is_due(self.clock.now())) {
            self.submit.submit(Request::Expire).await?;
        }
        Ok(())
    }
}

fn mismatched() -> StoreError {
    StoreError::unavailable("the engine answered another question")
}
