//! Spans on their way to an OpenTelemetry collector: queued, put into batches and sent by OTLP. Whoever makes
//! spans never waits for any of it: when the collector is slow or away, the queue fills, and what finds it full
//! is dropped and counted. What spans say is not known here.

pub mod message;

mod link;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Uri};
use prost::Message;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use link::{Link, Trouble};
use message::{ExportRequest, KeyValue, Resource, ResourceSpans, Scope, ScopeSpans, Span};

/// Groups of spans that wait, each those of one call. At about 6 KiB a group this is 12 MiB at most.
pub const QUEUE: usize = 2_048;
/// Spans sent at once: some 0.5 MiB, well below what collectors take (4 MiB).
const BATCH_SPANS: usize = 512;
/// A span waits this long for others, at most.
const BATCH_AFTER: Duration = Duration::from_secs(1);
/// How often a batch is tried while its trouble may pass: about 15 seconds in all. A longer outage costs
/// spans: those that wait are the oldest, and the newest say what is wrong.
const TRIES: u32 = 5;
/// Before the second try; doubles before each further one.
const BACK_OFF: Duration = Duration::from_secs(1);
/// What a collector asks to wait is kept to, up to this.
const MAX_BACK_OFF: Duration = Duration::from_secs(30);
/// What is left at the end of the process may take this long.
const FINISH_WITHIN: Duration = Duration::from_secs(3);

/// Where spans go, and how.
#[derive(Clone)]
pub struct Collector {
    /// Scheme, host and port; for HTTP with the path.
    pub endpoint: Uri,
    /// How it speaks.
    pub protocol: Protocol,
    /// How `https` endpoints are checked, and who we are to them.
    pub tls: CollectorTls,
    /// Headers of each request, asked for before each batch, so that a token may change.
    pub headers: Headers,
}

/// Finds the headers of a request to the collector. They may hold secrets, so they are not kept.
pub type Headers = Arc<dyn Fn() -> Result<HeaderMap, String> + Send + Sync>;

/// How a collector speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP with protobuf bodies.
    HttpProtobuf,
}

/// TLS to a collector. All files are PEM, and are read again for every connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectorTls {
    /// Who signed its certificate; `None` for whom the system trusts.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key; `None` when it asks for none.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// What became of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The collector took them.
    Exported,
    /// The queue was full.
    Dropped,
    /// The collector refused them.
    Refused,
    /// The collector could not be reached, or did not take them in time.
    Failed,
}

/// Is told what became of how many spans.
pub type Tell = Arc<dyn Fn(Fate, u64) + Send + Sync>;

/// Where spans are handed over.
#[derive(Clone)]
pub struct Spans {
    queue: mpsc::Sender<Vec<Span>>,
    tell: Tell,
}

impl Spans {
    /// Hands over a group of about `count` spans; they are not even made when the queue is full.
    pub fn add(&self, count: usize, make: impl FnOnce() -> Vec<Span>) {
        match self.queue.try_reserve() {
            Ok(place) => place.send(make()),
            Err(_) => (self.tell)(Fate::Dropped, count as u64),
        }
    }
}

/// Sends spans; cheap to clone. The clone that outlives the task has the last of them.
#[derive(Clone)]
pub struct Exporter(Arc<Mutex<Batches>>);

impl Exporter {
    /// An exporter for a process that is described by `resource`, and the way to it. Nothing is connected yet.
    pub fn new(collector: Collector, resource: Vec<KeyValue>, tell: Tell) -> (Spans, Self) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let spans = Spans { queue: sender, tell: Arc::clone(&tell) };
        let link = Link::new(collector);
        let (waiting, batch) = (Vec::new(), None);
        let batches = Batches { queue, waiting, batch, link, resource, tell, well: true };
        (spans, Self(Arc::new(Mutex::new(batches))))
    }

    /// Sends batches until every [`Spans`] is gone.
    pub async fn run(self) {
        let mut batches = self.0.lock().await;
        while batches.collect().await {
            batches.deliver(TRIES).await;
        }
    }

    /// Sends what is left, within seconds. For the end, when [`Self::run`] was dropped.
    pub async fn finish(self) {
        let mut batches = self.0.lock().await;
        let finishing = timeout(FINISH_WITHIN, batches.deliver_all()).await;
        if finishing.is_err() {
            tracing::warn!("the collector did not take the last spans in time");
        }
    }
}

