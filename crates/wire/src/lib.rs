//! The HTTP dialect: what a request, an answer, a stream chunk, an error and an SSE frame look like.
//!
//! Bytes stay bytes: a body is scanned once and only the few spans that change are replaced, so a field
//! nobody here knows reaches the other side as it was written. This crate is not a client, knows no
//! provider's peculiarities, and decides nothing.

mod json;

pub mod answer;
pub mod chunk;
pub mod error;
pub mod fields;
pub mod models;
pub mod operation;
pub mod pico;
pub mod request;
pub mod sanitize;
pub mod sse;
pub mod usage;

mod choice;
mod splice;

pub use json::MAX_DEPTH;
