//! The health prober: probes providers as live traffic would, and publishes what it saw.
//!
//! Start reading at [`cycle`]: due → probe → observe → publish. What a vote is made of is decided in
//! `trunkline_core::voter`, what the votes lead to in `trunkline_core::assess`; nothing here routes anything.

pub mod app;
pub mod check;

pub mod cycle;

pub mod fold;
pub mod schedule;

pub mod purse;

pub mod probe;

pub mod evidence;
pub mod intake;
pub mod self_test;

pub mod damping;
pub mod record;
pub mod watched;

pub mod allowance;
pub mod publish;

pub mod config;
pub mod reload;
pub mod telemetry;
pub mod tuning;
