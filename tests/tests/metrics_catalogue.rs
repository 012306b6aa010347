//! `docs/metrics.md` is what the programs say about their metrics. `UPDATE_DOCS=1` writes it anew.
#![expect(clippy::disallowed_methods, reason = "a variable tells a test to write the page")]

use std::path::Path;

use trunkline_runtime::catalogue::section;
use trunkline_tests::metrics;

const HEAD: &str = "# Metrics\n\nBoth programs answer `/metrics` on their operations port. Names are \
`trunkline_<thing>_<unit>`, counters end in `_total`. No label holds text of a caller's. This page is made \
from the code.\n";

#[test]
fn the_page_of_metrics_is_what_the_programs_say() {
    let page = [
        HEAD.to_owned(),
        section("router-node", &metrics::router()),
        section("health-prober", &metrics::prober()),
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
    for metric in [metrics::router(), metrics::prober()].concat() {
        let counter = metric.kind == trunkline_runtime::catalogue::Kind::Counter;
        assert!(metric.name.starts_with("trunkline_"), "{}", metric.name);
        assert_eq!(metric.name.ends_with("_total"), counter, "{}", metric.name);
        assert!(metric.help.ends_with('.'), "{}", metric.name);
    }
}
