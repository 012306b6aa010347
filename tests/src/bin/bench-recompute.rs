//! The program that times a router's recomputation; all of it is in the library's `bench`.

use std::process::ExitCode;

use clap::Parser;
use trunkline_tests::bench::recompute;

/// Times what a router does with what probers publish, at 2,000 endpoints and five probers.
#[derive(Debug, Parser)]
struct Cli {
    /// Exit with 1 when verdicts and weights take longer than the goal
    #[arg(long)]
    check: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    recompute::run(Cli::parse().check)
}
