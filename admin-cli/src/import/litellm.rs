//! A LiteLLM proxy's `config.yaml` → a catalog and a policy. Deployments become endpoints, model names models,
//! fallbacks and aliases routes. What has no place here is noted with its path.

mod deployment;
mod routes;
mod vendor;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Imported, Note};
use deployment::Deployment;

/// What LiteLLM calls a variable of the environment.
const ENVIRONMENT: &str = "os.environ/";
/// The largest weight of an endpoint, and that of one whose weight nobody set.
const MAX_WEIGHT: f64 = 1000.0;
const USUAL_WEIGHT: f64 = 100.0;

/// What becomes of a configuration.
#[must_use]
pub fn import(config: &Value) -> Imported {
    let mut notes = Notes::default();
    let deployments: Vec<Deployment> = items(config, "model_list")
        .enumerate()
        .filter_map(|(at, entry)| Deployment::read(entry, &format!("model_list[{at}]"), &mut notes))
        .collect();
    if deployments.is_empty() {
        notes.add("model_list", "no deployment could be carried over");
    }
    let catalog = catalog(&deployments, &mut notes);
    let models: BTreeSet<&str> = deployments.iter().map(|d| d.model.as_str()).collect();
    let policy = routes::policy(config, &models, &mut notes);
    let known = ["model_list", "router_settings", "litellm_settings", "general_settings"];
    notes.leftover("", config, &known);
    if let Some(general) = config.get("general_settings") {
        if general.get("master_key").is_some() {
            notes.add(
                "general_settings.master_key",
                "keys are not carried over; make new ones with `admin-cli keys create`",
            );
        }
        notes.leftover("general_settings", general, &["master_key"]);
    }
    Imported { catalog, policy, notes: notes.0 }
}

/// Accounts with their endpoints. One provider has one base URL and one set of credentials, and serves a model
/// once in a region: what differs in any of these becomes a provider of its own.
fn catalog(deployments: &[Deployment], notes: &mut Notes) -> Value {
    let weights = weights(deployments, notes);
    let mut providers: Vec<Provider<'_>> = Vec::new();
    for (deployment, weight) in deployments.iter().zip(weights) {
        let account = |p: &&mut Provider<'_>| {
            p.of.account() == deployment.account() && p.place(deployment).is_none()
        };
        let endpoint = deployment.endpoint(weight);
        match providers.iter_mut().find(account) {
            Some(provider) => provider.endpoints.push((deployment, endpoint)),
            None => {
                providers.push(Provider { of: deployment, endpoints: vec![(deployment, endpoint)] })
            }
        }
    }
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    let documents = providers.iter().map(|provider| {
        let vendor = provider.of.vendor.id;
        let number = taken.entry(vendor).and_modify(|n| *n += 1).or_insert(1);
        let id = if *number == 1 { vendor.to_owned() } else { format!("{vendor}-{number}") };
        provider.document(&id)
    });
    json!({"version": 1, "providers": documents.collect::<Vec<_>>()})
}

struct Provider<'a> {
    of: &'a Deployment,
    endpoints: Vec<(&'a Deployment, Value)>,
}

impl Provider<'_> {
    /// The endpoint that is in the deployment's place already.
    fn place(&self, deployment: &Deployment) -> Option<&Value> {
        let same = |(other, _): &&(&Deployment, Value)| {
            other.model == deployment.model && other.region == deployment.region
        };
        self.endpoints.iter().find(same).map(|(_, endpoint)| endpoint)
    }

    fn document(&self, id: &str) -> Value {
        let endpoints: Vec<&Value> = self.endpoints.iter().map(|(_, endpoint)| endpoint).collect();
        let mut document = Map::new();
        document.insert("id".to_owned(), json!(id));
        document.insert("dialect".to_owned(), json!(self.of.vendor.dialect));
        document.insert("base_url".to_owned(), json!(self.of.base_url));
        if let Some(variable) = &self.of.variable {
            document.insert("credentials".to_owned(), json!([{"env": variable}]));
        }
        if self.of.is_plaintext() {
            document.insert("allow_plaintext".to_owned(), json!(true));
        }
        document.insert("endpoints".to_owned(), json!(endpoints));
        Value::Object(document)
    }
}

/// Weights of deployments in our scale: the usual one where nobody of the model has any.
fn weights(deployments: &[Deployment], notes: &mut Notes) -> Vec<u64> {
    let largest = |model: &str| {
        let own = deployments.iter().filter(|d| d.model == model).filter_map(|d| d.weight);
        own.fold(None, |most: Option<f64>, weight| Some(most.map_or(weight, |m| m.max(weight))))
    };
    let scaled = |deployment: &Deployment| {
        let Some(most) = largest(&deployment.model).filter(|most| *most > 0.0) else {
            return USUAL_WEIGHT as u64;
        };
        let Some(weight) = deployment.weight else {
            let what = "has no weight, and others of its model have; it gets the usual 100";
            notes.add(&deployment.path, what);
            return USUAL_WEIGHT as u64;
        };
        let unit = (MAX_WEIGHT / most).min(USUAL_WEIGHT);
        (weight * unit).clamp(0.0, MAX_WEIGHT).round() as u64
    };
    deployments.iter().map(scaled).collect()
}

/// What was noted so far.
#[derive(Debug, Default)]
struct Notes(Vec<Note>);

impl Notes {
    fn add(&mut self, path: &str, what: impl Into<String>) {
        self.0.push(Note { path: path.to_owned(), what: what.into() });
    }

    /// Notes every member that is not known.
    fn leftover(&mut self, path: &str, value: &Value, known: &[&str]) {
        let Value::Object(members) = value else { return };
        for name in members.keys().filter(|name| !known.contains(&name.as_str())) {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            self.add(&path, "has no counterpart and was left out");
        }
    }
}

fn items<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// Whether a text can be a name in our documents.
fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._:/@-".contains(&b);
    (1..=128).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests;
