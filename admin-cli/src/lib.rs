//! Operating a cluster from a terminal, through the admin API of any router: one validated, audited door.
//! Knows neither the store nor the routing.

mod cli;
mod commands;
mod config;
mod connect;
mod contexts;
mod failure;
mod import;
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
    if let Verb::Completion(args) = &cli.verb {
        return commands::completion::run(args, out);
    }
    if let Verb::Import(verb) = &cli.verb {
        return commands::import::run(verb, format, out);
    }
    if let Verb::Context(verb) = &cli.verb {
        return commands::contexts::run(verb, &cli.connection, format, out);
    }
    if let Verb::Man(args) = &cli.verb {
        return commands::man::run(args, out);
    }
    let mut admin = connect::connect(&cli.connection).await?;
    match cli.verb {
        Verb::Status(args) => commands::status::run(&mut admin, args, format, out).await,
        Verb::Get(args) => commands::get::run(&mut admin, args, format, out).await,
        Verb::Describe(args) => commands::describe::run(&mut admin, args, format, out).await,
        Verb::Drain(args) => commands::drain::run(&mut admin, args, format, out).await,
        Verb::Undrain(args) => commands::undrain::run(&mut admin, args, format, out).await,
        Verb::Weight(verb) => commands::weight::run(&mut admin, verb, format, out).await,
        Verb::Catalog(verb) => commands::catalog::run(&mut admin, verb, format, out).await,
        Verb::Explain(args) => commands::explain::run(&mut admin, args, format, out).await,
        Verb::Keys(verb) => commands::keys::run(&mut admin, verb, format, out).await,
        Verb::Withdraw(args) => commands::withdraw::withdraw(&mut admin, args, format, out).await,
        Verb::Unwithdraw(args) => commands::withdraw::restore(&mut admin, args, format, out).await,
        // These need no router, and are done by now.
        Verb::Completion(_) | Verb::Import(_) | Verb::Context(_) | Verb::Man(_) => Ok(()),
    }
}
