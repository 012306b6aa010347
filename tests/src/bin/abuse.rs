//! The program that measures what floods do to others' calls; all of it is in the library's `abuse::measure`.

use std::process::ExitCode;

use clap::Parser;
use trunkline_tests::abuse::measure::{self, Options};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    measure::run(&Options::parse()).await
}
