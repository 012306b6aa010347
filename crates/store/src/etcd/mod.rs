//! A store on an etcd cluster: for everything that is more than one node.
//!
//! etcd-client neither resumes a watch nor notices a silent one; this adapter does both. Identity is
//! a client certificate, whose common name is the etcd user: password tokens expire and are never
//! fetched again.

pub mod access;

#[cfg(feature = "flags")]
mod flags;

mod call;
mod convert;
mod link;
mod machine;
mod version;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use trunkline_tls::ClientTls;

use crate::port::{
    About, Answer, Kind, Lease, LeaseId, Listing, Revision, Store, StoreError, Txn, TxnResult,
    Watch, check_ttl,
};
use call::{CALL_MAX, Cluster, Risk, list_all};
#[cfg(feature = "flags")]
pub use flags::EtcdFlags;
use machine::LIST_MAX;

/// Where a cluster is and who we are to it.
#[derive(Debug, Clone)]
pub struct EtcdOptions {
    /// The client URLs of its members, such as `https://etcd-0:2379`; at least one.
    pub members: Vec<String>,
    /// Our identity, whose common name is the etcd user; nothing only for members with `http://` URLs. When it is
    /// renewed, connections with the new one take the place of those with the old one.
    pub tls: Option<Arc<ClientTls>>,
}

/// A store on an etcd cluster. Clones share a connection; every watch has one of its own.
#[derive(Debug, Clone)]
pub struct Etcd {
    cluster: Arc<Cluster>,
}

impl Etcd {
    /// A store on a cluster. Nobody is asked yet; the first call connects.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] without members, for one that would not use the identity given, or for an identity
    /// without a certificate.
    pub fn new(options: EtcdOptions) -> Result<Self, StoreError> {
        Ok(Self { cluster: Arc::new(Cluster::new(options.checked()?)) })
    }
}

impl EtcdOptions {
    fn checked(self) -> Result<Self, StoreError> {
        if self.members.is_empty() {
            return Err(StoreError::invalid("etcd has no members"));
        }
        let scheme = if self.tls.is_some() { "https://" } else { "http://" };
        if let Some(other) = self.members.iter().find(|member| !member.starts_with(scheme)) {
            return Err(StoreError::invalid(format!("{other} does not start with {scheme}")));
        }
        if self.tls.as_ref().is_some_and(|tls| tls.files().identity.is_none()) {
            let reason = "etcd knows its users by certificate: name `cert` and `key`, too";
            return Err(StoreError::invalid(reason));
        }
        Ok(self)
    }
}

impl Store for Etcd {
    fn list(&self, prefix: &str) -> Answer<'_, Listing> {
        let prefix = prefix.to_owned();
        Box::pin(async move {
            let ask = |link| {
                let prefix = &prefix;
                async move { list_all(&link, prefix).await }
            };
            let (_, listing) = self.cluster.call(Risk::Repeatable, LIST_MAX, ask).await?;
            Ok(listing)
        })
    }

    fn commit(&self, txn: Txn) -> Answer<'_, TxnResult> {
        Box::pin(async move {
            txn.check()?;
            let risk = if txn.may_write() { Risk::Once } else { Risk::Repeatable };
            let wanted = convert::txn(&txn);
            let ask = |link: link::Link| {
                let wanted = wanted.clone();
                async move { link.kv().txn(wanted).await }
            };
            let done = self.cluster.call(risk, CALL_MAX, ask).await?;
            let revision = done.header().map_or(0, etcd_client::ResponseHeader::revision);
            Ok(TxnResult {
                committed: done.succeeded(),
                revision: Revision(convert::unsigned(revision)),
                reads: convert::reads(done.op_responses()),
            })
        })
    }

    fn grant_lease(&self, ttl: Duration) -> Answer<'_, Lease> {
        Box::pin(async move {
            check_ttl(ttl)?;
            // Whole seconds, and not less than was asked for.
            let seconds = convert::signed(ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0));
            // Repeatable: a lease that nobody heard of ends by itself.
            let ask = |link: link::Link| async move { link.leases().grant(seconds, None).await };
            let granted = self.cluster.call(Risk::Repeatable, CALL_MAX, ask).await?;
            let ttl = Duration::from_secs(convert::unsigned(granted.ttl()));
            Ok(Lease { id: LeaseId(convert::unsigned(granted.id())), ttl })
        })
    }

    fn keep_alive(&self, lease: LeaseId) -> Answer<'_, ()> {
        Box::pin(async move {
            let id = convert::signed(lease.0);
            let ask = |link: link::Link| async move { link.leases().keep_alive(id).await };
            let kept = self.cluster.call(Risk::Repeatable, CALL_MAX, ask).await;
            kept.map(drop).map_err(|error| about(lease, error))
        })
    }

    fn revoke(&self, lease: LeaseId) -> Answer<'_, ()> {
        Box::pin(async move {
            let id = convert::signed(lease.0);
            let ask = |link: link::Link| async move { link.leases().revoke(id).await };
            let revoked = self.cluster.call(Risk::Once, CALL_MAX, ask).await;
            revoked.map(drop).map_err(|error| about(lease, error))
        })
    }

    fn about(&self) -> Answer<'_, About> {
        Box::pin(async {
            let access = access::own(&self.cluster, self.cluster.user());
            let (members, access) = tokio::join!(self.cluster.members(), access);
            Ok(About { kind: Kind::Etcd, members, access })
        })
    }

    fn watch(&self, prefix: &str) -> Watch {
        Watch::new(watch::EtcdFeed::new(Arc::clone(&self.cluster), prefix))
    }
}

/// Says which lease is gone; etcd does not.
fn about(lease: LeaseId, error: StoreError) -> StoreError {
    match error {
        StoreError::LeaseGone { .. } => StoreError::LeaseGone { lease: Some(lease) },
        other => other,
    }
}
