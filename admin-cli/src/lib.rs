//! Operating a cluster from a terminal, through the admin API of any router: one validated, audited door.
//! Knows neither the store nor the routing.

mod cli;
mod commands;
mod config;
mod connect;
mod contexts;
mod etcd;
mod failure;
mod import;
mod render;
mod rows;

use std::io::Write;

pub use cli::Cli;
use cli::{Format, Verb};
pub use failure::Failure;

/// Does what the command line says, and writes the answer to `out`.
///
/// # Errors
/// What went wrong, which is also the exit code.
pub async fn run(cli: Cli, out: &mut dyn Write) -> Result<(), Failure> {
    let (to, format) = (&cli.connection, cli.output);
    let refused = |failure| connect::refused(to, failure);
    match cli.verb {
        Verb::Completion(args) => commands::completion::run(&args, out),
        Verb::Schema(args) => commands::schema::run(&args, format, out),
        Verb::Import(verb) => commands::import::run(&verb, format, out),
        Verb::Context(verb) => commands::contexts::run(&verb, to, format, out),
        Verb::Bootstrap(verb) => commands::bootstrap::run(&verb, format, out).await,
        Verb::Man(args) => commands::man::run(&args, out),
        Verb::Policy(verb) => commands::policy::run(to, verb, format, out).await.map_err(refused),
        Verb::Catalog(verb) => commands::catalog::run(to, verb, format, out).await.map_err(refused),
        verb => {
            let asked = ask(&mut connect::connect(to).await?, verb, format, out).await;
            asked.map_err(refused)
        }
    }
}

/// Shows what a router knows.
async fn ask(
    admin: &mut connect::Admin,
    verb: Verb,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    match verb {
        Verb::Status(args) => commands::status::run(admin, args, format, out).await,
        Verb::Get(args) => commands::get::run(admin, args, format, out).await,
        Verb::Describe(args) => commands::describe::run(admin, args, format, out).await,
        Verb::Explain(args) => commands::explain::run(admin, args, format, out).await,
        Verb::Dataflow(args) => commands::dataflow::run(admin, args, format, out).await,
        Verb::Wait(args) => commands::wait::run(admin, args, format, out).await,
        Verb::Doctor(args) => commands::doctor::run(admin, &args, format, out).await,
        Verb::Top(args) => commands::top::run(admin, args, format, out).await,
        verb => edit(admin, verb, format, out).await,
    }
}

/// Changes something through a router.
async fn edit(
    admin: &mut connect::Admin,
    verb: Verb,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    match verb {
        Verb::Drain(args) => commands::drain::run(admin, args, format, out).await,
        Verb::Undrain(args) => commands::undrain::run(admin, args, format, out).await,
        Verb::Weight(verb) => commands::weight::run(admin, verb, format, out).await,
        Verb::Keys(verb) => commands::keys::run(admin, verb, format, out).await,
        Verb::Withdraw(args) => commands::withdraw::withdraw(admin, args, format, out).await,
        Verb::Unwithdraw(args) => commands::withdraw::restore(admin, args, format, out).await,
        verb => Err(Failure::Usage(format!("no router is asked for {verb:?}"))),
    }
}
