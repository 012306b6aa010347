//! Error answers in the exact shapes of OpenAI and Anthropic. It does not decide when they are due.

use http::{HeaderName, StatusCode, header};
use serde_json::{Value, json};

use crate::ask::{BadAsk, Dialect};
use crate::fault::Fault;
use crate::script::Script;

/// An error answer before it takes a dialect's shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    status: StatusCode,
    message: String,
    param: Option<&'static str>,
    code: Option<&'static str>,
    headers: Vec<(HeaderName, String)>,
}

impl Refusal {
    /// The usual error for a status; an impossible status becomes 500.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (message, code) = match status.as_u16() {
            401 => ("Incorrect API key provided.", Some("invalid_api_key")),
            402 => ("The account has no credit left.", Some("insufficient_quota")),
            403 => ("This key may not use this model.", Some("permission_denied")),
            404 => ("The model does not exist.", Some("model_not_found")),
            429 => ("Rate limit reached for requests.", Some("rate_limit_exceeded")),
            400..=499 => ("The request was not accepted.", None),
            529 => ("Overloaded", None),
            _ => ("The server had an error while processing your request.", None),
        };
        Self { status, message: message.to_owned(), param: None, code, headers: Vec::new() }
    }

    /// A 400 for a body that cannot be answered.
    #[must_use]
    pub fn bad_ask(bad: &BadAsk) -> Self {
        Self {
            message: bad.to_string(),
            param: Some(bad.param),
            code: None,
            ..Self::of_status(400)
        }
    }

    /// A 404 for a model that is not offered.
    #[must_use]
    pub fn no_model(model: &str) -> Self {
        let message =
            format!("The model `{model}` does not exist or you do not have access to it.");
        Self { message, param: Some("model"), ..Self::of_status(404) }
    }

    /// Any status with this message.
    #[must_use]
    pub fn told(status: u16, message: &str) -> Self {
        Self { message: message.to_owned(), ..Self::of_status(status) }
    }

    /// The same with a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The error that a fault consists of, if it consists of one. `body` and `key` are those of the request.
    #[must_use]
    pub fn of_fault(fault: &Fault, body: &[u8], key: &str) -> Option<Self> {
        Some(match fault {
            Fault::Status { status, retry_after, retry_after_ms } => {
                let mut refusal = Self::of_status(*status);
                let seconds = retry_after.iter().map(|text| (header::RETRY_AFTER, text.clone()));
                let millis = retry_after_ms.iter().map(|text| (RETRY_AFTER_MS, text.clone()));
                refusal.headers.extend(seconds.chain(millis));
                refusal
            }
            Fault::ContentPolicy => Self {
                code: Some("content_policy_violation"),
                ..Self::told(400, "Your request was rejected by the safety system.")
            },
            Fault::ContextLength => Self {
                param: Some("messages"),
                code: Some("context_length_exceeded"),
                ..Self::told(
                    400,
                    "prompt is too long: this model's maximum context length is 8192 tokens.",
                )
            },
            Fault::ModelNotFound => Self::of_status(404),
            Fault::EchoRequest { status } => {
                let body = String::from_utf8_lossy(body);
                Self::told(
                    *status,
                    &format!("Could not handle the request {body} of the key {key}"),
                )
            }
            Fault::Refuse { .. }
            | Fault::Flap { .. }
            | Fault::Reset
            | Fault::BlackHole
            | Fault::SlowHeaders { .. }
            | Fault::SlowFirstToken { .. }
            | Fault::Stall { .. }
            | Fault::Cut { .. }
            | Fault::CutReset { .. }
            | Fault::EarlyEof { .. }
            | Fault::NoDone
            | Fault::MalformedChunk { .. }
            | Fault::HugeChunk { .. }
            | Fault::GzipBomb { .. }
            | Fault::WrongContentType
            | Fault::EmptyCompletion
            | Fault::ErrorInOk { .. }
            | Fault::BadJson
            | Fault::ContentFilter { .. }
            | Fault::RateLimit { .. }
            | Fault::CommentsOnly { .. } => return None,
        })
    }

    /// The error as JSON in the dialect's shape, for the request with this number.
    #[must_use]
    pub fn body(&self, dialect: Dialect, id: u64) -> Value {
        match dialect {
            Dialect::Anthropic => json!({
                "type": "error",
                "error": {"type": self.anthropic_type(), "message": self.message},
                "request_id": request_id(id),
            }),
            Dialect::Chat | Dialect::Completion | Dialect::Plain => json!({
                "error": {
                    "message": self.message,
                    "type": self.openai_type(),
                    "param": self.param,
                    "code": self.code,
                }
            }),
        }
    }

    /// The error as a whole answer.
    #[must_use]
    pub fn script(&self, dialect: Dialect, id: u64) -> Script {
        let body = self.body(dialect, id).to_string().into_bytes();
        let script = Script::json(self.status, body, 0);
        self.headers
            .iter()
            .fold(script, |script, (name, value)| script.with_header(name.clone(), value))
    }

    fn openai_type(&self) -> &'static str {
        match self.status.as_u16() {
            402 => "insufficient_quota",
            403 => "permission_error",
            429 => "requests",
            400..=499 => "invalid_request_error",
            _ => "server_error",
        }
    }

    fn anthropic_type(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            504 => "timeout_error",
            529 => "overloaded_error",
            _ => "api_error",
        }
    }
}

/// The header by which OpenAI gives the delay in milliseconds.
pub const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// How the request with this number is called in headers and Anthropic's errors.
#[must_use]
pub fn request_id(id: u64) -> String {
    format!("req_sim_{id}")
}
