//! For this crate's tests: small snapshots, told in a line.

use crate::catalog::{Capabilities, Endpoint, Price, ProbeMode, Provider, Retention, Training};
use crate::id::{EndpointId, KeyId, ModelId, ProviderId, Region};
use crate::money::PicoUsd;
use crate::plan::{LocalLayer, LocalLoad};
use crate::policy::{Policy, Tenant};
use crate::snapshot::{EndpointState, Numbers, Snapshot, Verdict, Weight};

/// An endpoint of `provider` serving `model`: up, able to chat, at an ordinary weight and price.
pub fn endpoint(provider: &str, model: &str) -> EndpointState {
    let (provider, model) = (ProviderId::new(provider), ModelId::new(model));
    let region = Region::new("r");
    EndpointState {
        endpoint: Endpoint {
            id: EndpointId::of(&provider, &model, &region),
            upstream_model: model.as_str().to_owned(),
            provider,
            model,
            region,
            price: Price { input: PicoUsd(100), output: PicoUsd(400), ..Price::default() },
            context_tokens: 8_000,
            max_output_tokens: 4_000,
            capabilities: Capabilities { chat: true, ..Capabilities::default() },
            parameters: Vec::new(),
            quantization: None,
            jurisdiction: None,
            retention: Retention::Unknown,
            training: Training::Unknown,
            probe: ProbeMode::Generate,
            weight: 100,
        },
        verdict: Verdict::Up,
        weight: Weight(100 << 16),
        numbers: Numbers::default(),
        drained: false,
        operator_weight: 100,
    }
}

/// A snapshot of these endpoints under the default policy, or a changed one.
pub fn snapshot(endpoints: Vec<EndpointState>, policy: Policy) -> Snapshot {
    let mut ids: Vec<ProviderId> = endpoints.iter().map(|s| s.endpoint.provider.clone()).collect();
    ids.sort();
    ids.dedup();
    let provider = |id: ProviderId| Provider {
        id,
        dialect: crate::catalog::Dialect::OpenAi,
        base_url: "http://127.0.0.1:1/v1".to_owned(),
        credentials: Vec::new(),
        propagate_trace: false,
    };
    Snapshot::new(7, policy, ids.into_iter().map(provider).collect(), endpoints)
}

/// A key that may do everything.
pub fn anyone() -> Tenant {
    Tenant::unrestricted(KeyId::new("key"))
}

/// A router that knows something about some providers and nothing bad about the rest.
#[derive(Default)]
pub struct Known(pub Vec<(usize, LocalLoad)>);

impl LocalLayer for Known {
    fn load(&self, endpoint: usize) -> LocalLoad {
        let known = self.0.iter().find(|(at, _)| *at == endpoint);
        known.map(|(_, load)| *load).unwrap_or_default()
    }
}

/// The position of a provider's endpoint.
pub fn at(snapshot: &Snapshot, provider: &str) -> usize {
    let found = snapshot.endpoints.iter().position(|s| s.endpoint.provider.as_str() == provider);
    found.expect("the story names a provider that it has")
}
