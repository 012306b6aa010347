//! The pages a caller may read: models, their endpoints, one generation, its own key.

use std::net::IpAddr;

use bytes::Bytes;
use http::HeaderValue;
use serde::Serialize;
use trunkline_core::catalog::{Capabilities, Endpoint as CoreEndpoint};
use trunkline_core::id::ModelId;
use trunkline_core::policy::Window;
use trunkline_core::snapshot::{EndpointState, Snapshot};
use trunkline_wire::error::ErrorType;
use trunkline_wire::models::{
    Architecture, Data, Endpoint, Generation, Key, KeyRateLimit, Model, ModelEndpoints, ModelList,
    Pricing, Quantiles, Usd,
};
use trunkline_wire::request::Parameters;

use crate::auth::KeyHolder;
use crate::ledger::unix_ms;
use crate::pipeline::Router;
use crate::rejection::{Rejection, reject};
use crate::view::View;

const MODELS: &str = "/v1/models";
const GENERATION: &str = "/v1/generation";
const KEY: &str = "/v1/key";
const ENDPOINTS: &str = "/endpoints";

/// Whether a page stands at the path.
pub fn exists(path: &str) -> bool {
    path == MODELS || path == GENERATION || path == KEY || path.starts_with("/v1/models/")
}

/// The page at the path, for whoever sent this key from this address.
///
/// # Errors
/// What the caller sees instead.
pub async fn answer(
    router: &Router,
    path: &str,
    query: Option<&str>,
    (credential, peer): (Option<&HeaderValue>, IpAddr),
) -> Result<Bytes, Rejection> {
    if !exists(path) {
        return Err(reject(
            ErrorType::NotFound,
            "no such route; the API begins at /v1, for instance /v1/models",
        ));
    }
    let view = router.view.load_full();
    let holder = view.keyring.authenticate(credential, peer)?;
    match path {
        MODELS => json(&ModelList::new(models(&view, &holder))),
        GENERATION => json(&Data { data: &generation(router, query, &holder).await? }),
        KEY => json(&Data { data: key(&holder) }),
        _ => {
            let name = percent_decoded(path.strip_prefix("/v1/models/").unwrap_or_default());
            match name.strip_suffix(ENDPOINTS) {
                Some(name) => json(&Data { data: endpoints(&view, &holder, name)? }),
                None => json(&model(&view, &holder, &name)?),
            }
        }
    }
}

fn json<T: Serialize>(page: &T) -> Result<Bytes, Rejection> {
    let bytes = serde_json::to_vec(page);
    bytes.map(Bytes::from).map_err(|_| reject(ErrorType::Internal, "the page could not be written"))
}

/// SDKs write the slash of a model's name as `%2F`.
fn percent_decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let hex = tail.get(..2).filter(|_| *byte == b'%');
        let decoded = hex.and_then(|h| u8::from_str_radix(std::str::from_utf8(h).ok()?, 16).ok());
        bytes.push(decoded.unwrap_or(*byte));
        rest = if decoded.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The models that a key may ask for: those of the catalog, and the policy's routes.
pub fn models(view: &View, holder: &KeyHolder) -> Vec<Model> {
    let snapshot = &view.snapshot;
    let catalog = snapshot.models().filter(|m| allowed(holder, m));
    let routes = snapshot.policy.routes.iter();
    let routes = routes.filter(|(_, r)| r.models.iter().all(|m| allowed(holder, m)));
    let mut models: Vec<Model> =
        catalog.filter_map(|m| describe(snapshot, m.as_str(), m)).collect();
    models.extend(routes.filter_map(|(name, r)| describe(snapshot, name, r.models.first()?)));
    models.sort_by(|a, b| a.id.cmp(&b.id));
    models.dedup_by(|a, b| a.id == b.id);
    models
}

fn allowed(holder: &KeyHolder, model: &ModelId) -> bool {
    holder.tenant.models.as_ref().is_none_or(|models| models.contains(model))
}

fn model(view: &View, holder: &KeyHolder, name: &str) -> Result<Model, Rejection> {
    let found = models(view, holder).into_iter().find(|m| m.id == name);
    found.ok_or_else(|| not_found(&view.snapshot, name))
}

