//! What decisions saw of their endpoints ⇄ how it is written: all that a draw looks at, and nothing that only a
//! call needs, such as addresses and secrets' references.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use trunkline_core::catalog::{Capabilities, Endpoint, Price, ProbeMode, Retention, Training};
use trunkline_core::id::{EndpointId, ModelId, ProviderId, Region};
use trunkline_core::money::PicoUsd;
use trunkline_core::policy::{DataRules, Policy, RetryRules, Route, Strategy};
use trunkline_core::snapshot::{EndpointState, Numbers, Snapshot, Verdict, Weight};

use super::{is_default, named};

/// A scene.
#[derive(Serialize, Deserialize)]
pub(in super::super) struct WrittenScene {
    /// By which records of the segment name it.
    pub(in super::super) number: u32,
    policy: String,
    attempts: u8,
    #[serde(default, skip_serializing_if = "WrittenData::says_nothing")]
    data: WrittenData,
    /// How the weights of each model were formed.
    strategies: BTreeMap<String, Cow<'static, str>>,
    endpoints: Vec<WrittenEndpoint>,
}

/// Where prompts may go.
#[derive(Default, PartialEq, Serialize, Deserialize)]
pub(super) struct WrittenData {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jurisdictions: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_retention_days: Option<u32>,
    #[serde(default, skip_serializing_if = "is_default")]
    no_training: bool,
}

