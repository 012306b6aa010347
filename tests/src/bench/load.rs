//! The load: calls without a pause on a fixed number of connections, each answer checked, with the times
//! they took. It runs in a process of its own and tells its parent when measuring starts and stops, so that
//! the parent reads the gateway's clocks at the same moments.

mod grpc;
mod http;
mod marks;

use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

pub use marks::{Marks, Quantiles};

/// The most time for the calls under way when measuring stops; a paced stream takes four seconds.
const LAST_CALL: Duration = Duration::from_secs(30);
/// The most time that opening all held streams may take; a gateway that needs longer is stuck.
const HOLD_DEADLINE: Duration = Duration::from_secs(60);
/// Held streams that are opened at once: enough to be quick, too few to fill a queue of connections.
const HOLD_OPENING: usize = 32;

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Whole answers over HTTP.
    Whole,
    /// Streamed answers over HTTP, one after the other on each connection.
    Streamed {
        /// Content chunks of each.
        chunks: u32,
        /// Time between them, in microseconds; 0 for as fast as they are taken.
        interval_us: u64,
    },
    /// Streams over HTTP that are opened and kept open until the end.
    Held {
        /// Time between content chunks, in microseconds.
        interval_us: u64,
    },
    /// Whole answers over gRPC.
    Grpc {
        /// Calls at once on each connection.
        per_connection: usize,
    },
}

/// One load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadSpec {
    /// What is called.
    pub kind: Kind,
    /// Who is called.
    pub target: SocketAddr,
    /// Connections.
    pub connections: usize,
    /// How long to call before measuring, in milliseconds.
    pub warm_ms: u64,
    /// How long to measure, in milliseconds.
    pub measure_ms: u64,
}

/// What a load tells while it runs, one JSON object a line.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// Measuring starts now.
    Started,
    /// Measuring stopped just now.
    Stopped,
    /// What was measured. Held streams stay open until the load's process is told to end.
    Measured(Measured),
}

/// What was measured between start and stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Time from start to stop, in seconds.
    pub seconds: f64,
    /// Calls that ended, all of them well.
    pub calls: u64,
    /// Content chunks that arrived.
    pub chunks: u64,
    /// How long calls took.
    pub latency: Quantiles,
    /// How long calls took to their first content.
    pub first_content: Quantiles,
}

/// Runs one load and tells `events` of it, then calls `linger` while held streams are still open.
///
/// # Errors
/// The first answer that is not as it must be, and one that never comes.
pub async fn run(
    spec: &LoadSpec,
    events: &mut impl Write,
    linger: impl FnOnce(),
) -> anyhow::Result<()> {
    let mut workers = Workers::default();
    let mut started = Instant::now() + Duration::from_millis(spec.warm_ms);
    let lasting = Duration::from_millis(spec.measure_ms);
    match spec.kind {
        Kind::Held { interval_us } => {
            started = open_held(spec, interval_us, &mut workers).await?;
        }
        Kind::Whole | Kind::Streamed { .. } | Kind::Grpc { .. } => {
            spawn_callers(spec, Marks::new(started, lasting), &mut workers).await?;
        }
    }
    workers.run_until(started).await?;
    tell(events, &Event::Started)?;
    let begun = Instant::now();
    workers.run_until(started + lasting).await?;
    let seconds = begun.elapsed().as_secs_f64();
    tell(events, &Event::Stopped)?;
    let measured = match spec.kind {
        Kind::Held { .. } => Measured { seconds, ..Measured::default() },
        Kind::Whole | Kind::Streamed { .. } | Kind::Grpc { .. } => {
            Marks::sum_up(workers.all().await?, seconds)?
        }
    };
    tell(events, &Event::Measured(measured))?;
    linger();
    Ok(())
}

fn tell(events: &mut impl Write, event: &Event) -> anyhow::Result<()> {
    writeln!(events, "{}", serde_json::to_string(event)?)?;
    Ok(events.flush()?)
}

