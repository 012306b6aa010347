//! Follows the store: watch → fold → assess → snapshot. Urgent changes reach the calls within 20 ms,
//! measurements within 200 ms; the view is swapped whole.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use trunkline_core::snapshot::Verdict;
use trunkline_runtime::BoxError;
use trunkline_runtime::readiness::Guard;
use trunkline_store::port::{Change, Watch};

use crate::disk::Disk;
use crate::fold::{Fold, Haste};
use crate::ledger::unix_ms;
use crate::pipeline::Router;
use crate::view::{Builder, View};

/// From an urgent change to its view: what came in the same breath goes into the same view.
const URGENT: Duration = Duration::from_millis(20);
/// From a measurement to its view.
const MATERIAL: Duration = Duration::from_millis(200);

/// Follows the store for as long as calls are served.
pub struct Follower {
    /// The store's changes.
    pub watch: Watch,
    /// What was understood of them so far.
    pub fold: Fold,
    /// Makes views.
    pub builder: Builder,
    /// Whose view is swapped.
    pub router: Arc<Router>,
    /// What was understood, on the disk; for a store on other machines.
    pub disk: Option<Disk>,
    /// Ready once a catalog was read.
    pub configured: Guard,
}

impl Follower {
    /// Runs until `served`, when the last call has ended: a router that is asked to end still takes calls for a
    /// while, and a key that is revoked meanwhile opens nothing there either.
    ///
    /// # Errors
    /// None: a store that is away leaves the last view in force.
    pub async fn run(mut self, served: impl Future<Output = ()>) -> Result<(), BoxError> {
        let mut served = pin!(served);
        loop {
            tokio::select! {
                change = self.watch.next() => self.take_in(change).await,
                () = served.as_mut() => break,
            }
            if let Some(disk) = &mut self.disk {
                disk.keep_if_due(&self.fold);
            }
        }
        if let Some(disk) = &mut self.disk {
            disk.keep_at_the_end(&self.fold).await;
        }
        Ok(())
    }

    /// Takes in what the disk kept and then what the store holds, if it answers within `patience`, so that the
    /// first call finds a view. What was kept comes first even if the store answers: what an accident did to
    /// the store in between is then held back, as it is by routers that saw it happen.
    pub async fn boot(&mut self, patience: Duration) {
        let kept_at_ms = self.recall().await;
        let first = timeout_at(Instant::now() + patience, async {
            loop {
                let change = self.watch.next().await;
                let whole = matches!(change, Change::Snapshot(_));
                self.fold_in(change);
                if whole {
                    return;
                }
            }
        });
        if first.await.is_err() {
            let age_ms = kept_at_ms.map(|at_ms| unix_ms().saturating_sub(at_ms));
            tracing::warn!(kept_age_ms = age_ms, "the store does not answer yet");
            if let Some(age_ms) = age_ms {
                self.router.heard.recall(self.router.clock.now_ms(), age_ms);
            }
        }
        self.swap();
    }

    /// Takes in what was kept on the disk; when the store last confirmed it, in milliseconds since 1970.
    async fn recall(&mut self) -> Option<u64> {
        let kept = self.disk.as_ref()?.recall().await?;
        self.fold.apply(Change::Snapshot(kept.listing));
        self.hear_of_spending();
        Some(kept.at_ms)
    }

    /// Takes in a change and all that comes before its view is due.
    async fn take_in(&mut self, first: Change) {
        let mut due = self.fold_in(first);
        while let Some(at) = due {
            match timeout_at(at, self.watch.next()).await {
                Ok(change) => due = self.fold_in(change).map_or(due, |sooner| Some(at.min(sooner))),
                Err(_) => {
                    self.swap();
                    due = None;
                }
            }
        }
        // Nothing waits to be swapped: what came since the view was made made no difference to it.
        self.router.view.load().applied.store(self.fold.revision, Relaxed);
        self.router.heard.note(&self.fold);
    }

    /// Folds one change; when its view is due, if it needs one.
    fn fold_in(&mut self, change: Change) -> Option<Instant> {
        match &change {
            Change::Silent { reason } => tracing::warn!(reason, "the store does not answer"),
            Change::Snapshot(_) | Change::Batch { .. } | Change::Progress { .. } => {
                self.router.heard.hear(self.router.clock.now_ms());
                if let Some(disk) = &mut self.disk {
                    disk.heard(unix_ms());
                }
            }
        }
        let haste = self.fold.apply(change);
        self.hear_of_spending();
        match haste {
            Haste::None => None,
            Haste::Material => Some(Instant::now() + MATERIAL),
            Haste::Urgent => Some(Instant::now() + URGENT),
        }
    }

    /// Lets calls know at once what was spent: it needs no new view.
    fn hear_of_spending(&mut self) {
        for (key, told) in self.fold.spent.drain(..) {
            self.router.accounts.hear(&key, told);
        }
    }

    fn swap(&mut self) {
        if !self.fold.configured {
            return;
        }
        let before = self.router.view.load_full();
        let view = Arc::new(self.builder.build(&self.fold));
        hasten_trials(&before, &view, self.router.clock.now_ms());
        self.router.heard.agreement.made(view.changed, view.table.digest);
        self.router.view.store(view);
        self.router.heard.note(&self.fold);
        self.router.heard.swapped();
        self.configured.ready();
    }
}

/// Where the cluster now says up and said down before, this router's own trial is due at once.
fn hasten_trials(before: &View, after: &View, now_ms: u64) {
    for state in before.snapshot.endpoints.iter().filter(|b| b.verdict == Verdict::Down) {
        let (id, now) = (state.endpoint.id, &after.snapshot);
        let same = |at: &usize| now.endpoints.get(*at).is_some_and(|s| s.endpoint.id == id);
        let Some(at) = now.endpoints_of(&state.endpoint.model).find(same) else { continue };
        if let Some((state, lane)) = now.endpoints.get(at).zip(after.lanes.get(at))
            && state.verdict.usable()
        {
            lane.load.cluster_says_up(now_ms);
        }
    }
}
