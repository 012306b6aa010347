//! A prober's process: the real cycle and publisher, on a clock and a line of its own.

use std::sync::Arc;

use health_prober::config::ProberConfig;
use health_prober::cycle::Cycle;
use health_prober::publish::Publisher;
use health_prober::telemetry::Telemetry;
use trunkline_core::catalog::SecretRef;
use trunkline_core::draw::Rng;
use trunkline_core::id::{ProberId, Zone};
use trunkline_store::keys::ROOT;
use trunkline_store::{Memory, Store, Watch};

use super::link::{Line, Link};
use super::scale::Scale;

/// Clocks differ by up to this: ten minutes, in milliseconds.
const SKEW_MAX_MS: u64 = 600_000;
/// Clocks run fast or slow by up to this, in millionths.
const DRIFT_MAX_PPM: i64 = 500;

/// One that was set wrong, and runs too fast or too slow.
#[derive(Clone, Copy, Debug)]
pub(super) struct WrongClock {
    ahead_ms: u64,
    drift_ppm: i64,
}

impl WrongClock {
    fn drawn(rng: &mut Rng) -> Self {
        let drift = rng.below(2 * DRIFT_MAX_PPM as u64 + 1) as i64;
        Self { ahead_ms: rng.below(SKEW_MAX_MS), drift_ppm: drift - DRIFT_MAX_PPM }
    }

    fn rate(self) -> i128 {
        i128::from(1_000_000 + self.drift_ppm)
    }

    /// What it shows.
    pub(super) fn local_ms(self, now_ms: u64) -> u64 {
        (i128::from(now_ms) * self.rate() / 1_000_000) as u64 + self.ahead_ms
    }

    /// The first moment at which it shows this, or more.
    pub(super) fn moment_ms(self, local_ms: u64) -> u64 {
        let shown = i128::from(local_ms.saturating_sub(self.ahead_ms));
        (shown * 1_000_000 / self.rate() + 1) as u64
    }
}

/// A prober, whether its process runs or not.
pub(super) struct Prober {
    pub(super) config: ProberConfig,
    pub(super) clock: WrongClock,
    /// How many processes it has had; what was under way for a former one comes to nothing.
    pub(super) life: u64,
    /// How its line to the store is.
    pub(super) line: Line,
    /// Whether it reaches any provider.
    pub(super) egress: bool,
    /// Stopped: it does nothing, and notices nothing.
    pub(super) paused: bool,
    pub(super) process: Option<Process>,
}

/// What dies with the process.
pub(super) struct Process {
    pub(super) cycle: Cycle,
    pub(super) publisher: Publisher,
    pub(super) watch: Watch,
    pub(super) link: Arc<Link>,
    pub(super) errand_under_way: bool,
    pub(super) self_test_ms: u64,
    /// When it is woken, in the world's time.
    pub(super) wake_ms: u64,
    /// A look at the store is on its way.
    pub(super) looking: bool,
}

impl Prober {
    pub(super) fn new(id: &str, zone: &str, scale: &Scale, rng: &mut Rng) -> Self {
        let secrets = Arc::new(|reference: &SecretRef| Err(format!("no secret {reference:?}")));
        let mut config = ProberConfig::new(ProberId::new(id), Zone::new(zone), secrets);
        config.endpoint_daily = scale.endpoint_daily;
        config.cluster_daily = scale.cluster_daily;
        Self {
            config,
            clock: WrongClock::drawn(rng),
            life: 0,
            line: Line::Open,
            egress: true,
            paused: false,
            process: None,
        }
    }

    /// Starts a process that knows nothing.
    pub(super) fn start(&mut self, store: &Memory, now_ms: u64) {
        let link = Arc::new(Link::new(store));
        let local_ms = self.clock.local_ms(now_ms);
        let cycle = Cycle::new(&self.config, Telemetry::new(&self.config.id), local_ms);
        let publisher = Publisher::new(&self.config, Arc::clone(&link) as Arc<dyn Store>)
            .expect("the simulation's names fit a key");
        self.process = Some(Process {
            cycle,
            publisher,
            watch: store.watch(ROOT),
            link,
            errand_under_way: false,
            self_test_ms: local_ms,
            wake_ms: 0,
            looking: false,
        });
    }

    /// Ends the process without a word.
    pub(super) fn crash(&mut self) {
        self.life += 1;
        self.process = None;
    }
}
