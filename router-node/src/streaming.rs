//! A stream as its caller sees it: perhaps not yet decided, then relayed. Comments go out while it is silent.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::attempt::Delivery;
use crate::rejection::Rejection;
use crate::relay::{Piece, Relay};

/// Attempts that go on behind headers already sent.
type Deciding = Pin<Box<dyn Future<Output = Result<Delivery, Rejection>> + Send>>;

/// A stream on its way to its caller.
pub struct Streaming {
    state: State,
    /// What was asked for, while nothing else is known.
    asked: String,
}

enum State {
    /// Headers went out before anything was decided.
    Deciding { attempts: Deciding, keep_alive: Duration, timer: Pin<Box<Sleep>> },
    /// An endpoint's stream is passed on.
    Relaying(Box<Relay>),
    /// Over.
    Ended,
}

impl Streaming {
    /// A stream whose first content is in.
    pub fn committed(relay: Box<Relay>) -> Self {
        Self { state: State::Relaying(relay), asked: String::new() }
    }

    /// A stream whose attempts go on; the first comment is due at once.
    pub fn deciding(attempts: Deciding, keep_alive: Duration, asked: String) -> Self {
        let timer = Box::pin(tokio::time::sleep(Duration::ZERO));
        Self { state: State::Deciding { attempts, keep_alive, timer }, asked }
    }

    /// The model that answers, or the one asked for when none does.
    pub fn model(&self) -> &str {
        match &self.state {
            State::Relaying(relay) => relay.model(),
            State::Deciding { .. } | State::Ended => &self.asked,
        }
    }

    /// The provider that answers; empty while none does.
    pub fn provider(&self) -> &str {
        match &self.state {
            State::Relaying(relay) => relay.provider(),
            State::Deciding { .. } | State::Ended => "",
        }
    }

    /// The next piece; `None` after the last.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
        loop {
            match &mut self.state {
                State::Relaying(relay) => return relay.poll_next(cx),
                State::Ended => return Poll::Ready(None),
                State::Deciding { attempts, keep_alive, timer } => {
                    match attempts.as_mut().poll(cx) {
                        Poll::Ready(Ok(Delivery::Stream(relay))) => {
                            self.state = State::Relaying(relay)
                        }
                        Poll::Ready(Ok(Delivery::Whole(..))) => self.state = State::Ended,
                        Poll::Ready(Err(rejection)) => {
                            self.state = State::Ended;
                            return Poll::Ready(Some(Piece::Broken(rejection)));
                        }
                        Poll::Pending => {
                            ready!(timer.as_mut().poll(cx));
                            timer.as_mut().reset(Instant::now() + *keep_alive);
                            return Poll::Ready(Some(Piece::KeepAlive));
                        }
                    }
                }
            }
        }
    }
}
