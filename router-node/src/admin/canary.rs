//! A canary, for operators: begun, compared over all routers, promoted and ended. It is held to what a policy is
//! held to that is put in force for all.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use tonic::Status;
use trunkline_core::canary::{Side, Totals};
use trunkline_core::money::PicoUsd;
use trunkline_proto::admin::v1::{
    AbortCanaryRequest, AbortCanaryResponse, ApplyDocumentRequest, Canary as Message, CanaryRules,
    CanarySide, DocumentKind, DocumentVersion, GetCanaryRequest, GetCanaryResponse,
    PromoteCanaryRequest, PromoteCanaryResponse, StartCanaryRequest, StartCanaryResponse,
    apply_document_request::Source,
};
use trunkline_spec::canary::{self, AbortEntry, Canary, CanaryEntry};
use trunkline_spec::versioned::Versioned;
use trunkline_spec::{Problems, canonical};
use trunkline_store::keys::CONFIG;

use super::documents::{self, Head, Meant, Proposal, Reach};
use super::drains::timestamp;
use super::edit::{self, Intent, Mode, Rules, Write};
use super::peers::{self, Heard, Question};
use super::state::State;
use super::{Admin, Admitted, refusal};
use crate::canary::Running;
use crate::fold::CANARY;
use crate::ingress::grpc::signed;
use crate::ledger::unix_ms;

/// The longest that a canary may run: what nobody has promoted by then was forgotten.
const MAX_SPAN: Duration = Duration::from_secs(90 * 86_400);
/// What canaries are called in the history.
const VERB: &str = "policy canary";
/// The same for ending one.
pub const ENDING: &str = "policy canary abort";

/// Begins a canary, or changes the one that runs with the same candidate.
///
/// # Errors
/// A candidate that is wrong, or breaks rules that hold for all policies; another canary that runs; a field that
/// makes no sense; a conflict; the store's failures.
pub async fn start(
    admin: &Admin,
    by: &Admitted,
    asked: StartCanaryRequest,
) -> Result<StartCanaryResponse, Status> {
    let new = New::read(&asked, by)?;
    let state = State::read(admin.store.as_ref()).await?;
    let head = Head::of(&state, Versioned::Policy).map(|head| head.version).unwrap_or_default();
    let expected = asked.expected_head.as_deref().unwrap_or(&head);
    let meant = Meant { by: by.name(), reason: asked.reason.clone() };
    let reach = Reach::Share(asked.share_permille);
    let proposal = Proposal::work_out(state, Versioned::Policy, &asked.document, (&meant, reach))?;
    documents::expect_head(Versioned::Policy, expected, &proposal)?;
    documents::refuse((asked.force, asked.accept_dataflow), &proposal.plan)?;
    let Some((_, Some(candidate))) = proposal.writes.first() else {
        return Err(refusal::bad_field("document", "is the policy in force; change something"));
    };
    let intent = Intent {
        verb: VERB,
        target: "policy".to_owned(),
        reason: asked.reason,
        expected: None,
        mode: Mode::of(asked.dry_run),
        // Those for a policy were looked at above.
        rules: Rules::Overruled,
    };
    let plan = |state: &State| -> Result<Vec<Write>, Status> {
        let there = Head::of(state, Versioned::Policy).map(|head| head.version);
        if there.unwrap_or_default() != proposal.plan.head_version {
            return Err(refusal::busy("the canary"));
        }
        let running = state.canary();
        if let Some(other) = running.filter(|c| c.policy.version != proposal.plan.version) {
            return Err(refusal::other_canary(&other.policy.version));
        }
        let began = running.map(|canary| canary.at_ms);
        let record = new.record(candidate, &proposal.plan.head_version, began)?;
        Ok(vec![(key(), Some(record))])
    };
    let done = edit::apply(admin, by, &intent, plan).await?;
    Ok(StartCanaryResponse { revision: signed(done.revision.0), plan: Some(proposal.plan) })
}

/// A canary that was asked for.
struct New {
    share_permille: u32,
    reason: String,
    by: String,
    at_ms: u64,
    ends_at_ms: Option<u64>,
    abort_on: AbortEntry,
}

impl New {
    fn read(asked: &StartCanaryRequest, by: &Admitted) -> Result<Self, Status> {
        let at_ms = unix_ms();
        let span = asked.run_for.map(|span| {
            let span = Duration::try_from(span).ok();
            let span = span.filter(|span| !span.is_zero() && *span <= MAX_SPAN);
            span.ok_or_else(|| {
                refusal::bad_field("run_for", "use more than nothing and at most 90 days")
            })
        });
        let ends_at_ms =
            span.transpose()?.map(|span| at_ms + u64::try_from(span.as_millis()).unwrap_or(0));
        let rules = asked.abort_on.unwrap_or_default();
        Ok(Self {
            share_permille: asked.share_permille,
            reason: asked.reason.clone(),
            by: by.name(),
            at_ms,
            ends_at_ms,
            abort_on: AbortEntry {
                failed_permille: rules.failed_permille,
                cost_permille: rules.cost_permille,
                first_content_permille: rules.first_content_permille,
            },
        })
    }

