//! `router_settings` and `litellm_settings`: aliases and fallbacks become routes, retries and deadlines rules.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Notes, is_name};

/// The most tries per model that a policy can name.
const MAX_ATTEMPTS: u64 = 8;
/// Both places where LiteLLM has the settings of its router; the first one wins.
const PLACES: [&str; 2] = ["router_settings", "litellm_settings"];
/// What is read in them.
const READ: &[&str] = &[
    "model_group_alias",
    "fallbacks",
    "default_fallbacks",
    "context_window_fallbacks",
    "routing_strategy",
    "num_retries",
    "timeout",
    "request_timeout",
];

/// The policy; `models` are those of the catalog.
pub(super) fn policy(config: &Value, models: &BTreeSet<&str>, notes: &mut Notes) -> Value {
    let mut policy = Map::new();
    policy.insert("version".to_owned(), json!(1));
    let chains = chains(config, models, notes);
    let mut routes: BTreeMap<String, Vec<String>> = chains.clone();
    for (alias, model, path) in aliases(config) {
        if !is_name(&alias) || !models.contains(model.as_str()) {
            notes.add(&path, format!("leads to `{model}`, which was not carried over; left out"));
            continue;
        }
        let chain = chains.get(&model).cloned().unwrap_or_else(|| vec![model]);
        routes.insert(alias, chain);
    }
    if !routes.is_empty() {
        let routes = routes.into_iter().map(|(name, models)| (name, json!({"models": models})));
        policy.insert("routes".to_owned(), Value::Object(routes.collect()));
    }
    if let Some(strategy) = strategy(config, notes) {
        policy.insert("strategy".to_owned(), json!(strategy));
    }
    if let Some((retries, path)) = setting(config, "num_retries") {
        match retries.as_u64() {
            Some(retries) => {
                let attempts = (retries + 1).min(MAX_ATTEMPTS);
                policy.insert("retry".to_owned(), json!({"attempts": attempts}));
            }
            None => notes.add(&path, "is no number; left out"),
        }
    }
    let timeout = setting(config, "timeout").or_else(|| setting(config, "request_timeout"));
    if let Some((seconds, path)) = timeout {
        match seconds.as_f64().map(|s| (s * 1000.0).round() as u64) {
            Some(total @ 1..=3_600_000) => {
                policy.insert("timeouts".to_owned(), json!({"total_ms": total}));
            }
            _ => notes.add(&path, "is more than an hour or nothing; left out"),
        }
    }
    for place in PLACES {
        notes.leftover(place, config.get(place).unwrap_or(&Value::Null), READ);
    }
    Value::Object(policy)
}

/// A setting and where it stands.
fn setting<'a>(config: &'a Value, name: &str) -> Option<(&'a Value, String)> {
    let found = |place: &&str| config.get(place)?.get(name).filter(|value| !value.is_null());
    PLACES.iter().find_map(|place| Some((found(place)?, format!("{place}.{name}"))))
}

/// Aliases: what is asked for, what is meant, and where that stands.
fn aliases(config: &Value) -> Vec<(String, String, String)> {
    let Some((value, path)) = setting(config, "model_group_alias") else { return Vec::new() };
    let entries = value.as_object().into_iter().flatten();
    let alias = |(alias, to): (&String, &Value)| {
        let model = to.as_str().or_else(|| to.get("model")?.as_str()).unwrap_or_default();
        (alias.clone(), model.to_owned(), format!("{path}.{alias}"))
    };
    entries.map(alias).collect()
}

/// For each model with fallbacks the model itself and then those.
fn chains(
    config: &Value,
    models: &BTreeSet<&str>,
    notes: &mut Notes,
) -> BTreeMap<String, Vec<String>> {
    let mut chains = BTreeMap::new();
    if let Some((value, path)) = setting(config, "fallbacks") {
        let entries = value.as_array().into_iter().flatten().filter_map(Value::as_object);
        for (model, to) in entries.flatten() {
            let path = format!("{path}.{model}");
            if !models.contains(model.as_str()) {
                notes.add(&path, "is for a model that was not carried over; left out");
                continue;
            }
            chains.insert(model.clone(), chain(model, to, (models, &path), notes));
        }
    }
    if let Some((value, path)) = setting(config, "default_fallbacks") {
        for model in models {
            let chain = || chain(model, value, (models, &path), notes);
            chains.entry((*model).to_owned()).or_insert_with(chain);
        }
    }
    if let Some((_, path)) = setting(config, "context_window_fallbacks") {
        let what =
            "not needed: a prompt that is too long goes on to a model of the route that takes it";
        notes.add(&path, what);
    }
    chains.retain(|_, chain: &mut Vec<String>| chain.len() > 1);
    chains
}

fn chain(
    model: &str,
    to: &Value,
    (models, path): (&BTreeSet<&str>, &str),
    notes: &mut Notes,
) -> Vec<String> {
    let mut chain = vec![model.to_owned()];
    for next in to.as_array().into_iter().flatten() {
        match next.as_str().filter(|next| models.contains(next)) {
            Some(next) if chain.iter().any(|known| known == next) => {}
            Some(next) => chain.push(next.to_owned()),
            None => notes.add(path, format!("leads to {next}, which was not carried over")),
        }
    }
    chain
}

fn strategy(config: &Value, notes: &mut Notes) -> Option<&'static str> {
    let (value, path) = setting(config, "routing_strategy")?;
    match value.as_str().unwrap_or_default() {
        "simple-shuffle" => Some("order"),
        "latency-based-routing" => Some("latency"),
        "cost-based-routing" => Some("price"),
        other => {
            let what = format!(
                "`{other}` has no counterpart: calls are shared by price and latency, and each router \
                 avoids what is busy"
            );
            notes.add(&path, what);
            None
        }
    }
}
