//! The last hour of every endpoint: its weight, its latency and its verdict, at even distances. It is this
//! router's own memory and begins with the process.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use trunkline_core::id::EndpointId;
use trunkline_core::snapshot::{EndpointState, Snapshot, Verdict};

/// Between two points: finer than a plot of an hour can show.
pub const POINT_EVERY: Duration = Duration::from_secs(15);
/// Points kept of each endpoint: an hour. With the 2,000 endpoints of the largest catalog 8 MiB.
const POINTS: usize = 240;

/// The last hour.
#[derive(Debug, Default)]
pub struct History(Mutex<BTreeMap<EndpointId, VecDeque<Point>>>);

/// An endpoint at one moment.
#[derive(Clone, Copy, Debug)]
struct Point {
    weight_q16: u32,
    ttft_ms: Option<u32>,
    verdict: Verdict,
}

/// The last hour as the page reads it.
#[derive(Debug, Serialize)]
pub struct Hour {
    every_s: u64,
    points: usize,
    endpoints: BTreeMap<String, Plot>,
}

/// One endpoint, the oldest point first, the newest now.
#[derive(Debug, Default, Serialize)]
struct Plot {
    weight: Vec<f64>,
    ttft_ms: Vec<Option<u32>>,
    verdict: Vec<&'static str>,
}

impl History {
    /// Takes one point of everything there is; what left the catalog is forgotten.
    pub fn take(&self, snapshot: &Snapshot) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *kept);
        for state in &snapshot.endpoints {
            let mut points = before.remove(&state.endpoint.id).unwrap_or_default();
            if points.len() >= POINTS {
                points.pop_front();
            }
            points.push_back(Point::of(state));
            kept.insert(state.endpoint.id, points);
        }
    }

    /// All that is kept.
    pub fn read(&self) -> Hour {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let endpoints = kept.iter().map(|(id, points)| (id.to_string(), Plot::of(points)));
        Hour { every_s: POINT_EVERY.as_secs(), points: POINTS, endpoints: endpoints.collect() }
    }
}

impl Point {
    fn of(state: &EndpointState) -> Self {
        Self {
            // What is drained gets nothing, whatever it would weigh.
            weight_q16: if state.drained { 0 } else { state.weight.0 },
            ttft_ms: state.numbers.ttft_p50_ms,
            verdict: state.verdict,
        }
    }
}

impl Plot {
    fn of(points: &VecDeque<Point>) -> Self {
        Self {
            weight: points.iter().map(|s| super::status::weight(s.weight_q16)).collect(),
            ttft_ms: points.iter().map(|s| s.ttft_ms).collect(),
            verdict: points.iter().map(|s| s.verdict.as_str()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use trunkline_core::assess::Table;
    use trunkline_core::policy::Policy;

    use super::*;

    const CATALOG: &str = r#"{"version": 1, "providers": [
        {"id": "a", "base_url": "http://127.0.0.1:1/v1", "endpoints": [{"model": "m"}]}]}"#;

    #[test]
    fn an_hour_is_kept_and_what_left_the_catalog_is_not() {
        let history = History::default();
        let catalog = trunkline_spec::catalog::parse(CATALOG).unwrap();
        let states = Table::default().states(&catalog);
        let with = Snapshot::new(1, Policy::default(), catalog.providers, states);
        for _ in 0..POINTS + 5 {
            history.take(&with);
        }
        let hour = history.read();
        assert_eq!(hour.endpoints.len(), 1);
        assert!(hour.endpoints.values().all(|plot| plot.weight.len() == POINTS));
        history.take(&Snapshot::default());
        assert!(history.read().endpoints.is_empty());
    }
}