    /// Its record, which must read as it is written.
    fn record(&self, candidate: &Bytes, base: &str, began: Option<u64>) -> Result<Bytes, Status> {
        let internal = |p: Problems| refusal::internal(&p.to_string());
        let entry = CanaryEntry {
            policy: canary::policy_of(&String::from_utf8_lossy(candidate)).map_err(internal)?,
            base: base.to_owned(),
            share_permille: self.share_permille,
            reason: self.reason.clone(),
            by: Some(self.by.clone()),
            at_ms: began.unwrap_or(self.at_ms),
            ends_at_ms: self.ends_at_ms,
            abort_on: self.abort_on.clone(),
        };
        let text = canonical::json(&entry).map_err(internal)?;
        let wrong = |p: Problems| {
            let path = p.0.first().map(|problem| problem.path.clone());
            refusal::bad_field(path.as_deref().unwrap_or("document"), &p.to_string())
        };
        canary::parse(&text).map_err(wrong)?;
        Ok(Bytes::from(text))
    }
}

/// The canary that runs, with both sides' calls over all routers that answer.
pub async fn show(
    admin: &Admin,
    by: &Admitted,
    asked: GetCanaryRequest,
    credential: Option<HeaderValue>,
) -> GetCanaryResponse {
    let answer = GetCanaryResponse { revision: by.revision(), ..GetCanaryResponse::default() };
    let Some(running) = &by.view.canary else {
        let ended = match asked.only_here {
            true => None,
            // What ran before is an extra: an answer without it is better than none.
            false => documents::ended_canary(admin.store.as_ref()).await.ok().flatten(),
        };
        return GetCanaryResponse { ended, ..answer };
    };
    let own = admin.identity.node.to_string();
    let mut sides = Side::ALL.map(|side| running.tally.totals(side));
    let (mut routers, mut silent) = (vec![own], Vec::new());
    if !asked.only_here {
        let message = GetCanaryRequest { only_here: true };
        let question = Question { message, credential, patience: peers::DEADLINE };
        let said = peers::ask(admin, by, question, |mut peer, asked| async move {
            peer.get_canary(asked).await
        });
        let heard = Heard::all(said.await).await;
        silent = heard.silent;
        for (router, theirs) in heard.answers {
            let version = theirs.canary.as_ref().map(|canary| canary.version.as_str());
            // One that has not applied it yet has counted nothing for it.
            if version == Some(running.canary.policy.version.as_str()) {
                for (sum, side) in sides.iter_mut().zip([theirs.stable, theirs.candidate]) {
                    sum.add(&totals(&side.unwrap_or_default()));
                }
            }
            routers.push(router);
        }
    }
    routers.sort();
    let [stable, candidate] = sides.each_ref().map(side);
    GetCanaryResponse {
        canary: Some(message(&running.canary)),
        stable: Some(stable),
        candidate: Some(candidate),
        routers,
        silent_routers: silent,
        ..answer
    }
}

fn side(totals: &Totals) -> CanarySide {
    CanarySide {
        calls: totals.calls,
        failed_calls: totals.failed,
        abandoned_calls: totals.abandoned,
        cost_pico_usd: totals.cost.0,
        first_content_p50_ms: totals.first_content_ms(50),
        first_content_p99_ms: totals.first_content_ms(99),
        first_content_counts: totals.first_content.clone(),
    }
}

fn totals(side: &CanarySide) -> Totals {
    Totals {
        calls: side.calls,
        failed: side.failed_calls,
        abandoned: side.abandoned_calls,
        cost: PicoUsd(side.cost_pico_usd),
        first_content: side.first_content_counts.clone(),
    }
}

/// A canary as operators see it.
pub fn message(canary: &Canary) -> Message {
    let rules = canary.abort_on;
    Message {
        version: canary.policy.version.clone(),
        base_version: canary.base.clone(),
        share_permille: canary.lot.share_permille,
        actor: canary.by.clone().unwrap_or_default(),
        reason: canary.reason.clone(),
        began_at: Some(timestamp(canary.at_ms)),
        ends_at: canary.ends_at_ms.map(timestamp),
        abort_on: Some(CanaryRules {
            failed_permille: rules.failed_permille,
            cost_permille: rules.cost_permille,
            first_content_permille: rules.first_content_permille,
        }),
    }
}

