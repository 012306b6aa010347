//! Messages → the values that are shown. Names what is shown; how it looks is in `render`.

mod canary;
mod document;
mod keys;

use prost_types::Timestamp;
use serde_json::{Value, json};
use trunkline_proto::admin::v1::{
    DrainEntry, DrainState, EndpointEntry, EndpointStatus, Impact, ModelEntry, Nack, ProberStatus,
    Provider, RouterStatus,
};
use trunkline_proto::health::v1::Verdict;
use trunkline_proto::inference::v1::{Candidate, Generation, Pricing, Turn};

use crate::render::object;

pub use canary::{canary, canary_end};
pub use document::{SHORT_VERSION, dataflow, difference, version};
pub use keys::key;

/// One, with sixteen fraction bits.
const ONE_Q16: f64 = 65_536.0;

/// A provider.
pub fn provider(provider: &Provider) -> Value {
    object([
        ("id", json!(provider.name)),
        ("target", json!(format!("provider/{}", provider.name))),
        ("dialect", json!(provider.dialect)),
        ("base_url", json!(provider.base_url)),
        ("secret_ref", json!(provider.secret_ref)),
        ("regions", json!(provider.regions)),
        ("endpoints", json!(provider.endpoint_count)),
        ("drained", json!(provider.drained)),
    ])
}

/// A model.
pub fn model(entry: &ModelEntry) -> Value {
    let model = entry.model.clone().unwrap_or_default();
    object([
        ("id", json!(model.id)),
        ("target", json!(format!("model/{}", model.id))),
        ("endpoints", json!(entry.endpoint_count)),
        ("usable", json!(entry.usable_endpoint_count)),
        ("context", json!(model.context_length)),
        ("max_output", json!(model.max_output_tokens)),
        ("input", json!(model.input_modalities)),
        ("output", json!(model.output_modalities)),
        ("price", pricing(model.pricing.as_ref())),
    ])
}

/// An endpoint with the state it is in.
pub fn endpoint(entry: &EndpointEntry) -> Value {
    let endpoint = entry.endpoint.clone().unwrap_or_default();
    let status = entry.status.clone().unwrap_or_default();
    let mut value = endpoint_status(&status);
    let more = object([
        ("context", json!(endpoint.context_length)),
        ("max_output", json!(endpoint.max_output_tokens)),
        ("quantization", json!(endpoint.quantization)),
        ("jurisdiction", json!(endpoint.jurisdiction)),
        ("retention_days", json!(endpoint.retention_days)),
        ("trains_on_prompts", json!(endpoint.trains_on_prompts)),
        ("price", pricing(endpoint.pricing.as_ref())),
    ]);
    if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
        value.extend(more);
    }
    value
}

/// The state of an endpoint.
pub fn endpoint_status(status: &EndpointStatus) -> Value {
    let name = format!("{}/{}@{}", status.provider, status.model, status.region);
    let evidence = status.evidence.unwrap_or_default();
    object([
        ("id", json!(status.endpoint_id)),
        ("name", json!(name)),
        ("target", json!(format!("endpoint/{name}"))),
        ("provider", json!(status.provider)),
        ("model", json!(status.model)),
        ("region", json!(status.region)),
        ("verdict", json!(verdict(status.verdict))),
        ("weight", json!(weight(status.weight_q16))),
        ("operator_weight", json!(status.base_weight)),
        ("pinned", json!(status.weight_pinned)),
        ("drained", json!(status.drained)),
        ("ttft_p50_ms", json!(status.ttft_p50_ms)),
        ("ttft_p99_ms", json!(status.ttft_p99_ms)),
        ("tokens_per_second", json!(status.tokens_per_second_p50)),
        ("success_permille", json!(status.success_permille)),
        ("in_flight", json!(status.in_flight)),
        ("breaker", json!(status.local_breaker)),
        ("observers", json!(evidence.observers)),
        ("votes_down", json!(evidence.votes_down)),
    ])
}

