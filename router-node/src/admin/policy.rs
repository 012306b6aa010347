//! The policy in force, as it was written.

use tonic::Status;
use trunkline_proto::admin::v1::GetPolicyResponse;
use trunkline_spec::policy;
use trunkline_store::keys::CONFIG;

use super::state::State;
use super::{Admin, refusal};
use crate::fold::POLICY;
use crate::ingress::grpc::signed;

/// The policy with that version; the one in force when it is empty.
///
/// # Errors
/// Another version than the one in force, or a store that does not answer.
pub async fn current(admin: &Admin, version: &str) -> Result<GetPolicyResponse, Status> {
    let state = State::read(admin.store.as_ref()).await?;
    let entry = state.entry(&format!("{CONFIG}{POLICY}"));
    let document = entry.map(|e| String::from_utf8_lossy(&e.value).into_owned());
    let document = document.unwrap_or_default();
    let in_force = policy::parse(&document).map(|policy| policy.version).unwrap_or_default();
    if !version.is_empty() && version != in_force {
        return Err(refusal::unknown_version(version));
    }
    Ok(GetPolicyResponse {
        revision: signed(state.revision.0),
        version: in_force,
        document_json: document,
        written_revision: entry.map_or(0, |e| signed(e.mod_revision.0)),
        ..GetPolicyResponse::default()
    })
}
