//! The Anthropic Messages dialect: pure translation between what callers speak (OpenAI chat) and what this provider speaks.
//!
//! Nothing here opens a connection, reads a clock or keeps a secret: bytes go in, bytes come out. Opaque JSON (schemas,
//! tool arguments, unknown fields) is carried as raw text, so numbers and key order survive.
//!
//! Field meanings were taken from Anthropic's public API reference (Messages, streaming, errors, structured outputs,
//! thinking, effort) as of November 2026, version header `2023-06-01`.

mod chunk;
pub mod error;
mod generation;
pub mod models;
pub mod request;
pub mod response;
pub mod stream;
mod usage;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Header that names the API version; the provider refuses a request without it.
pub const VERSION_HEADER: &str = "anthropic-version";

/// The API version this module speaks.
pub const VERSION: &str = "2023-06-01";

/// Header that carries the credential (a bearer token in `authorization` is accepted too).
pub const KEY_HEADER: &str = "x-api-key";

/// Response header with the provider's own request id.
pub const REQUEST_ID_HEADER: &str = "request-id";

/// Path of the Messages endpoint, below the provider's base URL.
pub const MESSAGES_PATH: &str = "/v1/messages";

/// Path of the model list, below the base URL; 1000 is the largest page the provider gives.
pub const MODELS_PATH: &str = "/v1/models?limit=1000";

/// A chat request that has no equal in the Messages dialect; the caller's fault, never worth a retry at this endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} [{param}]")]
pub struct Untranslatable {
    /// The field at fault as a path in the caller's body, such as `messages[2].content[0].image_url`; empty for the whole.
    pub param: String,
    /// What is wrong with it, for the caller; never quotes the caller's content.
    pub message: String,
}

impl Untranslatable {
    fn new(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: param.into(), message: message.into() }
    }

    /// Puts `parent` in front of the path.
    fn within(mut self, parent: &str) -> Self {
        self.param = match self.param.chars().next() {
            None => parent.to_owned(),
            Some('[') => format!("{parent}{}", self.param),
            Some(_) => format!("{parent}.{}", self.param),
        };
        self
    }
}

/// Bytes from the provider that are not what its API promises; the upstream's fault, worth another endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid Messages {what}")]
pub struct Undecodable {
    /// Which document or event was expected; carries none of the bytes, since they can hold prompts.
    pub what: &'static str,
}

/// A JSON string, borrowed from the body where it has no escapes (images run to megabytes).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Text<'_> {
    fn as_str(&self) -> &str {
        &self.0
    }
}
