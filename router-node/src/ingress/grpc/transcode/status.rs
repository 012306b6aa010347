//! Errors: the JSON dialect's error body → gRPC status with google.rpc details.
//! The body was made by this router, so nothing needs sanitising here.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use trunkline_wire::error::{ErrorBody, ErrorType};

use super::{BadField, Undecodable};

/// Whose reasons the `ErrorInfo` of a status holds.
const DOMAIN: &str = "trunkline";
/// The trailer by which gRPC clients wait before their own retry.
const PUSHBACK: &str = "grpc-retry-pushback-ms";
/// Longest text in a status. Message and details travel as trailers, twice
/// over, and clients commonly take no more than 8 KiB of headers.
const MAX_TEXT_BYTES: usize = 512;
/// Longest wait that is passed on; a provider that says more says nothing.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// The status that says the same as a rejection does over HTTP.
pub fn from_error(error: &ErrorBody) -> Status {
    from_error_json(&error.to_json(), error.error_type.status())
}

/// The status that says the same as an error body with this HTTP status.
/// A body that is not an error body still gives the status' code.
pub fn from_error_json(body: &[u8], http_status: u16) -> Status {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = body.get("error").unwrap_or(&Value::Null);
    let metadata = error.get("metadata").unwrap_or(&Value::Null);
    let availability = metadata.get("availability").unwrap_or(&Value::Null);

    let code = code_of(http_status);
    let message = error.get("message").and_then(Value::as_str);
    let message = shortened(message.unwrap_or("the call failed"));
    let retry_after = retry_after(availability);

    let mut details = ErrorDetails::new();
    details.set_error_info(reason(error, metadata), DOMAIN, facts(http_status, metadata));
    if retry_after.is_some() {
        details.set_retry_info(retry_after);
    }
    if matches!(http_status, 402 | 429) {
        details.add_quota_failure_violation(reason(error, metadata), &message);
    }
    if let Some(param) = error.get("param").and_then(Value::as_str) {
        details.add_bad_request_violation(shortened(param), &message);
    }
    with_details(code, message, details, retry_after)
}

/// The status for a request that JSON cannot express.
pub fn from_bad_field(bad: &BadField) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(ErrorType::InvalidRequest.name(), DOMAIN, HashMap::new());
    details.add_bad_request_violation(shortened(&bad.field), shortened(&bad.description));
    with_details(Code::InvalidArgument, shortened(&bad.to_string()), details, None)
}

/// The status for an answer that cannot be read.
pub fn from_undecodable(undecodable: &Undecodable) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(ErrorType::ProviderError.name(), DOMAIN, HashMap::new());
    with_details(Code::Unavailable, undecodable.to_string(), details, None)
}

/// The gRPC code for an HTTP status of the dialect. It agrees with the table of
/// error types, row by row; here it also serves bodies that name no type.
pub fn code_of(http_status: u16) -> Code {
    match http_status {
        400 | 415 | 422 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        402 | 413 | 429 => Code::ResourceExhausted,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        405 => Code::Unimplemented,
        409 => Code::Aborted,
        499 => Code::Cancelled,
        502 | 503 => Code::Unavailable,
        504 => Code::DeadlineExceeded,
        _ => Code::Internal,
    }
}

fn with_details(
    code: Code,
    message: String,
    details: ErrorDetails,
    retry_after: Option<Duration>,
) -> Status {
    let mut trailers = MetadataMap::new();
    if let Some(wait) = retry_after {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        trailers.insert(PUSHBACK, MetadataValue::from(wait_ms));
    }
    Status::with_error_details_and_metadata(code, message, details, trailers)
}

/// The stable code of the error: its `error_type`, or the coarser `type` of
/// the dialect.
fn reason(error: &Value, metadata: &Value) -> String {
    let reason = metadata.get("error_type").or_else(|| error.get("type"));
    shortened(reason.and_then(Value::as_str).unwrap_or("unknown"))
}

/// How long the caller should wait, if the router knows.
fn retry_after(availability: &Value) -> Option<Duration> {
    let seconds = availability.get("retry_after")?.as_f64()?;
    Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(MAX_RETRY_AFTER))
}

/// What else the body says, as text: one entry for each member of `metadata`
/// and of its `availability`.
fn facts(http_status: u16, metadata: &Value) -> HashMap<String, String> {
    let mut facts = HashMap::from([("http_status".to_owned(), http_status.to_string())]);
    let availability = metadata.get("availability").and_then(Value::as_object);
    let availability = availability.into_iter().flatten();
    let availability = availability.map(|(name, value)| (format!("availability.{name}"), value));
    let own = metadata.as_object().into_iter().flatten();
    let own = own
        .filter(|(name, _)| !matches!(name.as_str(), "availability" | "error_type"))
        .map(|(name, value)| (name.clone(), value));
    facts.extend(own.chain(availability).filter_map(|(name, value)| Some((name, plain(value)?))));
    facts
}

/// A value as text: plain for text and numbers, joined by commas for a list of
/// texts, as JSON for the rest; `None` for null and for what is too long, since
/// half a JSON text is none.
fn plain(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => shortened(text),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
        }
        Value::Array(_) | Value::Object(_) | Value::Bool(_) | Value::Number(_) => value.to_string(),
    };
    Some(text).filter(|text| !text.is_empty() && text.len() <= MAX_TEXT_BYTES)
}

fn shortened(text: &str) -> String {
    let mut end = text.len().min(MAX_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
