//! Random operations, played against a store (or two) and against a trivial model.
//!
//! The store must be nobody else's meanwhile: revisions are compared by their distance from the first.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::leases::TTL;
use super::model::Model;
use super::{next_batch, next_snapshot};
use crate::port::{
    Condition, Event, KeyValue, LeaseId, Op, Revision, Store, StoreError, Txn, TxnResult,
};

const KEYS: std::ops::Range<u8> = 0..4;
const VALUES: std::ops::Range<u8> = 0..3;
const SLOTS: std::ops::Range<usize> = 0..3;
const REVISIONS: std::ops::Range<u64> = 0..12;
/// A lease that was never granted, for slots that have none.
const NO_SUCH_LEASE: LeaseId = LeaseId(9_999_999_999);

/// One operation.
#[derive(Debug, Clone)]
pub enum Step {
    /// A transaction.
    Commit(Shape),
    /// A new lease, in the next slot.
    Grant,
    /// Keeps the lease in a slot alive.
    KeepAlive(usize),
    /// Ends the lease in a slot.
    Revoke(usize),
    /// Lists everything.
    List,
}

/// A transaction in small numbers.
#[derive(Debug, Clone)]
pub struct Shape {
    pub(super) compare: Vec<(u8, Guess)>,
    pub(super) then: Vec<Act>,
    pub(super) otherwise: Vec<Act>,
}

#[derive(Debug, Clone)]
pub(super) enum Guess {
    Absent,
    Present,
    CreatedAt(u64),
    ModifiedAt(u64),
    Value(u8),
    Lease(usize),
}

#[derive(Debug, Clone)]
pub(super) enum Act {
    Put(u8, u8, Option<usize>),
    Delete(u8),
    Get(u8),
}

/// An entry, with small numbers for its key, value, revisions and lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: u8,
    pub(super) value: u8,
    pub(super) created: u64,
    pub(super) modified: u64,
    pub(super) version: u64,
    pub(super) lease: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sight {
    Txn { committed: bool, revision: u64, reads: Vec<Option<Entry>> },
    Listing { revision: u64, entries: Vec<Entry> },
    Batch { revision: u64, events: Vec<Result<Entry, u8>> },
    Done,
    LeaseGone,
    Invalid,
}

/// All that could be seen of a run, in terms that do not depend on the store.
#[derive(Debug, PartialEq, Eq)]
pub struct Transcript(pub(super) Vec<Sight>);

/// Sequences of up to `longest` operations.
pub fn steps(longest: usize) -> impl Strategy<Value = Vec<Step>> {
    let guess = prop_oneof![
        Just(Guess::Absent),
        Just(Guess::Present),
        REVISIONS.prop_map(Guess::CreatedAt),
        REVISIONS.prop_map(Guess::ModifiedAt),
        VALUES.prop_map(Guess::Value),
        SLOTS.prop_map(Guess::Lease),
    ];
    let act = || {
        prop_oneof![
            3 => (KEYS, VALUES, proptest::option::of(SLOTS)).prop_map(|(k, v, s)| Act::Put(k, v, s)),
            2 => KEYS.prop_map(Act::Delete),
            1 => KEYS.prop_map(Act::Get),
        ]
    };
    let acts = || proptest::collection::vec(act(), 0..4);
    let compare = proptest::collection::vec((KEYS, guess), 0..2);
    let shape = (compare, acts(), acts()).prop_map(|(compare, then, otherwise)| Shape {
        compare,
        then,
        otherwise,
    });
    let step = prop_oneof![
        8 => shape.prop_map(Step::Commit),
        2 => Just(Step::Grant),
        1 => SLOTS.prop_map(Step::KeepAlive),
        1 => SLOTS.prop_map(Step::Revoke),
        1 => Just(Step::List),
    ];
    proptest::collection::vec(step, 1..longest)
}

/// Plays the steps on a store, under a prefix that nobody used before, and on the model.
///
/// # Errors
/// The first difference, or the store's failure.
pub async fn agrees_with_model(
    store: Arc<dyn Store>,
    prefix: &str,
    steps: &[Step],
) -> Result<(), String> {
    let seen = play(store, prefix, steps).await.map_err(|error| error.to_string())?;
    let expected = Model::default().play(steps);
    let mut pairs = seen.0.iter().zip(&expected.0);
    if let Some((seen, expected)) = pairs.find(|(seen, expected)| seen != expected) {
        return Err(format!("seen {seen:?}, expected {expected:?}"));
    }
    if seen.0.len() == expected.0.len() { Ok(()) } else { Err(format!("{seen:?}")) }
}

/// Plays the steps on a store, under a prefix that nobody used before.
///
/// # Errors
/// A failure of the store that is not part of the play.
pub async fn play(
    store: Arc<dyn Store>,
    prefix: &str,
    steps: &[Step],
) -> Result<Transcript, StoreError> {
    let mut watch = store.watch(prefix);
    let base = next_snapshot(&mut watch).await.revision;
    let mut player = Player { store, prefix: prefix.to_owned(), base, leases: Vec::new() };
    let mut sights = Vec::new();
    for step in steps {
        sights.push(player.take(step).await?);
    }
    let end = player.store.list(prefix).await?;
    sights.push(player.listing(&end.entries, end.revision));
    let mut reached = base;
    while reached < end.revision {
        let (revision, events) = next_batch(&mut watch).await;
        let events = events.iter().map(|event| player.event(event)).collect();
        sights.push(Sight::Batch { revision: player.distance(revision), events });
        reached = revision;
    }
    for lease in player.leases.drain(..) {
        // Those that were revoked in the play are gone already.
        player.store.revoke(lease).await.ok();
    }
    Ok(Transcript(sights))
}

