//! The program that seeds bugs; all of it is in the library's `mutants`.

use std::process::ExitCode;

use clap::Parser;
use trunkline_tests::mutants::run::{self, Cli};

fn main() -> anyhow::Result<ExitCode> {
    run::run(&Cli::parse())
}
