//! How answers look: tables for people, JSON and YAML for programs, all from the same values. Knows no message.

pub mod colour;
pub mod watch;

use std::io::{self, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};
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
        Format::Json | Format::Yaml => data(&json!({ "items": list.items }), format, out),
        Format::Table => table(list, out),
        Format::Wide => wide(list, out),
    }
}

/// Writes one thing: the object itself in JSON, one line for each of its members in a table.
///
/// # Errors
/// When `out` does not take it.
pub fn one(thing: &Value, format: Format, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Json | Format::Yaml => data(thing, format, out),
        Format::Table | Format::Wide => {
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

/// Writes a value for programs: YAML when that is asked for, else JSON.
///
/// # Errors
/// When `out` does not take it.
pub fn data(value: &Value, format: Format, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Yaml => {
            let text = serde_saphyr::to_string(value).map_err(io::Error::other)?;
            writeln!(out, "---\n{}", text.trim_end())
        }
        Format::Json | Format::Table | Format::Wide => writeln!(out, "{value:#}"),
    }
}

/// Writes a list as a table; a line that says so when it is empty.
///
/// # Errors
/// When `out` does not take it.
pub fn table(list: &List, out: &mut dyn Write) -> io::Result<()> {
    let columns =
        list.columns.iter().map(|(title, path)| ((*title).to_owned(), (*path).to_owned()));
    columned(&columns.collect::<Vec<_>>(), &list.items, out)
}

/// Writes a list as a table with its usual columns and then one for everything else that its items have.
fn wide(list: &List, out: &mut dyn Write) -> io::Result<()> {
    let usual = list.columns.iter().map(|(title, path)| ((*title).to_owned(), (*path).to_owned()));
    let mut columns: Vec<(String, String)> = usual.collect();
    for item in &list.items {
        let mut members = Vec::new();
        flatten("", item, &mut members);
        for (path, _) in members {
            if columns.iter().all(|(_, known)| *known != path) {
                columns.push((path.to_uppercase().replace('.', "_"), path));
            }
        }
    }
    columned(&columns, &list.items, out)
}

fn columned(columns: &[(String, String)], items: &[Value], out: &mut dyn Write) -> io::Result<()> {
    if items.is_empty() {
        return writeln!(out, "none");
    }
    let mut lines = plain();
    lines.set_header(columns.iter().map(|(title, _)| title));
    for item in items {
        lines.add_row(columns.iter().map(|(_, path)| cell(member(item, path))));
    }
    for (column, (_, path)) in lines.column_iter_mut().zip(columns) {
        let cells = || items.iter().map(|item| member(item, path));
        if cells().any(Value::is_number) && cells().all(|cell| cell.is_number() || cell.is_null()) {
            column.set_cell_alignment(CellAlignment::Right);
        }
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
        writeln!(out, "{}", colour::of_states(line.trim_end()))?;
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
    fn a_wide_table_has_a_column_for_everything() {
        let text = written(&two(), Format::Wide);
        assert!(text.starts_with("NAME"), "{text}");
        let mut list = two();
        list.items.push(json!({"id": "third", "more": {"deep": 7}}));
        let text = written(&list, Format::Wide);
        assert!(text.lines().next().unwrap().ends_with("MORE_DEEP"), "{text}");
        assert!(text.lines().last().unwrap().ends_with('7'), "{text}");
    }

    #[test]
    fn yaml_says_the_same_as_json() {
        let text = written(&two(), Format::Yaml);
        let read: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read, json!({ "items": two().items }), "{text}");
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
