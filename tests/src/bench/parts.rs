//! The parts that the benchmark's own program plays in child processes: it settles on its processor, and
//! serves, loads or becomes another program.

use std::future::Future;
use std::io::{Read, Write, stdin, stdout};
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::Context;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::net::TcpListener;

use super::cli::Part;
use super::{grpc_bridge, load, minimal_proxy, upstream};

/// What a server says before its address, on the first line of its standard output.
pub const LISTENING: &str = "listening on ";

/// Plays one part to its end.
///
/// # Errors
/// Whatever ends the part early.
pub fn play(part: &Part) -> anyhow::Result<()> {
    match part {
        Part::Upstream { cpu } => serve(*cpu, upstream::serve),
        Part::MinimalProxy { cpu, upstream } => {
            serve(*cpu, |listener| minimal_proxy::serve(listener, *upstream))
        }
        Part::GrpcBridge { cpu, upstream } => {
            serve(*cpu, |listener| grpc_bridge::serve(listener, *upstream))
        }
        Part::Load { cpu, spec } => {
            settle(*cpu)?;
            let spec = serde_json::from_str(spec).context("not the description of a load")?;
            one_thread()?.block_on(load::run(&spec, &mut stdout(), wait_for_the_parent))
        }
        Part::Launch { cpu, program, arguments } => {
            settle(*cpu)?;
            let failed = Command::new(program).args(arguments).exec();
            Err(failed).with_context(|| format!("cannot run {}", program.display()))
        }
    }
}

/// Stays on one processor, and ends with the parent however that ends.
fn settle(cpu: usize) -> anyhow::Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &cpus).context("cannot stay on one processor")?;
    Ok(set_pdeathsig(Signal::SIGKILL)?)
}

fn serve<F>(cpu: usize, serve: impl FnOnce(TcpListener) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    settle(cpu)?;
    one_thread()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        writeln!(stdout(), "{LISTENING}{}", listener.local_addr()?)?;
        serve(listener).await
    })
}

/// One worker, as the router has in the benchmark.
fn one_thread() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Blocks until the parent closes our standard input: it has read what it wanted to.
fn wait_for_the_parent() {
    let mut nothing = [0; 1];
    // The end of the input and a broken one mean the same: nobody waits any more.
    while matches!(stdin().read(&mut nothing), Ok(1..)) {}
}
