//! `doctor`: what is wrong, numbered, each with what to do about it.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use trunkline_proto::admin::v1::{DiagnoseRequest, DiagnoseResponse, Finding};

use crate::Failure;
use crate::cli::{DoctorArgs, Format};
use crate::connect::Admin;
use crate::etcd;
use crate::render::{self, object};

/// Clocks further apart than this make logs and histories hard to read, in milliseconds.
const SKEW_MAX_MS: i64 = 2_000;

/// Looks for what is wrong.
///
/// # Errors
/// [`Failure::Found`] when something is; the router's answer; what keeps etcd from answering when it is named;
/// an `out` that does not take it.
pub async fn run(
    admin: &mut Admin,
    args: &DoctorArgs,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let asked_ms = now_ms();
    let answer = admin.diagnose(DiagnoseRequest {}).await?.into_inner();
    let mut findings = answer.findings.clone();
    findings.extend(skew(&answer, asked_ms, now_ms()));
    if !args.etcd.etcd_endpoints.is_empty() {
        let of_etcd = etcd::flaws(&args.etcd).await?.into_iter().map(of_flaw);
        let known = |new: &Finding| {
            findings.iter().any(|found| (&found.code, &found.subject) == (&new.code, &new.subject))
        };
        let new: Vec<Finding> = of_etcd.filter(|finding| !known(finding)).collect();
        findings.extend(new);
    }
    show(&answer, &findings, format, out)?;
    match findings.len() {
        0 => Ok(()),
        count => Err(Failure::Found(count)),
    }
}

fn of_flaw(flaw: etcd::Flaw) -> Finding {
    Finding {
        code: flaw.code.to_owned(),
        subject: flaw.subject,
        problem: flaw.problem,
        remedy: flaw.remedy.to_owned(),
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The router's clock, if it lies outside the time between question and answer by too much.
fn skew(answer: &DiagnoseResponse, asked_ms: i64, answered_ms: i64) -> Option<Finding> {
    let at = answer.answered_at.as_ref()?;
    let theirs = at.seconds.saturating_mul(1000).saturating_add(i64::from(at.nanos) / 1_000_000);
    let ahead = theirs.saturating_sub(answered_ms).max(0);
    let behind = asked_ms.saturating_sub(theirs).max(0);
    let (off_ms, how) = if ahead > 0 { (ahead, "ahead of") } else { (behind, "behind") };
    (off_ms > SKEW_MAX_MS).then(|| Finding {
        code: "clock_off".to_owned(),
        subject: format!("router/{}", answer.answered_by),
        problem: format!("its clock is {} s {how} this machine's", off_ms / 1000),
        remedy: "let both follow the same time servers; no routing decision rests on clocks"
            .to_owned(),
    })
}

fn show(
    answer: &DiagnoseResponse,
    findings: &[Finding],
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let items = findings.iter().enumerate().map(|(at, finding)| row(at + 1, finding));
    if format.is_data() {
        let members = answer.store_members.iter().map(|member| {
            object([
                ("id", json!(member.address)),
                ("reachable", json!(member.reachable)),
                ("version", json!(member.version)),
                ("size_bytes", json!(member.size_bytes)),
            ])
        });
        let told = json!({
            "revision": answer.revision,
            "answered_by": answer.answered_by,
            "store": {"kind": answer.store_kind, "members": members.collect::<Vec<Value>>()},
            "items": items.collect::<Vec<Value>>(),
        });
        return Ok(render::data(&told, format, out)?);
    }
    writeln!(out, "{}", seen(answer))?;
    for (at, finding) in findings.iter().enumerate() {
        writeln!(out, "\n{}. {}: {}", at + 1, finding.subject, finding.problem)?;
        writeln!(out, "   {}", finding.remedy)?;
    }
    if findings.is_empty() {
        writeln!(out, "all is well")?;
    }
    Ok(())
}

/// What was looked at, in a line.
fn seen(answer: &DiagnoseResponse) -> String {
    let reachable = answer.store_members.iter().filter(|member| member.reachable).count();
    let members = match answer.store_members.len() {
        0 => String::new(),
        all => format!(", {reachable} of {all} members answer"),
    };
    let (by, kind, revision) = (&answer.answered_by, &answer.store_kind, answer.revision);
    format!("{by} at revision {revision}; store {kind}{members}")
}

fn row(number: usize, finding: &Finding) -> Value {
    object([
        ("id", json!(number)),
        ("code", json!(finding.code)),
        ("subject", json!(finding.subject)),
        ("problem", json!(finding.problem)),
        ("remedy", json!(finding.remedy)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost_types::Timestamp;

    #[test]
    fn only_a_clock_outside_of_question_and_answer_is_off() {
        let at = |seconds| DiagnoseResponse {
            answered_at: Some(Timestamp { seconds, nanos: 0 }),
            ..DiagnoseResponse::default()
        };
        assert_eq!(skew(&at(100), 90_000, 110_000), None, "a slow answer is no wrong clock");
        assert_eq!(skew(&at(100), 101_000, 101_000), None);
        let told = |seconds| skew(&at(seconds), 100_000, 100_500).map(|f| f.problem);
        assert_eq!(told(160).as_deref(), Some("its clock is 59 s ahead of this machine's"));
        assert_eq!(told(40).as_deref(), Some("its clock is 60 s behind this machine's"));
    }
}
