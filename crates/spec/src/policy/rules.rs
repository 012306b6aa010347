//! The parts of a policy that are numbers and switches: deadlines, retries, and where prompts may go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trunkline_core::policy::{DataRules, RetryRules, Timeouts};

use crate::catalog::is_default;
use crate::error::Problems;
use crate::names;

/// The longest deadline, in milliseconds: an hour.
const MAX_TIMEOUT_MS: u64 = 3_600_000;
/// The shortest pause between keep-alive comments, in milliseconds; shorter ones only cost.
const MIN_KEEP_ALIVE_MS: u64 = 100;
/// The most tries per model; more only lengthens an outage.
const MAX_ATTEMPTS: u32 = 8;
/// The largest floor of the retry budget.
const MAX_BUDGET_FLOOR: u32 = 10_000;
/// The longest retention that a rule can name, in days: a century.
const MAX_RETENTION_DAYS: u32 = 36_500;
/// The most jurisdictions in one rule: every country there is.
const MAX_JURISDICTIONS: usize = 256;

/// Deadlines in milliseconds, 1 to 3,600,000. What is left out keeps its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeoutsEntry {
    /// From sending the request to the first content of a stream; by default three times the measured 99th percentile, between 10 and 120 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_content_ms: Option<u64>,
    /// Between two chunks; by default ten times the measured 99th percentile, between 15 and 60 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stall_ms: Option<u64>,
    /// From sending the request to the end of an answer that is not streamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = 120_000))]
    pub answer_ms: Option<u64>,
    /// The whole call, all tries included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = 600_000))]
    pub total_ms: Option<u64>,
    /// How long a stream's headers wait for content before they are sent without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = 10_000))]
    pub commit_after_ms: Option<u64>,
    /// Between two keep-alive comments, at least 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = 10_000))]
    pub keep_alive_ms: Option<u64>,
}

impl TimeoutsEntry {
    /// These deadlines, and those of `base` where nothing is said.
    pub(super) fn over(&self, base: Timeouts) -> Timeouts {
        Timeouts {
            first_content_ms: self.first_content_ms.or(base.first_content_ms),
            stall_ms: self.stall_ms.or(base.stall_ms),
            answer_ms: self.answer_ms.unwrap_or(base.answer_ms),
            total_ms: self.total_ms.unwrap_or(base.total_ms),
            commit_after_ms: self.commit_after_ms.unwrap_or(base.commit_after_ms),
            keep_alive_ms: self.keep_alive_ms.unwrap_or(base.keep_alive_ms),
        }
    }

    pub(super) fn check(&self, path: &str, problems: &mut Problems) {
        let fields = [
            ("first_content_ms", self.first_content_ms, 1),
            ("stall_ms", self.stall_ms, 1),
            ("answer_ms", self.answer_ms, 1),
            ("total_ms", self.total_ms, 1),
            ("commit_after_ms", self.commit_after_ms, 0),
            ("keep_alive_ms", self.keep_alive_ms, MIN_KEEP_ALIVE_MS),
        ];
        for (field, value, least) in fields {
            if let Some(ms) = value
                && !(least..=MAX_TIMEOUT_MS).contains(&ms)
            {
                let message =
                    format!("{ms} is out of range; use {least} to {MAX_TIMEOUT_MS} milliseconds");
                problems.add(format!("{path}.{field}"), message);
            }
        }
    }
}

/// How often a call may be tried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryEntry {
    /// Tries per model, the first included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 8))]
    #[schemars(extend("default" = 3))]
    pub attempts: Option<u32>,
    /// Extra tries at once, as a share of the model's calls in flight, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    #[schemars(extend("default" = 20))]
    pub budget_percent: Option<u32>,
    /// Extra tries always allowed at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    #[schemars(extend("default" = 3))]
    pub budget_floor: Option<u32>,
    /// Whether a call refused by a content filter may be tried on the caller's other models.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = false))]
    pub content_filter_falls_back: bool,
    /// Holds every answer back until it is whole, so that a break at any point can be retried.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = false))]
    pub assured: bool,
}

impl RetryEntry {
    pub(super) fn admit(&self, path: &str, problems: &mut Problems) -> RetryRules {
        let base = RetryRules::default();
        let mut within =
            |field: &str, value: Option<u32>, default: u32, (least, most): (u32, u32)| {
                let value = value.unwrap_or(default);
                if !(least..=most).contains(&value) {
                    problems.add(
                        format!("{path}.{field}"),
                        format!("{value} is out of range; use {least} to {most}"),
                    );
                }
                value.clamp(least, most)
            };
        let attempts =
            within("attempts", self.attempts, u32::from(base.attempts), (1, MAX_ATTEMPTS));
        RetryRules {
            attempts: u8::try_from(attempts).unwrap_or(base.attempts),
            budget_percent: within(
                "budget_percent",
                self.budget_percent,
                base.budget_percent,
                (0, 100),
            ),
            budget_floor: within(
                "budget_floor",
                self.budget_floor,
                base.budget_floor,
                (0, MAX_BUDGET_FLOOR),
            ),
            content_filter_falls_back: self.content_filter_falls_back,
            assured: self.assured,
        }
    }
}

/// Where prompts may go. Every rule narrows; an endpoint that does not say is excluded where a rule speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataEntry {
    /// Jurisdictions allowed, such as `eu`, as the catalog writes them; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jurisdictions: Option<Vec<String>>,
    /// The longest retention allowed, in days, 0 for none at all; any when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retention_days: Option<u32>,
    /// Excludes endpoints that may train on prompts.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = false))]
    pub no_training: bool,
}

impl DataEntry {
    pub(crate) fn admit(&self, path: &str, problems: &mut Problems) -> DataRules {
        for (at, jurisdiction) in self.jurisdictions.iter().flatten().enumerate() {
            names::check(&format!("{path}.jurisdictions[{at}]"), jurisdiction, problems);
        }
        match self.jurisdictions.as_ref().map(Vec::len) {
            Some(0) => {
                let message =
                    "an empty list would exclude every endpoint; name one, or leave the key out";
                problems.add(format!("{path}.jurisdictions"), message);
            }
            Some(count) if count > MAX_JURISDICTIONS => {
                let message = format!("{count} are too many; at most {MAX_JURISDICTIONS}");
                problems.add(format!("{path}.jurisdictions"), message);
            }
            Some(_) | None => {}
        }
        if let Some(days) = self.max_retention_days
            && days > MAX_RETENTION_DAYS
        {
            let message = format!("{days} is out of range; use 0 to {MAX_RETENTION_DAYS} days");
            problems.add(format!("{path}.max_retention_days"), message);
        }
        DataRules {
            jurisdictions: self.jurisdictions.clone(),
            max_retention_days: self.max_retention_days,
            no_training: self.no_training,
        }
    }
}
