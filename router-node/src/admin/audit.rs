//! What is written down of calls at the admin port. Refusals cost whoever asks nothing, so that a log could be filled
//! with them: only so many a minute are written one by one, and the rest is counted.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tonic::Status;
use trunkline_core::policy::Role;

use super::telemetry::{Meter, Outcome};

/// Refusals that are written one by one in a minute: many times what mistakes make, and some 30 MB of log a day.
const WRITTEN_A_MINUTE: u32 = 100;
/// The minute.
const MINUTE: Duration = Duration::from_secs(60);
/// Letters of what was asked for that are written: the longest call of ours, several times over.
const MAX_ASKED_CHARS: usize = 128;

/// Those whom nobody knows.
pub const NOBODY: &str = "-";
/// The call that was to begin with a handshake.
const CONNECT: &str = "connect";

/// A call that came to the admin port.
#[derive(Clone, Debug)]
pub struct Call {
    /// The name of a call that there is; `other` for anything else.
    pub rpc: &'static str,
    /// The least role that it needs.
    pub least: Role,
    /// Where it was sent, as it came, cut to a length.
    asked: String,
    /// From where.
    pub peer: IpAddr,
}

impl Call {
    /// One that was sent to this path.
    pub fn new((rpc, least): (&'static str, Role), path: &str, peer: IpAddr) -> Self {
        Self { rpc, least, asked: path.chars().take(MAX_ASKED_CHARS).collect(), peer }
    }
}

/// Writes down how calls end.
#[derive(Debug)]
pub struct Audit {
    meter: Meter,
    refusals: Mutex<Refusals>,
}

impl Default for Audit {
    fn default() -> Self {
        Self { meter: Meter, refusals: Mutex::new(Refusals::from(Instant::now())) }
    }
}

impl Audit {
    /// Writes down how a call by `who` ended; `-` where nobody knows who it was. Reads that were answered are only
    /// counted: they change nothing.
    pub fn ended(&self, call: &Call, who: &str, said: Option<&Status>) {
        let outcome = Outcome::of(said);
        self.meter.called(call.rpc, outcome);
        match said {
            Some(status) => self.refused(call, who, outcome, status.message()),
            None if call.least > Role::Viewer => {
                let (Call { rpc, peer, .. }, outcome) = (call, outcome.as_str());
                tracing::info!(target: "audit", who, rpc, %peer, outcome, "admin call");
            }
            None => {}
        }
    }

    /// Writes down that somebody was refused before any call, for the certificate that they showed, or for none.
    pub fn stranger(&self, peer: IpAddr, why: &str) {
        let call = Call::new((CONNECT, Role::Viewer), "", peer);
        self.meter.called(call.rpc, Outcome::Unauthenticated);
        self.refused(&call, NOBODY, Outcome::Unauthenticated, why);
    }

    fn refused(&self, call: &Call, who: &str, outcome: Outcome, why: &str) {
        let Noted { write, left_out } = self.note();
        if left_out > 0 {
            let message = "admin calls were refused beyond those that are written one by one";
            tracing::warn!(target: "audit", calls = left_out, "{message}");
        }
        if write {
            let (Call { rpc, asked, peer, .. }, outcome) = (call, outcome.as_str());
            tracing::warn!(target: "audit", who, rpc, asked, %peer, outcome, why, "admin call");
        }
    }

    fn note(&self) -> Noted {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).note(Instant::now())
    }
}

/// The refusals of the minute at hand.
#[derive(Debug)]
struct Refusals {
    since: Instant,
    count: u32,
}

/// What becomes of a refusal.
#[derive(Debug, PartialEq, Eq)]
struct Noted {
    /// It is written.
    write: bool,
    /// So many before it were not, in the last minute that had any.
    left_out: u32,
}

impl Refusals {
    fn from(since: Instant) -> Self {
        Self { since, count: 0 }
    }

    fn note(&mut self, now: Instant) -> Noted {
        let mut left_out = 0;
        if now.saturating_duration_since(self.since) >= MINUTE {
            left_out = self.count.saturating_sub(WRITTEN_A_MINUTE);
            *self = Self::from(now);
        }
        self.count = self.count.saturating_add(1);
        Noted { write: self.count <= WRITTEN_A_MINUTE, left_out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_a_minute_are_written_and_the_rest_is_counted() {
        let start = Instant::now();
        let mut refusals = Refusals::from(start);
        let written = (0..250).filter(|_| refusals.note(start).write).count();
        assert_eq!(written, WRITTEN_A_MINUTE as usize);
        let next = refusals.note(start + MINUTE);
        assert_eq!(next, Noted { write: true, left_out: 150 });
        assert_eq!(refusals.note(start + MINUTE).left_out, 0, "told once");
    }

    #[test]
    fn what_was_asked_for_is_cut() {
        let here = IpAddr::from([127, 0, 0, 1]);
        let call = Call::new(("other", Role::Admin), &"/é".repeat(10_000), here);
        assert_eq!(call.asked.chars().count(), MAX_ASKED_CHARS);
    }
}
