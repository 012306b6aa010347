//! Where prompts can go, for operators: by key, and what a document would add.

use std::collections::{BTreeMap, BTreeSet};

use tonic::Status;
use trunkline_core::catalog::{Retention, Training};
use trunkline_core::dataflow::{Dataflow as Reach, Flow};
use trunkline_core::id::KeyId;
use trunkline_core::policy::{ApiKey, Tenant};
use trunkline_proto::admin::v1::{Dataflow, GetDataflowRequest, GetDataflowResponse};

use super::state::Outlook;
use super::{Admitted, refusal};

/// Keys that are named for one place.
const MAX_NAMED_KEYS: usize = 5;

/// Where prompts can go under the view that calls are served from; while a canary runs, under either policy.
///
/// # Errors
/// A key that does not exist.
pub fn current(by: &Admitted, asked: &GetDataflowRequest) -> Result<GetDataflowResponse, Status> {
    let wanted = |tenant: &&Tenant| asked.key_id.is_empty() || tenant.key.as_str() == asked.key_id;
    let tenants: Vec<&Tenant> = by.view.keyring.tenants().filter(wanted).collect();
    if tenants.is_empty() && !asked.key_id.is_empty() {
        return Err(refusal::unknown_key(&asked.key_id));
    }
    let snapshot = &by.view.snapshot;
    let candidate = by.view.canary.as_ref().map(|running| &*running.canary.policy);
    let endpoints = || snapshot.endpoints.iter().map(|s| &s.endpoint);
    let policies = std::iter::once(&*snapshot.policy).chain(candidate);
    let reach: Vec<Reach<'_>> = policies.map(|policy| Reach::new(endpoints(), policy)).collect();
    Ok(GetDataflowResponse {
        revision: by.revision(),
        policy_version: snapshot.policy.version.clone(),
        dataflows: added(&[], &reach, tenants.into_iter()),
    })
}

/// Where prompts of these keys could go after, and cannot before.
pub fn widenings(before: &Outlook, after: &Outlook, keys: &[ApiKey]) -> Vec<Dataflow> {
    let [before, after] = [before, after].map(|outlook| {
        let reach = |policy| Reach::new(&outlook.catalog.endpoints, policy);
        outlook.policies().map(reach).collect::<Vec<_>>()
    });
    added(&before, &after, keys.iter().map(|key| &key.tenant))
}

/// Where calls can go after and not before, each call under one of the policies.
fn added<'a>(
    before: &[Reach<'_>],
    after: &[Reach<'_>],
    tenants: impl Iterator<Item = &'a Tenant>,
) -> Vec<Dataflow> {
    let mut added: BTreeMap<Flow, BTreeSet<&KeyId>> = BTreeMap::new();
    for (tenant, keys) in by_rules(tenants) {
        let of = |side: &[Reach<'_>]| -> BTreeSet<Flow> {
            side.iter().flat_map(|reach| reach.of(tenant)).collect()
        };
        let had = of(before);
        for flow in of(after).into_iter().filter(|flow| !had.contains(flow)) {
            added.entry(flow).or_default().extend(&keys);
        }
    }
    added.iter().map(|(flow, keys)| message(flow, keys)).collect()
}

/// Keys that may do the same, together: there are thousands of keys and few sets of rules.
fn by_rules<'a>(tenants: impl Iterator<Item = &'a Tenant>) -> Vec<(&'a Tenant, Vec<&'a KeyId>)> {
    let mut groups: BTreeMap<_, (&Tenant, Vec<&KeyId>)> = BTreeMap::new();
    for tenant in tenants {
        let rules = (&tenant.models, &tenant.providers, &tenant.data);
        groups.entry(rules).or_insert((tenant, Vec::new())).1.push(&tenant.key);
    }
    groups.into_values().collect()
}

fn message(flow: &Flow, keys: &BTreeSet<&KeyId>) -> Dataflow {
    Dataflow {
        provider: flow.provider.to_string(),
        region: flow.region.to_string(),
        jurisdiction: flow.jurisdiction.clone().unwrap_or_default(),
        retention_days: match flow.retention {
            Retention::Zero => Some(0),
            Retention::Days(days) => Some(days),
            Retention::Unknown => None,
        },
        trains_on_prompts: match flow.training {
            Training::No => Some(false),
            Training::Yes => Some(true),
            Training::Unknown => None,
        },
        key_ids: keys.iter().take(MAX_NAMED_KEYS).map(|key| key.to_string()).collect(),
        key_count: keys.len() as u64,
    }
}

/// One place in a line.
pub fn in_words(flow: &Dataflow) -> String {
    let law = match flow.jurisdiction.as_str() {
        "" => "no stated jurisdiction",
        law => law,
    };
    let kept = match flow.retention_days {
        Some(0) => "kept not at all".to_owned(),
        Some(days) => format!("kept {days} days"),
        None => "kept for an unknown time".to_owned(),
    };
    let training = match flow.trains_on_prompts {
        Some(false) => "not trained on",
        Some(true) => "trained on",
        None => "perhaps trained on",
    };
    format!("{}@{} ({law}, {kept}, {training})", flow.provider, flow.region)
}
