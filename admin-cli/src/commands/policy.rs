//! `policy`: what every document can do, `canary` and `test`.

use std::io::Write;

use trunkline_spec::versioned::Versioned;

use super::document::Command;
use super::{canary, policy_test};
use crate::Failure;
use crate::cli::{Connection, Format, PolicyVerb};
use crate::connect;

/// Does what the verb says.
///
/// # Errors
/// As [`Command::run`].
pub async fn run(
    to: &Connection,
    verb: PolicyVerb,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    match verb {
        PolicyVerb::Document(verb) => {
            let command = Command { kind: Versioned::Policy, connection: to, format };
            command.run(verb, out).await
        }
        PolicyVerb::Canary(args) => {
            canary::run(&mut connect::connect(to).await?, args, format, out).await
        }
        PolicyVerb::Test(args) => policy_test::run(&args, format, out),
    }
}
