//! A call's place in a trace: taken over from its caller or begun here, decided once whether it is told of, and
//! handed on to providers that may know of it. The spans themselves are made of the call's record when that is
//! closed, in the background; on a call's way there is nothing but these few bytes.

pub mod export;
pub mod telemetry;

mod parent;
mod spans;

use http::{HeaderMap, HeaderName, HeaderValue};
use trunkline_core::draw::Rng;
use trunkline_runtime::otlp::Spans;
use trunkline_upstream::TraceHeaders;
use uuid::Uuid;

use crate::ledger::{OpenRecord, Record};
use crate::pipeline::Router;
use parent::Parent;

/// The W3C header that names a call's trace.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The W3C header with what tracing systems on the way noted.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Random bits of a trace id that decide on sampling: the last 56, as W3C's level 2 has it.
const RANDOM_BITS: u32 = 56;

/// Which calls are told of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// The share of calls that are told of when nobody decided before, 0 to 1.
    pub ratio: f64,
    /// What a caller's decision is worth.
    pub callers: Callers,
}

/// What a caller's decision on sampling is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    /// It is followed.
    Followed,
    /// Its trace is joined; whether it is told of is decided here.
    Overruled,
}

impl Sampler {
    /// Whether the trace of this id is told of: the same on every router.
    fn draws(&self, id: [u8; 16]) -> bool {
        let bits = u128::from_be_bytes(id) & ((1 << RANDOM_BITS) - 1);
        (bits as f64) < self.ratio * (1_u64 << RANDOM_BITS) as f64
    }
}

/// A call's place in a trace.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The trace.
    id: [u8; 16],
    /// The caller's span; `None` when the trace begins here.
    caller: Option<[u8; 8]>,
    /// Whether spans are made.
    sampled: bool,
    /// What came in `tracestate`.
    state: Option<Box<HeaderValue>>,
}

/// Opens a call's trace, if this router makes any.
pub fn begin(router: &Router, headers: &HeaderMap, record: &mut OpenRecord) {
    if let Some(sampler) = router.settings.load().sampler {
        record.write(|r| r.trace = Some(Trace::begin(&sampler, headers, r.generation)));
    }
}

impl Trace {
    /// The caller's trace when it names one that can be read, else a new one, with the id of the call's
    /// generation: whoever has one finds the other.
    fn begin(sampler: &Sampler, headers: &HeaderMap, generation: Uuid) -> Self {
        let Some(Parent { trace, span, sampled }) = Parent::read(headers) else {
            let id = generation.into_bytes();
            return Self { id, caller: None, sampled: sampler.draws(id), state: None };
        };
        let sampled = match sampler.callers {
            Callers::Followed => sampled,
            Callers::Overruled => sampler.draws(trace),
        };
        Self { id: trace, caller: Some(span), sampled, state: parent::state(headers).map(Box::new) }
    }

    /// Whether it is told of.
    pub fn sampled(&self) -> bool {
        self.sampled
    }

    /// The trace's id, as logs and headers write it.
    pub fn id(&self) -> String {
        hex(&self.id)
    }

    /// What a provider is told when it is tried for the `attempt`-th time, counted from 0.
    fn headers(&self, generation: Uuid, attempt: usize) -> Option<TraceHeaders> {
        let span = hex(&attempt_span(generation, attempt));
        let parent = format!("00-{}-{span}-{:02x}", hex(&self.id), u8::from(self.sampled));
        let parent = HeaderValue::from_str(&parent).ok()?;
        Some(TraceHeaders { parent, state: self.state.as_deref().cloned() })
    }
}

/// What the provider of the attempt that is being made is told, if it may know.
pub fn headers_of(record: &Record) -> Option<TraceHeaders> {
    let attempt = record.attempts.len().checked_sub(1)?;
    record.trace.as_ref()?.headers(record.generation, attempt)
}

/// Hands the spans of a call over, if it is to be told of.
pub fn tell(record: &Record, spans: &Spans) {
    if let Some(trace) = record.trace.as_ref().filter(|trace| trace.sampled) {
        spans.add(1 + record.attempts.len(), || spans::of(record, trace));
    }
}

/// The span of the call itself. Ids of spans follow from the generation's random half, so that none has to be
/// kept while the call is under way.
fn call_span(generation: Uuid) -> [u8; 8] {
    span(generation, 0)
}

/// The span of the `attempt`-th try, counted from 0.
fn attempt_span(generation: Uuid, attempt: usize) -> [u8; 8] {
    span(generation, 1 + attempt as u64)
}

fn span(generation: Uuid, number: u64) -> [u8; 8] {
    let (_, random) = generation.as_u64_pair();
    let id = Rng::new(random.wrapping_add(number)).next();
    // Zero means no span.
    id.max(1).to_be_bytes()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
