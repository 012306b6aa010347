//! What the follower last heard and applied, for whoever reports it: metrics, the admin API, and this
//! router's own sign of life. Calls never look here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};

use crate::agreement::Agreement;
use crate::fold::{Fold, Nack};

/// What was heard of the store, and what became of it.
#[derive(Debug, Default)]
pub struct Heard {
    /// Whether other routers decide as this one does.
    pub agreement: Agreement,
    /// On the process's clock; before its start for what was recalled from the disk.
    at_ms: AtomicI64,
    refusals: AtomicU64,
    routers: ArcSwap<BTreeSet<String>>,
    nacks: ArcSwap<Vec<Nack>>,
    moved: Notify,
    news: watch::Sender<()>,
}

impl Heard {
    /// The store spoke, now.
    pub fn hear(&self, now_ms: u64) {
        self.at_ms.store(signed(now_ms), Relaxed);
    }

    /// What is in force was heard so long ago, by another process.
    pub fn recall(&self, now_ms: u64, age_ms: u64) {
        self.at_ms.store(signed(now_ms).saturating_sub(signed(age_ms)), Relaxed);
    }

    /// Milliseconds since the store last spoke.
    pub fn age_ms(&self, now_ms: u64) -> u64 {
        let age = signed(now_ms).saturating_sub(self.at_ms.load(Relaxed));
        u64::try_from(age).unwrap_or(0)
    }

    /// The view was swapped.
    pub fn swapped(&self) {
        self.moved.notify_one();
    }

    /// What else was understood, that no call is served from.
    pub fn note(&self, fold: &Fold) {
        self.routers.store(Arc::clone(&fold.routers));
        self.agreement.told(&fold.signs);
        self.news.send_replace(());
        if self.refusals.swap(fold.refusals, Relaxed) != fold.refusals {
            self.nacks.store(Arc::new(fold.nacks()));
            self.moved.notify_one();
        }
    }

    /// How many routers are alive, this one included once it has registered.
    pub fn routers(&self) -> usize {
        self.routers.load().len()
    }

    /// Whether the store has a sign of life of this router.
    pub fn knows_router(&self, node: &str) -> bool {
        self.routers.load().contains(node)
    }

    /// Records that are refused, the last good ones being in force.
    pub fn nacks(&self) -> Arc<Vec<Nack>> {
        self.nacks.load_full()
    }

    /// Wakes whenever anything was understood: of configuration, observations, or other routers' signs of life.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Waits until something that is worth telling has changed. For one listener.
    pub async fn moved(&self) {
        self.moved.notified().await;
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recalled_is_as_old_as_it_was_when_it_was_kept() {
        let heard = Heard::default();
        heard.recall(1_000, 60_000);
        assert_eq!(heard.age_ms(1_500), 60_500);
        heard.hear(2_000);
        assert_eq!(heard.age_ms(2_250), 250);
    }
}
