//! What a program says about its metrics: rows of a table that documentation is made from. The rows
//! themselves stand in each program's `telemetry.rs`.

/// What a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets of a measure.
    Histogram,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The name as scraped.
    pub name: &'static str,
    /// What it counts.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
}

impl Metric {
    /// A row.
    pub const fn new(
        name: &'static str,
        kind: Kind,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind, labels, help }
    }
}

/// A section of the metrics page.
pub fn section(title: &str, catalogue: &[Metric]) -> String {
    let head = format!("## {title}\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n");
    let rows = catalogue.iter().map(|metric| {
        let labels: Vec<String> = metric.labels.iter().map(|l| format!("`{l}`")).collect();
        let (kind, labels) = (metric.kind.as_str(), labels.join(" "));
        format!("| `{}` | {kind} | {labels} | {} |\n", metric.name, metric.help)
    });
    head + &rows.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_has_a_row_for_each_metric() {
        let rows = [Metric::new("a_total", Kind::Counter, &["x", "y"], "Things.")];
        let page = section("Program", &rows);
        assert!(page.starts_with("## Program\n"));
        assert!(page.ends_with("| `a_total` | counter | `x` `y` | Things. |\n"), "{page}");
    }
}
