//! `explain`: why a call went where it went.

use std::io::Write;

use serde_json::{Value, json};
use trunkline_proto::admin::v1::ExplainRequest;
use trunkline_proto::inference::v1::Generation;

use crate::Failure;
use crate::cli::{ExplainArgs, Format};
use crate::connect::Admin;
use crate::render::{self, List};
use crate::rows;

const ATTEMPTS: &[(&str, &str)] = &[
    ("TRY", "id"),
    ("PROVIDER", "provider"),
    ("MODEL", "model"),
    ("OUTCOME", "outcome"),
    ("ERROR", "error"),
    ("HTTP", "http_status"),
];
const CANDIDATES: &[(&str, &str)] = &[
    ("CANDIDATE", "name"),
    ("VERDICT", "verdict"),
    ("WEIGHT", "weight"),
    ("LOAD", "load"),
    ("EXCLUDED", "excluded"),
];
const TURNS: &[(&str, &str)] = &[("TURN", "provider"), ("MODEL", "model"), ("WHY", "reason")];

/// Explains one call.
///
/// # Errors
/// The router's answer, or an `out` that does not take it.
pub async fn run(
    admin: &mut Admin,
    args: ExplainArgs,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let asked = ExplainRequest { generation_id: args.generation };
    let answer = admin.explain(asked).await?.into_inner();
    show(&answer.generation.unwrap_or_default(), format, out)
}

fn show(record: &Generation, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    let decision = record.decision.clone().unwrap_or_default();
    let candidates: Vec<Value> = decision.candidates.iter().map(rows::candidate).collect();
    let turns: Vec<Value> = decision.turns.iter().map(rows::turn).collect();
    let attempts = rows::attempts(record);
    if format.is_data() {
        let answer = json!({
            "generation": rows::generation(record),
            "attempts": attempts,
            "decision": {
                "revision": decision.revision,
                "policy": decision.policy_version,
                "seed": decision.seed.to_string(),
                "candidates": candidates,
                "turns": turns,
            },
        });
        return Ok(render::data(&answer, format, out)?);
    }
    render::one(&rows::generation(record), format, out)?;
    writeln!(out, "\nrevision {}, seed {}", decision.revision, decision.seed)?;
    for (columns, items) in [(CANDIDATES, candidates), (TURNS, turns), (ATTEMPTS, attempts)] {
        writeln!(out)?;
        render::table(&List { columns, items }, out)?;
    }
    Ok(())
}
