//! Flags of `import`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Whose configuration is turned into a catalog and a policy.
#[derive(Clone, Debug, Subcommand)]
pub enum ImportVerb {
    /// A LiteLLM proxy's config.yaml
    Litellm(ImportArgs),
}

/// Flags of each `import`.
#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// The configuration
    pub file: PathBuf,
    /// The folder for catalog.json and policy.json
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub into: PathBuf,
    /// Write over files that are there
    #[arg(long)]
    pub force: bool,
    /// Only say what would not be carried over
    #[arg(long)]
    pub dry_run: bool,
}
