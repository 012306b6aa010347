//! `withdraw` and `unwithdraw`: takes a model out everywhere at once, and lets it in again.

use std::io::Write;

use trunkline_proto::admin::v1::{RestoreModelRequest, WithdrawModelRequest};

use super::edited::Edited;
use crate::Failure;
use crate::cli::{EditArgs, Format};
use crate::connect::Admin;

/// Takes the model out.
///
/// # Errors
/// The router's answer, or an `out` that does not take it.
pub async fn withdraw(
    admin: &mut Admin,
    args: EditArgs,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let asked = WithdrawModelRequest {
        target: args.target.clone(),
        reason: args.how.reason,
        expected_revision: args.how.expect_revision,
        dry_run: args.how.dry_run,
        force: args.how.force,
    };
    let answer = admin.withdraw_model(asked).await?.into_inner();
    let edited = Edited {
        what: format!("withdrawal of {}", args.target),
        dry_run: args.how.dry_run,
        revision: answer.revision,
        impact: answer.impact.as_ref(),
    };
    edited.write(format, out)
}

/// Lets the model in.
///
/// # Errors
/// The router's answer, or an `out` that does not take it.
pub async fn restore(
    admin: &mut Admin,
    args: EditArgs,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let asked = RestoreModelRequest {
        target: args.target.clone(),
        reason: args.how.reason,
        expected_revision: args.how.expect_revision,
        dry_run: args.how.dry_run,
        force: args.how.force,
    };
    let answer = admin.restore_model(asked).await?.into_inner();
    let edited = Edited {
        what: format!("end of the withdrawal of {}", args.target),
        dry_run: args.how.dry_run,
        revision: answer.revision,
        impact: answer.impact.as_ref(),
    };
    edited.write(format, out)
}
