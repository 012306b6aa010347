//! A document that may be applied: what it would change, worked out on the state it finds.

use std::collections::BTreeSet;

use bytes::Bytes;
use tonic::Status;
use trunkline_core::dataflow::let_in;
use trunkline_core::id::ModelId;
use trunkline_core::policy::{ApiKey, DataRules};
use trunkline_proto::admin::v1::{DocumentDifference, DocumentPlan};
use trunkline_spec::manifest::{self, Manifest};
use trunkline_spec::versioned::{Versioned, Written};
use trunkline_spec::{Problems, canonical, diff};
use trunkline_store::keys::CONFIG;

use super::history::{Head, key_of};
use super::messages;
use crate::admin::edit::Write;
use crate::admin::state::{Outlook, State};
use crate::admin::{dataflow, impact, refusal};
use crate::fold::{CANARY, MANIFEST};
use crate::ingress::grpc::signed;
use crate::ledger::unix_ms;

/// Endpoints that a violation names.
const MAX_NAMED: usize = 5;

/// Who means it, and why; for a catalog that takes much away.
pub struct Meant {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A document, and what it would change.
pub struct Proposal {
    /// As operators see it.
    pub plan: DocumentPlan,
    /// The version in force.
    pub head: Option<Head>,
    /// The candidate of the canary that it ends.
    pub ends: Option<String>,
    /// What would be written; nothing when something is wrong, or when it is in force already.
    pub writes: Vec<Write>,
}

/// For whom a document is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All calls.
    All,
    /// A canary's share of them, in ‰.
    Share(u32),
}

impl Proposal {
    /// Works out what this text would change.
    ///
    /// # Errors
    /// A reason that cannot be kept with a catalog that takes much away.
    pub fn work_out(
        state: State,
        kind: Versioned,
        text: &str,
        (meant, reach): (&Meant, Reach),
    ) -> Result<Self, Status> {
        let head = Head::of(&state, kind);
        let mut plan = DocumentPlan {
            revision: signed(state.revision.0),
            head_version: head.as_ref().map(|head| head.version.clone()).unwrap_or_default(),
            ..DocumentPlan::default()
        };
        let written = match kind.read_against(text, state.catalog()) {
            Ok(written) => written,
            Err(problems) => return Ok(Self::wrong(plan, head, problems)),
        };
        plan.version.clone_from(&written.version);
        if plan.version == plan.head_version {
            return Ok(Self { plan, head, ends: None, writes: Vec::new() });
        }
        let before = head.as_ref().map(|head| head.text.as_str()).unwrap_or_default();
        plan.differences = differences(before, &written.canonical);
        let writes = writes(&state, kind, &written, meant)?;
        let (keys, mut before) = (state.keys(), state.outlook());
        let mut ends = None;
        if kind == Versioned::Policy {
            // What was let through for a canary's calls was not let through for all.
            ends = before.candidate.take().map(|candidate| candidate.version.clone());
        }
        let after = state.with(&writes);
        if let Some(reason) = after.refused(&key_of(kind)) {
            return Ok(Self::wrong(plan, head, Problems::one("", reason)));
        }
        let after = after.outlook();
        let mut impact = match reach {
            Reach::All => impact::between(&before, &after),
            Reach::Share(permille) => impact::at_share(&before, &after, permille),
        };
        impact.violations.extend(broken_rules(&before, &after, &keys));
        plan.impact = Some(impact);
        plan.widenings = dataflow::widenings(&before, &after, &keys);
        Ok(Self { plan, head, ends, writes })
    }

    fn wrong(mut plan: DocumentPlan, head: Option<Head>, problems: Problems) -> Self {
        plan.version.clear();
        plan.differences.clear();
        plan.problems = messages(problems);
        Self { plan, head, ends: None, writes: Vec::new() }
    }
}

