//! The metrics of connections to the public port: names and meanings, as in the router's own `telemetry.rs`.
#![expect(clippy::disallowed_macros, reason = "this file names metrics")]

use metrics::{Counter, Unit, counter, describe_counter};
use trunkline_runtime::catalogue::{Kind, Metric};
use trunkline_runtime::server::Defence;

const OFFENCES: &str = "trunkline_offences_total";
const DELAYED: &str = "trunkline_delayed_connections_total";

/// All metrics of connections to the public port.
pub const CATALOGUE: &[Metric] = &[
    Metric::new(
        OFFENCES,
        Kind::Counter,
        &[],
        "Connections to the public port that were ended for what came over them: floods of frames, and what breaks the rules of HTTP or TLS.",
    ),
    Metric::new(
        DELAYED,
        Kind::Counter,
        &[],
        "New connections to the public port that had to wait, at most half a second, because others from their address had just been ended for what came over them.",
    ),
];

/// Counts them.
#[derive(Clone)]
pub struct Meter {
    offences: Counter,
    delayed: Counter,
}

impl Meter {
    /// Describes everything; call once, after the recorder is installed.
    pub fn started() -> Self {
        for metric in CATALOGUE {
            describe_counter!(metric.name, Unit::Count, metric.help);
        }
        let meter = Self { offences: counter!(OFFENCES), delayed: counter!(DELAYED) };
        // Both series are there from the start, so that a first increase is one.
        meter.offences.increment(0);
        meter.delayed.increment(0);
        meter
    }

    /// Something was done about a connection.
    pub fn defended(&self, what: Defence) {
        match what {
            Defence::Ended => self.offences.increment(1),
            Defence::Delayed => self.delayed.increment(1),
        }
    }
}
