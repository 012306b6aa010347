//! What happened in the last minute, exactly: counts and latencies in six slots of ten seconds. Not a decayed
//! average, so that two windows add up and a test can say what is in one.

use std::collections::BTreeMap;

use crate::observation::{Counts, Latency};
use crate::score::Bucket;

/// Seconds of one slot.
const SLOT_MS: u64 = 10_000;
/// Slots of a window.
const SLOTS: usize = 6;
/// What a window covers, in seconds.
pub const WINDOW_S: u16 = 60;

/// How often each bucket was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram(BTreeMap<Bucket, u32>);

impl Histogram {
    /// Adds so many values of one bucket.
    pub fn add(&mut self, bucket: Bucket, times: u32) {
        let count = self.0.entry(bucket).or_default();
        *count = count.saturating_add(times);
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(bucket, times)| self.add(*bucket, *times));
    }

    /// The bucket below or in which this share of the values lies, in percent; `None` without values.
    pub fn percentile(&self, percent: u64) -> Option<Bucket> {
        let total: u64 = self.0.values().map(|n| u64::from(*n)).sum();
        let rank = (total * percent).div_ceil(100).max(1);
        let mut below = 0;
        self.0.iter().find_map(|(bucket, times)| {
            below += u64::from(*times);
            (below >= rank).then_some(*bucket)
        })
    }
}

/// The latencies of some calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Times to the first content, in milliseconds.
    pub ttft: Histogram,
    /// Times between tokens, in milliseconds.
    pub inter_token: Histogram,
    /// Output speeds, in tokens per second.
    pub tokens_per_second: Histogram,
}

impl Timings {
    fn merge(&mut self, other: &Self) {
        self.ttft.merge(&other.ttft);
        self.inter_token.merge(&other.inter_token);
        self.tokens_per_second.merge(&other.tokens_per_second);
    }

    fn quantiles(&self) -> Latency {
        Latency {
            ttft_p50: self.ttft.percentile(50),
            ttft_p90: self.ttft.percentile(90),
            ttft_p99: self.ttft.percentile(99),
            inter_token_p50: self.inter_token.percentile(50),
            inter_token_p90: self.inter_token.percentile(90),
            tokens_per_second_p50: self.tokens_per_second.percentile(50),
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Slot {
    /// Which ten seconds since the clock began; a slot of older ones counts for nothing.
    at: u64,
    counts: Counts,
    timings: Timings,
}

/// The last minute of one endpoint. Times are milliseconds of any clock that never goes back.
#[derive(Clone, Debug, Default)]
pub struct Window {
    slots: [Slot; SLOTS],
}

impl Window {
    /// Takes in what some calls came to.
    pub fn count(&mut self, counts: &Counts, now_ms: u64) {
        let slot = self.slot(now_ms);
        slot.counts = slot.counts.plus(counts);
    }

    /// Takes in how fast some calls were.
    pub fn time(&mut self, timings: &Timings, now_ms: u64) {
        self.slot(now_ms).timings.merge(timings);
    }

    /// Everything counted in the last minute.
    pub fn counts(&self, now_ms: u64) -> Counts {
        self.newest(SLOTS as u64, now_ms).fold(Counts::default(), |sum, s| sum.plus(&s.counts))
    }

    /// What was counted in the present slot and the one before: the last 10 to 20 seconds.
    pub fn recent_counts(&self, now_ms: u64) -> Counts {
        self.newest(2, now_ms).fold(Counts::default(), |sum, s| sum.plus(&s.counts))
    }

    /// What was counted in the present slot and the three before: the last 30 to 40 seconds, so that nothing of
    /// the last half minute is missed.
    pub fn half_minute_counts(&self, now_ms: u64) -> Counts {
        self.newest(4, now_ms).fold(Counts::default(), |sum, s| sum.plus(&s.counts))
    }

    /// The quantiles of the last minute.
    pub fn latency(&self, now_ms: u64) -> Latency {
        let mut all = Timings::default();
        self.newest(SLOTS as u64, now_ms).for_each(|slot| all.merge(&slot.timings));
        all.quantiles()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn newest(&self, slots: u64, now_ms: u64) -> impl Iterator<Item = &Slot> {
        // Slots count from 1, so that an empty one is never taken for the first.
        let oldest = (now_ms / SLOT_MS + 2).saturating_sub(slots).max(1);
        self.slots.iter().filter(move |slot| slot.at >= oldest)
    }

    fn slot(&mut self, now_ms: u64) -> &mut Slot {
        let at = now_ms / SLOT_MS + 1;
        let [newest, ..] = &self.slots;
        if newest.at < at {
            self.slots.rotate_right(1);
            let [fresh, ..] = &mut self.slots;
            *fresh = Slot { at, ..Slot::default() };
        }
        let [newest, ..] = &mut self.slots;
        newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(count: u32) -> Counts {
        Counts { ok: count, ..Counts::default() }
    }

    #[test]
    fn a_window_forgets_after_a_minute() {
        let mut window = Window::default();
        window.count(&ok(1), 0);
        window.count(&ok(2), 30_000);
        assert_eq!(window.counts(59_999).ok, 3);
        assert_eq!(window.counts(60_000).ok, 2);
        assert_eq!(window.counts(90_000).ok, 0);
    }

    #[test]
    fn the_recent_part_is_this_slot_and_the_one_before() {
        let mut window = Window::default();
        window.count(&ok(1), 5_000);
        window.count(&ok(2), 15_000);
        assert_eq!(window.recent_counts(19_999).ok, 3);
        assert_eq!(window.recent_counts(20_000).ok, 2);
    }

    #[test]
    fn percentiles_are_those_of_all_slots_together() {
        let mut window = Window::default();
        for (at, ms) in [(0, 100), (10_000, 200), (20_000, 400)] {
            let mut timings = Timings::default();
            timings.ttft.add(Bucket::of(ms), 10);
            window.time(&timings, at);
        }
        let latency = window.latency(20_000);
        assert_eq!(latency.ttft_p50, Some(Bucket::of(200)));
        assert_eq!(latency.ttft_p99, Some(Bucket::of(400)));
        assert_eq!(latency.inter_token_p50, None);
    }
}
