//! One record for every call, closed exactly once: at its end, on its failure, or when its caller leaves.
//! Closing counts it and hands it to the background; nothing is written on a call's way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, oneshot};
use trunkline_core::draw::Rng;
use trunkline_core::facts::Facts;
use trunkline_core::failure::FailureKind;
use trunkline_core::plan::Plan;
use trunkline_core::usage::{Cost, TokenCounts, cost};
use trunkline_wire::answer::FinishReason;
use trunkline_wire::error::ErrorType;
use trunkline_wire::operation::Operation;
use uuid::Uuid;

use crate::auth::KeyHolder;
use crate::canary;
use crate::telemetry::Telemetry;
use crate::traces::Trace;
use crate::view::View;

/// Records that wait for the background. At 25,000 calls a second this is a sixth of a second.
pub const QUEUE: usize = 4_096;

/// How a call came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CameBy {
    /// HTTP with JSON.
    Http,
    /// gRPC.
    Grpc,
}

impl CameBy {
    /// The name in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
        }
    }
}

/// One try at one endpoint.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Position in the snapshot's endpoints.
    pub endpoint: usize,
    /// Which credential was used.
    pub credential: usize,
    /// When it began, after the call's arrival.
    pub began_ms: u64,
    /// How long it took until it was decided: the first content, the whole answer, or the failure.
    pub took_ms: u64,
    /// How it failed; `None` when it did not.
    pub failure: Option<FailureKind>,
    /// The provider's HTTP status, if it sent one that was no success.
    pub status: Option<u16>,
    /// Parameters that the endpoint does not support and that were left out.
    pub dropped: Vec<&'static str>,
}

/// What was decided, with all that the decision depends on besides the snapshot.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The view it was drawn from.
    pub view: Arc<View>,
    /// The plan.
    pub plan: Arc<Plan>,
    /// The seed it was drawn with.
    pub seed: u64,
    /// What was known of the call.
    pub facts: Facts,
}

/// Whose counts a settlement uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// The provider's.
    Provider,
    /// Ours, by size and chunks: the provider sent none, or the stream broke before they came.
    Estimate,
}

/// What a call used, and what it costs.
#[derive(Clone, Copy, Debug)]
pub struct Settlement {
    /// Tokens.
    pub tokens: TokenCounts,
    /// Their cost.
    pub cost: Cost,
    /// Whose counts these are.
    pub counted: Counted,
}

/// What an answer says of itself.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Why it ended.
    pub finish_reason: Option<FinishReason>,
    /// The model that made it, in the provider's words; read only where a span will tell of it.
    pub model: Option<Box<str>>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With a whole answer.
    Completed,
    /// Before anything was tried.
    Rejected,
    /// After tries that all failed, or inside a stream.
    Failed,
    /// Because the caller left.
    Abandoned,
}

impl Ending {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 4] = [Self::Completed, Self::Rejected, Self::Failed, Self::Abandoned];

    /// The name in logs, metrics and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Everything about one call but its text.
#[derive(Clone, Debug)]
pub struct Record {
    /// The call's own id.
    pub generation: Uuid,
    /// The caller's id for it; `None` where it is known by ours alone.
    pub request_id: Option<Box<str>>,
    /// When it arrived.
    pub arrived: Instant,
    /// The same in milliseconds since 1970.
    pub arrived_unix_ms: u64,
    /// What it asked for.
    pub operation: Operation,
    /// How it came in.
    pub came_by: CameBy,
    /// Whether as a stream.
    pub stream: bool,
    /// Who called; `None` until authenticated.
    pub key: Option<Arc<KeyHolder>>,
    /// The model asked for.
    pub model: String,
    /// Images in its prompt.
    pub images: u64,
    /// The caller's end user.
    pub user: Option<String>,
    /// The caller's tags, allow-listed keys only.
    pub tags: Vec<(String, String)>,
    /// What was decided; `None` when it was rejected before.
    pub decision: Option<Decision>,
    /// Where its end is counted while a canary runs.
    pub counted: Option<canary::Counted>,
    /// The tries, in order.
    pub attempts: Vec<Attempt>,
    /// From arrival to the first content that was released.
    pub first_content_ms: Option<u64>,
    /// Chunks with content that were released.
    pub chunks: u64,
    /// What it used.
    pub settlement: Option<Settlement>,
    /// What the answer said of itself.
    pub told: Told,
    /// Its place in a trace; `None` when this router makes none.
    pub trace: Option<Trace>,
    /// How it ended; set on closing.
    pub ending: Ending,
    /// The error its caller saw.
    pub error: Option<ErrorType>,
    /// From arrival to the end.
    pub took_ms: u64,
}

/// What the background takes from the queue.
pub enum Entry {
    /// A closed record.
    Record(Box<Record>),
    /// Tell when everything before this was taken.
    Barrier(oneshot::Sender<()>),
}

/// Opens and closes records.
pub struct Ledger {
    telemetry: Arc<Telemetry>,
    queue: mpsc::Sender<Entry>,
    ids: Ids,
}

impl Ledger {
    /// A ledger, and the queue for its background writer.
    pub fn new(telemetry: Arc<Telemetry>) -> (Self, mpsc::Receiver<Entry>) {
        let (queue, records) = mpsc::channel(QUEUE);
        (Self { telemetry, queue, ids: Ids::new() }, records)
    }

