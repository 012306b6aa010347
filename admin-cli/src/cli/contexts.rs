//! Flags of `context` and `man`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Verbs about contexts: named clusters with how to reach them.
#[derive(Clone, Debug, Subcommand)]
pub enum ContextVerb {
    /// List the contexts
    List,
    /// Make a context the one that is used when nothing else is said
    Use(ContextArgs),
    /// Keep --endpoint, --ca, --cert and --cert-key under a name
    Set(ContextSetArgs),
    /// Forget a context
    Remove(ContextArgs),
}

/// Which context.
#[derive(Clone, Debug, Args)]
pub struct ContextArgs {
    /// Its name
    pub name: String,
}

/// Flags of `context set`.
#[derive(Clone, Debug, Args)]
pub struct ContextSetArgs {
    /// Its name
    pub name: String,
    /// The variable that has the key; the key itself is never kept
    #[arg(long, value_name = "VARIABLE", conflicts_with = "key_file")]
    pub key_env: Option<String>,
    /// The file that has the key
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

/// Flags of `man`.
#[derive(Clone, Debug, Args)]
pub struct ManArgs {
    /// Write a page for every verb into this folder; the first page alone, to the terminal, when left out
    pub folder: Option<PathBuf>,
}
