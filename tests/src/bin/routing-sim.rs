//! The routing simulator: prints the table of figures, and fails when one misses its bound.
#![expect(clippy::print_stdout, reason = "it talks to a person")]

use std::process::ExitCode;

use trunkline_tests::routing::table;

fn main() -> ExitCode {
    let lines = table::lines();
    lines.iter().for_each(|line| println!("{line}"));
    if lines.iter().all(|line| line.kept) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