/// A batch as it is sent, and how many spans it has.
struct Batch {
    body: bytes::Bytes,
    spans: u64,
}

struct Batches {
    queue: mpsc::Receiver<Vec<Span>>,
    waiting: Vec<Span>,
    /// The one under way. It stays here until its fate is known: whoever sends it may be dropped.
    batch: Option<Batch>,
    link: Link,
    resource: Vec<KeyValue>,
    tell: Tell,
    /// The last batch was taken. Told in the log when it changes.
    well: bool,
}

impl Batches {
    /// Waits for enough spans, or for long enough after the first; `false` when no more will come.
    async fn collect(&mut self) -> bool {
        if self.batch.is_some() {
            return true;
        }
        if self.waiting.is_empty() {
            let Some(spans) = self.queue.recv().await else { return false };
            self.waiting.extend(spans);
        }
        let due = Instant::now() + BATCH_AFTER;
        while self.waiting.len() < BATCH_SPANS {
            let Ok(Some(spans)) = timeout_at(due, self.queue.recv()).await else { break };
            self.waiting.extend(spans);
        }
        true
    }

    async fn deliver_all(&mut self) {
        loop {
            while self.waiting.len() < BATCH_SPANS {
                let Ok(spans) = self.queue.try_recv() else { break };
                self.waiting.extend(spans);
            }
            if self.batch.is_none() && self.waiting.is_empty() {
                return;
            }
            self.deliver(1).await;
        }
    }

    /// Sends what waits, at most so often.
    async fn deliver(&mut self, tries: u32) {
        let waiting = &mut self.waiting;
        let batch =
            self.batch.get_or_insert_with(|| encode(std::mem::take(waiting), &self.resource));
        let mut back_off = BACK_OFF;
        let mut tried = 0;
        let fate = loop {
            tried += 1;
            match self.link.send(&batch.body).await {
                Ok(rejected) => {
                    let rejected = rejected.min(batch.spans);
                    (self.tell)(Fate::Refused, rejected);
                    break Ok(batch.spans - rejected);
                }
                Err(Trouble::Refused(why)) => break Err((Fate::Refused, why)),
                Err(Trouble::Passing { why, .. }) if tried >= tries => {
                    break Err((Fate::Failed, why));
                }
                Err(Trouble::Passing { wait, .. }) => {
                    sleep(wait.unwrap_or_default().clamp(back_off, MAX_BACK_OFF)).await;
                    back_off = (2 * back_off).min(MAX_BACK_OFF);
                }
            }
        };
        let spans = batch.spans;
        self.batch = None;
        match fate {
            Ok(taken) => (self.tell)(Fate::Exported, taken),
            Err((fate, _)) => (self.tell)(fate, spans),
        }
        self.note(fate.err().map(|(_, why)| why));
    }

    /// Logs that the collector stopped taking spans, or that it takes them again.
    fn note(&mut self, trouble: Option<String>) {
        let well = trouble.is_none();
        match trouble {
            Some(why) if self.well => {
                tracing::warn!(why, "the collector does not take spans; calls go on without them");
            }
            None if !self.well => tracing::info!("the collector takes spans again"),
            Some(_) | None => {}
        }
        self.well = well;
    }
}

fn encode(spans: Vec<Span>, resource: &[KeyValue]) -> Batch {
    let count = spans.len() as u64;
    let scope =
        Scope { name: "trunkline".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    let request = ExportRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes: resource.to_vec() }),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans }],
        }],
    };
    Batch { body: request.encode_to_vec().into(), spans: count }
}

#[cfg(test)]
mod tests;
