//! What live traffic saw, as routers tell it. It outranks probes; without it, probes go on alone.

use tokio::sync::mpsc;
use trunkline_core::id::EndpointId;
use trunkline_core::observation::Counts;
use trunkline_core::window::Timings;

/// Batches that may wait for the cycle. What comes when it is full is lost: it would be stale anyway.
const MAILBOX_BATCHES: usize = 1_024;

/// What one router saw of one endpoint since it last told.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Calls that ended, by class.
    pub counts: Counts,
    /// HEALTH failures since the last success.
    pub consecutive_health: u32,
    /// How fast the calls were.
    pub timings: Timings,
}

/// One batch.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// Whom it is about.
    pub endpoint: EndpointId,
    /// What was seen.
    pub seen: Seen,
}

/// Where batches are put in.
pub type EvidenceSender = mpsc::Sender<Traffic>;
/// Where the prober takes them out.
pub type EvidenceReceiver = mpsc::Receiver<Traffic>;

/// A mailbox for one prober. Drop the sender where there is nobody to tell anything.
pub fn mailbox() -> (EvidenceSender, EvidenceReceiver) {
    mpsc::channel(MAILBOX_BATCHES)
}
