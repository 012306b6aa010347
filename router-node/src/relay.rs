//! A committed stream on its way to the caller. Bytes pass as they come; each chunk was read once on the way
//! in. Here usage is noted, silence is bounded, and the record is closed.

mod told;
mod who;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::Sleep;
use trunkline_core::failure::FailureKind;
use trunkline_core::usage::TokenCounts;
use trunkline_upstream::{Chunk, EventStream, Failed, Item};
use trunkline_wire::chunk::{rewrite_chunk, usage_chunk, without_usage};
use trunkline_wire::error::{ErrorBody, ErrorType};
use trunkline_wire::operation::Operation;
use trunkline_wire::sse;
use trunkline_wire::usage::Usage;

use crate::attempt::Held;
use crate::ledger::{Counted, OpenRecord, Record, Settlement, millis, unix_ms};
use crate::rejection;
use crate::view::View;

pub use told::{cost_details, token_counts, usage_out};

/// After the answer said why it ended, its usage and end may take this long; then we end it ourselves.
const FINISH_GRACE: Duration = Duration::from_millis(1_000);

/// One piece for the caller.
#[derive(Debug)]
pub enum Piece {
    /// A chunk of the answer: the frame, and the JSON inside.
    Chunk {
        /// The frame, ready for an event stream.
        frame: Bytes,
        /// The JSON, for gRPC.
        data: Bytes,
    },
    /// Nothing happened for a while; a comment shows that we are there.
    KeepAlive,
    /// The stream broke. Nothing follows.
    Broken(Box<ErrorBody>),
    /// The answer is complete. Nothing follows.
    Done,
}

/// What a relay needs to know of its call.
pub struct Terms {
    /// Longest silence.
    pub stall: Duration,
    /// Silence after which a comment is sent.
    pub keep_alive: Duration,
    /// The call's own deadline.
    pub deadline: Instant,
    /// The caller asked for the usage chunk.
    pub include_usage: bool,
    /// The model's name as the caller knows it.
    pub model: String,
    /// The provider's name for it.
    pub upstream_model: String,
    /// The estimate of prompt tokens, for streams that end before usage comes.
    pub input_tokens: u64,
}

/// A committed stream.
pub struct Relay {
    waiting: VecDeque<Chunk>,
    source: Option<EventStream>,
    terms: Terms,
    record: Option<OpenRecord>,
    view: Arc<View>,
    endpoint: usize,
    held: Option<Held>,
    usage: Option<Usage>,
    usage_sent: bool,
    last_heard: Instant,
    last_sent: Instant,
    first_sent: Option<Instant>,
    chunks: u64,
    timer: Pin<Box<Sleep>>,
}

impl Relay {
    /// A relay of `waiting` and then of `source`; `None` for an answer that is already whole.
    pub fn new(
        waiting: VecDeque<Chunk>,
        source: Option<EventStream>,
        terms: Terms,
        record: OpenRecord,
        held: Held,
    ) -> Self {
        let now = Instant::now();
        let first_check =
            terms.stall.min(terms.keep_alive).min(terms.deadline.saturating_duration_since(now));
        Self {
            waiting,
            source,
            record: Some(record),
            view: Arc::clone(&held.view),
            endpoint: held.endpoint,
            held: Some(held),
            usage: None,
            usage_sent: false,
            last_heard: now,
            last_sent: now,
            first_sent: None,
            chunks: 0,
            timer: Box::pin(tokio::time::sleep(first_check)),
            terms,
        }
    }

    /// The next piece; `None` after the last.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
        if self.record.is_none() {
            return Poll::Ready(None);
        }
        loop {
            match self.poll_item(cx) {
                Poll::Ready(Ok(Item::Chunk(chunk))) => {
                    if let Some(piece) = self.pass(chunk) {
                        return Poll::Ready(Some(piece));
                    }
                }
                Poll::Ready(Ok(Item::Comment)) => self.last_heard = Instant::now(),
                Poll::Ready(Ok(Item::End)) => return Poll::Ready(Some(self.complete())),
                Poll::Ready(Err(failed)) => return Poll::Ready(Some(self.fail(&failed))),
                Poll::Pending => return self.poll_silence(cx),
            }
        }
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<Item, Failed>> {
        if let Some(chunk) = self.waiting.pop_front() {
            return Poll::Ready(Ok(Item::Chunk(chunk)));
        }
        match &mut self.source {
            Some(source) => source.poll_next(cx),
            None => Poll::Ready(Ok(Item::End)),
        }
    }

