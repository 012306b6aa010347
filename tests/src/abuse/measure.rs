//! What floods and idle connections do to the calls of others: the same calls, in the same run, before and during
//! each. The attackers have a process of their own and come after everybody else; what they take all the same shows in
//! a control, where they flood a bare sink while the same calls go on.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use serde::Serialize;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::apart::{Floods, Part, start_sink};
use super::attacks::{Attack, CALL};
use super::memory::resident;
use super::processor::used;
use super::scheduling::Scheduling;
use crate::bench::machine::raise_open_files;
use crate::client::Line;
use crate::json::chat;
use crate::provider::Provider;
use crate::router::{Router, Setup};
use crate::times::Times;

/// Callers whose calls are measured, one call at a time each, on a connection that they keep.
const CALLERS: usize = 4;
/// A caller's pause between two calls: the machine is not to be full before the flood.
const PAUSE: Duration = Duration::from_millis(10);
/// The pause of the one who connects for each call.
const NEWCOMERS_PAUSE: Duration = Duration::from_millis(50);
/// What a stalled caller sends of its head.
const HALF_A_HEAD: &[u8] = b"GET /v1/models HTTP/1.1\r\nhost: rou";
/// The goal: the callers' 99th percentile during any flood, to that of the calm.
const MOST_RATIO: f64 = 1.5;

/// Measures what floods do to others' calls.
#[derive(Clone, Debug, Parser)]
#[command(name = "abuse")]
pub struct Options {
    /// Print the result as one line of JSON alone; otherwise a table stands before it
    #[arg(long)]
    pub json: bool,
    /// Fail where calls failed, or their 99th percentile during a flood is above 1.5 times that of the calm
    #[arg(long)]
    pub check: bool,
    /// Seconds that each phase lasts
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// How often each flood comes, between a calm phase and a control: what else the machine does is spread over all
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Connections that do nothing
    #[arg(long, default_value_t = 10_000)]
    pub idle: usize,
    /// Only this flood, and nothing idle
    #[arg(long)]
    pub only: Option<Attack>,
    /// Be one of the measurement's parts
    #[command(subcommand)]
    pub part: Option<Part>,
}

