//! The one-way switch that asks everything to end, and the signals that throw it.
//! It asks; it stops nothing by itself.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::signal::unix::{SignalKind, signal};

use crate::BoxError;

/// A switch that can be thrown once. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    triggered: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next_id: u64,
    wakers: HashMap<u64, Waker>,
}

impl Shutdown {
    /// A switch that nobody has thrown yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Throws the switch and wakes all who wait. Throwing it again changes nothing.
    pub fn trigger(&self) {
        let wakers = {
            let mut waiting = self.0.lock();
            // Set under the lock: a waiter registers under it too, so none slips through.
            self.0.triggered.store(true, Ordering::Release);
            std::mem::take(&mut waiting.wakers)
        };
        for waker in wakers.into_values() {
            waker.wake();
        }
    }

    /// Whether the switch has been thrown.
    #[must_use]
    pub fn is_triggered(&self) -> bool {
        self.0.triggered.load(Ordering::Acquire)
    }

    /// Waits until the switch is thrown; ready at once if it was. Dropping the future is harmless.
    #[must_use]
    pub fn wait(&self) -> Wait {
        Wait { inner: Arc::clone(&self.0), registered: None }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing under this lock can panic half-way, so a poisoned value is still whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The future of [`Shutdown::wait`].
///
/// Every connection polls one of these on each of its wake-ups, so a poll that has nothing new to
/// say takes no lock: it reads one flag and compares one waker.
#[derive(Debug)]
pub struct Wait {
    inner: Arc<Inner>,
    registered: Option<(u64, Waker)>,
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.inner.triggered.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        if self.registered.as_ref().is_some_and(|(_, waker)| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        let known = self.registered.take().map(|(id, _)| id);
        let id = {
            let mut waiting = self.inner.lock();
            if self.inner.triggered.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            let id = known.unwrap_or(waiting.next_id);
            waiting.next_id = waiting.next_id.max(id.wrapping_add(1));
            waiting.wakers.insert(id, cx.waker().clone());
            id
        };
        self.registered = Some((id, cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some((id, _)) = self.registered.take() {
            self.inner.lock().wakers.remove(&id);
        }
    }
}

/// Throws the switch when the process receives SIGTERM or SIGINT. Ends when the switch is thrown,
/// by whomever.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub async fn signals(shutdown: Shutdown) -> Result<(), BoxError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let name = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        () = shutdown.wait() => return Ok(()),
    };
    tracing::info!(signal = name, "asked to end");
    shutdown.trigger();
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct CountedWakes(AtomicUsize);

    impl Wake for CountedWakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn a_waiter_that_comes_late_does_not_wait() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.is_triggered());
        shutdown.clone().trigger();
        shutdown.trigger();
        assert!(shutdown.is_triggered());
        shutdown.wait().await;
    }

    #[test]
    fn every_waiter_is_woken_once() {
        let shutdown = Shutdown::new();
        let wakes = Arc::new(CountedWakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let mut cx = Context::from_waker(&waker);
        let mut waits: Vec<Wait> = (0..3).map(|_| shutdown.wait()).collect();
        for wait in &mut waits {
            assert!(Pin::new(&mut *wait).poll(&mut cx).is_pending());
            assert!(Pin::new(&mut *wait).poll(&mut cx).is_pending());
        }
        shutdown.trigger();
        assert_eq!(wakes.0.load(Ordering::SeqCst), 3);
        assert!(waits.iter_mut().all(|wait| Pin::new(wait).poll(&mut cx).is_ready()));
    }

    #[test]
    fn a_waiter_that_moves_to_another_task_is_woken_there() {
        let shutdown = Shutdown::new();
        let (first, second) = (Arc::<CountedWakes>::default(), Arc::<CountedWakes>::default());
        let mut wait = shutdown.wait();
        for wakes in [&first, &second] {
            let waker = Waker::from(Arc::clone(wakes));
            assert!(Pin::new(&mut wait).poll(&mut Context::from_waker(&waker)).is_pending());
        }
        shutdown.trigger();
        assert_eq!((first.0.load(Ordering::SeqCst), second.0.load(Ordering::SeqCst)), (0, 1));
    }

    #[test]
    fn a_dropped_waiter_leaves_nothing_behind() {
        let shutdown = Shutdown::new();
        let waker = Waker::from(Arc::new(CountedWakes::default()));
        let mut wait = shutdown.wait();
        assert!(Pin::new(&mut wait).poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(shutdown.0.lock().wakers.len(), 1);
        drop(wait);
        assert!(shutdown.0.lock().wakers.is_empty());
    }

    #[tokio::test]
    async fn the_signal_task_ends_with_the_process() {
        let shutdown = Shutdown::new();
        shutdown.trigger();
        assert!(signals(shutdown).await.is_ok());
    }
}
