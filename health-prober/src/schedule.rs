//! When an endpoint is probed next, and with what. Pure: the clock reading and the random numbers come in.
//!
//! Light probes (connect, list of models) are free and come at a steady pace; generations cost money, are shared
//! among the observers, and stop where live traffic tells more. A suspicion makes both hurry.

use trunkline_core::draw::Rng;
use trunkline_core::observation::Vote;

/// Time between two light probes of a prober that does well.
const LIGHT_MIN_MS: u64 = 15_000;
/// Time between two light probes at most.
const LIGHT_MAX_MS: u64 = 60_000;
/// Time between two generations of all observers together, where there is no live traffic.
const FULL_MIN_MS: u64 = 60_000;
/// Time between two generations of all observers together at most.
const FULL_MAX_MS: u64 = 15 * 60_000;
/// Live calls in the last half minute from which on no generation is needed.
const ENOUGH_LIVE_CALLS: u64 = 20;
/// First wait for a light probe of an endpoint in doubt; doubles …
const LIGHT_HASTE_MIN_MS: u64 = 500;
/// … up to this.
const LIGHT_HASTE_MAX_MS: u64 = 30_000;
/// First wait for a generation of an endpoint in doubt; doubles …
const FULL_HASTE_MIN_MS: u64 = 5_000;
/// … up to this.
const FULL_HASTE_MAX_MS: u64 = 60_000;
/// Time between two light probes while recovering: three fit into a stage of five seconds.
const LIGHT_RECOVERY_MS: u64 = 1_500;
/// Time between two generations while recovering: one for each stage.
const FULL_RECOVERY_MS: u64 = 5_000;
/// How much each wait differs at random, in percent, so that observers do not march in step.
const JITTER_PERCENT: u64 = 20;
/// When others suspect an endpoint, all look within this time.
const LOOK_WITHIN_MS: u64 = 250;

/// What the waits depend on.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// The vote as it stands.
    pub vote: Vote,
    /// How badly the prober itself does, 0 to 8.
    pub local_health: u8,
    /// Live calls in about the last half minute that worked; 0 while the routers see it fail.
    pub good_live_calls: u64,
    /// So many live calls work at present that no probe can bring it down.
    pub live_calls_work: bool,
    /// How many observers share the generations.
    pub observers: u64,
    /// Until when nothing is expected of an endpoint that is down.
    pub back_off_until_ms: Option<u64>,
}

/// When each kind of probe is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The next light probe.
    pub light_due_ms: u64,
    /// The next generation.
    pub full_due_ms: u64,
    light_steps: u32,
    full_steps: u32,
}

impl Schedule {
    /// First probes at random within `spread_ms`, the generation after the light one.
    pub fn new(spread_ms: u64, rng: &mut Rng, now_ms: u64) -> Self {
        let light_due_ms = now_ms + below(rng, spread_ms);
        let full_due_ms = light_due_ms + below(rng, spread_ms);
        Self { light_due_ms, full_due_ms, light_steps: 0, full_steps: 0 }
    }

    /// A light probe was sent.
    pub fn light_sent(&mut self, situation: &Situation, rng: &mut Rng, now_ms: u64) {
        let wait = match situation.vote {
            Vote::Suspect | Vote::Down => {
                doubled(LIGHT_HASTE_MIN_MS, LIGHT_HASTE_MAX_MS, &mut self.light_steps)
            }
            Vote::Recovering => LIGHT_RECOVERY_MS,
            Vote::Unknown | Vote::Up | Vote::Degraded | Vote::Config => {
                self.light_steps = 0;
                let slower = 1 + u64::from(situation.local_health);
                (LIGHT_MIN_MS * slower).min(LIGHT_MAX_MS)
            }
        };
        self.light_due_ms = now_ms + jittered(wait, rng);
    }

