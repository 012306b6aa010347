//! What a call holds while it is served: its places among the calls at once, and its weight on an endpoint.

use std::sync::Arc;
use std::time::Instant;

use trunkline_upstream::Failed;

use crate::admission::Permit;
use crate::auth::KeyPermit;
use crate::load::{InFlight, ModelShare, Trial};
use crate::pipeline::Router;
use crate::view::{Lane, View};

/// A call's places among the calls at once: the router's, the key's and the model's.
pub struct Permits {
    /// The router's.
    pub router: Permit,
    /// The key's.
    pub key: KeyPermit,
    /// The model's.
    pub model: Option<ModelShare>,
}

/// What a call holds of an endpoint while it is served there.
pub struct Held {
    /// The view it is served from.
    pub view: Arc<View>,
    /// Position in the snapshot's endpoints.
    pub endpoint: usize,
    /// Which credential is used.
    pub credential: usize,
    /// The process.
    pub(super) router: Arc<Router>,
    /// Its weight on the endpoint.
    pub(super) _in_flight: InFlight,
    /// Its share of the retry budget, if this is a further try.
    pub(super) _retry: Option<ModelShare>,
    /// The trial of an ejected endpoint, if this is it.
    pub(super) _trial: Option<Trial>,
    /// Its places among the calls at once; a stream takes them along.
    pub(super) _permits: Option<Permits>,
}

impl Held {
    /// The endpoint's lane.
    pub fn lane(&self) -> Option<&Lane> {
        self.view.lanes.get(self.endpoint).map(Arc::as_ref)
    }

    /// The try ended well, just now.
    pub fn succeeded(&self, ended: Instant) {
        if let Some(lane) = self.lane() {
            lane.load.succeeded(self.router.clock.at(ended));
            lane.meter.succeeded();
            self.router.evidence.succeeded(&lane.load.outcomes);
        }
    }

    /// The try failed: whoever pays by the failure table pays.
    pub fn failed(&self, failed: &Failed) {
        if let Some(lane) = self.lane() {
            lane.load.failed(&failed.failure, self.credential, self.router.clock.now_ms());
            lane.meter.failed(failed.failure.kind);
            self.router.evidence.failed(&lane.load.outcomes, failed.failure.kind);
        }
    }
}
