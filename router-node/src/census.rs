//! The census: what operators count of a cluster, from the view that this router's calls are served from. It is
//! taken once a second; no call waits for it.

pub mod telemetry;

use std::collections::BTreeMap;
use std::sync::Arc;

use trunkline_core::assess::Limit;
use trunkline_core::snapshot::EndpointState;

use crate::view::{Lane, View};

pub use telemetry::Telemetry;

/// How an endpoint stands to the drains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// It is in service.
    No,
    /// It takes no new calls.
    Yes,
    /// The deadline of its drain is over: nothing should be in flight any more.
    PastDeadline,
}

impl Drained {
    fn of(state: &EndpointState, lane: &Lane, unix_ms: u64) -> Self {
        match (state.drained, lane.load.is_cut(unix_ms)) {
            (false, _) => Self::No,
            (true, false) => Self::Yes,
            (true, true) => Self::PastDeadline,
        }
    }
}

/// What was counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Count<'a> {
    /// Endpoints that a call may be sent to without being a last resort, by model.
    pub usable: BTreeMap<&'a str, u32>,
    /// Endpoints that the probers find down and that get calls all the same, by what keeps them.
    pub kept: BTreeMap<Limit, u32>,
}

/// Counts one view.
pub fn count(view: &View) -> Count<'_> {
    let mut count = Count::default();
    for state in &view.snapshot.endpoints {
        let row = view.table.rows.get(&state.endpoint.id);
        let usable = !state.drained && state.operator_weight > 0 && state.verdict.usable();
        *count.usable.entry(state.endpoint.model.as_str()).or_default() += u32::from(usable);
        if let Some(limit) = row.and_then(|row| row.limited) {
            *count.kept.entry(limit).or_default() += 1;
        }
    }
    count
}

/// Takes the census, and tells of it.
#[derive(Default)]
pub struct Census {
    telemetry: Telemetry,
    lanes: Option<Arc<[Arc<Lane>]>>,
}

impl Census {
    /// Takes it of a view, at a time in milliseconds since 1970.
    pub fn take(&mut self, view: &View, unix_ms: u64) {
        self.telemetry.counted(&count(view), &view.probers_by_zone);
        for (state, lane) in view.snapshot.endpoints.iter().zip(view.lanes.iter()) {
            self.telemetry.drained(&lane.name, Drained::of(state, lane, unix_ms));
        }
        self.forget_what_left(view);
    }

    /// So many routers decide otherwise.
    pub fn disagreeing(&self, routers: usize) {
        self.telemetry.disagreeing(routers);
    }

    /// A gauge keeps its last value for ever: what left the catalog would look down, or drained, until the
    /// router is started again.
    fn forget_what_left(&mut self, view: &View) {
        let before = self.lanes.replace(Arc::clone(&view.lanes));
        let Some(before) = before.filter(|before| !Arc::ptr_eq(before, &view.lanes)) else {
            return;
        };
        let stays = |name: &str| view.lanes.iter().any(|lane| &*lane.name == name);
        for lane in before.iter().filter(|lane| !stays(&lane.name)) {
            lane.meter.forget();
            self.telemetry.drained(&lane.name, Drained::No);
        }
    }
}
