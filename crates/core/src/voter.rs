//! One prober's vote on one endpoint: a state machine that a test can step through. Everything that needs time
//! is here (hysteresis, back-off, ramp), so that the consensus in [`crate::assess`] needs none.
//!
//! It knows neither sockets nor stores. It is told what happened and when, and answers what to do.

mod calls;
mod case;
mod event;
mod falls;
mod local_health;
mod suspicion;
mod traffic;

use crate::failure::{FailureKind, Penalty};
use crate::id::RouterId;
use crate::observation::{Counts, Evidence, Latency, Vote};
use crate::window::Timings;

use calls::Look;
pub use calls::ROOM_MAX_AGE_MS;
use case::Case;
pub use event::{Actions, Event, Generation, Level};
use falls::Falls;
pub use local_health::{LocalHealth, Sign};

/// Successes in a row that clear a suspicion.
const CLEARING_SUCCESSES: u32 = 2;
/// The least time between going from up to degraded and back.
const DWELL_MS: u64 = 10_000;
/// Successful light probes before a recovery begins …
const RECOVERY_LISTS: u32 = 2;
/// … and generations, where the endpoint may be asked for them.
const RECOVERY_GENERATIONS: u32 = 1;
/// Shares of the weight that a recovery goes through, in ‰; then it is up.
const RAMP_PERMILLE: [u16; 3] = [100, 300, 600];
/// The whole weight.
const FULL_PERMILLE: u16 = 1000;
/// Successes in a row before the next stage.
const STAGE_SUCCESSES: u32 = 3;
/// The least time in a stage.
const STAGE_MS: u64 = 5_000;
/// An endpoint that refused live calls and may not be asked to generate is given another chance after this long,
/// if lighter probes work: nobody calls it meanwhile, so nobody else could find out.
const CONFIG_RETRY_MS: u64 = 300_000;
/// Without any evidence for this long, nothing is known any more. Longer than the slowest light probe.
const EVIDENCE_MAX_AGE_MS: u64 = 300_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Unseen,
    Up {
        since_ms: u64,
    },
    /// `failed` is how far our own failed probes went; nothing when only routers see it fail.
    Suspect {
        since_ms: u64,
        failed: Option<Level>,
        successes: u32,
    },
    Degraded {
        since_ms: u64,
    },
    /// `live` where live calls failed, too; `works_since_ms` is when it began to work again, back-off or not.
    Down {
        live: bool,
        until_ms: u64,
        works_since_ms: Option<u64>,
        lists: u32,
        generations: u32,
    },
    Recovering {
        stage: usize,
        since_ms: u64,
        successes: u32,
    },
    Config {
        level: Level,
        since_ms: u64,
    },
}

/// What an event told besides what it changed.
struct News {
    /// Others began to suspect.
    others_began: bool,
    look: Look,
}

/// The state. Times are milliseconds of any clock that never goes back.
#[derive(Clone, Debug)]
pub struct Voter {
    phase: Phase,
    case: Case,
    falls: Falls,
    suspecting: u32,
    observers: u32,
    own: LocalHealth,
    generation: Generation,
}

impl Voter {
    /// A voter that has seen nothing.
    pub fn new(generation: Generation) -> Self {
        Self {
            phase: Phase::Unseen,
            case: Case::default(),
            falls: Falls::default(),
            suspecting: 0,
            observers: 1,
            own: LocalHealth::default(),
            generation,
        }
    }

    /// Takes in an event.
    pub fn step(&mut self, event: Event, now_ms: u64) -> Actions {
        let (vote, ramp) = (self.vote(), self.ramp_permille());
        let News { others_began, look } = self.take_in(event, now_ms);
        self.advance(now_ms);
        let vote_changed = self.vote() != vote;
        let suspects_now = vote_changed && self.vote() == Vote::Suspect;
        Actions {
            vote_changed,
            ramp_changed: self.ramp_permille() != ramp,
            look_now: others_began || suspects_now,
            look_free: look == Look::Now,
        }
    }

    /// The opinion to publish.
    pub fn vote(&self) -> Vote {
        if self.own.suspect() {
            return Vote::Unknown;
        }
        match self.phase {
            Phase::Unseen => Vote::Unknown,
            Phase::Up { .. } => Vote::Up,
            Phase::Suspect { .. } => Vote::Suspect,
            Phase::Degraded { .. } => Vote::Degraded,
            Phase::Down { .. } => Vote::Down,
            Phase::Recovering { .. } => Vote::Recovering,
            Phase::Config { .. } => Vote::Config,
        }
    }

    /// The share of the weight to use, in ‰.
    pub fn ramp_permille(&self) -> u16 {
        match self.phase {
            Phase::Recovering { stage, .. } => {
                RAMP_PERMILLE.get(stage).copied().unwrap_or(FULL_PERMILLE)
            }
            Phase::Unseen
            | Phase::Up { .. }
            | Phase::Suspect { .. }
            | Phase::Degraded { .. }
            | Phase::Down { .. }
            | Phase::Config { .. } => FULL_PERMILLE,
        }
    }

