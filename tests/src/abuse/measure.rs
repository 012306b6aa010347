//! What floods and idle connections do to the calls of others: the same calls, in the same run, before and during
//! each. Everything runs on this one machine, so a flood also takes processor time from the callers that measure;
//! the ratio is an upper bound.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use clap::Parser;
use serde::Serialize;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::attacks::{Attack, CALL};
use super::memory::resident;
use crate::bench::machine::raise_open_files;
use crate::client::Line;
use crate::json::chat;
use crate::provider::Provider;
use crate::router::{Router, Setup};
use crate::times::Times;

/// Connections that flood at once.
const ATTACKERS: usize = 4;
/// Callers whose calls are measured, one call at a time each.
const CALLERS: usize = 4;
/// A caller's pause between two calls: the machine is not to be full before the flood.
const PAUSE: Duration = Duration::from_millis(10);
/// Pieces that one flood sends before it begins anew.
const PIECES: usize = 1_000;
/// What a stalled caller sends of its head.
const HALF_A_HEAD: &[u8] = b"GET /v1/models HTTP/1.1\r\nhost: rou";

/// Measures what floods do to others' calls.
#[derive(Clone, Debug, Parser)]
#[command(name = "abuse")]
pub struct Options {
    /// Print the result as one line of JSON alone; otherwise a table stands before it
    #[arg(long)]
    pub json: bool,
    /// Seconds that each phase lasts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// Connections that do nothing
    #[arg(long, default_value_t = 10_000)]
    pub idle: usize,
}

/// One phase.
#[derive(Clone, Debug, Serialize)]
struct Phase {
    name: &'static str,
    calls: usize,
    failed_calls: usize,
    p50_ms: f64,
    p99_ms: f64,
    /// To the calm phase before it.
    p99_ratio: f64,
    rss_mib: u64,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
struct Report {
    worst_p99_ratio: f64,
    failed_calls: usize,
    rss_mib_max: u64,
    phases: Vec<Phase>,
}

/// Measures, and prints.
///
/// # Errors
/// When nothing can be printed, or not enough files can be open.
///
/// # Panics
/// When the router does not start.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    raise_open_files()?;
    let provider = Provider::start("only").await.serving("m");
    let config = json!({"limits": {"concurrency": 1_000}});
    let router = Setup::new(&[&provider]).config(config).start().await;
    let phase = Duration::from_secs(options.seconds);
    calls(&router, phase.min(Duration::from_secs(1))).await;
    let mut phases = Vec::new();
    for attack in Attack::ALL {
        let calm = calls(&router, phase).await;
        let (stop, mut floods) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        for _ in 0..ATTACKERS {
            let (stop, public) = (Arc::clone(&stop), router.public);
            floods.spawn(async move {
                while !stop.load(Relaxed) {
                    drop(attack.run(public, PIECES).await);
                }
            });
        }
        let measured = calls(&router, phase).await;
        stop.store(true, Relaxed);
        floods.abort_all();
        while floods.join_next().await.is_some() {}
        phases.push(measured.against(&calm, attack.name(), &router));
    }
    phases.push(idle(&router, options.idle, phase).await?);
    print(options, phases)
}

async fn idle(router: &Router, connections: usize, phase: Duration) -> anyhow::Result<Phase> {
    let calm = calls(router, phase).await;
    let mut held = Vec::new();
    for at in 0..connections {
        let mut socket = TcpStream::connect(router.public).await?;
        // Every second one is in the middle of a head.
        if at % 2 == 0 {
            socket.write_all(HALF_A_HEAD).await?;
        }
        held.push(socket);
    }
    Ok(calls(router, phase).await.against(&calm, "idle", router))
}

/// The calls of one phase.
#[derive(Default)]
struct Measured {
    times: Times,
    calls: usize,
    failed: usize,
}

impl Measured {
    fn against(&self, calm: &Self, name: &'static str, router: &Router) -> Phase {
        Phase {
            name,
            calls: self.calls,
            failed_calls: self.failed + calm.failed,
            p50_ms: self.times.p50_ms(),
            p99_ms: self.times.p99_ms(),
            p99_ratio: (self.times.p99_ms() / calm.times.p99_ms() * 100.0).round() / 100.0,
            rss_mib: resident(router.process.id()) >> 20,
        }
    }
}

/// Calls for a while, each caller on a connection that it keeps.
async fn calls(router: &Router, phase: Duration) -> Measured {
    let end = Instant::now() + phase;
    let request = router.client().request("POST", CALL, &[], chat("m").to_string().as_bytes());
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (public, request) = (router.public, request.clone());
        callers.spawn(async move {
            let (mut line, mut done) = (Line::connect(public).await, Vec::new());
            while Instant::now() < end {
                let began = Instant::now();
                line.send(&request).await;
                let (reply, same) = line.exchange().await.read_on().await;
                done.push((began.elapsed(), reply.status() == 200));
                line = same;
                tokio::time::sleep(PAUSE).await;
            }
            done
        });
    }
    let mut measured = Measured::default();
    for (time, worked) in callers.join_all().await.into_iter().flatten() {
        measured.times.add(time);
        measured.calls += 1;
        measured.failed += usize::from(!worked);
    }
    measured
}

fn print(options: &Options, phases: Vec<Phase>) -> anyhow::Result<()> {
    let report = Report {
        worst_p99_ratio: phases.iter().map(|phase| phase.p99_ratio).fold(0.0, f64::max),
        failed_calls: phases.iter().map(|phase| phase.failed_calls).sum(),
        rss_mib_max: phases.iter().map(|phase| phase.rss_mib).max().unwrap_or(0),
        phases,
    };
    let mut out = std::io::stdout().lock();
    if !options.json {
        for Phase { name, calls, p50_ms, p99_ms, p99_ratio, rss_mib, .. } in &report.phases {
            writeln!(
                out,
                "{name:13} {calls:6} calls  p50 {p50_ms} ms  p99 {p99_ms} ms  ratio {p99_ratio}  {rss_mib} MiB"
            )?;
        }
    }
    writeln!(out, "{}", serde_json::to_string(&report)?)?;
    Ok(())
}
