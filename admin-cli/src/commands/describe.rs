//! `describe`: everything about one thing.

use std::io::Write;

use serde_json::Value;

use super::get;
use crate::Failure;
use crate::cli::{DescribeArgs, Format};
use crate::connect::Admin;
use crate::render;

/// Shows the thing.
///
/// # Errors
/// [`Failure::Absent`] when there is no such thing; else the router's answer, or an `out` that does not
/// take it.
pub async fn run(
    admin: &mut Admin,
    args: DescribeArgs,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let items = get::items(admin, args.kind).await?;
    let found = items.iter().find(|item| is_called(item, &args.name));
    let found = found.ok_or_else(|| Failure::Absent(args.name.clone()))?;
    Ok(render::one(found, format, out)?)
}

/// Whether a thing has this id, name or target.
fn is_called(item: &Value, name: &str) -> bool {
    let names = ["id", "name", "target"].into_iter().filter_map(|member| item.get(member));
    names.filter_map(Value::as_str).any(|known| known == name)
}