    /// A chunk on its way: what it says is noted; the model's name and the cost are put right.
    fn pass(&mut self, chunk: Chunk) -> Option<Piece> {
        let now = Instant::now();
        self.last_heard = now;
        if chunk.scan.content {
            self.chunks += 1;
            if self.first_sent.is_none() {
                self.first_sent = Some(now);
                self.note_first_content(now);
            }
        }
        self.usage = chunk.scan.usage.or(self.usage);
        if chunk.scan.finish_reason.is_some() {
            self.note_finish(&chunk);
        }
        let counted = chunk.scan.usage.is_some();
        let usage_only = chunk.scan.choices_empty && counted;
        if usage_only && !self.terms.include_usage {
            return None;
        }
        self.last_sent = now;
        if counted && !usage_only && self.terms.include_usage {
            // Some tell it beside the last content, or beside each. Clients add up what they find: it is told once,
            // at the end, with the cost.
            let data = without_usage(&chunk.data, &chunk.scan, &self.terms.model);
            return Some(Piece::Chunk { frame: sse::frame(&data), data });
        }
        let renamed = self.terms.model != self.terms.upstream_model && chunk.scan.model.is_some();
        if !usage_only && !renamed {
            return Some(Piece::Chunk { frame: chunk.raw, data: chunk.data });
        }
        let settlement = usage_only.then(|| self.settle()).flatten();
        self.usage_sent |= usage_only;
        let details = settlement.map(|s| cost_details(&s));
        let usage = settlement.zip(details.as_ref()).map(|(s, details)| usage_out(&s, details));
        let data = rewrite_chunk(&chunk.data, &chunk.scan, &self.terms.model, usage.as_ref());
        Some(Piece::Chunk { frame: sse::frame(&data), data })
    }

    fn note_first_content(&mut self, now: Instant) {
        if let Some(record) = &mut self.record {
            record.write(|r| {
                r.first_content_ms = Some(millis(now.saturating_duration_since(r.arrived)))
            });
        }
    }

    fn note_finish(&mut self, chunk: &Chunk) {
        if let Some(record) = &mut self.record {
            record.write(|r| {
                r.told.finish_reason = chunk.scan.finish_reason;
                if r.sampled() {
                    r.told.model = chunk.scan.model_in(&chunk.data).map(Box::from);
                }
            });
        }
    }

    /// Settles by the provider's counts, or by ours where it sent none.
    fn settle(&mut self) -> Option<Settlement> {
        let (tokens, counted) = match self.usage {
            Some(usage) => (token_counts(usage), Counted::Provider),
            None => {
                let (input, output) = (self.terms.input_tokens, self.chunks);
                (TokenCounts { input, output, ..TokenCounts::default() }, Counted::Estimate)
            }
        };
        let chunks = self.chunks;
        let mut settlement = None;
        if let Some(record) = &mut self.record {
            record.write(|r| {
                r.chunks = chunks;
                settlement = r.settle(tokens, counted);
            });
        }
        settlement
    }

    fn complete(&mut self) -> Piece {
        if self.terms.include_usage && !self.usage_sent {
            self.usage_sent = true;
            if let Some(settlement) = self.settle() {
                return self.own_usage_chunk(&settlement);
            }
        }
        self.settle();
        if let (Some(lane), Some(first)) = (self.view.lanes.get(self.endpoint), self.first_sent)
            && self.chunks > 1
        {
            let spread = self.last_sent.saturating_duration_since(first);
            lane.meter.inter_token(spread.as_secs_f64() / (self.chunks - 1) as f64);
            lane.load.outcomes.streamed(self.chunks - 1, spread);
        }
        if let Some(held) = self.held.take() {
            held.succeeded(Instant::now());
        }
        self.source = None;
        if let Some(record) = self.record.take() {
            record.completed();
        }
        Piece::Done
    }

