//! What all rounds amount to: medians, ratios, the table, the line of JSON and the goals. It measures nothing.

use std::fmt::Write as _;

use serde::Serialize;

use super::round::Figures;

/// The figures of one round: the router's, and the yardsticks' of the same round.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Round {
    /// The router's.
    pub router: Figures,
    /// The yardsticks'.
    pub minimal: Figures,
}

/// The router's figures as multiples of the yardsticks' in the same round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Ratios {
    /// Processor time per whole answer.
    pub cpu_ratio_to_minimal: f64,
    /// Whole answers a second.
    pub throughput_ratio_to_minimal: f64,
    /// Content chunks a second.
    pub sse_ratio_to_minimal: f64,
    /// Processor time per paced content chunk.
    pub sse_paced_cpu_ratio_to_minimal: f64,
    /// Processor time per answer over gRPC.
    pub grpc_cpu_ratio_to_bridge: f64,
}

impl Ratios {
    fn of(round: &Round) -> Self {
        let ratio = |figure: fn(&Figures) -> f64| figure(&round.router) / figure(&round.minimal);
        Self {
            cpu_ratio_to_minimal: ratio(|f| f.cpu_ms_per_1000),
            throughput_ratio_to_minimal: ratio(|f| f.requests_per_s),
            sse_ratio_to_minimal: ratio(|f| f.sse_chunks_per_s),
            sse_paced_cpu_ratio_to_minimal: ratio(|f| f.sse_paced_cpu_us_per_chunk),
            grpc_cpu_ratio_to_bridge: ratio(|f| f.grpc_cpu_ms_per_1000),
        }
    }

    fn median(all: &[Self]) -> Self {
        let middle = |figure: fn(&Self) -> f64| median(all.iter().map(figure));
        Self {
            cpu_ratio_to_minimal: middle(|r| r.cpu_ratio_to_minimal),
            throughput_ratio_to_minimal: middle(|r| r.throughput_ratio_to_minimal),
            sse_ratio_to_minimal: middle(|r| r.sse_ratio_to_minimal),
            sse_paced_cpu_ratio_to_minimal: middle(|r| r.sse_paced_cpu_ratio_to_minimal),
            grpc_cpu_ratio_to_bridge: middle(|r| r.grpc_cpu_ratio_to_bridge),
        }
    }
}

impl Figures {
    fn median(all: &[Self]) -> Self {
        let middle = |figure: fn(&Self) -> f64| median(all.iter().map(figure));
        Self {
            cpu_ms_per_1000: middle(|f| f.cpu_ms_per_1000),
            requests_per_s: middle(|f| f.requests_per_s),
            p50_ms: middle(|f| f.p50_ms),
            p99_ms: middle(|f| f.p99_ms),
            busy: middle(|f| f.busy),
            added_p50_ms: middle(|f| f.added_p50_ms),
            added_p99_ms: middle(|f| f.added_p99_ms),
            sse_chunks_per_s: middle(|f| f.sse_chunks_per_s),
            sse_paced_cpu_us_per_chunk: middle(|f| f.sse_paced_cpu_us_per_chunk),
            added_ttft_ms: middle(|f| f.added_ttft_ms),
            kib_per_open_stream: middle(|f| f.kib_per_open_stream),
            idle_mib: middle(|f| f.idle_mib),
            cold_start_ms: middle(|f| f.cold_start_ms),
            grpc_cpu_ms_per_1000: middle(|f| f.grpc_cpu_ms_per_1000),
            grpc_requests_per_s: middle(|f| f.grpc_requests_per_s),
        }
    }
}

/// The middle one, or between the two middle ones; not a number when there is none.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    let middle = values.len() / 2;
    let low = if values.len().is_multiple_of(2) { middle.wrapping_sub(1) } else { middle };
    let value = f64::midpoint(at(low), at(middle));
    (value * 1e4).round() / 1e4
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Medians of the rounds' ratios.
    #[serde(flatten)]
    pub ratios: Ratios,
    /// Medians of the router's figures.
    #[serde(flatten)]
    pub router: Figures,
    /// Medians of the yardsticks' figures.
    pub minimal: Figures,
    /// Rounds measured.
    pub rounds: usize,
    /// Processors that others took while measuring; above some tenths the figures mean little.
    pub noise: f64,
}

impl Report {
    /// The report of all rounds.
    pub fn new(rounds: &[Round], noise: f64) -> Self {
        let ratios: Vec<_> = rounds.iter().map(Ratios::of).collect();
        let router: Vec<_> = rounds.iter().map(|round| round.router).collect();
        let minimal: Vec<_> = rounds.iter().map(|round| round.minimal).collect();
        Self {
            ratios: Ratios::median(&ratios),
            router: Figures::median(&router),
            minimal: Figures::median(&minimal),
            rounds: rounds.len(),
            noise: median(std::iter::once(noise)),
        }
    }

    /// The goals that were missed, one line each.
    pub fn missed(&self) -> Vec<String> {
        let missed = GOALS.iter().filter(|goal| !goal.is_met(self));
        missed
            .map(|goal| format!("{} is {:.3}; {}", goal.name, (goal.figure)(self), goal))
            .collect()
    }

