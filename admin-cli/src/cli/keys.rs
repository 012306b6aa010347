//! Flags of `keys`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::{EditHowArgs, duration};

/// Verbs about API keys.
#[derive(Clone, Debug, Subcommand)]
pub enum KeysVerb {
    /// Make a key, which is shown once
    Create(KeysCreateArgs),
    /// List the keys
    List,
    /// Take a key out of force on every router
    Revoke(KeysRevokeArgs),
}

/// What a key may do on the admin API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// Look.
    Viewer,
    /// Look, and move traffic.
    Operator,
    /// Everything.
    Admin,
}

/// Flags of `keys create`.
#[derive(Clone, Debug, Args)]
pub struct KeysCreateArgs {
    /// Who has it and what for
    #[arg(long)]
    pub note: Option<String>,
    /// What it may do on the admin API; nothing when left out
    #[arg(long, value_enum)]
    pub role: Option<RoleArg>,
    /// When it ends, for example 90d or 12h; never when left out
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub expires: Option<Duration>,
    /// A network that it may be used from; several times for several
    #[arg(long, value_name = "CIDR")]
    pub from: Vec<String>,
    /// A model that it may ask for; several times for several, all when left out
    #[arg(long, value_name = "MODEL")]
    pub model: Vec<String>,
    /// A provider that its calls may reach; several times for several, all when left out
    #[arg(long, value_name = "PROVIDER")]
    pub provider: Vec<String>,
    /// Calls a minute on one router
    #[arg(long, value_name = "CALLS")]
    pub rpm: Option<u32>,
    /// Calls at once on one router
    #[arg(long, value_name = "CALLS")]
    pub max_concurrency: Option<u32>,
    /// What its calls may cost in a day, over all routers
    #[arg(long, value_name = "USD", value_parser = usd)]
    pub spend_day: Option<f64>,
    /// What its calls may cost in a week, from Monday
    #[arg(long, value_name = "USD", value_parser = usd)]
    pub spend_week: Option<f64>,
    /// What its calls may cost in a month
    #[arg(long, value_name = "USD", value_parser = usd)]
    pub spend_month: Option<f64>,
    /// What its calls may cost in all
    #[arg(long, value_name = "USD", value_parser = usd)]
    pub spend_lifetime: Option<f64>,
    /// A jurisdiction that its prompts may reach; several times for several
    #[arg(long, value_name = "CODE")]
    pub jurisdiction: Vec<String>,
    /// The longest that its prompts may be kept, in days
    #[arg(long, value_name = "DAYS")]
    pub max_retention_days: Option<u32>,
    /// Keep its prompts from whoever trains on them
    #[arg(long)]
    pub no_training: bool,
    /// Why, for whoever reads the history
    #[arg(long)]
    pub reason: String,
    /// Only check; make no key
    #[arg(long)]
    pub dry_run: bool,
}

/// Flags of `keys revoke`.
#[derive(Clone, Debug, Args)]
pub struct KeysRevokeArgs {
    /// The key's public part: the eight characters after tl_
    pub id: String,
    /// How.
    #[command(flatten)]
    pub how: EditHowArgs,
}

/// An amount of money: a number that is no less than nothing.
fn usd(text: &str) -> Result<f64, String> {
    let amount = text.parse::<f64>().ok().filter(|usd| usd.is_finite() && *usd >= 0.0);
    amount.ok_or_else(|| format!("`{text}` is no amount; write USD such as 10 or 2.50"))
}
