//! What is shipped for Prometheus and Grafana is right: rules, alerts with their tests and their runbook, the
//! dashboard, and the scrape configuration.

#[path = "monitoring/live.rs"]
mod live;
#[path = "monitoring/rules.rs"]
mod rules;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

/// A file of the repository.
fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A YAML file of the repository.
fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The array at a JSON pointer; empty where there is none.
fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The text at a JSON pointer; empty where there is none.
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Every rule that is shipped.
fn rules() -> Vec<Value> {
    let groups = yaml("deploy/prometheus/rules.yaml");
    list(&groups, "/groups").iter().flat_map(|group| list(group, "/rules").to_vec()).collect()
}

/// The queries of every panel and variable of the dashboards: where each stands, and the query.
fn dashboard_queries() -> Vec<(String, String)> {
    let dashboard: Value =
        serde_json::from_str(&read("deploy/grafana/dashboards/trunkline.json")).unwrap();
    let panels = list(&dashboard, "/panels").iter();
    let queries = panels.flat_map(|panel| {
        let title = text(panel, "/title").to_owned();
        let targets = list(panel, "/targets").iter();
        targets.map(move |target| (title.clone(), text(target, "/expr").to_owned()))
    });
    queries.collect()
}

/// The metrics that a query reads: those of the catalogue without what a histogram adds, and those that rules
/// record.
fn metrics_of(query: &str) -> BTreeSet<String> {
    let part = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':');
    let names = query.split(part).filter(|word| word.starts_with("trunkline"));
    // A job's name has a hyphen, and ends here as the bare word.
    names.filter(|name| *name != "trunkline").map(str::to_owned).collect()
}
