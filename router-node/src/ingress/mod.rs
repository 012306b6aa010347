//! The ways into a router. Decides nothing: each turns a call into what the
//! pipeline takes, and the pipeline's answer into what its caller reads.

mod arriving;
pub mod body;
pub mod decision;
pub mod grpc;
pub mod http;
pub mod pages;
pub mod telemetry;
