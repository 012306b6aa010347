//! The parts of the measurement that run in processes of their own, as they would in earnest: the attackers,
//! who come after everybody else, for an attacker brings his own machine; and a sink, which does with a flood the
//! least that anything can do. They measure nothing.

use std::io::Write;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use clap::Subcommand;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use super::attacks::Attack;
use super::scheduling::Scheduling;
use crate::process::Process;

/// Connections that flood at once.
const ATTACKERS: usize = 4;
/// Pieces that one flood sends before it begins anew.
const PIECES: usize = 10_000;
/// What the sink reads of a connection: about as much as a router does before it ends a flood.
const SINK_BYTES: usize = 32 << 10;
/// What stands before an address or a count that a part tells.
const TELLS: &str = "told: ";

/// A part.
#[derive(Clone, Debug, Subcommand)]
pub enum Part {
    /// Floods until it is asked to end; then tells how often it connected
    #[command(hide = true)]
    Flood {
        /// How
        attack: Attack,
        /// Whom
        target: SocketAddr,
    },
    /// Accepts, reads and drops; tells where it listens
    #[command(hide = true)]
    Sink,
}

impl Part {
    /// Runs it to its end.
    ///
    /// # Errors
    /// When the system refuses what it needs.
    pub async fn run(&self) -> anyhow::Result<()> {
        // Nobody is left behind, however the measurement ends.
        set_pdeathsig(Signal::SIGKILL)?;
        match *self {
            Self::Flood { attack, target } => flood(attack, target).await,
            Self::Sink => sink().await,
        }
    }
}

/// Floods that run.
pub struct Floods(Process);

impl Floods {
    /// Starts them.
    ///
    /// # Panics
    /// When they cannot be started.
    pub async fn start(attack: Attack, target: SocketAddr, scheduling: Scheduling) -> Self {
        let mut command = scheduling.attacker();
        command.arg(own_program()).args(["flood", attack.name(), &target.to_string()]);
        let mut process = Process::start("floods", &mut command);
        process.told(|line| line.strip_prefix(TELLS).map(drop)).await;
        Self(process)
    }

    /// Ends them; says how often they connected.
    ///
    /// # Panics
    /// When they do not end well.
    pub async fn stop(self) -> u64 {
        let lines = self.0.end().await;
        let told = lines.iter().rev().find_map(|line| line.strip_prefix(TELLS)?.parse().ok());
        told.expect("floods say how often they connected")
    }
}

/// Starts a sink; it ends when it is dropped.
///
/// # Panics
/// When it cannot be started.
pub async fn start_sink() -> (Process, SocketAddr) {
    let mut process = Process::start("sink", Command::new(own_program()).arg("sink"));
    let address = process.told(|line| line.strip_prefix(TELLS)?.parse().ok()).await;
    (process, address)
}

fn own_program() -> std::path::PathBuf {
    std::env::current_exe().expect("a program knows where it is")
}

async fn flood(attack: Attack, target: SocketAddr) -> anyhow::Result<()> {
    let mut end = signal(SignalKind::terminate())?;
    tell(&0)?;
    let (count, mut floods) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
    for _ in 0..ATTACKERS {
        let count = Arc::clone(&count);
        floods.spawn(async move {
            loop {
                drop(attack.run(target, PIECES).await);
                count.fetch_add(1, Relaxed);
            }
        });
    }
    end.recv().await;
    floods.shutdown().await;
    tell(&count.load(Relaxed))
}

async fn sink() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    tell(&listener.local_addr()?)?;
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await?;
        connections.spawn(swallow(socket));
        while connections.try_join_next().is_some() {}
    }
}

async fn swallow(mut socket: TcpStream) {
    let (mut buffer, mut all) = ([0; 8 << 10], 0);
    while all < SINK_BYTES {
        match socket.read(&mut buffer).await {
            Ok(bytes @ 1..) => all += bytes,
            Ok(0) | Err(_) => return,
        }
    }
}

fn tell(what: &impl std::fmt::Display) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stderr(), "{TELLS}{what}")?)
}
