//! The JSON of an error, as a response body or as the last chunk of a broken stream.

use bytes::Bytes;
use serde::Serialize;

use super::ErrorType;
use crate::operation::Operation;

/// An error on its way to the caller. Every text in it is already fit to be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorBody {
    /// The row of the table.
    pub error_type: ErrorType,
    /// What happened, for a person.
    pub message: String,
    /// The request field at fault.
    pub param: Option<String>,
    /// The provider's own code.
    pub provider_code: Option<String>,
    /// The provider that failed last.
    pub provider: Option<String>,
    /// The attempts before the last one, in order.
    pub previous_errors: Vec<PreviousError>,
    /// What is known about when and where the call could succeed.
    pub availability: Option<Availability>,
    /// How many attempts were made.
    pub attempts: Option<u32>,
    /// How many tokens the caller had received when the stream broke.
    pub tokens_emitted: Option<u64>,
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreviousError {
    /// Whose.
    pub provider: String,
    /// What went wrong, by name.
    pub code: String,
    /// The provider's HTTP status, if it answered.
    pub status: Option<u16>,
}

/// Whether and when a call could succeed, and what stands in its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Availability {
    /// The reason by name.
    pub code: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// How long to wait, in milliseconds; written as `retry_after` in whole seconds, rounded up.
    #[serde(rename = "retry_after", serialize_with = "as_seconds")]
    pub retry_after_ms: Option<u64>,
    /// The conditions that excluded endpoints.
    pub excluded_by: Vec<String>,
    /// The providers concerned.
    pub affected_providers: Vec<String>,
}

/// Milliseconds as the whole seconds that `retry-after` counts in, never too few.
fn as_seconds<S: serde::Serializer>(wait_ms: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
    wait_ms.map(|wait_ms| wait_ms.div_ceil(1000)).serialize(to)
}

impl ErrorBody {
    /// An error of this kind with a message and nothing else.
    #[must_use]
    pub fn new(error_type: ErrorType, message: impl Into<String>) -> Self {
        Self {
            error_type,
            message: message.into(),
            param: None,
            provider_code: None,
            provider: None,
            previous_errors: Vec::new(),
            availability: None,
            attempts: None,
            tokens_emitted: None,
        }
    }

    /// The response body: `{"error": {…}}`.
    #[must_use]
    pub fn to_json(&self) -> Bytes {
        to_bytes(&Envelope { error: self.error() })
    }

    /// The `data` of the last chunk of a stream that broke. No `[DONE]` follows it.
    #[must_use]
    pub fn to_chunk(&self, operation: Operation, id: &str, model: &str) -> Bytes {
        let (object, delta, text) = match operation {
            Operation::Completion => ("text_completion", None, Some("")),
            Operation::Chat | Operation::Embedding => {
                ("chat.completion.chunk", Some(Delta { content: "" }), None)
            }
        };
        let choice = Choice { index: 0, delta, text, finish_reason: "error" };
        to_bytes(&Chunk { id, object, model, choices: [choice], error: self.error() })
    }

    fn error(&self) -> Error<'_> {
        let row = self.error_type.row();
        Error {
            code: row.status,
            message: &self.message,
            class: row.class,
            param: self.param.as_deref(),
            metadata: Metadata {
                error_type: row.name,
                provider: self.provider.as_deref(),
                provider_code: self.provider_code.as_deref(),
                attempts: self.attempts,
                tokens_emitted: self.tokens_emitted,
                previous_errors: &self.previous_errors,
                availability: self.availability.as_ref(),
            },
        }
    }
}

impl From<crate::request::BadRequest> for ErrorBody {
    fn from(bad: crate::request::BadRequest) -> Self {
        Self { param: bad.param, ..Self::new(ErrorType::InvalidRequest, bad.message) }
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Error<'a>,
}

#[derive(Serialize)]
struct Error<'a> {
    code: u16,
    message: &'a str,
    #[serde(rename = "type")]
    class: &'a str,
    param: Option<&'a str>,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    error_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_emitted: Option<u64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    previous_errors: &'a [PreviousError],
    #[serde(skip_serializing_if = "Option::is_none")]
    availability: Option<&'a Availability>,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'a str,
    model: &'a str,
    choices: [Choice; 1],
    error: Error<'a>,
}

#[derive(Serialize)]
struct Choice {
    index: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<Delta>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'static str>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Delta {
    content: &'static str,
}

/// Strings, numbers and lists cannot fail to become JSON.
fn to_bytes(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).map(Bytes::from).unwrap_or_default()
}
