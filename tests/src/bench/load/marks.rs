//! What one caller of a load notes down, and what all notes amount to.

use std::time::Duration;

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Measured;

/// The notes of one caller. Only what happens between start and end is noted.
#[derive(Clone, Debug)]
pub struct Marks {
    start: Instant,
    end: Instant,
    latencies: Vec<Duration>,
    first_contents: Vec<Duration>,
    chunks: u64,
}

impl Marks {
    /// Empty notes for a measurement that starts at `start` and lasts `lasting`.
    pub fn new(start: Instant, lasting: Duration) -> Self {
        let end = start + lasting;
        let (latencies, first_contents) = (Vec::new(), Vec::new());
        Self { start, end, latencies, first_contents, chunks: 0 }
    }

    /// When measuring ends.
    pub fn end(&self) -> Instant {
        self.end
    }

    /// Whether measuring has ended, so that no further call is to begin.
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    /// A call that began at `begun` was answered, just now and rightly.
    pub fn call(&mut self, begun: Instant) {
        let now = Instant::now();
        if self.counts(now) {
            self.latencies.push(now - begun);
        }
    }

    /// The first content of a call that began at `begun` arrived just now.
    pub fn first_content(&mut self, begun: Instant) {
        let now = Instant::now();
        if self.counts(now) {
            self.first_contents.push(now - begun);
        }
    }

    /// So many content chunks arrived just now.
    pub fn chunks(&mut self, count: u64) {
        if self.counts(Instant::now()) {
            self.chunks += count;
        }
    }

    fn counts(&self, now: Instant) -> bool {
        self.start <= now && now < self.end
    }

    /// What the callers measured in `seconds`.
    ///
    /// # Errors
    /// A measurement without any call.
    pub fn sum_up(all: Vec<Self>, seconds: f64) -> anyhow::Result<Measured> {
        let mut latencies: Vec<_> = all.iter().flat_map(|m| m.latencies.iter().copied()).collect();
        let mut firsts: Vec<_> =
            all.iter().flat_map(|m| m.first_contents.iter().copied()).collect();
        ensure!(!latencies.is_empty(), "no call ended in {seconds:.1} s");
        Ok(Measured {
            seconds,
            calls: latencies.len() as u64,
            chunks: all.iter().map(|marks| marks.chunks).sum(),
            latency: Quantiles::of(&mut latencies),
            first_content: Quantiles::of(&mut firsts),
        })
    }
}

/// Two quantiles of a time, by nearest rank, in milliseconds; zero when nothing was noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Half of them took at most this.
    pub p50_ms: f64,
    /// 99 of 100 took at most this.
    pub p99_ms: f64,
}

impl Quantiles {
    /// The quantiles of `times`, which end up sorted.
    pub fn of(times: &mut [Duration]) -> Self {
        times.sort_unstable();
        let rank = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100);
            let at = times.get(rank.saturating_sub(1)).copied().unwrap_or_default();
            at.as_secs_f64() * 1e3
        };
        Self { p50_ms: rank(50), p99_ms: rank(99) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_times_that_occurred() {
        let mut times: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(Quantiles::of(&mut times), Quantiles { p50_ms: 100.0, p99_ms: 198.0 });
        let one = Quantiles::of(&mut [Duration::from_millis(7)]);
        assert_eq!(one, Quantiles { p50_ms: 7.0, p99_ms: 7.0 });
        assert_eq!(Quantiles::of(&mut []), Quantiles::default());
    }

    #[test]
    fn what_happens_before_the_start_is_not_counted() {
        let mut early = Marks::new(Instant::now() + Duration::from_secs(60), Duration::MAX / 4);
        early.call(Instant::now());
        early.chunks(3);
        let mut late = Marks::new(Instant::now(), Duration::from_secs(60));
        late.call(Instant::now());
        late.chunks(2);
        let measured = Marks::sum_up(vec![early, late], 1.0).unwrap();
        assert_eq!((measured.calls, measured.chunks), (1, 2));
    }

    #[test]
    fn a_measurement_without_a_call_fails() {
        let idle = Marks::new(Instant::now(), Duration::from_secs(60));
        assert!(!idle.is_over());
        let error = Marks::sum_up(vec![idle], 1.0).unwrap_err();
        assert_eq!(error.to_string(), "no call ended in 1.0 s");
        assert!(Marks::new(Instant::now(), Duration::ZERO).is_over());
    }
}
