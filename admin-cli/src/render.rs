//! How answers look: tables for people, JSON for programs, both from the same values. Knows no message.

use std::io::{self, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde_json::{Map, Value, json};

use crate::cli::Format;

/// What stands where there is no value.
const NONE: &str = "-";

/// A list and how its table looks.
pub struct List {
    /// Title of each column, and the member of an item that stands in it; `a.b` is the member of a member.
    pub columns: &'static [(&'static str, &'static str)],
    /// The items, each an object with an `id`.
    pub items: Vec<Value>,
}

/// Writes a list: `{"items": […]}` in JSON.
///
/// # Errors
/// When `out` does not take it.
pub fn list(list: &List, format: Format, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Json => value(&json!({ "items": list.items }), out),
        Format::Table => table(list, out),
    }
}

/// Writes one thing: the object itself in JSON, one line for each of its members in a table.
///
/// # Errors
/// When `out` does not take it.
pub fn one(thing: &Value, format: Format, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Json => value(thing, out),
        Format::Table => {
            let mut lines = plain();
            let mut members = Vec::new();
            flatten("", thing, &mut members);
            for (name, text) in members {
                lines.add_row([name, text]);
            }
            print(lines, out)
        }
    }
}

/// Writes JSON for programs that read line by line and people who look.
///
/// # Errors
/// When `out` does not take it.
pub fn value(value: &Value, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{value:#}")
}

/// Writes a list as a table; a line that says so when it is empty.
///
/// # Errors
/// When `out` does not take it.
pub fn table(list: &List, out: &mut dyn Write) -> io::Result<()> {
    if list.items.is_empty() {
        return writeln!(out, "none");
    }
    let mut lines = plain();
    lines.set_header(list.columns.iter().map(|(title, _)| *title));
    for item in &list.items {
        lines.add_row(list.columns.iter().map(|(_, path)| cell(member(item, path))));
    }
    print(lines, out)
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// Spaces to the right of each column.
const GAP: u16 = 2;

fn print(mut table: Table, out: &mut dyn Write) -> io::Result<()> {
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    for line in table.lines() {
        // Nothing is to its right, so trailing spaces would only wrap on narrow terminals.
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn member<'a>(item: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(item, |value, name| value.get(name).unwrap_or(&Value::Null))
}

/// A value in one cell.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => NONE.to_owned(),
        Value::String(text) if text.is_empty() => NONE.to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Array(items) if items.is_empty() => NONE.to_owned(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        Value::Object(_) => value.to_string(),
    }
}

/// The members of an object, those of its objects as `a.b`.
fn flatten(prefix: &str, thing: &Value, into: &mut Vec<(String, String)>) {
    let Value::Object(members) = thing else {
        into.push((prefix.to_owned(), cell(thing)));
        return;
    };
    for (name, value) in members {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Object(inner) if !inner.is_empty() => flatten(&path, value, into),
            _ => into.push((path, cell(value))),
        }
    }
}

/// An object from its members, in their order by name.
pub fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
    Value::Object(members.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(list_: &List, format: Format) -> String {
        let mut out = Vec::new();
        list(list_, format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn two() -> List {
        List {
            columns: &[("NAME", "id"), ("WEIGHT", "state.weight"), ("DRAINED", "drained")],
            items: vec![
                json!({"id": "a", "state": {"weight": 100}, "drained": false}),
                json!({"id": "longer", "state": {}, "drained": true}),
            ],
        }
    }

    #[test]
    fn a_table_has_no_borders_and_no_trailing_spaces() {
        let text = written(&two(), Format::Table);
        let lines: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            lines,
            [["NAME", "WEIGHT", "DRAINED"], ["a", "100", "no"], ["longer", "-", "yes"]]
        );
        assert!(text.lines().all(|line| line == line.trim_end()));
    }

    #[test]
    fn json_lists_are_items_with_ids() {
        let read: Value = serde_json::from_str(&written(&two(), Format::Json)).unwrap();
        assert_eq!(read["items"][1]["id"], "longer");
    }

    #[test]
    fn an_empty_table_says_so() {
        let empty = List { columns: &[("NAME", "id")], items: Vec::new() };
        assert_eq!(written(&empty, Format::Table), "none\n");
        assert_eq!(written(&empty, Format::Json), "{\n  \"items\": []\n}\n");
    }

    #[test]
    fn one_thing_is_shown_member_by_member() {
        let mut out = Vec::new();
        let thing = json!({"id": "a", "price": {"prompt": "2.5"}, "regions": ["eu", "us"]});
        one(&thing, Format::Table, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let words: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(words, ["id", "a", "price.prompt", "2.5", "regions", "eu,us"]);
    }
}
