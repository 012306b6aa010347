//! The metrics of reading the configuration again: names and meanings, as in the router's own `telemetry.rs`.
#![expect(clippy::disallowed_macros, reason = "this file names metrics")]

use std::time::{SystemTime, UNIX_EPOCH};

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use trunkline_runtime::catalogue::{Kind, Metric};

use crate::config::Changes;

const RELOADS: &str = "trunkline_config_reloads_total";
const SUCCESS: &str = "trunkline_config_last_reload_success_timestamp_seconds";
const SUCCESSFUL: &str = "trunkline_config_last_reload_successful";

/// All metrics of reading the configuration again.
pub const CATALOGUE: &[Metric] = &[
    Metric::new(
        RELOADS,
        Kind::Counter,
        &["outcome"],
        "Times the configuration was read again: changed, unchanged, waiting (some of what changed takes effect at the next start) or refused because the file has mistakes; then nothing changed.",
    ),
    Metric::new(
        SUCCESS,
        Kind::Gauge,
        &[],
        "When the configuration was last read without a mistake, in seconds since 1970.",
    ),
    Metric::new(
        SUCCESSFUL,
        Kind::Gauge,
        &[],
        "Whether the configuration was right when it was last read: 1, or 0 after one that was refused.",
    ),
];

/// What came of reading the configuration again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All that is new is in force.
    Changed,
    /// Nothing is new.
    Unchanged,
    /// Some of what is new waits for the next start.
    Waiting,
    /// The file has mistakes.
    Refused,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Changed, Self::Unchanged, Self::Waiting, Self::Refused];

    /// What came of a file without mistakes.
    pub fn of(changes: &Changes) -> Self {
        match (changes.waiting.is_empty(), changes.taken.is_empty()) {
            (false, _) => Self::Waiting,
            (true, false) => Self::Changed,
            (true, true) => Self::Unchanged,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Waiting => "waiting",
            Self::Refused => "refused",
        }
    }
}

/// Records what becomes of the configuration.
pub struct Telemetry(());

impl Telemetry {
    /// Describes everything; call once, after the recorder is installed. The configuration was read just now.
    pub fn started() -> Self {
        for metric in CATALOGUE {
            match metric.kind {
                Kind::Counter => describe_counter!(metric.name, Unit::Count, metric.help),
                Kind::Gauge | Kind::Histogram => describe_gauge!(metric.name, metric.help),
            }
        }
        // All series are there from the start, so that a first increase is one.
        for outcome in Outcome::ALL {
            counter!(RELOADS, "outcome" => outcome.as_str()).increment(0);
        }
        succeeded();
        Self(())
    }

    /// It was read again.
    pub fn ended(&self, outcome: Outcome) {
        match outcome {
            Outcome::Refused => gauge!(SUCCESSFUL).set(0.0),
            Outcome::Changed | Outcome::Unchanged | Outcome::Waiting => succeeded(),
        }
        counter!(RELOADS, "outcome" => outcome.as_str()).increment(1);
    }
}

fn succeeded() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    gauge!(SUCCESS).set(now.as_secs_f64());
    gauge!(SUCCESSFUL).set(1.0);
}
