//! What the call of a case asks for, in the words of the request dialect.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trunkline_core::draw::affinity_key;
use trunkline_core::facts::{Facts, Preferences, Sort};

use crate::catalog::{CapabilityEntry, chat_only, is_chat_only, is_default, together};

/// Prompt tokens where a case does not say: a short question.
const DEFAULT_INPUT_TOKENS: u64 = 100;

/// What a call asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestEntry {
    /// The model, route or alias.
    pub model: String,
    /// More of them, in the order they may be tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// The length of the prompt, in tokens.
    #[serde(default = "input_tokens", skip_serializing_if = "is_usual_length")]
    #[schemars(extend("default" = 100))]
    pub input_tokens: u64,
    /// The longest answer asked for, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// What an endpoint must be able to do.
    #[serde(default = "chat_only", skip_serializing_if = "is_chat_only")]
    #[schemars(extend("default" = ["chat"]))]
    pub needs: Vec<CapabilityEntry>,
    /// Request parameters that it has; looked at with `require_parameters`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<String>,
    /// The session it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// What it asks of the routing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<WishesEntry>,
}

/// What a call asks of the routing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WishesEntry {
    /// Providers tried in this order; the rest follow unless `allow_fallbacks` is `false`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<String>,
    /// Providers allowed; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<String>>,
    /// Providers left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// Whether more than the first choice may be tried.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    #[schemars(extend("default" = true))]
    pub allow_fallbacks: bool,
    /// Endpoints must honour every parameter.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = false))]
    pub require_parameters: bool,
    /// Whether prompts may be trained on.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "allow"))]
    pub data_collection: DataCollectionEntry,
    /// Endpoints must keep nothing.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = false))]
    pub zdr: bool,
    /// Quantizations allowed; all when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quantizations: Vec<String>,
    /// What to sort by instead of balancing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<SortEntry>,
}

/// Whether prompts may be trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DataCollectionEntry {
    /// They may.
    #[default]
    Allow,
    /// They may not.
    Deny,
}

/// What to sort by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SortEntry {
    /// The cheapest first.
    Price,
    /// The most tokens a second first.
    Throughput,
    /// The shortest time to the first token first.
    Latency,
}

impl RequestEntry {
    /// The names that are asked for, in their order.
    pub(super) fn names(&self) -> Vec<String> {
        std::iter::once(&self.model).chain(&self.models).cloned().collect()
    }

    /// What decisions know of the call, but for its models.
    pub(super) fn facts(&self) -> Facts {
        Facts {
            models: Vec::new(),
            input_tokens: self.input_tokens,
            max_output_tokens: self.max_tokens,
            needs: together(&self.needs),
            parameters: self.parameters.clone(),
            affinity: self.session_id.as_ref().map(|session| affinity_key(session.as_bytes())),
            preferences: self.provider.as_ref().map(|wishes| Box::new(wishes.into())),
        }
    }
}

impl From<&WishesEntry> for Preferences {
    fn from(entry: &WishesEntry) -> Self {
        Self {
            order: entry.order.clone(),
            only: entry.only.clone(),
            ignore: entry.ignore.clone(),
            allow_fallbacks: entry.allow_fallbacks,
            require_parameters: entry.require_parameters,
            deny_data_collection: entry.data_collection == DataCollectionEntry::Deny,
            zero_retention: entry.zdr,
            quantizations: entry.quantizations.clone(),
            sort: entry.sort.map(|sort| match sort {
                SortEntry::Price => Sort::Price,
                SortEntry::Throughput => Sort::Throughput,
                SortEntry::Latency => Sort::Latency,
            }),
            ..Self::default()
        }
    }
}

fn input_tokens() -> u64 {
    DEFAULT_INPUT_TOKENS
}

fn is_usual_length(tokens: &u64) -> bool {
    *tokens == DEFAULT_INPUT_TOKENS
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}
