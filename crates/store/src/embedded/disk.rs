//! The engine's state on disk, in one redb file. History is not kept: watches live in the process.

use std::path::Path;
use std::time::Duration;

use redb::{Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::time::Instant;

use crate::mvcc::{Delta, Held};
use crate::port::{LeaseId, Revision, StoreError};
use crate::record;

const FILE: &str = "trunkline.redb";

/// Key to record; see [`record::encode`].
const ENTRIES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("entries");
/// Lease to its time to live in milliseconds.
const LEASES: TableDefinition<'_, u64, u64> = TableDefinition::new("leases");
/// Numbers about the whole store.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

const META_FORMAT: &str = "format";
const META_REVISION: &str = "revision";
const META_LAST_LEASE: &str = "last_lease";

/// The layout that this code writes. Another one is refused, not guessed at.
const FORMAT: u64 = 1;

/// The page cache. All entries are in the engine's memory already; this only serves writes.
const CACHE_BYTES: usize = 16 << 20;

/// The open file.
pub(super) struct Disk {
    database: Database,
}

impl Disk {
    /// Opens or creates the file in a directory.
    pub(super) fn open(dir: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(dir).map_err(|error| cannot("create the directory", &error))?;
        let opened = Database::builder().set_cache_size(CACHE_BYTES).create(dir.join(FILE));
        let database = opened.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => {
                StoreError::InUse { path: dir.display().to_string() }
            }
            other => failed(other.into()),
        })?;
        Ok(Self { database })
    }

    #[cfg(test)]
    pub(super) fn over(backend: impl redb::StorageBackend) -> Self {
        Self { database: Database::builder().create_with_backend(backend).unwrap() }
    }

    /// Everything in it, as the change from nothing; a new file holds the empty store.
    pub(super) fn load(&self, now: Instant) -> Result<Delta, StoreError> {
        self.read(now).map_err(failed).and_then(|loaded| loaded.map_err(corrupt))
    }

    /// Makes a change durable: when this returns, it survives anything but the loss of the disk.
    pub(super) fn write(&self, delta: &Delta) -> Result<(), redb::Error> {
        let mut txn = self.database.begin_write()?;
        txn.set_durability(Durability::Immediate)?;
        {
            let mut entries = txn.open_table(ENTRIES)?;
            for (key, entry) in &delta.entries {
                match entry {
                    Some(entry) => {
                        entries.insert(key.as_str(), record::encode(entry).as_slice())?
                    }
                    None => entries.remove(key.as_str())?,
                };
            }
            let mut leases = txn.open_table(LEASES)?;
            for (id, held) in &delta.leases {
                match held {
                    Some(held) => leases.insert(id.0, millis(held.ttl))?,
                    None => leases.remove(id.0)?,
                };
            }
            let mut meta = txn.open_table(META)?;
            meta.insert(META_FORMAT, FORMAT)?;
            meta.insert(META_REVISION, delta.revision.0)?;
            meta.insert(META_LAST_LEASE, delta.last_lease.0)?;
        }
        txn.commit()?;
        Ok(())
    }

    fn read(&self, now: Instant) -> Result<Result<Delta, String>, redb::Error> {
        let mut all = Delta::start();
        let txn = self.database.begin_read()?;
        let meta = match txn.open_table(META) {
            Ok(meta) => meta,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Ok(all)),
            Err(error) => return Err(error.into()),
        };
        let number = |name: &str| -> Result<Option<u64>, redb::Error> {
            Ok(meta.get(name)?.map(|number| number.value()))
        };
        let format = number(META_FORMAT)?;
        if format != Some(FORMAT) {
            return Ok(Err(format!("format {format:?}, this version reads {FORMAT}")));
        }
        let (Some(revision), Some(last)) = (number(META_REVISION)?, number(META_LAST_LEASE)?)
        else {
            return Ok(Err("a number is missing".to_owned()));
        };
        (all.revision, all.last_lease) = (Revision(revision), LeaseId(last));
        for row in txn.open_table(LEASES)?.iter()? {
            let (id, ttl) = row?;
            let ttl = Duration::from_millis(ttl.value());
            all.leases.insert(LeaseId(id.value()), Some(Held { ttl, deadline: now + ttl }));
        }
        for row in txn.open_table(ENTRIES)?.iter()? {
            let (key, bytes) = row?;
            let Some(entry) = record::decode(key.value(), bytes.value()) else {
                return Ok(Err(format!("the record of {} is too short", key.value())));
            };
            all.bytes += entry.key.len() + entry.value.len();
            all.entries.insert(entry.key.clone(), Some(entry));
        }
        Ok(Ok(all))
    }
}

fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)
}

fn cannot(what: &str, error: &std::io::Error) -> StoreError {
    StoreError::unavailable(format!("cannot {what}: {error}"))
}

fn corrupt(reason: String) -> StoreError {
    StoreError::Corrupt { reason }
}

/// Damage is for the operator, everything else may pass.
fn failed(error: redb::Error) -> StoreError {
    match error {
        redb::Error::Corrupted(reason) => corrupt(reason),
        redb::Error::UpgradeRequired(version) => corrupt(format!("file format {version}")),
        redb::Error::TableTypeMismatch { table, .. } => corrupt(format!("table {table}")),
        other => StoreError::unavailable(other.to_string()),
    }
}
