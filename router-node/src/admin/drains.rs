//! Drains: taking targets out, letting them in again, and how far each has come.

use bytes::Bytes;
use prost_types::Timestamp;
use tonic::Status;
use trunkline_core::catalog::Catalog;
use trunkline_proto::admin::v1::{
    DrainEntry, DrainReport, DrainRequest, DrainResponse, DrainState, ListDrainsRequest,
    ListDrainsResponse, UndrainRequest, UndrainResponse,
};
use trunkline_spec::overrides::{self, Drain, DrainEntry as Record};
use trunkline_spec::{canonical, overrides::Scope};
use trunkline_store::keys::CONFIG;

use super::edit::{self, Intent, Mode, Rules, Write};
use super::page::page;
use super::state::State;
use super::{Admin, Admitted, refusal, routers, scope};
use crate::fold::DRAINS;
use crate::ingress::grpc::signed;
use crate::ledger::unix_ms;

/// Takes a target out.
///
/// # Errors
/// As [`edit::apply`]; a target that is not there; a field that this release does not carry out.
pub async fn drain(
    admin: &Admin,
    by: &Admitted,
    asked: DrainRequest,
) -> Result<DrainResponse, Status> {
    check_supported(&asked)?;
    let intent = Intent {
        verb: "drain",
        target: asked.target,
        reason: asked.reason,
        expected: asked.expected_revision,
        mode: Mode::of(asked.dry_run),
        rules: Rules::of(asked.force),
    };
    let at_ms = unix_ms();
    let plan = |state: &State| -> Result<Vec<Write>, Status> {
        let scope = scope::existing(&intent.target, state.catalog())?;
        let record = Record {
            scope: scope.to_string(),
            reason: intent.reason.clone(),
            by: Some(by.name()),
            at_ms: Some(at_ms),
        };
        let text = canonical::json(&record).map_err(|p| Status::internal(p.to_string()))?;
        overrides::parse_drain(&text).map_err(|p| refusal::bad_field("reason", &p.to_string()))?;
        Ok(vec![(key(&scope), Some(Bytes::from(text)))])
    };
    let done = edit::apply(admin, by, &intent, plan).await?;
    let drain = DrainEntry {
        target: intent.target,
        reason: intent.reason,
        actor: by.name(),
        created_at: Some(timestamp(at_ms)),
        revision: signed(done.revision.0),
        state: DrainState::Draining.into(),
        ..DrainEntry::default()
    };
    Ok(DrainResponse {
        revision: signed(done.revision.0),
        impact: Some(done.impact),
        drain: Some(drain),
    })
}

/// What the contract has and this release does not carry out must not be taken silently.
fn check_supported(asked: &DrainRequest) -> Result<(), Status> {
    for (field, given) in [
        ("deadline", asked.deadline.is_some()),
        ("expires_in", asked.expires_in.is_some()),
        ("rate_permille_per_minute", asked.rate_permille_per_minute.is_some()),
    ] {
        if given {
            return Err(refusal::bad_field(field, "is not carried out by this release"));
        }
    }
    Ok(())
}

/// Lets a target in again.
///
/// # Errors
/// As [`edit::apply`]; a target that is not drained.
pub async fn undrain(
    admin: &Admin,
    by: &Admitted,
    asked: UndrainRequest,
) -> Result<UndrainResponse, Status> {
    let intent = Intent {
        verb: "undrain",
        target: asked.target,
        reason: asked.reason,
        expected: asked.expected_revision,
        mode: Mode::of(asked.dry_run),
        rules: Rules::of(asked.force),
    };
    let plan = |state: &State| -> Result<Vec<Write>, Status> {
        let target = &intent.target;
        let parsed = Scope::parse(target).map_err(|m| refusal::bad_field("target", &m))?;
        let key = key(&parsed);
        if state.entry(&key).is_none() {
            // A mistyped target is named as such; one that left the catalog may still be let in.
            scope::existing(target, state.catalog())?;
            return Err(refusal::no_override(target, "drain"));
        }
        Ok(vec![(key, None)])
    };
    let done = edit::apply(admin, by, &intent, plan).await?;
    Ok(UndrainResponse { revision: signed(done.revision.0), impact: Some(done.impact) })
}

/// What is drained.
///
/// # Errors
/// When the store does not answer.
pub async fn list(
    admin: &Admin,
    by: &Admitted,
    asked: &ListDrainsRequest,
) -> Result<ListDrainsResponse, Status> {
    let state = State::read(admin.store.as_ref()).await?;
    let members = routers::alive(admin, by).await;
    let wanted = match asked.target.as_str() {
        "" => None,
        target => Some(Scope::parse(target).map_err(|m| refusal::bad_field("target", &m))?),
    };
    let prefix = format!("{CONFIG}{DRAINS}");
    let drains = state.below(&prefix).filter_map(|entry| {
        let drain = overrides::parse_drain(std::str::from_utf8(&entry.value).ok()?).ok()?;
        let asked_for = wanted.as_ref().is_none_or(|wanted| *wanted == drain.scope);
        asked_for.then(|| {
            let reports = members.iter().map(|m| m.report(admin, by, &drain.scope)).collect();
            shown(drain, entry.mod_revision.0, state.catalog(), reports)
        })
    });
    let drains = drains.collect();
    let (drains, next) = page(drains, asked.page_size, &asked.page_token, |d| d.target.clone());
    Ok(ListDrainsResponse { revision: signed(state.revision.0), drains, next_page_token: next })
}

fn key(scope: &Scope) -> String {
    format!("{CONFIG}{DRAINS}{scope}")
}

fn shown(drain: Drain, revision: u64, catalog: &Catalog, routers: Vec<DrainReport>) -> DrainEntry {
    let proven = |r: &DrainReport| r.applied_revision >= signed(revision) && r.quiet;
    let state = if routers.iter().all(proven) { DrainState::Proven } else { DrainState::Draining };
    DrainEntry {
        target: named(&drain.scope, catalog),
        reason: drain.reason,
        actor: drain.by.unwrap_or_default(),
        created_at: drain.at_ms.map(timestamp),
        revision: signed(revision),
        state: state.into(),
        routers,
        ..DrainEntry::default()
    }
}

/// A target as people write it: endpoints by their names, when the catalog still has them.
fn named(scope: &Scope, catalog: &Catalog) -> String {
    match scope {
        Scope::Endpoint(id) => {
            let endpoint = catalog.endpoints.iter().find(|e| e.id == *id);
            endpoint.map_or_else(|| scope.to_string(), |e| format!("endpoint/{}", e.name()))
        }
        Scope::Provider(_) | Scope::Model(_) => scope.to_string(),
    }
}

/// A moment as messages have it.
pub fn timestamp(unix_ms: u64) -> Timestamp {
    Timestamp { seconds: signed(unix_ms / 1000), nanos: (unix_ms % 1000) as i32 * 1_000_000 }
}
