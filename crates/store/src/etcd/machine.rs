//! Decides how a watch on etcd goes on: list at a revision, watch from the next, and what to do when
//! anything is not as it should be. Pure: no I/O, the clock and the dice are arguments.
//!
//! The one rule behind all others: only what was listed, applied or promised by the store moves the
//! resume point. A timeout never does.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::port::{Change, Event, Listing, PROGRESS_INTERVAL, Revision};

/// Without any message for so long, a watch that is being opened is given up. etcd answers at once.
const SILENCE_MAX: Duration = Duration::from_secs(12);
/// How long etcd may take to answer a request for progress, which needs no disk and no quorum.
const ANSWER_MAX: Duration = Duration::from_secs(6);
/// How soon an unanswered request is repeated: etcd drops one that comes while the watch catches up.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How long a listing may take: all pages of a large prefix over a slow line.
pub(super) const LIST_MAX: Duration = Duration::from_secs(30);
/// The shortest pause after a failure.
const PAUSE_MIN_MS: u64 = 50;
/// The longest pause after a failure: an outage should not be noticed over much later than it ends.
const PAUSE_MAX_MS: u64 = 5_000;
/// Listings that may follow each other at once; they are the most expensive thing that we ask for.
const RELIST_BURST: u32 = 3;
/// How long until one more listing is allowed.
const RELIST_EVERY: Duration = Duration::from_secs(5);

/// What the driver should do until it has something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Want {
    /// Give this to the caller.
    Tell(Change),
    /// Nothing.
    Pause,
    /// List everything under the prefix.
    List,
    /// Open a watch from this revision on. Its own events are known and will be dropped; but a watch
    /// from the next one would start in the future, and etcd (3.5.30, say) says nothing about the
    /// progress of such a watch until somebody writes, so an idle store would look like a dead one.
    Open(Revision),
    /// Wait for the next message.
    Listen,
}

/// What happened.
#[derive(Debug)]
pub(super) enum Input {
    /// The deadline of what was wanted has passed.
    DeadlinePassed,
    /// The listing is here.
    Listed { cluster: u64, listing: Listing },
    /// The request for a watch was sent.
    Opened,
    /// A message came in.
    Heard(Message),
    /// The connection, or a call on it, failed.
    Failed(String),
    /// The connection's identity was renewed, and it should be made anew.
    Renewed,
}

/// A message of a watch, as far as it matters.
#[derive(Debug, Clone, Default)]
pub(super) struct Message {
    pub(super) cluster: u64,
    /// The store's revision when the message was sent.
    pub(super) revision: Revision,
    pub(super) kind: Kind,
    /// In the order in which they came, each with its revision.
    pub(super) events: Vec<(Revision, Event)>,
}

/// Of what kind a message is. One that says both canceled and created is canceled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// Events, or progress when there are none.
    #[default]
    News,
    /// The watch is set up.
    Created,
    /// The history asked for is gone.
    Compacted,
    /// The watch was ended for another reason.
    Canceled(String),
    /// A sign of life whose revision may be ahead of events still to come.
    Untrusted,
}

/// What the driver should do with its connection, now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    /// Send a request for progress.
    AskProgress,
    /// Drop the watch, keep the connection.
    CloseStream,
    /// Drop the connection, keep to the member.
    Reconnect,
    /// Drop the connection and take the next member.
    NextMember,
}

#[derive(Debug)]
pub(super) struct Machine {
    phase: Phase,
    known: Option<Known>,
    /// Why events from `known` on would not do; then everything is listed again.
    must_list: bool,
    failures: u32,
    relists: Bucket,
    told: VecDeque<Change>,
}

/// Up to where everything was told, and by whom.
#[derive(Debug, Clone, Copy)]
struct Known {
    cluster: u64,
    revision: Revision,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Pausing { until: Instant },
    Listing { until: Instant },
    Opening { until: Instant },
    Awaiting { until: Instant },
    Following { heard: Instant, asked: Option<Asked> },
}

/// A request for progress without an answer.
#[derive(Debug, Clone, Copy)]
struct Asked {
    first: Instant,
    latest: Instant,
}

