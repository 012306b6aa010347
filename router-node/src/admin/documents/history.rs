//! The versions of a document. The one in force is in the configuration; each entry of the history holds the
//! text that it replaced, so that what was bootstrapped can be rolled back to as well.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tonic::Status;
use trunkline_proto::admin::v1::{
    CanaryEnd, DocumentVersion, apply_document_request, plan_document_request,
};
use trunkline_spec::canonical;
use trunkline_spec::versioned::Versioned;
use trunkline_store::keys::{CONFIG, HISTORY, Key};
use trunkline_store::port::{KeyValue, Revision, Store};

use crate::admin::drains::timestamp;
use crate::admin::state::State;
use crate::admin::{canary, refusal};

/// Versions of a document that are kept: some months of a busy team.
const MAX_KEPT: usize = 100;
/// Bytes of all their texts: every router reads them when it starts.
const MAX_KEPT_BYTES: usize = 8 << 20;
/// Entries forgotten in one transaction, which has room for 128 operations.
const MAX_FORGOTTEN_AT_ONCE: usize = 64;
/// The shortest beginning of a version that is taken for it.
pub const MIN_VERSION_CHARS: usize = 8;

/// Where a document is in the store.
pub fn key_of(kind: Versioned) -> String {
    format!("{CONFIG}{kind}")
}

/// The version in force.
pub struct Head {
    /// The hash of its canonical form.
    pub version: String,
    /// The stored text.
    pub text: String,
    /// The revision that wrote it.
    pub revision: Revision,
}

impl Head {
    /// The one of this state.
    pub fn of(state: &State, kind: Versioned) -> Option<Self> {
        let entry = state.entry(&key_of(kind))?;
        let text = String::from_utf8_lossy(&entry.value).into_owned();
        Some(Self { version: kind.version_of(&text), text, revision: entry.mod_revision })
    }
}

/// Whether `written` is this version or a beginning of it that is long enough.
pub fn means(written: &str, version: &str) -> bool {
    written.len() >= MIN_VERSION_CHARS && version.starts_with(written)
}

/// One entry of the history, as the store has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who.
    pub by: String,
    /// How.
    pub verb: String,
    /// Which document.
    pub target: String,
    /// Why.
    pub reason: String,
    /// The document's versions before and after.
    pub changes: Vec<Changed>,
    /// The text that was replaced; `None` when there was none.
    pub replaced: Option<Value>,
}

/// A document's versions before and after.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Changed {
    /// Its key.
    pub key: String,
    /// Before; `None` when there was none.
    pub before: Option<String>,
    /// After; empty for a canary that has ended.
    pub after: String,
}

/// What a document is taken from.
pub enum Source {
    /// The document itself.
    Document(String),
    /// A version of it; the one before the present when empty.
    Version(String),
}

impl From<plan_document_request::Source> for Source {
    fn from(source: plan_document_request::Source) -> Self {
        match source {
            plan_document_request::Source::Document(text) => Self::Document(text),
            plan_document_request::Source::Version(version) => Self::Version(version),
        }
    }
}

impl From<apply_document_request::Source> for Source {
    fn from(source: apply_document_request::Source) -> Self {
        match source {
            apply_document_request::Source::Document(text) => Self::Document(text),
            apply_document_request::Source::Version(version) => Self::Version(version),
        }
    }
}

/// What is kept of one document, the oldest first.
pub struct History(Vec<Kept>);

struct Kept {
    key: String,
    bytes: usize,
    changed: Changed,
    entry: Entry,
}

