//! What a voter is told, and what it answers.

use crate::failure::FailureKind;
use crate::id::RouterId;
use crate::observation::Counts;
use crate::voter::LocalHealth;

/// How far a try went. A success says nothing about what lies further in: a list of models that works does
/// not clear a generation that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Name, TCP and TLS.
    Connect,
    /// The authenticated list of models.
    List,
    /// A generation: a probe's or a live call.
    Generate,
}

/// Whether probes may ask an endpoint to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// Yes.
    Allowed,
    /// No: its probe mode forbids it, there is no money for it, or the endpoint finds fault with what probes ask.
    Withheld,
}

/// What a voter is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A probe ended.
    Probed {
        /// How far it was to go.
        level: Level,
        /// How it failed; `None` when it worked.
        failure: Option<FailureKind>,
    },
    /// Live calls ended at a router.
    Traffic {
        /// Which router.
        router: RouterId,
        /// What they came to, since it last told.
        counts: Counts,
        /// HEALTH failures since its last success, by now.
        consecutive_health: u32,
    },
    /// So many routers report to this prober.
    Routers(u32),
    /// What the other observers of the endpoint say.
    Peers {
        /// How many of them suspect it or call it down.
        suspecting: u32,
        /// How many observers there are, this one included.
        observers: u32,
    },
    /// How well the prober itself does.
    Own(LocalHealth),
    /// Whether generations may be asked for changed.
    Generation(Generation),
    /// Time went by.
    Tick,
}

/// What follows from an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    /// The vote is another one: publish at once.
    pub vote_changed: bool,
    /// The ramp is another one: publish with the next batch.
    pub ramp_changed: bool,
    /// Somebody suspects the endpoint, as of now: look at it at once.
    pub look_now: bool,
    /// A router has begun to see it fail: send a free probe at once.
    pub look_free: bool,
}
