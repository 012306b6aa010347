//! What a provider's failure means: one reading for routers and probers.

use std::error::Error as StdError;
use std::io;

use serde::Deserialize;
use trunkline_core::failure::{Failure, FailureKind};
use trunkline_wire::sanitize::sanitize_provider_message;

use crate::guard::Refused;
use crate::target::Credential;
use crate::transport::SendError;

/// A failed try: what decisions need, and what a person may read. Nothing in it can hold a key or a prompt
/// in full: the provider's words are bounded and cleaned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What decisions need.
    pub failure: Failure,
    /// The provider's own error code, cleaned.
    pub code: Option<String>,
    /// The request field it names.
    pub param: Option<String>,
    /// Its message, cleaned, or ours.
    pub message: String,
}

impl Failed {
    /// A failure that no provider put into words.
    pub fn new(kind: FailureKind, message: &str) -> Self {
        Self { failure: Failure::new(kind), code: None, param: None, message: message.to_owned() }
    }

    /// A failed send, before an answer began.
    pub(crate) fn of_send(error: &SendError) -> Self {
        match error {
            SendError::Connect(error) => connect_failure(error.as_ref()),
            SendError::Broken => {
                Self::new(FailureKind::Reset, "the connection broke before an answer began")
            }
        }
    }

    /// An answer whose body broke off.
    pub(crate) fn broken_off() -> Self {
        Self::new(FailureKind::Truncated, "the connection broke inside the answer")
    }

    /// An answer with an error status.
    pub(crate) fn of_status(status: u16, retry_after_ms: Option<u64>, body: &[u8]) -> Self {
        let said = ProviderWords::read(body);
        let kind = said.kind(FailureKind::of_status(status).unwrap_or(FailureKind::ServerError));
        let mut failed = said.into_failed(kind);
        failed.failure.status = Some(status);
        failed.failure.retry_after_ms = retry_after_ms;
        if failed.message.is_empty() {
            failed.message = format!("the provider answered {status}");
        }
        failed
    }

    /// The same with every one of `secrets` cut out of what the provider said: some echo the key they refuse.
    pub(crate) fn without(mut self, secrets: &[Credential]) -> Self {
        let secrets: Vec<&str> = secrets.iter().filter_map(Credential::text).collect();
        self.message = sanitize_provider_message(&self.message, &secrets);
        self.code = self.code.map(|code| sanitize_provider_message(&code, &secrets));
        self.param = self.param.map(|param| sanitize_provider_message(&param, &secrets));
        self
    }

    /// A success status with an error inside.
    pub(crate) fn inside(body: &[u8]) -> Self {
        let said = ProviderWords::read(body);
        let status = said.code.as_deref().and_then(|c| c.parse().ok());
        let by_code = status.and_then(FailureKind::of_status);
        let kind = match by_code {
            Some(kind @ (FailureKind::RateLimited | FailureKind::Overloaded)) => kind,
            _ => said.kind(FailureKind::ErrorInside),
        };
        said.into_failed(kind)
    }
}

