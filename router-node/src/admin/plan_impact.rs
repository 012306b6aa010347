//! What another catalog or policy would have made of recent calls. Both sides are computed from one reading of
//! the store by the code that every router computes its view with; only the proposed document differs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use tonic::Status;
use trunkline_core::id::{EndpointId, Zone};
use trunkline_core::impact::{self, Impact, Past, Share, Side};
use trunkline_core::money::PicoUsd;
use trunkline_core::names;
use trunkline_core::snapshot::{EndpointState, Snapshot};
use trunkline_proto::admin::v1::{
    EndpointShare, PlanImpactRequest, PlanImpactResponse, PlannedCalls,
};
use trunkline_spec::{catalog, policy};
use trunkline_store::keys::{CONFIG, ROOT};
use trunkline_store::port::{Change, KeyValue, Listing};

use super::peers::{self, Heard, Question};
use super::{Admin, Admitted, refusal};
use crate::fold::{CATALOG, Fold, POLICY};
use crate::generations::KEPT;
use crate::ingress::grpc::signed;

/// How long another router may take: it reads the store and decides all that it keeps, within a second or two.
const PATIENCE: Duration = Duration::from_secs(10);

/// Decides the recent calls of all routers again.
///
/// # Errors
/// When the document is none, with its first mistakes, or the store cannot be read.
pub async fn answer(
    admin: &Admin,
    by: &Admitted,
    asked: PlanImpactRequest,
    credential: Option<HeaderValue>,
) -> Result<PlanImpactResponse, Status> {
    let proposed = proposed(&asked)?;
    let (heard, own) =
        tokio::join!(others(admin, by, &asked, credential), own(admin, &asked, proposed));
    let Own { mut sum, before, after, revision } = own?;
    for (_, theirs) in &heard.answers {
        sum.add(&impact_of(theirs), &before, &after);
    }
    let mut routers: Vec<String> = heard.answers.into_iter().map(|(router, _)| router).collect();
    routers.push(admin.identity.node.to_string());
    routers.sort();
    let (version, in_force) = (&after.policy.version, &by.view.snapshot.policy.version);
    Ok(PlanImpactResponse {
        revision: signed(revision),
        policy_version: if version.is_empty() { in_force } else { version }.clone(),
        calls: sum.calls,
        moved_calls: sum.moved,
        before: Some(planned(&sum.before)),
        after: Some(planned(&sum.after)),
        endpoints: shares(&sum, [&before, &after]),
        routers,
        silent_routers: heard.silent,
    })
}

/// What the other routers make of the same document, each of its own calls.
async fn others(
    admin: &Admin,
    by: &Admitted,
    asked: &PlanImpactRequest,
    credential: Option<HeaderValue>,
) -> Heard<PlanImpactResponse> {
    if asked.only_here {
        return Heard { answers: Vec::new(), silent: Vec::new() };
    }
    let message = PlanImpactRequest { only_here: true, ..asked.clone() };
    let question = Question { message, credential, patience: PATIENCE };
    let said =
        peers::ask(
            admin,
            by,
            question,
            |mut peer, asked| async move { peer.plan_impact(asked).await },
        );
    Heard::all(said.await).await
}

/// What the answering router makes of it.
struct Own {
    sum: Impact,
    before: Snapshot,
    after: Snapshot,
    revision: u64,
}

async fn own(
    admin: &Admin,
    asked: &PlanImpactRequest,
    proposed: (String, String),
) -> Result<Own, Status> {
    let listing = admin.store.list(ROOT).await.map_err(|e| refusal::store(&e))?;
    admin.router.ledger.written().await;
    let most = if asked.max_calls == 0 { KEPT } else { asked.max_calls as usize };
    let (router, zone) = (Arc::clone(&admin.router), admin.identity.zone.clone());
    let revision = listing.revision.0;
    let weighed = tokio::task::spawn_blocking(move || {
        let before = snapshot(listing.clone(), &zone);
        let after = snapshot(replaced(listing, proposed), &zone);
        let records = router.generations.newest(most);
        let calls = records.iter().filter_map(|kept| kept.past());
        let calls = calls.map(|past| Past { asked: names::base(past.asked, &before), ..past });
        let sum = impact::impact(&before, &after, calls);
        Own { sum, before, after, revision }
    });
    weighed.await.map_err(|_| refusal::internal("the calls could not be decided again"))
}

