//! A cluster in simulated time. The probers' cycle and publisher, the routers' fold, the consensus and the
//! store's engine are the real ones; clocks, networks, providers and liars are simulated. Everything follows
//! from one seed, so a run that fails can be had again.
//!
//! Start reading at `world.rs`.

pub mod world;

pub mod scale;

pub mod fault;

pub mod demand;

pub mod story;

pub mod figures;
pub mod spend;

pub mod cli;

mod liar;
mod link;
mod poll;
mod prober;
mod provider;
mod router;

pub use provider::Conduct;
