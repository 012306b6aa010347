//! What a key may spend, as it is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trunkline_core::money::PicoUsd;
use trunkline_core::policy::SpendLimits;

use crate::error::Problems;

/// The most that can be written, in USD: below what counts of pico-dollars can hold.
const MAX_USD: f64 = 10_000_000.0;

/// What may be spent in each window, in USD; no limit where it is left out. Windows are those of UTC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpendEntry {
    /// In a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000_000))]
    pub day: Option<f64>,
    /// In a week, which begins on Monday.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000_000))]
    pub week: Option<f64>,
    /// In a month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000_000))]
    pub month: Option<f64>,
    /// In all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000_000))]
    pub lifetime: Option<f64>,
}

impl SpendEntry {
    /// `path` is the field's own.
    pub(super) fn admit(&self, path: &str, problems: &mut Problems) -> SpendLimits {
        let mut limit = |window: &str, usd: Option<f64>| {
            let usd = usd?;
            let pico = if usd <= MAX_USD { PicoUsd::from_usd_f64(usd) } else { None };
            if pico.is_none() {
                let message = format!(
                    "out of range; use USD from 0 to {MAX_USD}, or leave it out for no limit"
                );
                problems.add(format!("{path}.{window}"), message);
            }
            pico
        };
        SpendLimits {
            day: limit("day", self.day),
            week: limit("week", self.week),
            month: limit("month", self.month),
            lifetime: limit("lifetime", self.lifetime),
        }
    }
}