fn connect_failure(error: &(dyn StdError + 'static)) -> Failed {
    let causes = || std::iter::successors(Some(error), |cause| (*cause).source());
    // The resolver's error is wrapped in one that says nothing but that.
    if let Some(refused) = causes().find_map(refused) {
        return Failed::new(FailureKind::Dns, &refused.to_string());
    }
    for cause in causes() {
        let text = cause.to_string();
        if text.contains("dns error") {
            return Failed::new(FailureKind::Dns, "the provider's name did not resolve");
        }
        if text.contains("certificate") || text.contains("handshake") || text.contains("tls") {
            return Failed::new(FailureKind::Tls, "the TLS handshake with the provider failed");
        }
        if let Some(io) = cause.downcast_ref::<io::Error>().map(innermost) {
            // What rustls cannot read arrives so, in many words; a TCP connect never does.
            if io.kind() == io::ErrorKind::InvalidData {
                return Failed::new(FailureKind::Tls, "the TLS handshake with the provider failed");
            }
            // 24 is EMFILE, 23 ENFILE: this process is out of descriptors, the provider is not to blame.
            if matches!(io.raw_os_error(), Some(23 | 24)) {
                return Failed::new(FailureKind::Local, "this router is out of file descriptors");
            }
        }
    }
    Failed::new(FailureKind::Connect, "no connection to the provider")
}

/// The guard's own word, if the error is it.
fn refused<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Refused> {
    error.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref()
}

/// The error that others were only wrapped around: `source` of such a wrapper skips what it holds.
fn innermost(error: &io::Error) -> &io::Error {
    let mut innermost = error;
    while let Some(inner) = innermost.get_ref().and_then(|e| e.downcast_ref::<io::Error>()) {
        innermost = inner;
    }
    innermost
}

/// What an error body says, in either dialect's shape or in none.
#[derive(Default)]
struct ProviderWords {
    kind: String,
    code: Option<String>,
    param: Option<String>,
    message: String,
}

#[derive(Deserialize)]
struct Envelope {
    error: Option<serde_json::Value>,
    message: Option<String>,
}

impl ProviderWords {
    fn read(body: &[u8]) -> Self {
        let Ok(envelope) = serde_json::from_slice::<Envelope>(body) else { return Self::default() };
        let text = |value: Option<&serde_json::Value>| match value {
            Some(serde_json::Value::String(text)) => Some(text.clone()),
            Some(serde_json::Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        match envelope.error {
            Some(serde_json::Value::Object(error)) => Self {
                kind: text(error.get("type")).unwrap_or_default(),
                code: text(error.get("code")),
                param: text(error.get("param")),
                message: text(error.get("message")).unwrap_or_default(),
            },
            Some(serde_json::Value::String(message)) => Self { message, ..Self::default() },
            _ => Self { message: envelope.message.unwrap_or_default(), ..Self::default() },
        }
    }

    /// The kind the words stand for, where they are more precise than the status.
    fn kind(&self, by_status: FailureKind) -> FailureKind {
        let code = self.code.as_deref().unwrap_or(&self.kind);
        let message = self.message.to_lowercase();
        let says = |parts: &[&str]| parts.iter().any(|p| message.contains(p));
        match by_status {
            FailureKind::BadRequest | FailureKind::ErrorInside | FailureKind::CredentialRefused => {
                let too_long = ["maximum context length", "context window", "prompt is too long"];
                if code == "context_length_exceeded" || says(&too_long) {
                    FailureKind::ContextLength
                } else if code.starts_with("content_") || code == "moderation_blocked" {
                    FailureKind::ContentFilter
                } else {
                    by_status
                }
            }
            // OpenAI answers 429 when the money is gone; no waiting helps.
            FailureKind::RateLimited if code == "insufficient_quota" => {
                FailureKind::PaymentRequired
            }
            other => other,
        }
    }

    fn into_failed(self, kind: FailureKind) -> Failed {
        let clean = |text: String| sanitize_provider_message(&text, &[]);
        Failed {
            failure: Failure::new(kind),
            code: self.code.or((!self.kind.is_empty()).then_some(self.kind)).map(clean),
            param: self.param.map(clean),
            message: clean(self.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, body: &str) -> FailureKind {
        Failed::of_status(status, None, body.as_bytes()).failure.kind
    }

    #[test]
    fn words_refine_the_status() {
        let long = r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#;
        assert_eq!(kind(400, long), FailureKind::ContextLength);
        let filtered = r#"{"error":{"message":"x","code":"content_policy_violation"}}"#;
        assert_eq!(kind(400, filtered), FailureKind::ContentFilter);
        let broke = r#"{"error":{"message":"x","code":"insufficient_quota"}}"#;
        assert_eq!(kind(429, broke), FailureKind::PaymentRequired);
        assert_eq!(kind(400, "<html>"), FailureKind::BadRequest);
    }

    #[test]
    fn an_error_inside_a_success_keeps_what_it_is() {
        let limited = br#"{"error":{"message":"slow down","code":429}}"#;
        assert_eq!(Failed::inside(limited).failure.kind, FailureKind::RateLimited);
        let plain = br#"{"error":"broken"}"#;
        assert_eq!(Failed::inside(plain).failure.kind, FailureKind::ErrorInside);
        assert_eq!(Failed::inside(plain).message, "broken");
    }

    #[test]
    fn a_wrapped_error_is_found() {
        let deep = io::Error::new(io::ErrorKind::InvalidData, "not TLS");
        let wrapped = io::Error::other(io::Error::other(deep));
        assert_eq!(innermost(&wrapped).kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_key_echoed_by_a_provider_is_not_repeated() {
        let body = br#"{"error":{"message":"bad key sk-abcdefghijklmnopqrstuvwxyz0123456789"}}"#;
        assert!(!Failed::of_status(401, None, body).message.contains("abcdefgh"));
    }
}
