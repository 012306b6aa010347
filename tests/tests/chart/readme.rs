//! The chart's README, from its schema and its values.

use std::fmt::Write;

use serde_json::Value;

use super::helm::{chart, documents, text};

const INTRODUCTION: &str = "\
# The chart

Routers, probers and what belongs to them on Kubernetes 1.29 and later. [docs/kubernetes.md](../../../docs/kubernetes.md)
walks through an installation; the folder [ci](ci) has complete sets of values.

```sh
helm install trunkline deploy/helm/trunkline --namespace trunkline --create-namespace --values values.yaml
```

Values that do not exist are refused by name, and so are values that cannot be. This page is made from
`values.schema.json` and `values.yaml`; `UPDATE_DOCS=1 tests/run chart` writes it again.

## Values

| value | what | default | meaning |
|---|---|---|---|
";

/// Shapes that many values have: their name in the schema, and what they are.
const SHAPES: [(&str, &str); 10] = [
    (
        "identity",
        "A certificate, its key and the authority of the other side, where the pod finds them. Nothing when empty.",
    ),
    ("image", "An image of Trunkline's."),
    ("budget", "A bound on what is taken away at once."),
    ("resources", "As in a container of Kubernetes."),
    ("strings", "A mapping of names to text."),
    ("document", "A document as a mapping, or as its text."),
    ("env", "A list of variables, each with `name`, and `value` or `valueFrom`."),
    ("tolerations", "A list, as in a pod of Kubernetes."),
    (
        "peers",
        "A list of `podSelector`, `namespaceSelector` or `ipBlock`, as in a NetworkPolicy of Kubernetes.",
    ),
    ("amounts", "A mapping of `cpu`, `memory` and so on to amounts."),
];

/// The page.
pub(crate) fn page() -> String {
    let file = |name: &str| std::fs::read(chart().join(name)).unwrap();
    let schema: Value = serde_json::from_slice(&file("values.schema.json")).unwrap();
    let values = documents(&file("values.yaml"), &[]).remove(0);
    let mut page = INTRODUCTION.to_owned();
    rows(&mut page, &schema, &schema, "", Some(&values));
    page.push_str("\n## Shapes\n");
    for (name, meaning) in SHAPES {
        let shape = &schema["definitions"][name];
        let _ = write!(page, "\n### {}\n\n{meaning}\n", title(name));
        if shape["properties"].is_object() {
            page.push_str("\n| key | what | default | meaning |\n|---|---|---|---|\n");
            rows(&mut page, &schema, shape, "", None);
        }
    }
    page
}

/// The rows of an object's properties, and of those below them.
fn rows(page: &mut String, schema: &Value, object: &Value, prefix: &str, values: Option<&Value>) {
    for (name, property) in object["properties"].as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        let value = values.map(|values| &values[name]).filter(|value| !value.is_null());
        if property["properties"].is_object() {
            let _ = writeln!(page, "| `{path}` | mapping | – | {} |", meaning(property, &path));
            rows(page, schema, property, &format!("{path}."), value.or(Some(&Value::Null)));
            continue;
        }
        let default = value.map_or_else(|| "–".to_owned(), |value| format!("`{value}`"));
        let what = what(schema, property);
        let _ = writeln!(page, "| `{path}` | {what} | {default} | {} |", meaning(property, &path));
        if property["items"]["properties"].is_object() {
            rows(page, schema, &property["items"], &format!("{path}[]."), None);
        }
    }
}

fn meaning<'a>(property: &'a Value, path: &str) -> &'a str {
    property["description"].as_str().unwrap_or_else(|| panic!("{path} has no description"))
}

/// What a value is, in words.
fn what(schema: &Value, property: &Value) -> String {
    if let Some(reference) = property["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        if SHAPES.iter().any(|(shape, _)| *shape == name) {
            return format!("[{}](#{name})", title(name));
        }
        return what(schema, &schema["definitions"][name]);
    }
    if let Some(choices) = property["enum"].as_array() {
        let choices: Vec<String> =
            choices.iter().map(|choice| format!("`{}`", text(choice))).collect();
        return choices.join(", ");
    }
    let kinds: Vec<&str> = match &property["type"] {
        Value::Array(kinds) => kinds.iter().map(text).collect(),
        kind => vec![text(kind)],
    };
    let words = kinds.iter().map(|kind| match *kind {
        "string" => "text".to_owned(),
        "integer" => format!("whole number{}", range(property)),
        "number" => format!("number{}", range(property)),
        "boolean" => "`true` or `false`".to_owned(),
        "array" => format!("list of {}", items(schema, &property["items"])),
        "object" => "mapping".to_owned(),
        other => format!("`{other}`"),
    });
    words.collect::<Vec<_>>().join(" or ")
}

fn items(schema: &Value, items: &Value) -> String {
    if items["$ref"] == "#/definitions/peer" {
        return "[Peers](#peers)".to_owned();
    }
    what(schema, items)
}

fn range(property: &Value) -> String {
    match (&property["minimum"], &property["maximum"]) {
        (Value::Number(least), Value::Number(most)) => format!(", {least} to {most}"),
        (Value::Number(least), _) => format!(", at least {least}"),
        _ => String::new(),
    }
}

fn title(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    format!("{}{rest}", first.to_uppercase())
}
