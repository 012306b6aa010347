//! `catalog`: what every document can do, and `confirm`, which says that a catalog is meant although it takes
//! much away.

use std::io::Write;

use trunkline_proto::admin::v1::ConfirmCatalogRequest;
use trunkline_spec::versioned::Versioned;

use super::document::Command;
use super::edited::Edited;
use crate::Failure;
use crate::cli::{CatalogConfirmArgs, CatalogVerb, Connection, Format};
use crate::connect::connect;

/// Does what the verb says.
///
/// # Errors
/// As [`Command::run`].
pub async fn run(
    to: &Connection,
    verb: CatalogVerb,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    match verb {
        CatalogVerb::Confirm(args) => confirm(to, &args, format, out).await,
        CatalogVerb::Document(verb) => {
            let command = Command { kind: Versioned::Catalog, connection: to, format };
            command.run(verb, out).await
        }
    }
}

/// Confirms the stored catalog.
async fn confirm(
    to: &Connection,
    args: &CatalogConfirmArgs,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let asked = ConfirmCatalogRequest {
        endpoints: args.endpoints,
        reason: args.reason.clone(),
        expected_revision: None,
        dry_run: args.dry_run,
    };
    let answer = connect(to).await?.confirm_catalog(asked).await?.into_inner();
    let edited = Edited {
        what: format!("the catalog of {} endpoints", args.endpoints),
        dry_run: args.dry_run,
        revision: answer.revision,
        impact: None,
    };
    edited.write(format, out)
}
