//! The metrics of certificates: names and meanings, as in the router's own `telemetry.rs`.
#![expect(clippy::disallowed_macros, reason = "this file names metrics")]

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use trunkline_runtime::catalogue::{Kind, Metric};
use trunkline_runtime::renewal::Outcome;
use trunkline_runtime::tls::Expiry;

const EXPIRY: &str = "trunkline_certificate_expiry_timestamp_seconds";
const RELOADS: &str = "trunkline_certificate_reloads_total";

/// All metrics of a router's certificates.
pub const CATALOGUE: &[Metric] = &[
    Metric::new(
        EXPIRY,
        Kind::Gauge,
        &["purpose", "part"],
        "When what is in force ends, in seconds since 1970: the first of a certificate's chain, the last of the authorities (part ca). Purposes: public, admin, evidence, etcd, collector.",
    ),
    Metric::new(
        RELOADS,
        Kind::Counter,
        &["purpose", "outcome"],
        "Looks at certificate files that found something new: changed, or refused because it is of no use; then the old ones stay in force.",
    ),
];

/// Records what becomes of certificates.
pub struct Telemetry(());

impl Telemetry {
    /// Describes everything; call once, after the recorder is installed.
    pub fn new() -> Self {
        for metric in CATALOGUE {
            match metric.kind {
                Kind::Counter => describe_counter!(metric.name, Unit::Count, metric.help),
                Kind::Gauge | Kind::Histogram => {
                    describe_gauge!(metric.name, Unit::Seconds, metric.help);
                }
            }
        }
        Self(())
    }

    /// Somebody looked at the files.
    pub fn looked(&self, purpose: &'static str, expiry: Expiry, outcome: Outcome) {
        for (part, end_s) in [("certificate", expiry.certificate_s), ("ca", expiry.ca_s)] {
            if let Some(end_s) = end_s {
                gauge!(EXPIRY, "purpose" => purpose, "part" => part).set(end_s as f64);
            }
        }
        let count = |outcome: &'static str, by| {
            counter!(RELOADS, "purpose" => purpose, "outcome" => outcome).increment(by);
        };
        // Both series are there from the start, so that a first increase is one.
        count("changed", u64::from(outcome == Outcome::Changed));
        count("refused", u64::from(outcome == Outcome::Refused));
    }
}
