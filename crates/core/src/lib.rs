//! What is true, and what to do about it.
//!
//! Every routing and health decision of Trunkline is a pure function in this crate: facts, the clock
//! reading and the seed come in as arguments, a value that says what to do comes out. There is no I/O,
//! no clock, no global randomness, no log and no serialisation here, and no prompt text ever enters.

pub mod address;
pub mod id;
pub mod money;

pub mod catalog;
pub mod policy;
pub mod usage;

pub mod facts;
pub mod failure;
pub mod observation;
pub mod score;
pub mod snapshot;

pub mod assess;
pub mod assign;
pub mod breaker;
pub mod canary;
pub mod dataflow;
pub mod draw;
pub mod filter;
pub mod names;
pub mod plan;
pub mod retry;
pub mod throttle;
pub mod voter;
pub mod window;

pub mod impact;
pub mod replay;

#[cfg(test)]
mod story;
