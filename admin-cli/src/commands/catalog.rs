//! `catalog confirm`: says that a catalog is meant although it takes much away.

use std::io::Write;

use trunkline_proto::admin::v1::ConfirmCatalogRequest;

use super::edited::Edited;
use crate::Failure;
use crate::cli::{CatalogVerb, Format};
use crate::connect::Admin;

/// Confirms the stored catalog.
///
/// # Errors
/// The router's answer, or an `out` that does not take it.
pub async fn run(
    admin: &mut Admin,
    verb: CatalogVerb,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let CatalogVerb::Confirm(args) = verb;
    let asked = ConfirmCatalogRequest {
        endpoints: args.endpoints,
        reason: args.reason,
        expected_revision: None,
        dry_run: args.dry_run,
    };
    let answer = admin.confirm_catalog(asked).await?.into_inner();
    let edited = Edited {
        what: format!("the catalog of {} endpoints", args.endpoints),
        dry_run: args.dry_run,
        revision: answer.revision,
        impact: None,
    };
    edited.write(format, out)
}
