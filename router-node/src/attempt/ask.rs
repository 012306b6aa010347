//! One try at one endpoint, from sending to the point where its answer may be released. Every wait has a
//! deadline inside the call's own.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use tokio::time::timeout_at;
use trunkline_core::failure::FailureKind;
use trunkline_core::policy::Timeouts;
use trunkline_core::snapshot::Numbers;
use trunkline_upstream::{Call, Chunk, EventStream, Failed, Item, Whole};

use super::{Course, Release};

/// Bounds of the first-content deadline where the policy does not set it: three times the measured p99.
const FIRST_CONTENT_MS: (u64, u64) = (10_000, 120_000);
/// Bounds of the stall deadline where the policy does not set it: ten times the measured p99.
const STALL_MS: (u64, u64) = (15_000, 60_000);
/// Held before the first content: a provider needs a role and perhaps some empty deltas, not more.
const MAX_HELD_BEFORE_CONTENT: usize = 256 << 10;
/// Held for assured delivery: about two million tokens of stream.
const MAX_HELD_ASSURED: usize = 32 << 20;

/// What an endpoint gave.
pub enum Asked {
    Whole(Whole),
    Stream(Stream),
}

/// A committed stream: what came so far, and where the rest comes from.
pub struct Stream {
    /// What came so far.
    pub waiting: VecDeque<Chunk>,
    /// Where the rest comes from; `None` when nothing follows.
    pub source: Option<EventStream>,
}

/// Chunks held back until they may be released.
#[derive(Default)]
struct HeldBack {
    chunks: VecDeque<Chunk>,
    bytes: usize,
}

impl HeldBack {
    /// Takes an item; `true` when the stream is complete.
    fn take(&mut self, item: Item, limit: usize) -> Result<bool, Failed> {
        match item {
            Item::Chunk(chunk) => {
                self.bytes += chunk.raw.len();
                self.chunks.push_back(chunk);
                if self.bytes > limit {
                    let message = "more came than can be held back before it is released";
                    return Err(Failed::new(FailureKind::TooLarge, message));
                }
                Ok(false)
            }
            Item::Comment => Ok(false),
            Item::End => Ok(true),
        }
    }
}

impl Course {
    /// Asks an endpoint, and waits until its answer may be released.
    ///
    /// # Errors
    /// How it failed.
    pub(super) async fn ask(
        &self,
        endpoint: usize,
        call: Call<'_>,
        began: Instant,
    ) -> Result<Asked, Failed> {
        let transport = &self.router.transport;
        if self.release == Release::Whole {
            let by = began + Duration::from_millis(self.timeouts.answer_ms);
            let whole = pin!(transport.whole(call));
            let whole = self.within(by, FailureKind::FirstContentTimeout, whole).await?;
            return Ok(Asked::Whole(whole));
        }
        let numbers =
            self.view.snapshot.endpoints.get(endpoint).map(|s| s.numbers).unwrap_or_default();
        let by = began + first_content(&self.timeouts, &numbers);
        let kind = FailureKind::FirstContentTimeout;
        let mut source = self.within(by, kind, pin!(transport.stream(call))).await?;
        let mut held = HeldBack::default();
        while !source.has_content() && !source.finished() {
            let item = self.within(by, kind, pin!(source.next())).await?;
            if held.take(item, MAX_HELD_BEFORE_CONTENT)? {
                return Ok(Asked::Stream(Stream { waiting: held.chunks, source: None }));
            }
        }
        if self.release == Release::WhenComplete {
            let stall = stall(&self.timeouts, &numbers);
            loop {
                let by = Instant::now() + stall;
                let item = self.within(by, FailureKind::Stall, pin!(source.next())).await?;
                if held.take(item, MAX_HELD_ASSURED)? {
                    return Ok(Asked::Stream(Stream { waiting: held.chunks, source: None }));
                }
            }
        }
        Ok(Asked::Stream(Stream { waiting: held.chunks, source: Some(source) }))
    }

    /// Bounds a wait by its own deadline and by the call's; the earlier one names the failure. The work comes
    /// pinned because it is large, and would be copied on its way in.
    async fn within<T>(
        &self,
        by: Instant,
        kind: FailureKind,
        work: Pin<&mut impl Future<Output = Result<T, Failed>>>,
    ) -> Result<T, Failed> {
        match timeout_at(by.min(self.deadline).into(), work).await {
            Ok(done) => done,
            Err(_) if self.deadline <= by => {
                Err(Failed::new(FailureKind::Deadline, "the call's deadline passed"))
            }
            Err(_) => Err(Failed::new(kind, "the provider did not answer in time")),
        }
    }
}

fn first_content(timeouts: &Timeouts, numbers: &Numbers) -> Duration {
    let (least, most) = FIRST_CONTENT_MS;
    let measured = numbers.ttft_p99_ms.map_or(least, |p99| (3 * u64::from(p99)).clamp(least, most));
    Duration::from_millis(timeouts.first_content_ms.unwrap_or(measured))
}

pub(super) fn stall(timeouts: &Timeouts, numbers: &Numbers) -> Duration {
    let (least, most) = STALL_MS;
    let measured =
        numbers.inter_token_p99_ms.map_or(least, |p99| (10 * u64::from(p99)).clamp(least, most));
    Duration::from_millis(timeouts.stall_ms.unwrap_or(measured))
}
