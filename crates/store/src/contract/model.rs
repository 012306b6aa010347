//! The store in its plainest form: a map, a counter, a list of what happened. Nothing clever, so
//! that it can be believed.

use std::collections::BTreeMap;

use super::random::{Act, Entry, Guess, Shape, Sight, Step, Transcript, writes_twice};

#[derive(Default)]
pub(super) struct Model {
    revision: u64,
    entries: BTreeMap<u8, Entry>,
    /// By slot, whether it lives.
    leases: Vec<bool>,
    batches: Vec<Sight>,
}

impl Model {
    pub(super) fn play(mut self, steps: &[Step]) -> Transcript {
        let mut sights: Vec<Sight> = steps.iter().map(|step| self.take(step)).collect();
        sights.push(self.listing());
        sights.append(&mut self.batches);
        Transcript(sights)
    }

    fn take(&mut self, step: &Step) -> Sight {
        match step {
            Step::Commit(shape) => self.commit(shape),
            Step::Grant => {
                self.leases.push(true);
                Sight::Done
            }
            Step::KeepAlive(slot) if self.lives(*slot) => Sight::Done,
            Step::Revoke(slot) if self.lives(*slot) => self.revoke(*slot),
            Step::KeepAlive(_) | Step::Revoke(_) => Sight::LeaseGone,
            Step::List => self.listing(),
        }
    }

    fn lives(&self, slot: usize) -> bool {
        self.leases.get(slot) == Some(&true)
    }

    fn revoke(&mut self, slot: usize) -> Sight {
        self.leases[slot] = false;
        let under = self.entries.values().filter(|entry| entry.lease == Some(slot));
        let gone: Vec<u8> = under.map(|entry| entry.key).collect();
        self.entries.retain(|_, entry| entry.lease != Some(slot));
        self.seal(gone.into_iter().map(Err).collect());
        Sight::Done
    }

    fn commit(&mut self, shape: &Shape) -> Sight {
        if writes_twice(&shape.then) || writes_twice(&shape.otherwise) {
            return Sight::Invalid;
        }
        let committed = shape.compare.iter().all(|(key, guess)| self.holds(*key, guess));
        let branch = if committed { &shape.then } else { &shape.otherwise };
        let dead = |act: &Act| match act {
            Act::Put(_, _, Some(slot)) => !self.lives(*slot),
            Act::Put(_, _, None) | Act::Delete(_) | Act::Get(_) => false,
        };
        if branch.iter().any(dead) {
            return Sight::LeaseGone;
        }
        let (mut reads, mut events) = (Vec::new(), Vec::new());
        for act in branch {
            match act {
                Act::Get(key) => reads.push(self.entries.get(key).cloned()),
                Act::Delete(key) => {
                    events.extend(self.entries.remove(key).map(|entry| Err(entry.key)));
                }
                Act::Put(key, value, lease) => events.push(Ok(self.put(*key, *value, *lease))),
            }
        }
        self.seal(events);
        Sight::Txn { committed, revision: self.revision, reads }
    }

    fn put(&mut self, key: u8, value: u8, lease: Option<usize>) -> Entry {
        let modified = self.revision + 1;
        let before = self.entries.get(&key);
        let created = before.map_or(modified, |entry| entry.created);
        let version = before.map_or(0, |entry| entry.version) + 1;
        let entry = Entry { key, value, created, modified, version, lease };
        self.entries.insert(key, entry.clone());
        entry
    }

    fn holds(&self, key: u8, guess: &Guess) -> bool {
        let entry = self.entries.get(&key);
        match guess {
            Guess::Absent => entry.is_none(),
            Guess::Present => entry.is_some(),
            Guess::CreatedAt(at) => entry.map_or(0, |entry| entry.created) == *at,
            Guess::ModifiedAt(at) => entry.map_or(0, |entry| entry.modified) == *at,
            Guess::Value(value) => entry.is_some_and(|entry| entry.value == *value),
            Guess::Lease(slot) => entry.is_some_and(|entry| entry.lease == Some(*slot)),
        }
    }

    fn listing(&self) -> Sight {
        let entries = self.entries.values().cloned().collect();
        Sight::Listing { revision: self.revision, entries }
    }

    fn seal(&mut self, mut events: Vec<Result<Entry, u8>>) {
        if events.is_empty() {
            return;
        }
        self.revision += 1;
        events.sort_by_key(|event| event.as_ref().map_or_else(|key| *key, |entry| entry.key));
        self.batches.push(Sight::Batch { revision: self.revision, events });
    }
}
