//! How the calls to one endpoint ended since it was last told: counts, rows of failures, latencies. Calls add to it
//! without a lock; whoever collects takes everything out. A call that ends meanwhile is told the next time.

use std::array::from_fn;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use trunkline_core::failure::FailureKind;
use trunkline_core::observation::Counts;
use trunkline_core::score::Bucket;
use trunkline_proto::health::v1::{Capacity, LatencyHistogram, OutcomeCounts};
use trunkline_upstream::Room;

/// Failures in a row that make an endpoint suspect, and those that convict it: news, both times.
const TELLING_ROWS: [u32; 2] = [1, 3];
/// The buckets of a histogram.
const BUCKETS: usize = Bucket::MAX.index() as usize + 1;

/// Whether probers should hear of an outcome at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The endpoint's state seems to change.
    Urgent,
    /// It can wait.
    Usual,
}

/// The outcomes of one endpoint.
#[derive(Debug, Default)]
pub struct Outcomes {
    ok: AtomicU32,
    health: AtomicU32,
    rate_limited: AtomicU32,
    overloaded: AtomicU32,
    config: AtomicU32,
    client: AtomicU32,
    local: AtomicU32,
    failures_in_a_row: AtomicU32,
    refusals_in_a_row: AtomicU32,
    urgent: AtomicBool,
    /// What answers tell of the room that is left.
    pub room: Room,
    ttft: Buckets,
    inter_token: Buckets,
    tokens_per_second: Buckets,
}

/// What was taken out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    /// Calls by how they ended.
    pub counts: OutcomeCounts,
    /// HEALTH failures in a row by now.
    pub failures_in_a_row: u32,
    /// Times to the first content.
    pub ttft: Option<LatencyHistogram>,
    /// Times between tokens.
    pub inter_token: Option<LatencyHistogram>,
    /// Output speeds.
    pub tokens_per_second: Option<LatencyHistogram>,
    /// What answers told of the room that is left.
    pub capacity: Option<Capacity>,
}

impl Outcomes {
    /// A call worked.
    pub fn succeeded(&self) -> News {
        self.ok.fetch_add(1, Relaxed);
        if self.refusals_in_a_row.load(Relaxed) > 0 {
            self.refusals_in_a_row.store(0, Relaxed);
        }
        if self.failures_in_a_row.load(Relaxed) == 0 {
            return News::Usual;
        }
        let row = self.failures_in_a_row.swap(0, Relaxed);
        let [_, convicting] = TELLING_ROWS;
        self.news(row >= convicting)
    }

    /// A call failed.
    pub fn failed(&self, kind: FailureKind) -> News {
        let one = Counts::of_failure(kind);
        if one.health > 0 {
            self.health.fetch_add(1, Relaxed);
            let row = self.failures_in_a_row.fetch_add(1, Relaxed).saturating_add(1);
            return self.news(TELLING_ROWS.contains(&row));
        }
        if one.config > 0 {
            self.config.fetch_add(1, Relaxed);
            return self.news(self.refusals_in_a_row.fetch_add(1, Relaxed) == 0);
        }
        self.rate_limited.fetch_add(one.rate_limited, Relaxed);
        self.overloaded.fetch_add(one.overloaded, Relaxed);
        self.client.fetch_add(one.client, Relaxed);
        self.local.fetch_add(one.local, Relaxed);
        News::Usual
    }

    /// A stream's first content came after this time.
    pub fn first_content(&self, after: Duration) {
        self.ttft.add(millis(after));
    }

    /// The rest of a stream, `chunks` of it after the first, took this time.
    pub fn streamed(&self, chunks: u64, took: Duration) {
        let (ms, chunks) = (u64::from(millis(took)).max(1), u32::try_from(chunks.max(1)));
        let chunks = chunks.unwrap_or(u32::MAX);
        let per_second = u64::from(chunks) * 1_000 / ms;
        self.inter_token.add(millis(took) / chunks);
        self.tokens_per_second.add(u32::try_from(per_second).unwrap_or(u32::MAX));
    }

    /// Whether something urgent happened since this was last asked.
    pub fn take_urgent(&self) -> bool {
        self.urgent.load(Relaxed) && self.urgent.swap(false, Relaxed)
    }

