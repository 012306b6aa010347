//! The command line: verbs, targets, flags. What they do is in `commands`.

mod bootstrap;
mod canary;
mod contexts;
mod document;
mod duration;
mod explain;
mod import;
mod keys;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use bootstrap::{BootstrapEtcdArgs, BootstrapVerb, DoctorArgs};
pub use canary::{CanaryAbortArgs, CanaryArgs, CanaryPromoteArgs, CanaryVerb, Rule};
pub use contexts::{ContextSetArgs, ContextVerb, ManArgs};
pub use document::{
    ApplyArgs, DataflowArgs, DiffArgs, DocumentVerb, HowArgs, OverruleArgs, PlanArgs,
    PolicyTestArgs, PolicyVerb, RollbackArgs, SchemaArgs, SchemaKind, ShowArgs, ValidateArgs,
};
pub use duration::{duration, patience, rate};
pub use explain::{ExplainArgs, ExplainRouteArgs, ExplainVerb};
pub use import::{ImportArgs, ImportVerb};
pub use keys::{KeysCreateArgs, KeysRevokeArgs, KeysVerb, RoleArg};

/// Operates a Trunkline cluster, through any of its routers.
#[derive(Clone, Debug, Parser)]
#[command(name = "admin-cli", version, disable_help_subcommand = true)]
pub struct Cli {
    /// Which router.
    #[command(flatten)]
    pub connection: Connection,
    /// How answers are written
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub output: Format,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Which router, and as whom.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Connection {
    /// The admin API of any router; the context's when left out, and http://127.0.0.1:9091 without one
    #[arg(long, global = true, env = "TRUNKLINE_ENDPOINT", value_name = "URL")]
    pub endpoint: Option<String>,
    /// The key to call with; better in the environment, since others can read command lines
    #[arg(long, global = true, env = "TRUNKLINE_ADMIN_KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// Who signed the router's certificate
    #[arg(long, global = true, env = "TRUNKLINE_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Your certificate, for routers that ask for one
    #[arg(long, global = true, env = "TRUNKLINE_CERT", value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// The key of your certificate
    #[arg(long, global = true, env = "TRUNKLINE_CERT_KEY", value_name = "FILE")]
    pub cert_key: Option<PathBuf>,
    /// Which context says what no flag says; the current one when left out
    #[arg(long, global = true, env = "TRUNKLINE_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// Where contexts are kept; ~/.config/trunkline/contexts.yaml when left out
    #[arg(long, global = true, env = "TRUNKLINE_CONTEXTS", value_name = "FILE")]
    pub contexts: Option<PathBuf>,
}

/// How answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// A table with everything there is to tell.
    Wide,
    /// For programs, and people who read programs' files.
    Yaml,
}

impl Format {
    /// Whether programs read it: then all of an answer is written, and nothing else.
    pub const fn is_data(self) -> bool {
        match self {
            Self::Json | Self::Yaml => true,
            Self::Table | Self::Wide => false,
        }
    }
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Show the state of providers, endpoints, routers and probers
    Status(StatusArgs),
    /// List what there is
    Get(GetArgs),
    /// Show everything about one thing
    Describe(DescribeArgs),
    /// Take a target out: no new calls, what is in flight finishes
    Drain(DrainArgs),
    /// Let a drained target in again
    Undrain(EditArgs),
    /// Change how much of a model's traffic a target gets
    #[command(subcommand)]
    Weight(WeightVerb),
    /// Review the catalog, put it in force and roll it back
    #[command(subcommand)]
    Catalog(CatalogVerb),
    /// Say why a call went where it went
    Explain(ExplainArgs),
    /// Write the completion script of a shell
    Completion(CompletionArgs),
    /// Review the policy, put it in force and roll it back
    #[command(subcommand)]
    Policy(PolicyVerb),
    /// Write the JSON Schema of a document
    Schema(SchemaArgs),
    /// Say where prompts can go, whatever fails
    Dataflow(DataflowArgs),
    /// Wait until every router has applied a revision
    Wait(WaitArgs),
    /// Look for what is wrong, and say what to do about it; given etcd and a certificate of root, at its rights, too
    #[command(visible_alias = "check")]
    Doctor(DoctorArgs),
    /// Set up what a cluster needs before its first router starts
    #[command(subcommand)]
    Bootstrap(BootstrapVerb),
    /// Watch providers and routers live
    Top(TopArgs),
    /// Make, list and revoke API keys
    #[command(subcommand)]
    Keys(KeysVerb),
    /// Take a model out everywhere at once; its callers go on to the next model of their route
    Withdraw(EditArgs),
    /// Let a withdrawn model in again
    Unwithdraw(EditArgs),
    /// Turn another router's configuration into a catalog and a policy
    #[command(subcommand)]
    Import(ImportVerb),
    /// Keep how clusters are reached under names
    #[command(subcommand)]
    Context(ContextVerb),
    /// Write the manual pages
    Man(ManArgs),
}

