//! Other routers' configurations → a catalog and a policy. Pure: it reads text and returns values; what could
//! not be carried over is named, so that nobody has to compare by hand.

pub mod litellm;

use serde_json::Value;

/// What became of a configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The catalog, as a document.
    pub catalog: Value,
    /// The policy, as a document.
    pub policy: Value,
    /// What was not carried over, or not as it was.
    pub notes: Vec<Note>,
}

/// Something that was not carried over, or not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where it stands in the configuration.
    pub path: String,
    /// What became of it, and what to do.
    pub what: String,
}
