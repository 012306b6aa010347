//! What was last published about one endpoint, and whether it is time to publish again. Pure.

use trunkline_core::observation::{Observation, Vote};
use trunkline_core::score::{headroom_permille, success_permille};

use crate::fold::PeerVote;

/// A change of success that is worth a write, in ‰.
const SUCCESS_STEP_PERMILLE: u32 = 20;
/// A change of headroom that is worth a write, in ‰.
const HEADROOM_STEP_PERMILLE: u32 = 100;
/// A record is written anew after this time even if nothing changed …
const REFRESH_MS: u64 = 120_000;
/// … give or take this share, in percent, so that they do not all come at once.
const REFRESH_JITTER_PERCENT: u64 = 10;

/// How urgent a write is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WriteClass {
    /// Nothing changed for a long time.
    Refresh,
    /// A measurement changed visibly.
    Material,
    /// The vote changed.
    Urgent,
}

impl WriteClass {
    /// The name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Material => "material",
            Self::Urgent => "urgent",
        }
    }
}

/// The record of one endpoint in the store, as this prober left it.
#[derive(Clone, Debug, Default)]
pub struct Record {
    last: Option<Observation>,
    refresh_ms: u64,
    since_revision: u64,
    /// The store no longer has the last one.
    lost: bool,
}

impl Record {
    /// The number of the next write.
    pub fn next_sequence(&self) -> u64 {
        self.last.map_or(1, |last| last.sequence + 1)
    }

    /// Store revision at which the vote last changed; 0 while that is not known.
    pub fn since_revision(&self, vote: Vote) -> u64 {
        let same = self.last.is_some_and(|last| last.vote == vote);
        if same { self.since_revision } else { 0 }
    }

    /// How urgent it is to write `next`; `None` when there is no reason to.
    pub fn class(&self, next: &Observation, now_ms: u64) -> Option<WriteClass> {
        let Some(last) = self.last else { return Some(WriteClass::Urgent) };
        if self.lost || last.vote != next.vote || last.incarnation != next.incarnation {
            Some(WriteClass::Urgent)
        } else if material(&last, next) {
            Some(WriteClass::Material)
        } else {
            (now_ms >= self.refresh_ms).then_some(WriteClass::Refresh)
        }
    }

    /// Whether the store says something else than was written last; nothing, for example.
    pub fn is_contradicted_by(&self, stored: Option<PeerVote>) -> bool {
        let written =
            self.last.map(|last| PeerVote { incarnation: last.incarnation, vote: last.vote });
        written.is_some() && written != stored
    }

    /// What was written is no longer there: whatever comes next is urgent.
    pub fn lose(&mut self) {
        self.lost = true;
    }

    /// `written` is in the store since `revision`. `chance` spreads the refreshes.
    pub fn written(&mut self, written: &Observation, revision: u64, chance: u64, now_ms: u64) {
        if self.last.is_none_or(|last| last.vote != written.vote) {
            self.since_revision = revision;
        }
        let span = REFRESH_MS * REFRESH_JITTER_PERCENT / 100;
        self.refresh_ms = now_ms + REFRESH_MS - span + chance % (2 * span);
        self.last = Some(*written);
        self.lost = false;
    }
}

fn material(last: &Observation, next: &Observation) -> bool {
    let success = success_permille(&last.counts).abs_diff(success_permille(&next.counts));
    let headroom = |o: &Observation| headroom_permille(&o.capacity).unwrap_or(1000);
    success >= SUCCESS_STEP_PERMILLE
        || headroom(last).abs_diff(headroom(next)) >= HEADROOM_STEP_PERMILLE
        || last.latency != next.latency
        || last.ramp_permille != next.ramp_permille
        || last.evidence != next.evidence
        || last.capacity.learned_cap_permille != next.capacity.learned_cap_permille
}

#[cfg(test)]
mod tests {
    use trunkline_core::observation::Counts;

    use super::*;

    fn up(ok: u32, health: u32) -> Observation {
        let counts = Counts { ok, health, ..Counts::default() };
        Observation { vote: Vote::Up, incarnation: 7, counts, ..Observation::default() }
    }

    fn class_after(first: Observation, next: Observation, after_ms: u64) -> Option<WriteClass> {
        let mut record = Record::default();
        record.written(&first, 1, 0, 0);
        record.class(&next, after_ms)
    }

    #[test]
    fn another_vote_is_urgent_and_so_is_another_life() {
        let suspect = Observation { vote: Vote::Suspect, ..up(10, 0) };
        assert_eq!(class_after(up(10, 0), suspect, 1), Some(WriteClass::Urgent));
        let reborn = Observation { incarnation: 8, ..up(10, 0) };
        assert_eq!(class_after(up(10, 0), reborn, 1), Some(WriteClass::Urgent));
        assert_eq!(Record::default().class(&up(0, 0), 0), Some(WriteClass::Urgent));
    }

    #[test]
    fn two_points_of_success_are_worth_a_write_and_one_is_not() {
        assert_eq!(class_after(up(1_000, 0), up(1_000, 10), 1), None);
        assert_eq!(class_after(up(1_000, 0), up(1_000, 21), 1), Some(WriteClass::Material));
    }

    #[test]
    fn what_does_not_change_is_written_anew_every_two_minutes() {
        assert_eq!(class_after(up(10, 0), up(10, 0), 107_999), None);
        assert_eq!(class_after(up(10, 0), up(10, 0), 108_000), Some(WriteClass::Refresh));
    }

    #[test]
    fn the_revision_of_a_vote_is_that_of_the_write_that_changed_it() {
        let mut record = Record::default();
        record.written(&up(1, 0), 5, 0, 0);
        record.written(&up(2, 0), 9, 0, 0);
        assert_eq!((record.since_revision(Vote::Up), record.next_sequence()), (5, 1));
        assert_eq!(record.since_revision(Vote::Down), 0);
    }
}