    /// A generation was sent, or passed over.
    pub fn full_sent(&mut self, situation: &Situation, rng: &mut Rng, now_ms: u64) {
        let wait = match situation.vote {
            Vote::Suspect | Vote::Down => {
                doubled(FULL_HASTE_MIN_MS, FULL_HASTE_MAX_MS, &mut self.full_steps)
            }
            Vote::Recovering => FULL_RECOVERY_MS,
            Vote::Unknown | Vote::Up | Vote::Degraded | Vote::Config => {
                self.full_steps = 0;
                // Beyond enough none is sent: then the wait is only until the next look at the traffic.
                let calls = situation.good_live_calls.min(ENOUGH_LIVE_CALLS);
                let one = FULL_MIN_MS + FULL_MIN_MS * calls / 10;
                // Everyone waits as many turns as there are observers; chance keeps the turns apart.
                one.clamp(FULL_MIN_MS, FULL_MAX_MS) * situation.observers.max(1)
            }
        };
        let due = now_ms + jittered(wait, rng);
        self.full_due_ms = due.max(situation.back_off_until_ms.unwrap_or(0));
    }

    /// Somebody began to suspect the endpoint: look now, and start waiting from small again.
    pub fn hurry(&mut self, rng: &mut Rng, now_ms: u64) {
        (self.light_steps, self.full_steps) = (0, 0);
        self.light_due_ms = self.light_due_ms.min(now_ms + below(rng, LOOK_WITHIN_MS));
        self.full_due_ms = self.full_due_ms.min(now_ms + below(rng, LOOK_WITHIN_MS));
    }

    /// A router saw it fail: a free probe now; money is not spent on one router's word.
    pub fn look(&mut self, rng: &mut Rng, now_ms: u64) {
        self.light_due_ms = self.light_due_ms.min(now_ms + below(rng, LOOK_WITHIN_MS));
    }

    /// The vote changed: waits that were made for the old one are shortened to the new pace.
    pub fn repace(&mut self, situation: &Situation, rng: &mut Rng, now_ms: u64) {
        let mut fresh = *self;
        (fresh.light_steps, fresh.full_steps) = (0, 0);
        fresh.light_sent(situation, rng, now_ms);
        fresh.full_sent(situation, rng, now_ms);
        self.light_due_ms = self.light_due_ms.min(fresh.light_due_ms);
        self.full_due_ms = match situation.back_off_until_ms {
            Some(until_ms) => fresh.full_due_ms.max(until_ms),
            None => self.full_due_ms.min(fresh.full_due_ms),
        };
        (self.light_steps, self.full_steps) = (fresh.light_steps, fresh.full_steps);
    }
}

/// Whether live traffic says so much that a generation would add nothing. What was found down must be seen to
/// work by more than one router's word before the generation is spared that its recovery waits for.
pub fn live_traffic_suffices(situation: &Situation) -> bool {
    match situation.vote {
        Vote::Unknown | Vote::Up | Vote::Degraded | Vote::Suspect => {
            situation.good_live_calls >= ENOUGH_LIVE_CALLS
        }
        Vote::Down | Vote::Recovering | Vote::Config => situation.live_calls_work,
    }
}

fn doubled(min: u64, max: u64, steps: &mut u32) -> u64 {
    let wait = (min << (*steps).min(16)).min(max);
    *steps += 1;
    wait
}

fn jittered(wait: u64, rng: &mut Rng) -> u64 {
    let span = wait * JITTER_PERCENT / 100;
    wait - span + below(rng, 2 * span)
}