/// The key that the document has in the store, and its canonical form.
fn proposed(asked: &PlanImpactRequest) -> Result<(String, String), Status> {
    let text = asked.document.as_str();
    let (path, canonical) = match asked.document_kind.as_str() {
        POLICY => (POLICY, policy::parse(text).and_then(|_| policy::canonical(text))),
        CATALOG => (CATALOG, catalog::parse(text).and_then(|_| catalog::canonical(text))),
        _ => return Err(refusal::bad_field("document_kind", "is `policy` or `catalog`")),
    };
    let canonical = canonical.map_err(|e| refusal::bad_field("document", &e.to_string()))?;
    Ok((format!("{CONFIG}{path}"), canonical))
}

/// The store with another document at this key.
fn replaced(mut listing: Listing, (key, canonical): (String, String)) -> Listing {
    let before = listing.entries.iter().position(|entry| entry.key == key);
    let value = Bytes::from(canonical);
    match before.and_then(|at| listing.entries.get_mut(at)) {
        Some(entry) => entry.value = value,
        None => listing.entries.push(KeyValue {
            key,
            value,
            create_revision: listing.revision,
            mod_revision: listing.revision,
            version: 1,
            lease: None,
        }),
    }
    listing
}

/// What routers of `zone` make of the store. A fold without a past holds nothing back: a catalog that takes
/// much away is shown with all that it takes.
fn snapshot(listing: Listing, zone: &Zone) -> Snapshot {
    let mut fold = Fold::default();
    fold.apply(Change::Snapshot(listing));
    let states = fold.table(zone).states(&fold.catalog);
    Snapshot::new(fold.revision, fold.policy, fold.catalog.providers, states)
}

fn planned(side: &Side) -> PlannedCalls {
    PlannedCalls {
        cost_pico_usd: side.cost.0,
        first_token_p50_ms: side.first_token_ms.map(|(p50, _)| p50),
        first_token_p99_ms: side.first_token_ms.map(|(_, p99)| p99),
        unknown_model_calls: side.unknown_model,
        unserved_calls: side.nothing_allowed,
        rule_violations: side.against_rules,
    }
}

/// What another router told, as it was summed up there. Its times to the first token are left out: they follow
/// from what each endpoint gets.
fn impact_of(told: &PlanImpactResponse) -> Impact {
    let side = |planned: Option<PlannedCalls>, share: fn(&EndpointShare) -> Share| {
        let planned = planned.unwrap_or_default();
        let shares = told.endpoints.iter();
        Side {
            endpoints: shares
                .filter_map(|one| Some((EndpointId::parse(&one.endpoint_id)?, share(one))))
                .collect(),
            cost: PicoUsd(planned.cost_pico_usd),
            first_token_ms: None,
            unknown_model: planned.unknown_model_calls,
            nothing_allowed: planned.unserved_calls,
            against_rules: planned.rule_violations,
        }
    };
    Impact {
        calls: told.calls,
        moved: told.moved_calls,
        before: side(told.before, |one| Share {
            calls: one.calls_before,
            cost: PicoUsd(one.cost_pico_usd_before),
            against_rules: one.rule_violations_before,
        }),
        after: side(told.after, |one| Share {
            calls: one.calls_after,
            cost: PicoUsd(one.cost_pico_usd_after),
            against_rules: one.rule_violations_after,
        }),
    }
}

fn shares(sum: &Impact, sides: [&Snapshot; 2]) -> Vec<EndpointShare> {
    let states = sides.iter().flat_map(|side| &side.endpoints);
    let states: BTreeMap<EndpointId, &EndpointState> =
        states.map(|state| (state.endpoint.id, state)).collect();
    let share = |state: &&EndpointState| {
        let endpoint = &state.endpoint;
        let before = sum.before.endpoints.get(&endpoint.id).copied();
        let after = sum.after.endpoints.get(&endpoint.id).copied();
        if before.is_none() && after.is_none() {
            return None;
        }
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        Some(EndpointShare {
            endpoint_id: endpoint.id.to_string(),
            provider: endpoint.provider.to_string(),
            model: endpoint.model.to_string(),
            region: endpoint.region.to_string(),
            calls_before: before.calls,
            calls_after: after.calls,
            cost_pico_usd_before: before.cost.0,
            cost_pico_usd_after: after.cost.0,
            rule_violations_before: before.against_rules,
            rule_violations_after: after.against_rules,
        })
    };
    let mut shares: Vec<EndpointShare> = states.values().filter_map(share).collect();
    let name = |s: &EndpointShare| (s.model.clone(), s.provider.clone(), s.region.clone());
    shares.sort_by_cached_key(name);
    shares
}
