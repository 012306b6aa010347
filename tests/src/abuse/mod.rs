//! Callers that keep no rule: frames and bytes written by hand, and what came of them. Start at `frames.rs`.

pub mod apart;
pub mod attacks;
pub mod frames;
pub mod measure;
pub mod memory;
pub mod processor;
pub mod scheduling;

pub use frames::{Ended, Frames, Kind};