/// A router.
pub fn router(router: &RouterStatus) -> Value {
    let age = router.watch_age.map(|age| age.seconds as f64 + f64::from(age.nanos) / 1e9);
    object([
        ("id", json!(router.router_id)),
        ("address", json!(router.address)),
        ("zone", json!(router.zone)),
        ("version", json!(router.version)),
        ("revision", json!(router.applied_revision)),
        ("digest", json!(router.table_digest.get(..12).unwrap_or(&router.table_digest))),
        ("heard_s_ago", json!(age.map(|age| (age * 10.0).round() / 10.0))),
        ("lag", json!(router.lag_revisions)),
        ("refused", json!(router.nack_count)),
        ("problem", json!(router.nacks.first().map(|n| format!("{}: {}", n.key, n.reason)))),
        ("nacks", json!(router.nacks.iter().map(nack).collect::<Vec<_>>())),
        ("draining", json!(router.draining)),
    ])
}

fn nack(nack: &Nack) -> Value {
    object([
        ("key", json!(nack.key)),
        ("revision", json!(nack.revision)),
        ("reason", json!(nack.reason)),
    ])
}

/// A prober.
pub fn prober(prober: &ProberStatus) -> Value {
    object([
        ("id", json!(prober.prober_id)),
        ("address", json!(prober.address)),
        ("zone", json!(prober.zone)),
        ("version", json!(prober.version)),
        ("local_health", json!(prober.local_health)),
        ("self_suspect", json!(prober.self_suspect)),
        ("distrusted", json!(prober.distrusted)),
    ])
}

/// A drain and how far it is.
pub fn drain(drain: &DrainEntry) -> Value {
    let in_flight: u64 = drain.routers.iter().map(|router| router.in_flight).sum();
    let known = drain.state() != DrainState::Unspecified;
    let applied = drain.routers.iter().all(|router| router.applied_revision >= drain.revision);
    object([
        ("id", json!(drain.target)),
        ("reason", json!(drain.reason)),
        ("by", json!(drain.actor)),
        ("since", json!(drain.created_at.as_ref().map(Timestamp::to_string))),
        ("revision", json!(drain.revision)),
        ("state", json!(known.then(|| lower(drain.state().as_str_name(), "DRAIN_STATE_")))),
        ("applied", json!(applied)),
        ("in_flight", json!(in_flight)),
        ("taken_permille", json!(drain.taken_permille)),
        ("deadline", json!(drain.deadline_at.as_ref().map(Timestamp::to_string))),
        ("expires", json!(drain.expires_at.as_ref().map(Timestamp::to_string))),
        ("withdrawn", json!(drain.withdrawn)),
    ])
}

/// What an edit changes.
pub fn impact(impact: Option<&Impact>) -> Vec<Value> {
    let models = impact.map(|impact| impact.models.as_slice()).unwrap_or_default();
    let row = |model: &trunkline_proto::admin::v1::ModelImpact| {
        object([
            ("id", json!(model.model)),
            ("moved_permille", json!(model.moved_permille)),
            ("usable_before", json!(model.usable_endpoints_before)),
            ("usable_after", json!(model.usable_endpoints_after)),
        ])
    };
    models.iter().map(row).collect()
}

/// A record's own facts, without tries and decision.
pub fn generation(record: &Generation) -> Value {
    let usage = record.usage.clone().unwrap_or_default();
    let timing = record.timing.unwrap_or_default();
    let ms = |duration: Option<prost_types::Duration>| {
        duration.map(|d| d.seconds.saturating_mul(1000) + i64::from(d.nanos) / 1_000_000)
    };
    object([
        ("id", json!(record.id)),
        ("request_id", json!(record.request_id)),
        ("key", json!(record.key_id)),
        ("at", json!(record.created_at.as_ref().map(Timestamp::to_string))),
        ("asked_for", json!(record.requested_model)),
        ("answered_by", json!(record.provider)),
        ("model", json!(record.model)),
        ("outcome", json!(lower(record.outcome().as_str_name(), "GENERATION_OUTCOME_"))),
        ("error", json!(record.error.as_ref().map(|error| &error.error_type))),
        ("streamed", json!(record.streamed)),
        ("tokens_in", json!(usage.prompt_tokens)),
        ("tokens_out", json!(usage.completion_tokens)),
        ("cost_usd", json!(usage.cost)),
        ("first_content_ms", json!(ms(timing.first_content))),
        ("total_ms", json!(ms(timing.total))),
    ])
}

