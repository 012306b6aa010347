//! What can be said of the rules without running them in a cluster.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use trunkline_runtime::catalogue::Kind;
use trunkline_tests::metrics;
use trunkline_tests::process::beside;
use trunkline_tests::prometheus::promtool;

use super::{dashboard, dashboard_queries, list, metrics_of, read, rules, text, yaml};

const RUNBOOK: &str = "docs/runbooks/alerts.md";
const TESTS: [&str; 4] = ["calls", "cluster", "providers", "words"];

/// The alerts, each with its rule.
fn alerts() -> Vec<(String, Value)> {
    let named = |rule: Value| (text(&rule, "/alert").to_owned(), rule);
    rules().into_iter().map(named).filter(|(name, _)| !name.is_empty()).collect()
}

/// Everything that a query may read: all series of the catalogue, and what rules record.
fn known() -> BTreeSet<String> {
    let mut known: BTreeSet<String> =
        rules().iter().map(|rule| text(rule, "/record").to_owned()).collect();
    for metric in [metrics::router(), metrics::prober()].concat() {
        match metric.kind {
            Kind::Histogram => known.extend(["bucket", "sum", "count"].map(|series| {
                let name = metric.name;
                format!("{name}_{series}")
            })),
            Kind::Counter | Kind::Gauge => drop(known.insert(metric.name.to_owned())),
        }
    }
    known
}

fn passes(words: &[&str]) {
    let output = promtool(words);
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {words:?}: {said}{complained}");
}

#[test]
fn promtool_finds_nothing_wrong() {
    passes(&["check", "rules", "rules.yaml"]);
    passes(&["check", "config", "prometheus.yaml"]);
}

#[test]
fn every_alert_fires_when_it_should_and_only_then() {
    let files = TESTS.map(|file| format!("tests/{file}.yaml"));
    let mut words = vec!["test", "rules"];
    words.extend(files.iter().map(String::as_str));
    passes(&words);

    let (mut fires, mut stays_quiet) = (BTreeSet::new(), BTreeSet::new());
    for file in files {
        let cases = yaml(&format!("deploy/prometheus/{file}"));
        for case in list(&cases, "/tests").iter().flat_map(|t| list(t, "/promql_expr_test")) {
            let name = text(case, "/expr").split('"').nth(1).unwrap_or_default().to_owned();
            let quiet = list(case, "/exp_samples").is_empty();
            if quiet {
                stays_quiet.insert(name)
            } else {
                fires.insert(name)
            };
        }
    }
    let alerts: BTreeSet<String> = alerts().into_iter().map(|(name, _)| name).collect();
    assert!(alerts.len() > 20, "{alerts:?}");
    assert_eq!(fires, alerts, "alerts without a case in which they fire, or cases of none");
    assert_eq!(stays_quiet, alerts, "alerts without a case in which they do not fire");
}

#[test]
fn every_alert_leads_to_its_page() {
    let page = read(RUNBOOK);
    let sections: Vec<&str> = page.split("\n### ").skip(1).collect();
    let title = |section: &&str| section.lines().next().unwrap_or_default().to_owned();
    let titles: Vec<String> = sections.iter().map(title).collect();
    let names: Vec<String> = alerts().into_iter().map(|(name, _)| name).collect();
    assert_eq!(titles, names, "{RUNBOOK} has a section for each alert, in the order of the rules");
    for section in sections {
        for part in ["**Means.**", "**Harmless**"] {
            assert!(section.contains(part), "{part} is missing: {section}");
        }
        assert!(section.contains("**Do.**") || section.contains("**Look, do.**"), "{section}");
    }
    for (name, rule) in alerts() {
        let anchor = name.to_lowercase();
        assert_eq!(text(&rule, "/annotations/runbook_url"), format!("{RUNBOOK}#{anchor}"));
        assert!(["critical", "warning", "info"].contains(&text(&rule, "/labels/severity")));
        for words in ["/annotations/summary", "/annotations/description"] {
            assert!(!text(&rule, words).is_empty(), "{name} has no {words}");
        }
    }
}

#[test]
fn commands_of_the_runbook_exist() {
    let page = read(RUNBOOK);
    let mut seen = BTreeSet::new();
    for command in page.split("admin-cli ").skip(1) {
        let verb = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase());
        let end = command.find(['`', '\n', '#']).unwrap_or(command.len());
        let words = command[..end].split_whitespace().take_while(verb).collect::<Vec<_>>();
        seen.insert(words.join(" "));
    }
    assert!(seen.len() > 10, "{seen:?}");
    for command in seen {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let output =
            Command::new(beside("admin-cli")).args(&words).output().expect("admin-cli runs");
        assert!(output.status.success(), "admin-cli {command} is no command");
    }
}

#[test]
fn the_dashboard_fits_any_prometheus() {
    let dashboard = dashboard();
    let panels = list(&dashboard, "/panels");
    let mut places = BTreeSet::new();
    for panel in panels {
        let title = text(panel, "/title");
        assert!(places.insert(panel["id"].as_u64()), "{title}: another panel has its id");
        assert!(places.insert(place(panel)), "{title}: another panel stands there");
        for target in list(panel, "/targets") {
            assert_eq!(text(target, "/datasource/uid"), "${datasource}", "{title}");
        }
    }
    assert!(panels.len() > 20, "{} panels", panels.len());
}

/// Where a panel stands, as one number beyond every id.
fn place(panel: &Value) -> Option<u64> {
    let at = |key: &str| panel["gridPos"][key].as_u64();
    Some(1_000 + 24 * at("y")? + at("x")?)
}

#[test]
fn rules_and_dashboards_read_only_what_exists() {
    let known = known();
    let ours = rules().into_iter().map(|rule| {
        let name = format!("{}{}", text(&rule, "/alert"), text(&rule, "/record"));
        (name, text(&rule, "/expr").to_owned())
    });
    for (place, query) in ours.chain(dashboard_queries()) {
        for metric in metrics_of(&query) {
            assert!(known.contains(&metric), "{place} reads {metric}, which nobody writes");
        }
    }
}