struct Player {
    store: Arc<dyn Store>,
    prefix: String,
    base: Revision,
    leases: Vec<LeaseId>,
}

impl Player {
    async fn take(&mut self, step: &Step) -> Result<Sight, StoreError> {
        let outcome = match step {
            Step::Commit(shape) => self.store.commit(self.txn(shape)).await.map(|r| self.result(r)),
            Step::Grant => self.store.grant_lease(TTL).await.map(|lease| {
                self.leases.push(lease.id);
                Sight::Done
            }),
            Step::KeepAlive(slot) => {
                self.store.keep_alive(self.lease(*slot)).await.map(|()| Sight::Done)
            }
            Step::Revoke(slot) => self.store.revoke(self.lease(*slot)).await.map(|()| Sight::Done),
            Step::List => {
                let listing = self.store.list(&self.prefix).await;
                listing.map(|listing| self.listing(&listing.entries, listing.revision))
            }
        };
        match outcome {
            Err(StoreError::LeaseGone { .. }) => Ok(Sight::LeaseGone),
            Err(StoreError::Invalid { .. }) => Ok(Sight::Invalid),
            other => other,
        }
    }

    fn txn(&self, shape: &Shape) -> Txn {
        let compared = shape.compare.iter();
        let txn = compared.fold(Txn::new(), |txn, (key, guess)| {
            let at = |distance: &u64| match distance {
                0 => Revision(0),
                _ => Revision(self.base.0 + distance),
            };
            let condition = match guess {
                Guess::Absent => Condition::Absent,
                Guess::Present => Condition::Present,
                Guess::CreatedAt(distance) => Condition::CreatedAt(at(distance)),
                Guess::ModifiedAt(distance) => Condition::ModifiedAt(at(distance)),
                Guess::Value(value) => Condition::Value(value_of(*value)),
                Guess::Lease(slot) => Condition::Lease(self.lease(*slot)),
            };
            txn.when(&self.key(*key), condition)
        });
        let ops = |acts: &[Act]| acts.iter().map(|act| self.op(act)).collect();
        Txn { then: ops(&shape.then), otherwise: ops(&shape.otherwise), ..txn }
    }

    fn op(&self, act: &Act) -> Op {
        match act {
            Act::Put(key, value, slot) => Op::Put {
                key: self.key(*key),
                value: value_of(*value),
                lease: slot.map(|slot| self.lease(slot)),
            },
            Act::Delete(key) => Op::Delete { key: self.key(*key) },
            Act::Get(key) => Op::Get { key: self.key(*key) },
        }
    }

    fn key(&self, key: u8) -> String {
        format!("{}{key}", self.prefix)
    }

    fn lease(&self, slot: usize) -> LeaseId {
        self.leases.get(slot).copied().unwrap_or(NO_SUCH_LEASE)
    }

    fn distance(&self, revision: Revision) -> u64 {
        revision.0.saturating_sub(self.base.0)
    }

    fn result(&self, result: TxnResult) -> Sight {
        let reads = result.reads.iter().map(|read| read.as_ref().map(|kv| self.entry(kv)));
        Sight::Txn {
            committed: result.committed,
            revision: self.distance(result.revision),
            reads: reads.collect(),
        }
    }

    fn listing(&self, entries: &[KeyValue], revision: Revision) -> Sight {
        Sight::Listing {
            revision: self.distance(revision),
            entries: entries.iter().map(|entry| self.entry(entry)).collect(),
        }
    }

    fn event(&self, event: &Event) -> Result<Entry, u8> {
        match event {
            Event::Put(entry) => Ok(self.entry(entry)),
            Event::Delete { key } => Err(self.number(key)),
        }
    }

    fn entry(&self, entry: &KeyValue) -> Entry {
        let lease = entry.lease.map(|id| self.leases.iter().position(|held| *held == id));
        Entry {
            key: self.number(&entry.key),
            value: entry.value.first().copied().unwrap_or(u8::MAX),
            created: self.distance(entry.create_revision),
            modified: self.distance(entry.mod_revision),
            version: entry.version,
            lease: lease.map(|slot| slot.unwrap_or(usize::MAX)),
        }
    }

    fn number(&self, key: &str) -> u8 {
        let name = key.strip_prefix(&self.prefix);
        name.and_then(|name| name.parse().ok()).unwrap_or(u8::MAX)
    }
}

fn value_of(value: u8) -> Bytes {
    Bytes::from(vec![value])
}

/// Whether a branch writes a key twice, which no store takes.
pub(super) fn writes_twice(acts: &[Act]) -> bool {
    let mut written = BTreeSet::new();
    acts.iter().any(|act| match act {
        Act::Put(key, ..) | Act::Delete(key) => !written.insert(*key),
        Act::Get(_) => false,
    })
}
