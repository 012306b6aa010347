//! What a process last understood of a shared store, in one file: read at a start while the store is away.
//! It is no store: nothing in it changes, and the store's own word replaces it as soon as there is one.
//!
//! A line with the layout, a line with the BLAKE3 of the rest, then the rest. The file is replaced whole
//! (written beside, synced, renamed), so that a crash leaves the old one or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::port::{Listing, Revision};
use crate::record;

const FILE: &str = "snapshot";
/// The layout that this release writes and reads.
const LAYOUT: &str = "trunkline snapshot 1";
/// Hexadecimal digits of the checksum.
const CHECKSUM_CHARS: usize = 64;
/// An older one is refused: keys that were revoked meanwhile would open again, and prices and addresses of
/// last week are guesses. It outlasts a long weekend without the store.
pub const SNAPSHOT_AGE_MAX_MS: u64 = 7 * 24 * 60 * 60 * 1_000;
/// It holds hashes of API keys: for its owner alone.
const MODE: u32 = 0o600;

/// A file in a directory, for one cluster.
#[derive(Debug, Clone)]
pub struct DiskSnapshot {
    path: PathBuf,
    members: Vec<String>,
}

/// What was kept, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// When the store last confirmed it, in milliseconds since 1970.
    pub at_ms: u64,
    /// What it held.
    pub listing: Listing,
}

/// Why a disk snapshot is not used, or could not be kept. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DiskSnapshotError {
    /// The file or its directory cannot be used.
    #[error("{path}: {source}; check the directory and its owner")]
    File {
        /// Which.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The checksum or the structure does not fit.
    #[error("{path} is damaged ({reason}); remove it, the next one is whole")]
    Damaged {
        /// The file.
        path: String,
        /// What does not fit.
        reason: &'static str,
    },
    /// Another release wrote it.
    #[error("{path} was written in another layout than `{LAYOUT}`; remove it")]
    OtherLayout {
        /// The file.
        path: String,
    },
    /// It was kept for a cluster that shares no member with the configured one.
    #[error("{path} is of another cluster ({theirs}); give each cluster a directory of its own")]
    OtherCluster {
        /// The file.
        path: String,
        /// That cluster's members.
        theirs: String,
    },
    /// It is older than [`SNAPSHOT_AGE_MAX_MS`].
    #[error("{path} is {hours} hours old, and too much may have changed; bring the store back")]
    TooOld {
        /// The file.
        path: String,
        /// Its age.
        hours: u64,
    },
}

impl DiskSnapshot {
    /// The file in `dir` for the cluster of these members.
    #[must_use]
    pub fn new(dir: &Path, members: &[String]) -> Self {
        Self { path: dir.join(FILE), members: members.to_vec() }
    }

    /// Replaces the file. It blocks on the disk.
    ///
    /// # Errors
    /// [`DiskSnapshotError::File`]; the file that was there stays.
    pub fn keep(&self, kept: &Kept) -> Result<(), DiskSnapshotError> {
        let failed = |source| self.file_error(source);
        let dir = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(dir).map_err(failed)?;
        // Two processes may share a directory: each writes beside, and the last one stays.
        let beside = self.path.with_extension(std::process::id().to_string());
        let written = write_synced(&beside, &self.encode(kept));
        let replaced = written.and_then(|()| fs::rename(&beside, &self.path));
        if replaced.is_err() {
            // What is left of a full disk must not fill it further.
            fs::remove_file(&beside).ok();
        }
        replaced.and_then(|()| File::open(dir)?.sync_all()).map_err(failed)
    }