    /// Takes everything out; nothing when no call has ended.
    pub fn take(&self) -> Option<Taken> {
        let take = |count: &AtomicU32| u64::from(count.swap(0, Relaxed));
        let counts = OutcomeCounts {
            ok: take(&self.ok),
            health: take(&self.health),
            rate_limited: take(&self.rate_limited),
            overloaded: take(&self.overloaded),
            config: take(&self.config),
            client: take(&self.client),
            local: take(&self.local),
        };
        if counts == OutcomeCounts::default() {
            return None;
        }
        Some(Taken {
            counts,
            failures_in_a_row: self.failures_in_a_row.load(Relaxed),
            ttft: self.ttft.take(),
            inter_token: self.inter_token.take(),
            tokens_per_second: self.tokens_per_second.take(),
            capacity: self.room.take().map(|room| Capacity {
                limit_requests: room.limit_requests,
                remaining_requests: room.remaining_requests,
                limit_tokens: room.limit_tokens,
                remaining_tokens: room.remaining_tokens,
                ..Capacity::default()
            }),
        })
    }

    fn news(&self, urgent: bool) -> News {
        if urgent {
            self.urgent.store(true, Relaxed);
            News::Urgent
        } else {
            News::Usual
        }
    }
}

/// Counts in logarithmic buckets.
#[derive(Debug)]
struct Buckets {
    /// How many are in all of them: mostly there is nothing to take out.
    all: AtomicU32,
    each: [AtomicU32; BUCKETS],
}

impl Default for Buckets {
    fn default() -> Self {
        Self { all: AtomicU32::new(0), each: from_fn(|_| AtomicU32::new(0)) }
    }
}

impl Buckets {
    fn add(&self, value: u32) {
        if let Some(bucket) = self.each.get(usize::from(Bucket::of(value).index())) {
            bucket.fetch_add(1, Relaxed);
            self.all.fetch_add(1, Relaxed);
        }
    }

    fn take(&self) -> Option<LatencyHistogram> {
        if self.all.swap(0, Relaxed) == 0 {
            return None;
        }
        let counts: Vec<u64> =
            self.each.iter().map(|bucket| u64::from(bucket.swap(0, Relaxed))).collect();
        let first = counts.iter().position(|count| *count > 0)?;
        let last = counts.iter().rposition(|count| *count > 0)?;
        let counts = counts.get(first..=last)?.to_vec();
        Some(LatencyHistogram { first_bucket: u32::try_from(first).ok()?, counts })
    }
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_out_is_gone_and_the_row_of_failures_stays() {
        let outcomes = Outcomes::default();
        assert_eq!(outcomes.take(), None);
        outcomes.succeeded();
        outcomes.failed(FailureKind::Connect);
        outcomes.failed(FailureKind::RateLimited);
        outcomes.failed(FailureKind::Overloaded);
        let taken = outcomes.take().unwrap();
        let expected = OutcomeCounts {
            ok: 1,
            health: 1,
            rate_limited: 1,
            overloaded: 1,
            ..Default::default()
        };
        assert_eq!((taken.counts, taken.failures_in_a_row), (expected, 1));
        assert_eq!(outcomes.take(), None);
        outcomes.failed(FailureKind::Connect);
        assert_eq!(outcomes.take().unwrap().failures_in_a_row, 2);
    }

    #[test]
    fn the_first_failure_the_third_and_the_end_of_such_a_row_are_urgent() {
        let outcomes = Outcomes::default();
        assert_eq!(outcomes.succeeded(), News::Usual);
        let fail = || outcomes.failed(FailureKind::ServerError);
        assert_eq!(
            [fail(), fail(), fail(), fail()].map(|n| n == News::Urgent),
            [true, false, true, false]
        );
        assert!(outcomes.take_urgent() && !outcomes.take_urgent());
        assert_eq!(outcomes.succeeded(), News::Urgent);
        fail();
        assert_eq!(
            outcomes.succeeded(),
            News::Usual,
            "one failure among successes is over at once"
        );
        assert_eq!(outcomes.failed(FailureKind::CredentialRefused), News::Urgent);
        assert_eq!(outcomes.failed(FailureKind::CredentialRefused), News::Usual);
        assert_eq!(outcomes.failed(FailureKind::RateLimited), News::Usual);
    }

    #[test]
    fn latencies_go_into_logarithmic_buckets_without_empty_ends() {
        let outcomes = Outcomes::default();
        outcomes.first_content(Duration::from_millis(2));
        outcomes.first_content(Duration::from_millis(4));
        outcomes.streamed(100, Duration::from_millis(1_000));
        outcomes.succeeded();
        let taken = outcomes.take().unwrap();
        let expected = LatencyHistogram { first_bucket: 4, counts: vec![1, 0, 0, 0, 1] };
        assert_eq!(taken.ttft, Some(expected));
        let of = |value| Some(u32::from(Bucket::of(value).index()));
        assert_eq!(taken.inter_token.map(|h| h.first_bucket), of(10));
        assert_eq!(taken.tokens_per_second.map(|h| h.first_bucket), of(100));
    }
}