async fn spawn_callers(spec: &LoadSpec, marks: Marks, workers: &mut Workers) -> anyhow::Result<()> {
    let (target, end) = (spec.target, marks.end());
    for at in 0..spec.connections {
        let mut marks = marks.clone();
        match spec.kind {
            Kind::Whole => workers.add(async move {
                in_time(end, http::call_whole(target, &mut marks)).await?;
                Ok(marks)
            }),
            Kind::Streamed { chunks, interval_us } => {
                let script = http::script(chunks, interval_us);
                let first = first_call(spec, at);
                workers.add(async move {
                    sleep_until(first).await;
                    in_time(end, http::call_streamed(target, script, &mut marks)).await?;
                    Ok(marks)
                });
            }
            Kind::Grpc { per_connection } => {
                let channel = grpc::connect(target).await?;
                for _ in 0..per_connection {
                    let (channel, mut marks) = (channel.clone(), marks.clone());
                    workers.add(async move {
                        in_time(end, grpc::call(channel, &mut marks)).await?;
                        Ok(marks)
                    });
                }
            }
            Kind::Held { .. } => bail!("held streams are opened, not called"),
        }
    }
    Ok(())
}

/// Paced streams begin one by one over the warm-up: beginning together, their chunks would come in bursts
/// and each would wait for all others.
fn first_call(spec: &LoadSpec, at: usize) -> Instant {
    let share = at as f64 / spec.connections.max(1) as f64;
    Instant::now() + Duration::from_millis(spec.warm_ms).mul_f64(share)
}

/// A caller's work: it begins no call after `end`, and the last one must be answered soon.
async fn in_time(
    end: Instant,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let answered = timeout_at(end + LAST_CALL, work).await;
    answered.with_context(|| format!("a call was not answered in {LAST_CALL:?}"))?
}

/// Opens every held stream, and returns when each has had content.
async fn open_held(
    spec: &LoadSpec,
    interval_us: u64,
    workers: &mut Workers,
) -> anyhow::Result<Instant> {
    let (target, script) = (spec.target, http::script(u32::MAX, interval_us));
    let doors = Arc::new(Semaphore::new(HOLD_OPENING));
    let open = Arc::new(Semaphore::new(0));
    for _ in 0..spec.connections {
        let (doors, open) = (Arc::clone(&doors), Arc::clone(&open));
        workers.add(async move {
            let door = doors.acquire().await?;
            let mut door = Some(door);
            http::hold(target, script, || {
                door = None;
                open.add_permits(1);
            })
            .await
        });
    }
    let all = u32::try_from(spec.connections)?;
    let opened = timeout(HOLD_DEADLINE, async {
        tokio::select! {
            permits = open.acquire_many(all) => permits.map(drop).map_err(anyhow::Error::from),
            failed = workers.first_end() => failed,
        }
    });
    opened.await.context("not all held streams could be opened")??;
    Ok(Instant::now())
}

/// The callers of one load, each with its own marks.
#[derive(Default)]
struct Workers {
    running: JoinSet<anyhow::Result<Marks>>,
    ended: Vec<Marks>,
}

impl Workers {
    fn add(&mut self, work: impl Future<Output = anyhow::Result<Marks>> + Send + 'static) {
        self.running.spawn(work);
    }

    /// Lets the callers work until `moment`, or until one of them fails.
    async fn run_until(&mut self, moment: Instant) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = sleep_until(moment) => return Ok(()),
                Some(ended) = self.running.join_next() => self.ended.push(ended??),
            }
        }
    }

    /// The end of the first caller, which is a failure when none should end.
    async fn first_end(&mut self) -> anyhow::Result<()> {
        match self.running.join_next().await {
            Some(ended) => ended?.map(drop).and_then(|()| bail!("a held stream ended")),
            None => bail!("there is nobody to call"),
        }
    }

    async fn all(mut self) -> anyhow::Result<Vec<Marks>> {
        while let Some(ended) = self.running.join_next().await {
            self.ended.push(ended??);
        }
        ensure!(!self.ended.is_empty(), "there is nobody to call");
        Ok(self.ended)
    }
}

#[cfg(test)]
mod tests;
