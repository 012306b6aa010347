//! The provider's errors in OpenAI's words. Whether to retry is decided elsewhere.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Text;

/// Longest message handed on, in characters: some refusals quote the whole input.
const MAX_MESSAGE_CHARS: usize = 1000;

/// Phrases of the provider's 400 for a prompt (or prompt plus limit) beyond the context window, lower case.
const TOO_LONG: &[&str] = &["prompt is too long", "exceed context limit", "context window"];

/// Phrase of the provider's 400 for an account without money, lower case.
const NO_CREDIT: &str = "credit balance is too low";

/// What the provider names an error. The table below is all there is to its translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    InvalidRequest,
    Authentication,
    Billing,
    Permission,
    NotFound,
    Conflict,
    TooLarge,
    RateLimit,
    Api,
    Timeout,
    Overloaded,
}

/// OpenAI's `type` and `code` for an error.
struct Words {
    kind: &'static str,
    code: Option<&'static str>,
}

impl Kind {
    fn named(name: &str) -> Option<Self> {
        match name {
            "invalid_request_error" => Some(Self::InvalidRequest),
            "authentication_error" => Some(Self::Authentication),
            "billing_error" => Some(Self::Billing),
            "permission_error" => Some(Self::Permission),
            "not_found_error" => Some(Self::NotFound),
            "conflict_error" => Some(Self::Conflict),
            "request_too_large" => Some(Self::TooLarge),
            "rate_limit_error" => Some(Self::RateLimit),
            "api_error" => Some(Self::Api),
            "timeout_error" => Some(Self::Timeout),
            "overloaded_error" => Some(Self::Overloaded),
            _ => None,
        }
    }

    fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Authentication,
            402 => Self::Billing,
            403 => Self::Permission,
            404 => Self::NotFound,
            409 => Self::Conflict,
            413 => Self::TooLarge,
            429 => Self::RateLimit,
            408 | 504 => Self::Timeout,
            503 | 529 => Self::Overloaded,
            400..=499 => Self::InvalidRequest,
            _ => Self::Api,
        }
    }

    /// The HTTP status the provider gives this kind when it is not inside a stream.
    fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::Authentication => 401,
            Self::Billing => 402,
            Self::Permission => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::RateLimit => 429,
            Self::Api => 500,
            Self::Timeout => 504,
            Self::Overloaded => 529,
        }
    }

    fn words(self) -> Words {
        let (kind, code) = match self {
            Self::InvalidRequest => ("invalid_request_error", None),
            Self::Authentication => ("authentication_error", Some("invalid_api_key")),
            Self::Billing => ("insufficient_quota", Some("insufficient_quota")),
            Self::Permission => ("permission_error", Some("permission_denied")),
            Self::NotFound => ("invalid_request_error", Some("not_found")),
            Self::Conflict => ("invalid_request_error", Some("conflict")),
            Self::TooLarge => ("invalid_request_error", Some("request_too_large")),
            Self::RateLimit => ("rate_limit_error", Some("rate_limit_exceeded")),
            Self::Api => ("server_error", Some("server_error")),
            Self::Timeout => ("server_error", Some("timeout")),
            Self::Overloaded => ("server_error", Some("overloaded")),
        };
        Words { kind, code }
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    error: Named<'a>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    message: Option<Text<'a>>,
}

#[derive(Serialize)]
struct OpenAiEnvelope<'a, C: Serialize> {
    error: OpenAiError<'a, C>,
}

#[derive(Serialize)]
struct OpenAiError<'a, C: Serialize> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<&'static str>,
    code: C,
}

/// An error understood.
struct Reading<'a> {
    kind: Kind,
    message: Cow<'a, str>,
    words: Words,
    param: Option<&'static str>,
}

impl<'a> Reading<'a> {
    fn of(status: u16, body: &'a [u8]) -> Self {
        let named = serde_json::from_slice::<Envelope<'a>>(body).ok().map(|found| found.error);
        let (name, message) = named.map_or((None, None), |error| (error.kind, error.message));
        let kind = name
            .and_then(|name| Kind::named(name.as_str()))
            .unwrap_or_else(|| Kind::of_status(status));
        let mut reading =
            Self { kind, message: Cow::Borrowed(""), words: kind.words(), param: None };
        match message {
            Some(message) => reading.take_message(message.0),
            None => {
                let text = format!("the provider answered {status} without a readable error");
                reading.message = Cow::Owned(text);
            }
        }
        reading
    }

    /// Some failures have a code of their own in OpenAI's words and only a phrase in the provider's.
    fn take_message(&mut self, message: Cow<'a, str>) {
        let lower = message.to_ascii_lowercase();
        if matches!(self.kind, Kind::InvalidRequest | Kind::TooLarge) {
            if TOO_LONG.iter().any(|phrase| lower.contains(phrase)) {
                self.words.code = Some("context_length_exceeded");
                self.param = Some("messages");
            } else if lower.contains(NO_CREDIT) {
                self.words = Kind::Billing.words();
            }
        } else if self.kind == Kind::NotFound && lower.contains("model") {
            self.words.code = Some("model_not_found");
            self.param = Some("model");
        }
        self.message = shortened(message);
    }
}

/// The provider's error answer with `status` as an OpenAI error document `{"error": {message, type, param, code}}`.
///
/// The error's own type decides, and the status where there is none. A body that is not the provider's JSON (a proxy's
/// page, nothing at all) gives a plain sentence instead of being echoed. Messages are cut at 1000 characters.
pub fn to_openai(status: u16, body: &[u8]) -> Vec<u8> {
    let reading = Reading::of(status, body);
    let code = reading.words.code;
    write(&reading, code)
}

/// An `error` event as a chunk's payload, and the status the provider would have given it outside a stream.
///
/// The payload's `code` is a number, an HTTP status known to OpenAI's clients (503 for the provider's own 529), since
/// inside a stream there is no status line to tell it.
pub(super) fn to_chunk(body: &[u8]) -> (u16, Vec<u8>) {
    let reading = Reading::of(Kind::Api.status(), body);
    let status = reading.kind.status();
    let known = if reading.kind == Kind::Overloaded { 503 } else { status };
    (status, write(&reading, known))
}

fn write<C: Serialize>(reading: &Reading<'_>, code: C) -> Vec<u8> {
    let error = OpenAiError {
        message: &reading.message,
        kind: reading.words.kind,
        param: reading.param,
        code,
    };
    serde_json::to_vec(&OpenAiEnvelope { error }).unwrap_or_default()
}

fn shortened(message: Cow<'_, str>) -> Cow<'_, str> {
    match message.char_indices().nth(MAX_MESSAGE_CHARS) {
        None => message,
        Some((end, _)) => Cow::Owned(format!("{}…", message.get(..end).unwrap_or_default())),
    }
}
