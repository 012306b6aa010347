//! What the store holds at its newest revision, and how planned changes get in.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use tokio::time::Instant;

use super::history::History;
use super::{Delta, Limits, delta::size};
use crate::port::{Change, Event, KeyValue, LeaseId, Listing, Revision};

/// A lease that lives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) ttl: Duration,
    pub(crate) deadline: Instant,
}

/// Everything, in memory.
#[derive(Debug)]
pub(crate) struct State {
    limits: Limits,
    revision: Revision,
    entries: BTreeMap<String, KeyValue>,
    bytes: usize,
    leases: BTreeMap<LeaseId, Held>,
    last_lease: LeaseId,
    history: History,
}

impl State {
    pub(crate) fn new(limits: Limits) -> Self {
        Self::restored(limits, Delta::start())
    }

    /// The state that a whole store's delta describes; its past is not known.
    pub(crate) fn restored(limits: Limits, all: Delta) -> Self {
        let mut state = Self {
            limits,
            revision: all.revision,
            entries: BTreeMap::new(),
            bytes: 0,
            leases: BTreeMap::new(),
            last_lease: all.last_lease,
            history: History::starting_after(all.revision),
        };
        state.apply(all);
        state.bytes = state.entries.values().map(size).sum();
        state
    }

    /// Lets a change in that was planned on this very state.
    pub(crate) fn apply(&mut self, delta: Delta) {
        for (key, entry) in delta.entries {
            match entry {
                Some(entry) => self.entries.insert(key, entry),
                None => self.entries.remove(&key),
            };
        }
        for (id, held) in delta.leases {
            match held {
                Some(held) => self.leases.insert(id, held),
                None => self.leases.remove(&id),
            };
        }
        for batch in delta.batches {
            let Limits { history_revisions, history_bytes, .. } = self.limits;
            self.history.push(batch, history_revisions, history_bytes);
        }
        self.revision = delta.revision;
        self.last_lease = delta.last_lease;
        self.bytes = delta.bytes;
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn quota(&self) -> usize {
        self.limits.quota_bytes
    }

    pub(crate) fn last_lease(&self) -> LeaseId {
        self.last_lease
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&KeyValue> {
        self.entries.get(key)
    }

    pub(crate) fn entries(&self, prefix: &str) -> impl Iterator<Item = &KeyValue> {
        self.entries
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(_, entry)| entry)
    }

    pub(crate) fn lease(&self, id: LeaseId) -> Option<&Held> {
        self.leases.get(&id)
    }

    pub(crate) fn leases(&self) -> impl Iterator<Item = (LeaseId, &Held)> {
        self.leases.iter().map(|(id, held)| (*id, held))
    }

    /// When the next lease ends, if nobody keeps it alive.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.leases.values().map(|held| held.deadline).min()
    }

    /// Whether a lease has outlived its time and is still here.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.next_deadline().is_some_and(|deadline| deadline <= now)
    }

    pub(crate) fn listing(&self, prefix: &str) -> Listing {
        Listing { revision: self.revision, entries: self.entries(prefix).cloned().collect() }
    }

    /// The next change for a watch that knows everything up to `known` (nothing at first), which is
    /// moved on; nothing when it knows all there is.
    pub(crate) fn follow(&self, prefix: &str, known: &mut Option<Revision>) -> Option<Change> {
        let revision = known.replace(self.revision);
        let Some(mut batches) = revision.and_then(|revision| self.history.after(revision)) else {
            return Some(Change::Snapshot(self.listing(prefix)));
        };
        let (revision, events) = batches.find_map(|batch| {
            let under = batch.events.iter().filter(|event| event.key().starts_with(prefix));
            let events: Vec<Event> = under.cloned().collect();
            (!events.is_empty()).then_some((batch.revision, events))
        })?;
        *known = Some(revision);
        Some(Change::Batch { revision, events })
    }
}
