//! Counts what is alive, and waits until nothing is. It does not own or stop anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// A shared count of living things.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    count: AtomicUsize,
    none_left: Notify,
}

impl Live {
    /// Counts one more until the returned guard is dropped.
    pub(crate) fn enter(&self) -> Alive {
        self.0.count.fetch_add(1, Ordering::AcqRel);
        Alive(Arc::clone(&self.0))
    }

    /// How many are alive now.
    pub(crate) fn count(&self) -> usize {
        self.0.count.load(Ordering::Acquire)
    }

    /// Returns as soon as none is alive.
    pub(crate) async fn none_left(&self) {
        loop {
            // Listening starts before counting, else the last one could leave in between unheard.
            let heard = self.0.none_left.notified();
            let mut heard = std::pin::pin!(heard);
            heard.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            heard.await;
        }
    }
}

/// One living thing; dropping it says that it is gone.
#[derive(Debug)]
pub(crate) struct Alive(Arc<Inner>);

impl Drop for Alive {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none_left.notify_waiters();
        }
    }
}
