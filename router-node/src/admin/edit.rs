//! One edit of the store: worked out on the state it finds, held to the safety rules, then written as a
//! compare-and-swap together with its history entry, or not at all.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use tonic::Status;
use trunkline_proto::admin::v1::{
    DrainRequest, Impact, ResetWeightRequest, RestoreModelRequest, SetWeightRequest,
    UndrainRequest, WithdrawModelRequest,
};
use trunkline_spec::canonical;
use trunkline_store::keys::Key;
use trunkline_store::port::{Expect, Revision, Store, Txn};

use super::refusal::{self, Conflict};
use super::state::State;
use super::{Admin, Admitted, impact};
use crate::ledger::unix_ms;

/// Edits through different routers that meet at the same moment collide in their history numbers; each then
/// tries again on what the other left. Every time somebody's edit is done, so losing this often in a row takes
/// more routers with more edits than anybody has.
pub const MAX_TRIES: usize = 64;
/// An edit is answered once this router's own calls obey it, or after this long: the store has it anyway.
const FOLLOW_PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks at the view, which follows an edit within some 20 ms.
const FOLLOW_STEP: Duration = Duration::from_millis(5);

/// A key with what is to be there afterwards; `None` for nothing.
pub type Write = (String, Option<Bytes>);

/// What an operator wants, beside the change itself.
#[derive(Clone)]
pub struct Intent {
    /// The verb, as in the command line.
    pub verb: &'static str,
    /// What it is about.
    pub target: String,
    /// Why.
    pub reason: String,
    /// The revision that the operator looked at.
    pub expected: Option<i64>,
    /// Write, or only say what would happen.
    pub mode: Mode,
    /// Hold to the safety rules, or not.
    pub rules: Rules,
}

/// Messages that ask for an edit say the same about it, each in a type of its own; with the verb they are an intent.
macro_rules! asked_by {
    ($($message:ty),+) => {$(
        impl From<(&'static str, &$message)> for Intent {
            fn from((verb, asked): (&'static str, &$message)) -> Self {
                Self {
                    verb,
                    target: asked.target.clone(),
                    reason: asked.reason.clone(),
                    expected: asked.expected_revision,
                    mode: Mode::of(asked.dry_run),
                    rules: Rules::of(asked.force),
                }
            }
        }
    )+};
}

asked_by!(
    DrainRequest,
    UndrainRequest,
    SetWeightRequest,
    ResetWeightRequest,
    WithdrawModelRequest,
    RestoreModelRequest
);

/// Whether an edit is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is.
    Write,
    /// It is only worked out.
    DryRun,
}

impl Mode {
    /// From a message's `dry_run`.
    pub fn of(dry_run: bool) -> Self {
        if dry_run { Self::DryRun } else { Self::Write }
    }
}

/// Whether the safety rules hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// They do.
    Hold,
    /// The operator knows better.
    Overruled,
}

impl Rules {
    /// From a message's `force`.
    pub fn of(force: bool) -> Self {
        if force { Self::Overruled } else { Self::Hold }
    }
}

/// An edit that was done, or worked out.
pub struct Done {
    /// The revision of the write; of the state looked at in a dry run.
    pub revision: Revision,
    /// What changes.
    pub impact: Impact,
    /// The records that were written or taken away, or would be.
    pub keys: Vec<String>,
}

/// Does the edit that `plan` works out on the state it is given.
///
/// # Errors
/// What `plan` refuses; a safety rule; a conflict, with both versions; the store's failures.
pub async fn apply(
    admin: &Admin,
    by: &Admitted,
    intent: &Intent,
    plan: impl Fn(&State) -> Result<Vec<Write>, Status>,
) -> Result<Done, Status> {
    apply_as(admin, &by.name(), intent, plan).await
}

/// The same, by whom a history entry can name.
///
/// # Errors
/// As [`apply`].
pub async fn apply_as(
    admin: &Admin,
    by: &str,
    intent: &Intent,
    plan: impl Fn(&State) -> Result<Vec<Write>, Status>,
) -> Result<Done, Status> {
    let queue = admin.edits.acquire().await;
    let done = worked_out(admin, by, intent, plan).await?;
    // Whoever waits for the view keeps nobody from editing.
    drop(queue);
    if intent.mode == Mode::Write {
        followed(admin, done.revision).await;
    }
    Ok(done)
}

