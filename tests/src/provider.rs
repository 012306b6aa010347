//! A simulated provider in this process, and what the catalog says about it.

use std::sync::Arc;

use serde_json::{Value, json};
use sim_provider::{Fault, FaultRule, LogEntry, Profile, SimConfig, SimProvider};

use crate::json::overlay;

/// Tokens in a healthy answer.
pub const TOKENS: u32 = 12;

/// One provider: how the catalog names it, and the simulation behind it.
#[derive(Clone)]
pub struct Provider {
    /// Its id in the catalog.
    pub id: String,
    /// The simulation. Its log is what the provider saw.
    pub sim: Arc<SimProvider>,
    base_url: String,
    credentials: Vec<String>,
    endpoints: Vec<Value>,
    keys: Value,
}

impl Provider {
    /// An instant, healthy provider without endpoints, which takes any credential.
    pub async fn start(id: &str) -> Self {
        Self::with(id, SimConfig::with_profile(Profile::instant(TOKENS))).await
    }

    /// A provider with this set-up.
    pub async fn with(id: &str, config: SimConfig) -> Self {
        let sim = SimProvider::start(config).await.expect("a simulated provider starts");
        let base_url = sim.base_url();
        let (credentials, endpoints) = (Vec::new(), Vec::new());
        let (id, sim, keys) = (id.to_owned(), Arc::new(sim), json!({}));
        Self { id, sim, base_url, credentials, endpoints, keys }
    }

    /// Serves this model, too.
    #[must_use]
    pub fn serving(self, model: &str) -> Self {
        self.serving_as(model, json!({}))
    }

    /// Serves this model, too, with these keys in the catalog's entry.
    #[must_use]
    pub fn serving_as(mut self, model: &str, keys: Value) -> Self {
        let capabilities =
            ["chat", "completion", "embedding", "tools", "json_object", "json_schema", "images"];
        let entry = json!({
            "model": model,
            "price": {"input": 1.0, "output": 2.0},
            "capabilities": capabilities,
        });
        self.endpoints.push(overlay(entry, keys));
        self
    }

    /// Has these keys in the catalog's entry, too.
    #[must_use]
    pub fn described(mut self, keys: Value) -> Self {
        self.keys = overlay(self.keys, keys);
        self
    }

    /// Is called with these secrets, tried in order.
    #[must_use]
    pub fn with_credentials(mut self, secrets: &[&str]) -> Self {
        self.credentials = secrets.iter().map(|secret| (*secret).to_owned()).collect();
        self
    }

    /// Is looked for at another address than its own.
    #[must_use]
    pub fn at(mut self, base_url: &str) -> Self {
        base_url.clone_into(&mut self.base_url);
        self
    }

    /// The next requests meet this, until it is cleared.
    pub fn fails_with(&self, rule: impl Into<FaultRule>) {
        self.sim.set_fault(rule.into());
    }

    /// Only requests for this model meet it.
    pub fn fails_for(&self, model: &str, fault: Fault) {
        self.sim.set_fault(FaultRule::from(fault).for_model(model));
    }

    /// The requests it saw for a model, oldest first.
    pub fn saw(&self, model: &str) -> Vec<LogEntry> {
        self.sim.log().into_iter().filter(|entry| entry.model == model).collect()
    }

    /// The variables that hold its secrets, and the secrets.
    pub fn secrets(&self) -> impl Iterator<Item = (String, &String)> {
        self.credentials.iter().enumerate().map(|(at, secret)| (variable(&self.id, at), secret))
    }

    /// Its entry in the catalog.
    pub(crate) fn entry(&self) -> Value {
        let named = |at| json!({"env": variable(&self.id, at)});
        let credentials: Vec<Value> = (0..self.credentials.len()).map(named).collect();
        let entry = json!({
            "id": self.id,
            "base_url": self.base_url,
            "allow_plaintext": true,
            "credentials": credentials,
            "endpoints": self.endpoints,
        });
        overlay(entry, self.keys.clone())
    }
}

fn variable(id: &str, at: usize) -> String {
    format!("SECRET_{}_{at}", id.to_uppercase().replace('-', "_"))
}
