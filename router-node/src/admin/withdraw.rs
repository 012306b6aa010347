//! Withdrawing a model: a drain of all its endpoints at once, held to another rule. An ordinary drain must leave
//! the model something; this one must leave those who ask for it somewhere to go.

use std::collections::BTreeSet;

use tonic::Status;
use trunkline_core::id::ModelId;
use trunkline_core::snapshot::{EndpointState, Resolved, Snapshot};
use trunkline_proto::admin::v1::{
    RestoreModelRequest, RestoreModelResponse, WithdrawModelRequest, WithdrawModelResponse,
};
use trunkline_spec::overrides::{DrainEntry as Record, Scope};

use super::edit::{self, Intent, Rules, Write};
use super::state::State;
use super::{Admin, Admitted, drains, refusal, scope};
use crate::ingress::grpc::signed;
use crate::ledger::unix_ms;

/// Withdraws a model.
///
/// # Errors
/// As [`edit::apply`]; a target that is no model; names whose callers would be left without an answer.
pub async fn withdraw(
    admin: &Admin,
    by: &Admitted,
    asked: WithdrawModelRequest,
) -> Result<WithdrawModelResponse, Status> {
    // That a model has nothing left is what is wanted; the rule for that is here.
    let intent = Intent { rules: Rules::Overruled, ..Intent::from(("withdraw", &asked)) };
    let at_ms = unix_ms();
    let plan = |state: &State| -> Result<Vec<Write>, Status> {
        let scope = scope::resolved(&intent.target, state)?;
        let Scope::Model(model) = &scope else {
            return Err(refusal::bad_field("target", "only a model is withdrawn; write model/ID"));
        };
        let stranded = stranded(&state.snapshot(), model);
        if !asked.force && !stranded.is_empty() {
            return Err(refusal::unsafe_edit(&stranded));
        }
        let record = Record {
            scope: scope.to_string(),
            reason: intent.reason.clone(),
            by: Some(by.name()),
            at_ms: Some(at_ms),
            expires_at_ms: None,
            deadline_at_ms: None,
            rate_permille: None,
            taken_permille: None,
            withdrawn: true,
        };
        Ok(vec![(drains::key(&scope), Some(drains::written(&record)?))])
    };
    let done = edit::apply(admin, by, &intent, plan).await?;
    Ok(WithdrawModelResponse { revision: signed(done.revision.0), impact: Some(done.impact) })
}

/// Lets a withdrawn model in again.
///
/// # Errors
/// As [`edit::apply`]; a target that is not withdrawn.
pub async fn restore(
    admin: &Admin,
    by: &Admitted,
    asked: RestoreModelRequest,
) -> Result<RestoreModelResponse, Status> {
    let intent = Intent::from(("unwithdraw", &asked));
    let plan = |state: &State| -> Result<Vec<Write>, Status> {
        let (key, drain) = drains::in_force(&intent.target, state)?;
        if !drain.is_some_and(|drain| drain.withdrawn) {
            return Err(refusal::bad_field("target", "is drained, not withdrawn; undrain it"));
        }
        Ok(vec![(key, None)])
    };
    let done = edit::apply(admin, by, &intent, plan).await?;
    Ok(RestoreModelResponse { revision: signed(done.revision.0), impact: Some(done.impact) })
}

/// The names that lead to the model and to no other model that could answer, each as a broken rule.
fn stranded(snapshot: &Snapshot, model: &ModelId) -> Vec<String> {
    let usable = |model: &ModelId| {
        let states = snapshot.endpoints.get(snapshot.endpoints_of(model)).unwrap_or_default();
        let usable = |s: &EndpointState| !s.drained && s.operator_weight > 0 && s.verdict.usable();
        states.iter().any(usable)
    };
    if !usable(model) {
        return Vec::new();
    }
    let routes = snapshot.policy.routes.keys().map(String::as_str);
    let names: BTreeSet<&str> = routes.chain([model.as_str()]).collect();
    let left_alone = |name: &&str| match snapshot.resolve(name) {
        Some(Resolved::Model(direct)) => direct == model,
        Some(Resolved::Route(route)) => {
            route.models.contains(model) && !route.models.iter().any(|m| m != model && usable(m))
        }
        None => false,
    };
    let names = names.into_iter().filter(left_alone);
    let told = |name| format!("{model} is all that {name} leads to: its callers would get errors");
    names.map(told).collect()
}