/// A number from 0 up to and with `most`.
fn below(rng: &mut Rng, most: u64) -> u64 {
    rng.next() % (most + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Situation = Situation {
        vote: Vote::Up,
        local_health: 0,
        good_live_calls: 0,
        live_calls_work: false,
        observers: 3,
        back_off_until_ms: None,
    };

    fn waits(situation: Situation, times: usize) -> (Vec<u64>, Vec<u64>) {
        let mut rng = Rng::new(1);
        let mut schedule = Schedule::new(0, &mut rng, 0);
        let mut wait = |_| {
            schedule.light_sent(&situation, &mut rng, 0);
            schedule.full_sent(&situation, &mut rng, 0);
            (schedule.light_due_ms, schedule.full_due_ms)
        };
        (0..times).map(&mut wait).unzip()
    }

    fn about(wait: u64, of: u64) -> bool {
        (of * 8 / 10..=of * 12 / 10).contains(&wait)
    }

    #[test]
    fn calm_endpoints_are_listed_every_15_seconds_and_asked_every_minute_by_somebody() {
        let (light, full) = waits(CALM, 20);
        assert!(light.iter().all(|wait| about(*wait, 15_000)), "{light:?}");
        assert!(full.iter().all(|wait| about(*wait, 3 * 60_000)), "{full:?}");
    }

    #[test]
    fn a_prober_that_does_badly_probes_less() {
        let (light, _) = waits(Situation { local_health: 2, ..CALM }, 1);
        assert!(about(light[0], 45_000));
        let (light, _) = waits(Situation { local_health: 8, ..CALM }, 1);
        assert!(about(light[0], 60_000));
    }

    #[test]
    fn live_traffic_replaces_generations() {
        let (_, full) = waits(Situation { good_live_calls: 10, observers: 1, ..CALM }, 1);
        assert!(about(full[0], 120_000));
        let with = |vote, good_live_calls| {
            live_traffic_suffices(&Situation { vote, good_live_calls, ..CALM })
        };
        assert!(!with(Vote::Up, 19));
        assert!(with(Vote::Up, 20) && with(Vote::Suspect, 20));
        assert!(!with(Vote::Down, 1_000));
        let down = Situation { vote: Vote::Down, live_calls_work: true, ..CALM };
        assert!(live_traffic_suffices(&down));
    }

    #[test]
    fn much_live_traffic_is_looked_at_again_soon() {
        let much = Situation { good_live_calls: 1_000_000, observers: 1, ..CALM };
        assert!(about(waits(much, 1).1[0], 180_000));
    }

    #[test]
    fn a_routers_word_brings_a_free_probe_and_no_paid_one() {
        let mut rng = Rng::new(1);
        let mut schedule = Schedule::new(0, &mut rng, 0);
        schedule.light_sent(&CALM, &mut rng, 0);
        schedule.full_sent(&CALM, &mut rng, 0);
        let paid = schedule.full_due_ms;
        schedule.look(&mut rng, 1_000);
        assert!(schedule.light_due_ms <= 1_250);
        assert_eq!(schedule.full_due_ms, paid);
    }

    #[test]
    fn doubt_makes_haste_that_slows_down() {
        let (light, full) = waits(Situation { vote: Vote::Suspect, ..CALM }, 8);
        let steps = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000];
        assert!(light.iter().zip(steps).all(|(wait, of)| about(*wait, of)), "{light:?}");
        assert!(about(full[0], 5_000) && about(full[7], 60_000), "{full:?}");
    }

    #[test]
    fn no_generation_is_spent_before_the_back_off_ends() {
        let down = Situation { vote: Vote::Down, back_off_until_ms: Some(99_000), ..CALM };
        assert_eq!(waits(down, 1).1, [99_000]);
    }

    #[test]
    fn when_others_suspect_all_look_within_a_quarter_second() {
        let mut rng = Rng::new(1);
        let mut schedule = Schedule::new(0, &mut rng, 0);
        schedule.light_sent(&CALM, &mut rng, 0);
        schedule.hurry(&mut rng, 1_000);
        assert!(schedule.light_due_ms <= 1_250);
    }

    #[test]
    fn a_recovery_does_not_wait_for_the_pace_of_an_outage() {
        let mut rng = Rng::new(1);
        let mut schedule = Schedule::new(0, &mut rng, 0);
        let down = Situation { vote: Vote::Down, ..CALM };
        (0..9).for_each(|_| schedule.light_sent(&down, &mut rng, 0));
        let recovering = Situation { vote: Vote::Recovering, ..CALM };
        schedule.repace(&recovering, &mut rng, 0);
        assert!(about(schedule.light_due_ms, 1_500));
    }
}
