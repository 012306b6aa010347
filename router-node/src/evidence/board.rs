//! Where what was collected hangs for every link to read. Who reads too slowly misses the oldest.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, broadcast};
use tokio::time::{Instant, sleep_until};
use trunkline_core::draw::{Rng, affinity_key};
use trunkline_core::failure::FailureKind;
use trunkline_core::id::EndpointId;
use trunkline_proto::health::v1::EndpointEvidence;
use trunkline_runtime::{BoxError, Shutdown};

use super::outcomes::{News, Outcomes};
use super::telemetry::Telemetry;
use crate::pipeline::Router;
use crate::register::Identity;
use crate::view::View;

/// Time between two collections, at least; probers name the same pace …
const COLLECT_EVERY_MS: u64 = 1_000;
/// … and at most this much longer, so that routers do not march in step.
const JITTER_MS: u64 = 200;
/// From the first urgent outcome to its collection: what fails in the same breath is told together.
const COALESCE: Duration = Duration::from_millis(20);
/// Time between two urgent collections, at least: an endpoint that fails every other call is news only so often.
const URGENT_GAP: Duration = Duration::from_millis(100);
/// Collections that may wait for a link: a minute's, or some seconds' of an endpoint that flaps.
const WAITING_MAX: usize = 64;

/// How soon something is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// At once.
    Urgent,
    /// At the usual pace.
    Usual,
}

/// What was collected at one moment.
#[derive(Debug)]
pub struct Collected {
    /// How soon it is told.
    pub urgency: Urgency,
    /// The store revision that was applied.
    pub applied_revision: u64,
    /// What was seen, by endpoint.
    pub endpoints: Vec<(EndpointId, EndpointEvidence)>,
}

/// The board of one router.
pub struct Board {
    collected: broadcast::Sender<Arc<Collected>>,
    news: Notify,
    /// The metrics of all links.
    pub telemetry: Telemetry,
}

impl Board {
    /// An empty board.
    pub fn new() -> Self {
        let (collected, _) = broadcast::channel(WAITING_MAX);
        Self { collected, news: Notify::new(), telemetry: Telemetry::new() }
    }

    /// A call worked.
    pub fn succeeded(&self, outcomes: &Outcomes) {
        self.note(outcomes.succeeded());
    }

    /// A call failed.
    pub fn failed(&self, outcomes: &Outcomes, kind: FailureKind) {
        self.note(outcomes.failed(kind));
    }

    /// Everything that is collected from now on.
    pub fn read(&self) -> broadcast::Receiver<Arc<Collected>> {
        self.collected.subscribe()
    }

    fn note(&self, news: News) {
        if news == News::Urgent {
            self.news.notify_one();
        }
    }
}

impl Default for Board {
    fn default() -> Self {
        Self::new()
    }
}

/// Collects until the shutdown.
///
/// # Errors
/// None; the type is that of a task.
pub async fn collect(
    router: Arc<Router>,
    identity: Identity,
    shutdown: Shutdown,
) -> Result<(), BoxError> {
    let mut rng = Rng::new(affinity_key(identity.node.as_bytes()));
    let (mut collected_at, mut urgent_from) = (Instant::now(), Instant::now());
    let mut due = Instant::now();
    loop {
        let urgency = tokio::select! {
            () = sleep_until(due) => Urgency::Usual,
            () = router.evidence.news.notified() => {
                sleep_until(urgent_from.max(Instant::now() + COALESCE)).await;
                Urgency::Urgent
            }
            () = shutdown.wait() => return Ok(()),
        };
        let (view, now) = (router.view.load_full(), Instant::now());
        let endpoints = endpoints(&view, urgency, now - collected_at);
        match urgency {
            Urgency::Urgent => urgent_from = now + URGENT_GAP,
            Urgency::Usual => {
                collected_at = now;
                let wait_ms = COLLECT_EVERY_MS + rng.next() % JITTER_MS;
                due = now + Duration::from_millis(wait_ms);
            }
        }
        if !endpoints.is_empty() {
            let applied_revision = view.snapshot.revision;
            let collected = Collected { urgency, applied_revision, endpoints };
            // Nobody reads where there are no probers.
            let _ = router.evidence.collected.send(Arc::new(collected));
        }
    }
}

/// What the calls to the view's endpoints came to; only of those with urgent news when it is urgent.
fn endpoints(
    view: &View,
    urgency: Urgency,
    window: Duration,
) -> Vec<(EndpointId, EndpointEvidence)> {
    let states = view.snapshot.endpoints.iter().zip(view.lanes.iter());
    let told = states.filter_map(|(state, lane)| {
        let urgent = lane.load.outcomes.take_urgent();
        if urgency == Urgency::Urgent && !urgent {
            return None;
        }
        let taken = lane.load.outcomes.take()?;
        let told = EndpointEvidence {
            endpoint_id: state.endpoint.id.to_string(),
            window: prost_types::Duration::try_from(window).ok(),
            counts: Some(taken.counts),
            ttft: taken.ttft,
            inter_token: taken.inter_token,
            tokens_per_second: taken.tokens_per_second,
            capacity: taken.capacity,
            consecutive_health_failures: taken.failures_in_a_row,
            in_flight: lane.load.in_flight(),
            urgent,
        };
        Some((state.endpoint.id, told))
    });
    told.collect()
}
