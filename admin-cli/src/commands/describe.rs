//! `describe`: everything about one thing.

use std::io::Write;

use serde_json::Value;
use trunkline_core::snapshot::nearest;

use super::get;
use crate::Failure;
use crate::cli::{DescribeArgs, Format};
use crate::connect::Admin;
use crate::render;

/// Names that are offered for one that is not there.
const MAX_NEAREST: usize = 3;

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
    let found = found.ok_or_else(|| absent(&items, &args.name))?;
    Ok(render::one(found, format, out)?)
}

/// Whether a thing has this id, name or target.
fn is_called(item: &Value, name: &str) -> bool {
    let names = ["id", "name", "target"].into_iter().filter_map(|member| item.get(member));
    names.filter_map(Value::as_str).any(|known| known == name)
}

/// There is no such thing; those that may have been meant.
fn absent(items: &[Value], name: &str) -> Failure {
    // Where things have a name beside their id, that is what people write.
    let named = |item| Value::as_str(Value::get(item, "name").or_else(|| Value::get(item, "id"))?);
    let near = nearest(name, items.iter().filter_map(named), MAX_NEAREST);
    Failure::Absent(match near.is_empty() {
        true => format!("{name}; `get` lists what there is"),
        false => format!("{name}; did you mean {}?", near.join(" or ")),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_typo_is_answered_with_what_was_meant() {
        let items = [json!({"id": "j7glpzw2me", "name": "a/m@eu"}), json!({"id": "router-1"})];
        let told = |name: &str| absent(&items, name).to_string();
        assert_eq!(told("a/m"), "there is no a/m; did you mean a/m@eu?");
        assert_eq!(told("ruoter-1"), "there is no ruoter-1; did you mean router-1?");
        assert_eq!(told("zzzzzzzz"), "there is no zzzzzzzz; `get` lists what there is");
    }
}
