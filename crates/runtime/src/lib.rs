//! Being a process: tasks and their end, signals, drain, readiness, the HTTP accept loop, the operations
//! port, renewal of certificates, logs and the metrics recorder.
//!
//! It is not about inference: no word of the domain appears here, and no metric is named.

pub mod drain;
pub mod hang_up;
pub mod shutdown;
pub mod tasks;

pub mod readiness;

pub mod descriptors;
pub mod server;

pub mod ops;

pub mod renewal;

pub mod catalogue;
pub mod log_sink;
pub mod panics;
pub mod telemetry;

pub mod otlp;

mod live;

pub use trunkline_tls as tls;

pub use shutdown::{Shutdown, signals};
pub use tasks::{Spawner, TaskFailure, Tasks};

/// An error of a task or a connection: whatever it was, boxed, able to cross threads.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
