//! What there is to know about the documents, from their types: JSON Schemas for editors, and the tables
//! of the written reference. It explains shapes; the rules between values are in the documents' modules.

use std::collections::BTreeSet;
use std::fmt::Write;

use schemars::JsonSchema;
use serde_json::Value;

use crate::cases::CasesDocument;
use crate::catalog::CatalogDocument;
use crate::keys::KeysDocument;
use crate::overrides::OverridesDocument;
use crate::policy::PolicyDocument;

/// A kind of document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Providers and endpoints.
    Catalog,
    /// Routes, deadlines, retries and rules.
    Policy,
    /// API keys.
    Keys,
    /// Drains and pinned weights.
    Overrides,
    /// Cases that a policy must pass.
    Cases,
}

impl Kind {
    /// All kinds, in the order of the reference.
    pub const ALL: [Self; 5] =
        [Self::Catalog, Self::Policy, Self::Keys, Self::Overrides, Self::Cases];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Catalog => "catalog",
            Self::Policy => "policy",
            Self::Keys => "keys",
            Self::Overrides => "overrides",
            Self::Cases => "cases",
        }
    }
}

/// The JSON Schema (2020-12) of a kind of document.
pub fn schema(kind: Kind) -> Value {
    match kind {
        Kind::Catalog => schema_of::<CatalogDocument>(),
        Kind::Policy => schema_of::<PolicyDocument>(),
        Kind::Keys => schema_of::<KeysDocument>(),
        Kind::Overrides => schema_of::<OverridesDocument>(),
        Kind::Cases => schema_of::<CasesDocument>(),
    }
}

fn schema_of<T: JsonSchema>() -> Value {
    schemars::schema_for!(T).to_value()
}

/// What stands above the tables of `docs/documents.md`.
const INTRODUCTION: &str = "\
# Documents

Written in YAML or JSON, at most 4 MiB. Unknown and repeated keys are mistakes; every mistake is reported
with its line. `yes`, `no`, `on` and `off` are text: switches are `true` and `false`. The store keeps
them as canonical JSON (sorted keys, no spaces, defaults left out), whose BLAKE3 hash is a version.

Names are 1 to 128 of the letters `A-Z a-z`, digits and `. _ : / @ -`. Complete examples are in
`deploy/examples/`.

This page is made from the types; `UPDATE_DOCS=1 cargo test -p trunkline-spec --test reference` writes it
again.
";

/// How documents are put in force, between the introduction and the tables.
const OPERATION: &str = include_str!("reference/operation.md");

/// The text of `docs/documents.md`.
pub fn documents_page() -> String {
    let mut page = [INTRODUCTION, OPERATION].concat();
    let mut seen = BTreeSet::new();
    for kind in Kind::ALL {
        page.push_str(&format!("\n## {}\n", capitalized(kind.as_str())));
        page.push_str(&tables_beyond(&mut seen, &schema(kind)));
    }
    page
}

/// A table for each mapping in a schema, the outermost first, and a list for each set of words.
pub fn tables(schema: &Value) -> String {
    tables_beyond(&mut BTreeSet::new(), schema)
}

/// [`tables`], less the parts in `seen`, to which it adds its own.
fn tables_beyond(seen: &mut BTreeSet<String>, schema: &Value) -> String {
    let mut out = String::new();
    let mut waiting = vec![(String::new(), schema)];
    while let Some((name, part)) = waiting.pop() {
        if !name.is_empty() {
            out.push_str(&format!("\n### {}\n", title(&name)));
        }
        describe(part, &mut out);
        let mut referred = Vec::new();
        references(part, &mut referred);
        for target in referred.into_iter().rev() {
            let name = target.trim_start_matches("#/$defs/");
            if let Some(part) = schema.pointer(target.trim_start_matches('#'))
                && seen.insert(name.to_owned())
            {
                waiting.push((name.to_owned(), part));
            }
        }
    }
    out
}

fn describe(part: &Value, out: &mut String) {
    if let Some(text) = part.get("description").and_then(Value::as_str) {
        out.push_str(&format!("\n{}\n", one_line(text)));
    }
    let choices = ["oneOf", "anyOf"].iter().find_map(|k| part.get(*k)).and_then(Value::as_array);
    for (at, choice) in choices.into_iter().flatten().enumerate() {
        out.push_str(if at == 0 { "\n" } else { "" });
        describe_choice(choice, out);
    }
    if let Some(words) = part.get("enum").and_then(Value::as_array) {
        let words: Vec<String> = words.iter().map(|w| format!("`{}`", plain(w))).collect();
        out.push_str(&format!("\nOne of {}.\n", words.join(", ")));
    }
    property_table(part, out);
}

