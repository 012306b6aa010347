//! The canary that runs, as the page shows it: which policy is tried, on how many callers, and what became of both
//! sides' calls at this router. Those of all routers together are asked for with `admin-cli policy canary status`.

use serde::Serialize;
use trunkline_core::canary::Side;
use trunkline_wire::models::Usd;

use crate::canary::Running;

/// A canary that runs.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// Its share of the callers.
    share_permille: u32,
    reason: String,
    by: Option<String>,
    since_unix_ms: u64,
    /// When it ends by itself; never when there is nothing.
    ends_unix_ms: Option<u64>,
    /// What ends it before.
    abort_on: Rules,
    /// The policy in force and the candidate, in this order.
    sides: [OneSide; 2],
}

/// How much worse the candidate's calls may be.
#[derive(Debug, Serialize)]
struct Rules {
    failed_permille: Option<u32>,
    cost_permille: Option<u32>,
    ttft_permille: Option<u32>,
}

/// What became of one side's calls at this router.
#[derive(Debug, Serialize)]
struct OneSide {
    side: &'static str,
    version: String,
    calls: u64,
    failed: u64,
    abandoned: u64,
    usd_per_call: Option<Usd>,
    ttft_p50_ms: Option<u32>,
}

/// The canary of the view that calls are served from.
pub fn of(running: &Running) -> Shown {
    let canary = &running.canary;
    let rules = canary.abort_on;
    Shown {
        share_permille: canary.lot.share_permille,
        reason: canary.reason.clone(),
        by: canary.by.clone(),
        since_unix_ms: canary.at_ms,
        ends_unix_ms: canary.ends_at_ms,
        abort_on: Rules {
            failed_permille: rules.failed_permille,
            cost_permille: rules.cost_permille,
            ttft_permille: rules.first_content_permille,
        },
        sides: Side::ALL.map(|side| one(running, side)),
    }
}

fn one(running: &Running, side: Side) -> OneSide {
    let totals = running.tally.totals(side);
    let version = match side {
        Side::Stable => &running.canary.base,
        Side::Canary => &running.canary.policy.version,
    };
    OneSide {
        side: side.as_str(),
        version: version.clone(),
        calls: totals.calls,
        failed: totals.failed,
        abandoned: totals.abandoned,
        usd_per_call: totals.cost_per_call().map(|cost| Usd(cost.0)),
        ttft_p50_ms: totals.first_content_ms(50),
    }
}
