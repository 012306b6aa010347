//! One round: every phase for one gateway, in figures. Which gateways there are, and what the figures of many
//! rounds amount to, is in `mod.rs` and `report`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;

use super::load::{Kind, LoadSpec, Measured};
use super::machine::{self, Cpus};
use super::process::{Load, Server};
use super::router::Setup;

/// Connections of a busy gateway.
const BUSY_CONNECTIONS: usize = 64;
/// Content chunks of each stream.
const STREAM_CHUNKS: u32 = 200;
/// Time between paced chunks, in microseconds: 50 tokens a second, as models write.
const PACE_US: u64 = 20_000;
/// Connections over gRPC, and calls at once on each: 64 calls at once, too.
const GRPC_CONNECTIONS: usize = 4;
/// See [`GRPC_CONNECTIONS`].
const GRPC_PER_CONNECTION: usize = 16;
/// Streams that are held open.
const HELD_STREAMS: u32 = 1_000;
/// Time between chunks of a held stream, in microseconds: slow, so that memory is measured and not work.
const HELD_PACE_US: u64 = 1_000_000;
/// How long a started gateway is left alone before its idle memory is read: what starts late has started.
const SETTLE: Duration = Duration::from_millis(300);

/// How long phases last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Long enough to compare.
    Full,
    /// Long enough to see that it works.
    Quick,
}

impl Length {
    /// Warm-up and measurement of one phase, in milliseconds.
    fn times(self, kind: Kind) -> (u64, u64) {
        match (self, kind) {
            (_, Kind::Held { .. }) => (0, 500),
            (Self::Quick, Kind::Streamed { interval_us: 1.., .. }) => (500, 1_500),
            (Self::Quick, _) => (300, 700),
            (Self::Full, Kind::Streamed { interval_us: 1.., .. }) => (2_000, 6_000),
            (Self::Full, _) => (1_000, 4_000),
        }
    }

    /// Chunks of a paced stream: several streams must end within the measurement.
    fn paced_chunks(self) -> u32 {
        match self {
            Self::Full => STREAM_CHUNKS,
            Self::Quick => 25,
        }
    }
}

/// What a gateway achieved in one round, or in the middle of all rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Processor time per 1,000 whole answers, in milliseconds.
    pub cpu_ms_per_1000: f64,
    /// Whole answers a second, on 64 connections.
    pub requests_per_s: f64,
    /// Latency on 64 connections, median, in milliseconds.
    pub p50_ms: f64,
    /// Latency on 64 connections, 99th of 100, in milliseconds.
    pub p99_ms: f64,
    /// Share of its processor that the gateway used on 64 connections; well below 1, the gateway was not
    /// what limited the answers a second.
    pub busy: f64,
    /// Latency on one connection beyond that of the upstream alone, median, in milliseconds.
    pub added_p50_ms: f64,
    /// The same, 99th of 100.
    pub added_p99_ms: f64,
    /// Content chunks a second, streams as fast as they are taken.
    pub sse_chunks_per_s: f64,
    /// Processor time per paced content chunk, in microseconds.
    pub sse_paced_cpu_us_per_chunk: f64,
    /// Time to the first content beyond that of the upstream alone, paced, median, in milliseconds.
    pub added_ttft_ms: f64,
    /// Memory per held stream beyond the idle gateway's, in KiB.
    pub kib_per_open_stream: f64,
    /// Resident memory of the idle gateway, in MiB.
    pub idle_mib: f64,
    /// From the start of the process to its first answer, in milliseconds.
    pub cold_start_ms: f64,
    /// Processor time per 1,000 answers over gRPC, in milliseconds.
    pub grpc_cpu_ms_per_1000: f64,
    /// Answers a second over gRPC.
    pub grpc_requests_per_s: f64,
}

/// What is measured.
#[derive(Clone, Debug)]
pub enum Gateway {
    /// The router, by its program.
    Router(PathBuf),
    /// The yardsticks.
    Minimal,
}