    /// How often it went down again soon after it had gone down, forgiven in time; at most 2.
    pub fn flap(&self) -> u8 {
        self.falls.flap()
    }

    /// Until when nothing is expected of it; `None` unless it is down.
    pub fn back_off_until_ms(&self) -> Option<u64> {
        match self.phase {
            Phase::Down { until_ms, .. } => Some(until_ms),
            Phase::Unseen
            | Phase::Up { .. }
            | Phase::Suspect { .. }
            | Phase::Degraded { .. }
            | Phase::Recovering { .. }
            | Phase::Config { .. } => None,
        }
    }

    /// What was counted in the last minute, probes and live calls together.
    pub fn counts(&self, now_ms: u64) -> Counts {
        self.case.counts(now_ms)
    }

    /// Takes in how fast a router's live calls were.
    pub fn time_calls(&mut self, router: &RouterId, timings: &Timings, now_ms: u64) {
        self.case.calls().timed(router, timings, now_ms);
    }

    /// How fast the routers agree that live calls were in the last minute.
    pub fn live_latency(&self, now_ms: u64) -> Latency {
        self.case.live_latency(now_ms)
    }

    /// Live calls of the last 10 to 20 seconds, and those of them that a rate limit turned away.
    pub fn recent_refusals(&self, now_ms: u64) -> (u64, u64) {
        self.case.recent_refusals(now_ms)
    }

    /// What the vote rests on. Calls that work are no part of finding it down.
    pub fn evidence(&self, now_ms: u64) -> Evidence {
        let told = self.case.evidence(now_ms);
        match self.phase {
            Phase::Down { live, .. } => Evidence { passive: live, ..told },
            Phase::Unseen
            | Phase::Up { .. }
            | Phase::Suspect { .. }
            | Phase::Degraded { .. }
            | Phase::Recovering { .. }
            | Phase::Config { .. } => told,
        }
    }

    fn take_in(&mut self, event: Event, now_ms: u64) -> News {
        let mut news = News { others_began: false, look: Look::NoNeed };
        match event {
            Event::Probed { level, failure: None } => {
                self.case.probed(&Counts { ok: 1, ..Counts::default() }, now_ms);
                self.succeeded(level, now_ms);
            }
            Event::Probed { level, failure: Some(kind) } => self.probe_failed(level, kind, now_ms),
            Event::Traffic { router, counts, consecutive_health } => {
                news.look = self.traffic(&router, &counts, consecutive_health, now_ms);
            }
            Event::Routers(routers) => self.case.calls().set_routers(routers),
            Event::Peers { suspecting, observers } => {
                news.others_began = self.suspecting == 0 && suspecting > 0;
                (self.suspecting, self.observers) = (suspecting, observers);
            }
            Event::Own(own) => self.own = own,
            Event::Generation(generation) => self.generation = generation,
            Event::Tick => {}
        }
        news
    }

    fn probe_failed(&mut self, level: Level, kind: FailureKind, now_ms: u64) {
        // Who doubts itself takes its failures for its own.
        if self.own.suspect() {
            return;
        }
        let one = Counts::of_failure(kind);
        self.case.probed(&one, now_ms);
        match kind.effect().penalty {
            Penalty::Health => self.failed(level, now_ms),
            Penalty::Credential | Penalty::Model => self.refused(level, now_ms),
            Penalty::HalfHealth | Penalty::Capacity => self.case.seen(now_ms),
            Penalty::Nobody => {
                // Whoever finds fault with what a probe asks is there, and will find it again: models that know
                // no `max_tokens` do. A recovery that waited for such a generation would never come.
                if level == Level::Generate && kind == FailureKind::BadRequest {
                    self.generation = Generation::Withheld;
                }
            }
        }
    }

    fn succeeded(&mut self, at: Level, now_ms: u64) {
        self.case.seen(now_ms);
        self.case.clear_chains(at);
        match &mut self.phase {
            Phase::Unseen => self.phase = Phase::Up { since_ms: now_ms },
            Phase::Suspect { failed: Some(failed), successes, .. } if at >= *failed => {
                *successes = successes.saturating_add(1);
            }
            Phase::Config { level, since_ms } => {
                let withheld = self.generation == Generation::Withheld;
                let waited = now_ms.saturating_sub(*since_ms) >= CONFIG_RETRY_MS;
                if at >= *level || withheld && waited {
                    self.phase = Phase::Up { since_ms: now_ms };
                }
            }
            Phase::Down { until_ms, works_since_ms, lists, generations, .. } => {
                works_since_ms.get_or_insert(now_ms);
                if now_ms >= *until_ms {
                    match at {
                        Level::Connect | Level::List => *lists = lists.saturating_add(1),
                        Level::Generate => *generations = generations.saturating_add(1),
                    }
                    self.recover_if_ready(now_ms);
                }
            }
            Phase::Recovering { successes, .. } => *successes = successes.saturating_add(1),
            Phase::Up { .. } | Phase::Degraded { .. } | Phase::Suspect { .. } => {}
        }
    }

