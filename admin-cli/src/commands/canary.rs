//! `policy canary`: a candidate for a share of the calls, compared with the policy in force.

use std::io::Write;

use serde_json::{Value, json};
use trunkline_core::money::PicoUsd;
use trunkline_proto::admin::v1::{
    AbortCanaryRequest, CanaryEnd, CanaryRules, CanarySide, GetCanaryRequest, GetCanaryResponse,
    PromoteCanaryRequest, StartCanaryRequest,
};
use trunkline_spec::versioned::Versioned;

use super::document::{File, Planned, short};
use crate::Failure;
use crate::cli::{CanaryAbortArgs, CanaryArgs, CanaryPromoteArgs, CanaryVerb, Format, Rule};
use crate::connect::Admin;
use crate::render::{self, List, object};
use crate::rows;

/// How both sides are compared.
const SIDES: &[(&str, &str)] = &[
    ("SIDE", "id"),
    ("POLICY", "short"),
    ("CALLS", "calls"),
    ("FAILED", "failed"),
    ("FAILED_%", "failed_percent"),
    ("USD_PER_CALL", "usd_per_call"),
    ("TTFT_P50_MS", "ttft_p50_ms"),
    ("TTFT_P99_MS", "ttft_p99_ms"),
];

/// Begins a canary, or does what the verb says about the one that runs.
///
/// # Errors
/// The router's answer; a document that is wrong; an `out` that does not take the answer.
pub async fn run(
    admin: &mut Admin,
    args: CanaryArgs,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    match args.verb {
        Some(CanaryVerb::Status) => status(admin, format, out).await,
        Some(CanaryVerb::Promote(args)) => promote(admin, args, format, out).await,
        Some(CanaryVerb::Abort(args)) => abort(admin, args, format, out).await,
        None => start(admin, args, format, out).await,
    }
}

async fn start(
    admin: &mut Admin,
    args: CanaryArgs,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let (Some(path), Some(share_permille)) = (&args.file, args.share) else {
        return Err(Failure::Usage("name the candidate with --file, and its --share".to_owned()));
    };
    let file = File::read(path)?;
    let written = file.written(Versioned::Policy)?;
    let mut rules = CanaryRules::default();
    for rule in args.abort_on {
        match rule {
            Rule::Failed(by) => rules.failed_permille = Some(by),
            Rule::Cost(by) => rules.cost_permille = Some(by),
            Rule::FirstContent(by) => rules.first_content_permille = Some(by),
        }
    }
    let asked = StartCanaryRequest {
        document: file.text,
        share_permille,
        // Its span is within a century, which the message holds.
        run_for: args.run_for.and_then(|span| span.try_into().ok()),
        abort_on: Some(rules),
        reason: args.reason.unwrap_or_default(),
        expected_head: args.expect_head,
        dry_run: args.dry_run,
        force: args.overrule.force,
        accept_dataflow: args.overrule.accept_dataflow,
    };
    let answer = admin.start_canary(asked).await?.into_inner();
    let plan = answer.plan.unwrap_or_default();
    let planned = Planned { kind: Versioned::Policy, plan: &plan, replay: None };
    if format.is_data() {
        let mut value = planned.value();
        if let Value::Object(value) = &mut value {
            value.insert("revision".to_owned(), json!(answer.revision));
            value.insert("dry_run".to_owned(), json!(args.dry_run));
            value.insert("share_permille".to_owned(), json!(share_permille));
        }
        return Ok(render::data(&value, format, out)?);
    }
    planned.write(format, out)?;
    let (version, share) = (short(&written.version), percent(share_permille));
    let decides = if args.dry_run { "would decide" } else { "decides" };
    let from = answer.revision;
    Ok(writeln!(out, "policy {version} {decides} {share} of the calls from revision {from}")?)
}

async fn status(admin: &mut Admin, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    let answer = admin.get_canary(GetCanaryRequest { only_here: false }).await?.into_inner();
    let Some(canary) = &answer.canary else {
        return none(answer.ended.as_ref(), format, out);
    };
    let items = sides(&answer, [&canary.base_version, &canary.version]);
    if format.is_data() {
        let value = json!({
            "revision": answer.revision,
            "canary": rows::canary(canary),
            "items": items,
            "routers": answer.routers,
            "silent_routers": answer.silent_routers,
        });
        return Ok(render::data(&value, format, out)?);
    }
    writeln!(out, "{}", in_words(canary))?;
    render::list(&List { columns: SIDES, items }, format, out)?;
    let routers = answer.routers.len();
    writeln!(out, "\ncounted by {routers} routers")?;
    if !answer.silent_routers.is_empty() {
        writeln!(
            out,
            "not counted, for they did not answer: {}",
            answer.silent_routers.join(", ")
        )?;
    }
    Ok(())
}

