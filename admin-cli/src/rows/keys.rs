//! API keys, as they are shown.

use serde_json::{Value, json};
use trunkline_proto::admin::v1::KeyEntry;

use crate::render::object;

/// A key, without anything that would help to use it.
pub fn key(entry: &KeyEntry) -> Value {
    let rules: Value = serde_json::from_str(&entry.entry_json).unwrap_or_default();
    let spend = entry.spend.iter().map(|spend| {
        let window = object([
            ("limit_usd", json!(spend.limit_usd)),
            ("spent_usd", json!(spend.spent_usd)),
            ("resets_at_ms", json!(spend.resets_at_ms)),
        ]);
        (spend.window.clone(), window)
    });
    let spent = entry.spend.iter().map(|spend| {
        Value::from(format!("{}/{} {}", spend.spent_usd, spend.limit_usd, spend.window))
    });
    object([
        ("id", json!(entry.id)),
        ("note", json!(entry.note)),
        ("role", json!(entry.role)),
        ("expired", json!(entry.expired)),
        ("revision", json!(entry.revision)),
        ("spent", Value::Array(spent.collect())),
        ("spend", Value::Object(spend.collect())),
        ("rules", rules),
    ])
}
