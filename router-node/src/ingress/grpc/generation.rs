//! The record of a call → message. What a record does not keep stays unset.

use prost_types::{Duration, Timestamp};
use trunkline_core::failure::{FailureKind, Penalty};
use trunkline_proto::inference::v1::{
    Attempt, AttemptOutcome, Generation, GenerationError, GenerationOutcome, GenerationTiming,
    Transport, Usage,
};
use trunkline_wire::error::ErrorType;
use trunkline_wire::models;
use trunkline_wire::pico::format_usd;

use super::decision;

/// The message of a record.
pub fn generation_message(record: &models::Generation) -> Generation {
    let served = record.attempts.last().filter(|_| record.model.is_some());
    let mut dropped: Vec<String> = record
        .attempts
        .iter()
        .flat_map(|a| a.dropped_parameters.iter().map(|p| p.to_string()))
        .collect();
    dropped.sort();
    dropped.dedup();
    Generation {
        id: record.id.clone(),
        request_id: record.request_id.clone(),
        key_id: text(record.key.as_deref()),
        created_at: Some(timestamp(record.created_ms)),
        requested_model: record.requested_model.clone(),
        model: text(record.model.as_deref()),
        provider: text(record.provider_name.as_deref()),
        endpoint_id: text(served.map(|a| &*a.endpoint_id)),
        transport: transport(&record.transport).into(),
        streamed: record.streamed,
        outcome: outcome(&record.outcome).into(),
        error: record.error_type.as_deref().map(error),
        usage: Some(usage(record)),
        timing: Some(timing(record)),
        attempts: record.attempts.iter().zip(1..).map(|(a, nth)| attempt(a, nth)).collect(),
        decision: record.decision.as_ref().map(decision::message),
        tags: record.tags.iter().cloned().collect(),
        user: record.user.clone(),
        dropped_parameters: dropped,
        ..Generation::default()
    }
}

fn text(shared: Option<&str>) -> String {
    shared.unwrap_or_default().to_owned()
}

fn transport(name: &str) -> Transport {
    match name {
        "http" => Transport::Http,
        "grpc" => Transport::Grpc,
        _ => Transport::Unspecified,
    }
}

fn outcome(name: &str) -> GenerationOutcome {
    match name {
        "completed" => GenerationOutcome::Completed,
        "rejected" => GenerationOutcome::Rejected,
        "failed" => GenerationOutcome::Failed,
        "abandoned" => GenerationOutcome::Abandoned,
        _ => GenerationOutcome::Unspecified,
    }
}

fn error(name: &str) -> GenerationError {
    let known = ErrorType::all().find(|error| error.name() == name);
    GenerationError {
        http_status: known.map_or(0, |error| error.status().into()),
        error_type: name.to_owned(),
        ..GenerationError::default()
    }
}

fn usage(record: &models::Generation) -> Usage {
    Usage {
        prompt_tokens: record.tokens_prompt,
        completion_tokens: record.tokens_completion,
        total_tokens: record.tokens_prompt + record.tokens_completion,
        cached_tokens: record.tokens_cached,
        reasoning_tokens: record.tokens_reasoning,
        cost: Some(format_usd(record.total_cost.0)),
        cost_pico_usd: Some(record.total_cost.0),
        ..Usage::default()
    }
}

fn timing(record: &models::Generation) -> GenerationTiming {
    let generating = record.latency_ms.map(|first| record.generation_time_ms.saturating_sub(first));
    GenerationTiming {
        routing: record.attempts.first().map(|first| duration(first.began_ms)),
        first_content: record.latency_ms.map(duration),
        generation: generating.map(duration),
        total: Some(duration(record.generation_time_ms)),
    }
}

fn attempt(attempt: &models::GenerationAttempt, ordinal: u32) -> Attempt {
    Attempt {
        ordinal,
        provider: attempt.provider_name.to_string(),
        endpoint_id: attempt.endpoint_id.to_string(),
        model: attempt.model.to_string(),
        outcome: attempt.failure.as_deref().map_or(AttemptOutcome::Ok, attempt_outcome).into(),
        http_status: attempt.status.map(u32::from),
        error_type: text(attempt.failure.as_deref()),
        started_after: Some(duration(attempt.began_ms)),
        duration: Some(duration(attempt.duration_ms)),
        ..Attempt::default()
    }
}

/// By whose fault a try failed, from the failure table.
fn attempt_outcome(name: &str) -> AttemptOutcome {
    let Some(kind) = FailureKind::ALL.into_iter().find(|kind| kind.as_str() == name) else {
        return AttemptOutcome::Unspecified;
    };
    match (kind, kind.effect().penalty) {
        (FailureKind::CallerGone, _) => AttemptOutcome::Abandoned,
        (FailureKind::Local, _) => AttemptOutcome::Local,
        (_, Penalty::Health) => AttemptOutcome::Health,
        (_, Penalty::HalfHealth | Penalty::Capacity) => AttemptOutcome::Overload,
        (_, Penalty::Credential | Penalty::Model) => AttemptOutcome::Config,
        (_, Penalty::Nobody) => AttemptOutcome::Client,
    }
}

fn timestamp(unix_ms: u64) -> Timestamp {
    let Duration { seconds, nanos } = duration(unix_ms);
    Timestamp { seconds, nanos }
}

fn duration(ms: u64) -> Duration {
    let nanos = (ms % 1000) as i32 * 1_000_000;
    Duration { seconds: super::catalog::signed(ms / 1000), nanos }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_name_whose_fault_they_were() {
        for (kind, wanted) in [
            (FailureKind::Stall, AttemptOutcome::Health),
            (FailureKind::Overloaded, AttemptOutcome::Overload),
            (FailureKind::RateLimited, AttemptOutcome::Overload),
            (FailureKind::CredentialRefused, AttemptOutcome::Config),
            (FailureKind::ModelMissing, AttemptOutcome::Config),
            (FailureKind::ContextLength, AttemptOutcome::Client),
            (FailureKind::CallerGone, AttemptOutcome::Abandoned),
            (FailureKind::Local, AttemptOutcome::Local),
        ] {
            assert_eq!(attempt_outcome(kind.as_str()), wanted);
        }
    }

    #[test]
    fn a_time_keeps_its_milliseconds() {
        assert_eq!(timestamp(1_234_567), Timestamp { seconds: 1234, nanos: 567_000_000 });
    }

    #[test]
    fn an_error_names_the_status_that_its_caller_saw() {
        let said = error(ErrorType::ProviderRateLimited.name());
        assert_eq!((said.http_status, said.error_type.as_str()), (429, "provider_rate_limited"));
    }
}
