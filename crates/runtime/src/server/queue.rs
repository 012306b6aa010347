//! The order in which the requests of a connection begin. One read may bring a hundred, and to begin a request is the
//! dearest part of refusing it: some begin at once, and everybody else has a turn before those that follow. It ends no
//! request and keeps none back once its turn has come.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// Requests that begin before others have their turn. Each takes some 10 µs to authenticate and to route, so that
/// whoever comes after them waits for a third of a millisecond; with four, busy callers' calls no longer leave
/// together, and take a tenth more processor time.
const AT_ONCE: usize = 32;
/// Turns that a request waits for at most, while its connection has as many as it may: each costs a visit to its task.
const MOST_TURNS: usize = 25;

/// The requests of one connection that have not begun.
pub(super) struct Queue {
    /// Held by each of them.
    waiting: Arc<()>,
    at_once: usize,
    resets: Resets,
}

impl Queue {
    /// `streams` is how many requests the peer may have at once; `resets` are those that it gives up.
    pub(super) fn new(streams: u32, resets: Resets) -> Self {
        let streams = usize::try_from(streams).unwrap_or(usize::MAX);
        let at_once = (streams / MOST_TURNS).max(AT_ONCE);
        Self { waiting: Arc::default(), at_once, resets }
    }

    /// A request that came last and begins when its turn has come.
    pub(super) fn enter<F>(&self, request: Pin<Box<F>>) -> Queued<F> {
        let before = Arc::strong_count(&self.waiting).saturating_sub(1);
        let turns = before / self.at_once + usize::from(self.resets.take());
        Queued { place: Some(Arc::clone(&self.waiting)), turns, request }
    }
}

/// Counts the streams that a peer gives up. For each, one request waits a turn, in which it is dropped if it is the one
/// that was given up: most are in the same read as their resets.
#[derive(Clone, Default)]
pub(super) struct Resets(Arc<AtomicUsize>);

impl Resets {
    /// Notes one. Only the connection's task counts, so that nothing is lost in between.
    pub(super) fn note(&self) {
        self.0.store(self.0.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
    }

    /// Whether one was left; it no longer is.
    fn take(&self) -> bool {
        let left = self.0.load(Ordering::Relaxed).checked_sub(1);
        left.inspect(|left| self.0.store(*left, Ordering::Relaxed)).is_some()
    }
}

/// A request in its connection's queue. One whose stream is reset is dropped without having begun: HTTP/2 looks after
/// that each time that it is not ready.
pub(super) struct Queued<F> {
    /// `None` from when it has begun.
    place: Option<Arc<()>>,
    /// What it still waits for.
    turns: usize,
    request: Pin<Box<F>>,
}

impl<F: Future> Future for Queued<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Some(left) = this.turns.checked_sub(1) {
            this.turns = left;
            // Its task goes to the end of the worker's queue, behind everybody who is ready.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        this.place = None;
        this.request.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::task::Waker;

    use super::*;

    /// In which turn each of so many requests begins that come at once.
    fn turns(streams: u32, requests: usize) -> Vec<usize> {
        let (queue, mut cx) =
            (Queue::new(streams, Resets::default()), Context::from_waker(Waker::noop()));
        let all: Vec<_> = (0..requests).map(|_| queue.enter(Box::pin(ready(())))).collect();
        let turn = |mut request: Queued<_>| {
            (0..).take_while(|_| Pin::new(&mut request).poll(&mut cx).is_pending()).count()
        };
        all.into_iter().map(turn).collect()
    }

    #[test]
    fn some_begin_in_each_turn() {
        assert_eq!(turns(100, 100), [[0; 32].as_slice(), &[1; 32], &[2; 32], &[3; 4]].concat());
    }

    #[test]
    fn however_many_streams_a_connection_may_have_none_waits_long() {
        assert_eq!(turns(10_000, 10_000)[9_999], 24);
    }

    #[test]
    fn those_that_began_or_left_are_not_waited_for() {
        let queue = Queue::new(100, Resets::default());
        let mut cx = Context::from_waker(Waker::noop());
        let held: Vec<_> = (0..100)
            .map(|_| {
                let mut begun = queue.enter(Box::pin(std::future::pending::<()>()));
                assert!(Pin::new(&mut begun).poll(&mut cx).is_pending());
                begun
            })
            .collect();
        assert!(held.iter().all(|request| request.turns == 0));
        drop((0..100).map(|_| queue.enter(Box::pin(ready(())))).collect::<Vec<_>>());
        assert_eq!(queue.enter(Box::pin(ready(()))).turns, 0);
    }

    #[test]
    fn as_many_wait_a_turn_as_were_given_up() {
        let resets = Resets::default();
        let queue = Queue::new(100, resets.clone());
        let turns = || queue.enter(Box::pin(ready(()))).turns;
        assert_eq!([turns(), turns()], [0, 0]);
        resets.note();
        resets.note();
        assert_eq!([turns(), turns(), turns()], [1, 1, 0]);
    }
}
