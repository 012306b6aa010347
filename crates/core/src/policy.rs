//! The versioned, reviewed document that holds routes and limits, in the form decisions use.

mod access;
mod spend;

use std::collections::BTreeMap;

use crate::catalog::{Endpoint, Retention, Training};
use crate::id::{KeyId, ModelId, ProviderId};

pub use access::{Access, Network, Role};
pub use spend::{SpendLimits, Spent, Window};

/// How weights are formed for a model (see [`crate::assess`] for the formula).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Price and latency both count: α 2, β 1.
    #[default]
    Balanced,
    /// Price alone: α 3, β 0.
    Price,
    /// Latency alone: α 0, β 1 on the time to the first token.
    Latency,
    /// Throughput alone: α 0, β 1 on tokens per second.
    Throughput,
    /// Operator weights alone: α 0, β 0.
    Order,
    /// P ∝ 1/price², nothing else: $1 is nine times likelier than $3.
    InverseSquarePrice,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Balanced,
        Self::Price,
        Self::Latency,
        Self::Throughput,
        Self::Order,
        Self::InverseSquarePrice,
    ];

    /// The name in policies and explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::Price => "price",
            Self::Latency => "latency",
            Self::Throughput => "throughput",
            Self::Order => "order",
            Self::InverseSquarePrice => "inverse_square_price",
        }
    }
}

/// Deadlines of one call, in milliseconds. `None` means the documented default formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From sending the request to the first content of a stream; default clamp(3 × p99 TTFT, 10 s, 120 s).
    pub first_content_ms: Option<u64>,
    /// Between two chunks; default clamp(10 × p99 inter-token time, 15 s, 60 s).
    pub stall_ms: Option<u64>,
    /// From sending the request to the end of an answer that is not streamed.
    pub answer_ms: u64,
    /// The whole call, all attempts and the relay included.
    pub total_ms: u64,
    /// How long a stream's headers wait for content before they are sent without it.
    pub commit_after_ms: u64,
    /// Between two keep-alive comments.
    pub keep_alive_ms: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            first_content_ms: None,
            stall_ms: None,
            answer_ms: 120_000,
            total_ms: 600_000,
            commit_after_ms: 10_000,
            keep_alive_ms: 10_000,
        }
    }
}

/// How often a call may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryRules {
    /// Tries per model, the first included; 1 to 8.
    pub attempts: u8,
    /// Extra tries allowed at once, as a share of the calls in flight for the model, in percent.
    pub budget_percent: u32,
    /// Extra tries always allowed at once.
    pub budget_floor: u32,
    /// Whether an answer refused by a content filter may be tried along the caller's `models`.
    pub content_filter_falls_back: bool,
    /// Hold every answer back until it is whole, as if each call asked for assured delivery.
    pub assured: bool,
}

impl Default for RetryRules {
    fn default() -> Self {
        Self {
            attempts: 3,
            budget_percent: 20,
            budget_floor: 3,
            content_filter_falls_back: false,
            assured: false,
        }
    }
}

/// A name clients may ask for: models in the order they are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The first is what is meant; the rest are its fallback chain. Never empty.
    pub models: Vec<ModelId>,
    /// How weights are formed; `None` takes the policy's.
    pub strategy: Option<Strategy>,
    /// Deadlines of this route; `None` takes the policy's.
    pub timeouts: Option<Timeouts>,
}

/// Where prompts may go. Every rule narrows; unknown is never allowed where a rule speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DataRules {
    /// Jurisdictions allowed; `None` allows all.
    pub jurisdictions: Option<Vec<String>>,
    /// The longest retention allowed, in days; `None` allows any, unknown included.
    pub max_retention_days: Option<u32>,
    /// Endpoints that may train on prompts are excluded.
    pub no_training: bool,
}

impl DataRules {
    /// Whether prompts under these rules may reach the endpoint.
    pub fn allow(&self, endpoint: &Endpoint) -> bool {
        self.jurisdiction_allowed(endpoint)
            && self.retention_allowed(endpoint)
            && (!self.no_training || endpoint.training == Training::No)
    }

    fn jurisdiction_allowed(&self, endpoint: &Endpoint) -> bool {
        let Some(allowed) = &self.jurisdictions else { return true };
        endpoint.jurisdiction.as_ref().is_some_and(|j| allowed.contains(j))
    }

    fn retention_allowed(&self, endpoint: &Endpoint) -> bool {
        let Some(longest) = self.max_retention_days else { return true };
        match endpoint.retention {
            Retention::Zero => true,
            Retention::Days(days) => days <= longest,
            Retention::Unknown => false,
        }
    }
}

/// What the holder of one API key may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// The key's public part.
    pub key: KeyId,
    /// Models it may ask for; `None` allows all.
    pub models: Option<Vec<ModelId>>,
    /// Providers its calls may reach; `None` allows all.
    pub providers: Option<Vec<ProviderId>>,
    /// Where its prompts may go.
    pub data: DataRules,
    /// Calls at once on one router; `None` for no limit.
    pub max_concurrency: Option<u32>,
    /// Calls a minute on one router; `None` for no limit.
    pub requests_per_minute: Option<u32>,
}

impl Tenant {
    /// Whether it may ask for this model, by whatever name.
    pub fn may_ask_for(&self, model: &ModelId) -> bool {
        self.models.as_ref().is_none_or(|models| models.contains(model))
    }

    /// A key that may do everything.
    pub fn unrestricted(key: KeyId) -> Self {
        Self {
            key,
            models: None,
            providers: None,
            data: DataRules::default(),
            max_concurrency: None,
            requests_per_minute: None,
        }
    }
}

/// An API key as documents keep it: the hash, and what its holder may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Keyed BLAKE3 of the secret.
    pub hash: [u8; 32],
    /// What its holder may do.
    pub tenant: Tenant,
    /// What the key opens, when and from where.
    pub access: Access,
    /// What its calls may cost.
    pub spend: SpendLimits,
}

/// The policy in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The hash of the canonical document, in hex; empty for the built-in default.
    pub version: String,
    /// How weights are formed where a route does not say.
    pub strategy: Strategy,
    /// Names beside the catalog's own models.
    pub routes: BTreeMap<String, Route>,
    /// Deadlines where a route does not say.
    pub timeouts: Timeouts,
    /// How often a call may be tried.
    pub retry: RetryRules,
    /// Rules every call obeys, whatever its key says.
    pub data: DataRules,
    /// Request tags that may be kept for attribution; others are dropped.
    pub tags: Vec<String>,
}