    /// Opens the record of a call that has just arrived.
    pub fn open(
        self: &Arc<Self>,
        operation: Operation,
        came_by: CameBy,
        request_id: Option<&str>,
    ) -> OpenRecord {
        let arrived_unix_ms = unix_ms();
        let generation = self.ids.generation(arrived_unix_ms);
        let record = Record {
            generation,
            request_id: request_id.map(Box::from),
            arrived: Instant::now(),
            arrived_unix_ms,
            operation,
            came_by,
            stream: false,
            key: None,
            model: String::new(),
            images: 0,
            user: None,
            tags: Vec::new(),
            decision: None,
            counted: None,
            attempts: Vec::new(),
            first_content_ms: None,
            chunks: 0,
            settlement: None,
            told: Told::default(),
            trace: None,
            ending: Ending::Abandoned,
            error: None,
            took_ms: 0,
        };
        OpenRecord { record: Some(Box::new(record)), ledger: Arc::clone(self) }
    }

    /// A seed for one decision.
    pub fn seed(&self) -> u64 {
        self.ids.seed()
    }

    /// Waits until every record that is closed by now can be found.
    pub async fn written(&self) {
        let (reached, wait) = oneshot::channel();
        if self.queue.send(Entry::Barrier(reached)).await.is_ok() {
            // The background ends only with the process.
            let _ = wait.await;
        }
    }

    fn close(&self, mut record: Box<Record>) {
        let took = record.arrived.elapsed();
        record.took_ms = millis(took);
        self.telemetry.call_ended(record.operation, record.ending, took.as_secs_f64());
        if let Some(error) = record.error {
            self.telemetry.call_refused(error.row().name);
        }
        if let (Some(settlement), Some(lane)) = (&record.settlement, record.serving_lane()) {
            lane.meter.settled(settlement.tokens, settlement.cost.total());
            if let Some(holder) = &record.key {
                holder.spend(settlement.cost.total());
            }
        }
        if let Some(counted) = record.counted.take() {
            counted.ended(&record);
        }
        if self.queue.try_send(Entry::Record(record)).is_err() {
            self.telemetry.record_dropped();
        }
    }
}

impl Record {
    /// The endpoint of the last try.
    pub fn serving_endpoint(&self) -> Option<usize> {
        self.attempts.last().map(|attempt| attempt.endpoint)
    }

    /// The caller's id for it, or ours.
    pub fn known_as(&self) -> String {
        self.request_id.as_deref().map_or_else(|| self.generation.to_string(), str::to_owned)
    }

    /// Whether a span will tell of it.
    pub fn sampled(&self) -> bool {
        self.trace.as_ref().is_some_and(Trace::sampled)
    }

    fn serving_lane(&self) -> Option<&crate::view::Lane> {
        let endpoint = self.serving_endpoint()?;
        self.decision.as_ref()?.view.lanes.get(endpoint).map(Arc::as_ref)
    }

    /// Prices what was used at the endpoint of the last try.
    pub fn settle(&mut self, tokens: TokenCounts, counted: Counted) -> Option<Settlement> {
        let decision = self.decision.as_ref()?;
        let state = decision.view.snapshot.endpoints.get(self.serving_endpoint()?)?;
        let cost = cost(&state.endpoint.price, tokens, self.images);
        self.settlement = Some(Settlement { tokens, cost, counted });
        self.settlement
    }
}

/// A record that is still open. Dropping it closes it as abandoned: whoever held it was cancelled, and that
/// happens only when the caller left.
pub struct OpenRecord {
    record: Option<Box<Record>>,
    ledger: Arc<Ledger>,
}

impl OpenRecord {
    /// The record, to write into. It is there until it is closed.
    pub fn write(&mut self, write: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut self.record {
            write(record);
        }
    }

    /// The record, to read from.
    pub fn read<T>(&self, read: impl FnOnce(&Record) -> T) -> Option<T> {
        self.record.as_deref().map(read)
    }

    /// Closes it with an answer.
    pub fn completed(mut self) {
        self.end(Ending::Completed, None);
    }

    /// Closes it with an error; it counts as rejected when nothing was tried, as failed when something was.
    pub fn failed(mut self, error: ErrorType) {
        let tried = self.record.as_ref().is_some_and(|r| !r.attempts.is_empty());
        self.end(if tried { Ending::Failed } else { Ending::Rejected }, Some(error));
    }

    fn end(&mut self, ending: Ending, error: Option<ErrorType>) {
        if let Some(mut record) = self.record.take() {
            record.ending = ending;
            record.error = error;
            self.ledger.close(record);
        }
    }
}

impl Drop for OpenRecord {
    fn drop(&mut self) {
        self.end(Ending::Abandoned, None);
    }
}

/// Ids and seeds without a system call for each: one random start, then a counter, both mixed.
struct Ids {
    start: u64,
    counter: AtomicU64,
}

impl Ids {
    fn new() -> Self {
        let (high, low) = Uuid::new_v4().as_u64_pair();
        Self { start: high ^ low.rotate_left(32), counter: AtomicU64::new(0) }
    }

    fn seed(&self) -> u64 {
        let count = self.counter.fetch_add(1, Relaxed);
        Rng::new(self.start.wrapping_add(count.wrapping_mul(0x9E37_79B9_7F4A_7C15))).next()
    }

    fn generation(&self, unix_ms: u64) -> Uuid {
        let [a, b] = [self.seed().to_le_bytes(), self.seed().to_le_bytes()];
        let mut random = [0; 10];
        for (to, from) in random.iter_mut().zip(a.into_iter().chain(b)) {
            *to = from;
        }
        uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid()
    }
}

/// A duration in whole milliseconds.
pub fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970.
pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}
