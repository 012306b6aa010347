//! The catalog of a development router: the simulated providers, and the models that real ones list.

use std::time::Duration;

use serde_json::{Value, json};
use trunkline_core::catalog::{
    Capabilities, Dialect, Endpoint, Price, ProbeMode, Provider, Retention, SecretRef, Training,
};
use trunkline_core::id::{EndpointId, ModelId, ProviderId, Region};
use trunkline_runtime::BoxError;
use trunkline_upstream::{Target, Transport};

use super::Sims;
use crate::config::{Dev, KnownProvider};
use crate::serve::ConfiguredSecrets;
use crate::view::Secrets;

/// A provider that does not list its models within this time is left out: a start must not hang on it.
const LIST_TIMEOUT: Duration = Duration::from_secs(5);
/// Models taken from one provider's list.
const MAX_LISTED: usize = 300;
/// What a model whose limits nobody stated is taken to hold.
const ASSUMED_CONTEXT: u64 = 128_000;
/// The longest answer of such a model.
const ASSUMED_OUTPUT: u64 = 8_192;
/// The models that the simulated providers serve.
pub const SIM_CHAT: &str = "sim/chat";
/// Their embedding model.
pub const SIM_EMBEDDING: &str = "sim/embedding";

/// What a development router serves.
pub struct Offer {
    /// The catalog's document.
    pub document: String,
    /// A model to try it with; `None` where there is none.
    pub model: Option<ModelId>,
    /// What whoever starts it should know.
    pub notes: Vec<String>,
}

/// The catalog that was named, or the simulated providers and those whose keys are there.
///
/// # Errors
/// When a catalog file was named that cannot be read.
pub async fn offer(dev: &Dev, sims: &Sims) -> Result<Offer, BoxError> {
    if let Some(file) = &dev.catalog {
        let document = std::fs::read_to_string(file)?;
        let catalog = trunkline_spec::catalog::parse(&document)?;
        let model = catalog.endpoints.first().map(|endpoint| endpoint.model.clone());
        return Ok(Offer { document, model, notes: vec![file.display().to_string()] });
    }
    let mut providers: Vec<Value> =
        sims.all().iter().map(|(name, sim, _)| simulated(name, &sim.base_url())).collect();
    let mut notes = Vec::new();
    let transport = Transport::new()?;
    for known in &dev.providers {
        match listed(&transport, known).await {
            Ok(models) => {
                let note = format!(
                    "{}: {} models; prices are unknown here and count as zero",
                    known.id,
                    models.len()
                );
                notes.push(note);
                providers.push(real(known, &models));
            }
            Err(reason) => notes.push(format!("{}: left out, {reason}", known.id)),
        }
    }
    let document = json!({"version": 1, "providers": providers}).to_string();
    Ok(Offer { document, model: Some(ModelId::new(SIM_CHAT)), notes })
}

fn simulated(name: &str, base_url: &str) -> Value {
    let (input, output) = super::sims::prices(name);
    json!({
        "id": name,
        "base_url": base_url,
        "endpoints": [
            {
                "model": SIM_CHAT,
                "region": "local",
                "upstream_model": "sim-chat",
                "price": {"input": input, "output": output},
                "context_tokens": 128_000,
                "max_output_tokens": 8_192,
                "capabilities": ["chat", "completion", "tools", "json_object", "json_schema", "images"],
                "retention": "zero",
                "training": "no",
            },
            {
                "model": SIM_EMBEDDING,
                "region": "local",
                "upstream_model": "sim-embedding",
                "price": {"input": input / 10.0},
                "context_tokens": 8_192,
                "capabilities": ["embedding"],
                "retention": "zero",
                "training": "no",
            },
        ],
    })
}

/// The models a provider lists, by asking it.
async fn listed(transport: &Transport, known: &KnownProvider) -> Result<Vec<String>, String> {
    let reference = SecretRef::Env(known.env.to_owned());
    let credential = ConfiguredSecrets.find(&reference)?;
    let provider = Provider {
        id: ProviderId::new(known.id),
        dialect: known.dialect,
        base_url: known.base_url.to_owned(),
        credentials: vec![reference],
        propagate_trace: false,
    };
    let target = Target::new(&provider, &any_endpoint(&provider), &[credential])
        .map_err(|e| e.to_string())?;
    let listing = tokio::time::timeout(LIST_TIMEOUT, transport.list_models(&target, 0));
    let mut models = match listing.await {
        Ok(Ok(models)) => models,
        Ok(Err(failed)) => return Err(failed.message),
        Err(_) => return Err("it did not list its models in time".to_owned()),
    };
    models.truncate(MAX_LISTED);
    Ok(models)
}

/// A target needs an endpoint; a listing is about none in particular.
fn any_endpoint(provider: &Provider) -> Endpoint {
    let (model, region) = (ModelId::new("any"), Region::new("global"));
    Endpoint {
        id: EndpointId::of(&provider.id, &model, &region),
        provider: provider.id.clone(),
        model,
        region,
        upstream_model: String::new(),
        price: Price::default(),
        context_tokens: ASSUMED_CONTEXT,
        max_output_tokens: ASSUMED_OUTPUT,
        capabilities: Capabilities::default(),
        parameters: Vec::new(),
        quantization: None,
        jurisdiction: None,
        retention: Retention::Unknown,
        training: Training::Unknown,
        probe: ProbeMode::None,
        weight: 0,
    }
}

fn real(known: &KnownProvider, models: &[String]) -> Value {
    let endpoint = |model: &String| {
        let embedding = model.contains("embed");
        let able: &[&str] = match (embedding, known.dialect) {
            (true, _) => &["embedding"],
            (false, Dialect::OpenAi) => {
                &["chat", "completion", "tools", "json_object", "json_schema", "images"]
            }
            (false, Dialect::Anthropic) => {
                &["chat", "tools", "json_object", "json_schema", "images"]
            }
        };
        json!({
            "model": format!("{}/{model}", known.id),
            "upstream_model": model,
            "context_tokens": ASSUMED_CONTEXT,
            "max_output_tokens": ASSUMED_OUTPUT,
            "capabilities": able,
            "probe": "list",
        })
    };
    let dialect = match known.dialect {
        Dialect::OpenAi => "openai",
        Dialect::Anthropic => "anthropic",
    };
    json!({
        "id": known.id,
        "dialect": dialect,
        "base_url": known.base_url,
        "credentials": [{"env": known.env}],
        "endpoints": models.iter().map(endpoint).collect::<Vec<_>>(),
    })
}
