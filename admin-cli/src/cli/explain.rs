//! Flags of `explain`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Flags of `explain`.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ExplainArgs {
    /// A call that was not made
    #[command(subcommand)]
    pub verb: Option<ExplainVerb>,
    /// The generation id that came with the call's answer
    #[arg(required = true)]
    pub generation: Option<String>,
}

/// What else can be explained.
#[derive(Clone, Debug, Subcommand)]
pub enum ExplainVerb {
    /// Say where a call would go now; nothing is sent
    Route(ExplainRouteArgs),
}

/// Flags of `explain route`.
#[derive(Clone, Debug, Args)]
pub struct ExplainRouteArgs {
    /// The model, alias or route; the one that the request names when left out
    #[arg(long, required_unless_present = "file")]
    pub model: Option<String>,
    /// The request as its caller would send it, in JSON; a chat of usual length when left out
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The public part of the key that would call; the operator's own when left out
    #[arg(long, value_name = "KEY_ID")]
    pub for_key: Option<String>,
    /// The seed of the draws, to see the same ones again
    #[arg(long)]
    pub seed: Option<u64>,
}
