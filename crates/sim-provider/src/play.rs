//! Performs the body of a script on a connection, and reports how it went to the request log.
//! What to send was decided before; this only keeps time and order.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::bomb::Bomb;
use crate::conn::Switch;
use crate::log::{Ending, RequestLog};
use crate::script::{Opening, Step};

/// The body was told to break off.
#[derive(Debug, thiserror::Error)]
#[error("the body was cut off on purpose")]
pub struct CutOff;

/// Reports the end of a request exactly once, at the latest when it is dropped.
pub struct Witness {
    /// Where to report.
    pub log: Arc<RequestLog>,
    /// The entry in the log.
    pub id: u64,
    /// The connection, to tell a killed provider from a client that left.
    pub switch: Arc<Switch>,
    /// How the request ends when its script is played to the end.
    pub planned: Ending,
    /// The requests being served, to be counted down at the end; none when it is not counted.
    pub in_flight: Option<Arc<AtomicU32>>,
    /// Whether the end was reported.
    pub reported: Reported,
}

/// Whether the end of a request was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// Not yet.
    No,
    /// Yes, so that dropping says nothing more.
    Yes,
}

impl Witness {
    fn report(&mut self, ending: Ending) {
        if self.reported == Reported::Yes {
            return;
        }
        self.reported = Reported::Yes;
        if let Some(in_flight) = self.in_flight.take() {
            in_flight.fetch_sub(1, Ordering::AcqRel);
        }
        self.log.ended(self.id, ending);
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let killed = self.switch.was_killed();
        self.report(if killed { Ending::Killed } else { Ending::ClientGone });
    }
}

/// Waits as the opening says.
///
/// # Errors
/// [`CutOff`] when the connection is to be reset instead of answered.
pub async fn open(opening: Opening, witness: &mut Witness) -> Result<(), CutOff> {
    match opening {
        Opening::AtOnce => Ok(()),
        Opening::After(delay) => {
            tokio::time::sleep(delay).await;
            Ok(())
        }
        Opening::Never => std::future::pending().await,
        Opening::Reset => {
            witness.report(Ending::Faulted);
            witness.switch.reset();
            Err(CutOff)
        }
    }
}

/// The body of an answer being played.
pub struct Playing {
    steps: VecDeque<Step>,
    /// When the step before was due: pauses add up from here, so that late timers do not slow the rate.
    due: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
    bomb: Option<Bomb>,
    /// Set after bytes were handed over: the next poll only asks to be polled again, which makes the
    /// connection flush them as a packet of their own.
    flushing: bool,
    /// None for control answers, which are not logged.
    witness: Option<Witness>,
}

impl Playing {
    /// Starts the body.
    #[must_use]
    pub fn new(steps: Vec<Step>, witness: Witness) -> Self {
        Self { witness: Some(witness), ..Self::unwitnessed(steps) }
    }

    /// Starts a body that nobody reports about.
    #[must_use]
    pub fn unwitnessed(steps: Vec<Step>) -> Self {
        let steps = VecDeque::from(steps);
        Self { steps, due: None, sleep: None, bomb: None, flushing: false, witness: None }
    }

    fn report_planned(&mut self) {
        if let Some(witness) = &mut self.witness {
            witness.report(witness.planned);
        }
    }

    fn wait(&mut self, pause: Duration) {
        let due = self.due.unwrap_or_else(Instant::now) + pause;
        self.due = Some(due);
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(due),
            None => self.sleep = Some(Box::pin(tokio::time::sleep_until(due))),
        }
    }

    fn hand_over(&mut self, bytes: Bytes, tokens: u32) -> Option<Result<Frame<Bytes>, CutOff>> {
        if let Some(witness) = &self.witness
            && tokens > 0
        {
            witness.log.emitted(witness.id, tokens);
        }
        if self.steps.is_empty() && self.bomb.is_none() {
            self.report_planned();
        }
        self.flushing = true;
        Some(Ok(Frame::data(bytes)))
    }

    /// Performs the next step; pending means that something has to be waited for.
    fn step(&mut self) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        if let Some(bytes) = self.bomb.as_mut().and_then(Bomb::next_bytes) {
            return Poll::Ready(self.hand_over(bytes, 0));
        }
        self.bomb = None;
        let Some(step) = self.steps.pop_front() else {
            self.report_planned();
            return Poll::Ready(None);
        };
        Poll::Ready(match step {
            Step::Data(bytes, tokens) => self.hand_over(bytes, tokens),
            Step::Frame(bytes) | Step::Terminal(bytes) => self.hand_over(bytes, 0),
            Step::Repeat(bytes, every) => {
                self.steps.push_front(Step::Repeat(bytes.clone(), every));
                self.steps.push_front(Step::Wait(every));
                self.hand_over(bytes, 0)
            }
            Step::Bomb(inflated) => {
                let bomb = self.bomb.insert(Bomb::new(inflated));
                let first = bomb.next_bytes().unwrap_or_default();
                self.hand_over(first, 0)
            }
            Step::Abort => self.break_off(),
            Step::Reset => {
                if let Some(witness) = &self.witness {
                    witness.switch.reset();
                }
                self.break_off()
            }
            Step::Wait(pause) => {
                self.wait(pause);
                return Poll::Pending;
            }
            Step::Silence => {
                self.steps.push_front(Step::Silence);
                return Poll::Pending;
            }
        })
    }

    fn break_off(&mut self) -> Option<Result<Frame<Bytes>, CutOff>> {
        if let Some(witness) = &mut self.witness {
            witness.report(Ending::Faulted);
        }
        Some(Err(CutOff))
    }
}

impl Body for Playing {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        if std::mem::take(&mut self.flushing) && !self.is_end_stream() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            let is_due = self.due.is_none_or(|due| due <= Instant::now());
            if let Some(sleep) = self.sleep.as_mut().filter(|_| !is_due) {
                std::task::ready!(sleep.as_mut().poll(cx));
            }
            let waits = matches!(self.steps.front(), Some(Step::Wait(_)));
            match self.step() {
                Poll::Pending if waits => {}
                other => return other,
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty() && self.bomb.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let mut steps = self.steps.iter();
        let only = (steps.next(), steps.next());
        if let (Some(Step::Data(bytes, _) | Step::Frame(bytes) | Step::Terminal(bytes)), None) =
            only
        {
            SizeHint::with_exact(bytes.len() as u64)
        } else {
            SizeHint::default()
        }
    }
}