    fn recover_if_ready(&mut self, now_ms: u64) {
        let Phase::Down { works_since_ms, lists, generations, .. } = self.phase else { return };
        // A generation that worked proves what a light probe would.
        let light = lists + generations.saturating_sub(RECOVERY_GENERATIONS) >= RECOVERY_LISTS;
        let full = generations >= RECOVERY_GENERATIONS || self.generation == Generation::Withheld;
        let steady_ms = works_since_ms.map_or(0, |since| now_ms.saturating_sub(since));
        if light && full && steady_ms >= self.falls.steady_ms() {
            self.case.clear_counts();
            self.phase = Phase::Recovering { stage: 0, since_ms: now_ms, successes: 0 };
        }
    }

    fn failed(&mut self, level: Level, now_ms: u64) {
        self.case.seen(now_ms);
        self.case.failed(level);
        let suspect = Phase::Suspect { since_ms: now_ms, failed: Some(level), successes: 0 };
        match &mut self.phase {
            Phase::Unseen | Phase::Up { .. } => self.phase = suspect,
            // What is degraded fails now and then; what refuses us fails for another reason first.
            Phase::Degraded { .. } | Phase::Config { .. } => {
                if self.case.fails_in_a_row() {
                    self.phase = suspect;
                }
            }
            Phase::Suspect { failed, successes, .. } => {
                *failed = (*failed).max(Some(level));
                *successes = 0;
            }
            Phase::Down { works_since_ms, lists, generations, .. } => {
                (*works_since_ms, *lists, *generations) = (None, 0, 0);
            }
            Phase::Recovering { .. } => self.go_down(now_ms),
        }
    }

    fn refused(&mut self, level: Level, now_ms: u64) {
        self.case.seen(now_ms);
        self.case.refused(level);
        if self.case.refuses(now_ms) {
            self.phase = Phase::Config { level, since_ms: now_ms };
        }
    }

    fn go_down(&mut self, now_ms: u64) {
        let (live, until_ms) = (self.case.live_calls_fail(now_ms), self.falls.fell(now_ms));
        self.phase = Phase::Down { live, until_ms, works_since_ms: None, lists: 0, generations: 0 };
    }

    /// What time and counts alone bring about.
    fn advance(&mut self, now_ms: u64) {
        match self.phase {
            Phase::Suspect { since_ms, failed, successes } => {
                let waited = now_ms.saturating_sub(since_ms) >= self.suspicion_ms();
                let cleared = failed.is_none() || successes >= CLEARING_SUCCESSES;
                let fails = self.case.live_calls_fail(now_ms);
                // Calls that worked before the last ones failed are no defence: a router hardly calls again what
                // has just failed, so to wait for rows of failures would be to wait until the good are forgotten.
                let defended = self.case.live_calls_work(now_ms) && !fails;
                let convicted = self.case.convicts(now_ms) && !defended;
                if cleared && !fails {
                    self.phase = Phase::Up { since_ms: now_ms };
                } else if waited && convicted {
                    self.go_down(now_ms);
                }
            }
            Phase::Up { since_ms } | Phase::Degraded { since_ms } => {
                self.falls.stands(now_ms);
                if now_ms.saturating_sub(since_ms) >= DWELL_MS {
                    self.grade(now_ms);
                }
            }
            Phase::Recovering { stage, since_ms, successes } => {
                let long_enough = now_ms.saturating_sub(since_ms) >= STAGE_MS;
                if long_enough && successes >= STAGE_SUCCESSES {
                    self.next_stage(stage + 1, now_ms);
                }
            }
            Phase::Unseen | Phase::Down { .. } | Phase::Config { .. } => {}
        }
        if self.case.age_ms(now_ms) >= EVIDENCE_MAX_AGE_MS {
            self.phase = Phase::Unseen;
        }
    }

    fn next_stage(&mut self, stage: usize, now_ms: u64) {
        self.phase = if stage < RAMP_PERMILLE.len() {
            Phase::Recovering { stage, since_ms: now_ms, successes: 0 }
        } else {
            Phase::Up { since_ms: now_ms }
        };
    }

    fn grade(&mut self, now_ms: u64) {
        match self.phase {
            Phase::Up { .. } if self.case.degraded(now_ms) => {
                self.phase = Phase::Degraded { since_ms: now_ms };
            }
            Phase::Degraded { .. } if self.case.no_longer_degraded(now_ms) => {
                self.phase = Phase::Up { since_ms: now_ms };
            }
            Phase::Up { .. }
            | Phase::Degraded { .. }
            | Phase::Unseen
            | Phase::Suspect { .. }
            | Phase::Down { .. }
            | Phase::Recovering { .. }
            | Phase::Config { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests;