/// No canary runs: what became of the last one.
fn none(ended: Option<&CanaryEnd>, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    if format.is_data() {
        let ended = ended.map(rows::canary_end);
        let value = json!({"canary": null, "items": [], "ended": ended});
        return Ok(render::data(&value, format, out)?);
    }
    writeln!(out, "no canary runs")?;
    if let Some(CanaryEnd { version, ended_at, actor, reason }) = ended {
        let (version, at) = (short(version), ended_at.unwrap_or_default());
        writeln!(out, "the last that was ended, {version}, by {actor} at {at}: {reason}")?;
    }
    Ok(())
}

/// A canary in a line.
pub fn in_words(canary: &trunkline_proto::admin::v1::Canary) -> String {
    let (version, base) = (short(&canary.version), short(&canary.base_version));
    let end = match &canary.ends_at {
        Some(end) => format!("until {end}"),
        None => "until it is promoted or aborted".to_owned(),
    };
    let share = percent(canary.share_permille);
    format!("canary: policy {version} decides {share} of the calls, {base} the others, {end}")
}

fn sides(answer: &GetCanaryResponse, versions: [&String; 2]) -> Vec<Value> {
    let rows = ["stable", "canary"].into_iter().zip(versions);
    let rows = rows.zip([&answer.stable, &answer.candidate]);
    rows.map(|((id, version), side)| {
        let side = side.clone().unwrap_or_default();
        object([
            ("id", json!(id)),
            ("version", json!(version)),
            ("short", json!(short(version))),
            ("calls", json!(side.calls)),
            ("failed", json!(side.failed_calls)),
            ("failed_percent", json!(failed_percent(&side))),
            ("abandoned", json!(side.abandoned_calls)),
            ("cost_usd", json!(PicoUsd(side.cost_pico_usd).to_string())),
            ("usd_per_call", json!(usd_per_call(&side))),
            ("ttft_p50_ms", json!(side.first_content_p50_ms)),
            ("ttft_p99_ms", json!(side.first_content_p99_ms)),
        ])
    })
    .collect()
}

/// With two decimals; nothing without calls.
fn failed_percent(side: &CanarySide) -> Option<f64> {
    let share = side.failed_calls.saturating_mul(10_000).checked_div(side.calls)?;
    Some(share as f64 / 100.0)
}

fn usd_per_call(side: &CanarySide) -> Option<String> {
    let calls = side.calls.saturating_add(side.abandoned_calls);
    side.cost_pico_usd.checked_div(calls).map(|cost| PicoUsd(cost).to_string())
}

fn percent(permille: u32) -> String {
    match (permille / 10, permille % 10) {
        (whole, 0) => format!("{whole} %"),
        (whole, tenth) => format!("{whole}.{tenth} %"),
    }
}

async fn promote(
    admin: &mut Admin,
    args: CanaryPromoteArgs,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let asked = PromoteCanaryRequest {
        reason: args.reason,
        expected_version: args.expect_version,
        dry_run: args.dry_run,
        force: args.overrule.force,
        accept_dataflow: args.overrule.accept_dataflow,
    };
    let answer = admin.promote_canary(asked).await?.into_inner();
    let plan = answer.plan.unwrap_or_default();
    let planned = Planned { kind: Versioned::Policy, plan: &plan, replay: None };
    if format.is_data() {
        let mut value = planned.value();
        if let Value::Object(value) = &mut value {
            value.insert("revision".to_owned(), json!(answer.revision));
            value.insert("dry_run".to_owned(), json!(args.dry_run));
        }
        return Ok(render::data(&value, format, out)?);
    }
    planned.write(format, out)?;
    let done = if args.dry_run { "would be" } else { "is" };
    let (version, from) = (short(&plan.version), answer.revision);
    Ok(writeln!(out, "policy {version} {done} in force for all calls from revision {from}")?)
}

async fn abort(
    admin: &mut Admin,
    args: CanaryAbortArgs,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let dry_run = args.dry_run;
    let asked = AbortCanaryRequest { reason: args.reason, dry_run };
    let answer = admin.abort_canary(asked).await?.into_inner();
    if format.is_data() {
        let value = json!({
            "revision": answer.revision, "dry_run": dry_run, "version": answer.version,
        });
        return Ok(render::data(&value, format, out)?);
    }
    let done = if dry_run { "would have ended" } else { "has ended" };
    let (version, from) = (short(&answer.version), answer.revision);
    Ok(writeln!(out, "the canary {version} {done} from revision {from}")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_side_are_told_as_people_compare_them() {
        let none = CanarySide::default();
        assert_eq!((failed_percent(&none), usd_per_call(&none)), (None, None));
        let side = CanarySide {
            calls: 300,
            failed_calls: 1,
            abandoned_calls: 100,
            cost_pico_usd: 400_000_000,
            ..CanarySide::default()
        };
        assert_eq!(failed_percent(&side), Some(0.33));
        assert_eq!(usd_per_call(&side).as_deref(), Some("0.000001"));
        assert_eq!([percent(50), percent(5), percent(125)], ["5 %", "0.5 %", "12.5 %"]);
    }
}
