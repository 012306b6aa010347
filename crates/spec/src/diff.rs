//! What differs between two versions of a document, as people think of it: providers and endpoints are
//! compared by their names, whatever place they stand at. Knows no kind of document.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::canonical;
use crate::catalog::DEFAULT_REGION;
use crate::tree::key_path;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where: `providers[openai].endpoints[openai/gpt-4o@us].price.input`.
    pub path: String,
    /// What was there, in canonical JSON; `None` when nothing was.
    pub before: Option<String>,
    /// What is there now, in canonical JSON; `None` when nothing is.
    pub after: Option<String>,
}

/// The differences between two texts in canonical JSON, sorted by key and name on each level. A text that is
/// no JSON counts as nothing.
pub fn between(before: &str, after: &str) -> Vec<Difference> {
    let read = |text| serde_json::from_str(text).unwrap_or(Value::Object(Map::new()));
    let mut found = Vec::new();
    compare("", Some(&read(before)), Some(&read(after)), &mut found);
    found
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Difference>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for key in keys {
                compare(&key_path(path, key), before.get(key), after.get(key), found);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            match (by_name(before), by_name(after)) {
                (Some(before), Some(after)) => compare_named(path, &before, &after, found),
                _ => found.push(difference(path, Some(&list(before)), Some(&list(after)))),
            }
        }
        _ => found.push(difference(path, before, after)),
    }
}

fn compare_named(
    path: &str,
    before: &BTreeMap<String, &Value>,
    after: &BTreeMap<String, &Value>,
    found: &mut Vec<Difference>,
) {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        let path = format!("{path}[{name}]");
        compare(&path, before.get(name).copied(), after.get(name).copied(), found);
    }
}

fn list(items: &[Value]) -> Value {
    Value::Array(items.to_vec())
}

/// The items of a list by their names; `None` when one has none, or two have the same.
fn by_name(items: &[Value]) -> Option<BTreeMap<String, &Value>> {
    let mut named = BTreeMap::new();
    for item in items {
        if named.insert(name_of(item)?, item).is_some() {
            return None;
        }
    }
    Some(named)
}

/// A provider's or a key's id, or an endpoint's `model@region`.
fn name_of(item: &Value) -> Option<String> {
    let text = |key: &str| item.get(key).and_then(Value::as_str);
    if let Some(id) = text("id") {
        return Some(id.to_owned());
    }
    let region = text("region").unwrap_or(DEFAULT_REGION);
    text("model").map(|model| format!("{model}@{region}"))
}

fn difference(path: &str, before: Option<&Value>, after: Option<&Value>) -> Difference {
    let written = |value: &Value| canonical::json(value).unwrap_or_default();
    Difference { path: path.to_owned(), before: before.map(written), after: after.map(written) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: &str, after: &str) -> Vec<String> {
        let none = || "none".to_owned();
        let told = |d: Difference| {
            format!(
                "{}: {} → {}",
                d.path,
                d.before.unwrap_or_else(none),
                d.after.unwrap_or_else(none)
            )
        };
        between(before, after).into_iter().map(told).collect()
    }

    #[test]
    fn providers_and_endpoints_are_told_apart_by_name_and_not_by_place() {
        let before = r#"{"providers":[
            {"id":"a","endpoints":[{"model":"m","price":{"input":1}},{"model":"m","region":"eu"}]},
            {"id":"b","base_url":"https://b"}]}"#;
        let after = r#"{"providers":[
            {"id":"c"},
            {"id":"a","endpoints":[{"model":"m","region":"eu"},{"model":"m","price":{"input":2.5}}]}]}"#;
        assert_eq!(
            told(before, after),
            [
                "providers[a].endpoints[m@global].price.input: 1 → 2.5",
                r#"providers[b]: {"base_url":"https://b","id":"b"} → none"#,
                r#"providers[c]: none → {"id":"c"}"#,
            ]
        );
        assert!(told(before, before).is_empty());
    }

    #[test]
    fn an_order_that_means_something_is_shown_whole() {
        let route = |models: &str| format!(r#"{{"routes":{{"a b":{{"models":{models}}}}}}}"#);
        assert_eq!(
            told(&route(r#"["x","y"]"#), &route(r#"["y","x"]"#)),
            [r#"routes["a b"].models: ["x","y"] → ["y","x"]"#]
        );
    }

    #[test]
    fn what_is_new_or_gone_says_so() {
        assert_eq!(told("", r#"{"version":1}"#), ["version: none → 1"]);
        assert_eq!(told(r#"{"tags":["a"]}"#, "{}"), [r#"tags: ["a"] → none"#]);
    }
}
