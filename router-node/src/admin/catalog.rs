//! What there is, with the state it is in.

use trunkline_core::catalog::{Dialect, Provider as CoreProvider, SecretRef};
use trunkline_core::snapshot::{EndpointState, Resolved, Snapshot};
use trunkline_proto::admin::v1::{
    EndpointEntry, ListEndpointsRequest, ListEndpointsResponse, ListModelsRequest,
    ListModelsResponse, ListProvidersRequest, ListProvidersResponse, ModelEntry, Provider,
};

use super::page::page;
use super::{Admin, Admitted, status};
use crate::ingress::grpc::{endpoint_message, model_message};
use crate::ingress::pages;

/// The providers.
pub fn providers(by: &Admitted, asked: &ListProvidersRequest) -> ListProvidersResponse {
    let snapshot = &by.view.snapshot;
    let providers = snapshot.providers.iter().map(|p| provider(p, snapshot)).collect();
    let (providers, next) =
        page(providers, asked.page_size, &asked.page_token, |p: &Provider| p.name.clone());
    ListProvidersResponse { revision: by.revision(), providers, next_page_token: next }
}

fn provider(provider: &CoreProvider, snapshot: &Snapshot) -> Provider {
    let own: Vec<&EndpointState> =
        snapshot.endpoints.iter().filter(|s| s.endpoint.provider == provider.id).collect();
    let mut regions: Vec<String> = own.iter().map(|s| s.endpoint.region.to_string()).collect();
    regions.sort();
    regions.dedup();
    let references = provider.credentials.iter().map(|reference| match reference {
        SecretRef::Env(name) => format!("env:{name}"),
        SecretRef::File(path) => format!("file:{path}"),
    });
    Provider {
        name: provider.id.to_string(),
        dialect: match provider.dialect {
            Dialect::OpenAi => "openai",
            Dialect::Anthropic => "anthropic",
        }
        .to_owned(),
        base_url: provider.base_url.clone(),
        secret_ref: references.collect::<Vec<_>>().join(","),
        regions,
        endpoint_count: own.len() as u32,
        drained: !own.is_empty() && own.iter().all(|s| s.drained),
        document_json: String::new(),
    }
}

/// The endpoints.
pub fn endpoints(
    admin: &Admin,
    by: &Admitted,
    asked: &ListEndpointsRequest,
) -> ListEndpointsResponse {
    let view = &by.view;
    let wanted = |state: &EndpointState| {
        let endpoint = &state.endpoint;
        (asked.provider.is_empty() || endpoint.provider.as_str() == asked.provider)
            && (asked.model.is_empty() || endpoint.model.as_str() == asked.model)
    };
    let now = admin.router.clock.now_ms();
    let entries = view.snapshot.endpoints.iter().zip(view.lanes.iter());
    let entries = entries.filter(|(state, _)| wanted(state)).map(|(state, lane)| EndpointEntry {
        endpoint: Some(endpoint_message(state)),
        status: Some(status::of_endpoint(view, state, lane, now)),
        document_json: String::new(),
    });
    let (endpoints, next) =
        page(entries.collect(), asked.page_size, &asked.page_token, |e: &EndpointEntry| {
            let endpoint = e.endpoint.as_ref();
            endpoint.map(|e| format!("{}/{}@{}", e.provider, e.model, e.region)).unwrap_or_default()
        });
    ListEndpointsResponse { revision: by.revision(), endpoints, next_page_token: next }
}

/// The models.
pub fn models(by: &Admitted, asked: &ListModelsRequest) -> ListModelsResponse {
    let snapshot = &by.view.snapshot;
    let entries = pages::models(&by.view, &by.holder).into_iter().map(|model| {
        let states = served_by(snapshot, &model.id);
        let usable = |s: &&EndpointState| !s.drained && s.operator_weight > 0 && s.verdict.usable();
        ModelEntry {
            endpoint_count: states.len() as u32,
            usable_endpoint_count: states.iter().filter(usable).count() as u32,
            model: Some(model_message(model)),
            document_json: String::new(),
        }
    });
    let (models, next) =
        page(entries.collect(), asked.page_size, &asked.page_token, |m: &ModelEntry| {
            m.model.as_ref().map(|m| m.id.clone()).unwrap_or_default()
        });
    ListModelsResponse { revision: by.revision(), models, next_page_token: next }
}

/// The endpoints of what a name stands for: a model's, or those of the first model of a route.
fn served_by<'a>(snapshot: &'a Snapshot, name: &str) -> &'a [EndpointState] {
    let model = match snapshot.resolve(name) {
        Some(Resolved::Route(route)) => route.models.first(),
        Some(Resolved::Model(model)) => Some(model),
        None => None,
    };
    let range = model.map(|model| snapshot.endpoints_of(model)).unwrap_or_default();
    snapshot.endpoints.get(range).unwrap_or_default()
}
