//! One frame of `top`: a line for each endpoint, a line for each router. What moves is kept from frame to frame.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};

use serde_json::{Value, json};
use trunkline_proto::admin::v1::{EndpointStatus, GetStatusResponse};

use super::terminal::Size;
use crate::commands::status::unlisted;
use crate::render::{self, List};
use crate::rows;

/// Latencies kept of each endpoint: as many as a line has signs for.
const KEPT: usize = 24;
/// Signs of rising height.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Lines that routers get at the least, their title included.
const ROUTER_ROWS: usize = 6;

const ENDPOINTS: &[(&str, &str)] = &[
    ("PROVIDER", "provider"),
    ("MODEL", "model"),
    ("REGION", "region"),
    ("VERDICT", "verdict"),
    ("WEIGHT", "weight"),
    ("SHARE_%", "share"),
    ("TTFT_MS", "ttft_p50_ms"),
    ("ERRORS_%", "errors"),
    ("IN_FLIGHT", "in_flight"),
    ("LATENCY", "line"),
];
const ROUTERS: &[(&str, &str)] = &[
    ("ROUTER", "id"),
    ("ZONE", "zone"),
    ("REVISION", "revision"),
    ("LAG", "lag"),
    ("DIGEST", "digest"),
    ("REFUSED", "refused"),
];

/// What was seen so far.
#[derive(Default)]
pub struct Memory {
    latencies: BTreeMap<String, VecDeque<Option<f64>>>,
}

impl Memory {
    /// Takes a status in.
    pub fn take(&mut self, status: &GetStatusResponse) {
        for endpoint in status.providers.iter().flat_map(|provider| &provider.endpoints) {
            let kept = self.latencies.entry(endpoint.endpoint_id.clone()).or_default();
            if kept.len() >= KEPT {
                kept.pop_front();
            }
            kept.push_back(endpoint.ttft_p50_ms);
        }
    }

    /// Draws a frame that fits. Where endpoints are too many, those that need no look are left out first.
    ///
    /// # Errors
    /// When `out` does not take it.
    pub fn draw(
        &self,
        status: &GetStatusResponse,
        size: Size,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let endpoints: Vec<&EndpointStatus> =
            status.providers.iter().flat_map(|provider| &provider.endpoints).collect();
        let usable = endpoints.iter().filter(|endpoint| weight(endpoint) > 0).count();
        let routers: Vec<Value> = status.routers.iter().map(rows::router).collect();
        let mut frame = Vec::new();
        let (all, at, by) = (endpoints.len(), status.revision, &status.answered_by);
        writeln!(frame, "trunkline  {by}  revision {at}  {usable} of {all} endpoints usable\n")?;
        let mut items: Vec<Value> = endpoints.iter().map(|e| self.row(e, &endpoints)).collect();
        // The title, the two lines above and the line between, and what routers need.
        let room = size.rows.saturating_sub(4 + ROUTER_ROWS.min(routers.len() + 2)).max(1);
        let left_out = items.len().saturating_sub(room);
        if left_out > 0 {
            items.sort_by_key(|item| item.get("verdict") == Some(&json!("up")));
            items.truncate(room);
        }
        render::table(&List { columns: ENDPOINTS, items }, &mut frame)?;
        if left_out > 0 {
            writeln!(frame, "… and {left_out} more that fit no more")?;
        }
        writeln!(frame)?;
        render::table(&List { columns: ROUTERS, items: routers }, &mut frame)?;
        if let Some(why) = unlisted(status) {
            writeln!(frame, "{why}")?;
        }
        let text = String::from_utf8_lossy(&frame);
        for line in text.lines().take(size.rows.saturating_sub(1)) {
            writeln!(out, "{}", fitting(line, size.columns))?;
        }
        Ok(())
    }

    fn row(&self, endpoint: &EndpointStatus, all: &[&EndpointStatus]) -> Value {
        let mut row = rows::endpoint_status(endpoint);
        let of_model: u64 =
            all.iter().filter(|other| other.model == endpoint.model).map(|e| weight(e)).sum();
        let share = (weight(endpoint) * 1000 + of_model / 2).checked_div(of_model).unwrap_or(0);
        let errors = endpoint.success_permille.map(|ok| f64::from(1000 - ok.min(1000)) / 10.0);
        let line = self.latencies.get(&endpoint.endpoint_id).map(sparkline).unwrap_or_default();
        if let Value::Object(members) = &mut row {
            members.insert("share".to_owned(), json!(share as f64 / 10.0));
            members.insert("errors".to_owned(), json!(errors));
            members.insert("line".to_owned(), json!(line));
            if endpoint.drained {
                members.insert("verdict".to_owned(), json!("drained"));
            }
        }
        row
    }
}

/// What calls go by: nothing for what is drained or taken out.
fn weight(endpoint: &EndpointStatus) -> u64 {
    let out = endpoint.drained || endpoint.base_weight == 0 || rows::is_out(endpoint.verdict);
    if out { 0 } else { endpoint.weight_q16 }
}

/// Latencies as signs, the highest one full; a space where nothing was measured.
fn sparkline(latencies: &VecDeque<Option<f64>>) -> String {
    let top = latencies.iter().flatten().fold(0.0, |top: f64, one| top.max(*one));
    let sign = |latency: &Option<f64>| {
        let Some(latency) = latency else { return ' ' };
        let height = if top > 0.0 { latency / top * (BARS.len() - 1) as f64 } else { 0.0 };
        BARS.get(height.round() as usize).copied().unwrap_or(' ')
    };
    latencies.iter().map(sign).collect()
}

/// The beginning of a line that fits, not counting the colours in it.
fn fitting(line: &str, columns: usize) -> String {
    let (mut shown, mut text, mut in_colour) = (0, String::new(), false);
    for c in line.chars() {
        if c == '\u{1b}' {
            in_colour = true;
        }
        if in_colour {
            text.push(c);
            in_colour = c != 'm';
        } else if shown < columns {
            text.push(c);
            shown += 1;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_rises_with_the_latency_and_has_gaps() {
        let latencies = VecDeque::from([Some(10.0), Some(70.0), None, Some(40.0)]);
        assert_eq!(sparkline(&latencies), "▂█ ▅");
        assert_eq!(sparkline(&VecDeque::new()), "");
    }

    #[test]
    fn a_line_is_cut_where_it_is_seen_to_end() {
        assert_eq!(fitting("ab\u{1b}[31mcd\u{1b}[0mef", 3), "ab\u{1b}[31mc\u{1b}[0m");
    }

    #[test]
    fn what_needs_a_look_is_left_out_last() {
        let endpoint = |id: usize, verdict: i32| EndpointStatus {
            endpoint_id: format!("e{id}"),
            model: format!("m{id}"),
            verdict,
            ..EndpointStatus::default()
        };
        let up = trunkline_proto::health::v1::Verdict::Up.into();
        let down = trunkline_proto::health::v1::Verdict::Down.into();
        let mut endpoints: Vec<EndpointStatus> = (0..50).map(|id| endpoint(id, up)).collect();
        endpoints.push(endpoint(77, down));
        let providers =
            vec![trunkline_proto::admin::v1::ProviderStatus { endpoints, ..Default::default() }];
        let status = GetStatusResponse { providers, ..GetStatusResponse::default() };
        let mut out = Vec::new();
        Memory::default().draw(&status, Size { columns: 100, rows: 20 }, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().count() < 20, "{text}");
        assert!(text.contains("m77"), "{text}");
    }
}