    /// What was kept; nothing when nothing was. `now_ms` counts from 1970. It blocks on the disk.
    ///
    /// # Errors
    /// Why what is there is refused.
    pub fn recall(&self, now_ms: u64) -> Result<Option<Kept>, DiskSnapshotError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.file_error(error)),
        };
        let (members, kept) = self.decode(&bytes)?;
        let path = || self.path.display().to_string();
        if !members.iter().any(|member| self.members.contains(member)) {
            return Err(DiskSnapshotError::OtherCluster {
                path: path(),
                theirs: members.join(", "),
            });
        }
        let age_ms = now_ms.saturating_sub(kept.at_ms);
        if age_ms > SNAPSHOT_AGE_MAX_MS {
            let hours = age_ms / (60 * 60 * 1_000);
            return Err(DiskSnapshotError::TooOld { path: path(), hours });
        }
        Ok(Some(kept))
    }

    fn encode(&self, kept: &Kept) -> Vec<u8> {
        let mut body = Vec::new();
        number(&mut body, kept.at_ms);
        number(&mut body, kept.listing.revision.0);
        number(&mut body, self.members.len() as u64);
        self.members.iter().for_each(|member| bytes(&mut body, member.as_bytes()));
        number(&mut body, kept.listing.entries.len() as u64);
        for entry in &kept.listing.entries {
            bytes(&mut body, entry.key.as_bytes());
            bytes(&mut body, &record::encode(entry));
        }
        let head = format!("{LAYOUT}\n{}\n", blake3::hash(&body).to_hex());
        [head.as_bytes(), &body].concat()
    }

    fn decode(&self, file: &[u8]) -> Result<(Vec<String>, Kept), DiskSnapshotError> {
        let rest = file.strip_prefix(LAYOUT.as_bytes()).and_then(|rest| rest.strip_prefix(b"\n"));
        let path = || self.path.display().to_string();
        let rest = rest.ok_or_else(|| DiskSnapshotError::OtherLayout { path: path() })?;
        let damaged = |reason| DiskSnapshotError::Damaged { path: path(), reason };
        let (sum, body) = rest.split_at_checked(CHECKSUM_CHARS).ok_or(damaged("cut short"))?;
        let body = body.strip_prefix(b"\n").ok_or(damaged("cut short"))?;
        if blake3::hash(body).to_hex().as_bytes() != sum {
            return Err(damaged("its checksum does not fit"));
        }
        let mut read = Reader(body);
        read.everything().ok_or(damaged("it ends too early"))
    }

    fn file_error(&self, source: std::io::Error) -> DiskSnapshotError {
        DiskSnapshotError::File { path: self.path.display().to_string(), source }
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut open = OpenOptions::new();
    let mut file = open.write(true).create(true).truncate(true).mode(MODE).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads what [`DiskSnapshot::encode`] writes; every step is nothing when the bytes end.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn number(&mut self) -> Option<u64> {
        let (head, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*head))
    }

    fn bytes(&mut self) -> Option<&[u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn everything(&mut self) -> Option<(Vec<String>, Kept)> {
        let (at_ms, revision) = (self.number()?, Revision(self.number()?));
        let members = (0..self.number()?).map(|_| self.text()).collect::<Option<_>>()?;
        let entries = (0..self.number()?).map(|_| {
            let key = self.text()?;
            record::decode(&key, self.bytes()?)
        });
        let entries = entries.collect::<Option<_>>()?;
        Some((members, Kept { at_ms, listing: Listing { revision, entries } }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::{KeyValue, LeaseId};

    const NOW_MS: u64 = 1_800_000_000_000;

    fn members(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| format!("http://{name}:2379")).collect()
    }

    fn sample() -> Kept {
        let entry = |key: &str, lease: Option<LeaseId>| KeyValue {
            key: key.to_owned(),
            value: vec![0, 255, 10].into(),
            create_revision: Revision(3),
            mod_revision: Revision(9),
            version: 4,
            lease,
        };
        let entries = vec![entry("/a", None), entry("/b", Some(LeaseId(7)))];
        Kept { at_ms: NOW_MS, listing: Listing { revision: Revision(12), entries } }
    }

    fn refusal(kept: &DiskSnapshot, now_ms: u64) -> String {
        kept.recall(now_ms).unwrap_err().to_string()
    }

    #[test]
    fn what_was_kept_is_recalled_and_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let disk = DiskSnapshot::new(&dir.path().join("new"), &members(&["a", "b"]));
        assert_eq!(disk.recall(NOW_MS).unwrap(), None);
        disk.keep(&sample()).unwrap();
        assert_eq!(disk.recall(NOW_MS).unwrap(), Some(sample()));
        let mut later = sample();
        later.listing.entries.pop();
        disk.keep(&later).unwrap();
        assert_eq!(disk.recall(NOW_MS + 1_000).unwrap(), Some(later));
        let files = fs::read_dir(dir.path().join("new")).unwrap().count();
        assert_eq!(files, 1, "nothing is left beside it");
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let disk = DiskSnapshot::new(dir.path(), &members(&["a"]));
        disk.keep(&sample()).unwrap();
        let path = dir.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&path, &flipped).unwrap();
            assert!(disk.recall(NOW_MS).is_err(), "byte {at} flipped");
            fs::write(&path, &whole[..at]).unwrap();
            assert!(disk.recall(NOW_MS).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn one_of_another_cluster_of_another_layout_or_too_old_is_refused_in_words() {
        let dir = tempfile::tempdir().unwrap();
        let disk = DiskSnapshot::new(dir.path(), &members(&["a", "b"]));
        disk.keep(&sample()).unwrap();
        let grown = DiskSnapshot::new(dir.path(), &members(&["b", "c"]));
        assert!(grown.recall(NOW_MS).unwrap().is_some(), "a cluster may change its members");
        let other = DiskSnapshot::new(dir.path(), &members(&["x"]));
        assert!(refusal(&other, NOW_MS).contains("another cluster (http://a:2379"));
        let old = refusal(&disk, NOW_MS + SNAPSHOT_AGE_MAX_MS + 1);
        assert!(old.contains("168 hours old"), "{old}");
        fs::write(dir.path().join(FILE), "trunkline snapshot 9\n").unwrap();
        assert!(refusal(&disk, NOW_MS).contains("another layout"));
    }
}