/// Names of what an endpoint can do, or a call needs.
#[derive(Serialize, Deserialize)]
pub(super) struct WrittenCapabilities(Vec<Cow<'static, str>>);

#[derive(Serialize, Deserialize)]
struct WrittenEndpoint {
    id: String,
    provider: Arc<str>,
    model: Arc<str>,
    region: Arc<str>,
    /// Prompt token, answer token, cache read, cache write, call, image; in pico-USD.
    price: [u64; 6],
    context_tokens: u64,
    max_output_tokens: u64,
    capabilities: WrittenCapabilities,
    #[serde(default, skip_serializing_if = "is_default")]
    parameters: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quantization: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jurisdiction: Option<String>,
    /// In days; left out when it is not stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retention_days: Option<u32>,
    /// Left out when it is not stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trains: Option<bool>,
    verdict: Cow<'static, str>,
    weight: u32,
    catalog_weight: u16,
    operator_weight: u16,
    #[serde(default, skip_serializing_if = "is_default")]
    drained: bool,
    /// Success in ‰, time to the first token (median and 99th percentile), between two tokens (99th
    /// percentile) in ms, tokens a second.
    numbers: [Option<u32>; 5],
}

impl WrittenScene {
    pub(super) fn of(number: u32, snapshot: &Snapshot) -> Self {
        let policy = &snapshot.policy;
        let strategy = |model: &ModelId| {
            let strategy = Snapshot::strategy(policy, model).as_str();
            (model.to_string(), Cow::Borrowed(strategy))
        };
        Self {
            number,
            policy: policy.version.clone(),
            attempts: policy.retry.attempts,
            data: WrittenData::of(&policy.data),
            strategies: snapshot.models().map(strategy).collect(),
            endpoints: snapshot.endpoints.iter().map(WrittenEndpoint::of).collect(),
        }
    }

    /// The excerpt of a snapshot; `None` when a word in it is not known.
    pub(in super::super) fn snapshot(self) -> Option<Snapshot> {
        let mut routes = BTreeMap::new();
        for (model, name) in self.strategies {
            let strategy = Some(named(&Strategy::ALL, &name, |strategy| strategy.as_str())?);
            let models = vec![ModelId::new(&model)];
            routes.insert(model, Route { models, strategy, timeouts: None });
        }
        let policy = Policy {
            version: self.policy,
            retry: RetryRules { attempts: self.attempts, ..RetryRules::default() },
            data: self.data.rules(),
            routes,
            ..Policy::default()
        };
        let states: Option<Vec<EndpointState>> =
            self.endpoints.into_iter().map(WrittenEndpoint::state).collect();
        Some(Snapshot::new(0, policy, Vec::new(), states?))
    }
}

impl WrittenData {
    pub(super) fn of(rules: &DataRules) -> Self {
        Self {
            jurisdictions: rules.jurisdictions.clone(),
            max_retention_days: rules.max_retention_days,
            no_training: rules.no_training,
        }
    }

    pub(super) fn rules(self) -> DataRules {
        DataRules {
            jurisdictions: self.jurisdictions,
            max_retention_days: self.max_retention_days,
            no_training: self.no_training,
        }
    }

    pub(super) fn says_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl WrittenCapabilities {
    pub(super) fn of(has: Capabilities) -> Self {
        let named = [
            (has.chat, "chat"),
            (has.completion, "completion"),
            (has.embedding, "embedding"),
            (has.tools, "tools"),
            (has.json_object, "json_object"),
            (has.json_schema, "json_schema"),
            (has.images, "images"),
        ];
        Self(named.into_iter().filter(|(has, _)| *has).map(|(_, n)| Cow::Borrowed(n)).collect())
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        let has = |name: &str| self.0.iter().any(|known| known == name);
        Capabilities {
            chat: has("chat"),
            completion: has("completion"),
            embedding: has("embedding"),
            tools: has("tools"),
            json_object: has("json_object"),
            json_schema: has("json_schema"),
            images: has("images"),
        }
    }
}

impl WrittenEndpoint {
    fn of(state: &EndpointState) -> Self {
        let (endpoint, price, numbers) = (&state.endpoint, &state.endpoint.price, &state.numbers);
        let price = [
            price.input,
            price.output,
            price.cache_read,
            price.cache_write,
            price.request,
            price.image,
        ];
        Self {
            id: endpoint.id.to_string(),
            provider: endpoint.provider.shared(),
            model: endpoint.model.shared(),
            region: endpoint.region.shared(),
            price: price.map(|usd| usd.0),
            context_tokens: endpoint.context_tokens,
            max_output_tokens: endpoint.max_output_tokens,
            capabilities: WrittenCapabilities::of(endpoint.capabilities),
            parameters: endpoint.parameters.clone(),
            quantization: endpoint.quantization.clone(),
            jurisdiction: endpoint.jurisdiction.clone(),
            retention_days: match endpoint.retention {
                Retention::Zero => Some(0),
                Retention::Days(days) => Some(days),
                Retention::Unknown => None,
            },
            trains: match endpoint.training {
                Training::No => Some(false),
                Training::Yes => Some(true),
                Training::Unknown => None,
            },
            verdict: Cow::Borrowed(state.verdict.as_str()),
            weight: state.weight.0,
            catalog_weight: endpoint.weight,
            operator_weight: state.operator_weight,
            drained: state.drained,
            numbers: [
                numbers.success_permille,
                numbers.ttft_p50_ms,
                numbers.ttft_p99_ms,
                numbers.inter_token_p99_ms,
                numbers.tokens_per_second,
            ],
        }
    }

    fn state(self) -> Option<EndpointState> {
        let verdict = named(&Verdict::ALL, &self.verdict, |verdict| verdict.as_str())?;
        let [success_permille, ttft_p50_ms, ttft_p99_ms, inter_token_p99_ms, tokens_per_second] =
            self.numbers;
        let numbers = Numbers {
            success_permille,
            ttft_p50_ms,
            ttft_p99_ms,
            inter_token_p99_ms,
            tokens_per_second,
        };
        let (weight, operator_weight, drained) =
            (Weight(self.weight), self.operator_weight, self.drained);
        let endpoint = self.endpoint()?;
        Some(EndpointState { endpoint, verdict, weight, numbers, drained, operator_weight })
    }

    fn endpoint(self) -> Option<Endpoint> {
        let [input, output, cache_read, cache_write, request, image] = self.price.map(PicoUsd);
        Some(Endpoint {
            id: EndpointId::parse(&self.id)?,
            provider: ProviderId::new(&self.provider),
            model: ModelId::new(&self.model),
            region: Region::new(&self.region),
            upstream_model: String::new(),
            price: Price { input, output, cache_read, cache_write, request, image },
            context_tokens: self.context_tokens,
            max_output_tokens: self.max_output_tokens,
            capabilities: self.capabilities.capabilities(),
            parameters: self.parameters,
            quantization: self.quantization,
            jurisdiction: self.jurisdiction,
            retention: match self.retention_days {
                Some(0) => Retention::Zero,
                Some(days) => Retention::Days(days),
                None => Retention::Unknown,
            },
            training: match self.trains {
                Some(false) => Training::No,
                Some(true) => Training::Yes,
                None => Training::Unknown,
            },
            probe: ProbeMode::None,
            weight: self.catalog_weight,
        })
    }
}
