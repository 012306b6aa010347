//! A canary as the store holds it: the candidate policy, the version in force that it is compared with, its share
//! of the calls, and what ends it. What a share means is decided in `core`.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trunkline_core::canary::{AbortRules, Lot, MAX_RULE_PERMILLE, MAX_SHARE_PERMILLE};
use trunkline_core::policy::Policy;

use crate::canonical;
use crate::catalog::{check_text, is_default};
use crate::error::Problems;
use crate::load::load;
use crate::policy::PolicyDocument;

/// Hexadecimal digits of a version that make the salt of its lots.
const SALT_DIGITS: usize = 16;

/// A candidate policy that decides a share of the calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CanaryEntry {
    /// The candidate.
    pub policy: PolicyDocument,
    /// The version in force that it is compared with: under any other the candidate decides nothing.
    pub base: String,
    /// Its share of the callers, in thousandths.
    #[schemars(range(min = 1, max = 500))]
    pub share_permille: u32,
    /// Why, for whoever finds it at night.
    pub reason: String,
    /// Who said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When it began, in milliseconds since 1970.
    pub at_ms: u64,
    /// When it ends by itself, in milliseconds since 1970; never when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at_ms: Option<u64>,
    /// What ends it before.
    #[serde(default, skip_serializing_if = "is_default")]
    pub abort_on: AbortEntry,
}

/// What ends a canary before its time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AbortEntry {
    /// A larger failed share than the stable policy's, by so many thousandths of all calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_permille: Option<u32>,
    /// A higher cost of a call, by so many thousandths of the stable one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_permille: Option<u32>,
    /// A longer median time to the first content, by so many thousandths of the stable one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_content_permille: Option<u32>,
}

/// A canary in force, if its base is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// The candidate.
    pub policy: Arc<Policy>,
    /// The version that it is compared with.
    pub base: String,
    /// How sides are drawn.
    pub lot: Lot,
    /// Why.
    pub reason: String,
    /// Who said so.
    pub by: Option<String>,
    /// When it began, in milliseconds since 1970.
    pub at_ms: u64,
    /// When it ends by itself, in milliseconds since 1970; `None` for never.
    pub ends_at_ms: Option<u64>,
    /// What ends it before.
    pub abort_on: AbortRules,
}

impl Canary {
    /// Whether it should have ended by then.
    pub fn is_over(&self, now_ms: u64) -> bool {
        self.ends_at_ms.is_some_and(|end| now_ms >= end)
    }
}

/// Reads a canary, in YAML or JSON.
///
/// # Errors
/// Every mistake found, with its line.
pub fn parse(text: &str) -> Result<Canary, Problems> {
    let loaded = load::<CanaryEntry>(text)?;
    Canary::try_from(&loaded.document).map_err(|problems| loaded.locate(problems))
}

/// The candidate of a stored canary, as canonical JSON.
///
/// # Errors
/// Text that is no canary.
pub fn candidate(text: &str) -> Result<String, Problems> {
    canonical::json(&load::<CanaryEntry>(text)?.document.policy)
}

/// The policy of this canonical text as a document, to be put into a canary.
///
/// # Errors
/// Text that is not of a policy's shape.
pub fn policy_of(text: &str) -> Result<PolicyDocument, Problems> {
    Ok(load::<PolicyDocument>(text)?.document)
}

impl TryFrom<&CanaryEntry> for Canary {
    type Error = Problems;

    fn try_from(entry: &CanaryEntry) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        if !(1..=MAX_SHARE_PERMILLE).contains(&entry.share_permille) {
            let message = format!("out of range; use 1 to {MAX_SHARE_PERMILLE}");
            problems.add("share_permille", message);
        }
        check_text("reason", &entry.reason, &mut problems);
        if let Some(by) = &entry.by {
            check_text("by", by, &mut problems);
        }
        let rules = &entry.abort_on;
        for (path, rule) in [
            ("abort_on.failed_permille", rules.failed_permille),
            ("abort_on.cost_permille", rules.cost_permille),
            ("abort_on.first_content_permille", rules.first_content_permille),
        ] {
            if rule.is_some_and(|permille| permille > MAX_RULE_PERMILLE) {
                problems.add(path, format!("out of range; use at most {MAX_RULE_PERMILLE}"));
            }
        }
        problems.or(())?;
        let policy = Policy::try_from(&entry.policy)?;
        let digits = policy.version.get(..SALT_DIGITS).unwrap_or_default();
        let salt = u64::from_str_radix(digits, 16).unwrap_or_default();
        Ok(Self {
            policy: Arc::new(policy),
            base: entry.base.clone(),
            lot: Lot { salt, share_permille: entry.share_permille },
            reason: entry.reason.clone(),
            by: entry.by.clone(),
            at_ms: entry.at_ms,
            ends_at_ms: entry.ends_at_ms,
            abort_on: AbortRules {
                failed_permille: rules.failed_permille,
                cost_permille: rules.cost_permille,
                first_content_permille: rules.first_content_permille,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy;

    const TEXT: &str = r#"{"policy": {"version": 1, "aliases": {"fast": "m"}}, "base": "abc",
        "share_permille": 50, "reason": "x", "at_ms": 5, "ends_at_ms": 9}"#;

    #[test]
    fn a_canary_holds_its_candidate_and_when_it_ends() {
        let canary = parse(TEXT).unwrap();
        let written = candidate(TEXT).unwrap();
        assert_eq!(policy::parse(&written).unwrap(), *canary.policy);
        assert_eq!(policy::canonical(&written).unwrap(), written);
        assert!(!canary.is_over(8) && canary.is_over(9));
        assert_ne!(canary.lot.salt, 0);
    }

    #[test]
    fn shares_and_rules_out_of_range_are_named() {
        for (from, to, path) in [
            ("\"share_permille\": 50", "\"share_permille\": 0", "share_permille"),
            ("\"share_permille\": 50", "\"share_permille\": 501", "share_permille"),
            ("\"reason\": \"x\"", "\"reason\": \"\"", "reason"),
            (
                "\"at_ms\": 5",
                "\"at_ms\": 5, \"abort_on\": {\"cost_permille\": 10001}",
                "abort_on.cost_permille",
            ),
        ] {
            let problems = parse(&TEXT.replace(from, to)).unwrap_err();
            assert_eq!(problems.0[0].path, path);
        }
    }
}
