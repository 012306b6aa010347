//! What `core` may know about a call: sizes, needs and wishes. Never the text.

use crate::catalog::Capabilities;
use crate::id::ModelId;
use crate::money::PicoUsd;

/// One call's facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Models in the order they may be tried; the first is what was asked for. Never empty.
    pub models: Vec<ModelId>,
    /// Estimated prompt tokens.
    pub input_tokens: u64,
    /// The most answer tokens the caller asked for; `None` when it did not say.
    pub max_output_tokens: Option<u64>,
    /// What an endpoint must be able to do.
    pub needs: Capabilities,
    /// Request parameters present, by name; looked at only with `require_parameters`.
    pub parameters: Vec<String>,
    /// A hash of the session, for calls that should stay together.
    pub affinity: Option<u64>,
    /// What the caller asked of the routing; `None` for nothing.
    pub preferences: Option<Box<Preferences>>,
}

/// The caller's routing wishes (`provider` in the request body).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preferences {
    /// Providers tried in this order; the rest follow unless fallbacks are off.
    pub order: Vec<String>,
    /// Providers allowed; `None` allows all the key allows.
    pub only: Option<Vec<String>>,
    /// Providers left out.
    pub ignore: Vec<String>,
    /// Whether more than the first choice may be tried.
    pub allow_fallbacks: bool,
    /// Endpoints must honour every parameter of the request.
    pub require_parameters: bool,
    /// Endpoints must not train on prompts.
    pub deny_data_collection: bool,
    /// Endpoints must keep nothing.
    pub zero_retention: bool,
    /// Quantizations allowed; empty allows all.
    pub quantizations: Vec<String>,
    /// An attribute to sort by instead of balancing.
    pub sort: Option<Sort>,
    /// Endpoints below this many tokens a second come last.
    pub min_throughput: Option<u32>,
    /// Endpoints above this median time to the first token, in milliseconds, come last.
    pub max_latency_ms: Option<u32>,
    /// Hard price bounds.
    pub max_price: MaxPrice,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            order: Vec::new(),
            only: None,
            ignore: Vec::new(),
            allow_fallbacks: true,
            require_parameters: false,
            deny_data_collection: false,
            zero_retention: false,
            quantizations: Vec::new(),
            sort: None,
            min_throughput: None,
            max_latency_ms: None,
            max_price: MaxPrice::default(),
        }
    }
}

/// An attribute that replaces balancing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Cheapest first, for this call's shape.
    Price,
    /// Most tokens a second first.
    Throughput,
    /// Shortest time to the first token first.
    Latency,
}

/// The most a caller will pay for one unit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaxPrice {
    /// A prompt token.
    pub input: Option<PicoUsd>,
    /// An answer token.
    pub output: Option<PicoUsd>,
    /// The call.
    pub request: Option<PicoUsd>,
    /// An image.
    pub image: Option<PicoUsd>,
}
