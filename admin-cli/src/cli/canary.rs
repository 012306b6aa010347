//! Flags of `policy canary`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use trunkline_core::canary::{MAX_RULE_PERMILLE, MAX_SHARE_PERMILLE};

use super::{OverruleArgs, duration};

/// Flags of `policy canary`.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct CanaryArgs {
    /// About the canary that runs
    #[command(subcommand)]
    pub verb: Option<CanaryVerb>,
    /// The candidate, in YAML or JSON; `-` reads it from the standard input
    #[arg(short, long, value_name = "FILE", required = true)]
    pub file: Option<PathBuf>,
    /// Its share of the callers, 0.1% to 50%
    #[arg(long, value_name = "PERCENT", value_parser = share, required = true)]
    pub share: Option<u32>,
    /// End it by itself after this long, for example 30m; never when left out
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub run_for: Option<Duration>,
    /// End it when the candidate's calls fail, cost or wait (first content) this much more: failed+1%, cost+20% or
    /// ttft+50%; several times for several
    #[arg(long, value_name = "WHAT+PERCENT", value_parser = rule)]
    pub abort_on: Vec<Rule>,
    /// Why, for whoever reads the history
    #[arg(long, required = true)]
    pub reason: Option<String>,
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

/// Verbs about the canary that runs.
#[derive(Clone, Debug, Subcommand)]
pub enum CanaryVerb {
    /// Show both sides' calls beside each other, over all routers
    Status,
    /// Put the candidate in force for all calls
    Promote(CanaryPromoteArgs),
    /// End it: the policy in force decides over all calls again
    Abort(CanaryAbortArgs),
}

/// Flags of `policy canary promote`.
#[derive(Clone, Debug, Args)]
pub struct CanaryPromoteArgs {
    /// Why, for whoever reads the history
    #[arg(long)]
    pub reason: String,
    /// Refuse unless this candidate runs; eight digits are enough
    #[arg(long, value_name = "VERSION")]
    pub expect_version: Option<String>,
    /// Only say what would change
    #[arg(long)]
    pub dry_run: bool,
    /// What is known already.
    #[command(flatten)]
    pub overrule: OverruleArgs,
}

/// Flags of `policy canary abort`.
#[derive(Clone, Debug, Args)]
pub struct CanaryAbortArgs {
    /// Why, for whoever reads the history
    #[arg(long)]
    pub reason: String,
    /// Only look
    #[arg(long)]
    pub dry_run: bool,
}

/// What a candidate may do worse, and by how much, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Calls that fail, of all calls.
    Failed(u32),
    /// What a call costs, of the other side's.
    Cost(u32),
    /// The median time to the first content, of the other side's.
    FirstContent(u32),
}

/// Reads `5%` or `0.5%` into thousandths.
fn permille(text: &str) -> Option<u32> {
    let (whole, tenth) = match text.strip_suffix('%')?.split_once('.') {
        Some((whole, tenth)) if tenth.len() == 1 => (whole, tenth),
        Some(_) => return None,
        None => (text.strip_suffix('%')?, "0"),
    };
    let number = |digits: &str| {
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u32>().ok()).flatten()
    };
    number(whole)?.checked_mul(10)?.checked_add(number(tenth)?)
}

fn share(text: &str) -> Result<u32, String> {
    let share = permille(text).filter(|share| (1..=MAX_SHARE_PERMILLE).contains(share));
    share.ok_or_else(|| "write 0.1% to 50%; with more than half, apply it".to_owned())
}

fn rule(text: &str) -> Result<Rule, String> {
    let form = || "write failed+1%, cost+20% or ttft+50%".to_owned();
    let (what, by) = text.split_once('+').ok_or_else(form)?;
    let by = permille(by).filter(|by| *by <= MAX_RULE_PERMILLE).ok_or_else(form)?;
    match what {
        "failed" => Ok(Rule::Failed(by)),
        "cost" => Ok(Rule::Cost(by)),
        "ttft" => Ok(Rule::FirstContent(by)),
        _ => Err(form()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, PolicyVerb, Verb};

    #[test]
    fn shares_and_rules_are_read_and_others_are_not() {
        assert_eq!([share("5%"), share("0.1%"), share("50%")], [Ok(50), Ok(1), Ok(500)]);
        for wrong in ["", "5", "0%", "50.1%", "0.05%", "-1%", "+5%", "5.%", "%"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
        assert_eq!(rule("failed+1%"), Ok(Rule::Failed(10)));
        assert_eq!(rule("cost+0%"), Ok(Rule::Cost(0)));
        assert_eq!(rule("ttft+12.5%"), Ok(Rule::FirstContent(125)));
        for wrong in ["failed", "failed+1", "speed+1%", "failed-1%", "cost+1001%"] {
            assert!(rule(wrong).is_err(), "{wrong}");
        }
    }

    fn parse(words: &[&str]) -> Option<CanaryArgs> {
        let words = [&["admin-cli", "policy", "canary"], words].concat();
        let Verb::Policy(PolicyVerb::Canary(args)) = Cli::try_parse_from(words).ok()?.verb else {
            return None;
        };
        Some(args)
    }

    #[test]
    fn a_canary_is_begun_with_a_file_or_asked_about_without_one() {
        let begun = parse(&["-f", "p.yaml", "--share", "5%", "--reason", "x"]).unwrap();
        assert_eq!((begun.share, begun.reason.as_deref()), (Some(50), Some("x")));
        assert!(parse(&["-f", "p.yaml", "--share", "5%"]).is_none(), "no reason");
        assert!(parse(&[]).is_none());
        let status = parse(&["status"]).unwrap();
        assert!(matches!(status.verb, Some(CanaryVerb::Status)) && status.file.is_none());
        assert!(parse(&["promote"]).is_none(), "no reason");
    }
}
