//! What live traffic saw, as routers tell it. It outranks probes; without it, probes go on alone.

mod message;

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use trunkline_core::id::{EndpointId, RouterId};
use trunkline_core::observation::{Capacity, Counts};
use trunkline_core::window::Timings;

pub use message::{EvidenceError, ROUTER_ID_MAX_BYTES, read};

/// Batches that may wait for the cycle: some seconds of twenty routers. What comes when it is full is lost: it
/// would be stale anyway.
const MAILBOX_BATCHES: usize = 1_024;

/// What one router saw of one endpoint since it last told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Calls that ended, by class.
    pub counts: Counts,
    /// HEALTH failures since the last success.
    pub consecutive_health: u32,
    /// How fast the calls were.
    pub timings: Timings,
    /// What answers told of the room that is left.
    pub room: Option<Capacity>,
}

/// What was seen of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Whom it is about.
    pub endpoint: EndpointId,
    /// What was seen.
    pub seen: Seen,
}

/// What one router tells at once. It may be empty: then it only says that the router is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Who tells it.
    pub router: RouterId,
    /// What it saw.
    pub traffic: Vec<Traffic>,
}

/// The endpoints that a prober watches; `None` while it does not know.
pub type Interest = Option<Arc<BTreeSet<EndpointId>>>;

/// The mailbox is full or its prober is gone: the batch is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

/// Where batches are put in; cheap to clone.
#[derive(Clone, Debug)]
pub struct EvidenceSender {
    batches: mpsc::Sender<Batch>,
    interest: watch::Receiver<Interest>,
}

/// Where the prober takes them out, and says what it wants to hear about.
#[derive(Debug)]
pub struct EvidenceReceiver {
    batches: mpsc::Receiver<Batch>,
    interest: watch::Sender<Interest>,
}

/// A mailbox for one prober. Drop the sender where there is nobody to tell anything.
pub fn mailbox() -> (EvidenceSender, EvidenceReceiver) {
    let (put, batches) = mpsc::channel(MAILBOX_BATCHES);
    let (want, interest) = watch::channel(None);
    (EvidenceSender { batches: put, interest }, EvidenceReceiver { batches, interest: want })
}

impl EvidenceSender {
    /// Puts a batch in; never waits.
    ///
    /// # Errors
    /// [`Lost`] when there is no room.
    pub fn put(&self, batch: Batch) -> Result<(), Lost> {
        self.batches.try_send(batch).map_err(|_| Lost)
    }

    /// What the prober wants to hear about, now and whenever it changes.
    pub fn interest(&self) -> watch::Receiver<Interest> {
        self.interest.clone()
    }
}

impl EvidenceReceiver {
    /// The next batch; `None` when nobody can tell anything any more.
    pub async fn next(&mut self) -> Option<Batch> {
        self.batches.recv().await
    }

    /// Says what the prober wants to hear about from now on.
    pub fn want(&self, endpoints: BTreeSet<EndpointId>) {
        self.interest.send_replace(Some(Arc::new(endpoints)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_mailbox_loses_what_comes_and_keeps_what_waits() {
        let (sender, mut receiver) = mailbox();
        let batch = |n: usize| Batch { router: RouterId::new(&n.to_string()), traffic: Vec::new() };
        for n in 0..MAILBOX_BATCHES {
            assert_eq!(sender.put(batch(n)), Ok(()));
        }
        assert_eq!(sender.put(batch(9_999)), Err(Lost));
        assert_eq!(receiver.batches.try_recv().unwrap(), batch(0));
        assert_eq!(sender.put(batch(9_999)), Ok(()));
    }
}
