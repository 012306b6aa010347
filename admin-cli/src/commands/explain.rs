//! `explain`: why a call went where it went, and where one would go now.

use std::io::Write;

use serde_json::{Value, json};
use trunkline_proto::admin::v1::{ExplainRequest, ExplainResponse, ExplainRouteRequest};
use trunkline_proto::inference::v1::Decision;

use super::document::{File, short};
use crate::Failure;
use crate::cli::{ExplainArgs, ExplainRouteArgs, ExplainVerb, Format};
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
    if let Some(ExplainVerb::Route(args)) = args.verb {
        return route(admin, args, format, out).await;
    }
    let generation_id = args.generation.unwrap_or_default();
    let asked = ExplainRequest { generation_id, only_here: false };
    show(&admin.explain(asked).await?.into_inner(), format, out)
}

/// Explains a call that is not made.
async fn route(
    admin: &mut Admin,
    args: ExplainRouteArgs,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let body = args.file.map(|file| Ok::<_, Failure>(File::read(&file)?.text.into_bytes()));
    let asked = ExplainRouteRequest {
        model: args.model.unwrap_or_default(),
        body: body.transpose()?.unwrap_or_default().into(),
        key_id: args.for_key.unwrap_or_default(),
        seed: args.seed,
    };
    let decision = admin.explain_route(asked).await?.into_inner().decision.unwrap_or_default();
    if format.is_data() {
        return Ok(render::data(&json!({ "decision": told(&decision) }), format, out)?);
    }
    tables(&decision, out)
}

fn show(answer: &ExplainResponse, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    let record = answer.generation.clone().unwrap_or_default();
    let decision = record.decision.clone().unwrap_or_default();
    let attempts = rows::attempts(&record);
    if format.is_data() {
        let value = json!({
            "generation": rows::generation(&record),
            "router": record.router_id,
            "attempts": attempts,
            "decision": told(&decision),
            "identical": answer.identical,
            "replayed": answer.replayed.as_ref().map(told),
        });
        return Ok(render::data(&value, format, out)?);
    }
    render::one(&rows::generation(&record), format, out)?;
    writeln!(out, "\nrecorded by {}; {}", record.router_id, replay(answer))?;
    tables(&decision, out)?;
    writeln!(out)?;
    render::table(&List { columns: ATTEMPTS, items: attempts }, out)?;
    if let Some(again) = answer.replayed.as_ref().filter(|_| !answer.identical) {
        writeln!(out, "\ndrawn again:")?;
        tables(again, out)?;
    }
    Ok(())
}

/// What became of drawing the decision again.
fn replay(answer: &ExplainResponse) -> &'static str {
    match (&answer.replayed, answer.identical) {
        (None, _) => "rejected before any decision",
        (Some(_), true) => "drawn again from the record with the same result, bit for bit",
        (Some(_), false) => "drawn again from the record with ANOTHER result, shown below",
    }
}

fn told(decision: &Decision) -> Value {
    let facts = decision.facts.clone().unwrap_or_default();
    let mut models = vec![facts.model];
    models.extend(facts.models);
    json!({
        "revision": decision.revision,
        "policy": decision.policy_version,
        "digest": decision.table_digest,
        "seed": decision.seed.to_string(),
        "strategy": decision.strategy,
        "last_resort": decision.fail_open,
        "models": models,
        "prompt_tokens": facts.prompt_tokens,
        "candidates": decision.candidates.iter().map(rows::candidate).collect::<Vec<_>>(),
        "turns": decision.turns.iter().map(rows::turn).collect::<Vec<_>>(),
    })
}

fn tables(decision: &Decision, out: &mut dyn Write) -> Result<(), Failure> {
    let (revision, seed, strategy) = (decision.revision, decision.seed, &decision.strategy);
    let policy = short(&decision.policy_version);
    writeln!(out, "policy {policy}, revision {revision}, seed {seed}, strategy {strategy}")?;
    if !decision.fail_open.is_empty() {
        writeln!(out, "nothing better was left than a last resort: {}", decision.fail_open)?;
    }
    let candidates = decision.candidates.iter().map(rows::candidate).collect();
    let turns = decision.turns.iter().map(rows::turn).collect();
    for (columns, items) in [(CANDIDATES, candidates), (TURNS, turns)] {
        writeln!(out)?;
        render::table(&List { columns, items }, out)?;
    }
    Ok(())
}
