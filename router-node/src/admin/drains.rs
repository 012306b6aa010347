//! Drains: taking targets out, letting them in again, and how far each has come.

use std::time::Duration;

use bytes::Bytes;
use prost_types::Timestamp;
use tonic::Status;
use trunkline_core::catalog::{Catalog, Endpoint};
use trunkline_proto::admin::v1::{
    DrainEntry, DrainReport, DrainRequest, DrainResponse, DrainState, Impact, ListDrainsRequest,
    ListDrainsResponse, UndrainRequest, UndrainResponse,
};
use trunkline_spec::overrides::{self, Drain, DrainEntry as Record};
use trunkline_spec::{canonical, overrides::Scope};
use trunkline_store::keys::CONFIG;
use trunkline_store::port::KeyValue;

use super::edit::{self, Intent, Mode, Rules, Write};
use super::page::page;
use super::state::State;
use super::{Admin, Admitted, refusal, routers, scope};
use crate::fold::DRAINS;
use crate::ingress::grpc::signed;
use crate::ledger::unix_ms;

/// The longest time for which a drain may say what happens then: one that is longer is forgotten by then.
const MAX_SPAN: Duration = Duration::from_secs(365 * 86_400);

/// Takes a target out.
///
/// # Errors
/// As [`edit::apply`]; a target that is not there; a field that makes no sense.
pub async fn drain(
    admin: &Admin,
    by: &Admitted,
    asked: DrainRequest,
) -> Result<DrainResponse, Status> {
    let new = NewDrain::read(&asked, by)?;
    let intent = Intent::from(("drain", &asked));
    let whole = new.whole_impact(admin, by, &intent).await?;
    if let Some(impact) = &whole
        && intent.rules == Rules::Hold
        && !impact.violations.is_empty()
    {
        return Err(refusal::unsafe_edit(&impact.violations));
    }
    let plan = |state: &State| new.writes(&intent, state);
    let done = edit::apply(admin, by, &intent, plan).await?;
    let impact = told(whole.unwrap_or(done.impact), (&intent.target, &done.keys), by);
    let drain = DrainEntry {
        target: intent.target,
        reason: intent.reason,
        actor: by.name(),
        created_at: Some(timestamp(new.at_ms)),
        deadline_at: new.deadline_at_ms.map(timestamp),
        expires_at: new.expires_at_ms.map(timestamp),
        revision: signed(done.revision.0),
        state: DrainState::Draining.into(),
        taken_permille: if new.rate_permille.is_some() { 0 } else { 1_000 },
        ..DrainEntry::default()
    };
    Ok(DrainResponse {
        revision: signed(done.revision.0),
        impact: Some(impact),
        drain: Some(drain),
    })
}