/// Flags of `status`.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// Only this target: provider/NAME, model/NAME or endpoint/ID
    pub target: Option<String>,
    /// Show it again when it changes, and every second
    #[arg(short, long)]
    pub watch: bool,
}

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Who runs models.
    #[value(alias = "provider")]
    Providers,
    /// What clients ask for.
    #[value(alias = "model")]
    Models,
    /// One model at one provider in one region.
    #[value(alias = "endpoint")]
    Endpoints,
    /// What is taken out by hand.
    #[value(alias = "drain")]
    Drains,
    /// Versions of the policy.
    #[value(alias = "policies")]
    Policy,
    /// Who takes calls.
    #[value(alias = "router")]
    Routers,
    /// Who measures.
    #[value(alias = "prober")]
    Probers,
    /// Who may call.
    #[value(alias = "key")]
    Keys,
}

/// Flags of `get`.
#[derive(Clone, Debug, Args)]
pub struct GetArgs {
    /// What to list
    #[arg(value_enum)]
    pub kind: Kind,
    /// Show it again when it changes, and every second
    #[arg(short, long)]
    pub watch: bool,
}

/// Flags of `describe`.
#[derive(Clone, Debug, Args)]
pub struct DescribeArgs {
    /// What kind of thing
    #[arg(value_enum)]
    pub kind: Kind,
    /// Its id or its name, as `get` lists it
    pub name: String,
}

/// What every edit takes.
#[derive(Clone, Debug, Args)]
pub struct EditArgs {
    /// provider/NAME, model/NAME, endpoint/ID or endpoint/PROVIDER/MODEL@REGION; for drains with * for any letters
    pub target: String,
    /// How.
    #[command(flatten)]
    pub how: EditHowArgs,
}

/// Why a target is changed, and on what conditions.
#[derive(Clone, Debug, Args)]
pub struct EditHowArgs {
    /// Why, for whoever reads the history
    #[arg(long)]
    pub reason: String,
    /// Refuse when the target was changed after this revision
    #[arg(long, value_name = "REVISION")]
    pub expect_revision: Option<i64>,
    /// Only say what would change
    #[arg(long)]
    pub dry_run: bool,
    /// Do it even if a safety rule is against it
    #[arg(long)]
    pub force: bool,
}

/// Flags of `drain`.
#[derive(Clone, Debug, Args)]
pub struct DrainArgs {
    /// What, and why.
    #[command(flatten)]
    pub edit: EditArgs,
    /// Wait until it is proven on every router that nothing is in flight there, at most so long: seconds, or 10m
    #[arg(long, value_name = "SECONDS", value_parser = patience, conflicts_with = "dry_run")]
    pub wait: Option<Duration>,
    /// End the drain by itself after this long, for example 2h
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub expires: Option<Duration>,
    /// Cut streams that are still open after this long, for example 15m
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub deadline: Option<Duration>,
    /// Take the weight away step by step, for example 10%/min; all at once when left out
    #[arg(long, value_name = "PERCENT/min", value_parser = rate)]
    pub rate: Option<u32>,
}