impl Machine {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Pausing { until: now },
            known: None,
            must_list: true,
            failures: 0,
            relists: Bucket { tokens: RELIST_BURST, since: now },
            told: VecDeque::new(),
        }
    }

    /// What to do next. Telling takes the change away; everything else stays wanted until a step.
    pub(super) fn want(&mut self) -> Want {
        if let Some(change) = self.told.pop_front() {
            return Want::Tell(change);
        }
        match (self.phase, self.known) {
            (Phase::Pausing { .. }, _) => Want::Pause,
            (Phase::Opening { .. }, Some(known)) => Want::Open(known.revision),
            (Phase::Listing { .. } | Phase::Opening { .. }, _) => Want::List,
            (Phase::Awaiting { .. } | Phase::Following { .. }, _) => Want::Listen,
        }
    }

    /// When to say [`Input::DeadlinePassed`].
    pub(super) fn deadline(&self) -> Instant {
        match self.phase {
            Phase::Pausing { until }
            | Phase::Listing { until }
            | Phase::Opening { until }
            | Phase::Awaiting { until } => until,
            Phase::Following { asked: Some(asked), .. } => {
                (asked.first + ANSWER_MAX).min(asked.latest + ASK_AGAIN)
            }
            Phase::Following { heard, asked: None } => heard + PROGRESS_INTERVAL,
        }
    }

    /// Takes in what happened. `dice` is a random number, for the length of a pause.
    pub(super) fn step(&mut self, input: Input, now: Instant, dice: u64) -> Effect {
        match input {
            Input::DeadlinePassed => self.late(now, dice),
            Input::Failed(reason) => self.fail(reason, now, dice),
            Input::Listed { cluster, listing } => {
                self.known = Some(Known { cluster, revision: listing.revision });
                self.must_list = false;
                self.told.push_back(Change::Snapshot(listing));
                self.begin(now);
                Effect::Nothing
            }
            Input::Opened => {
                self.phase = Phase::Awaiting { until: now + SILENCE_MAX };
                Effect::Nothing
            }
            Input::Heard(message) => self.hear(message, now, dice),
            // Nothing has failed: it goes on from where it is, and nobody need be told.
            Input::Renewed => {
                self.begin(now);
                Effect::Reconnect
            }
        }
    }

    fn late(&mut self, now: Instant, dice: u64) -> Effect {
        match self.phase {
            Phase::Pausing { .. } => {
                self.begin(now);
                Effect::Nothing
            }
            Phase::Listing { .. } => self.fail("a listing takes too long".to_owned(), now, dice),
            Phase::Opening { .. } | Phase::Awaiting { .. } => {
                self.fail("no answer to a watch".to_owned(), now, dice)
            }
            Phase::Following { asked: Some(asked), .. } if now >= asked.first + ANSWER_MAX => {
                self.fail("no sign of life".to_owned(), now, dice)
            }
            Phase::Following { heard, asked } => {
                let first = asked.map_or(now, |asked| asked.first);
                self.ask(heard, first, now)
            }
        }
    }

    fn ask(&mut self, heard: Instant, first: Instant, now: Instant) -> Effect {
        self.phase = Phase::Following { heard, asked: Some(Asked { first, latest: now }) };
        Effect::AskProgress
    }

    fn hear(&mut self, message: Message, now: Instant, dice: u64) -> Effect {
        let Some(known) = self.known else { return self.relist(now) };
        match &message.kind {
            Kind::Compacted => return self.relist(now),
            Kind::Canceled(reason) => return self.fail(reason.clone(), now, dice),
            Kind::News | Kind::Created | Kind::Untrusted => {}
        }
        // Another cluster, or a past that we have seen beyond: the store was restored, or this member
        // lags. A watch from a future revision would be silent until that revision comes, and then
        // have skipped what led there; a listing waits for the member and tells which one it is.
        if message.cluster != known.cluster || message.revision < known.revision {
            return self.relist(now);
        }
        match message.kind {
            // At once, so that the caller soon knows that the silence is over.
            Kind::Created => self.ask(now, now, now),
            Kind::Untrusted => self.alive(now),
            Kind::News | Kind::Compacted | Kind::Canceled(_) => {
                self.failures = 0;
                self.learn(message, known);
                self.alive(now)
            }
        }
    }

    fn alive(&mut self, now: Instant) -> Effect {
        self.phase = Phase::Following { heard: now, asked: None };
        Effect::Nothing
    }

    /// Tells events, one revision at a time, or progress.
    fn learn(&mut self, message: Message, mut known: Known) {
        if message.events.is_empty() {
            known.revision = message.revision;
            self.told.push_back(Change::Progress { revision: known.revision });
        }
        let mut batch: Vec<Event> = Vec::new();
        let mut events = message.events.into_iter().peekable();
        while let Some((revision, event)) = events.next() {
            let last = events.peek().is_none_or(|(next, _)| *next != revision);
            batch.push(event);
            if last {
                let events = std::mem::take(&mut batch);
                // What was told already is not told again.
                if revision > known.revision {
                    known.revision = revision;
                    self.told.push_back(Change::Batch { revision, events });
                }
            }
        }
        self.known = Some(known);
    }

    fn fail(&mut self, reason: String, now: Instant, dice: u64) -> Effect {
        self.told.push_back(Change::Silent { reason });
        self.phase = Phase::Pausing { until: now + pause(self.failures, dice) };
        self.failures = self.failures.saturating_add(1);
        Effect::NextMember
    }

    fn relist(&mut self, now: Instant) -> Effect {
        self.must_list = true;
        self.begin(now);
        Effect::CloseStream
    }

    /// Watches on from where we are if that will do, else lists as soon as that is allowed.
    fn begin(&mut self, now: Instant) {
        self.phase = if !self.must_list {
            Phase::Opening { until: now + SILENCE_MAX }
        } else {
            match self.relists.take(now) {
                Ok(()) => Phase::Listing { until: now + LIST_MAX },
                Err(until) => Phase::Pausing { until },
            }
        };
    }
}

/// A random time from the shortest pause to one that doubles with every failure in a row, so that
/// many nodes do not come back all at once.
pub(super) fn pause(failures: u32, dice: u64) -> Duration {
    let doubled = PAUSE_MIN_MS.saturating_mul(2_u64.saturating_pow(failures.min(16)));
    let longest = doubled.min(PAUSE_MAX_MS);
    Duration::from_millis(PAUSE_MIN_MS + dice % (longest - PAUSE_MIN_MS + 1))
}

/// A token bucket.
#[derive(Debug)]
struct Bucket {
    tokens: u32,
    /// When the last token was added.
    since: Instant,
}

impl Bucket {
    /// Takes a token, or says when there will be one.
    fn take(&mut self, now: Instant) -> Result<(), Instant> {
        while self.tokens < RELIST_BURST && now >= self.since + RELIST_EVERY {
            self.tokens += 1;
            self.since += RELIST_EVERY;
        }
        if self.tokens == RELIST_BURST {
            self.since = now;
        }
        match self.tokens.checked_sub(1) {
            Some(left) => {
                self.tokens = left;
                Ok(())
            }
            None => Err(self.since + RELIST_EVERY),
        }
    }
}

#[cfg(test)]
mod tests;
