//! When connections retire. Those that retire at about the same time share one switch, so that a
//! connection carries no timer of its own. It closes nothing: a connection watches its switch.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::Shutdown;

/// Switches for one maximum age: they are thrown at multiples of age / 40.
const SLOTS_PER_AGE: u32 = 40;
/// A connection retires within 36..=44 slots, which is the age ± 10 %.
const SPREAD_FROM: u64 = 36;
const SPREAD_SLOTS: u64 = 9;
/// Fibonacci hashing: successive numbers land far apart, so connections made together part.
const FIBONACCI: u64 = 0x9E37_79B9_7F4A_7C15;

/// The switches of one server's connections.
#[derive(Debug)]
pub(super) struct Lifetimes {
    slot: Option<Duration>,
    started: Instant,
    switches: BTreeMap<u64, Shutdown>,
    /// The switch of connections that never grow old.
    ageless: Shutdown,
    assigned: u64,
}

impl Lifetimes {
    pub(super) fn new(max_age: Option<Duration>) -> Self {
        Self {
            slot: max_age.map(|age| (age / SLOTS_PER_AGE).max(Duration::from_millis(1))),
            started: Instant::now(),
            switches: BTreeMap::new(),
            ageless: Shutdown::new(),
            assigned: 0,
        }
    }

    /// The switch of a new connection.
    pub(super) fn assign(&mut self) -> Shutdown {
        let Some(now) = self.current_slot() else {
            return self.ageless.clone();
        };
        self.assigned = self.assigned.wrapping_add(1);
        let spread = (self.assigned.wrapping_mul(FIBONACCI) >> 32) % SPREAD_SLOTS;
        self.switches.entry(now + SPREAD_FROM + spread).or_default().clone()
    }

    /// Waits for the next switch that is due and throws it; for ever when there is none.
    /// Cancel-safe.
    pub(super) async fn next_end(&mut self) {
        let (Some(slot), Some((number, _))) = (self.slot, self.switches.first_key_value()) else {
            return std::future::pending().await;
        };
        let number = u32::try_from(*number).unwrap_or(u32::MAX);
        tokio::time::sleep_until(self.started + slot.saturating_mul(number)).await;
        if let Some((_, switch)) = self.switches.pop_first() {
            switch.trigger();
        }
    }

    /// Throws every switch.
    pub(super) fn end_all(self) {
        self.ageless.trigger();
        self.switches.values().for_each(Shutdown::trigger);
    }

    fn current_slot(&self) -> Option<u64> {
        let slot = self.slot?.as_micros().max(1);
        u64::try_from(self.started.elapsed().as_micros() / slot).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_secs(400);

    #[tokio::test(start_paused = true)]
    async fn connections_made_together_retire_apart_within_a_tenth_of_the_age() {
        let mut lifetimes = Lifetimes::new(Some(AGE));
        let began = Instant::now();
        let switches: Vec<_> = (0..90).map(|_| lifetimes.assign()).collect();
        let mut groups = Vec::new();
        while switches.iter().any(|switch| !switch.is_triggered()) {
            let before = switches.iter().filter(|switch| switch.is_triggered()).count();
            lifetimes.next_end().await;
            let after = switches.iter().filter(|switch| switch.is_triggered()).count();
            groups.push(after - before);
            let age = began.elapsed();
            assert!((AGE * 9 / 10..=AGE * 11 / 10).contains(&age), "{age:?}");
        }
        assert!(groups.len() >= 7 && groups.iter().all(|size| *size <= 20), "{groups:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_age_only_the_end_of_all_retires() {
        let mut lifetimes = Lifetimes::new(None);
        let switch = lifetimes.assign();
        let waited = tokio::time::timeout(AGE * 10, lifetimes.next_end()).await;
        assert!(waited.is_err() && !switch.is_triggered());
        lifetimes.end_all();
        assert!(switch.is_triggered());
    }
}
