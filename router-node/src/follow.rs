//! Follows the store: watch → fold → assess → snapshot. Urgent changes reach the calls within 20 ms,
//! measurements within 200 ms; the view is swapped whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use trunkline_core::id::Zone;
use trunkline_core::snapshot::Verdict;
use trunkline_runtime::readiness::Guard;
use trunkline_runtime::{BoxError, Shutdown};
use trunkline_store::port::{Change, Watch};

use crate::auth::Keyring;
use crate::fold::{Fold, Haste};
use crate::load::LoadBook;
use crate::pipeline::Router;
use crate::view::{Secrets, View};

/// From an urgent change to its view: what came in the same breath goes into the same view.
const URGENT: Duration = Duration::from_millis(20);
/// From a measurement to its view.
const MATERIAL: Duration = Duration::from_millis(200);

/// What building a view takes besides the store's contents.
pub struct Builder {
    /// The zone this router stands in.
    pub zone: Zone,
    /// The secret that keys are hashed with.
    pub pepper: [u8; 32],
    /// Where secrets are found.
    pub secrets: Arc<dyn Secrets>,
    /// Local state, kept over views.
    pub book: LoadBook,
}

impl Builder {
    /// The view of what was folded so far; `before` is the view in force.
    pub fn build(&self, fold: &Fold, before: Option<&View>) -> View {
        let table = fold.table(&self.zone);
        let keyring = Keyring::new(self.pepper, &fold.keys(), before.map(|view| &view.keyring));
        let snapshot = fold.snapshot(&table);
        let (view, problems) =
            View::build(snapshot, keyring, table, &self.book, self.secrets.as_ref());
        for problem in problems {
            tracing::warn!(
                endpoint = problem.endpoint,
                reason = problem.reason,
                "endpoint cannot be called"
            );
        }
        view
    }
}

/// Follows the store until the shutdown.
pub struct Follower {
    /// The store's changes.
    pub watch: Watch,
    /// What was understood of them so far.
    pub fold: Fold,
    /// Makes views.
    pub builder: Builder,
    /// Whose view is swapped.
    pub router: Arc<Router>,
    /// Ready once a catalog was read.
    pub configured: Guard,
}

impl Follower {
    /// Runs until the shutdown.
    ///
    /// # Errors
    /// None: a store that is away leaves the last view in force.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), BoxError> {
        loop {
            tokio::select! {
                change = self.watch.next() => self.take_in(change).await,
                () = shutdown.wait() => return Ok(()),
            }
        }
    }

    /// Takes in what the store holds, if it answers within `patience`, so that the first call finds a view.
    pub async fn boot(&mut self, patience: Duration) {
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
            tracing::warn!("the store does not answer yet; the router becomes ready when it does");
        }
        self.swap();
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
    }

    /// Folds one change; when its view is due, if it needs one.
    fn fold_in(&mut self, change: Change) -> Option<Instant> {
        match &change {
            Change::Silent { reason } => tracing::warn!(reason, "the store does not answer"),
            Change::Snapshot(_) | Change::Batch { .. } | Change::Progress { .. } => {
                self.router.heard.hear(self.router.clock.now_ms());
            }
        }
        match self.fold.apply(change) {
            Haste::None => None,
            Haste::Material => Some(Instant::now() + MATERIAL),
            Haste::Urgent => Some(Instant::now() + URGENT),
        }
    }

    fn swap(&mut self) {
        if !self.fold.configured {
            return;
        }
        let before = self.router.view.load_full();
        let view = Arc::new(self.builder.build(&self.fold, Some(&before)));
        hasten_trials(&before, &view, self.router.clock.now_ms());
        self.router.view.store(view);
        self.configured.ready();
    }
}

/// Where the cluster now says up and said down before, this router's own trial is due at once.
fn hasten_trials(before: &View, after: &View, now_ms: u64) {
    for (state, lane) in after.snapshot.endpoints.iter().zip(&after.lanes) {
        let was = before.snapshot.endpoints.iter().find(|b| b.endpoint.id == state.endpoint.id);
        let recovered = was.is_some_and(|b| b.verdict == Verdict::Down) && state.verdict.usable();
        if recovered {
            lane.load.cluster_says_up(now_ms);
        }
    }
}

/// When the store was last heard of.
#[derive(Debug, Default)]
pub struct Heard(AtomicU64);

impl Heard {
    /// It was, now.
    pub fn hear(&self, now_ms: u64) {
        self.0.store(now_ms, Relaxed);
    }

    /// Milliseconds since then.
    pub fn age_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.0.load(Relaxed))
    }
}
