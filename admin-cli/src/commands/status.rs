//! `status`: the state of providers, endpoints, routers and probers.

use std::io::Write;

use serde_json::{Value, json};
use tonic::{Status, Streaming};
use trunkline_proto::admin::v1::{
    GetStatusRequest, GetStatusResponse, WatchStatusRequest, WatchStatusResponse,
};

use super::canary;
use crate::Failure;
use crate::cli::{Format, StatusArgs};
use crate::connect::Admin;
use crate::render::watch::Screen;
use crate::render::{self, List};
use crate::rows;

/// A target that is nobody's: what does not belong to a target is told all the same, and the answer stays small.
const NOBODY: &str = "provider/-";

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
/// What a list of routers shows.
pub(super) const ROUTERS: &[(&str, &str)] = &[
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
/// What a list of probers shows.
pub(super) const PROBERS: &[(&str, &str)] = &[
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
    if !args.watch {
        let status = admin.get_status(GetStatusRequest { target }).await?.into_inner();
        return show(&status, format, out);
    }
    let (screen, mut states) = (Screen::of(format), States::of(admin, target).await?);
    loop {
        let status = states.next().await?;
        screen.begin(out)?;
        show(&status, format, out)?;
        out.flush()?;
    }
}

/// The state as a router tells it: at once, when it changes, and every second.
pub(super) struct States(Streaming<WatchStatusResponse>);

impl States {
    /// Those of a target, or of everything.
    ///
    /// # Errors
    /// The router's answer.
    pub(super) async fn of(admin: &mut Admin, target: String) -> Result<Self, Failure> {
        let asked = WatchStatusRequest { target };
        Ok(Self(admin.watch_status(asked).await?.into_inner()))
    }

    /// Those of routers and probers alone.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub(super) async fn of_no_endpoint(admin: &mut Admin) -> Result<Self, Failure> {
        Self::of(admin, NOBODY.to_owned()).await
    }

    /// Waits for the next one.
    ///
    /// # Errors
    /// Why there is none: the router leaves, or tells this caller nothing more.
    pub(super) async fn next(&mut self) -> Result<GetStatusResponse, Failure> {
        let told = self.0.message().await?;
        told.and_then(|told| told.status).ok_or_else(|| {
            Failure::from(Status::unavailable("the router ended the watch; start it again"))
        })
    }
}

/// The state of routers and probers alone.
///
/// # Errors
/// The router's answer, and why it cannot list them.
pub(super) async fn of_no_endpoint(admin: &mut Admin) -> Result<GetStatusResponse, Failure> {
    let asked = GetStatusRequest { target: NOBODY.to_owned() };
    let status = admin.get_status(asked).await?.into_inner();
    match unlisted(&status) {
        Some(why) => Err(Failure::from(Status::unavailable(why))),
        None => Ok(status),
    }
}

/// Why routers and probers are missing in a status, if they are.
pub fn unlisted(status: &GetStatusResponse) -> Option<String> {
    let why = &status.unlisted;
    (!why.is_empty()).then(|| format!("other routers and probers cannot be listed: {why}"))
}

fn show(status: &GetStatusResponse, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    let endpoints = status.providers.iter().flat_map(|p| &p.endpoints);
    let endpoints: Vec<Value> = endpoints.map(rows::endpoint_status).collect();
    let routers: Vec<Value> = status.routers.iter().map(rows::router).collect();
    let probers: Vec<Value> = status.probers.iter().map(rows::prober).collect();
    if format.is_data() {
        let answer = json!({
            "revision": status.revision,
            "answered_by": status.answered_by,
            "items": endpoints,
            "routers": routers,
            "probers": probers,
            "unlisted": unlisted(status),
            "canary": status.canary.as_ref().map(rows::canary),
        });
        return Ok(render::data(&answer, format, out)?);
    }
    render::list(&List { columns: ENDPOINTS, items: endpoints }, format, out)?;
    if let Some(canary) = &status.canary {
        writeln!(out, "\n{}", canary::in_words(canary))?;
    }
    for (columns, items) in [(ROUTERS, routers), (PROBERS, probers)] {
        if !items.is_empty() {
            writeln!(out)?;
            render::list(&List { columns, items }, format, out)?;
        }
    }
    if let Some(why) = unlisted(status) {
        writeln!(out, "\n{why}")?;
    }
    Ok(())
}
