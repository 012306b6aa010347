//! Documents, their versions, and where prompts can go, as values that are shown.

use prost_types::Timestamp;
use serde_json::{Value, json};
use trunkline_proto::admin::v1::{Dataflow, DocumentVersion};

use crate::render::object;

/// Digits of a version that people are shown.
pub const SHORT_VERSION: usize = 12;

/// A difference between two versions of a document.
pub fn difference(path: &str, before: &Option<String>, after: &Option<String>) -> Value {
    object([("id", json!(path)), ("before", json!(before)), ("after", json!(after))])
}

/// A version of a document.
pub fn version(version: &DocumentVersion) -> Value {
    object([
        ("id", json!(version.version)),
        ("short", json!(version.version.get(..SHORT_VERSION).unwrap_or(&version.version))),
        ("replaced", json!(version.replaced_version)),
        ("in_force", json!(version.in_force)),
        ("at", json!(version.applied_at.as_ref().map(Timestamp::to_string))),
        ("by", json!(version.actor)),
        ("how", json!(version.verb)),
        ("reason", json!(version.reason)),
        ("canary_permille", json!(version.canary_permille)),
    ])
}

/// A place that prompts can go to.
pub fn dataflow(flow: &Dataflow) -> Value {
    let retention = match flow.retention_days {
        Some(0) => "zero".to_owned(),
        Some(days) => format!("{days} days"),
        None => "unknown".to_owned(),
    };
    let training = match flow.trains_on_prompts {
        Some(false) => "no",
        Some(true) => "yes",
        None => "unknown",
    };
    object([
        ("id", json!(format!("{}@{}", flow.provider, flow.region))),
        ("provider", json!(flow.provider)),
        ("region", json!(flow.region)),
        ("jurisdiction", json!(flow.jurisdiction)),
        ("retention", json!(retention)),
        ("training", json!(training)),
        ("keys", json!(flow.key_ids)),
        ("key_count", json!(flow.key_count)),
    ])
}
