//! Saying that a catalog is meant although it takes much away, so that routers stop holding it back.

use bytes::Bytes;
use tonic::Status;
use trunkline_proto::admin::v1::{ConfirmCatalogRequest, ConfirmCatalogResponse};
use trunkline_spec::canonical;
use trunkline_spec::manifest::{self, Manifest};
use trunkline_store::keys::CONFIG;

use super::edit::{self, Intent, Mode, Rules, Write};
use super::state::State;
use super::{Admin, Admitted, refusal};
use crate::fold::MANIFEST;
use crate::ingress::grpc::signed;
use crate::ledger::unix_ms;

/// Writes the manifest of the catalog that the store holds.
///
/// # Errors
/// As [`edit::apply`]; a number of endpoints that is not the stored catalog's.
pub async fn catalog(
    admin: &Admin,
    by: &Admitted,
    asked: ConfirmCatalogRequest,
) -> Result<ConfirmCatalogResponse, Status> {
    let intent = Intent {
        verb: "confirm",
        target: "catalog".to_owned(),
        reason: asked.reason,
        expected: asked.expected_revision,
        mode: Mode::of(asked.dry_run),
        // The stored catalog is in force already for whoever reads the store anew: no weight moves by this.
        rules: Rules::Overruled,
    };
    let plan = |state: &State| -> Result<Vec<Write>, Status> {
        let endpoints = state.catalog().endpoints.len() as u64;
        if endpoints != asked.endpoints {
            let message = format!("the stored catalog has {endpoints} endpoints; look at it again");
            return Err(refusal::bad_field("endpoints", &message));
        }
        let (reason, at_ms) = (intent.reason.clone(), Some(unix_ms()));
        let manifest = Manifest { endpoints, reason, by: Some(by.name()), at_ms };
        let text = canonical::json(&manifest).map_err(|p| refusal::internal(&p.to_string()))?;
        manifest::parse(&text).map_err(|p| refusal::bad_field("reason", &p.to_string()))?;
        Ok(vec![(format!("{CONFIG}{MANIFEST}"), Some(Bytes::from(text)))])
    };
    let done = edit::apply(admin, by, &intent, plan).await?;
    Ok(ConfirmCatalogResponse { revision: signed(done.revision.0) })
}
