//! upstream.
pub mod anthropic;
