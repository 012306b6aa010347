//! The metrics of a canary: both sides beside each other, and nothing while none runs.
#![expect(clippy::disallowed_macros, reason = "this file names metrics")]

use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};
use trunkline_core::canary::Side;
use trunkline_core::money::PicoUsd;
use trunkline_runtime::catalogue::{Kind, Metric};

use crate::ledger::Ending;

const CALLS: &str = "trunkline_policy_calls_total";
const COST: &str = "trunkline_policy_cost_nanousd_total";
const FIRST_CONTENT: &str = "trunkline_policy_first_content_seconds";

/// All metrics of a canary.
pub const CATALOGUE: &[Metric] = &[
    Metric::new(
        CALLS,
        Kind::Counter,
        &["side", "outcome"],
        "While a canary runs: calls by the policy that decided, stable or canary, and how they ended.",
    ),
    Metric::new(
        COST,
        Kind::Counter,
        &["side"],
        "While a canary runs: cost of answers by the policy that decided, in billionths of a US dollar.",
    ),
    Metric::new(
        FIRST_CONTENT,
        Kind::Histogram,
        &["side"],
        "While a canary runs: from a streamed call's arrival to its first content, by the policy that decided.",
    ),
];

/// The handles of both sides.
#[derive(Debug)]
pub struct Meters {
    /// Those of the policy in force.
    pub stable: SideMeter,
    /// Those of the candidate.
    pub canary: SideMeter,
}

impl Default for Meters {
    fn default() -> Self {
        for metric in CATALOGUE {
            match metric.kind {
                Kind::Counter => describe_counter!(metric.name, Unit::Count, metric.help),
                Kind::Gauge | Kind::Histogram => {
                    describe_histogram!(metric.name, Unit::Seconds, metric.help);
                }
            }
        }
        Self { stable: SideMeter::new(Side::Stable), canary: SideMeter::new(Side::Canary) }
    }
}

/// The handles of one side.
pub struct SideMeter {
    endings: [Counter; 4],
    cost: Counter,
    first_content: Histogram,
}

impl std::fmt::Debug for SideMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SideMeter").finish_non_exhaustive()
    }
}

impl SideMeter {
    fn new(side: Side) -> Self {
        let side = side.as_str();
        let ending = |e: Ending| counter!(CALLS, "side" => side, "outcome" => e.as_str());
        Self {
            endings: Ending::ALL.map(ending),
            cost: counter!(COST, "side" => side),
            first_content: histogram!(FIRST_CONTENT, "side" => side),
        }
    }

    /// A call ended.
    pub fn ended(&self, ending: Ending, cost: PicoUsd) {
        if let Some(counter) = self.endings.get(ending as usize) {
            counter.increment(1);
        }
        self.cost.increment(cost.0 / 1000);
    }

    /// A stream's first content came this long after the call.
    pub fn first_content(&self, ms: u64) {
        self.first_content.record(ms as f64 / 1e3);
    }
}
