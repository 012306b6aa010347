//! API keys, as they are shown.

use serde_json::{Value, json};
use trunkline_proto::admin::v1::KeyEntry;

use crate::render::object;

/// A key, without anything that would help to use it.
pub fn key(entry: &KeyEntry) -> Value {
    let rules: Value = serde_json::from_str(&entry.entry_json).unwrap_or_default();
    object([
        ("id", json!(entry.id)),
        ("note", json!(entry.note)),
        ("role", json!(entry.role)),
        ("expired", json!(entry.expired)),
        ("revision", json!(entry.revision)),
        ("rules", rules),
    ])
}
