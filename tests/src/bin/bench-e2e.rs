//! The program of the end-to-end benchmark; all of it is in the library's `bench`.

use std::process::ExitCode;

use clap::Parser;
use trunkline_tests::bench::{self, cli::Cli};

fn main() -> anyhow::Result<ExitCode> {
    bench::run(&Cli::parse())
}
