//! Between the port's words and etcd's.

use std::collections::VecDeque;

use bytes::Bytes;
use etcd_client as etcd;
use etcd_client::{CompareOp, PutOptions, TxnOp, TxnOpResponse};

use crate::port::{
    Compare, Condition, Event, KeyValue, LeaseId, Op, Revision, StoreError, TXN_MAX_BYTES, Txn,
};

/// gRPC status codes, by their numbers in the specification.
mod code {
    pub(super) const PERMISSION_DENIED: i32 = 7;
    pub(super) const UNAUTHENTICATED: i32 = 16;
}

pub(super) fn txn(txn: &Txn) -> etcd::Txn {
    let when: Vec<etcd::Compare> = txn.compare.iter().map(compare).collect();
    let ops = |ops: &[Op]| ops.iter().map(op).collect::<Vec<TxnOp>>();
    etcd::Txn::new().when(when).and_then(ops(&txn.then)).or_else(ops(&txn.otherwise))
}

fn compare(compare: &Compare) -> etcd::Compare {
    let (key, equal) = (compare.key.as_str(), CompareOp::Equal);
    match &compare.condition {
        Condition::Absent => etcd::Compare::version(key, equal, 0),
        Condition::Present => etcd::Compare::version(key, CompareOp::Greater, 0),
        Condition::CreatedAt(at) => etcd::Compare::create_revision(key, equal, signed(at.0)),
        Condition::ModifiedAt(at) => etcd::Compare::mod_revision(key, equal, signed(at.0)),
        Condition::Value(value) => etcd::Compare::value(key, equal, value.to_vec()),
        Condition::Lease(lease) => etcd::Compare::lease(key, equal, signed(lease.0)),
    }
}

fn op(op: &Op) -> TxnOp {
    match op {
        Op::Put { key, value, lease } => {
            let lease = lease.map(|lease| PutOptions::new().with_lease(signed(lease.0)));
            TxnOp::put(key.as_str(), value.to_vec(), lease)
        }
        Op::Delete { key } => TxnOp::delete(key.as_str(), None),
        Op::Get { key } => TxnOp::get(key.as_str(), None),
    }
}

/// The answers to the reads of a transaction, in order.
pub(super) fn reads(responses: Vec<TxnOpResponse>) -> Vec<Option<KeyValue>> {
    let read = |response| match response {
        TxnOpResponse::Get(mut get) => {
            Some(VecDeque::from(get.take_kvs()).pop_front().and_then(entry))
        }
        TxnOpResponse::Put(_) | TxnOpResponse::Delete(_) | TxnOpResponse::Txn(_) => None,
    };
    responses.into_iter().filter_map(read).collect()
}

/// An entry; nothing for a key that is not text, which is none of ours.
pub(super) fn entry(kv: etcd::KeyValue) -> Option<KeyValue> {
    let lease = unsigned(kv.lease());
    let (create, modified) = (unsigned(kv.create_revision()), unsigned(kv.mod_revision()));
    let version = unsigned(kv.version());
    let (key, value) = kv.into_key_value();
    Some(KeyValue {
        key: String::from_utf8(key).ok()?,
        value: Bytes::from(value),
        create_revision: Revision(create),
        mod_revision: Revision(modified),
        version,
        lease: (lease != 0).then_some(LeaseId(lease)),
    })
}

/// An event and its revision. A deletion is known by its version, which is zero; the client's own
/// accessor panics on kinds of events that it does not know.
pub(super) fn event(event: &etcd::Event) -> Option<(Revision, Event)> {
    let entry = entry(event.kv()?.clone())?;
    let revision = entry.mod_revision;
    let deleted = entry.version == 0;
    Some((revision, if deleted { Event::Delete { key: entry.key } } else { Event::Put(entry) }))
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Marks in etcd's messages of refusals after which nothing was done.
const LEASE_GONE: [&str; 2] = ["requested lease not found", "lease not found"];
const TOO_LARGE: [&str; 3] = ["request is too large", "too many operations", "message length too"];
const DENIED: [&str; 5] = [
    "permission denied",
    "user name is empty",
    "user name not found",
    "invalid auth token",
    "authentication failed",
];
const NOT_DONE: [&str; 3] = ["no leader", "too many requests", "not capable"];

/// What a failed call came of, where that is known; the client's own error hides it.
pub(super) fn cause(error: &etcd::Error) -> Option<&(dyn std::error::Error + 'static)> {
    match error {
        etcd::Error::TransportError(error) => Some(error),
        etcd::Error::GRpcStatus(status) => Some(status),
        etcd::Error::IoError(error) => Some(error),
        _ => None,
    }
}

/// What a failed call means when it may not have changed anything.
pub(super) fn failure(error: etcd::Error) -> StoreError {
    refusal(&error).unwrap_or_else(|| StoreError::unavailable(in_words(&error)))
}

/// What a failed call means when it may have changed something.
pub(super) fn failed_write(error: etcd::Error) -> StoreError {
    let said = error.to_string();
    if NOT_DONE.iter().any(|mark| said.contains(mark)) {
        return StoreError::unavailable(in_words(&error));
    }
    refusal(&error).unwrap_or_else(|| StoreError::InDoubt { reason: in_words(&error) })
}

/// What happened, for people: the cause at the bottom, such as a refused connection, or what etcd said.
fn in_words(error: &etcd::Error) -> String {
    let (message, cause) = match error {
        etcd::Error::GRpcStatus(status) => (status.message(), std::error::Error::source(status)),
        etcd::Error::TransportError(error) => ("", std::error::Error::source(error)),
        _ => ("", None),
    };
    match (cause, message) {
        (Some(cause), _) => innermost(cause),
        (None, "") => error.to_string(),
        (None, message) => message.to_owned(),
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

/// What etcd refused to do, and why; nothing when it is not known whether it did it.
fn refusal(error: &etcd::Error) -> Option<StoreError> {
    let said = error.to_string();
    let has = |marks: &[&str]| marks.iter().any(|mark| said.contains(mark));
    if has(&LEASE_GONE) {
        return Some(StoreError::LeaseGone { lease: None });
    }
    if has(&["database space exceeded"]) {
        return Some(StoreError::Full { reason: in_words(error) });
    }
    if has(&TOO_LARGE) {
        let (what, limit) = ("the transaction, by the store's own limit,", TXN_MAX_BYTES);
        return Some(StoreError::TooLarge { what, size: limit, limit });
    }
    if has(&["duplicate key"]) {
        return Some(StoreError::invalid(said));
    }
    let etcd::Error::GRpcStatus(status) = error else { return None };
    let denied = [code::PERMISSION_DENIED, code::UNAUTHENTICATED];
    if denied.contains(&i32::from(status.code())) || has(&DENIED) {
        return Some(StoreError::Denied { reason: in_words(error) });
    }
    None
}
