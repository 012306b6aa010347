//! One entry of `model_list`: where a model is served, by whose key, at which price.

use serde_json::{Map, Value, json};

use super::vendor::{self, Vendor};
use super::{ENVIRONMENT, Notes, is_name};

/// What is read of `litellm_params`.
const PARAMETERS: &[&str] = &[
    "model",
    "api_base",
    "base_url",
    "api_key",
    "weight",
    "region_name",
    "input_cost_per_token",
    "output_cost_per_token",
    "cache_read_input_token_cost",
    "rpm",
    "tpm",
];
/// What is read of `model_info`.
const INFORMATION: &[&str] = &[
    "id",
    "mode",
    "max_tokens",
    "max_input_tokens",
    "max_output_tokens",
    "input_cost_per_token",
    "output_cost_per_token",
    "cache_read_input_token_cost",
    "supports_vision",
    "supports_function_calling",
    "supports_response_schema",
];

/// A deployment that can be carried over.
#[derive(Debug)]
pub(super) struct Deployment {
    /// Where it stands.
    pub path: String,
    /// What clients ask for.
    pub model: String,
    /// Who serves it.
    pub vendor: &'static Vendor,
    /// Where.
    pub base_url: String,
    /// The variable with its key.
    pub variable: Option<String>,
    /// Its share among those of its model, in LiteLLM's own scale.
    pub weight: Option<f64>,
    /// Where it runs.
    pub region: Option<String>,
    endpoint: Map<String, Value>,
}

impl Deployment {
    /// What makes two deployments those of one provider.
    pub(super) fn account(&self) -> (&str, &str, Option<&str>) {
        (self.vendor.id, &self.base_url, self.variable.as_deref())
    }

    /// Whether prompts and keys travel unencrypted, beyond this machine.
    pub(super) fn is_plaintext(&self) -> bool {
        let local = ["http://127.", "http://localhost", "http://[::1]"];
        self.base_url.starts_with("http://")
            && !local.iter().any(|start| self.base_url.starts_with(start))
    }

    /// The catalog's entry.
    pub(super) fn endpoint(&self, weight: u64) -> Value {
        let mut endpoint = self.endpoint.clone();
        endpoint.insert("weight".to_owned(), json!(weight));
        Value::Object(endpoint)
    }

