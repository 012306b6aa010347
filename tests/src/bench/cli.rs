//! The benchmark's command line. The program also plays every part but the router, each in a process of its
//! own: those are its hidden commands.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Measures the router beside minimal yardsticks, before the same upstream, in one run.
#[derive(Debug, Parser)]
#[command(name = "bench-e2e", args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// How to measure.
    #[command(flatten)]
    pub options: Options,
    /// A part to play instead.
    #[command(subcommand)]
    pub part: Option<Part>,
}

/// How to measure.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Print the result as one line of JSON alone; otherwise a table stands before it
    #[arg(long)]
    pub json: bool,
    /// Measure once and briefly: shows that all of it works, not how fast it is
    #[arg(long)]
    pub quick: bool,
    /// How often to measure everything, the gateways taking turns; medians are reported
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: Option<u32>,
    /// Exit with 1 when a goal is missed
    #[arg(long)]
    pub check: bool,
    /// Put the yardsticks in the router's place, too: whatever differs from 1 then is the machine's noise
    #[arg(long)]
    pub against_itself: bool,
}

/// A part of the benchmark, in a process of its own.
#[derive(Clone, Debug, Subcommand)]
pub enum Part {
    /// The provider behind every gateway.
    #[command(hide = true)]
    Upstream {
        /// The processor to stay on.
        #[arg(long)]
        cpu: usize,
    },
    /// The yardstick for HTTP.
    #[command(hide = true)]
    MinimalProxy {
        /// The processor to stay on.
        #[arg(long)]
        cpu: usize,
        /// Who is called.
        #[arg(long)]
        upstream: SocketAddr,
    },
    /// The yardstick for gRPC.
    #[command(hide = true)]
    GrpcBridge {
        /// The processor to stay on.
        #[arg(long)]
        cpu: usize,
        /// Who is called.
        #[arg(long)]
        upstream: SocketAddr,
    },
    /// The load.
    #[command(hide = true)]
    Load {
        /// The processor to stay on.
        #[arg(long)]
        cpu: usize,
        /// A load's description, as JSON.
        #[arg(long)]
        spec: String,
    },
    /// Another program, on one processor and not longer than its parent.
    #[command(hide = true)]
    Launch {
        /// The processor to stay on.
        #[arg(long)]
        cpu: usize,
        /// The program.
        program: PathBuf,
        /// Its arguments.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
}
