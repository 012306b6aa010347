//! The command: seeds one bug after the other and tells whether the tests caught it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::ensure;
use clap::Parser;

use super::list::{MUTANTS, Mutant, Tests};
use super::scratch::{Outcome, Scratch};

/// Seeds bugs in a copy of the project and shows that its tests catch them.
#[derive(Debug, Parser)]
#[command(name = "mutants")]
pub struct Cli {
    /// Name the bugs and do nothing
    #[arg(long)]
    pub list: bool,
    /// Seed only the bugs whose names contain this
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// When the copy cannot be made or cargo cannot be run, or tests fail without any bug.
pub fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    let wanted = |mutant: &&Mutant| {
        cli.names.is_empty() || cli.names.iter().any(|part| mutant.name.contains(part.as_str()))
    };
    let mutants: Vec<&Mutant> = MUTANTS.iter().filter(wanted).collect();
    ensure!(!mutants.is_empty(), "no seeded bug has such a name; see --list");
    if cli.list {
        mutants.iter().for_each(|mutant| println!("{:<44} {}", mutant.name, mutant.file));
        return Ok(ExitCode::SUCCESS);
    }
    let scratch = Scratch::new(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))?;
    let tests: BTreeSet<Tests> = mutants.iter().map(|mutant| mutant.tests).collect();
    for tests in &tests {
        let outcome = scratch.run(tests)?;
        ensure!(outcome == Outcome::Passed, "without any bug: {outcome:?} for {tests:?}");
    }
    println!("without any bug all tests pass; now with {} bugs, one at a time", mutants.len());
    let mut survivors = 0;
    for mutant in mutants {
        let began = Instant::now();
        let outcome = scratch.try_out(mutant)?;
        let word = match outcome {
            Outcome::Failed => "caught",
            Outcome::Endless => "caught: the tests never end",
            Outcome::Passed => "SURVIVED",
            Outcome::NotBuilt => "DOES NOT COMPILE",
            Outcome::None => "HAS NO TEST",
        };
        let caught = matches!(outcome, Outcome::Failed | Outcome::Endless);
        survivors += u32::from(!caught);
        println!("{:<44} {word} ({} s)", mutant.name, began.elapsed().as_secs());
    }
    Ok(if survivors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
