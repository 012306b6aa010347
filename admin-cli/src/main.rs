//! The operator's command line. What it does is in the library.

use std::io::{self, Write};
use std::process::ExitCode;

use admin_cli::{Cli, Failure, run};
use clap::Parser;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&Failure::Output(error)),
    };
    match runtime.block_on(run(cli, &mut anstream::stdout())) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the answer, `head` for example, has enough of it.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => report(&failure),
    }
}

/// Says what went wrong, in a terminal's second stream, and as the exit code.
fn report(failure: &Failure) -> ExitCode {
    // With that stream gone too, the exit code is all that is left to say.
    let _ = writeln!(io::stderr(), "admin-cli: {failure}");
    ExitCode::from(failure.exit_code())
}