fn not_found(snapshot: &Snapshot, name: &str) -> Rejection {
    let near = snapshot.nearest_names(name, 3).join(", ");
    let hint = if near.is_empty() { String::new() } else { format!("; did you mean {near}?") };
    reject(ErrorType::ModelNotFound, format!("no such model{hint}"))
}

/// A name with the best that any endpoint of its model offers.
fn describe(snapshot: &Snapshot, name: &str, model: &ModelId) -> Option<Model> {
    let states = snapshot.endpoints.get(snapshot.endpoints_of(model))?;
    let cheapest = states.iter().min_by_key(|s| s.endpoint.price.of(1000, 300))?;
    let able = states.iter().map(|s| s.endpoint.capabilities).fold(Capabilities::default(), union);
    let mut parameters: Vec<String> =
        states.iter().flat_map(|s| supported_parameters(&s.endpoint)).collect();
    parameters.sort_unstable();
    parameters.dedup();
    Some(Model {
        id: name.to_owned(),
        object: "model".to_owned(),
        created: 0,
        owned_by: cheapest.endpoint.provider.to_string(),
        name: name.to_owned(),
        context_length: states.iter().map(|s| s.endpoint.context_tokens).max(),
        max_completion_tokens: states.iter().map(|s| s.endpoint.max_output_tokens).max(),
        architecture: Architecture {
            input_modalities: modalities(able.images),
            output_modalities: vec![if able.embedding { "embeddings" } else { "text" }.to_owned()],
        },
        pricing: pricing(&cheapest.endpoint),
        supported_parameters: parameters,
    })
}

/// The parameters that an endpoint supports: those that the catalog names, or, where it names none and so allows
/// all, those that go with what the endpoint can do.
pub fn supported_parameters(endpoint: &CoreEndpoint) -> Vec<String> {
    if !endpoint.parameters.is_empty() {
        return endpoint.parameters.clone();
    }
    let able = endpoint.capabilities;
    let goes_with = |name: &&str| match *name {
        "tools" | "tool_choice" | "parallel_tool_calls" | "functions" | "function_call" => {
            able.tools
        }
        "response_format" => able.json_object || able.json_schema,
        "structured_outputs" => able.json_schema,
        "dimensions" | "encoding_format" | "input_type" => able.embedding,
        "best_of" | "echo" | "suffix" => able.completion,
        _ => able.chat || able.completion,
    };
    Parameters::known().names().filter(goes_with).map(str::to_owned).collect()
}

fn union(a: Capabilities, b: Capabilities) -> Capabilities {
    Capabilities {
        chat: a.chat || b.chat,
        completion: a.completion || b.completion,
        embedding: a.embedding || b.embedding,
        tools: a.tools || b.tools,
        json_object: a.json_object || b.json_object,
        json_schema: a.json_schema || b.json_schema,
        images: a.images || b.images,
    }
}

fn modalities(images: bool) -> Vec<String> {
    let mut modalities = vec!["text".to_owned()];
    if images {
        modalities.push("image".to_owned());
    }
    modalities
}

fn pricing(endpoint: &CoreEndpoint) -> Pricing {
    let price = &endpoint.price;
    let optional =
        |amount: trunkline_core::money::PicoUsd| (amount.0 > 0).then(|| amount.to_string());
    Pricing {
        prompt: price.input.to_string(),
        completion: price.output.to_string(),
        request: price.request.to_string(),
        image: price.image.to_string(),
        input_cache_read: optional(price.cache_read),
        input_cache_write: optional(price.cache_write),
    }
}

/// The endpoints of a model, with what is known about each.
///
/// # Errors
/// When there is no such model for the key.
pub fn endpoints(view: &View, holder: &KeyHolder, name: &str) -> Result<ModelEndpoints, Rejection> {
    let snapshot = &view.snapshot;
    let model = model(view, holder, name)?;
    let id = match snapshot.resolve(name) {
        Some(trunkline_core::snapshot::Resolved::Route(route)) => route.models.first(),
        Some(trunkline_core::snapshot::Resolved::Model(model)) => Some(model),
        None => None,
    };
    let states =
        id.and_then(|id| snapshot.endpoints.get(snapshot.endpoints_of(id))).unwrap_or_default();
    let total: u64 = states.iter().map(|s| u64::from(s.weight.0)).sum();
    Ok(ModelEndpoints {
        id: model.id,
        name: model.name,
        created: model.created,
        endpoints: states.iter().map(|s| endpoint(s, total)).collect(),
    })
}

