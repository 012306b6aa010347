//! The shapes of the catalog and account answers: models, endpoints, a generation, a key. OpenAI's fields
//! come first, so that its clients read them; what fills them is decided elsewhere.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::pico::{format_usd, parse_scaled};

/// An amount in pico-USD, written as an exact JSON number of USD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Usd(
    /// Pico-USD (10⁻¹² USD).
    pub u64,
);

/// `GET /v1/models`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelList {
    /// `"list"`.
    pub object: String,
    /// The models the caller may use.
    pub data: Vec<Model>,
}

/// One model, also `GET /v1/models/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// The name to send as `model`.
    pub id: String,
    /// `"model"`.
    pub object: String,
    /// When it entered the catalog, in seconds since 1970.
    pub created: u64,
    /// Whose model it is.
    pub owned_by: String,
    /// The name for people.
    pub name: String,
    /// The largest window any endpoint offers, in tokens.
    pub context_length: Option<u64>,
    /// The most tokens any endpoint generates in one call.
    pub max_completion_tokens: Option<u64>,
    /// What goes in and comes out.
    pub architecture: Architecture,
    /// The lowest price any endpoint asks.
    pub pricing: Pricing,
    /// The parameters that some endpoint supports.
    pub supported_parameters: Vec<String>,
}

/// What a model reads and writes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Architecture {
    /// `"text"`, `"image"`, ….
    pub input_modalities: Vec<String>,
    /// `"text"`, `"embeddings"`, ….
    pub output_modalities: Vec<String>,
}

/// Prices in USD, as decimal strings ([`format_usd`]): per token, per request and per image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pricing {
    /// Per prompt token.
    pub prompt: String,
    /// Per generated token.
    pub completion: String,
    /// Per request.
    pub request: String,
    /// Per image.
    pub image: String,
    /// Per prompt token read from a cache, where it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_cache_read: Option<String>,
    /// Per prompt token written to a cache, where it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_cache_write: Option<String>,
}

/// An answer under `data`, as the dialect wraps single things.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Data<T> {
    /// The thing itself.
    pub data: T,
}

/// `GET /v1/models/{id}/endpoints`, in [`Data`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelEndpoints {
    /// The model's id.
    pub id: String,
    /// The model's name for people.
    pub name: String,
    /// When it entered the catalog, in seconds since 1970.
    pub created: u64,
    /// Where it runs.
    pub endpoints: Vec<Endpoint>,
}

/// One endpoint of a model, as the fleet sees it now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The endpoint's id.
    pub id: String,
    /// The provider's name, as `provider.order` takes it.
    pub provider_name: String,
    /// The region it runs in.
    pub region: Option<String>,
    /// The window, in tokens.
    pub context_length: Option<u64>,
    /// The most tokens in one call.
    pub max_completion_tokens: Option<u64>,
    /// `"fp8"`, `"bf16"`, …; absent when unknown.
    pub quantization: Option<String>,
    /// The prices.
    pub pricing: Pricing,
    /// The parameters it supports.
    pub supported_parameters: Vec<String>,
    /// What the probers agree on, by name.
    pub verdict: String,
    /// Its share of the model's calls, in parts per million.
    pub weight_ppm: u32,
    /// The part of the last five minutes it was up, from 0 to 1.
    pub uptime_last_5m: Option<f64>,
    /// The part of the last half hour.
    pub uptime_last_30m: Option<f64>,
    /// The part of the last day.
    pub uptime_last_1d: Option<f64>,
    /// Time to the first content in the last half hour, in milliseconds.
    pub latency_ms_last_30m: Option<Quantiles>,
    /// Tokens per second in the last half hour.
    pub throughput_last_30m: Option<Quantiles>,
}

/// How something measured is spread.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// The 75th percentile; left out where it is not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p75: Option<f64>,
    /// The 90th percentile; left out where it is not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90: Option<f64>,
    /// The 99th percentile; left out where it is not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<f64>,
}

/// `GET /v1/generation`: everything that was recorded about one call but its text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Generation {
    /// The generation's id.
    pub id: String,
    /// The caller's id for the call, or the generation's.
    pub request_id: String,
    /// The public part of the caller's key; `None` when the call was not authenticated.
    pub key: Option<Arc<str>>,
    /// `chat`, `completion` or `embedding`.
    pub operation: Cow<'static, str>,
    /// The model asked for.
    pub requested_model: String,
    /// The model that answered.
    pub model: Option<Arc<str>>,
    /// The provider that answered.
    pub provider_name: Option<Arc<str>>,
    /// Milliseconds since 1970 at the call's arrival.
    pub created_ms: u64,
    /// How the call came in: `http` or `grpc`.
    pub transport: Cow<'static, str>,
    /// The answer was a stream.
    pub streamed: bool,
    /// `completed`, `rejected`, `failed` or `abandoned`.
    pub outcome: Cow<'static, str>,
    /// The error's type, when there was one.
    pub error_type: Option<Cow<'static, str>>,
    /// The caller's end user.
    pub user: Option<String>,
    /// The caller's tags that the policy keeps.
    pub tags: Vec<(String, String)>,
    /// Prompt tokens.
    pub tokens_prompt: u64,
    /// Answer tokens.
    pub tokens_completion: u64,
    /// Prompt tokens read from cache.
    pub tokens_cached: u64,
    /// Answer tokens spent on reasoning.
    pub tokens_reasoning: u64,
    /// The counts are ours, because the provider sent none.
    pub tokens_estimated: bool,
    /// What the call cost, in USD.
    pub total_cost: Usd,
    /// Milliseconds from arrival to the first content; `None` for an answer in one piece.
    pub latency_ms: Option<u64>,
    /// Milliseconds from arrival to the end.
    pub generation_time_ms: u64,
    /// Every try, in order.
    pub attempts: Vec<GenerationAttempt>,
    /// Why it went where it went; `None` when it was rejected before.
    pub decision: Option<GenerationDecision>,
}

