//! The router's command line. What it does is in the library.

use std::process::ExitCode;

use clap::Parser;
use router_node::config::{Cli, Source, check};
use router_node::{app, demo, dev, first_key};
use trunkline_runtime::BoxError;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a program talks to whoever started it"
)]
fn main() -> ExitCode {
    // The allocator asks for huge pages: an idle router would hold 19 MiB that it never uses. A kernel that
    // cannot be asked leaves it at that.
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_thp_disable(true);
    let done = match Cli::parse() {
        Cli::Serve(args) => Source::read(args).map_err(BoxError::from).and_then(|read| {
            let (config, source) = read;
            let threads = config.worker_threads;
            run(threads, app::serve(config, source))
        }),
        Cli::Check(args) => {
            check(&args).map_err(BoxError::from).map(|_| println!("everything is in order"))
        }
        Cli::Dev(args) => run(None, dev::run(args)),
        Cli::Demo(args) => run(None, demo::run(args)),
        Cli::Key(args) => first_key::make(&args).map(|made| {
            eprintln!("the key, shown once: {}", made.key);
            println!("{}", made.document);
        }),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("router-node: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(
    threads: Option<usize>,
    work: impl Future<Output = Result<(), BoxError>>,
) -> Result<(), BoxError> {
    let mut builder = match threads {
        Some(1) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if let Some(threads) = threads {
        builder.worker_threads(threads);
    }
    builder.enable_all().build()?.block_on(work)
}
