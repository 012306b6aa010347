//! Cases as people write them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RequestEntry;
use crate::catalog::is_default;
use crate::policy::DataEntry;

/// Calls, how providers are, and the plans that must come out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CasesDocument {
    /// The version of this format: 1.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// The file of the catalog; a relative one is looked for beside this document.
    pub catalog: String,
    /// The cases; at most 1,000.
    pub cases: Vec<CaseEntry>,
}

/// One call and its plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseEntry {
    /// What must hold, in a sentence.
    pub name: String,
    /// What is asked for.
    pub request: RequestEntry,
    /// What the caller's key may do; everything when left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub key: CaseKeyEntry,
    /// How providers and endpoints are; in good health where nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<StateEntry>,
    /// What must come out.
    pub expect: ExpectEntry,
    /// Draws once with this seed, as a record names it, instead of a hundred times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// What a key may do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseKeyEntry {
    /// Models it may ask for; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// Providers its calls may reach; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub providers: Option<Vec<String>>,
    /// Where its prompts may go.
    #[serde(default, skip_serializing_if = "is_default")]
    pub data: DataEntry,
}

/// How something is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StateEntry {
    /// `provider/<id>`, `model/<name>` or `endpoint/<provider>/<model>@<region>`.
    pub target: String,
    /// What the probers agree on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<VerdictEntry>,
    /// How the router's own breaker sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<BreakerEntry>,
    /// Taken out by an operator.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = false))]
    pub drained: bool,
    /// A pinned weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub weight: Option<u16>,
    /// The median time to the first token in milliseconds, for calls that sort by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<u32>,
    /// The median of tokens a second, for calls that sort by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_second: Option<u32>,
}

/// What the probers agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictEntry {
    /// It works.
    Up,
    /// It works badly.
    Degraded,
    /// It is down.
    Down,
    /// It refuses our credential or does not know the model.
    ConfigError,
}

/// How a router's breaker sees an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BreakerEntry {
    /// Let in.
    Admitted,
    /// One trial call is due.
    Trial,
    /// Taken out.
    Ejected,
    /// Left alone after a 429.
    Cooling,
}

/// What must come out, in every draw. Targets are written as in `states`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectEntry {
    /// The turns, one target each, in the order they are tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Vec<String>>,
    /// The first turn is at one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub first: Vec<String>,
    /// Every turn is at one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<String>,
    /// No turn is at one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub never: Vec<String>,
    /// There is no plan, for this reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedEntry>,
}

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefusedEntry {
    /// There is no such model or route.
    UnknownModel,
    /// The key may not ask for it.
    NotAllowed,
    /// Rules, wishes or states leave no endpoint.
    NothingLeft,
}

impl RefusedEntry {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownModel => "unknown_model",
            Self::NotAllowed => "not_allowed",
            Self::NothingLeft => "nothing_left",
        }
    }
}
