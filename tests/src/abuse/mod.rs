//! Callers that keep no rule: frames and bytes written by hand, and what came of them. Start at `frames.rs`.

pub mod attacks;
pub mod frames;
pub mod measure;
pub mod memory;

pub use frames::{Ended, Frames, Kind};