/// The tries of a record.
pub fn attempts(record: &Generation) -> Vec<Value> {
    let row = |attempt: &trunkline_proto::inference::v1::Attempt| {
        object([
            ("id", json!(attempt.ordinal)),
            ("provider", json!(attempt.provider)),
            ("model", json!(attempt.model)),
            ("endpoint_id", json!(attempt.endpoint_id)),
            ("outcome", json!(lower(attempt.outcome().as_str_name(), "ATTEMPT_OUTCOME_"))),
            ("error", json!(attempt.error_type)),
            ("http_status", json!(attempt.http_status)),
        ])
    };
    record.attempts.iter().map(row).collect()
}

/// An endpoint that was looked at.
pub fn candidate(candidate: &Candidate) -> Value {
    let name = format!("{}/{}@{}", candidate.provider, candidate.model, candidate.region);
    object([
        ("id", json!(candidate.endpoint_id)),
        ("name", json!(name)),
        ("verdict", json!(verdict(candidate.verdict))),
        ("weight", json!(weight(candidate.weight_q16))),
        ("load", json!(candidate.load_milli as f64 / 1000.0)),
        ("excluded", json!(candidate.exclusion.as_ref().map(|e| &e.reason))),
    ])
}

/// A place in the plan.
pub fn turn(turn: &Turn) -> Value {
    object([
        ("id", json!(turn.endpoint_id)),
        ("provider", json!(turn.provider)),
        ("model", json!(turn.model)),
        ("reason", json!(turn.reason)),
    ])
}

fn pricing(pricing: Option<&Pricing>) -> Value {
    let none = Pricing::default();
    let pricing = pricing.unwrap_or(&none);
    object([
        ("prompt", json!(pricing.prompt)),
        ("completion", json!(pricing.completion)),
        ("request", json!(pricing.request)),
        ("image", json!(pricing.image)),
        ("cache_read", json!(pricing.cache_read)),
        ("cache_write", json!(pricing.cache_write)),
    ])
}

fn verdict(verdict: i32) -> String {
    let name = Verdict::try_from(verdict).unwrap_or_default().as_str_name();
    lower(name, "VERDICT_")
}

/// Whether a verdict keeps calls away.
pub fn is_out(verdict: i32) -> bool {
    matches!(Verdict::try_from(verdict), Ok(Verdict::Down | Verdict::ConfigError))
}

/// A weight as people compare it, with two decimals.
fn weight(weight_q16: u64) -> f64 {
    (weight_q16 as f64 / ONE_Q16 * 100.0).round() / 100.0
}

/// An enum's name without its prefix.
fn lower(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_proto::admin::v1::DrainReport;

    #[test]
    fn an_endpoints_state_reads_like_its_name() {
        let status = EndpointStatus {
            endpoint_id: "abcdefghij".to_owned(),
            provider: "a".to_owned(),
            model: "m/x".to_owned(),
            region: "eu".to_owned(),
            verdict: Verdict::AdvisoryDown.into(),
            weight_q16: 6_553_600 + 32_768,
            ..EndpointStatus::default()
        };
        let shown = endpoint_status(&status);
        assert_eq!(shown["target"], "endpoint/a/m/x@eu");
        assert_eq!(shown["verdict"], "advisory_down");
        assert_eq!(shown["weight"], 100.5);
        assert_eq!(shown["ttft_p50_ms"], Value::Null);
    }

    #[test]
    fn a_drain_is_applied_only_when_every_router_says_so() {
        let report = |applied_revision, in_flight| DrainReport {
            applied_revision,
            in_flight,
            ..DrainReport::default()
        };
        let mut entry = DrainEntry { revision: 7, ..DrainEntry::default() };
        entry.routers = vec![report(7, 1), report(6, 2)];
        assert_eq!(drain(&entry)["applied"], false);
        assert_eq!(drain(&entry)["in_flight"], 3);
        entry.routers = vec![report(7, 0), report(9, 0)];
        assert_eq!(drain(&entry)["applied"], true);
    }
}