impl History {
    /// Reads it.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn read(store: &dyn Store, kind: Versioned) -> Result<Self, Status> {
        let listing = store.list(HISTORY).await.map_err(|e| refusal::store(&e))?;
        Ok(Self(listing.entries.iter().filter_map(|entry| kept(entry, kind)).collect()))
    }

    /// The text of what is to be applied.
    ///
    /// # Errors
    /// A version that is not kept, or nothing at all.
    pub fn text_of(&self, source: Option<Source>, head: Option<&Head>) -> Result<String, Status> {
        match source {
            Some(Source::Document(text)) => Ok(text),
            Some(Source::Version(version)) if version.is_empty() => {
                Ok(self.find(self.before_the_present(head)?, head)?.1)
            }
            Some(Source::Version(version)) => Ok(self.find(&version, head)?.1),
            None => Err(refusal::bad_field("source", "send a document or name a version")),
        }
    }

    /// The version that a rollback means that names none.
    fn before_the_present(&self, head: Option<&Head>) -> Result<&str, Status> {
        let unknown = || refusal::unknown_version("before the present");
        let last = &self.0.last().ok_or_else(unknown)?.changed;
        match head {
            Some(_) => last.before.as_deref().ok_or_else(unknown),
            // It was deleted past the admin API: the version before that is the last one, whose text was kept
            // only if it was in force earlier, too.
            None if self.find(&last.after, None).is_ok() => Ok(&last.after),
            None => Err(refusal::lost_version(&last.after)),
        }
    }

    /// A version and its text.
    ///
    /// # Errors
    /// When no version, or more than one, begins like that.
    pub fn find(&self, asked: &str, head: Option<&Head>) -> Result<(String, String), Status> {
        let mut found: BTreeMap<&str, String> = BTreeMap::new();
        for kept in &self.0 {
            let before = kept.changed.before.as_deref();
            if let Some((version, text)) = before.zip(kept.entry.replaced.as_ref())
                && means(asked, version)
            {
                found.insert(version, written(text));
            }
        }
        if let Some(head) = head.filter(|head| means(asked, &head.version)) {
            found.insert(&head.version, head.text.clone());
        }
        let several = found.len() > 1;
        match found.pop_first().filter(|_| !several) {
            Some((version, text)) => Ok((version.to_owned(), text)),
            None => Err(refusal::unknown_version(asked)),
        }
    }

    /// How a version came about, the last time.
    pub fn about(&self, version: &str, head: Option<&Head>) -> DocumentVersion {
        let kept = self.0.iter().rev().find(|kept| kept.changed.after == version);
        let in_force = head.is_some_and(|head| head.version == version);
        let unknown = DocumentVersion { version: version.to_owned(), ..DocumentVersion::default() };
        DocumentVersion { in_force, ..kept.map_or(unknown, Kept::message) }
    }

    /// All versions, the newest first: one in force that was not written through the admin API, those that
    /// were, and what was there before them.
    pub fn versions(&self, head: Option<&Head>) -> Vec<DocumentVersion> {
        let mut versions: Vec<DocumentVersion> = self.0.iter().rev().map(Kept::message).collect();
        let unknown = |version: &String| DocumentVersion {
            version: version.clone(),
            ..DocumentVersion::default()
        };
        let oldest = self.0.first().and_then(|first| first.changed.before.as_ref());
        versions.extend(oldest.map(unknown));
        if let Some(head) = head {
            if versions.first().is_none_or(|newest| newest.version != head.version) {
                versions.insert(0, unknown(&head.version));
            }
            if let Some(newest) = versions.first_mut() {
                newest.in_force = true;
            }
        }
        versions
    }

    /// The keys of what is forgotten to make room for one more entry of so many bytes.
    pub fn forgotten(&self, bytes: usize) -> Vec<&str> {
        let (mut count, mut total) = (1, bytes);
        let kept = self.0.iter().rev().take_while(|kept| {
            count += 1;
            total += kept.bytes;
            count <= MAX_KEPT && total <= MAX_KEPT_BYTES
        });
        let outdated = self.0.len() - kept.count();
        let oldest = self.0.iter().take(outdated.min(MAX_FORGOTTEN_AT_ONCE));
        oldest.map(|kept| kept.key.as_str()).collect()
    }
}

impl Kept {
    fn message(&self) -> DocumentVersion {
        DocumentVersion {
            version: self.changed.after.clone(),
            replaced_version: self.changed.before.clone().unwrap_or_default(),
            applied_at: Some(timestamp(self.entry.at_ms)),
            actor: self.entry.by.clone(),
            reason: self.entry.reason.clone(),
            verb: self.entry.verb.clone(),
            in_force: false,
            canary_permille: 0,
        }
    }
}

/// How the last canary ended that was not promoted.
///
/// # Errors
/// When the store does not answer.
pub async fn ended_canary(store: &dyn Store) -> Result<Option<CanaryEnd>, Status> {
    let listing = store.list(HISTORY).await.map_err(|e| refusal::store(&e))?;
    Ok(listing.entries.iter().rev().find_map(|entry| end_of_canary(&entry.value)))
}

fn end_of_canary(stored: &[u8]) -> Option<CanaryEnd> {
    /// What is read of an entry that is no document's.
    #[derive(Deserialize)]
    struct End {
        at_ms: u64,
        by: String,
        verb: String,
        reason: String,
        changes: Vec<Gone>,
    }
    #[derive(Deserialize)]
    struct Gone {
        before: Value,
    }
    let End { at_ms, by, verb, reason, changes } = serde_json::from_slice(stored).ok()?;
    let canary = changes.first().filter(|_| verb == canary::ENDING)?.before.to_string();
    Some(CanaryEnd {
        version: trunkline_spec::canary::parse(&canary).ok()?.policy.version.clone(),
        ended_at: Some(timestamp(at_ms)),
        actor: by,
        reason,
    })
}

/// The entry of a document; nothing for those of other edits, which have other changes.
fn kept(stored: &KeyValue, kind: Versioned) -> Option<Kept> {
    Key::parse(&stored.key)?;
    let entry: Entry = serde_json::from_slice(&stored.value).ok()?;
    let changed = entry.changes.first().filter(|changed| changed.key == key_of(kind))?.clone();
    Some(Kept { key: stored.key.clone(), bytes: stored.value.len(), changed, entry })
}

/// The stored text as a value in the history; what is no JSON is kept as text.
pub fn replaced(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

fn written(replaced: &Value) -> String {
    match replaced {
        Value::String(text) => text.clone(),
        document => canonical::json(document).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
