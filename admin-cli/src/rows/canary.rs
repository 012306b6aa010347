//! A canary, as it is shown.

use prost_types::Timestamp;
use serde_json::{Value, json};
use trunkline_proto::admin::v1::{Canary, CanaryEnd};

use crate::render::object;

/// A canary, without what became of its calls.
pub fn canary(canary: &Canary) -> Value {
    let rules = canary.abort_on.unwrap_or_default();
    object([
        ("id", json!(canary.version)),
        ("base", json!(canary.base_version)),
        ("share_permille", json!(canary.share_permille)),
        ("by", json!(canary.actor)),
        ("reason", json!(canary.reason)),
        ("since", json!(canary.began_at.as_ref().map(Timestamp::to_string))),
        ("ends", json!(canary.ends_at.as_ref().map(Timestamp::to_string))),
        (
            "abort_on",
            json!({
                "failed_permille": rules.failed_permille,
                "cost_permille": rules.cost_permille,
                "ttft_permille": rules.first_content_permille,
            }),
        ),
    ])
}

/// The end of a canary.
pub fn canary_end(end: &CanaryEnd) -> Value {
    object([
        ("id", json!(end.version)),
        ("at", json!(end.ended_at.as_ref().map(Timestamp::to_string))),
        ("by", json!(end.actor)),
        ("reason", json!(end.reason)),
    ])
}
