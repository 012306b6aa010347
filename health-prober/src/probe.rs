//! One probe: the same transport, dialects and failure classes as live traffic, so that it means the same.
//! It decides nothing; it reports.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};
use trunkline_core::failure::{Failure, FailureKind, Penalty};
use trunkline_core::id::EndpointId;
use trunkline_core::score::Bucket;
use trunkline_core::voter::Level;
use trunkline_core::window::Timings;
use trunkline_upstream::{Call, EventStream, Failed, Item, Room, Target, Transport};
use trunkline_wire::operation::Operation;

/// What a generation is asked: short, harmless, and answered by every model.
const PROMPT: &str = "Count upwards from one.";
/// Prompt tokens that are booked for it, chat template included.
pub const PROMPT_TOKENS: u64 = 20;
/// How long a light probe may take in all.
const LIGHT_DEADLINE: Duration = Duration::from_secs(5);
/// How long a generation may take to its first content …
const FIRST_CONTENT_DEADLINE: Duration = Duration::from_secs(15);
/// … and then to its end.
const END_DEADLINE: Duration = Duration::from_secs(30);
/// Tokens from which on a speed is worth measuring.
const MEASURABLE_CHUNKS: u32 = 8;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Connect; any answer will do.
    Connect,
    /// List the models.
    List,
    /// Generate so many tokens; an embedding instead, where the endpoint does nothing else.
    Generate {
        /// What for.
        operation: Operation,
        /// How many at most.
        tokens: u32,
    },
}

impl Probe {
    /// How far it goes.
    pub fn level(self) -> Level {
        match self {
            Self::Connect => Level::Connect,
            Self::List => Level::List,
            Self::Generate { .. } => Level::Generate,
        }
    }
}

/// A probe to send.
#[derive(Clone)]
pub struct Task {
    /// Whom it is about.
    pub endpoint: EndpointId,
    /// What to do.
    pub probe: Probe,
    /// Where to.
    pub target: Arc<Target>,
    /// Where it is written down what the answer tells of the room that is left.
    pub room: Arc<Room>,
    /// Deadlines are this many times as long: a prober in doubt of itself gives others more time.
    pub patience: u32,
}

/// How it went.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whom it is about.
    pub endpoint: EndpointId,
    /// What was done.
    pub probe: Probe,
    /// What was measured, or what went wrong.
    pub outcome: Result<Timings, Failure>,
}

/// Sends a probe and waits for its end, within its deadlines.
pub async fn run(transport: Transport, task: Task) -> Report {
    let patience = task.patience.max(1);
    let outcome = match task.probe {
        Probe::Connect => connect(&transport, &task.target, patience).await,
        Probe::List => list(&transport, &task.target, patience).await,
        Probe::Generate { operation: Operation::Embedding, .. } => {
            embed(&transport, &task, patience).await
        }
        Probe::Generate { operation, tokens } => {
            generate(&transport, &task, (operation, tokens), patience).await
        }
    };
    Report { endpoint: task.endpoint, probe: task.probe, outcome }
}

/// Any answer shows that name, TCP, TLS and HTTP work; what it says does not matter.
async fn connect(transport: &Transport, target: &Target, patience: u32) -> Outcome {
    match list(transport, target, patience).await {
        Err(failure)
            if failure.status.is_none() && failure.kind.effect().penalty == Penalty::Health =>
        {
            Err(failure)
        }
        Err(failure) if failure.kind == FailureKind::Local => Err(failure),
        Ok(_) | Err(_) => Ok(Timings::default()),
    }
}

type Outcome = Result<Timings, Failure>;

async fn list(transport: &Transport, target: &Target, patience: u32) -> Outcome {
    let deadline = Instant::now() + LIGHT_DEADLINE * patience;
    match timeout_at(deadline, transport.list_models(target, 0)).await {
        Ok(Ok(_models)) => Ok(Timings::default()),
        Ok(Err(failed)) => Err(failed.failure),
        Err(_) => Err(Failure::new(FailureKind::FirstContentTimeout)),
    }
}

