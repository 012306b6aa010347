//! The metrics of spans: names and meanings, as in the router's own `telemetry.rs`.
#![expect(clippy::disallowed_macros, reason = "this file names metrics")]

use std::sync::Arc;

use metrics::{Unit, counter, describe_counter};
use trunkline_runtime::catalogue::{Kind, Metric};
use trunkline_runtime::otlp::{Fate, Tell};

const SPANS: &str = "trunkline_spans_total";

/// All metrics of a router's spans.
pub const CATALOGUE: &[Metric] = &[Metric::new(
    SPANS,
    Kind::Counter,
    &["outcome"],
    "Spans by what became of them: exported, dropped (too many waited), refused (by the collector) or failed (it was away, or too slow).",
)];

/// Registers the series, and counts in them.
pub fn tell() -> Tell {
    for metric in CATALOGUE {
        describe_counter!(metric.name, Unit::Count, metric.help);
    }
    let [exported, dropped, refused, failed] = ["exported", "dropped", "refused", "failed"]
        .map(|outcome| counter!(SPANS, "outcome" => outcome));
    Arc::new(move |fate, spans| match fate {
        Fate::Exported => exported.increment(spans),
        Fate::Dropped => dropped.increment(spans),
        Fate::Refused => refused.increment(spans),
        Fate::Failed => failed.increment(spans),
    })
}
