//! The table's own rules, and the JSON callers see.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::*;
use crate::operation::Operation;

fn value(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// What HTTP and gRPC clients agree a status means.
fn grpc_of(status: u16) -> i32 {
    match status {
        400 | 415 | 422 => 3,
        401 => 16,
        402 | 413 | 429 => 8,
        403 => 7,
        404 => 5,
        405 => 12,
        499 => 1,
        502 | 503 => 14,
        504 => 4,
        _ => 13,
    }
}

#[test]
fn every_row_is_sound() {
    let mut names = HashSet::new();
    for kind in ErrorType::all() {
        let row = kind.row();
        assert!(names.insert(row.name), "{} twice", row.name);
        assert!(row.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", row.name);
        assert_eq!(row.grpc, grpc_of(row.status), "{}", row.name);
        assert!(row.remedy.ends_with('.'), "{}", row.name);
        assert!(!row.retryable || matches!(row.status, 429 | 502 | 503 | 504), "{}", row.name);
        assert_eq!(serde_json::to_value(kind).unwrap(), row.name);
    }
}

#[test]
fn the_rows_say_what_the_dialect_promises() {
    for (kind, status, name) in [
        (ErrorType::InvalidRequest, 400, "invalid_request"),
        (ErrorType::ContextLengthExceeded, 400, "context_length_exceeded"),
        (ErrorType::ContentPolicyViolation, 400, "content_policy_violation"),
        (ErrorType::InsufficientCredits, 402, "insufficient_credits"),
        (ErrorType::NoEndpoint, 404, "no_endpoint"),
        (ErrorType::RateLimited, 429, "rate_limited"),
        (ErrorType::ProviderAuthentication, 502, "provider_authentication"),
        (ErrorType::ProviderUnavailable, 502, "provider_unavailable"),
        (ErrorType::Overloaded, 503, "overloaded"),
        (ErrorType::UpstreamTimeout, 504, "upstream_timeout"),
    ] {
        assert_eq!((kind.status(), kind.name()), (status, name));
    }
}

#[test]
fn a_small_error_has_openais_four_fields() {
    let body = ErrorBody::new(ErrorType::ModelNotFound, "no model \"x\"").to_json();
    let expected = json!({"error": {
        "code": 404, "message": "no model \"x\"", "type": "invalid_request_error", "param": null,
        "metadata": {"error_type": "model_not_found"},
    }});
    assert_eq!(value(&body), expected);
}

#[test]
fn a_full_error_tells_the_whole_story() {
    let error = ErrorBody {
        param: Some("model".into()),
        provider_code: Some("overloaded".into()),
        provider: Some("b".into()),
        previous_errors: vec![PreviousError {
            provider: "a".into(),
            code: "c".into(),
            status: Some(500),
        }],
        availability: Some(Availability {
            code: "rate_limited".into(),
            retryable: true,
            retry_after_ms: Some(1_001),
            excluded_by: vec!["max_price".into()],
            affected_providers: vec!["a".into()],
        }),
        attempts: Some(2),
        ..ErrorBody::new(ErrorType::ProviderRateLimited, "busy")
    };
    let expected = json!({"error": {
        "code": 429, "message": "busy", "type": "rate_limit_error", "param": "model",
        "metadata": {
            "error_type": "provider_rate_limited", "provider": "b", "provider_code": "overloaded",
            "attempts": 2,
            "previous_errors": [{"provider": "a", "code": "c", "status": 500}],
            "availability": {"code": "rate_limited", "retryable": true, "retry_after": 2,
                "excluded_by": ["max_price"], "affected_providers": ["a"]},
        },
    }});
    assert_eq!(value(&error.to_json()), expected);
}

#[test]
fn the_last_chunk_of_a_broken_stream_reads_as_one() {
    let error = ErrorBody {
        provider: Some("a".into()),
        attempts: Some(1),
        tokens_emitted: Some(9),
        ..ErrorBody::new(ErrorType::ProviderError, "cut off")
    };
    let text = value(&error.to_chunk(Operation::Completion, "gen-1", "m"));
    assert_eq!(
        (&text["object"], &text["choices"][0]["text"]),
        (&json!("text_completion"), &json!(""))
    );
    let chunk = error.to_chunk(Operation::Chat, "gen-1", "m");
    let seen = value(&chunk);
    assert_eq!(seen["object"], "chat.completion.chunk");
    assert_eq!(seen["choices"][0]["finish_reason"], "error");
    let metadata = json!({"error_type": "provider_error", "provider": "a", "attempts": 1, "tokens_emitted": 9});
    assert_eq!(seen["error"]["metadata"], metadata);
    let scan = crate::chunk::scan_chunk(&chunk).unwrap();
    assert_eq!(scan.error.unwrap().status, Some(502));
    assert!(!scan.content);
}

#[test]
fn a_bad_request_keeps_its_field() {
    let body = bytes::Bytes::from_static(b"{\"model\":1}");
    let bad = crate::request::Peek::parse(crate::operation::Operation::Chat, body).err().unwrap();
    let seen = value(&ErrorBody::from(bad).to_json());
    assert_eq!(seen["error"]["param"], "model");
    assert_eq!(seen["error"]["metadata"]["error_type"], "invalid_request");
}
