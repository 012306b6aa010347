//! What a document would have made of recent calls, beside what the documents in force make of them.

use std::io::Write;

use serde_json::{Value, json};
use trunkline_core::money::PicoUsd;
use trunkline_proto::admin::v1::{EndpointShare, PlanImpactResponse, PlannedCalls};

use crate::Failure;
use crate::render::{self, List, object};

/// What is compared.
const COLUMNS: &[(&str, &str)] =
    &[("RECENT CALLS", "id"), ("BEFORE", "before"), ("AFTER", "after")];

/// One number of a side.
type Number = fn(&PlannedCalls) -> Value;

/// The replay, if there were calls to decide again.
pub struct Replay<'a>(pub &'a PlanImpactResponse);

impl Replay<'_> {
    /// Writes it as a table; nothing when no recent call was decided again.
    ///
    /// # Errors
    /// When `out` does not take it.
    pub fn write(&self, out: &mut dyn Write) -> Result<(), Failure> {
        if self.0.calls == 0 {
            return Ok(());
        }
        let (calls, moved) = (self.0.calls, self.0.moved_calls);
        let routers = match self.0.routers.len() {
            1 => "1 router".to_owned(),
            many => format!("{many} routers"),
        };
        writeln!(out, "\nof {calls} recent calls of {routers}, {moved} would go elsewhere:")?;
        if !self.0.silent_routers.is_empty() {
            let silent = self.0.silent_routers.join(", ");
            writeln!(out, "without those of {silent}, which did not answer")?;
        }
        Ok(render::table(&List { columns: COLUMNS, items: self.items() }, out)?)
    }

    /// It, for programs.
    pub fn value(&self) -> Value {
        json!({
            "calls": self.0.calls,
            "moved_calls": self.0.moved_calls,
            "routers": self.0.routers,
            "silent_routers": self.0.silent_routers,
            "items": self.items(),
        })
    }

    fn items(&self) -> Vec<Value> {
        let sides = [&self.0.before, &self.0.after].map(|side| side.unwrap_or_default());
        let row = |name: String, [before, after]: [Value; 2]| {
            object([("id", json!(name)), ("before", before), ("after", after)])
        };
        let mut rows: Vec<Value> = self
            .0
            .endpoints
            .iter()
            .map(|share| {
                let name = format!("{}/{}@{}, %", share.provider, share.model, share.region);
                row(name, self.percent(share))
            })
            .collect();
        let numbers: [(&str, Number); 6] = [
            ("cost, USD", |side| json!(PicoUsd(side.cost_pico_usd).to_string())),
            ("first token p50, ms", |side| json!(side.first_token_p50_ms)),
            ("first token p99, ms", |side| json!(side.first_token_p99_ms)),
            ("served by nobody", |side| json!(side.unserved_calls)),
            ("for a name that is none", |side| json!(side.unknown_model_calls)),
            ("against the other's data rules", |side| json!(side.rule_violations)),
        ];
        rows.extend(numbers.map(|(name, of)| row(name.to_owned(), sides.each_ref().map(of))));
        rows
    }

    /// The share of all calls that try an endpoint first, in percent with one decimal.
    fn percent(&self, share: &EndpointShare) -> [Value; 2] {
        let all = self.0.calls.max(1);
        [share.calls_before, share.calls_after].map(|calls| {
            let permille = (calls * 1_000 + all / 2) / all;
            json!(permille as f64 / 10.0)
        })
    }
}
