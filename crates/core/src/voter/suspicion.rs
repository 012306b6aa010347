//! How long a suspicion lasts before it may become a verdict: the shorter, the more observers share it.

use crate::voter::{Phase, Voter};

/// The longest wait between suspicion and verdict: for the only one that suspects.
pub(super) const SUSPICION_MAX_MS: u64 = 10_000;
/// The shortest, when all observers suspect.
const SUSPICION_MIN_MS: u64 = 1_000;
/// log2(n) in Q16 for n = 1…8, rounded to the nearest; no endpoint has more observers.
const LOG2_Q16: [u64; 8] = [0, 65_536, 103_872, 131_072, 152_170, 169_408, 183_983, 196_608];

impl Voter {
    /// When a suspicion may become a verdict: [`crate::voter::Event::Tick`] then. `None` without one.
    pub fn ripe_ms(&self) -> Option<u64> {
        match self.phase {
            Phase::Suspect { since_ms, .. } => Some(since_ms.saturating_add(self.suspicion_ms())),
            Phase::Unseen
            | Phase::Up { .. }
            | Phase::Degraded { .. }
            | Phase::Down { .. }
            | Phase::Recovering { .. }
            | Phase::Config { .. } => None,
        }
    }

    /// `max(1 s, 10 s − 9 s · log2(c + 1) / log2(k))` for c others of k observers that suspect too, longer
    /// for a prober in doubt of itself.
    pub(super) fn suspicion_ms(&self) -> u64 {
        let log2 = |n: u32| {
            let at = (n.max(1) as usize - 1).min(LOG2_Q16.len() - 1);
            LOG2_Q16.get(at).copied().unwrap_or(0)
        };
        let agreeing = (self.suspecting + 1).min(self.observers);
        let span = SUSPICION_MAX_MS - SUSPICION_MIN_MS;
        let saved = (span * log2(agreeing)).checked_div(log2(self.observers)).unwrap_or(0);
        let wait = SUSPICION_MAX_MS.saturating_sub(saved).max(SUSPICION_MIN_MS);
        wait * (1 + u64::from(self.own.score()))
    }
}
