//! The state that the programs share: one port ([`Store`]) and its adapters.
//!
//! Bytes under keys, with revisions, transactions, leases and watches; what the bytes mean is the
//! business of `spec`, what to do about them that of `core`. Nothing outside this crate names etcd.

pub mod port;

pub mod keys;

#[cfg(feature = "contract")]
pub mod contract;

mod mvcc;
mod record;

mod disk_snapshot;
mod embedded;
mod etcd;
mod memory;

pub use disk_snapshot::{DiskSnapshot, DiskSnapshotError, Kept, SNAPSHOT_AGE_MAX_MS};
pub use embedded::Embedded;
#[cfg(feature = "flags")]
pub use etcd::EtcdFlags;
pub use etcd::{Etcd, EtcdOptions, access};
pub use memory::Memory;
pub use mvcc::Limits;
pub use port::{
    About, Answer, Change, Compare, Condition, Event, Expect, KeyValue, Lease, LeaseId, Listing,
    Op, Revision, Store, StoreError, Txn, TxnResult, Watch,
};
pub use trunkline_tls::{ClientFiles, ClientTls};
