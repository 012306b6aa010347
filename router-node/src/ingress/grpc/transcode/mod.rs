//! Between the gRPC messages and the JSON dialect that the pipeline speaks:
//! pure functions, so that a call means the same whichever way it came in.
//! Knows nothing of routing, of sockets or of providers.
//!
//! Requests are written straight into the body's bytes, and answers are read
//! straight into messages; only members without a field of their own become a
//! tree, in the message's `extra`.

pub mod request;
pub mod response;
pub mod status;
pub mod stream;

mod base64;
mod conversation;
mod delta;
mod members;
mod number;
mod object;
mod preferences;
mod structure;
mod usage;

use std::fmt;

use thiserror::Error;

/// A field of a request that cannot be expressed in the JSON dialect: the
/// caller's mistake, not worth a retry.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {description}")]
pub struct BadField {
    /// Path of the field, for example `messages[2].role`.
    pub field: String,
    /// What is wrong with it, in English, without its value.
    pub description: String,
}

impl BadField {
    pub(crate) fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into() }
    }

    /// The same mistake seen from the message that holds the field's own.
    pub(crate) fn within(self, parent: impl fmt::Display) -> Self {
        let dot = if self.field.is_empty() || self.field.starts_with('[') { "" } else { "." };
        Self { field: format!("{parent}{dot}{}", self.field), description: self.description }
    }
}

/// An answer that is not the JSON it should be: the provider's fault, worth a
/// try elsewhere. Says where, never what: the text is the caller's own.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("answer is {problem} at line {line}, column {column}")]
pub struct Undecodable {
    /// What is wrong, for example `not JSON`.
    pub problem: &'static str,
    /// Line of the mistake, from 1.
    pub line: usize,
    /// Column of the mistake in bytes, from 1; 0 at the end of the line before.
    pub column: usize,
}

impl From<serde_json::Error> for Undecodable {
    fn from(error: serde_json::Error) -> Self {
        let problem = match error.classify() {
            serde_json::error::Category::Eof => "cut short",
            serde_json::error::Category::Data => "of another shape than expected",
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => "not JSON",
        };
        Self { problem, line: error.line(), column: error.column() }
    }
}