fn endpoint(state: &EndpointState, total_weight: u64) -> Endpoint {
    let endpoint = &state.endpoint;
    let uptime = state.numbers.success_permille.map(|permille| f64::from(permille) / 1000.0);
    Endpoint {
        id: endpoint.id.to_string(),
        provider_name: endpoint.provider.to_string(),
        region: Some(endpoint.region.to_string()),
        context_length: Some(endpoint.context_tokens),
        max_completion_tokens: Some(endpoint.max_output_tokens),
        quantization: endpoint.quantization.clone(),
        pricing: pricing(endpoint),
        supported_parameters: supported_parameters(endpoint),
        verdict: state.verdict.as_str().to_owned(),
        weight_ppm: (u64::from(state.weight.0) * 1_000_000 / total_weight.max(1)) as u32,
        uptime_last_5m: uptime,
        uptime_last_30m: None,
        uptime_last_1d: None,
        latency_ms_last_30m: quantiles(state.numbers.ttft_p50_ms, state.numbers.ttft_p99_ms),
        throughput_last_30m: quantiles(state.numbers.tokens_per_second, None),
    }
}

fn quantiles(p50: Option<u32>, p99: Option<u32>) -> Option<Quantiles> {
    Some(Quantiles { p50: f64::from(p50?), p75: None, p90: None, p99: p99.map(f64::from) })
}

/// One generation of the caller's own.
async fn generation(
    router: &Router,
    query: Option<&str>,
    holder: &KeyHolder,
) -> Result<Generation, Rejection> {
    let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let id = pairs.into_iter().find(|(name, _)| *name == "id").map(|(_, id)| id);
    let id = id.ok_or_else(|| {
        let mut rejection =
            reject(ErrorType::InvalidRequest, "name the generation: /v1/generation?id=…");
        rejection.param = Some("id".to_owned());
        rejection
    })?;
    find_generation(router, id, holder).await
}

/// The generation of that id, if the caller's key made it. A stranger's is as absent as one that never was.
///
/// # Errors
/// When there is none.
pub async fn find_generation(
    router: &Router,
    id: &str,
    holder: &KeyHolder,
) -> Result<Generation, Rejection> {
    router.ledger.written().await;
    let found = router.generations.find(id);
    let own = found.filter(|g| g.key.as_deref() == Some(holder.tenant.key.as_str()));
    own.ok_or_else(|| {
        let message = "no such generation on this router, or it is too long ago";
        reject(ErrorType::NotFound, message)
    })
}

fn key(holder: &KeyHolder) -> Key {
    let tenant = &holder.tenant;
    let tightest = holder.spending.as_ref().and_then(|spending| spending.tightest(unix_ms()));
    let reset = tightest.and_then(|(window, ..)| match window {
        Window::Day => Some("daily"),
        Window::Week => Some("weekly"),
        Window::Month => Some("monthly"),
        Window::Lifetime => None,
    });
    Key {
        label: tenant.key.to_string(),
        limit: tightest.map(|(_, limit, _)| Usd(limit.0)),
        limit_remaining: tightest.map(|(_, limit, spent)| Usd(limit.0.saturating_sub(spent.0))),
        limit_reset: reset.map(str::to_owned),
        usage: Usd(tightest.map_or_else(|| holder.spent_pico_usd(), |(_, _, spent)| spent.0)),
        rate_limit: KeyRateLimit {
            requests_per_minute: tenant.requests_per_minute.map(u64::from),
            tokens_per_minute: None,
            concurrency: tenant.max_concurrency.map(u64::from),
        },
        allowed_models: tenant.models.as_ref().map(|m| m.iter().map(ModelId::to_string).collect()),
        expires_at_s: holder.access.expires_at_ms.map(|end| end / 1_000),
    }
}