/// A span of a drain, in milliseconds.
fn span_ms(field: &str, span: prost_types::Duration) -> Result<u64, Status> {
    let span = Duration::try_from(span).ok().filter(|span| !span.is_zero() && *span <= MAX_SPAN);
    let span =
        span.ok_or_else(|| refusal::bad_field(field, "use more than nothing and at most a year"))?;
    Ok(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

/// A drain that was asked for.
#[derive(Clone)]
struct NewDrain {
    by: String,
    at_ms: u64,
    expires_at_ms: Option<u64>,
    deadline_at_ms: Option<u64>,
    rate_permille: Option<u32>,
}

impl NewDrain {
    fn read(asked: &DrainRequest, by: &Admitted) -> Result<Self, Status> {
        let at_ms = unix_ms();
        let after = |field, span: &Option<prost_types::Duration>| {
            let ms = span.map(|span| span_ms(field, span)).transpose()?;
            Ok::<_, Status>(ms.map(|ms| at_ms + ms))
        };
        let expires_at_ms = after("expires_in", &asked.expires_in)?;
        let deadline_at_ms = after("deadline", &asked.deadline)?;
        Ok(Self {
            by: by.name(),
            at_ms,
            expires_at_ms,
            deadline_at_ms,
            rate_permille: asked.rate_permille_per_minute,
        })
    }

    fn writes(&self, intent: &Intent, state: &State) -> Result<Vec<Write>, Status> {
        let scopes = scope::all(&intent.target, state)?;
        scopes.iter().map(|scope| self.write(scope, intent, state)).collect()
    }

    fn write(&self, scope: &Scope, intent: &Intent, state: &State) -> Result<Write, Status> {
        let before = state.entry(&key(scope)).and_then(read);
        if before.is_some_and(|drain| drain.withdrawn) {
            let message = format!("{scope} is withdrawn, which is more than a drain");
            return Err(refusal::bad_field("target", &message));
        }
        let record = Record {
            scope: scope.to_string(),
            reason: intent.reason.clone(),
            by: Some(self.by.clone()),
            at_ms: Some(self.at_ms),
            expires_at_ms: self.expires_at_ms,
            deadline_at_ms: self.deadline_at_ms,
            rate_permille: self.rate_permille,
            taken_permille: self.rate_permille.map(|_| 0),
            withdrawn: false,
        };
        Ok((key(scope), Some(written(&record)?)))
    }

    /// A drain with a rate begins with nothing, and no step moves much: what it comes to in the end is held to
    /// the rule that something must be left. `None` for one that acts at once.
    async fn whole_impact(
        &self,
        admin: &Admin,
        by: &Admitted,
        intent: &Intent,
    ) -> Result<Option<Impact>, Status> {
        if self.rate_permille.is_none() {
            return Ok(None);
        }
        let end = Self { rate_permille: None, ..self.clone() };
        let intent = Intent { mode: Mode::DryRun, rules: Rules::Overruled, ..intent.clone() };
        let plan = |state: &State| end.writes(&intent, state);
        let mut impact = edit::apply(admin, by, &intent, plan).await?.impact;
        impact.violations = impact
            .models
            .iter()
            .filter(|m| m.usable_endpoints_before > 0 && m.usable_endpoints_after == 0)
            .map(|m| format!("{} would have no usable endpoint left", m.model))
            .collect();
        Ok(Some(impact))
    }
}

/// A drain's record, which must read as it is written.
///
/// # Errors
/// The field that makes no sense.
pub fn written(record: &Record) -> Result<Bytes, Status> {
    let text = canonical::json(record).map_err(|p| refusal::internal(&p.to_string()))?;
    let wrong = |p: trunkline_spec::Problems| {
        let field = match p.0.first().map(|problem| problem.path.as_str()) {
            Some("rate_permille") => "rate_permille_per_minute",
            Some(_) | None => "reason",
        };
        refusal::bad_field(field, &p.to_string())
    };
    overrides::parse_drain(&text).map_err(wrong)?;
    Ok(Bytes::from(text))
}

/// The drain that a record of the store is.
pub fn read(entry: &KeyValue) -> Option<Drain> {
    overrides::parse_drain(std::str::from_utf8(&entry.value).ok()?).ok()
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
    let intent = Intent::from(("undrain", &asked));
    let plan = |state: &State| -> Result<Vec<Write>, Status> {
        if let Some(fitting) = fitting(&intent.target, state) {
            return match fitting.len() {
                0 => Err(refusal::no_override(&intent.target, "drain")),
                1..=scope::MAX_WRITES => Ok(fitting),
                many => Err(scope::too_many(&format!("stands for {many} drains"))),
            };
        }
        let (key, drain) = in_force(&intent.target, state)?;
        if drain.is_some_and(|drain| drain.withdrawn) {
            return Err(refusal::bad_field("target", "is withdrawn; unwithdraw it"));
        }
        Ok(vec![(key, None)])
    };
    let done = edit::apply(admin, by, &intent, plan).await?;
    let impact = told(done.impact, (&intent.target, &done.keys), by);
    Ok(UndrainResponse { revision: signed(done.revision.0), impact: Some(impact) })
}

/// With what a target with `*` stood for.
fn told(impact: Impact, (target, keys): (&str, &[String]), by: &Admitted) -> Impact {
    if scope::Pattern::read(target).is_none() {
        return impact;
    }
    let prefix = format!("{CONFIG}{DRAINS}");
    let scopes = keys.iter().filter_map(|key| Scope::parse(key.strip_prefix(&prefix)?).ok());
    let endpoints = || by.view.snapshot.endpoints.iter().map(|state| &state.endpoint);
    Impact { targets: scopes.map(|scope| named(&scope, endpoints())).collect(), ..impact }
}

/// The ends of the drains that a target with `*` fits; no withdrawal is among them. `None` for another target.
fn fitting(target: &str, state: &State) -> Option<Vec<Write>> {
    let (kind, pattern) = scope::Pattern::read(target)?;
    let prefix = format!("{CONFIG}{DRAINS}");
    let fits = |drain: &Drain| {
        let name = named(&drain.scope, state.catalog().endpoints.iter());
        let name = name.split_once('/').filter(|(of, _)| *of == kind);
        !drain.withdrawn && name.is_some_and(|(_, name)| pattern.fits(name))
    };
    let drained =
        state.below(&prefix).filter(|entry| read(entry).is_some_and(|drain| fits(&drain)));
    Some(drained.map(|entry| (entry.key.clone(), None)).collect())
}

/// The key of a drain in force, and the drain if it can be read. A mistyped target is named as such; one that
/// left the catalog may still be let in.
///
/// # Errors
/// A target that is not drained, or is none.
pub fn in_force(target: &str, state: &State) -> Result<(String, Option<Drain>), Status> {
    let parsed = Scope::parse(target).map_err(|m| refusal::bad_field("target", &m))?;
    for scope in [Ok(parsed), scope::resolved(target, state)] {
        let key = key(&scope?);
        if let Some(entry) = state.entry(&key) {
            return Ok((key, read(entry)));
        }
    }
    Err(refusal::no_override(target, "drain"))
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
    let members = routers::alive(admin, by).await.map_err(|e| refusal::store(&e))?;
    let wanted = match asked.target.as_str() {
        "" => None,
        target => Some(match fitting(target, &state) {
            Some(fitting) => fitting.into_iter().map(|(key, _)| key).collect(),
            None => {
                let parsed = Scope::parse(target).map_err(|m| refusal::bad_field("target", &m))?;
                vec![key(&scope::resolved(target, &state).unwrap_or(parsed))]
            }
        }),
    };
    let prefix = format!("{CONFIG}{DRAINS}");
    let drains = state.below(&prefix).filter_map(|entry| {
        let drain = read(entry)?;
        let asked_for =
            wanted.as_ref().is_none_or(|wanted: &Vec<String>| wanted.contains(&entry.key));
        asked_for.then(|| {
            let reports = members.iter().map(|m| m.report(admin, by, &drain.scope)).collect();
            shown(drain, entry.mod_revision.0, state.catalog(), reports)
        })
    });
    let drains = drains.collect();
    let (drains, next) = page(drains, asked.page_size, &asked.page_token, |d| d.target.clone());
    Ok(ListDrainsResponse { revision: signed(state.revision.0), drains, next_page_token: next })
}

/// Where a drain is in the store.
pub fn key(scope: &Scope) -> String {
    format!("{CONFIG}{DRAINS}{scope}")
}

fn shown(drain: Drain, revision: u64, catalog: &Catalog, routers: Vec<DrainReport>) -> DrainEntry {
    let proven = |r: &DrainReport| r.applied_revision >= signed(revision) && r.quiet;
    let complete = drain.left_permille() == 0 && routers.iter().all(proven);
    let state = if complete { DrainState::Proven } else { DrainState::Draining };
    DrainEntry {
        target: named(&drain.scope, catalog.endpoints.iter()),
        reason: drain.reason,
        actor: drain.by.unwrap_or_default(),
        created_at: drain.at_ms.map(timestamp),
        deadline_at: drain.deadline_at_ms.map(timestamp),
        expires_at: drain.expires_at_ms.map(timestamp),
        revision: signed(revision),
        state: state.into(),
        routers,
        taken_permille: drain.taken_permille,
        withdrawn: drain.withdrawn,
    }
}

/// A target as people write it: endpoints by their names, when the catalog still has them.
fn named<'a>(scope: &Scope, mut endpoints: impl Iterator<Item = &'a Endpoint>) -> String {
    match scope {
        Scope::Endpoint(id) => {
            let endpoint = endpoints.find(|e| e.id == *id);
            endpoint.map_or_else(|| scope.to_string(), |e| format!("endpoint/{}", e.name()))
        }
        Scope::Provider(_) | Scope::Model(_) => scope.to_string(),
    }
}

/// A moment as messages have it.
pub fn timestamp(unix_ms: u64) -> Timestamp {
    Timestamp { seconds: signed(unix_ms / 1000), nanos: (unix_ms % 1000) as i32 * 1_000_000 }
}