    /// Reads an entry; what keeps it from being carried over is noted.
    pub(super) fn read(entry: &Value, path: &str, notes: &mut Notes) -> Option<Self> {
        let none = Value::Null;
        let parameters = entry.get("litellm_params").unwrap_or(&none);
        let info = entry.get("model_info").unwrap_or(&none);
        let model = text(entry, "model_name").unwrap_or_default();
        if !is_name(model) {
            notes.add(
                &format!("{path}.model_name"),
                "is no name here (wildcards are none); name each model",
            );
            return None;
        }
        let asked = text(parameters, "model").unwrap_or_default();
        let Some((vendor, upstream)) = vendor::of(asked) else {
            let what = format!("`{asked}` speaks no dialect that is spoken here; left out");
            notes.add(&format!("{path}.litellm_params.model"), what);
            return None;
        };
        let base_url = base_url(vendor, parameters, path, notes)?;
        let variable = variable(vendor, parameters, path, notes);
        let region = text(parameters, "region_name").map(str::to_owned);
        let mut endpoint = described(parameters, info, path, notes);
        endpoint.insert("model".to_owned(), json!(model));
        if upstream != model {
            endpoint.insert("upstream_model".to_owned(), json!(upstream));
        }
        if let Some(region) = &region {
            endpoint.insert("region".to_owned(), json!(region));
        }
        for limit in ["rpm", "tpm"] {
            if parameters.get(limit).is_some() {
                let what = "providers have no limits of ours; a 429 of theirs makes them rest";
                notes.add(&format!("{path}.litellm_params.{limit}"), what);
            }
        }
        notes.leftover(path, entry, &["model_name", "litellm_params", "model_info"]);
        notes.leftover(&format!("{path}.litellm_params"), parameters, PARAMETERS);
        notes.leftover(&format!("{path}.model_info"), info, INFORMATION);
        let weight = parameters.get("weight").and_then(Value::as_f64);
        let (path, model) = (path.to_owned(), model.to_owned());
        Some(Self { path, model, vendor, base_url, variable, weight, region, endpoint })
    }
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

fn base_url(vendor: &Vendor, parameters: &Value, path: &str, notes: &mut Notes) -> Option<String> {
    let written = text(parameters, "api_base").or_else(|| text(parameters, "base_url"));
    let path = format!("{path}.litellm_params.api_base");
    match written {
        Some(written) if written.starts_with(ENVIRONMENT) => {
            notes.add(&path, "a base URL is written out here; put it in place and import again");
            None
        }
        Some(written) => {
            let plain = written.trim_end_matches('/');
            if vendor.id != "azure" || plain.ends_with("/openai/v1") {
                return Some(plain.to_owned());
            }
            notes.add(&path, "the resource's own v1 API is used, which needs no api_version");
            Some(format!("{plain}/openai/v1"))
        }
        None => {
            if vendor.base_url.is_none() {
                notes.add(&path, "nobody says where it is; add it and import again");
            }
            vendor.base_url.map(str::to_owned)
        }
    }
}

fn variable(vendor: &Vendor, parameters: &Value, path: &str, notes: &mut Notes) -> Option<String> {
    let usual = vendor.variable.map(str::to_owned);
    match text(parameters, "api_key") {
        None => usual,
        Some(key) => match key.strip_prefix(ENVIRONMENT) {
            Some(name) => Some(name.to_owned()),
            None => {
                let name = format!("{}_API_KEY", vendor.id.to_uppercase().replace('-', "_"));
                let name = usual.unwrap_or(name);
                let what = format!(
                    "a secret does not stand in a document; set the variable {name} for the routers"
                );
                notes.add(&format!("{path}.litellm_params.api_key"), what);
                Some(name)
            }
        },
    }
}

/// What an endpoint can do and what it costs.
fn described(
    parameters: &Value,
    info: &Value,
    path: &str,
    notes: &mut Notes,
) -> Map<String, Value> {
    let mut endpoint = Map::new();
    let mode = text(info, "mode").unwrap_or("chat");
    endpoint.insert("capabilities".to_owned(), capabilities(mode, info, path, notes));
    let number = |name: &str| info.get(name).and_then(Value::as_u64);
    if let Some(input) = number("max_input_tokens") {
        let output = number("max_output_tokens").or(number("max_tokens")).unwrap_or_default();
        endpoint.insert("context_tokens".to_owned(), json!(input.max(output)));
    }
    if let Some(output) = number("max_output_tokens") {
        endpoint.insert("max_output_tokens".to_owned(), json!(output));
    }
    let mut price = Map::new();
    for (theirs, ours) in [
        ("input_cost_per_token", "input"),
        ("output_cost_per_token", "output"),
        ("cache_read_input_token_cost", "cache_read"),
    ] {
        let cost = parameters.get(theirs).or_else(|| info.get(theirs)).and_then(Value::as_f64);
        if let Some(cost) = cost {
            price.insert(ours.to_owned(), json!(per_million(cost)));
        }
    }
    if price.is_empty() {
        let what = "no price stands there: the endpoint counts as free until the catalog has one";
        notes.add(path, what);
    } else {
        endpoint.insert("price".to_owned(), Value::Object(price));
    }
    endpoint
}

/// Dollars a token → dollars a million, without the digits that binary fractions leave behind.
fn per_million(cost: f64) -> f64 {
    (cost * 1e6 * 1e6).round() / 1e6
}

fn capabilities(mode: &str, info: &Value, path: &str, notes: &mut Notes) -> Value {
    match mode {
        "embedding" => return json!(["embedding"]),
        "completion" => return json!(["completion"]),
        "chat" | "responses" => {}
        other => notes.add(
            &format!("{path}.model_info.mode"),
            format!("`{other}` is not served here; taken as chat"),
        ),
    }
    let says = |name: &str| info.get(name).and_then(Value::as_bool);
    let mut known = vec!["chat"];
    let stated = ["supports_function_calling", "supports_response_schema", "supports_vision"];
    if stated.iter().all(|name| says(name).is_none()) {
        notes.add(
            &format!("{path}.model_info"),
            "does not say what the model can do; taken to know tools and JSON, but no images",
        );
    }
    if says("supports_function_calling").unwrap_or(true) {
        known.push("tools");
    }
    if says("supports_response_schema").unwrap_or(true) {
        known.extend(["json_object", "json_schema"]);
    }
    if says("supports_vision").unwrap_or(false) {
        known.push("images");
    }
    json!(known)
}