/// Its candidate among the versions of the policy.
pub fn version(canary: &Canary) -> DocumentVersion {
    DocumentVersion {
        version: canary.policy.version.clone(),
        replaced_version: canary.base.clone(),
        applied_at: Some(timestamp(canary.at_ms)),
        actor: canary.by.clone().unwrap_or_default(),
        reason: canary.reason.clone(),
        verb: VERB.to_owned(),
        in_force: false,
        canary_permille: canary.lot.share_permille,
    }
}

/// Puts the candidate in force, which is applying it on the version that it was compared with.
///
/// # Errors
/// As [`documents::apply`]; when no canary runs, or another one than expected.
pub async fn promote(
    admin: &Admin,
    by: &Admitted,
    asked: PromoteCanaryRequest,
) -> Result<PromoteCanaryResponse, Status> {
    let state = State::read(admin.store.as_ref()).await?;
    let (running, text) = running(&state)?;
    let version = &running.policy.version;
    if let Some(expected) = &asked.expected_version
        && expected != version
        && !documents::means(expected, version)
    {
        return Err(refusal::other_canary(version));
    }
    let apply = ApplyDocumentRequest {
        kind: DocumentKind::Policy.into(),
        reason: asked.reason,
        expected_head: Some(running.base.clone()),
        dry_run: asked.dry_run,
        force: asked.force,
        accept_dataflow: asked.accept_dataflow,
        source: None,
    };
    let source = Some(Source::Document(text).into());
    let done = documents::put_in_force(admin, by, apply, (source, "canary promote")).await?;
    Ok(PromoteCanaryResponse { revision: done.revision, plan: done.plan })
}

/// The canary that runs, and its candidate's text.
fn running(state: &State) -> Result<(&Canary, String), Status> {
    let canary = state.canary().ok_or_else(refusal::no_canary)?;
    let entry = state.entry(&key()).ok_or_else(refusal::no_canary)?;
    let text = canary::candidate(&String::from_utf8_lossy(&entry.value));
    Ok((canary, text.map_err(|p| refusal::internal(&p.to_string()))?))
}

/// Ends the canary.
///
/// # Errors
/// As [`edit::apply`]; when none runs.
pub async fn abort(
    admin: &Admin,
    by: &Admitted,
    asked: AbortCanaryRequest,
) -> Result<AbortCanaryResponse, Status> {
    let state = State::read(admin.store.as_ref()).await?;
    let version = running(&state)?.0.policy.version.clone();
    let intent = ending(asked.reason, Mode::of(asked.dry_run));
    let plan = |state: &State| -> Result<Vec<Write>, Status> {
        let canary = state.canary().ok_or_else(refusal::no_canary)?;
        if canary.policy.version != version {
            return Err(refusal::other_canary(&canary.policy.version));
        }
        Ok(vec![(key(), None)])
    };
    let done = edit::apply(admin, by, &intent, plan).await?;
    Ok(AbortCanaryResponse { revision: signed(done.revision.0), version })
}

/// Ends a canary that is over, or does too badly on this router. Every router looks; one is done.
///
/// # Errors
/// The store's failures.
pub async fn end_if_due(admin: &Admin, running: &Running) -> Result<(), Status> {
    let Running { canary, tally, .. } = running;
    let reason = if canary.is_over(unix_ms()) {
        Some("its time is over".to_owned())
    } else {
        let [stable, candidate] = Side::ALL.map(|side| tally.totals(side));
        canary.abort_on.broken(&stable, &candidate)
    };
    let Some(reason) = reason else { return Ok(()) };
    tracing::warn!(version = canary.policy.version, reason, "the canary ends");
    let plan = |state: &State| -> Result<Vec<Write>, Status> {
        // Another router was first, or an operator.
        let same = state.canary().is_some_and(|there| there == canary);
        if same { Ok(vec![(key(), None)]) } else { Err(refusal::no_canary()) }
    };
    let by = format!("router/{}", admin.identity.node);
    match edit::apply_as(admin, &by, &ending(reason, Mode::Write), plan).await {
        Ok(_) => Ok(()),
        Err(status) if status.code() == tonic::Code::NotFound => Ok(()),
        Err(status) => Err(status),
    }
}

fn ending(reason: String, mode: Mode) -> Intent {
    Intent {
        verb: ENDING,
        target: "policy".to_owned(),
        reason,
        expected: None,
        mode,
        // Every call is then decided as most of them were.
        rules: Rules::Overruled,
    }
}

fn key() -> String {
    format!("{CONFIG}{CANARY}")
}
