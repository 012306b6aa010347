//! The metrics of the census: names and meanings, as in the router's own `telemetry.rs`.
#![expect(clippy::disallowed_macros, reason = "this file names metrics")]

use std::collections::{BTreeMap, BTreeSet};

use metrics::{Unit, describe_gauge, gauge};
use trunkline_core::assess::Limit;
use trunkline_core::id::Zone;
use trunkline_runtime::catalogue::{Kind, Metric};

use super::{Count, Drained};

const USABLE: &str = "trunkline_model_usable_endpoints";
const KEPT: &str = "trunkline_kept_endpoints";
const PROBERS: &str = "trunkline_probers";
const DRAIN: &str = "trunkline_endpoint_drain";
const DISAGREEING: &str = "trunkline_routers_disagreeing";

/// All metrics of the census.
pub const CATALOGUE: &[Metric] = &[
    Metric::new(
        USABLE,
        Kind::Gauge,
        &["model"],
        "Endpoints of a model that calls may be sent to: not down, not drained, not at weight 0.",
    ),
    Metric::new(
        KEPT,
        Kind::Gauge,
        &["limit"],
        "Endpoints that the probers find down and that get calls all the same: share (half of the model is out already), only_one (the model has no other), disruption (probes alone find most providers down).",
    ),
    Metric::new(PROBERS, Kind::Gauge, &["zone"], "Living probers, by zone."),
    Metric::new(
        DRAIN,
        Kind::Gauge,
        &["endpoint"],
        "0 not drained, 1 drained, 2 drained and past the drain's deadline.",
    ),
    Metric::new(
        DISAGREEING,
        Kind::Gauge,
        &[],
        "Registered routers that had another table than this one when both were last seen at one revision.",
    ),
];

/// The limits, each with a series from the start.
const LIMITS: [Limit; 3] = [Limit::Share, Limit::OnlyOne, Limit::Disruption];

/// Sets the gauges; models and zones that are gone go to 0.
#[derive(Debug, Default)]
pub struct Telemetry {
    models: BTreeSet<String>,
    zones: BTreeSet<String>,
}

impl Telemetry {
    /// Says what every gauge means. Once in a process, after the recorder is installed.
    pub fn describe() {
        for metric in CATALOGUE {
            describe_gauge!(metric.name, Unit::Count, metric.help);
        }
    }

    /// A count, and the living probers.
    pub fn counted(&mut self, count: &Count<'_>, probers: &BTreeMap<Zone, u32>) {
        for limit in LIMITS {
            let kept = count.kept.get(&limit).copied().unwrap_or_default();
            gauge!(KEPT, "limit" => limit.as_str()).set(f64::from(kept));
        }
        let usable = count.usable.iter().map(|(model, usable)| (*model, *usable));
        // A model without endpoints is in no catalog, and nobody's trouble.
        set_all(USABLE, "model", &mut self.models, usable, f64::NAN);
        let probers = probers.iter().map(|(zone, probers)| (zone.as_str(), *probers));
        set_all(PROBERS, "zone", &mut self.zones, probers, 0.0);
    }

    /// How an endpoint stands to the drains.
    pub fn drained(&self, endpoint: &str, drained: Drained) {
        let value = match drained {
            Drained::No => 0.0,
            Drained::Yes => 1.0,
            Drained::PastDeadline => 2.0,
        };
        gauge!(DRAIN, "endpoint" => endpoint.to_owned()).set(value);
    }

    /// So many routers decide otherwise.
    pub fn disagreeing(&self, routers: usize) {
        gauge!(DISAGREEING).set(routers as f64);
    }
}

/// Sets a gauge for each of `now`, and to `gone` for what was there before and is not any more.
fn set_all<'a>(
    name: &'static str,
    label: &'static str,
    before: &mut BTreeSet<String>,
    now: impl Iterator<Item = (&'a str, u32)>,
    gone: f64,
) {
    let mut left = std::mem::take(before);
    for (key, value) in now {
        left.remove(key);
        gauge!(name, label => key.to_owned()).set(f64::from(value));
        before.insert(key.to_owned());
    }
    for key in left {
        gauge!(name, label => key).set(gone);
    }
}
