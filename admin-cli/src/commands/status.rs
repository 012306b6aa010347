//! `status`: the state of providers, endpoints, routers and probers.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use serde_json::{Value, json};
use trunkline_proto::admin::v1::{GetStatusRequest, GetStatusResponse};

use crate::Failure;
use crate::cli::{Format, StatusArgs};
use crate::connect::Admin;
use crate::render::{self, List};
use crate::rows;

/// How often `--watch` looks.
const WATCH_EVERY: Duration = Duration::from_secs(2);
/// Moves a terminal's cursor home and clears what is below.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

const ENDPOINTS: &[(&str, &str)] = &[
    ("PROVIDER", "provider"),
    ("MODEL", "model"),
    ("REGION", "region"),
    ("VERDICT", "verdict"),
    ("WEIGHT", "weight"),
    ("DRAINED", "drained"),
    ("BREAKER", "breaker"),
    ("IN_FLIGHT", "in_flight"),
    ("SUCCESS_PERMILLE", "success_permille"),
    ("TTFT_P50_MS", "ttft_p50_ms"),
    ("OBSERVERS", "observers"),
];
const ROUTERS: &[(&str, &str)] = &[
    ("ROUTER", "id"),
    ("ZONE", "zone"),
    ("VERSION", "version"),
    ("REVISION", "revision"),
    ("LAG", "lag"),
    ("DIGEST", "digest"),
    ("HEARD_S_AGO", "heard_s_ago"),
    ("REFUSED", "refused"),
    ("PROBLEM", "problem"),
];
const PROBERS: &[(&str, &str)] = &[
    ("PROBER", "id"),
    ("ZONE", "zone"),
    ("VERSION", "version"),
    ("LOCAL_HEALTH", "local_health"),
    ("SELF_SUSPECT", "self_suspect"),
];

/// Shows the state, once or until interrupted.
///
/// # Errors
/// The router's answer, or an `out` that does not take it.
pub async fn run(
    admin: &mut Admin,
    args: StatusArgs,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let target = args.target.unwrap_or_default();
    let clear = args.watch && format == Format::Table && std::io::stdout().is_terminal();
    loop {
        let asked = GetStatusRequest { target: target.clone() };
        let status = admin.get_status(asked).await?.into_inner();
        if clear {
            write!(out, "{CLEAR}")?;
        }
        show(&status, format, out)?;
        out.flush()?;
        if !args.watch {
            return Ok(());
        }
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

fn show(status: &GetStatusResponse, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    let endpoints = status.providers.iter().flat_map(|p| &p.endpoints);
    let endpoints: Vec<Value> = endpoints.map(rows::endpoint_status).collect();
    let routers: Vec<Value> = status.routers.iter().map(rows::router).collect();
    let probers: Vec<Value> = status.probers.iter().map(rows::prober).collect();
    if format == Format::Json {
        let answer = json!({
            "revision": status.revision,
            "answered_by": status.answered_by,
            "items": endpoints,
            "routers": routers,
            "probers": probers,
        });
        return Ok(render::value(&answer, out)?);
    }
    render::table(&List { columns: ENDPOINTS, items: endpoints }, out)?;
    for (columns, items) in [(ROUTERS, routers), (PROBERS, probers)] {
        if !items.is_empty() {
            writeln!(out)?;
            render::table(&List { columns, items }, out)?;
        }
    }
    Ok(())
}