/// One try.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GenerationAttempt {
    /// The endpoint, as `provider/model@region`.
    pub endpoint: Arc<str>,
    /// The endpoint's id.
    pub endpoint_id: Arc<str>,
    /// Who runs it.
    pub provider_name: Arc<str>,
    /// The model.
    pub model: Arc<str>,
    /// The provider's HTTP status, when it was no success.
    pub status: Option<u16>,
    /// The kind of failure; `None` when it worked.
    pub failure: Option<Cow<'static, str>>,
    /// Milliseconds from the call's arrival to the try.
    pub began_ms: u64,
    /// Milliseconds until it was decided: first content, whole answer or failure.
    pub duration_ms: u64,
    /// Parameters that the endpoint does not support and that were left out.
    pub dropped_parameters: Vec<Cow<'static, str>>,
}

/// What was decided, with all it depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationDecision {
    /// The store revision it was decided at.
    pub revision: u64,
    /// The policy's version.
    pub policy: Arc<str>,
    /// The seed of its draws, in hex.
    pub seed: String,
    /// Every endpoint that was looked at.
    pub candidates: Vec<DecisionCandidate>,
    /// The plan: endpoints in the order they would be tried.
    pub turns: Vec<DecisionTurn>,
}

/// An endpoint that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionCandidate {
    /// The endpoint, as `provider/model@region`.
    pub endpoint: Arc<str>,
    /// The endpoint's id.
    pub endpoint_id: Arc<str>,
    /// Why it was left out; `None` when it was not.
    pub excluded: Option<Cow<'static, str>>,
    /// What the probers agree on.
    pub verdict: Cow<'static, str>,
    /// Its cluster-wide weight, Q16.
    pub weight: u32,
    /// Calls in flight there from this router.
    pub in_flight: u32,
    /// Ghost load, in thousandths of a call.
    pub ghost_milli: u32,
    /// The breaker's word.
    pub breaker: Cow<'static, str>,
    /// The share of calls kept away after 429s, in ‰.
    pub throttle_permille: u32,
}

/// One place in the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionTurn {
    /// The endpoint, as `provider/model@region`.
    pub endpoint: Arc<str>,
    /// The endpoint's id.
    pub endpoint_id: Arc<str>,
    /// Why it stands here.
    pub reason: Cow<'static, str>,
}
/// `GET /v1/key`, in [`Data`]: the caller's limits and spend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The key's name; never the key.
    pub label: String,
    /// The spend limit of a period; absent when there is none.
    pub limit: Option<Usd>,
    /// What is left of it.
    pub limit_remaining: Option<Usd>,
    /// The period by name: `daily`, `weekly`, `monthly`.
    pub limit_reset: Option<String>,
    /// What was spent in this period.
    pub usage: Usd,
    /// The limits on calls.
    pub rate_limit: KeyRateLimit,
    /// The models the key may use; absent when it may use all.
    pub allowed_models: Option<Vec<String>>,
    /// When the key ends, in seconds since 1970.
    pub expires_at_s: Option<u64>,
}

/// A key's limits on calls; absent means no limit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KeyRateLimit {
    /// Calls a minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens a minute.
    pub tokens_per_minute: Option<u64>,
    /// Calls at a time.
    pub concurrency: Option<u64>,
}

impl ModelList {
    /// The list of these models.
    #[must_use]
    pub fn new(data: Vec<Model>) -> Self {
        Self { object: "list".to_owned(), data }
    }
}

impl Serialize for Usd {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let number = RawValue::from_string(format_usd(self.0));
        number.map_err(serde::ser::Error::custom)?.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        /// A USD is 10¹² pico-USD.
        const SCALE: u32 = 12;
        let number = Box::<RawValue>::deserialize(from)?;
        let pico_usd = parse_scaled(number.get(), SCALE);
        pico_usd.map(Self).ok_or_else(|| serde::de::Error::custom("not an amount of USD"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, KeyRateLimit, Model, ModelList, Usd};

    #[test]
    fn openai_clients_find_their_fields() {
        let model = Model {
            id: "a/b".into(),
            object: "model".into(),
            created: 1,
            owned_by: "a".into(),
            name: "B".into(),
            context_length: Some(8192),
            max_completion_tokens: None,
            architecture: Default::default(),
            pricing: Default::default(),
            supported_parameters: vec!["tools".into()],
        };
        let text = serde_json::to_string(&ModelList::new(vec![model.clone()])).unwrap();
        let start =
            r#"{"object":"list","data":[{"id":"a/b","object":"model","created":1,"owned_by":"a","#;
        assert!(text.starts_with(start), "{text}");
        assert_eq!(serde_json::from_str::<ModelList>(&text).unwrap().data, [model]);
    }

    #[test]
    fn money_is_an_exact_number() {
        let key = Key {
            label: "ci".into(),
            limit: Some(Usd(10_000_000_000_001)),
            limit_remaining: None,
            limit_reset: None,
            usage: Usd(1),
            rate_limit: KeyRateLimit::default(),
            allowed_models: None,
            expires_at_s: None,
        };
        let text = serde_json::to_string(&key).unwrap();
        assert!(text.contains(r#""limit":10.000000000001,"#), "{text}");
        assert!(text.contains(r#""usage":0.000000000001,"#), "{text}");
        assert_eq!(serde_json::from_str::<Key>(&text).unwrap(), key);
    }
}
