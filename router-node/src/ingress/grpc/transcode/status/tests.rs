//! Stories about errors: the same rejection by gRPC as by HTTP.

use super::*;

const OVERLOADED: &str = r#"{"error": {
    "code": 429, "message": "all endpoints are rate limited", "type": "rate_limit_error",
    "param": null, "metadata": {
        "error_type": "rate_limited", "provider_code": "slow_down",
        "previous_errors": [{"provider": "acme", "code": "slow_down", "status": 429}],
        "availability": {"code": "no_capacity", "retryable": true, "retry_after": 1.5,
                         "excluded_by": [], "affected_providers": ["acme", "umbrella"]}}}}"#;

#[test]
fn every_row_of_the_mapping_holds() {
    for (http, code) in [
        (400, Code::InvalidArgument),
        (401, Code::Unauthenticated),
        (402, Code::ResourceExhausted),
        (403, Code::PermissionDenied),
        (404, Code::NotFound),
        (405, Code::Unimplemented),
        (409, Code::Aborted),
        (413, Code::ResourceExhausted),
        (415, Code::InvalidArgument),
        (422, Code::InvalidArgument),
        (429, Code::ResourceExhausted),
        (499, Code::Cancelled),
        (500, Code::Internal),
        (502, Code::Unavailable),
        (503, Code::Unavailable),
        (504, Code::DeadlineExceeded),
        (418, Code::Internal),
    ] {
        assert_eq!(from_error_json(b"{}", http).code(), code, "{http}");
    }
}

#[test]
fn every_error_type_has_the_code_of_its_row() {
    for error_type in ErrorType::all() {
        let row = error_type.row();
        let status = from_error(&ErrorBody::new(error_type, "said"));
        assert_eq!(status.code() as i32, row.grpc, "{}", row.name);
        assert_eq!(status.message(), "said");
        assert_eq!(status.get_error_details().error_info().unwrap().reason, row.name);
    }
}

#[test]
fn a_rate_limit_says_why_how_long_and_who() {
    let status = from_error_json(OVERLOADED.as_bytes(), 429);
    assert_eq!(status.message(), "all endpoints are rate limited");
    assert_eq!(status.metadata().get(PUSHBACK).unwrap(), "1500");
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("rate_limited", "trunkline"));
    assert_eq!(info.metadata["provider_code"], "slow_down");
    assert_eq!(info.metadata["availability.code"], "no_capacity");
    assert_eq!(info.metadata["availability.affected_providers"], "acme,umbrella");
    assert!(info.metadata["previous_errors"].contains(r#""provider":"acme""#));
    let wait = details.retry_info().unwrap().retry_delay;
    assert_eq!(wait, Some(Duration::from_millis(1500)));
    let quota = details.quota_failure().unwrap();
    assert_eq!(quota.violations[0].subject, "rate_limited");
}

#[test]
fn a_bad_parameter_is_named() {
    let body = br#"{"error": {"message": "too hot", "type": "invalid_request_error",
                    "param": "temperature"}}"#;
    let status = from_error_json(body, 400);
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "invalid_request_error");
    let violation = &details.bad_request().unwrap().field_violations[0];
    assert_eq!(
        (violation.field.as_str(), violation.description.as_str()),
        ("temperature", "too hot")
    );
    assert!(details.retry_info().is_none());
    assert!(details.quota_failure().is_none());
    assert!(status.metadata().get(PUSHBACK).is_none());
}

#[test]
fn any_body_gives_a_status() {
    for body in ["", "<html>", "[]", "null", r#"{"error": "text"}"#, r#"{"error": {"message": 5}}"#]
    {
        let status = from_error_json(body.as_bytes(), 503);
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.get_error_details().error_info().unwrap().reason, "unknown");
    }
}

#[test]
fn waits_are_sane_and_texts_are_short() {
    let with = |wait: &str| {
        let availability = format!(r#"{{"availability": {{"retry_after": {wait}}}}}"#);
        let message = "ü".repeat(5000);
        let body =
            format!(r#"{{"error": {{"message": "{message}", "metadata": {availability}}}}}"#);
        from_error_json(body.as_bytes(), 503)
    };
    assert_eq!(with("1e300").metadata().get(PUSHBACK), None);
    assert_eq!(with("-1").metadata().get(PUSHBACK), None);
    assert_eq!(with("9e9").metadata().get(PUSHBACK).unwrap(), "86400000");
    assert_eq!(with("2").message().len(), MAX_TEXT_BYTES);
}

#[test]
fn our_own_refusals_are_typed_too() {
    let bad = BadField { field: "messages[0].role".into(), description: "is required".into() };
    let status = from_bad_field(&bad);
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "messages[0].role: is required");
    let details = status.get_error_details();
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "messages[0].role");

    let undecodable = Undecodable { problem: "not JSON", line: 1, column: 2 };
    let status = from_undecodable(&undecodable);
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.message(), "answer is not JSON at line 1, column 2");
}
