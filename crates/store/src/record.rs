//! An entry as bytes, for what is kept on disk: the embedded store's records and the disk snapshot's.

use bytes::Bytes;

use crate::port::{KeyValue, LeaseId, Revision};

/// Three revisions or counts and a lease, eight bytes each, before the value.
const HEAD_BYTES: usize = 32;

/// The bytes of an entry, without its key.
pub(crate) fn encode(entry: &KeyValue) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEAD_BYTES + entry.value.len());
    let lease = entry.lease.map_or(0, |lease| lease.0);
    for number in [entry.create_revision.0, entry.mod_revision.0, entry.version, lease] {
        record.extend_from_slice(&number.to_le_bytes());
    }
    record.extend_from_slice(&entry.value);
    record
}

/// The entry under a key; nothing when the bytes are too few.
pub(crate) fn decode(key: &str, record: &[u8]) -> Option<KeyValue> {
    let (head, value) = record.split_at_checked(HEAD_BYTES)?;
    let mut numbers = head.chunks_exact(8).filter_map(|bytes| bytes.try_into().ok());
    let mut number = || numbers.next().map(u64::from_le_bytes);
    let (create, modified, version, lease) = (number()?, number()?, number()?, number()?);
    Some(KeyValue {
        key: key.to_owned(),
        value: Bytes::copy_from_slice(value),
        create_revision: Revision(create),
        mod_revision: Revision(modified),
        version,
        lease: (lease != 0).then_some(LeaseId(lease)),
    })
}