/// What every phase needs.
#[derive(Debug)]
pub struct Bench {
    /// This program.
    pub program: PathBuf,
    /// Who runs where.
    pub cpus: Cpus,
    /// How long phases last.
    pub length: Length,
    /// The upstream of every gateway.
    pub upstream: Server,
    /// What others took of the machine.
    pub noise: Noise,
}

/// What the upstream does alone: the zero of what gateways add.
#[derive(Clone, Copy, Debug)]
pub struct Direct {
    alone: Measured,
    paced: Measured,
}

/// One phase's figures.
struct Phase {
    measured: Measured,
    cpu: Duration,
}

impl Phase {
    fn cpu_us_per(&self, count: u64) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / count as f64
    }

    fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.measured.seconds
    }
}

/// What other processes and the hypervisor took while measuring.
#[derive(Clone, Copy, Debug, Default)]
pub struct Noise {
    taken: f64,
    seconds: f64,
}

impl Noise {
    /// The share of one processor.
    pub fn cores(self) -> f64 {
        if self.seconds > 0.0 { self.taken / self.seconds } else { 0.0 }
    }
}

impl Bench {
    /// Measures the upstream alone.
    ///
    /// # Errors
    /// A wrong answer.
    pub fn direct(&mut self) -> anyhow::Result<Direct> {
        let paced = self.paced();
        let alone = self.upstream_phase(Kind::Whole, 1)?;
        Ok(Direct { alone, paced: self.upstream_phase(paced, BUSY_CONNECTIONS)? })
    }

    /// Measures one gateway, started anew in `folder`, which is empty.
    ///
    /// # Errors
    /// A gateway that does not start, and any wrong answer.
    pub fn gateway(
        &mut self,
        gateway: &Gateway,
        direct: &Direct,
        folder: &Path,
    ) -> anyhow::Result<Figures> {
        let begun = Instant::now();
        let mut server = self.start(gateway, folder)?;
        let answered = server.wait_for_an_answer();
        let cold_start_ms = begun.elapsed().as_secs_f64() * 1e3;
        let figures = answered.and_then(|()| self.figures(gateway, direct, &server));
        let figures = figures.with_context(|| format!("{gateway:?}\n{}", server.last_words()))?;
        Ok(Figures { cold_start_ms, ..figures })
    }

    /// All but the cold start.
    fn figures(
        &mut self,
        gateway: &Gateway,
        direct: &Direct,
        server: &Server,
    ) -> anyhow::Result<Figures> {
        let (idle_mib, kib_per_open_stream) = self.memory(server)?;
        let busy = self.phase(server, Kind::Whole, BUSY_CONNECTIONS)?;
        let alone = self.phase(server, Kind::Whole, 1)?.measured.latency;
        let flat_out = Kind::Streamed { chunks: STREAM_CHUNKS, interval_us: 0 };
        let flat_out = self.phase(server, flat_out, BUSY_CONNECTIONS)?;
        let paced = self.phase(server, self.paced(), BUSY_CONNECTIONS)?;
        let grpc = self.grpc(gateway, server)?;
        let calls = busy.measured.calls;
        Ok(Figures {
            cpu_ms_per_1000: busy.cpu_us_per(calls),
            requests_per_s: busy.per_second(calls),
            p50_ms: busy.measured.latency.p50_ms,
            p99_ms: busy.measured.latency.p99_ms,
            busy: busy.cpu.as_secs_f64() / busy.measured.seconds,
            added_p50_ms: alone.p50_ms - direct.alone.latency.p50_ms,
            added_p99_ms: alone.p99_ms - direct.alone.latency.p99_ms,
            sse_chunks_per_s: flat_out.per_second(flat_out.measured.chunks),
            sse_paced_cpu_us_per_chunk: paced.cpu_us_per(paced.measured.chunks),
            added_ttft_ms: paced.measured.first_content.p50_ms - direct.paced.first_content.p50_ms,
            kib_per_open_stream,
            idle_mib,
            grpc_cpu_ms_per_1000: grpc.cpu_us_per(grpc.measured.calls),
            grpc_requests_per_s: grpc.per_second(grpc.measured.calls),
            ..Figures::default()
        })
    }

