//! The record of one call, as `GET /v1/generation` shows it.

use serde_json::Value;

/// The record of one call.
#[derive(Clone, Debug)]
pub struct Record(
    /// The JSON as it came.
    pub Value,
);

impl Record {
    /// How the call ended.
    #[must_use]
    pub fn outcome(&self) -> &str {
        self.text("/outcome")
    }

    /// The error that its caller saw, or nothing.
    #[must_use]
    pub fn error_type(&self) -> &str {
        self.text("/error_type")
    }

    /// A text in it; empty when absent.
    #[must_use]
    pub fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or("")
    }

    /// A number in it; 0 when absent.
    #[must_use]
    pub fn number(&self, pointer: &str) -> f64 {
        self.0.pointer(pointer).and_then(Value::as_f64).unwrap_or(0.0)
    }

    /// The tries, each as `provider:failure`, with `ok` for one that worked.
    #[must_use]
    pub fn attempts(&self) -> Vec<String> {
        let attempts = self.0.get("attempts").and_then(Value::as_array);
        let name = |attempt: &Value, key: &str, without: &str| {
            attempt.get(key).and_then(Value::as_str).unwrap_or(without).to_owned()
        };
        let shown =
            |a: &Value| format!("{}:{}", name(a, "provider_name", "?"), name(a, "failure", "ok"));
        attempts.into_iter().flatten().map(shown).collect()
    }

    /// What was known about a provider's endpoint when the call was planned.
    ///
    /// # Panics
    /// When it was no candidate.
    #[must_use]
    pub fn candidate(&self, provider: &str) -> &Value {
        let candidates = self.0.pointer("/decision/candidates").and_then(Value::as_array);
        let of = |c: &&Value| {
            let name = c.get("endpoint").and_then(Value::as_str).unwrap_or("");
            name.strip_prefix(provider).is_some_and(|rest| rest.starts_with('/'))
        };
        candidates.into_iter().flatten().find(of).unwrap_or_else(|| panic!("{:#}", self.0))
    }
}