async fn embed(transport: &Transport, task: &Task, patience: u32) -> Outcome {
    let body = serde_json::json!({ "model": task.target.upstream_model, "input": PROMPT });
    let started = Instant::now();
    let answer = transport.whole(call(task, Operation::Embedding, &body));
    match timeout_at(started + FIRST_CONTENT_DEADLINE * patience, answer).await {
        Ok(Ok(_answer)) => Ok(first_content(started)),
        Ok(Err(failed)) => Err(failed.failure),
        Err(_) => Err(Failure::new(FailureKind::FirstContentTimeout)),
    }
}

async fn generate(
    transport: &Transport,
    task: &Task,
    (operation, tokens): (Operation, u32),
    patience: u32,
) -> Outcome {
    let body = generation(&task.target, operation, tokens);
    let started = Instant::now();
    let first_due = started + FIRST_CONTENT_DEADLINE * patience;
    let opened = timeout_at(first_due, transport.stream(call(task, operation, &body))).await;
    let mut stream = match opened {
        Ok(stream) => stream.map_err(|failed| failed.failure)?,
        Err(_) => return Err(Failure::new(FailureKind::FirstContentTimeout)),
    };
    match timeout_at(first_due, until_content(&mut stream)).await {
        Ok(ended) => ended.map_err(|failed| failed.failure)?,
        Err(_) => return Err(Failure::new(FailureKind::FirstContentTimeout)),
    }
    let mut timings = first_content(started);
    let flowing = Instant::now();
    match timeout_at(flowing + END_DEADLINE * patience, until_end(&mut stream)).await {
        Ok(chunks) => measure(&mut timings, chunks.map_err(|f| f.failure)?, flowing.elapsed()),
        Err(_) => return Err(Failure::new(FailureKind::Stall)),
    }
    Ok(timings)
}

fn generation(target: &Target, operation: Operation, tokens: u32) -> serde_json::Value {
    let mut body = serde_json::json!({
        "model": target.upstream_model,
        "max_tokens": tokens,
        "stream": true,
    });
    let asked = match operation {
        Operation::Chat => serde_json::json!([{ "role": "user", "content": PROMPT }]),
        Operation::Completion | Operation::Embedding => PROMPT.into(),
    };
    if let Some(fields) = body.as_object_mut() {
        fields.insert(operation.prompt_field().to_owned(), asked);
    }
    body
}

fn call<'a>(task: &'a Task, operation: Operation, body: &serde_json::Value) -> Call<'a> {
    Call {
        target: &task.target,
        operation,
        credential: 0,
        body: Bytes::from(body.to_string()),
        // Nobody reads the answer's time.
        created: 0,
        room: &task.room,
        trace: None,
    }
}

/// Reads up to the first content, or to an end that makes sense without any.
async fn until_content(stream: &mut EventStream) -> Result<(), Failed> {
    while !stream.has_content() && !stream.finished() {
        if let Item::End = stream.next().await? {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads to the end; answers how many chunks with content came.
async fn until_end(stream: &mut EventStream) -> Result<u32, Failed> {
    let mut chunks = 0;
    loop {
        match stream.next().await? {
            Item::Chunk(chunk) => chunks += u32::from(chunk.scan.content),
            Item::Comment => {}
            Item::End => return Ok(chunks),
        }
    }
}

fn first_content(started: Instant) -> Timings {
    let mut timings = Timings::default();
    timings.ttft.add(Bucket::of(millis(started.elapsed())), 1);
    timings
}

/// Takes chunks for tokens: nearly all providers send one token a chunk.
fn measure(timings: &mut Timings, chunks: u32, took: Duration) {
    if chunks < MEASURABLE_CHUNKS {
        return;
    }
    let ms = u64::from(millis(took)).max(1);
    let speed = u64::from(chunks) * 1_000 / ms;
    timings.tokens_per_second.add(Bucket::of(u32::try_from(speed).unwrap_or(u32::MAX)), 1);
    let between = u32::try_from(ms / u64::from(chunks)).unwrap_or(u32::MAX);
    timings.inter_token.add(Bucket::of(between), chunks);
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}
