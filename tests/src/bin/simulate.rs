//! The program that plays simulated clusters; all of it is in the library's `sim`.

use std::process::ExitCode;

use clap::Parser;
use trunkline_tests::sim::cli::{self, Cli};

fn main() -> ExitCode {
    cli::run(&Cli::parse())
}
