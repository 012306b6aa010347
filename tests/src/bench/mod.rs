//! The end-to-end benchmark: the router beside minimal yardsticks, before the same upstream, in one run.
//! What the figures mean is told in `docs/benchmarks.md`. It asserts nothing but that every answer is right,
//! and with `--check` that the goals in `report` are met.

pub mod cli;
pub mod dialect;
pub mod grpc_bridge;
pub mod hosting;
pub mod load;
pub mod machine;
pub mod minimal_proxy;
pub mod parts;
pub mod process;
pub mod recompute;
pub mod report;
pub mod round;
pub mod router;
pub mod upstream;

use std::io::{Write, stderr, stdout};
use std::path::Path;
use std::process::ExitCode;

use self::cli::{Cli, Options};
use self::machine::Cpus;
use self::process::Server;
use self::report::{Report, Round};
use self::round::{Bench, Gateway, Length, Noise};

/// Rounds when nobody says how many.
const ROUNDS: u32 = 5;

/// Runs the benchmark, or plays the part that the command line names.
///
/// # Errors
/// A wrong answer, a process that does not start, and what a part ended with.
pub fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    if let Some(part) = &cli.part {
        parts::play(part)?;
        return Ok(ExitCode::SUCCESS);
    }
    let options = &cli.options;
    let report = measure(options)?;
    let mut out = stdout().lock();
    if !options.json {
        writeln!(out, "{}", report.table())?;
    }
    let missed = report.missed();
    for goal in missed.iter().filter(|_| options.check) {
        writeln!(stderr(), "missed: {goal}")?;
    }
    writeln!(out, "{}", serde_json::to_string(&report)?)?;
    let failed = options.check && !missed.is_empty();
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn measure(options: &Options) -> anyhow::Result<Report> {
    let ours =
        if options.against_itself { Gateway::Minimal } else { Gateway::Router(router::program()?) };
    machine::raise_open_files()?;
    let mut bench = bench(options)?;
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { ROUNDS });
    let mut done = Vec::new();
    for number in 1..=rounds {
        writeln!(stderr(), "round {number} of {rounds}")?;
        let folder = tempfile::tempdir()?;
        // Taking turns at going first, so that neither always has the warmer machine.
        done.push(round(&mut bench, &ours, number.is_multiple_of(2), folder.path())?);
    }
    Ok(Report::new(&done, bench.noise.cores()))
}

fn bench(options: &Options) -> anyhow::Result<Bench> {
    let cpus = Cpus::choose()?;
    if !cpus.are_apart() {
        writeln!(stderr(), "one processor for all: only ratios of processor time mean anything")?;
    }
    if cfg!(debug_assertions) {
        writeln!(stderr(), "a debug build: the figures mean nothing; run it with --release")?;
    }
    let program = std::env::current_exe()?;
    let upstream = ["upstream", "--cpu", &cpus.others.to_string()].map(str::to_owned);
    let upstream = Server::start_part(&program, &upstream)?;
    let length = if options.quick { Length::Quick } else { Length::Full };
    Ok(Bench { program, cpus, length, upstream, noise: Noise::default() })
}

fn round(
    bench: &mut Bench,
    ours: &Gateway,
    minimal_first: bool,
    folder: &Path,
) -> anyhow::Result<Round> {
    let direct = bench.direct()?;
    if minimal_first {
        let minimal = bench.gateway(&Gateway::Minimal, &direct, folder)?;
        return Ok(Round { router: bench.gateway(ours, &direct, folder)?, minimal });
    }
    let router = bench.gateway(ours, &direct, folder)?;
    Ok(Round { router, minimal: bench.gateway(&Gateway::Minimal, &direct, folder)? })
}
