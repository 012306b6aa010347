//! The routing simulator: what our rules do to calls, beside simpler ones, in simulated time. Plans, weights,
//! the consensus, breakers, ghosts and cooldowns are the real ones; providers are queues.
//!
//! Start reading at `table.rs`.

pub mod table;

mod failing;
mod latency;
mod limits;
mod ours;
mod queues;
