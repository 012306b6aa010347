//! A prober of a cluster: its process, and what its operations port shows.

use std::net::SocketAddr;

use serde_json::Value;

use crate::process::Process;
use crate::router;

/// A prober that runs.
pub struct Prober {
    /// Its name in the store and on the network.
    pub name: String,
    /// Where it stands.
    pub zone: String,
    /// The process.
    pub process: Process,
}

impl Prober {
    /// Its operations port, once it listens.
    #[must_use]
    pub fn operations(&self) -> Option<SocketAddr> {
        self.process.lines().iter().find_map(|line| operations(line))
    }

    /// The sum of a metric over the series whose labels contain `labels`; 0 while it has no operations port yet.
    pub async fn metric(&self, name: &str, labels: &str) -> f64 {
        match self.operations() {
            Some(port) => router::metric(port, name, labels).await,
            None => 0.0,
        }
    }
}

fn operations(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    line.get("ops")?.as_str()?.parse().ok()
}
