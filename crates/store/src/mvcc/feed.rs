//! Follows the engine's state. Also what makes leases end on time: nobody can see that one is
//! overdue except by reading, which ends it first, or by watching, which wakes at its deadline.

use std::future::Future;
use std::pin::Pin;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::{Engine, Life, State};
use crate::port::{Change, Feed, PROGRESS_INTERVAL, Revision, StoreError};

/// The feed of one watch.
pub(crate) struct MvccFeed {
    engine: Engine,
    bell: watch::Receiver<Life>,
    prefix: String,
    known: Option<Revision>,
    /// When to say something even if there is nothing to say. It outlives a cancelled wait, so a
    /// caller that cancels often hears it all the same.
    speak_at: Instant,
}

impl MvccFeed {
    pub(crate) fn new(engine: Engine, prefix: &str) -> Self {
        let bell = engine.shared.listen();
        let speak_at = engine.clock.now();
        Self { engine, bell, prefix: prefix.to_owned(), known: None, speak_at }
    }

    async fn follow(&mut self) -> Change {
        loop {
            self.bell.mark_unchanged();
            let overdue = self.engine.end_leases().await.err();
            let change =
                self.engine.shared.read(|state| state.follow(&self.prefix, &mut self.known));
            if let Some(change) = change {
                self.speak_at = self.engine.clock.now() + PROGRESS_INTERVAL;
                return change;
            }
            if self.engine.clock.now() >= self.speak_at {
                self.speak_at = self.engine.clock.now() + PROGRESS_INTERVAL;
                return self.sign_of_life(overdue);
            }
            self.wait(overdue.is_some()).await;
        }
    }

    /// Until the state changes, a lease ends, or it is time to speak.
    async fn wait(&mut self, failing: bool) {
        let deadline = self.engine.shared.read(State::next_deadline).filter(|_| !failing);
        let wake_at = deadline.map_or(self.speak_at, |deadline| deadline.min(self.speak_at));
        tokio::select! {
            // An error means that the engine is gone, which cannot be while we hold it.
            _ = self.bell.changed() => {}
            () = sleep_until(wake_at) => {}
        }
    }

    fn sign_of_life(&self, overdue: Option<StoreError>) -> Change {
        if let Some(error) = overdue {
            return Change::Silent { reason: error.to_string() };
        }
        match (*self.bell.borrow(), self.known) {
            (Life::Running, Some(revision)) => Change::Progress { revision },
            (Life::Running, None) | (Life::Closed, _) => {
                Change::Silent { reason: "the store is closed".to_owned() }
            }
        }
    }
}

impl Feed for MvccFeed {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Change> + Send + '_>> {
        Box::pin(self.follow())
    }
}
