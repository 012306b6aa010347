//! The newest revisions, kept for watches that are a little behind.

use std::collections::VecDeque;

use super::Batch;
use super::delta::size;
use crate::port::{Event, Revision};

/// A gapless run of batches up to the store's revision, cut at the front.
#[derive(Debug)]
pub(super) struct History {
    batches: VecDeque<Batch>,
    bytes: usize,
    /// The newest revision that can no longer be told event by event.
    compacted: Revision,
}

impl History {
    pub(super) fn starting_after(revision: Revision) -> Self {
        Self { batches: VecDeque::new(), bytes: 0, compacted: revision }
    }

    pub(super) fn push(&mut self, batch: Batch, max_revisions: usize, max_bytes: usize) {
        self.bytes += weight(&batch);
        self.batches.push_back(batch);
        while self.batches.len() > max_revisions || self.bytes > max_bytes {
            let Some(oldest) = self.batches.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(weight(&oldest));
            self.compacted = oldest.revision;
        }
    }

    /// Everything after a revision, oldest first; nothing when part of it is no longer kept.
    pub(super) fn after(&self, revision: Revision) -> Option<impl Iterator<Item = &Batch>> {
        if revision < self.compacted {
            return None;
        }
        let known = self.batches.partition_point(|batch| batch.revision <= revision);
        Some(self.batches.range(known..))
    }
}

fn weight(batch: &Batch) -> usize {
    batch
        .events
        .iter()
        .map(|event| match event {
            Event::Put(entry) => size(entry),
            Event::Delete { key } => key.len(),
        })
        .sum()
}
