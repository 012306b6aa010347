//! How soon a cluster agrees, measured on real processes and a real etcd: from the death of a provider to every
//! router's table, and from the publication of a vote to the same. Everything runs on this one machine; whatever
//! it lacks in processors is in the figures.

mod apply;
mod detect;
pub mod times;

use std::io::Write;

use clap::Parser;
use serde::Serialize;

use times::Times;

/// Measures how soon every router of a cluster knows.
#[derive(Clone, Debug, Parser)]
#[command(name = "convergence")]
pub struct Options {
    /// Print the result as one line of JSON alone; otherwise a table stands before it
    #[arg(long)]
    pub json: bool,
    /// How often each is measured
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub trials: u32,
    /// Routers, each a process
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub routers: u32,
    /// Probers: processes where deaths are detected, played by this program where votes are applied
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(3..=20))]
    pub probers: u32,
    /// Endpoints in the catalog where votes are applied
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(20..=2_000))]
    pub endpoints: u32,
}

/// What was measured. A trial's time is that of the last router.
#[derive(Clone, Debug, Serialize)]
struct Report {
    detect_p50_ms: f64,
    detect_p99_ms: f64,
    apply_p50_ms: f64,
    apply_p99_ms: f64,
    /// Calls lost during the detections although another provider could have served them.
    lost_calls: u64,
    /// Streams that broke after their first content: what was released cannot be taken back.
    broken_streams: u64,
    calls: u64,
    digests_equal: bool,
    trials: u32,
    routers: u32,
    probers: u32,
    endpoints: u32,
}

/// Measures, and prints.
///
/// # Errors
/// When nothing can be printed.
///
/// # Panics
/// When the cluster does not start, or does not come to agree at all.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let applied = apply::measure(options).await;
    let detected = detect::measure(options).await;
    let report = Report {
        detect_p50_ms: detected.times.p50_ms(),
        detect_p99_ms: detected.times.p99_ms(),
        apply_p50_ms: applied.times.p50_ms(),
        apply_p99_ms: applied.times.p99_ms(),
        lost_calls: detected.tally.lost,
        broken_streams: detected.tally.broken,
        calls: detected.tally.calls,
        digests_equal: applied.digests_equal && detected.digests_equal,
        trials: options.trials,
        routers: options.routers,
        probers: options.probers,
        endpoints: options.endpoints,
    };
    let mut out = std::io::stdout().lock();
    if !options.json {
        write!(out, "{}", table(&report, [&detected.times, &applied.times]))?;
        for reason in &detected.tally.reasons {
            writeln!(out, "lost: {reason}")?;
        }
    }
    writeln!(out, "{}", serde_json::to_string(&report)?)?;
    Ok(())
}

fn table(report: &Report, [detect, apply]: [&Times; 2]) -> String {
    let Report { trials, routers, probers, endpoints, .. } = report;
    format!(
        "{trials} trials, {routers} routers, {probers} probers; the time of the last router, in ms\n\
         death of a provider under load → down in every table: {detect}\n\
         vote published → applied, {endpoints} endpoints:      {apply}\n\
         calls: {}, lost: {}, streams broken after their first content: {}; digests equal: {}\n",
        report.calls, report.lost_calls, report.broken_streams, report.digests_equal
    )
}
