//! `policy`: what every document can do, and `test`.

use std::io::Write;

use trunkline_spec::versioned::Versioned;

use super::document::Command;
use super::policy_test;
use crate::Failure;
use crate::cli::{Connection, Format, PolicyVerb};

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
        PolicyVerb::Test(args) => policy_test::run(&args, format, out),
    }
}
