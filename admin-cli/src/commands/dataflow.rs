//! `dataflow`: where prompts can go.

use std::io::Write;

use serde_json::json;
use trunkline_proto::admin::v1::GetDataflowRequest;

use crate::Failure;
use crate::cli::{DataflowArgs, Format};
use crate::connect::Admin;
use crate::render::{self, List};
use crate::rows;

/// How places are listed.
pub const COLUMNS: &[(&str, &str)] = &[
    ("PROVIDER", "provider"),
    ("REGION", "region"),
    ("JURISDICTION", "jurisdiction"),
    ("RETENTION", "retention"),
    ("TRAINING", "training"),
    ("KEYS", "key_count"),
];

/// Lists the closed set.
///
/// # Errors
/// The router's answer, or an `out` that does not take it.
pub async fn run(
    admin: &mut Admin,
    args: DataflowArgs,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let asked = GetDataflowRequest { key_id: args.of.unwrap_or_default() };
    let answer = admin.get_dataflow(asked).await?.into_inner();
    let items: Vec<_> = answer.dataflows.iter().map(rows::dataflow).collect();
    if format.is_data() {
        let value = json!({
            "revision": answer.revision,
            "policy": answer.policy_version,
            "items": items,
        });
        return Ok(render::data(&value, format, out)?);
    }
    Ok(render::table(&List { columns: COLUMNS, items }, out)?)
}
