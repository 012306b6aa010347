//! What this router last understood of a store on other machines, kept on its own disk: a router that starts
//! while the store is away serves from it. It never holds up the follower: the disk has its own thread.

use std::time::{Duration, Instant};

use trunkline_runtime::panics;
use trunkline_store::{DiskSnapshot, Kept};

use crate::fold::Fold;
use crate::ledger::unix_ms;

/// At most this often: a busy cluster changes many times a second, and only a start looks at it.
const KEEP_EVERY: Duration = Duration::from_secs(10);
/// What does not change is still kept this often, so that its age says how long the store was away.
const REFRESH_EVERY: Duration = Duration::from_secs(60 * 60);

/// The disk snapshot, and what is known of it.
pub struct Disk {
    file: DiskSnapshot,
    /// When the store last spoke, in milliseconds since 1970; never in this process when 0.
    heard_at_ms: u64,
    kept: Option<Last>,
    under_way: Option<tokio::task::JoinHandle<()>>,
}

/// The last one that was kept.
struct Last {
    at: Instant,
    changed: u64,
    refusals: u64,
}

impl Disk {
    /// In this file; what is there is not looked at yet.
    pub fn new(file: DiskSnapshot) -> Self {
        Self { file, heard_at_ms: 0, kept: None, under_way: None }
    }

    /// The store spoke.
    pub fn heard(&mut self, unix_ms: u64) {
        self.heard_at_ms = unix_ms;
    }

    /// What was kept; nothing when there is none or it is refused, which is logged.
    pub async fn recall(&self) -> Option<Kept> {
        let file = self.file.clone();
        let recalled = tokio::task::spawn_blocking(move || file.recall(unix_ms())).await;
        match recalled {
            Ok(Ok(kept)) => kept,
            Ok(Err(error)) => {
                tracing::error!(%error, "the disk snapshot is refused");
                None
            }
            Err(error) => {
                let error = panics::of_task(&error);
                tracing::error!(error, "the disk snapshot could not be read");
                None
            }
        }
    }

    /// Keeps what is in force, if it is news and the last time was long enough ago.
    pub fn keep_if_due(&mut self, fold: &Fold) {
        let busy = self.under_way.as_ref().is_some_and(|write| !write.is_finished());
        if busy || !self.is_news(fold, KEEP_EVERY) {
            return;
        }
        self.begin(fold);
    }

    /// Keeps what is in force before the process ends, and waits for it.
    pub async fn keep_at_the_end(&mut self, fold: &Fold) {
        if let Some(write) = self.under_way.take() {
            write.await.ok();
        }
        if self.is_news(fold, Duration::ZERO) {
            self.begin(fold);
        }
        if let Some(write) = self.under_way.take() {
            write.await.ok();
        }
    }

    fn is_news(&self, fold: &Fold, pause: Duration) -> bool {
        if self.heard_at_ms == 0 || !fold.configured {
            return false;
        }
        let Some(last) = &self.kept else { return true };
        let moved = (last.changed, last.refusals) != (fold.changed, fold.refusals);
        let age = last.at.elapsed();
        (moved && age >= pause) || age >= REFRESH_EVERY
    }

    fn begin(&mut self, fold: &Fold) {
        let (changed, refusals) = (fold.changed, fold.refusals);
        self.kept = Some(Last { at: Instant::now(), changed, refusals });
        let kept = Kept { at_ms: self.heard_at_ms, listing: fold.in_force() };
        let file = self.file.clone();
        self.under_way = Some(tokio::task::spawn_blocking(move || {
            if let Err(error) = file.keep(&kept) {
                tracing::error!(%error, "the disk snapshot could not be kept");
            }
        }));
    }
}
