//! A change that is planned and not yet applied: an overlay over the state it was planned on.

use std::collections::BTreeMap;

use super::{Batch, Held, State};
use crate::port::{Event, KeyValue, LeaseId, Revision};

/// What one or more requests will change. It may be dropped, and then nothing happened.
#[derive(Debug)]
pub(crate) struct Delta {
    pub(crate) revision: Revision,
    /// Keys as they will be; nothing for one that will be gone.
    pub(crate) entries: BTreeMap<String, Option<KeyValue>>,
    /// Leases as they will be; nothing for one that will be gone.
    pub(crate) leases: BTreeMap<LeaseId, Option<Held>>,
    pub(crate) last_lease: LeaseId,
    pub(crate) batches: Vec<Batch>,
    /// Bytes of keys and values that the store will hold.
    pub(crate) bytes: usize,
    /// Bytes of keys and values that are written, to bound what one disk transaction carries.
    pub(crate) written: usize,
    /// Whether anything must survive a restart. Deadlines need not: a restart starts them anew.
    pub(crate) durable: bool,
}

impl Delta {
    /// The change from nothing to a new, empty store. It is at revision 1 already, as in etcd, so
    /// that no revision that a store reports is zero.
    pub(crate) fn start() -> Self {
        Self {
            revision: Revision(1),
            entries: BTreeMap::new(),
            leases: BTreeMap::new(),
            last_lease: LeaseId(0),
            batches: Vec::new(),
            bytes: 0,
            written: 0,
            durable: true,
        }
    }

    /// No change yet, to be planned on this state.
    pub(crate) fn new(state: &State) -> Self {
        Self {
            revision: state.revision(),
            last_lease: state.last_lease(),
            bytes: state.bytes(),
            durable: false,
            ..Self::start()
        }
    }

    /// The entry of a key, as it will be.
    pub(crate) fn entry<'a>(&'a self, state: &'a State, key: &str) -> Option<&'a KeyValue> {
        match self.entries.get(key) {
            Some(planned) => planned.as_ref(),
            None => state.entry(key),
        }
    }

    /// A lease, as it will be.
    pub(crate) fn lease<'a>(&'a self, state: &'a State, id: LeaseId) -> Option<&'a Held> {
        match self.leases.get(&id) {
            Some(planned) => planned.as_ref(),
            None => state.lease(id),
        }
    }

    /// The keys under a lease, as they will be, in order.
    pub(crate) fn keys_under(&self, state: &State, id: LeaseId) -> Vec<String> {
        let kept = state.entries("").filter(|entry| !self.entries.contains_key(&entry.key));
        let planned = self.entries.values().flatten();
        let mut keys: Vec<String> = kept
            .chain(planned)
            .filter(|entry| entry.lease == Some(id))
            .map(|entry| entry.key.clone())
            .collect();
        keys.sort();
        keys
    }

    /// Writes or removes one key at the given revision and adds the event to `events`.
    pub(crate) fn set(&mut self, state: &State, event: Event, events: &mut Vec<Event>) {
        let key = event.key().to_owned();
        let before = self.entry(state, &key).map_or(0, size);
        let after = match &event {
            Event::Put(entry) => Some(entry.clone()),
            Event::Delete { .. } => None,
        };
        let grown = after.as_ref().map_or(0, size);
        self.bytes = self.bytes.saturating_sub(before).saturating_add(grown);
        self.written = self.written.saturating_add(grown);
        self.entries.insert(key, after);
        events.push(event);
    }

    /// Closes a revision, if anything happened in it.
    pub(crate) fn seal(&mut self, revision: Revision, events: Vec<Event>) {
        if !events.is_empty() {
            self.revision = revision;
            self.durable = true;
            self.batches.push(Batch { revision, events });
        }
    }
}

/// What an entry counts for in quotas, in bytes.
pub(crate) fn size(entry: &KeyValue) -> usize {
    entry.key.len() + entry.value.len()
}
