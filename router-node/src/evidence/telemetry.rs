//! The metrics of what this router tells probers: names and meanings, as in the router's own `telemetry.rs`.
#![expect(clippy::disallowed_macros, reason = "this file names metrics")]

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};
use trunkline_runtime::catalogue::{Kind, Metric};

const BATCHES: &str = "trunkline_evidence_batches_total";
const DROPPED: &str = "trunkline_evidence_dropped_total";
const STREAMS: &str = "trunkline_evidence_streams";
const FAILURES: &str = "trunkline_evidence_stream_failures_total";

/// All metrics of a router's evidence.
pub const CATALOGUE: &[Metric] = &[
    Metric::new(
        BATCHES,
        Kind::Counter,
        &["class"],
        "Batches of evidence sent to probers: urgent, or at the usual pace.",
    ),
    Metric::new(
        DROPPED,
        Kind::Counter,
        &[],
        "Batches of evidence that a prober did not take in time: the oldest go first.",
    ),
    Metric::new(STREAMS, Kind::Gauge, &[], "Probers that this router reports to at the moment."),
    Metric::new(
        FAILURES,
        Kind::Counter,
        &[],
        "Times a prober could not be reached, or its stream ended.",
    ),
];

/// The handles.
pub struct Telemetry {
    urgent: Counter,
    usual: Counter,
    dropped: Counter,
    streams: Gauge,
    failures: Counter,
}

impl Telemetry {
    /// Registers everything; call once, after the recorder is installed.
    pub fn new() -> Self {
        for metric in CATALOGUE {
            match metric.kind {
                Kind::Counter => describe_counter!(metric.name, Unit::Count, metric.help),
                Kind::Gauge | Kind::Histogram => {
                    describe_gauge!(metric.name, Unit::Count, metric.help);
                }
            }
        }
        Self {
            urgent: counter!(BATCHES, "class" => "urgent"),
            usual: counter!(BATCHES, "class" => "usual"),
            dropped: counter!(DROPPED),
            streams: gauge!(STREAMS),
            failures: counter!(FAILURES),
        }
    }

    /// A batch was sent, ahead of the pace or not.
    pub fn sent(&self, urgency: super::board::Urgency) {
        match urgency {
            super::board::Urgency::Urgent => self.urgent.increment(1),
            super::board::Urgency::Usual => self.usual.increment(1),
        }
    }

    /// So many batches were lost on their way to one prober.
    pub fn dropped(&self, batches: u64) {
        self.dropped.increment(batches);
    }

    /// A prober is reported to until the guard is dropped.
    pub fn stream(&self) -> Stream {
        self.streams.increment(1.0);
        Stream(self.streams.clone())
    }

    /// A stream could not be opened, or ended.
    pub fn stream_failed(&self) {
        self.failures.increment(1);
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

/// A prober that is being reported to.
pub struct Stream(Gauge);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
