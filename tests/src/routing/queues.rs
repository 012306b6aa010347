//! Providers as queues: so many slots each, and whoever finds none free waits in line.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use trunkline_core::draw::Rng;

/// One provider's endpoint.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    /// Calls that it serves at once.
    pub(super) slots: usize,
    /// From its beginning with a call to the first content, in milliseconds.
    pub(super) ttft_ms: u64,
    /// And from there to the end.
    pub(super) rest_ms: u64,
    busy: usize,
    line: VecDeque<Call>,
}

impl Queue {
    pub(super) fn new(slots: usize, ttft_ms: u64, rest_ms: u64) -> Self {
        Self { slots, ttft_ms, rest_ms, busy: 0, line: VecDeque::new() }
    }

    /// How many calls a second it can serve.
    pub(super) fn capacity(&self) -> f64 {
        self.slots as f64 * 1_000.0 / (self.ttft_ms + self.rest_ms) as f64
    }
}

/// A call on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) router: usize,
    pub(super) arrived_ms: u64,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Next {
    /// A call arrives at a router.
    Arrival { router: usize },
    /// An endpoint is done with a call of a router.
    Done { endpoint: usize, router: usize },
}

/// A call whose time to the first content is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    pub(super) endpoint: usize,
    pub(super) ttft_ms: u64,
    /// When the first content comes.
    pub(super) at_ms: u64,
}

/// Calls, arriving by chance at an even rate, and the queues.
pub(super) struct Street {
    pub(super) queues: Vec<Queue>,
    events: BinaryHeap<Reverse<(u64, u64, Next)>>,
    rng: Rng,
    routers: u64,
    gap_ms: f64,
    clock_ms: f64,
    said: u64,
}

impl Street {
    /// So many calls a second, spread over the routers.
    pub(super) fn new(queues: Vec<Queue>, routers: usize, calls_per_s: f64, seed: u64) -> Self {
        let mut street = Self {
            queues,
            events: BinaryHeap::new(),
            rng: Rng::new(seed),
            routers: routers as u64,
            gap_ms: 1_000.0 / calls_per_s,
            clock_ms: 0.0,
            said: 0,
        };
        street.arrive_later();
        street
    }

    /// What happens next, and when. An arrival says when the next one is.
    pub(super) fn next(&mut self) -> Option<(u64, Next)> {
        let Reverse((at_ms, _, next)) = self.events.pop()?;
        if matches!(next, Next::Arrival { .. }) {
            self.arrive_later();
        }
        Some((at_ms, next))
    }

    /// A random number, for a choice.
    pub(super) fn dice(&mut self) -> u64 {
        self.rng.next()
    }

    fn arrive_later(&mut self) {
        // Poisson: the time between two arrivals is exponential.
        let uniform = (self.rng.below(1 << 53) + 1) as f64 / (1u64 << 53) as f64;
        self.clock_ms -= uniform.ln() * self.gap_ms;
        let router = self.rng.below(self.routers) as usize;
        self.say(self.clock_ms as u64, Next::Arrival { router });
    }

    fn say(&mut self, at_ms: u64, next: Next) {
        self.said += 1;
        self.events.push(Reverse((at_ms, self.said, next)));
    }

    /// A call reaches an endpoint; known at once if a slot is free.
    pub(super) fn enter(&mut self, endpoint: usize, call: Call, now_ms: u64) -> Option<Served> {
        let queue = &mut self.queues[endpoint];
        if queue.busy >= queue.slots {
            queue.line.push_back(call);
            return None;
        }
        queue.busy += 1;
        Some(self.serve(endpoint, call, now_ms))
    }

    /// A slot is free; whoever is first in line takes it.
    pub(super) fn leave(&mut self, endpoint: usize, now_ms: u64) -> Option<Served> {
        let queue = &mut self.queues[endpoint];
        match queue.line.pop_front() {
            Some(call) => Some(self.serve(endpoint, call, now_ms)),
            None => {
                queue.busy -= 1;
                None
            }
        }
    }

    fn serve(&mut self, endpoint: usize, call: Call, now_ms: u64) -> Served {
        let Queue { ttft_ms, rest_ms, .. } = self.queues[endpoint];
        let at_ms = now_ms + ttft_ms;
        self.say(at_ms + rest_ms, Next::Done { endpoint, router: call.router });
        Served { endpoint, ttft_ms: at_ms - call.arrived_ms, at_ms }
    }
}
