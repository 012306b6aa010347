//! What a provider's failure means: one reading for routers and probers.

use std::error::Error as StdError;
use std::io;

use serde_json::Value;
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

impl ProviderWords {
    /// The `error` object, or the same fields beside where it should be, as older vLLM has them.
    fn read(body: &[u8]) -> Self {
        let whole = match serde_json::from_slice::<Value>(body) {
            // Google's OpenAI-compatible API answers with a list of one.
            Ok(Value::Array(mut errors)) if !errors.is_empty() => errors.swap_remove(0),
            Ok(whole) => whole,
            Err(_) => return Self::default(),
        };
        let error = match whole.get("error") {
            Some(Value::String(message)) => {
                return Self { message: message.clone(), ..Self::default() };
            }
            Some(error @ Value::Object(_)) => error,
            _ => &whole,
        };
        let text = |name: &str| match error.get(name) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        Self {
            kind: text("type").unwrap_or_default(),
            code: text("code"),
            param: text("param"),
            message: sentence(error).unwrap_or_default(),
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

/// What an error says in words: its `message`, or its `detail`, a text or, of servers made with FastAPI, a list of
/// `{loc, msg}`. Their `input` would echo the prompt and is not read.
fn sentence(error: &Value) -> Option<String> {
    /// More faults than this help nobody.
    const MOST: usize = 3;
    match error {
        Value::String(text) => Some(text.clone()),
        Value::Object(fields) => {
            ["message", "detail"].iter().find_map(|name| fields.get(*name).and_then(sentence))
        }
        Value::Array(faults) => {
            let faults: Vec<_> = faults.iter().take(MOST).filter_map(fault).collect();
            (!faults.is_empty()).then(|| faults.join("; "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// `{"loc": ["body", "messages", 0], "msg": "…"}` as `messages.0: …`.
fn fault(entry: &Value) -> Option<String> {
    let said = entry.get("msg").and_then(Value::as_str)?;
    let place = entry.get("loc").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let names = place.iter().filter_map(|step| match step {
        Value::String(name) => Some(name.clone()),
        Value::Number(index) => Some(index.to_string()),
        _ => None,
    });
    let path: Vec<_> = names.skip_while(|name| name == "body").collect();
    Some(if path.is_empty() { said.to_owned() } else { format!("{}: {said}", path.join(".")) })
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
    fn errors_of_other_shapes_are_read_too() {
        let said = |body: &str| {
            let failed = Failed::of_status(422, None, body.as_bytes());
            (failed.message, failed.code, failed.param)
        };
        let faults = r#"{"detail":[
            {"type":"missing","loc":["body","messages",0,"role"],"msg":"Field required","input":"x"},
            {"loc":["body"],"msg":"Not an object"},{"msg":7}]}"#;
        let expected = "messages.0.role: Field required; Not an object".to_owned();
        assert_eq!(said(faults), (expected, None, None));
        assert_eq!(said(r#"{"detail":"Not here"}"#).0, "Not here");
        assert_eq!(said(r#"{"message":{"detail":[{"loc":[],"msg":"No"}]}}"#).0, "No");
        let flat = r#"{"object":"error","message":"No","type":"B","param":"n","code":400}"#;
        assert_eq!(said(flat), ("No".into(), Some("400".into()), Some("n".into())));
        let listed = r#"[{"error":{"code":400,"message":"No key","status":"INVALID_ARGUMENT"}}]"#;
        assert_eq!(said(listed), ("No key".into(), Some("400".into()), None));
        for unreadable in ["[]", "[1]", "7", "{}"] {
            assert_eq!(said(unreadable).0, "the provider answered 422", "{unreadable}");
        }
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
