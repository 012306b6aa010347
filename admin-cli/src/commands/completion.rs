//! `completion`: the script that teaches a shell these verbs.

use std::io::Write;

use clap::CommandFactory;

use crate::Failure;
use crate::cli::{Cli, CompletionArgs};

/// Writes the script.
///
/// # Errors
/// When `out` does not take it.
pub fn run(args: &CompletionArgs, out: &mut dyn Write) -> Result<(), Failure> {
    // Into memory first: the generator panics when a pipe is closed early.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "admin-cli", &mut script);
    Ok(out.write_all(&script)?)
}