fn describe_choice(choice: &Value, out: &mut String) {
    let about = choice.get("description").and_then(Value::as_str).map(one_line).unwrap_or_default();
    let head = match (choice.get("const"), choice.get("enum").and_then(Value::as_array)) {
        (Some(word), _) => format!("`{}`", plain(word)),
        (None, Some(words)) => {
            words.iter().map(|w| format!("`{}`", plain(w))).collect::<Vec<_>>().join(", ")
        }
        (None, None) => {
            let keys = choice.get("properties").and_then(Value::as_object);
            let keys = keys.into_iter().flatten();
            let keys: Vec<String> = keys.map(|(k, v)| format!("`{k}:` {}", kind_of(v))).collect();
            if keys.is_empty() { kind_of(choice) } else { keys.join(", ") }
        }
    };
    out.push_str(&if about.is_empty() {
        format!("- {head}\n")
    } else {
        format!("- {head}: {about}\n")
    });
    for (_, inner) in choice.get("properties").and_then(Value::as_object).into_iter().flatten() {
        property_table(inner, out);
    }
}

fn property_table(part: &Value, out: &mut String) {
    let Some(properties) = part.get("properties").and_then(Value::as_object) else { return };
    let required: BTreeSet<&str> = part
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    out.push_str("\n| key | what | when left out | meaning |\n|---|---|---|---|\n");
    for (key, property) in properties {
        let absent =
            if required.contains(key.as_str()) { "needed".into() } else { default_of(property) };
        let about = property.get("description").and_then(Value::as_str).unwrap_or_default();
        // Writing to a String cannot fail.
        writeln!(out, "| `{key}` | {} | {absent} | {} |", kind_of(property), one_line(about)).ok();
    }
}

fn default_of(property: &Value) -> String {
    match property.get("default") {
        Some(Value::Null) | None => "–".into(),
        Some(Value::Object(map)) if map.is_empty() => "–".into(),
        Some(Value::Array(items)) if items.is_empty() => "–".into(),
        Some(Value::Object(_)) => "see below".into(),
        Some(value) => format!("`{}`", plain(value)),
    }
}

/// The kind of value in a word or two.
fn kind_of(part: &Value) -> String {
    if let Some(target) = part.get("$ref").and_then(Value::as_str) {
        let name = title(target.trim_start_matches("#/$defs/"));
        return format!("[{name}](#{})", name.to_lowercase().replace(' ', "-"));
    }
    if let Some(choices) = part.get("anyOf").and_then(Value::as_array) {
        let kinds = choices.iter().filter(|c| c.get("type") != Some(&Value::from("null")));
        return kinds.map(kind_of).collect::<Vec<_>>().join(" or ");
    }
    let kind = match part.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        Some(kind) => kind.as_str(),
        None => None,
    };
    match kind {
        Some("string") => "text".into(),
        Some("boolean") => "`true` or `false`".into(),
        Some("integer") => format!("whole number{}", range_of(part)),
        Some("number") => "number".into(),
        Some("array") => format!("list of {}", part.get("items").map(kind_of).unwrap_or_default()),
        Some("object") => match part.get("additionalProperties") {
            Some(inner @ Value::Object(_)) => format!("mapping of names to {}", kind_of(inner)),
            _ => "mapping".into(),
        },
        _ => "value".into(),
    }
}

fn range_of(part: &Value) -> String {
    match (part.get("minimum"), part.get("maximum")) {
        (Some(least), Some(most)) if least == most => format!(", {least}"),
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        _ => String::new(),
    }
}

fn references<'a>(part: &'a Value, into: &mut Vec<&'a str>) {
    match part {
        Value::Object(map) => {
            for (key, value) in map {
                match value.as_str() {
                    Some(target) if key == "$ref" => into.push(target),
                    _ if key == "$defs" => {}
                    _ => references(value, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `EtcdTlsEntry` as people say it: `Etcd tls`.
fn title(name: &str) -> String {
    let mut title = String::new();
    for c in name.trim_end_matches("Entry").chars() {
        if c.is_uppercase() && !title.is_empty() {
            title.push(' ');
        }
        if title.is_empty() { title.push(c) } else { title.extend(c.to_lowercase()) }
    }
    title
}

fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
