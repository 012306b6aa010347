//! The order in which the requests of a connection begin. To begin a request is the dearest part of refusing it, and
//! one read may bring a hundred: the first few begin at once, and everybody else has a turn before each few that
//! follow. It ends no request and keeps none back once its turn has come.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Requests that begin before others have their turn: each takes some 20 µs to authenticate and to route, so that
/// whoever comes after them waits for a tenth of a millisecond.
const AT_ONCE: usize = 4;
/// Turns that a request waits for at most, while its connection has as many as it may: each costs a visit to its task.
const MOST_TURNS: usize = 25;

/// The requests of one connection that have not begun.
pub(super) struct Queue {
    /// Held by each of them.
    waiting: Arc<()>,
    at_once: usize,
}

impl Queue {
    /// `streams` is how many requests the peer may have at once.
    pub(super) fn new(streams: u32) -> Self {
        let streams = usize::try_from(streams).unwrap_or(usize::MAX);
        Self { waiting: Arc::default(), at_once: (streams / MOST_TURNS).max(AT_ONCE) }
    }

    /// A request that came last and begins when its turn has come.
    pub(super) fn enter<F>(&self, request: Pin<Box<F>>) -> Queued<F> {
        let before = Arc::strong_count(&self.waiting).saturating_sub(1);
        Queued { place: Some(Arc::clone(&self.waiting)), turns: before / self.at_once, request }
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
        let (queue, mut cx) = (Queue::new(streams), Context::from_waker(Waker::noop()));
        let all: Vec<_> = (0..requests).map(|_| queue.enter(Box::pin(ready(())))).collect();
        let turn = |mut request: Queued<_>| {
            (0..).take_while(|_| Pin::new(&mut request).poll(&mut cx).is_pending()).count()
        };
        all.into_iter().map(turn).collect()
    }

    #[test]
    fn a_few_begin_in_each_turn() {
        assert_eq!(turns(100, 9), [0, 0, 0, 0, 1, 1, 1, 1, 2]);
        assert_eq!(turns(100, 100)[99], 24);
    }

    #[test]
    fn however_many_streams_a_connection_may_have_none_waits_long() {
        assert_eq!(turns(10_000, 10_000)[9_999], 24);
    }

    #[test]
    fn those_that_began_or_left_are_not_waited_for() {
        let (queue, mut cx) = (Queue::new(100), Context::from_waker(Waker::noop()));
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
}
