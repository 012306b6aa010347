//! Futures that are ready at once or not at all: in simulated time nobody waits.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// What a future has to say now; nothing when it would wait.
pub(super) fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
