//! How long a process takes to leave. It may be told otherwise until it leaves; nothing here ends anything.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a server takes to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long it goes on accepting after the shutdown: balancers need a moment to notice that it is not ready.
    pub delay: Duration,
    /// How long connections may take to finish after that; then they are dropped.
    pub grace: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self { delay: Duration::ZERO, grace: Duration::from_secs(30) }
    }
}

/// The [`Drain`] in force; looked at when the shutdown comes. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct DrainTimes(Arc<Mutex<Drain>>);

impl DrainTimes {
    /// This, until it is changed.
    #[must_use]
    pub fn new(drain: Drain) -> Self {
        Self(Arc::new(Mutex::new(drain)))
    }

    /// What is in force.
    #[must_use]
    pub fn get(&self) -> Drain {
        *self.lock()
    }

    /// Changes it, for whoever has not begun to leave.
    pub fn set(&self, drain: Drain) {
        *self.lock() = drain;
    }

    fn lock(&self) -> MutexGuard<'_, Drain> {
        // It is replaced as a whole, poisoned or not.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
