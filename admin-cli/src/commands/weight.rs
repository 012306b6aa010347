//! `weight`: pins a target's weight, or returns it to the catalog's.

use std::io::Write;

use trunkline_proto::admin::v1::{ResetWeightRequest, SetWeightRequest};

use super::edited::Edited;
use crate::Failure;
use crate::cli::{EditArgs, Format, WeightSetArgs, WeightVerb};
use crate::connect::Admin;

/// Sets or resets.
///
/// # Errors
/// The router's answer, or an `out` that does not take it.
pub async fn run(
    admin: &mut Admin,
    verb: WeightVerb,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    match verb {
        WeightVerb::Set(args) => set(admin, args, format, out).await,
        WeightVerb::Reset(args) => reset(admin, args, format, out).await,
    }
}

async fn set(
    admin: &mut Admin,
    args: WeightSetArgs,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let asked = SetWeightRequest {
        target: args.target.clone(),
        weight: args.weight,
        reason: args.how.reason,
        expected_revision: args.how.expect_revision,
        dry_run: args.how.dry_run,
        force: args.how.force,
    };
    let answer = admin.set_weight(asked).await?.into_inner();
    let edited = Edited {
        what: format!("weight {} of {}", args.weight, args.target),
        dry_run: args.how.dry_run,
        revision: answer.revision,
        impact: answer.impact.as_ref(),
    };
    edited.write(format, out)
}

async fn reset(
    admin: &mut Admin,
    args: EditArgs,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let asked = ResetWeightRequest {
        target: args.target.clone(),
        reason: args.how.reason,
        expected_revision: args.how.expect_revision,
        dry_run: args.how.dry_run,
        force: args.how.force,
    };
    let answer = admin.reset_weight(asked).await?.into_inner();
    let edited = Edited {
        what: format!("the catalog's weight of {}", args.target),
        dry_run: args.how.dry_run,
        revision: answer.revision,
        impact: answer.impact.as_ref(),
    };
    edited.write(format, out)
}