    fn paced(&self) -> Kind {
        Kind::Streamed { chunks: self.length.paced_chunks(), interval_us: PACE_US }
    }

    fn start(&self, gateway: &Gateway, folder: &Path) -> anyhow::Result<Server> {
        match gateway {
            Gateway::Minimal => self.yardstick("minimal-proxy"),
            Gateway::Router(program) => {
                let setup = Setup::write(folder, self.upstream.address)?;
                let mut command = Command::new(&self.program);
                command.args(["launch", "--cpu", &self.cpus.gateway.to_string()]);
                command.arg(program).args(["--", "serve", "--config"]).arg(&setup.config);
                Server::start(&mut command, setup.listen, &setup.log)
            }
        }
    }

    fn yardstick(&self, part: &str) -> anyhow::Result<Server> {
        let cpu = self.cpus.gateway.to_string();
        let upstream = self.upstream.address.to_string();
        let arguments = [part, "--cpu", &cpu, "--upstream", &upstream].map(str::to_owned);
        Server::start_part(&self.program, &arguments)
    }

    /// Idle memory in MiB, and memory per held stream in KiB.
    fn memory(&mut self, server: &Server) -> anyhow::Result<(f64, f64)> {
        std::thread::sleep(SETTLE);
        let idle = server.resident_kib()?;
        let kind = Kind::Held { interval_us: HELD_PACE_US };
        let mut load = self.load(server, kind, HELD_STREAMS as usize)?;
        load.started()?;
        load.stopped()?;
        let held = server.resident_kib()?;
        load.measured()?;
        Ok((idle / 1024.0, (held - idle) / f64::from(HELD_STREAMS)))
    }

    /// The router answers on the port of HTTP; the yardstick is another program.
    fn grpc(&mut self, gateway: &Gateway, http: &Server) -> anyhow::Result<Phase> {
        let kind = Kind::Grpc { per_connection: GRPC_PER_CONNECTION };
        match gateway {
            Gateway::Router(_) => self.phase(http, kind, GRPC_CONNECTIONS),
            Gateway::Minimal => {
                let bridge = self.yardstick("grpc-bridge")?;
                self.phase(&bridge, kind, GRPC_CONNECTIONS)
            }
        }
    }

    fn load(&self, server: &Server, kind: Kind, connections: usize) -> anyhow::Result<Load> {
        let (warm_ms, measure_ms) = self.length.times(kind);
        let spec = LoadSpec { kind, target: server.address, connections, warm_ms, measure_ms };
        Load::start(&self.program, self.cpus.others, &spec)
    }

    fn phase(&mut self, server: &Server, kind: Kind, connections: usize) -> anyhow::Result<Phase> {
        let mut load = self.load(server, kind, connections)?;
        let failed = || format!("{kind:?} on {connections} connections");
        load.started().with_context(failed)?;
        let before = self.clocks(server, &load)?;
        load.stopped().with_context(failed)?;
        let after = self.clocks(server, &load)?;
        let measured = load.measured().with_context(failed)?;
        let cpu = after.gateway.saturating_sub(before.gateway);
        let ours = after.ours.saturating_sub(before.ours);
        let taken = after.machine.saturating_sub(before.machine).saturating_sub(ours);
        self.noise.taken += taken.as_secs_f64();
        self.noise.seconds += measured.seconds;
        Ok(Phase { measured, cpu })
    }

    fn upstream_phase(&mut self, kind: Kind, connections: usize) -> anyhow::Result<Measured> {
        let mut load = self.load(&self.upstream, kind, connections)?;
        load.started()?;
        load.stopped()?;
        load.measured()
    }

    fn clocks(&self, server: &Server, load: &Load) -> anyhow::Result<Clocks> {
        let gateway = server.cpu()?;
        let ours = gateway + load.cpu()? + self.upstream.cpu()?;
        Ok(Clocks { gateway, ours, machine: machine::busy()? })
    }
}

/// Processor time used so far.
struct Clocks {
    gateway: Duration,
    ours: Duration,
    machine: Duration,
}
