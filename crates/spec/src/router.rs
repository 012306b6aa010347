//! What a router keeps in the store: its sign of life, as JSON for people to read. It says what the router
//! has applied, what it refused, and what it still has in flight where something is drained.

use serde::{Deserialize, Serialize};

use crate::observation::RecordError;

/// Refusals named in one record; more are only counted. A few tell what is wrong, and a record stays small.
pub const MAX_NAMED_NACKS: usize = 8;
/// Drains reported in one record: more than anybody has at once.
pub const MAX_REPORTED_DRAINS: usize = 256;
/// The longest reason kept, in bytes; it may quote a line of the document.
const MAX_REASON_BYTES: usize = 256;
/// The longest record read, in bytes: every list full, and room to spare.
const MAX_RECORD_BYTES: usize = 256 * 1024;

/// A router's sign of life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouterRecord {
    /// Where callers reach it; empty when it does not say.
    pub address: String,
    /// Where other routers and operators reach its admin API, as a URL; empty when it does not say.
    pub admin_url: String,
    /// Where it stands.
    pub zone: String,
    /// Which release it runs.
    pub version: String,
    /// Everything up to this store revision is in what its calls are served from.
    pub applied_revision: u64,
    /// The last revision that made a difference to it; at most [`Self::applied_revision`].
    pub changed_revision: u64,
    /// Digest of its verdicts and weights, in hexadecimal.
    pub table_digest: String,
    /// It is going out of service.
    pub leaving: bool,
    /// How many records it refuses.
    pub nack_count: u64,
    /// The first [`MAX_NAMED_NACKS`] of them.
    pub nacks: Vec<NackRecord>,
    /// What it has in flight, for each drain in force.
    pub drains: Vec<DrainedLoad>,
}

/// A record of the store that a router refuses; the last good one stays in force there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NackRecord {
    /// Its key.
    pub key: String,
    /// The revision that the router refused.
    pub revision: u64,
    /// Why.
    pub reason: String,
}

/// What a router has in flight where something is drained.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DrainedLoad {
    /// The drain's scope.
    pub scope: String,
    /// Calls in flight there.
    pub in_flight: u64,
    /// There were none at two looks, some two seconds apart.
    pub quiet: bool,
}

impl RouterRecord {
    /// The bytes of the record, with long lists and long reasons cut.
    pub fn encode(mut self) -> Vec<u8> {
        self.nacks.truncate(MAX_NAMED_NACKS);
        self.drains.truncate(MAX_REPORTED_DRAINS);
        for nack in &mut self.nacks {
            let mut end = nack.reason.len().min(MAX_REASON_BYTES);
            while !nack.reason.is_char_boundary(end) {
                end -= 1;
            }
            nack.reason.truncate(end);
        }
        // Strings, numbers and booleans always serialise.
        serde_json::to_vec(&self).unwrap_or_default()
    }

    /// Reads a record. What a newer release added is passed over, what an older one lacks is empty.
    ///
    /// # Errors
    /// [`RecordError::Json`] for anything else than such JSON, [`RecordError::Range`] for far too much of it.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(RecordError::Range { field: "the record's length" });
        }
        serde_json::from_slice(bytes).map_err(|e| RecordError::Json(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_back_and_stays_small_however_much_is_wrong() {
        let nack = |at: u64| NackRecord {
            key: format!("/trunkline/v1/obs/p/{at}"),
            revision: at,
            reason: "é".repeat(1_000),
        };
        let record = RouterRecord {
            zone: "a".into(),
            applied_revision: 7,
            nack_count: 2_000,
            nacks: (0..2_000).map(nack).collect(),
            ..RouterRecord::default()
        };
        let bytes = record.encode();
        assert!(bytes.len() < 4_096, "{} bytes", bytes.len());
        let read = RouterRecord::decode(&bytes).unwrap();
        assert_eq!((read.applied_revision, read.nack_count, read.nacks.len()), (7, 2_000, 8));
        assert_eq!(read.nacks[0].reason.len(), MAX_REASON_BYTES);
    }

    #[test]
    fn records_of_other_releases_are_read_and_other_bytes_are_not() {
        let newer = br#"{"applied_revision": 9, "colour": "red"}"#;
        assert_eq!(RouterRecord::decode(newer).unwrap().applied_revision, 9);
        assert!(RouterRecord::decode(b"null").is_err());
        assert!(RouterRecord::decode(&vec![b' '; MAX_RECORD_BYTES + 1]).is_err());
    }
}
