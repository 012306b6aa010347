//! Slows down what is published, so that weights move in small steps: latencies are smoothed on their
//! logarithm and move at most one bucket at a time, and learned capacity moves by tenths.

use trunkline_core::observation::Latency;
use trunkline_core::score::Bucket;

/// How often the smoothed values move.
const STEP_MS: u64 = 5_000;
/// Each step goes this part of the way to what was measured: a fifth.
const STEP_DIVISOR: i32 = 5;
/// Parts of a bucket that smoothing reckons in.
const PARTS: i32 = 256;

/// One smoothed quantile. Buckets are logarithms already, so smoothing them is smoothing those.
#[derive(Clone, Copy, Debug, Default)]
struct Smooth {
    /// In [`PARTS`] of a bucket; nothing until something was measured.
    position: Option<i32>,
    shown: Option<Bucket>,
}

impl Smooth {
    fn step(&mut self, measured: Option<Bucket>) {
        let Some(measured) = measured.map(position) else { return };
        let now = self.position.unwrap_or(measured);
        self.position = Some(now + (measured - now) / STEP_DIVISOR);
    }

    /// What to show next: at most one bucket from what is shown, and only once the value is a whole bucket
    /// away, which is half a bucket beyond the border.
    fn next(&self) -> Option<Bucket> {
        let (Some(now), Some(shown)) = (self.position, self.shown) else {
            return self
                .shown
                .or(self.position.map(|p| Bucket::new((p / PARTS).clamp(0, 127) as u8)));
        };
        match now - position(shown) {
            PARTS.. => Some(shown.moved(1)),
            away if away <= -PARTS => Some(shown.moved(-1)),
            _ => Some(shown),
        }
    }
}

fn position(bucket: Bucket) -> i32 {
    i32::from(bucket.index()) * PARTS
}

/// The quantiles of one endpoint, smoothed.
#[derive(Clone, Debug, Default)]
pub struct DampedLatency {
    quantiles: [Smooth; 6],
    stepped_ms: Option<u64>,
}

impl DampedLatency {
    /// Whether smoothing has use for a measurement: every five seconds, and always before the first one.
    pub fn wants(&self, now_ms: u64) -> bool {
        let due = self.stepped_ms.is_none_or(|at| now_ms.saturating_sub(at) >= STEP_MS);
        due || self.quantiles.iter().all(|smooth| smooth.position.is_none())
    }

    /// Takes in what was measured and moves one step.
    pub fn feed(&mut self, measured: &Latency, now_ms: u64) {
        for (smooth, measured) in self.quantiles.iter_mut().zip(parts(measured)) {
            smooth.step(measured);
        }
        self.stepped_ms = Some(now_ms);
    }

    /// What would be published now.
    pub fn next(&self) -> Latency {
        whole(self.quantiles.map(|smooth| smooth.next()))
    }

    /// It was published.
    pub fn shown(&mut self, latency: &Latency) {
        for (smooth, shown) in self.quantiles.iter_mut().zip(parts(latency)) {
            smooth.shown = shown;
        }
    }
}

fn parts(l: &Latency) -> [Option<Bucket>; 6] {
    [
        l.ttft_p50,
        l.ttft_p90,
        l.ttft_p99,
        l.inter_token_p50,
        l.inter_token_p90,
        l.tokens_per_second_p50,
    ]
}

fn whole(parts: [Option<Bucket>; 6]) -> Latency {
    let [ttft_p50, ttft_p90, ttft_p99, inter_token_p50, inter_token_p90, tokens_per_second_p50] =
        parts;
    Latency {
        ttft_p50,
        ttft_p90,
        ttft_p99,
        inter_token_p50,
        inter_token_p90,
        tokens_per_second_p50,
    }
}

/// Time between two looks at refusals.
const CAP_STEP_MS: u64 = 5_000;
/// Live calls below which a share of refusals says nothing.
const CAP_MIN_CALLS: u64 = 20;
/// More refusals than this, in percent, lower the cap …
const REFUSED_PERCENT: u64 = 2;
/// … to this part of it, in percent; fewer raise it to …
const LOWERED_PERCENT: u64 = 90;
/// … this part of it.
const RAISED_PERCENT: u64 = 103;
/// The cap of an endpoint that refuses nothing, in hundredths of a ‰ so that small steps are not lost.
const CAP_MAX: u64 = 100_000;
/// The lowest cap, in the same.
const CAP_MIN: u64 = 10_000;

/// The learned share of an endpoint's traffic that it takes without refusing.
#[derive(Clone, Copy, Debug)]
pub struct LearnedCap {
    cap: u64,
    stepped_ms: u64,
}

impl Default for LearnedCap {
    fn default() -> Self {
        Self { cap: CAP_MAX, stepped_ms: 0 }
    }
}

impl LearnedCap {
    /// Takes in recent live calls and how many of them were refused; the cap moves once in five seconds.
    pub fn feed(&mut self, (calls, refused): (u64, u64), now_ms: u64) {
        if now_ms.saturating_sub(self.stepped_ms) < CAP_STEP_MS {
            return;
        }
        self.stepped_ms = now_ms;
        let too_many = calls >= CAP_MIN_CALLS && refused * 100 > calls * REFUSED_PERCENT;
        let percent = if too_many { LOWERED_PERCENT } else { RAISED_PERCENT };
        self.cap = (self.cap * percent / 100).clamp(CAP_MIN, CAP_MAX);
    }

    /// The cap in ‰, in whole tenths; `None` while nothing is refused.
    pub fn permille(self) -> Option<u16> {
        (self.cap < CAP_MAX).then_some((self.cap / CAP_MIN * 100) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ttft(index: u8) -> Latency {
        Latency { ttft_p50: Some(Bucket::new(index)), ..Latency::default() }
    }

    fn shown_after(seconds: u64, from: u8, to: u8) -> u8 {
        let mut damped = DampedLatency::default();
        damped.feed(&ttft(from), 0);
        damped.shown(&damped.next());
        for second in 1..=seconds {
            if damped.wants(second * 1_000) {
                damped.feed(&ttft(to), second * 1_000);
            }
            damped.shown(&damped.next());
        }
        damped.quantiles[0].shown.unwrap().index()
    }

    #[test]
    fn the_first_measurement_is_shown_at_once() {
        assert_eq!(shown_after(0, 40, 40), 40);
    }

    #[test]
    fn a_jump_is_followed_in_single_steps() {
        assert_eq!(shown_after(5, 40, 50), 41);
        assert!(shown_after(60, 40, 50) > 46);
        assert!(shown_after(60, 50, 40) < 44);
    }

    #[test]
    fn a_neighbouring_bucket_is_not_worth_a_change() {
        assert_eq!(shown_after(600, 40, 41), 40);
    }

    #[test]
    fn refusals_lower_the_cap_by_tenths_and_quiet_raises_it() {
        let mut cap = LearnedCap::default();
        assert_eq!(cap.permille(), None);
        cap.feed((100, 3), 5_000);
        assert_eq!(cap.permille(), Some(900));
        (2..30).for_each(|step| cap.feed((100, 3), step * 5_000));
        assert_eq!(cap.permille(), Some(100));
        (30..120).for_each(|step| cap.feed((100, 2), step * 5_000));
        assert_eq!(cap.permille(), None);
    }
}
