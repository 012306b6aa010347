//! The router: takes inference calls and sends each to the best endpoint.

pub mod config;
pub mod ingress;
