//! Operating a cluster from a terminal, through the admin API of any router: one validated, audited door.
//! Knows neither the store nor the routing.

mod cli;
mod commands;
mod connect;
mod failure;
mod render;
mod rows;

use std::io::Write;

pub use cli::Cli;
use cli::Verb;
pub use failure::Failure;

/// Does what the command line says, and writes the answer to `out`.
///
/// # Errors
/// What went wrong, which is also the exit code.
pub async fn run(cli: Cli, out: &mut dyn Write) -> Result<(), Failure> {
    let format = cli.output;
    let to = &cli.connection;
    // Only where it is needed: some verbs work without a router.
    let admin = || connect::connect(to);
    match cli.verb {
        Verb::Status(args) => commands::status::run(&mut admin().await?, args, format, out).await,
        Verb::Get(args) => commands::get::run(&mut admin().await?, args, format, out).await,
        Verb::Describe(args) => {
            commands::describe::run(&mut admin().await?, args, format, out).await
        }
        Verb::Drain(args) => commands::drain::run(&mut admin().await?, args, format, out).await,
        Verb::Undrain(args) => commands::undrain::run(&mut admin().await?, args, format, out).await,
        Verb::Weight(verb) => commands::weight::run(&mut admin().await?, verb, format, out).await,
        Verb::Catalog(verb) => commands::catalog::run(to, verb, format, out).await,
        Verb::Explain(args) => commands::explain::run(&mut admin().await?, args, format, out).await,
        Verb::Completion(args) => commands::completion::run(&args, out),
        Verb::Policy(verb) => commands::policy::run(to, verb, format, out).await,
        Verb::Schema(args) => commands::schema::run(&args, out),
        Verb::Dataflow(args) => {
            commands::dataflow::run(&mut admin().await?, args, format, out).await
        }
    }
}
