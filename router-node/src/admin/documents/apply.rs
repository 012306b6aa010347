//! Applying a document: worked out, held to the rules, then written together with its history entry on the
//! state that it was worked out on, or not at all.

use tonic::Status;
use trunkline_proto::admin::v1::{ApplyDocumentRequest, ApplyDocumentResponse, DocumentPlan};
use trunkline_spec::canonical;
use trunkline_spec::versioned::Versioned;
use trunkline_store::keys::{CONFIG, Key};
use trunkline_store::port::{Expect, Revision, Store, Txn};

use super::history::{
    Changed, Entry, Head, History, MIN_VERSION_CHARS, Source, key_of, means, replaced,
};
use super::kind_of;
use super::proposal::{Meant, Proposal, Reach};
use crate::admin::edit::{MAX_TRIES, followed};
use crate::admin::state::State;
use crate::admin::{Admin, Admitted, dataflow, refusal};
use crate::fold::CANARY;
use crate::ingress::grpc::signed;
use crate::ledger::unix_ms;

/// Applies a document, or says what it would change.
///
/// # Errors
/// A document that is wrong, rules that it breaks, a version in force that is not the expected one (with both
/// versions), and the store's failures.
pub async fn apply(
    admin: &Admin,
    by: &Admitted,
    mut asked: ApplyDocumentRequest,
) -> Result<ApplyDocumentResponse, Status> {
    let source = asked.source.take().map(Source::from);
    let verb = match source {
        Some(Source::Version(_)) => "rollback",
        Some(Source::Document(_)) | None => "apply",
    };
    put_in_force(admin, by, asked, (source, verb)).await
}

/// The same for a document from this source, as the history is to call it.
///
/// # Errors
/// As [`apply`].
pub async fn put_in_force(
    admin: &Admin,
    by: &Admitted,
    asked: ApplyDocumentRequest,
    (source, verb): (Option<Source>, &str),
) -> Result<ApplyDocumentResponse, Status> {
    let kind = kind_of(asked.kind)?;
    let verb = format!("{kind} {verb}");
    if asked.reason.trim().is_empty() {
        return Err(refusal::bad_field("reason", "say why, for whoever reads the history"));
    }
    let meant = Meant { by: by.name(), reason: asked.reason.clone() };
    let store = admin.store.as_ref();
    let (state, history) = read(store, kind).await?;
    let head = Head::of(&state, kind);
    let text = history.text_of(source, head.as_ref())?;
    let expected = asked.expected_head.clone();
    if expected.as_ref().is_some_and(|version| (1..MIN_VERSION_CHARS).contains(&version.len())) {
        let message = format!("write {MIN_VERSION_CHARS} digits of the version, or more");
        return Err(refusal::bad_field("expected_head", &message));
    }
    let expected = expected.or_else(|| head.map(|head| head.version)).unwrap_or_default();
    let mut found = (state, history);
    for _ in 0..MAX_TRIES {
        let (state, history) = found;
        let revision = state.revision;
        let proposal = Proposal::work_out(state, kind, &text, (&meant, Reach::All))?;
        expect_head(kind, &expected, &proposal)?;
        refuse((asked.force, asked.accept_dataflow), &proposal.plan)?;
        if asked.dry_run || proposal.writes.is_empty() {
            return Ok(answer(revision, proposal.plan, false));
        }
        let txn = transaction(kind, &verb, &meant, (&proposal, &history, revision))?;
        let result = store.commit(txn).await.map_err(|e| refusal::store(&e))?;
        if result.committed {
            followed(admin, result.revision).await;
            return Ok(answer(result.revision, proposal.plan, true));
        }
        // Another edit took the number in the history, or wrote this document: the next look tells.
        found = read(store, kind).await?;
    }
    Err(refusal::busy(kind.as_str()))
}

async fn read(store: &dyn Store, kind: Versioned) -> Result<(State, History), Status> {
    Ok((State::read(store).await?, History::read(store, kind).await?))
}

fn answer(revision: Revision, plan: DocumentPlan, applied: bool) -> ApplyDocumentResponse {
    ApplyDocumentResponse { revision: signed(revision.0), plan: Some(plan), applied }
}

/// Holds a proposal to the version that it is based on.
///
/// # Errors
/// A conflict with both versions, where another one is in force.
pub fn expect_head(kind: Versioned, expected: &str, proposal: &Proposal) -> Result<(), Status> {
    let version = &proposal.plan.head_version;
    if version == expected || means(expected, version) {
        return Ok(());
    }
    let text = |text: &str| text.to_owned();
    let proposed = proposal.writes.first().and_then(|(_, value)| value.as_ref());
    let proposed = proposed.map(|value| String::from_utf8_lossy(value).into_owned());
    let current = proposal.head.as_ref().map(|head| text(&head.text));
    Err(refusal::Heads {
        kind: kind.as_str(),
        expected,
        current: (version, current),
        proposed: (&proposal.plan.version, proposed),
    }
    .conflict())
}

/// Holds a plan to what was not overruled.
///
/// # Errors
/// Mistakes, broken rules, and places where prompts could newly go.
pub fn refuse((force, accept): (bool, bool), plan: &DocumentPlan) -> Result<(), Status> {
    if !plan.problems.is_empty() {
        return Err(refusal::wrong_document(&plan.problems));
    }
    let violations = plan.impact.as_ref().map(|i| i.violations.as_slice()).unwrap_or_default();
    let violations = if force { &[] } else { violations };
    let widenings = if accept { &[] } else { plan.widenings.as_slice() };
    if violations.is_empty() && widenings.is_empty() {
        return Ok(());
    }
    let widenings: Vec<String> = widenings.iter().map(dataflow::in_words).collect();
    Err(refusal::unsafe_document(violations, &widenings))
}

/// All that is written at one revision, on condition that the document is still the one that was looked at.
fn transaction(
    kind: Versioned,
    verb: &str,
    meant: &Meant,
    (proposal, history, revision): (&Proposal, &History, Revision),
) -> Result<Txn, Status> {
    let head = proposal.head.as_ref();
    let expect = head.map_or(Expect::Absent, |head| Expect::Revision(head.revision));
    let mut txn = Txn::new().expect(&key_of(kind), expect);
    for (key, value) in &proposal.writes {
        txn = match value {
            Some(value) => txn.put(key, value.clone()),
            None => txn.delete(key),
        };
    }
    let document = Changed {
        key: key_of(kind),
        before: head.map(|head| head.version.clone()),
        after: proposal.plan.version.clone(),
    };
    let canary = proposal.ends.clone().map(|ended| Changed {
        key: format!("{CONFIG}{CANARY}"),
        before: Some(ended),
        after: String::new(),
    });
    let entry = Entry {
        at_ms: unix_ms(),
        by: meant.by.clone(),
        verb: verb.to_owned(),
        target: kind.as_str().to_owned(),
        reason: meant.reason.clone(),
        changes: std::iter::once(document).chain(canary).collect(),
        replaced: head.map(|head| replaced(&head.text)),
    };
    let entry = canonical::json(&entry).map_err(|p| refusal::internal(&p.to_string()))?;
    for key in history.forgotten(entry.len()) {
        txn = txn.delete(key);
    }
    let number = Key::History(revision.next().0).to_string();
    Ok(txn.expect(&number, Expect::Absent).put(&number, entry.into_bytes()))
}