/// Verbs about weights.
#[derive(Clone, Debug, Subcommand)]
pub enum WeightVerb {
    /// Pin the weight of an endpoint, or of all endpoints of a provider
    Set(WeightSetArgs),
    /// Return to the catalog's weight
    Reset(EditArgs),
}

/// Flags of `weight set`.
#[derive(Clone, Debug, Args)]
pub struct WeightSetArgs {
    /// provider/NAME, endpoint/ID or endpoint/PROVIDER/MODEL@REGION
    pub target: String,
    /// 0 to 1000; 0 takes it out
    #[arg(value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub weight: u32,
    /// How.
    #[command(flatten)]
    pub how: EditHowArgs,
}

/// Verbs about the catalog.
#[derive(Clone, Debug, Subcommand)]
pub enum CatalogVerb {
    /// Let through a catalog that routers hold back because it takes so much away
    Confirm(CatalogConfirmArgs),
    /// What every document can do.
    #[command(flatten)]
    Document(DocumentVerb),
}

/// Flags of `catalog confirm`.
#[derive(Clone, Debug, Args)]
pub struct CatalogConfirmArgs {
    /// How many endpoints the stored catalog has; 0 when it was deleted on purpose
    #[arg(long)]
    pub endpoints: u64,
    /// Why, for whoever reads the history
    #[arg(long)]
    pub reason: String,
    /// Only check the number
    #[arg(long)]
    pub dry_run: bool,
}

/// Flags of `completion`.
#[derive(Clone, Debug, Args)]
pub struct CompletionArgs {
    /// For which shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Flags of `wait`.
#[derive(Clone, Debug, Args)]
pub struct WaitArgs {
    /// The revision, as every edit tells it
    #[arg(long)]
    pub revision: i64,
    /// Give up after so long, naming the routers that have not applied it: seconds, or 10m
    #[arg(long, value_name = "SECONDS", value_parser = patience, default_value = "60")]
    pub timeout: Duration,
}

/// Flags of `top`.
#[derive(Clone, Debug, Args)]
pub struct TopArgs {
    /// Show one frame and end
    #[arg(long)]
    pub once: bool,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[test]
    fn the_flags_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_edit_without_a_reason_is_no_command() {
        assert!(Cli::try_parse_from(["admin-cli", "drain", "provider/a"]).is_err());
        let cli = Cli::try_parse_from(["admin-cli", "drain", "provider/a", "--reason", "x"]);
        assert!(matches!(cli.unwrap().verb, Verb::Drain(args) if args.edit.target == "provider/a"));
    }

    #[test]
    fn a_call_is_explained_by_its_id_or_before_it_is_made() {
        let parse =
            |words: &[&str]| Cli::try_parse_from([&["admin-cli", "explain"], words].concat());
        assert!(parse(&[]).is_err() && parse(&["route"]).is_err());
        let Verb::Explain(call) = parse(&["0190"]).unwrap().verb else { panic!("another verb") };
        assert_eq!(call.generation.as_deref(), Some("0190"));
        let route = parse(&["route", "--model", "m", "--for-key", "abcdefgh"]).unwrap().verb;
        let Verb::Explain(ExplainArgs { verb: Some(ExplainVerb::Route(route)), .. }) = route else {
            panic!("another verb")
        };
        assert_eq!(route.for_key.as_deref(), Some("abcdefgh"));
    }

    #[test]
    fn a_kind_may_be_named_in_the_singular() {
        let cli = Cli::try_parse_from(["admin-cli", "describe", "endpoint", "a/m@eu"]).unwrap();
        assert!(matches!(cli.verb, Verb::Describe(args) if args.kind == Kind::Endpoints));
    }
}
