//! The table of figures, each with the bound that it must keep.

use std::fmt;

use super::failing::hits_basis_points;
use super::latency::{Rule, p99_ms};
use super::limits::{Guard, refused_basis_points};

/// Loads, in percent of what all endpoints can serve.
const LOADS: [u32; 3] = [60, 75, 85];
/// What our rule must keep to at each load, in milliseconds …
const WHOLE_BOUNDS_MS: [u64; 3] = [600, 600, 900];
/// … and with one endpoint at half its capacity.
const HALF_BOUNDS_MS: [u64; 3] = [2_000, 3_000, 4_000];
/// A rule that herds must wait at least this many times as long, or the simulator shows nothing.
const HERD_FACTOR: u64 = 10;
/// How many routers share the calls to a failing endpoint.
const ROUTERS: [usize; 3] = [1, 20, 200];
/// What the consensus must keep to, in hundredths of a percent.
const HITS_BOUND: u64 = 30;
/// Runs that are averaged: single failures weigh much.
const FAILING_SEEDS: u64 = 5;
/// What refusals must keep to once they were learned, in hundredths of a percent.
const REFUSED_BOUND: u64 = 500;

/// One figure.
#[derive(Clone, Debug)]
pub struct Line {
    what: String,
    value: String,
    bound: Option<String>,
    /// Whether it keeps its bound.
    pub kept: bool,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match (&self.bound, self.kept) {
            (None, _) => String::new(),
            (Some(bound), true) => format!("{bound}, kept"),
            (Some(bound), false) => format!("{bound}, MISSED"),
        };
        write!(f, "{:<66} {:>10}   {verdict}", self.what, self.value)
    }
}

/// All figures; some seconds of computing.
pub fn lines() -> Vec<Line> {
    let mut lines = Vec::new();
    for (at, load) in LOADS.into_iter().enumerate() {
        lines.extend(waits(load, WHOLE_BOUNDS_MS[at], HALF_BOUNDS_MS[at]));
    }
    ROUTERS.into_iter().for_each(|routers| lines.extend(hits(routers)));
    lines.extend(refusals());
    lines
}

fn waits(load: u32, whole_bound_ms: u64, half_bound_ms: u64) -> Vec<Line> {
    let seconds = |ms: u64| format!("{:.2} s", ms as f64 / 1_000.0);
    let line = |name: &str, ms: u64, least: bool, bound_ms: Option<u64>| Line {
        what: format!("p99 time to first content at {load} % load, {name}"),
        value: seconds(ms),
        bound: bound_ms
            .map(|b| format!("at {} {}", if least { "least" } else { "most" }, seconds(b))),
        kept: bound_ms.is_none_or(|b| if least { ms >= b } else { ms <= b }),
    };
    let ours = p99_ms(Rule::Ours, load, false);
    let herd = Some(HERD_FACTOR * ours);
    vec![
        line("always the fastest", p99_ms(Rule::Fastest, load, false), true, herd),
        line("1/latency²", p99_ms(Rule::InverseSquare, load, false), false, None),
        line("at random", p99_ms(Rule::Random, load, false), false, None),
        line("ours", ours, false, Some(whole_bound_ms)),
        line("one at half, at random", p99_ms(Rule::Random, load, true), false, None),
        line("one at half, ours", p99_ms(Rule::Ours, load, true), false, Some(half_bound_ms)),
    ]
}

fn percent(basis_points: u64) -> String {
    format!("{:.2} %", basis_points as f64 / 100.0)
}

fn hits(routers: usize) -> Vec<Line> {
    let mean = |consensus: bool| {
        let all = (0..FAILING_SEEDS).map(|seed| hits_basis_points(routers, consensus, seed));
        all.sum::<u64>() / FAILING_SEEDS
    };
    let (alone, agreed) = (mean(false), mean(true));
    let what =
        |how: &str| format!("first attempts at a failing endpoint, {routers} routers, {how}");
    vec![
        Line { what: what("breakers alone"), value: percent(alone), bound: None, kept: true },
        Line {
            what: what("consensus"),
            value: percent(agreed),
            bound: Some(format!("at most {} and below the above", percent(HITS_BOUND))),
            kept: agreed <= HITS_BOUND && agreed < alone,
        },
    ]
}

fn refusals() -> Vec<Line> {
    let line = |how: &str, guard: Guard, bound: Option<u64>| {
        let refused = refused_basis_points(guard);
        Line {
            what: format!("429 per first attempt at half load, {how}"),
            value: percent(refused),
            bound: bound.map(|b| format!("at most {}", percent(b))),
            kept: bound.is_none_or(|b| refused <= b),
        }
    };
    vec![
        line("nobody holds back", Guard::None, None),
        line("each router by itself", Guard::Local, None),
        line("and learned caps", Guard::Learned, Some(REFUSED_BOUND)),
    ]
}
