//! `undrain`: lets a drained target in again.

use std::io::Write;

use trunkline_proto::admin::v1::UndrainRequest;

use super::edited::Edited;
use crate::Failure;
use crate::cli::{EditArgs, Format};
use crate::connect::Admin;

/// Lets the target in.
///
/// # Errors
/// The router's answer, or an `out` that does not take it.
pub async fn run(
    admin: &mut Admin,
    args: EditArgs,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let asked = UndrainRequest {
        target: args.target.clone(),
        reason: args.how.reason,
        expected_revision: args.how.expect_revision,
        dry_run: args.how.dry_run,
        force: args.how.force,
    };
    let answer = admin.undrain(asked).await?.into_inner();
    let edited = Edited {
        what: format!("end of the drain of {}", args.target),
        dry_run: args.how.dry_run,
        revision: answer.revision,
        impact: answer.impact.as_ref(),
    };
    edited.write(format, out)
}