async fn worked_out(
    admin: &Admin,
    by: &str,
    intent: &Intent,
    plan: impl Fn(&State) -> Result<Vec<Write>, Status>,
) -> Result<Done, Status> {
    if intent.reason.trim().is_empty() {
        return Err(refusal::bad_field("reason", "say why, for whoever reads the history"));
    }
    let mut tries = 0;
    loop {
        let state = State::read(admin.store.as_ref()).await?;
        let writes = plan(&state)?;
        check_expected(intent, &state, &writes)?;
        let prepared = Prepared::new(intent, by, &state, &writes)?;
        let (revision, impact) = (state.revision, what_if(state, &writes));
        let keys = writes.into_iter().map(|(key, _)| key).collect();
        if intent.rules == Rules::Hold && !impact.violations.is_empty() {
            return Err(refusal::unsafe_edit(&impact.violations));
        }
        if intent.mode == Mode::DryRun {
            return Ok(Done { revision, impact, keys });
        }
        if let Some(revision) = prepared.commit(admin.store.as_ref()).await? {
            return Ok(Done { revision, impact, keys });
        }
        tries += 1;
        if tries == MAX_TRIES {
            return Err(lost(intent, revision));
        }
    }
}

/// Waits for the view: whoever reads from this router after an edit sees the edit.
pub async fn followed(admin: &Admin, revision: Revision) {
    let deadline = Instant::now() + FOLLOW_PATIENCE;
    while admin.router.view.load().applied_revision() < revision.0 && Instant::now() < deadline {
        tokio::time::sleep(FOLLOW_STEP).await;
    }
}

fn what_if(state: State, writes: &[Write]) -> Impact {
    let before = state.outlook();
    impact::between(&before, &state.with(writes).outlook())
}

/// The operator looked at a revision: whatever was written since must be looked at first.
fn check_expected(intent: &Intent, state: &State, writes: &[Write]) -> Result<(), Status> {
    let Some(expected) = intent.expected else { return Ok(()) };
    let expected = u64::try_from(expected)
        .map_err(|_| refusal::bad_field("expected_revision", "is no revision"))?;
    for (key, proposed) in writes {
        let Some(entry) = state.entry(key).filter(|e| e.mod_revision.0 > expected) else {
            continue;
        };
        return Err(Conflict {
            target: intent.target.clone(),
            current: Some(text(&entry.value)),
            revision: entry.mod_revision.0,
            proposed: proposed.as_ref().map(text),
        }
        .status());
    }
    Ok(())
}

fn lost(intent: &Intent, revision: Revision) -> Status {
    let target = intent.target.clone();
    Conflict { target, current: None, revision: revision.0, proposed: None }.status()
}

fn text(value: &Bytes) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// A transaction that is done only on the state it was worked out on.
struct Prepared(Txn);

impl Prepared {
    fn new(intent: &Intent, by: &str, state: &State, writes: &[Write]) -> Result<Self, Status> {
        let mut txn = Txn::new();
        let mut changes = Vec::new();
        for (key, value) in writes {
            let entry = state.entry(key);
            let expect = entry.map_or(Expect::Absent, |e| Expect::Revision(e.mod_revision));
            txn = txn.expect(key, expect);
            txn = match value {
                Some(value) => txn.put(key, value.clone()),
                None => txn.delete(key),
            };
            changes.push(Changed {
                key,
                before: entry.and_then(|e| raw(&e.value)),
                after: value.as_ref().and_then(raw),
            });
        }
        // The number of an entry only has to be new: the next revision is, unless two edits meet.
        let history = Key::History(state.revision.next().0).to_string();
        let entry = Entry {
            at_ms: unix_ms(),
            by,
            verb: intent.verb,
            target: &intent.target,
            reason: &intent.reason,
            changes,
        };
        let entry = canonical::json(&entry).map_err(|p| refusal::internal(&p.to_string()))?;
        let txn = txn.expect(&history, Expect::Absent).put(&history, entry.into_bytes());
        Ok(Self(txn))
    }

    /// The revision of the write; `None` when somebody else wrote in between.
    async fn commit(self, store: &dyn Store) -> Result<Option<Revision>, Status> {
        let result = store.commit(self.0).await.map_err(|e| refusal::store(&e))?;
        Ok(result.committed.then_some(result.revision))
    }
}

/// A stored record as JSON; what is none is left out of the history.
fn raw(value: &Bytes) -> Option<Box<RawValue>> {
    serde_json::from_slice(value).ok()
}

/// One entry of the history.
#[derive(Serialize)]
struct Entry<'a> {
    at_ms: u64,
    by: &'a str,
    verb: &'a str,
    target: &'a str,
    reason: &'a str,
    changes: Vec<Changed<'a>>,
}

/// One record before and after.
#[derive(Serialize)]
struct Changed<'a> {
    key: &'a str,
    before: Option<Box<RawValue>>,
    after: Option<Box<RawValue>>,
}

#[cfg(test)]
mod tests;