    /// The caller asked for usage and the provider sent none: the estimate, in a chunk of our own. The
    /// stream's end follows at the next poll.
    fn own_usage_chunk(&mut self, settlement: &Settlement) -> Piece {
        self.source = None;
        let details = cost_details(settlement);
        let (operation, id, created) = self.identity();
        let data = usage_chunk(
            operation,
            &id,
            &self.terms.model,
            created,
            &usage_out(settlement, &details),
        );
        Piece::Chunk { frame: sse::frame(&data), data }
    }

    fn identity(&self) -> (Operation, String, u64) {
        let read = |r: &Record| (r.operation, r.generation.to_string(), r.arrived_unix_ms / 1000);
        let identity = self.record.as_ref().and_then(|record| record.read(read));
        identity.unwrap_or((Operation::Chat, String::new(), 0))
    }

    /// The deadline of an operator's drain passed: nobody's fault. It is looked at whenever a comment could be
    /// due, which costs a stream nothing between.
    fn cut(&mut self) -> Piece {
        let failed = Failed::new(
            FailureKind::Local,
            "an operator took this provider out, and the time for open streams is over",
        );
        self.break_off(&failed, Some(ErrorType::Unavailable))
    }

    fn fail(&mut self, failed: &Failed) -> Piece {
        self.break_off(failed, None)
    }

    /// Ends the stream with an error: the failure's own, or another that says better whose it is.
    fn break_off(&mut self, failed: &Failed, error_type: Option<ErrorType>) -> Piece {
        self.source = None;
        self.settle();
        if let Some(held) = self.held.take() {
            held.failed(failed);
        }
        let state = self.view.snapshot.endpoints.get(self.endpoint);
        let provider = state.map_or("", |s| s.endpoint.provider.as_str());
        let why = trunkline_core::retry::GiveUp::ContentReleased;
        let mut body = rejection::after_failure(failed, provider, why);
        body.error_type = error_type.unwrap_or(body.error_type);
        body.tokens_emitted = Some(self.chunks);
        if let Some(mut record) = self.record.take() {
            record.write(|r| {
                if let Some(attempt) = r.attempts.last_mut() {
                    attempt.failure = Some(failed.failure.kind);
                }
                body.attempts = u32::try_from(r.attempts.len()).ok();
            });
            record.failed(body.error_type);
        }
        Piece::Broken(body)
    }

    /// Nothing came: is it time for a comment, or for giving up?
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let finished = self.source.as_ref().is_some_and(EventStream::finished);
            let patience = if finished { FINISH_GRACE } else { self.terms.stall };
            if now >= self.last_heard + patience {
                return Poll::Ready(Some(if finished { self.complete() } else { self.stalled() }));
            }
            if now >= self.terms.deadline {
                let failed = Failed::new(
                    FailureKind::Deadline,
                    "the call's deadline passed inside the answer",
                );
                return Poll::Ready(Some(self.fail(&failed)));
            }
            let lane = self.view.lanes.get(self.endpoint);
            if !finished && lane.is_some_and(|lane| lane.load.is_cut(unix_ms())) {
                return Poll::Ready(Some(self.cut()));
            }
            let next = (self.last_heard + patience).min(self.terms.deadline);
            let keep_alive = self.last_sent + self.terms.keep_alive;
            if now >= keep_alive {
                self.last_sent = now;
                self.timer.as_mut().reset(next.min(now + self.terms.keep_alive).into());
                return Poll::Ready(Some(Piece::KeepAlive));
            }
            self.timer.as_mut().reset(next.min(keep_alive).into());
        }
        self.hasten_after_finish(cx)
    }

    /// The timer was set for a long silence; once the answer said why it ended, a short one is enough.
    fn hasten_after_finish(&mut self, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
        let grace_ends = tokio::time::Instant::from(self.last_heard + FINISH_GRACE);
        if self.source.as_ref().is_some_and(EventStream::finished)
            && self.timer.deadline() > grace_ends
        {
            self.timer.as_mut().reset(grace_ends);
            return self.poll_silence(cx);
        }
        Poll::Pending
    }

    fn stalled(&mut self) -> Piece {
        let failed = Failed::new(FailureKind::Stall, "the provider fell silent inside the answer");
        self.fail(&failed)
    }
}

impl Drop for Relay {
    /// The caller left: what was used is settled; the record closes itself as abandoned.
    fn drop(&mut self) {
        if self.record.is_some() {
            self.settle();
        }
    }
}
