//! A tree against the JSON Schema of a document type, so that every mistake of shape is found in one
//! reading and said in plain words. It knows the part of JSON Schema that `schemars` writes for our
//! types, and no ranges beyond those of integer types: ranges are the documents' own business.

use serde_json::Value as Schema;
use trunkline_core::snapshot::nearest;

use crate::error::{Problem, Problems};
use crate::tree::{Entry, Node, Value, item_path, key_path};

/// References followed before giving up: our schemas refer at most twice in a row.
const MAX_REFERENCES: usize = 8;
/// Names suggested for a misspelt one.
const MAX_SUGGESTIONS: usize = 1;

/// Every way in which the tree is not what the schema says.
pub(crate) fn check(node: &Node, schema: &Schema) -> Result<(), Problems> {
    let mut shape = Shape { root: schema, problems: Problems::default() };
    shape.node(node, schema, "");
    shape.problems.or(())
}

/// One check in progress.
struct Shape<'a> {
    root: &'a Schema,
    problems: Problems,
}

impl<'a> Shape<'a> {
    fn node(&mut self, node: &Node, schema: &'a Schema, path: &str) {
        let mut choices = Vec::new();
        self.choices(schema, &mut choices, MAX_REFERENCES);
        let fitting: Vec<&Schema> =
            choices.iter().copied().filter(|s| accepts(s, &node.value)).collect();
        match &node.value {
            _ if fitting.is_empty() => self.wrong_kind(node, &choices, path),
            Value::Text(text) => self.text(node, text, &fitting, path),
            Value::List(items) => {
                let Some(schema) = fitting.first().and_then(|s| s.get("items")) else { return };
                for (at, item) in items.iter().enumerate() {
                    self.node(item, schema, &item_path(path, at));
                }
            }
            Value::Map(entries) => self.map(node, entries, &fitting, path),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// The alternatives a schema allows, references followed.
    fn choices(&self, schema: &'a Schema, into: &mut Vec<&'a Schema>, left: usize) {
        let Some(left) = left.checked_sub(1) else { return };
        if let Some(target) = schema.get("$ref").and_then(Schema::as_str) {
            let pointer = target.trim_start_matches('#');
            if let Some(schema) = self.root.pointer(pointer) {
                self.choices(schema, into, left);
            }
            return;
        }
        match ["anyOf", "oneOf"].iter().find_map(|k| schema.get(*k)).and_then(Schema::as_array) {
            Some(several) => several.iter().for_each(|s| self.choices(s, into, left)),
            None => into.push(schema),
        }
    }

    fn text(&mut self, node: &Node, text: &str, fitting: &[&Schema], path: &str) {
        let words: Vec<&str> = fitting.iter().flat_map(|s| words(s)).collect();
        let free = fitting.iter().any(|s| words_of(s).is_none());
        if !free && !words.contains(&text) {
            let message = format!("`{text}` is not known here; use {}", one_of(&words));
            self.add(path, node, message + &suggestion(text, &words));
        }
    }

    fn map(&mut self, node: &Node, entries: &[Entry], fitting: &[&'a Schema], path: &str) {
        let schema = match fitting {
            [only] => *only,
            several => {
                let Some(chosen) = several.iter().find(|s| names_one_of(s, entries)) else {
                    let keys: Vec<&str> = several.iter().flat_map(|s| required(s)).collect();
                    return self.no_choice(node, entries, &keys, path);
                };
                *chosen
            }
        };
        for missing in required(schema).filter(|k| !entries.iter().any(|e| e.key == **k)) {
            let hint = property(schema, missing).and_then(|p| p.get("description"));
            let hint = hint.and_then(Schema::as_str).map(first_line).unwrap_or_default();
            let message = format!("`{missing}` is missing; add `{missing}: …` ({hint})");
            self.add(path, node, message.replace(" ()", ""));
        }
        for entry in entries {
            self.entry(entry, schema, path);
        }
    }

    fn entry(&mut self, entry: &Entry, schema: &'a Schema, path: &str) {
        let path = key_path(path, &entry.key);
        let rest = schema.get("additionalProperties");
        match (property(schema, &entry.key), rest) {
            (Some(schema), _) => self.node(&entry.node, schema, &path),
            (None, Some(Schema::Bool(false))) => {
                let known: Vec<&str> = properties(schema).collect();
                let message = format!("unknown key `{}`", entry.key);
                let hint = match suggestion(&entry.key, &known) {
                    none if none.is_empty() => format!("; known here: {}", known.join(", ")),
                    found => found,
                };
                self.add_at(&path, entry, message + &hint);
            }
            (None, Some(schema)) => self.node(&entry.node, schema, &path),
            (None, None) => {}
        }
    }

    fn no_choice(&mut self, node: &Node, entries: &[Entry], keys: &[&str], path: &str) {
        let wrong = entries.first().map(|e| e.key.as_str()).unwrap_or_default();
        let message = format!("expected one of the keys {}", one_of(keys));
        self.add(path, node, message + &suggestion(wrong, keys));
    }

    fn wrong_kind(&mut self, node: &Node, choices: &[&Schema], path: &str) {
        let mut wanted: Vec<String> = Vec::new();
        for choice in choices {
            let words = kind_in_words(choice);
            if !words.is_empty() && !wanted.contains(&words) {
                wanted.push(words);
            }
        }
        let found = found_in_words(&node.value);
        let hint = remedy(&node.value, choices);
        self.add(path, node, format!("expected {}, found {found}{hint}", wanted.join(" or ")));
    }

    fn add(&mut self, path: &str, node: &Node, message: String) {
        let place = node.place;
        let problem = Problem::new(path, message);
        self.problems.0.push(Problem { line: place.line, column: place.column, ..problem });
    }

    fn add_at(&mut self, path: &str, entry: &Entry, message: String) {
        let place = entry.key_place;
        let problem = Problem::new(path, message);
        self.problems.0.push(Problem { line: place.line, column: place.column, ..problem });
    }
}

/// The type names of a schema; none for one that takes anything.
fn kinds(schema: &Schema) -> Vec<&str> {
    match schema.get("type") {
        Some(Schema::String(kind)) => vec![kind],
        Some(Schema::Array(kinds)) => kinds.iter().filter_map(Schema::as_str).collect(),
        _ => Vec::new(),
    }
}

fn accepts(schema: &Schema, value: &Value) -> bool {
    let kinds = kinds(schema);
    let has = |kind: &str| kinds.contains(&kind);
    if kinds.is_empty() {
        return true;
    }
    match value {
        Value::Null => has("null"),
        Value::Bool(_) => has("boolean"),
        Value::Text(_) => has("string"),
        Value::List(_) => has("array"),
        Value::Map(_) => has("object"),
        Value::Number(n) => has("number") || (has("integer") && fits(schema, n)),
    }
}

/// Whether an integer has room in the schema's integer type.
fn fits(schema: &Schema, number: &serde_json::Number) -> bool {
    let format = schema.get("format").and_then(Schema::as_str).unwrap_or("int64");
    let most = match format {
        "uint8" => u64::from(u8::MAX),
        "uint16" => u64::from(u16::MAX),
        "uint32" => u64::from(u32::MAX),
        "uint" | "uint64" => u64::MAX,
        _ => return number.is_i64(),
    };
    number.as_u64().is_some_and(|n| n <= most)
}

/// The words an enumeration allows; `None` for free text.
fn words_of(schema: &Schema) -> Option<Vec<&str>> {
    if let Some(word) = schema.get("const") {
        return Some(word.as_str().into_iter().collect());
    }
    let several = schema.get("enum")?.as_array()?;
    Some(several.iter().filter_map(Schema::as_str).collect())
}

fn words(schema: &Schema) -> Vec<&str> {
    words_of(schema).unwrap_or_default()
}

/// Whether any text will do.
fn free_text(schema: &Schema) -> bool {
    kinds(schema).contains(&"string") && words_of(schema).is_none()
}

fn required(schema: &Schema) -> impl Iterator<Item = &str> {
    let keys = schema.get("required").and_then(Schema::as_array);
    keys.into_iter().flatten().filter_map(Schema::as_str)
}

fn properties(schema: &Schema) -> impl Iterator<Item = &str> {
    let map = schema.get("properties").and_then(Schema::as_object);
    map.into_iter().flatten().map(|(key, _)| key.as_str())
}

fn property<'a>(schema: &'a Schema, key: &str) -> Option<&'a Schema> {
    schema.get("properties").and_then(|p| p.get(key))
}

fn names_one_of(schema: &Schema, entries: &[Entry]) -> bool {
    required(schema).any(|key| entries.iter().any(|e| e.key == key))
}

fn first_line(text: &str) -> String {
    let line = text.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    line.trim_end_matches('.').to_owned()
}

fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
    quoted.join(", ")
}

