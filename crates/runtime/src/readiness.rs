//! Whether this process should be sent work: named guards that must all be ready, and the drain.
//! It measures nothing; the parts that know report here.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The name that [`Readiness::pending`] lists while the process drains.
const DRAINING: &str = "draining";

/// What is still missing before this process should get work. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeSet<&'static str>>>);

impl Readiness {
    /// Ready, until a guard is made.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a named condition, not met yet. A name stands for one condition: guards of the same
    /// name share it.
    #[must_use]
    pub fn guard(&self, name: &'static str) -> Guard {
        self.lock().insert(name);
        Guard { name, readiness: self.clone() }
    }

    /// Makes the process not ready for good: it is about to end.
    pub fn drain(&self) {
        self.lock().insert(DRAINING);
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.lock().is_empty()
    }

    /// The names of what is missing, sorted; `draining` among them once the drain began.
    #[must_use]
    pub fn pending(&self) -> Vec<&'static str> {
        self.lock().iter().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<&'static str>> {
        // A set of names is whole between any two operations, poisoned or not.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One named condition of a [`Readiness`]. Dropping it leaves the condition as it was last set, so
/// a part that dies before it was ready keeps the process out of service.
#[derive(Debug)]
pub struct Guard {
    name: &'static str,
    readiness: Readiness,
}

impl Guard {
    /// The condition is met.
    pub fn ready(&self) {
        self.readiness.lock().remove(self.name);
    }

    /// The condition is not met, or no longer.
    pub fn not_ready(&self) {
        self.readiness.lock().insert(self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_only_when_every_guard_is() {
        let readiness = Readiness::new();
        assert!(readiness.is_ready());
        let (snapshot, listener) = (readiness.guard("snapshot"), readiness.guard("listener"));
        assert_eq!(readiness.pending(), ["listener", "snapshot"]);
        listener.ready();
        assert_eq!(readiness.pending(), ["snapshot"]);
        snapshot.ready();
        assert!(readiness.is_ready());
        snapshot.not_ready();
        assert_eq!(readiness.pending(), ["snapshot"]);
    }

    #[test]
    fn a_guard_dropped_early_keeps_the_process_out_of_service() {
        let readiness = Readiness::new();
        drop(readiness.guard("snapshot"));
        assert!(!readiness.is_ready());
    }

    #[test]
    fn a_drain_outlasts_every_guard() {
        let readiness = Readiness::new();
        let guard = readiness.guard("snapshot");
        readiness.drain();
        guard.ready();
        assert_eq!(readiness.pending(), [DRAINING]);
    }
}