    /// For people.
    pub fn table(&self) -> String {
        let (ours, theirs) = (&self.router, &self.minimal);
        let mut table = format!("{:<42}{:>12}{:>12}{:>10}\n", "", "router", "minimal", "ratio");
        for row in &ROWS {
            let ratio = row.ratio.map_or_else(String::new, |r| format!("{:.2}", r(&self.ratios)));
            let (ours, theirs) = ((row.figure)(ours), (row.figure)(theirs));
            // Writing into a string cannot fail.
            let _ = writeln!(table, "{:<42}{ours:>12.3}{theirs:>12.3}{ratio:>10}", row.name);
        }
        let _ = writeln!(
            table,
            "\nmedians of {} rounds; others took {:.2} processors",
            self.rounds, self.noise
        );
        table
    }
}

/// A goal of the project, beside which the figures are held with `--check`.
struct Goal {
    name: &'static str,
    figure: fn(&Report) -> f64,
    limit: Limit,
}

enum Limit {
    AtMost(f64),
    AtLeast(f64),
    Below(f64),
}

/// Ratios are goals of the code; absolute ones are far enough off to hold on any machine of our day.
const GOALS: [Goal; 7] = [
    Goal {
        name: "cpu_ratio_to_minimal",
        figure: |r| r.ratios.cpu_ratio_to_minimal,
        limit: Limit::AtMost(1.6),
    },
    Goal {
        name: "throughput_ratio_to_minimal",
        figure: |r| r.ratios.throughput_ratio_to_minimal,
        limit: Limit::AtLeast(0.65),
    },
    Goal { name: "added_ttft_ms", figure: |r| r.router.added_ttft_ms, limit: Limit::Below(5.0) },
    Goal { name: "idle_mib", figure: |r| r.router.idle_mib, limit: Limit::AtMost(30.0) },
    Goal {
        name: "kib_per_open_stream",
        figure: |r| r.router.kib_per_open_stream,
        limit: Limit::AtMost(60.0),
    },
    Goal { name: "cold_start_ms", figure: |r| r.router.cold_start_ms, limit: Limit::AtMost(100.0) },
    Goal {
        name: "grpc_cpu_ratio_to_bridge",
        figure: |r| r.ratios.grpc_cpu_ratio_to_bridge,
        limit: Limit::AtMost(1.6),
    },
];

impl Goal {
    /// What is not a number meets no goal.
    fn is_met(&self, report: &Report) -> bool {
        let figure = (self.figure)(report);
        match self.limit {
            Limit::AtMost(most) => figure <= most,
            Limit::AtLeast(least) => figure >= least,
            Limit::Below(bound) => figure < bound,
        }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.limit {
            Limit::AtMost(most) => write!(f, "the goal is at most {most}"),
            Limit::AtLeast(least) => write!(f, "the goal is at least {least}"),
            Limit::Below(bound) => write!(f, "the goal is below {bound}"),
        }
    }
}

/// A line of the table.
struct Row {
    name: &'static str,
    figure: fn(&Figures) -> f64,
    ratio: Option<fn(&Ratios) -> f64>,
}

const fn row(name: &'static str, figure: fn(&Figures) -> f64) -> Row {
    Row { name, figure, ratio: None }
}

const fn compared(
    name: &'static str,
    figure: fn(&Figures) -> f64,
    ratio: fn(&Ratios) -> f64,
) -> Row {
    Row { name, figure, ratio: Some(ratio) }
}

const ROWS: [Row; 15] = [
    compared("CPU per 1,000 answers, ms", |f| f.cpu_ms_per_1000, |r| r.cpu_ratio_to_minimal),
    compared("answers/s, 64 connections", |f| f.requests_per_s, |r| r.throughput_ratio_to_minimal),
    row("  share of its processor", |f| f.busy),
    row("  latency p50, ms", |f| f.p50_ms),
    row("  latency p99, ms", |f| f.p99_ms),
    row("added latency, 1 connection, p50, ms", |f| f.added_p50_ms),
    row("added latency, 1 connection, p99, ms", |f| f.added_p99_ms),
    compared("stream chunks/s, flat out", |f| f.sse_chunks_per_s, |r| r.sse_ratio_to_minimal),
    compared(
        "CPU per paced chunk, us",
        |f| f.sse_paced_cpu_us_per_chunk,
        |r| r.sse_paced_cpu_ratio_to_minimal,
    ),
    row("added time to first content, ms", |f| f.added_ttft_ms),
    row("memory per held stream, KiB", |f| f.kib_per_open_stream),
    row("idle memory, MiB", |f| f.idle_mib),
    row("cold start, ms", |f| f.cold_start_ms),
    compared(
        "gRPC: CPU per 1,000 answers, ms",
        |f| f.grpc_cpu_ms_per_1000,
        |r| r.grpc_cpu_ratio_to_bridge,
    ),
    row("gRPC: answers/s", |f| f.grpc_requests_per_s),
];

#[cfg(test)]
mod tests;