/// One flood.
#[derive(Clone, Debug, Serialize)]
struct Phase {
    name: &'static str,
    calls: usize,
    failed_calls: usize,
    p50_ms: f64,
    p99_ms: f64,
    /// To the calm phases before.
    p99_ratio: f64,
    /// The same while the flood goes to a sink: what the machine adds without the router.
    control_ratio: f64,
    /// Of calls that each open a connection, connecting included.
    newcomers_p99_ms: f64,
    /// Connections that the attackers made in a second: to the router, and to the sink.
    attacks_per_s: f64,
    control_attacks_per_s: f64,
    /// The router's processor time in percent of one processor: in the calm, and during the flood.
    calm_cpu_percent: f64,
    cpu_percent: f64,
    rss_mib: u64,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
struct Report {
    scheduling: Scheduling,
    worst_p99_ratio: f64,
    worst_control_ratio: f64,
    failed_calls: usize,
    rss_mib_max: u64,
    phases: Vec<Phase>,
}

/// Measures, and prints; says whether the goal was met, where it is to be checked.
///
/// # Errors
/// When nothing can be printed, not enough files can be open, or `chrt` is missing.
///
/// # Panics
/// When the router does not start.
pub async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    raise_open_files()?;
    if let Some(part) = &options.part {
        return part.run().await.map(|()| ExitCode::SUCCESS);
    }
    let scheduling = Scheduling::ask()?;
    let provider = Provider::start("only").await.serving("m");
    let config = json!({"limits": {"concurrency": 1_000}});
    let router = Setup::new(&[&provider]).config(config).start().await;
    let (_process, sink) = start_sink().await;
    let (phase, rounds) = (Duration::from_secs(options.seconds), options.rounds);
    let bench = Bench { router, sink, phase, rounds, scheduling };
    calls(&bench.router, bench.phase.min(Duration::from_secs(1))).await;
    let mut phases = Vec::new();
    for attack in options.only.map_or(Attack::ALL.to_vec(), |only| vec![only]) {
        phases.push(bench.flood(attack).await);
    }
    if options.only.is_none() {
        phases.push(bench.idle(options.idle).await?);
    }
    let report = report(scheduling, phases);
    print(options, &report)?;
    Ok(if options.check && !report.meets_the_goal() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// A router whose callers are measured, and a sink.
struct Bench {
    router: Router,
    sink: SocketAddr,
    phase: Duration,
    rounds: u32,
    scheduling: Scheduling,
}

impl Bench {
    async fn calm(&self) -> Measured {
        calls(&self.router, self.phase).await
    }

    async fn flood(&self, attack: Attack) -> Phase {
        let (mut sums, mut rss) = <([Measured; 3], u64)>::default();
        for _ in 0..self.rounds {
            let calm = self.calm().await;
            let flooded = self.during(attack, self.router.public).await;
            rss = rss.max(resident(self.router.process.id()));
            let control = self.during(attack, self.sink).await;
            let round = [calm, flooded, control];
            sums.iter_mut().zip(round).for_each(|(sum, more)| sum.add(more));
        }
        phase(attack.name(), &sums, rss)
    }

    async fn during(&self, attack: Attack, target: SocketAddr) -> Measured {
        let floods = Floods::start(attack, target, self.scheduling).await;
        let measured = self.calm().await;
        let attacks = floods.stop().await;
        Measured { attacks, ..measured }
    }

    async fn idle(&self, connections: usize) -> anyhow::Result<Phase> {
        let (mut sums, mut rss) = <([Measured; 3], u64)>::default();
        for _ in 0..self.rounds {
            let calm = self.calm().await;
            let held = hold(self.router.public, connections).await?;
            let crowded = self.calm().await;
            rss = rss.max(resident(self.router.process.id()));
            drop(held);
            let held = hold(self.sink, connections).await?;
            let round = [calm, crowded, self.calm().await];
            sums.iter_mut().zip(round).for_each(|(sum, more)| sum.add(more));
            // The next calm is not to be the end of thousands of connections.
            drop(held);
            self.calm().await;
        }
        Ok(phase("idle", &sums, rss))
    }
}

/// Opens connections that do nothing; every second one is in the middle of a head.
async fn hold(target: SocketAddr, connections: usize) -> anyhow::Result<Vec<TcpStream>> {
    let mut held = Vec::new();
    for at in 0..connections {
        let mut socket = TcpStream::connect(target).await?;
        if at % 2 == 0 {
            socket.write_all(HALF_A_HEAD).await?;
        }
        held.push(socket);
    }
    Ok(held)
}

/// The calls of one phase.
#[derive(Default)]
struct Measured {
    times: Times,
    newcomers: Times,
    calls: usize,
    failed: usize,
    attacks: u64,
    seconds: f64,
    /// Processor time of the router.
    cpu: Duration,
}

impl Measured {
    fn take(&mut self, done: &[(Duration, bool)]) {
        self.calls += done.len();
        self.failed += done.iter().filter(|(_, worked)| !worked).count();
    }

    fn add(&mut self, more: Self) {
        self.times.extend(more.times);
        self.newcomers.extend(more.newcomers);
        self.calls += more.calls;
        self.failed += more.failed;
        self.attacks += more.attacks;
        self.seconds += more.seconds;
        self.cpu += more.cpu;
    }

    fn cpu_percent(&self) -> f64 {
        (self.cpu.as_secs_f64() / self.seconds * 100.0).round()
    }

    fn attacks_per_s(&self) -> f64 {
        let attacks = u32::try_from(self.attacks).map_or(f64::INFINITY, f64::from);
        (attacks / self.seconds).round()
    }

    fn ratio(&self, calm: &Self) -> f64 {
        (self.times.p99().as_secs_f64() / calm.times.p99().as_secs_f64() * 100.0).round() / 100.0
    }
}

fn phase(name: &'static str, [calm, during, control]: &[Measured; 3], rss: u64) -> Phase {
    Phase {
        name,
        calls: during.calls,
        failed_calls: during.failed + calm.failed + control.failed,
        p50_ms: during.times.p50_ms(),
        p99_ms: during.times.p99_ms(),
        p99_ratio: during.ratio(calm),
        control_ratio: control.ratio(calm),
        newcomers_p99_ms: during.newcomers.p99_ms(),
        attacks_per_s: during.attacks_per_s(),
        control_attacks_per_s: control.attacks_per_s(),
        calm_cpu_percent: calm.cpu_percent(),
        cpu_percent: during.cpu_percent(),
        rss_mib: rss >> 20,
    }
}

/// Calls for a while: some callers on connections that they keep, and one who connects for each call.
async fn calls(router: &Router, phase: Duration) -> Measured {
    let (began, cpu) = (Instant::now(), used(router.process.id()));
    let end = began + phase;
    let request = router.client().request("POST", CALL, &[], chat("m").to_string().as_bytes());
    let (mut newcomers, mut callers) = (JoinSet::new(), JoinSet::new());
    newcomers.spawn(newcomer(router.public, request.clone(), end));
    for _ in 0..CALLERS {
        callers.spawn(caller(router.public, request.clone(), end));
    }
    let mut measured = Measured::default();
    for done in callers.join_all().await {
        measured.take(&done);
        done.iter().for_each(|(time, _)| measured.times.add(*time));
    }
    for done in newcomers.join_all().await {
        measured.take(&done);
        done.iter().for_each(|(time, _)| measured.newcomers.add(*time));
    }
    measured.cpu = used(router.process.id()).saturating_sub(cpu);
    measured.seconds = began.elapsed().as_secs_f64();
    measured
}

async fn caller(router: SocketAddr, request: Vec<u8>, end: Instant) -> Vec<(Duration, bool)> {
    let (mut line, mut done) = (Line::connect(router).await, Vec::new());
    // The first call of a connection is a newcomer's: it is none of these.
    let mut is_new = true;
    while Instant::now() < end {
        let began = Instant::now();
        line.send(&request).await;
        let (reply, same) = line.exchange().await.read_on().await;
        let worked = reply.status() == 200;
        if !is_new || !worked {
            done.push((began.elapsed(), worked));
        }
        (line, is_new) = (same, false);
        tokio::time::sleep(PAUSE).await;
    }
    done
}

async fn newcomer(router: SocketAddr, request: Vec<u8>, end: Instant) -> Vec<(Duration, bool)> {
    let mut done = Vec::new();
    while Instant::now() < end {
        let began = Instant::now();
        let mut line = Line::connect(router).await;
        line.send(&request).await;
        let reply = line.exchange().await.read().await;
        done.push((began.elapsed(), reply.status() == 200));
        tokio::time::sleep(NEWCOMERS_PAUSE).await;
    }
    done
}

fn report(scheduling: Scheduling, phases: Vec<Phase>) -> Report {
    let worst = |of: fn(&Phase) -> f64| phases.iter().map(of).fold(0.0, f64::max);
    Report {
        scheduling,
        worst_p99_ratio: worst(|phase| phase.p99_ratio),
        worst_control_ratio: worst(|phase| phase.control_ratio),
        failed_calls: phases.iter().map(|phase| phase.failed_calls).sum(),
        rss_mib_max: phases.iter().map(|phase| phase.rss_mib).max().unwrap_or(0),
        phases,
    }
}

impl Report {
    fn meets_the_goal(&self) -> bool {
        self.failed_calls == 0 && self.worst_p99_ratio <= MOST_RATIO
    }
}

fn print(options: &Options, report: &Report) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if !options.json {
        for phase in &report.phases {
            let Phase { name, calls, p50_ms, p99_ms, p99_ratio, control_ratio, .. } = phase;
            let Phase { newcomers_p99_ms, attacks_per_s, control_attacks_per_s, .. } = phase;
            let Phase { calm_cpu_percent, cpu_percent, rss_mib, .. } = phase;
            writeln!(
                out,
                "{name:13} {calls:6} calls  p50 {p50_ms} ms  p99 {p99_ms} ms  ratio {p99_ratio}  control {control_ratio}  \
                 newcomers {newcomers_p99_ms} ms  attacks {attacks_per_s}/s  control {control_attacks_per_s}/s  \
                 cpu {calm_cpu_percent} % to {cpu_percent} %  {rss_mib} MiB"
            )?;
        }
    }
    writeln!(out, "{}", serde_json::to_string(report)?)?;
    Ok(())
}