fn differences(before: &str, after: &str) -> Vec<DocumentDifference> {
    let message =
        |d: diff::Difference| DocumentDifference { path: d.path, before: d.before, after: d.after };
    diff::between(before, after).into_iter().map(message).collect()
}

/// The document; with it, for a catalog that takes much away, the manifest without which routers hold it back. A
/// policy ends the canary: its candidate was compared with what is no longer in force.
fn writes(
    state: &State,
    kind: Versioned,
    written: &Written,
    meant: &Meant,
) -> Result<Vec<Write>, Status> {
    let mut writes = vec![(key_of(kind), Some(Bytes::from(written.canonical.clone())))];
    if kind == Versioned::Policy {
        let canary = format!("{CONFIG}{CANARY}");
        writes.extend(state.entry(&canary).map(|_| (canary.clone(), None)));
        return Ok(writes);
    }
    let internal = |problems: Problems| refusal::internal(&problems.to_string());
    let next = trunkline_spec::catalog::parse(&written.canonical).map_err(internal)?;
    if state.catalog().mass_removal(&next).is_some() {
        let manifest = Manifest {
            endpoints: next.endpoints.len() as u64,
            reason: meant.reason.clone(),
            by: Some(meant.by.clone()),
            at_ms: Some(unix_ms()),
        };
        let text = canonical::json(&manifest).map_err(internal)?;
        manifest::parse(&text).map_err(|p| refusal::bad_field("reason", &p.to_string()))?;
        writes.push((format!("{CONFIG}{MANIFEST}"), Some(Bytes::from(text))));
    }
    Ok(writes)
}

/// Models that the policy names, or a canary's, and that the catalog has no longer.
fn orphaned(before: &Outlook, after: &Outlook) -> Option<String> {
    let models = |outlook: &Outlook| -> BTreeSet<ModelId> {
        outlook.catalog.endpoints.iter().map(|endpoint| endpoint.model.clone()).collect()
    };
    let (had, has) = (models(before), models(after));
    let routes = after.policies().flat_map(|policy| policy.routes.values());
    let named = routes.flat_map(|route| &route.models);
    let gone: BTreeSet<&str> = named
        .filter(|model| had.contains(*model) && !has.contains(*model))
        .map(ModelId::as_str)
        .collect();
    let gone: Vec<&str> = gone.into_iter().collect();
    (!gone.is_empty()).then(|| format!("the policy names {}, which would be gone", gone.join(", ")))
}

/// The rules that keep prompts somewhere and would no longer, and a catalog that shrinks too much.
fn broken_rules(before: &Outlook, after: &Outlook, keys: &[ApiKey]) -> Vec<String> {
    let mut broken = Vec::new();
    if let Some(removal) = before.catalog.mass_removal(&after.catalog) {
        let (removed, all) = (removal.removed, removal.before);
        broken.push(format!("{removed} of {all} endpoints would go at once"));
    }
    broken.extend(orphaned(before, after));
    let mut check = |whose: String, was: &DataRules, is: &DataRules| {
        let endpoints = let_in((&before.catalog, was), (&after.catalog, is));
        let names: Vec<String> = endpoints.iter().take(MAX_NAMED).map(|e| e.name()).collect();
        let more = endpoints.len() - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        if !names.is_empty() {
            let names = names.join(", ");
            broken.push(format!("the data rules of {whose} would let in {names}{more}"));
        }
    };
    check("the policy".to_owned(), &before.policy.data, &after.policy.data);
    if let Some((was, is)) = before.candidate.as_ref().zip(after.candidate.as_ref()) {
        check("the canary's policy".to_owned(), &was.data, &is.data);
    }
    let mut seen: Vec<&DataRules> = vec![&before.policy.data];
    for tenant in keys.iter().map(|key| &key.tenant) {
        if tenant.data != DataRules::default() && !seen.contains(&&tenant.data) {
            seen.push(&tenant.data);
            check(format!("key {}", tenant.key), &tenant.data, &tenant.data);
        }
    }
    broken
}
