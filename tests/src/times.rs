//! A handful of measured times and their quantiles.

use std::fmt;
use std::time::Duration;

/// Measured times.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Adds one.
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// Adds those of another.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// The median, in milliseconds.
    pub fn p50_ms(&self) -> f64 {
        self.quantile_ms(50)
    }

    /// The 99th percentile, in milliseconds: the longest of less than a hundred.
    pub fn p99_ms(&self) -> f64 {
        self.quantile_ms(99)
    }

    /// The 99th percentile, unrounded.
    #[must_use]
    pub fn p99(&self) -> Duration {
        self.quantile(99)
    }

    fn quantile_ms(&self, percent: usize) -> f64 {
        (self.quantile(percent).as_secs_f64() * 10_000.0).round() / 10.0
    }

    /// The smallest time that at least so many percent do not exceed.
    fn quantile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or_default()
    }
}

impl fmt::Display for Times {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [min, max] = [1, 100].map(|percent| self.quantile_ms(percent));
        write!(out, "min {min}, p50 {}, p99 {}, max {max}", self.p50_ms(), self.p99_ms())?;
        let ms = |time: &Duration| time.as_millis().to_string();
        write!(out, "; in order: {}", self.0.iter().map(ms).collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_times_that_were_measured() {
        let mut times = Times::default();
        assert_eq!(times.p50_ms(), 0.0);
        (1..=30).rev().for_each(|ms| times.add(Duration::from_millis(ms)));
        assert_eq!((times.p50_ms(), times.p99_ms()), (15.0, 30.0));
    }
}
