//! What live calls do to a vote. They make a suspicion; they make a verdict only where so many routers say the same
//! that none of them gives more than a third of it, or where a probe confirms it.

use crate::id::RouterId;
use crate::observation::{Capacity, Counts};
use crate::voter::calls::Look;
use crate::voter::{Level, Phase, Voter};

impl Voter {
    /// Live calls in about the last half minute that worked; 0 while the routers see it fail.
    pub fn good_live_calls(&self, now_ms: u64) -> u64 {
        self.case.good_live_calls(now_ms)
    }

    /// Whether so many live calls work that no probe can bring the endpoint down.
    pub fn live_calls_work(&self, now_ms: u64) -> bool {
        self.case.live_calls_work(now_ms)
    }

    /// Takes in what a router was told of the room that is left.
    pub fn note_room(&mut self, router: &RouterId, room: Capacity, now_ms: u64) {
        self.case.calls().told_room(router, room, now_ms);
    }

    /// The room that is left, as the routers agree that they were told within the last minute.
    pub fn live_room(&self, now_ms: u64) -> Option<Capacity> {
        self.case.live_room(now_ms)
    }

    /// A router tells of calls that ended.
    pub(super) fn traffic(
        &mut self,
        router: &RouterId,
        counts: &Counts,
        failures_in_a_row: u32,
        now_ms: u64,
    ) -> Look {
        self.case.seen(now_ms);
        let look = self.case.calls().told(router, counts, failures_in_a_row, now_ms);
        let fails = counts.health > 0 && failures_in_a_row > 0;
        if counts.config > 0 && self.case.refuses(now_ms) {
            self.phase = Phase::Config { level: Level::Generate, since_ms: now_ms };
        } else if self.case.live_calls_work(now_ms) {
            self.calls_work(now_ms);
        } else if fails && self.case.live_calls_fail(now_ms) {
            self.calls_fail(now_ms);
        } else if counts.ok > 0 {
            self.a_call_worked(now_ms);
        }
        look
    }

    /// Enough calls work to be sure.
    fn calls_work(&mut self, now_ms: u64) {
        match &mut self.phase {
            Phase::Down { until_ms, works_since_ms, generations, .. } if now_ms >= *until_ms => {
                works_since_ms.get_or_insert(now_ms);
                *generations = generations.saturating_add(1);
                self.recover_if_ready(now_ms);
            }
            Phase::Recovering { successes, .. } => *successes = successes.saturating_add(1),
            Phase::Unseen
            | Phase::Up { .. }
            | Phase::Suspect { .. }
            | Phase::Degraded { .. }
            | Phase::Config { .. }
            | Phase::Down { .. } => self.a_call_worked(now_ms),
        }
    }

    /// Some call worked, somebody says.
    fn a_call_worked(&mut self, now_ms: u64) {
        let accepted = self.case.accepts(now_ms);
        match self.phase {
            Phase::Unseen => self.phase = Phase::Up { since_ms: now_ms },
            Phase::Config { .. } if accepted => self.phase = Phase::Up { since_ms: now_ms },
            Phase::Up { .. }
            | Phase::Suspect { .. }
            | Phase::Degraded { .. }
            | Phase::Down { .. }
            | Phase::Recovering { .. }
            | Phase::Config { .. } => {}
        }
    }

    /// More than a third of the routers see it fail.
    fn calls_fail(&mut self, now_ms: u64) {
        let suspect = Phase::Suspect { since_ms: now_ms, failed: None, successes: 0 };
        match &mut self.phase {
            Phase::Unseen | Phase::Up { .. } => self.phase = suspect,
            Phase::Degraded { .. } | Phase::Config { .. } => {
                if self.case.live_calls_fail_in_a_row(now_ms) {
                    self.phase = suspect;
                }
            }
            Phase::Suspect { successes, .. } => *successes = 0,
            Phase::Down { live, works_since_ms, lists, generations, .. } => {
                (*live, *works_since_ms, *lists, *generations) = (true, None, 0, 0);
            }
            Phase::Recovering { successes, .. } => {
                *successes = 0;
                if self.case.live_calls_suffice_against(now_ms) {
                    self.go_down(now_ms);
                }
            }
        }
    }
}
