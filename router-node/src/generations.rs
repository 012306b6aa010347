//! The background of the ledger: writes one log line for each record, and keeps recent ones for those who ask
//! where a call went. Text never comes here; a record has none.

mod journal;
mod kept;
mod log_line;
mod scene;
mod segments;
mod written;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};
use trunkline_runtime::log_sink::LineWriter;
use trunkline_runtime::otlp::Spans;
use trunkline_runtime::telemetry::info_is_logged;
use trunkline_wire::models::Generation;
use uuid::Uuid;

use crate::ledger::Entry;
use crate::page::TagCosts;
use crate::traces;
use journal::Journal;
pub use kept::{Explained, Kept, Replayed, decision_of};
use scene::Scenes;

/// Records kept for questions.
pub const KEPT: usize = 10_000;
/// What they may take of memory, about: some 6 KiB each, which a record needs only where models have dozens of
/// endpoints. There, fewer are kept.
pub const KEPT_BYTES: usize = 64 << 20;
/// Records taken from the queue at once.
const AT_ONCE: usize = 256;

/// Recent records.
#[derive(Default)]
pub struct Generations {
    recent: Mutex<Recent>,
    /// What their scenes take.
    scenes: Arc<AtomicUsize>,
}

/// The oldest first. A new record takes the place of the oldest one in the same memory: in memory of its own, it
/// would take what calls have just used, and give back what long nobody has.
struct Recent {
    records: VecDeque<Kept>,
    bytes: usize,
}

impl Default for Recent {
    fn default() -> Self {
        // One more, for the newest comes before the oldest goes.
        Self { records: VecDeque::with_capacity(KEPT + 1), bytes: 0 }
    }
}

impl Generations {
    /// The generation of that id, if it is among those that this router keeps.
    pub fn find(&self, id: &str) -> Option<Generation> {
        self.kept(id).map(|kept| kept.generation())
    }

    /// The record of that id with its decision drawn again, if it is among those that this router keeps.
    pub fn explain(&self, id: &str) -> Option<Explained> {
        self.kept(id).map(|kept| kept.explained())
    }

    /// The newest records, at most so many, the oldest of them first.
    pub fn newest(&self, most: usize) -> Vec<Kept> {
        let recent = self.recent();
        let skipped = recent.records.len().saturating_sub(most);
        recent.records.iter().skip(skipped).cloned().collect()
    }

    /// It looks from the newest on: whoever asks asks soon.
    fn kept(&self, id: &str) -> Option<Kept> {
        let id = Uuid::parse_str(id).ok()?;
        self.recent().records.iter().rev().find(|kept| kept.is(id)).cloned()
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, kept: Kept) {
        let mut recent = self.recent();
        recent.bytes += kept.size();
        recent.records.push_back(kept);
        while recent.records.len() > KEPT || recent.bytes + self.scenes.load(Relaxed) > KEPT_BYTES {
            let Some(oldest) = recent.records.pop_front() else { return };
            recent.bytes -= oldest.size();
        }
    }
}

/// Takes the ledger's records; cheap to clone. The clone that outlives the task has the last of them.
#[derive(Clone)]
pub struct Background(Arc<tokio::sync::Mutex<Desk>>);

/// Who is told of records as they come.
pub struct Outlets {
    /// The log, which hears of calls while lines of level info are written.
    pub lines: LineWriter,
    /// The collector of spans.
    pub spans: Option<Spans>,
}

/// What records go through.
struct Desk {
    queue: mpsc::Receiver<Entry>,
    generations: Arc<Generations>,
    costs: Arc<TagCosts>,
    lines: LineWriter,
    line: String,
    spans: Option<Spans>,
    scenes: Scenes,
    journal: Option<Journal>,
}

impl Background {
    /// Takes from `queue`, tells `outlets`, and keeps on the disk in `folder`, for a router whose store is
    /// there too. What calls cost is added up in `costs`.
    pub fn new(
        queue: mpsc::Receiver<Entry>,
        generations: Arc<Generations>,
        costs: Arc<TagCosts>,
        outlets: Outlets,
        folder: Option<PathBuf>,
    ) -> Self {
        let Outlets { lines, spans } = outlets;
        let scenes = Scenes::counted(Arc::clone(&generations.scenes));
        let (line, journal) = (String::new(), folder.map(Journal::new));
        let desk = Desk { queue, generations, costs, lines, line, spans, scenes, journal };
        Self(Arc::new(tokio::sync::Mutex::new(desk)))
    }

    /// Reads back what an earlier process kept, and then takes records until every sender is gone.
    pub async fn run(self) {
        let mut desk = self.0.lock().await;
        desk.recall().await;
        let mut taken = Vec::with_capacity(AT_ONCE);
        loop {
            let due = desk.journal.as_ref().and_then(Journal::due);
            let desk = &mut *desk;
            tokio::select! {
                count = desk.queue.recv_many(&mut taken, AT_ONCE) => {
                    if count == 0 {
                        return;
                    }
                    taken.drain(..).for_each(|entry| desk.take(entry));
                }
                () = journal::at(due) => {}
            }
            if let Some(journal) = &mut desk.journal {
                journal.write_if_due();
            }
        }
    }

    /// Takes what is left and waits until it is on the disk. For the end, when [`Self::run`] was dropped.
    pub async fn finish(self) {
        let mut desk = self.0.lock().await;
        while let Ok(entry) = desk.queue.try_recv() {
            desk.take(entry);
        }
        if let Some(journal) = &mut desk.journal {
            journal.write_all().await;
        }
    }
}

impl Desk {
    async fn recall(&mut self) {
        let Some(journal) = &self.journal else { return };
        for kept in journal.recall(Arc::clone(&self.generations.scenes)).await {
            self.generations.keep(kept);
        }
    }

    fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Record(record) => {
                if info_is_logged() {
                    self.line.clear();
                    log_line::write(&record, &mut self.line);
                    self.lines.write_line(self.line.as_bytes());
                }
                self.costs.add(&record);
                if let Some(spans) = &self.spans {
                    traces::tell(&record, spans);
                }
                let kept = Kept::new(*record, &mut self.scenes);
                if let Some(journal) = &mut self.journal {
                    journal.add(&kept);
                }
                self.generations.keep(kept);
            }
            Entry::Barrier(reached) => answer(reached),
        }
    }
}

fn answer(reached: oneshot::Sender<()>) {
    // Whoever asked may have left.
    let _ = reached.send(());
}

#[cfg(test)]
mod tests;