fn suggestion(name: &str, known: &[&str]) -> String {
    let near = nearest(name, known.iter().copied(), MAX_SUGGESTIONS);
    near.first().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default()
}

fn kind_in_words(schema: &Schema) -> String {
    if let Some(words) = words_of(schema) {
        return one_of(&words);
    }
    let words: Vec<&str> = kinds(schema)
        .into_iter()
        .filter_map(|kind| match kind {
            "boolean" => Some("true or false"),
            "string" => Some("text"),
            "array" => Some("a list"),
            "object" => Some("a mapping (`key: value`)"),
            "integer" => Some("a whole number, zero or more"),
            "number" => Some("a number"),
            _ => None,
        })
        .collect();
    words.join(" or ")
}

fn found_in_words(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(b) => format!("`{b}`"),
        Value::Number(n) => format!("the number {n}"),
        Value::Text(t) => format!("the text `{}`", t.chars().take(40).collect::<String>()),
        Value::List(_) => "a list".into(),
        Value::Map(_) => "a mapping".into(),
    }
}

/// What would most likely put it right.
fn remedy(value: &Value, choices: &[&Schema]) -> &'static str {
    let wants = |kind: &str| choices.iter().any(|s| kinds(s).contains(&kind));
    match value {
        Value::Number(_) | Value::Bool(_) if choices.iter().any(|s| free_text(s)) => {
            "; put it in quotes"
        }
        Value::Text(t) if wants("boolean") && matches!(t.as_str(), "yes" | "on") => {
            "; write true without quotes"
        }
        Value::Text(t) if wants("boolean") && matches!(t.as_str(), "no" | "off") => {
            "; write false without quotes"
        }
        Value::Text(t) if (wants("number") || wants("integer")) && t.parse::<f64>().is_ok() => {
            "; remove the quotes"
        }
        Value::Text(_) | Value::Map(_) if wants("array") => "; begin each item with `- `",
        _ => "",
    }
}
