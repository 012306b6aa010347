//! `docs/metrics.md` is what the programs say about their metrics. `UPDATE_DOCS=1` writes it anew.
#![expect(clippy::disallowed_methods, reason = "a variable tells a test to write the page")]

use std::path::Path;

use trunkline_runtime::catalogue::{Metric, section};

const HEAD: &str = "# Metrics\n\nBoth programs answer `/metrics` on their operations port. Names are \
`trunkline_<thing>_<unit>`, counters end in `_total`. No label holds text of a caller's. This page is made \
from the code.\n";

/// All metrics of a router.
fn router() -> Vec<Metric> {
    [
        router_node::telemetry::CATALOGUE,
        router_node::census::telemetry::CATALOGUE,
        router_node::canary::telemetry::CATALOGUE,
        router_node::evidence::telemetry::CATALOGUE,
        router_node::admin::telemetry::CATALOGUE,
        router_node::traces::telemetry::CATALOGUE,
        router_node::certificates::CATALOGUE,
    ]
    .concat()
}

#[test]
fn the_page_of_metrics_is_what_the_programs_say() {
    let page = [
        HEAD.to_owned(),
        section("router-node", &router()),
        section("health-prober", health_prober::telemetry::CATALOGUE),
    ]
    .join("\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    if std::env::var("UPDATE_DOCS").is_ok() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/metrics.md is not what the code says: run UPDATE_DOCS=1 tests/run metrics"
    );
}

#[test]
fn every_name_keeps_the_rules() {
    let router = router();
    for metric in router.iter().chain(health_prober::telemetry::CATALOGUE) {
        let counter = metric.kind == trunkline_runtime::catalogue::Kind::Counter;
        assert!(metric.name.starts_with("trunkline_"), "{}", metric.name);
        assert_eq!(metric.name.ends_with("_total"), counter, "{}", metric.name);
        assert!(metric.help.ends_with('.'), "{}", metric.name);
    }
}
