//! Pinned weights: an operator's number in place of the catalog's.

use bytes::Bytes;
use tonic::Status;
use trunkline_core::id::EndpointId;
use trunkline_proto::admin::v1::{
    ResetWeightRequest, ResetWeightResponse, SetWeightRequest, SetWeightResponse,
};
use trunkline_spec::canonical;
use trunkline_spec::overrides::{self, Scope, WeightEntry as Record};
use trunkline_store::keys::CONFIG;

use super::edit::{self, Intent, Write};
use super::state::State;
use super::{Admin, Admitted, refusal, scope};
use crate::fold::WEIGHTS;
use crate::ingress::grpc::signed;
use crate::ledger::unix_ms;

/// Pins a weight.
///
/// # Errors
/// As [`edit::apply`]; a target that is not there, or a weight above 1000.
pub async fn set(
    admin: &Admin,
    by: &Admitted,
    asked: SetWeightRequest,
) -> Result<SetWeightResponse, Status> {
    let intent = Intent::from(("weight set", &asked));
    let at_ms = unix_ms();
    let plan = |state: &State| -> Result<Vec<Write>, Status> {
        let write = |id: EndpointId| {
            let record = Record {
                scope: Scope::Endpoint(id).to_string(),
                weight: asked.weight,
                reason: intent.reason.clone(),
                by: Some(by.name()),
                at_ms: Some(at_ms),
            };
            let text = canonical::json(&record).map_err(|p| refusal::internal(&p.to_string()))?;
            overrides::parse_weight(&text)
                .map_err(|p| refusal::bad_field("weight", &p.to_string()))?;
            Ok((key(id), Some(Bytes::from(text))))
        };
        let scope = scope::existing(&intent.target, state.catalog())?;
        bounded(scope::weighed(&scope, state.catalog())?)?.into_iter().map(write).collect()
    };
    let done = edit::apply(admin, by, &intent, plan).await?;
    Ok(SetWeightResponse { revision: signed(done.revision.0), impact: Some(done.impact) })
}

/// Returns to the catalog's weight.
///
/// # Errors
/// As [`edit::apply`]; a target whose weight is not pinned.
pub async fn reset(
    admin: &Admin,
    by: &Admitted,
    asked: ResetWeightRequest,
) -> Result<ResetWeightResponse, Status> {
    let intent = Intent::from(("weight reset", &asked));
    let plan = |state: &State| -> Result<Vec<Write>, Status> {
        let scope = scope::existing(&intent.target, state.catalog())?;
        let pinned = scope::weighed(&scope, state.catalog())?
            .into_iter()
            .filter(|id| state.entry(&key(*id)).is_some());
        let writes: Vec<Write> =
            bounded(pinned.collect())?.into_iter().map(|id| (key(id), None)).collect();
        if writes.is_empty() {
            return Err(refusal::no_override(&intent.target, "pinned weight"));
        }
        Ok(writes)
    };
    let done = edit::apply(admin, by, &intent, plan).await?;
    Ok(ResetWeightResponse { revision: signed(done.revision.0), impact: Some(done.impact) })
}

fn key(endpoint: EndpointId) -> String {
    format!("{CONFIG}{WEIGHTS}{}", Scope::Endpoint(endpoint))
}

fn bounded(endpoints: Vec<EndpointId>) -> Result<Vec<EndpointId>, Status> {
    if endpoints.len() <= scope::MAX_WRITES {
        return Ok(endpoints);
    }
    Err(scope::too_many(&format!("has {} endpoints", endpoints.len())))
}
