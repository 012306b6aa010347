//! Records on the disk, for a router whose store is on the same machine: so that a restart does not forget
//! where calls went. Lines are collected here and written in batches, without waiting for the disk to be sure
//! of them; after a crash the last quarter of a second is missing.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use trunkline_runtime::panics;

use super::kept::Kept;
use super::scene::Scene;
use super::segments::{Batch, Segments};
use super::written;

/// From a record's end to its line on the disk, about.
const WRITE_EVERY: Duration = Duration::from_millis(250);
/// Records written in a second, at most: a line costs some microseconds, and a busy router would spend a
/// noticeable part of its processor, and hundreds of gigabytes a day, on what it forgets within seconds. What
/// is over that is kept in memory alone.
const WRITTEN_A_SECOND: u32 = 1_000;
/// Bytes that wait for a slow disk; what comes then is kept in memory alone.
const MAX_WAITING_BYTES: usize = 8 << 20;
/// Scenes whose number in the segment is known; a record of an older one has it written again.
const NUMBERED: usize = 256;

/// What is to be written.
pub(super) struct Journal {
    segments: Segments,
    waiting: Vec<Batch>,
    waiting_bytes: usize,
    /// What the segment at hand has, waiting lines included.
    segment_bytes: usize,
    numbered: VecDeque<(u32, Arc<Scene>)>,
    next_number: u32,
    second: Instant,
    in_second: u32,
    /// The disk does not keep up, which was logged.
    slow: bool,
    due: Option<Instant>,
    under_way: Option<tokio::task::JoinHandle<()>>,
}

impl Journal {
    /// In this folder; what is there is not looked at yet.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            segments: Segments::new(folder),
            waiting: Vec::new(),
            waiting_bytes: 0,
            segment_bytes: 0,
            numbered: VecDeque::new(),
            next_number: 0,
            second: Instant::now(),
            in_second: 0,
            slow: false,
            due: None,
            under_way: None,
        }
    }

    /// The records of earlier processes, the oldest first.
    pub(super) async fn recall(&self, bytes: Arc<AtomicUsize>) -> Vec<Kept> {
        let segments = self.segments.clone();
        let recalled = tokio::task::spawn_blocking(move || segments.recall(&bytes)).await;
        recalled.unwrap_or_else(|error| {
            tracing::error!(
                error = panics::of_task(&error),
                "records on the disk could not be read"
            );
            Vec::new()
        })
    }

    /// When something is to be written.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Takes in a record, unless there are too many.
    pub(super) fn add(&mut self, kept: &Kept) {
        if !self.has_room() {
            return;
        }
        if self.segment_bytes >= super::segments::SEGMENT_BYTES {
            self.segments.next();
            self.segment_bytes = 0;
            self.numbered.clear();
            self.next_number = 0;
        }
        let mut lines = Vec::new();
        let scene = kept.story.as_ref().map(|story| self.number(&story.scene, &mut lines));
        written::record(kept, scene, &mut lines);
        self.segment_bytes += lines.len();
        self.waiting_bytes += lines.len();
        self.due.get_or_insert_with(|| Instant::now() + WRITE_EVERY);
        let at_hand = self.segments.at_hand();
        match self.waiting.last_mut().filter(|batch| batch.segment == at_hand) {
            Some(batch) => batch.lines.append(&mut lines),
            None => self.waiting.push(Batch { segment: at_hand, lines }),
        }
    }

    fn has_room(&mut self) -> bool {
        if self.second.elapsed() >= Duration::from_secs(1) {
            self.second = Instant::now();
            self.in_second = 0;
        }
        self.in_second = self.in_second.saturating_add(1);
        let slow = self.waiting_bytes >= MAX_WAITING_BYTES;
        if slow && !std::mem::replace(&mut self.slow, slow) {
            tracing::warn!("the disk is too slow for records, which are kept in memory alone");
        }
        self.slow = slow;
        self.in_second <= WRITTEN_A_SECOND && !slow
    }

    /// The number of a scene in the segment at hand; its line, if it has none yet.
    fn number(&mut self, scene: &Arc<Scene>, lines: &mut Vec<u8>) -> u32 {
        let mut numbered = self.numbered.iter().rev();
        if let Some((number, _)) = numbered.find(|(_, known)| Arc::ptr_eq(known, scene)) {
            return *number;
        }
        let number = self.next_number;
        self.next_number += 1;
        written::scene(number, scene, lines);
        if self.numbered.len() >= NUMBERED {
            self.numbered.pop_front();
        }
        self.numbered.push_back((number, Arc::clone(scene)));
        number
    }

    /// Begins to write what is due, unless the last batch is still being written.
    pub(super) fn write_if_due(&mut self) {
        let is_due = self.due.is_some_and(|due| due <= Instant::now());
        let busy = self.under_way.as_ref().is_some_and(|write| !write.is_finished());
        if !is_due {
            return;
        }
        if busy {
            self.due = Some(Instant::now() + WRITE_EVERY);
            return;
        }
        self.due = None;
        self.waiting_bytes = 0;
        let (segments, batches) = (self.segments.clone(), std::mem::take(&mut self.waiting));
        self.under_way = Some(tokio::task::spawn_blocking(move || segments.append(&batches)));
    }

    /// Writes all that waits.
    pub(super) async fn write_all(&mut self) {
        self.wait().await;
        self.due = self.due.map(|_| Instant::now());
        self.write_if_due();
        self.wait().await;
    }

    async fn wait(&mut self) {
        if let Some(write) = self.under_way.take() {
            write.await.ok();
        }
    }
}

/// At this time; never without one.
pub(super) async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
