//! The command line of policy, catalog, schemas and dataflow.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::CanaryArgs;

/// Verbs about the policy.
#[derive(Clone, Debug, Subcommand)]
pub enum PolicyVerb {
    /// What every document can do.
    #[command(flatten)]
    Document(DocumentVerb),
    /// Try a policy on cases: what a call asks for and how providers are → the plan that must come out
    Test(PolicyTestArgs),
    /// Let a candidate decide a share of the calls, and compare
    Canary(CanaryArgs),
}

/// Verbs about a document that has versions.
#[derive(Clone, Debug, Subcommand)]
pub enum DocumentVerb {
    /// Say what is wrong with a file; needs no router
    Validate(ValidateArgs),
    /// Show how a file differs from the version in force
    Diff(DiffArgs),
    /// Show what applying a file would change: differences, traffic, rules, and where prompts could go
    Plan(PlanArgs),
    /// Put a file in force
    Apply(ApplyArgs),
    /// List the versions, the newest first
    Log,
    /// Write a version as JSON
    Show(ShowArgs),
    /// Put an earlier version in force again
    Rollback(RollbackArgs),
}

/// A document in a file.
#[derive(Clone, Debug, Args)]
pub struct FileArgs {
    /// The document, in YAML or JSON; `-` reads it from the standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
}

/// Flags of `validate`.
#[derive(Clone, Debug, Args)]
pub struct ValidateArgs {
    /// What.
    #[command(flatten)]
    pub file: FileArgs,
    /// Ask the router, too: it knows which models there are
    #[arg(long)]
    pub remote: bool,
}

/// Flags of `diff`.
#[derive(Clone, Debug, Args)]
pub struct DiffArgs {
    /// What.
    #[command(flatten)]
    pub file: FileArgs,
    /// Compare with this version instead of the one in force; eight digits are enough
    #[arg(long, value_name = "VERSION")]
    pub with: Option<String>,
}

/// What may be overruled, and said to be known.
#[derive(Clone, Debug, Args)]
pub struct OverruleArgs {
    /// Do it even if a safety rule is against it
    #[arg(long)]
    pub force: bool,
    /// Accept that prompts can go where they cannot go now
    #[arg(long)]
    pub accept_dataflow: bool,
}

/// Flags of `plan`.
#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    /// What.
    #[command(flatten)]
    pub file: FileArgs,
    /// What is known already.
    #[command(flatten)]
    pub overrule: OverruleArgs,
}

/// How a document is put in force.
#[derive(Clone, Debug, Args)]
pub struct HowArgs {
    /// Why, for whoever reads the history
    #[arg(long)]
    pub reason: String,
    /// Refuse unless this version is in force; eight digits are enough
    #[arg(long, value_name = "VERSION")]
    pub expect_head: Option<String>,
    /// Only say what would change
    #[arg(long)]
    pub dry_run: bool,
    /// What is known already.
    #[command(flatten)]
    pub overrule: OverruleArgs,
}

/// Flags of `apply`.
#[derive(Clone, Debug, Args)]
pub struct ApplyArgs {
    /// What.
    #[command(flatten)]
    pub file: FileArgs,
    /// How.
    #[command(flatten)]
    pub how: HowArgs,
}

/// Flags of `show`.
#[derive(Clone, Debug, Args)]
pub struct ShowArgs {
    /// Which version, as `log` lists it; eight digits are enough. The one in force when left out
    pub version: Option<String>,
}

/// Flags of `rollback`.
#[derive(Clone, Debug, Args)]
pub struct RollbackArgs {
    /// Which version, as `log` lists it; eight digits are enough. The one before the present when left out
    pub version: Option<String>,
    /// How.
    #[command(flatten)]
    pub how: HowArgs,
}

/// Flags of `policy test`.
#[derive(Clone, Debug, Args)]
pub struct PolicyTestArgs {
    /// The policy.
    #[command(flatten)]
    pub file: FileArgs,
    /// The cases, in YAML or JSON; they name their catalog
    pub cases: PathBuf,
}

/// Flags of `schema`.
#[derive(Clone, Debug, Args)]
pub struct SchemaArgs {
    /// Of which document
    #[arg(value_enum)]
    pub of: SchemaKind,
}

/// Documents that have a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaKind {
    /// Routes, deadlines, retries and rules.
    Policy,
    /// Providers and endpoints.
    Catalog,
    /// API keys.
    Keys,
    /// Drains and pinned weights.
    Overrides,
    /// Cases for `policy test`.
    Cases,
}

/// Flags of `dataflow`.
#[derive(Clone, Debug, Args)]
pub struct DataflowArgs {
    /// Only prompts that come with this key, by its public part
    #[arg(long = "for-key", value_name = "KEY_ID")]
    pub of: Option<String>,
}
