//! One router's own judgement of one endpoint, within milliseconds: a breaker, and ghost load that keeps an
//! endpoint which fails fast from looking idle.

/// HEALTH failures in a row that eject.
const CONSECUTIVE_LIMIT: u32 = 5;
/// Seconds of recent outcomes that are judged.
const RING_SECONDS: usize = 10;
/// The same in milliseconds: what is longer ago is not recent.
pub const RECENT_MS: u64 = RING_SECONDS as u64 * 1_000;
/// Fewer outcomes than this in the ring are judged only by the row above.
const MIN_SAMPLES: u32 = 20;
/// First back-off after an ejection; doubles up to [`BACK_OFF_MAX_MS`].
const BACK_OFF_MIN_MS: u64 = 1_000;
/// Longest back-off.
const BACK_OFF_MAX_MS: u64 = 60_000;
/// A trial that has not ended after this long no longer holds the only permit.
const TRIAL_HOLD_MS: u64 = 120_000;
/// Ghost load of one HEALTH failure, in thousandths of a call in flight.
const GHOST_PER_FAILURE_MILLI: u32 = 2_000;
/// Ghost load is bounded, so that hours of failures do not need hours to fade.
const GHOST_MAX_MILLI: u32 = 1_000_000;
/// Ghost load halves in this time: a decay constant of 5 s is a half-life of 5 s · ln 2.
const GHOST_HALF_LIFE_MS: u64 = 3_466;
/// Bits of a packed ghost that hold its time: milliseconds of more than 500 years, and what is left holds
/// [`GHOST_MAX_MILLI`].
const GHOST_TIME_BITS: u32 = 44;
/// Those bits.
const GHOST_TIME_MASK: u64 = (1 << GHOST_TIME_BITS) - 1;

/// Whether this router sends an endpoint calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admission {
    /// Yes.
    #[default]
    Admitted,
    /// One trial call is due.
    Trial,
    /// No.
    Ejected,
    /// Its credentials are cooling down after a 429.
    Cooling,
}

impl Admission {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Admitted, Self::Trial, Self::Ejected, Self::Cooling];

    /// The name in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Trial => "trial",
            Self::Ejected => "ejected",
            Self::Cooling => "cooling",
        }
    }
}

/// How a try ended, as far as health is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It worked.
    Good,
    /// It failed, and the endpoint's health pays.
    Bad,
    /// It failed as a plain 503 does: counted half.
    HalfBad,
}

/// One second of outcomes, in halves so that a half failure is a whole number.
#[derive(Clone, Copy, Debug, Default)]
struct Second {
    at: u64,
    good: u32,
    bad: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Admitted,
    Ejected { until_ms: u64 },
    Trying { since_ms: u64 },
}

/// The breaker of one endpoint on one router. Times are milliseconds of any clock that never goes back.
#[derive(Clone, Debug)]
pub struct Breaker {
    state: State,
    consecutive: u32,
    back_off_ms: u64,
    last_ejected_ms: u64,
    ring: [Second; RING_SECONDS],
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            state: State::Admitted,
            consecutive: 0,
            back_off_ms: BACK_OFF_MIN_MS,
            last_ejected_ms: 0,
            ring: [Second::default(); RING_SECONDS],
        }
    }
}

impl Breaker {
    /// Whether a call may go there now.
    pub fn admission(&self, now_ms: u64) -> Admission {
        match self.state {
            State::Admitted => Admission::Admitted,
            State::Ejected { until_ms } if now_ms >= until_ms => Admission::Trial,
            State::Trying { since_ms } if now_ms >= since_ms + TRIAL_HOLD_MS => Admission::Trial,
            State::Ejected { .. } | State::Trying { .. } => Admission::Ejected,
        }
    }

    /// Takes the one trial permit; `false` when there is none to take.
    pub fn take_trial(&mut self, now_ms: u64) -> bool {
        let due = self.admission(now_ms) == Admission::Trial;
        if due {
            self.state = State::Trying { since_ms: now_ms };
        }
        due
    }

    /// Gives the permit back when a trial ended without saying anything about health.
    pub fn return_trial(&mut self, now_ms: u64) {
        if matches!(self.state, State::Trying { .. }) {
            self.state = State::Ejected { until_ms: now_ms };
        }
    }

    /// Gives back the permit that was taken at `since_ms`, if its trial still runs: another may run by now.
    pub fn abandon_trial(&mut self, since_ms: u64) {
        if self.state == (State::Trying { since_ms }) {
            self.return_trial(since_ms);
        }
    }

    /// Takes in the end of a try.
    pub fn record(&mut self, outcome: Outcome, now_ms: u64) {
        let second = self.second(now_ms);
        match outcome {
            Outcome::Good => second.good += 2,
            Outcome::Bad => second.bad += 2,
            Outcome::HalfBad => {
                second.bad += 1;
                second.good += 1;
            }
        }
        match outcome {
            Outcome::Good => {
                self.consecutive = 0;
                if self.state != State::Admitted {
                    self.readmit(now_ms);
                }
            }
            Outcome::HalfBad => self.judge(now_ms),
            Outcome::Bad => {
                self.consecutive += 1;
                self.judge(now_ms);
            }
        }
    }

    /// The cluster says the endpoint is up: its next trial is due now. It never admits by force.
    pub fn cluster_says_up(&mut self, now_ms: u64) {
        if let State::Ejected { until_ms } = &mut self.state {
            *until_ms = (*until_ms).min(now_ms);
        }
    }

    /// Good and bad outcomes of the last ten seconds.
    pub fn recent(&self, now_ms: u64) -> (u32, u32) {
        let oldest = (now_ms / 1000).saturating_sub(RING_SECONDS as u64 - 1);
        let recent = self.ring.iter().filter(|s| s.at >= oldest);
        let (good, bad) = recent.fold((0, 0), |(g, b), s| (g + s.good, b + s.bad));
        (good / 2, bad.div_ceil(2))
    }

    /// Whether the last ten seconds were at least 90 % good; `false` when nothing happened in them.
    pub fn recently_good(&self, now_ms: u64) -> bool {
        let (good, bad) = self.recent(now_ms);
        good + bad > 0 && good * 10 >= (good + bad) * 9
    }

    fn judge(&mut self, now_ms: u64) {
        let (good, bad) = self.recent(now_ms);
        let mostly_bad = good + bad >= MIN_SAMPLES && good < bad;
        let failed_trial = matches!(self.state, State::Trying { .. });
        if failed_trial || self.consecutive >= CONSECUTIVE_LIMIT || mostly_bad {
            self.eject(now_ms);
        }
    }

    fn eject(&mut self, now_ms: u64) {
        if matches!(self.state, State::Ejected { .. }) {
            return;
        }
        let calm = now_ms.saturating_sub(self.last_ejected_ms) > BACK_OFF_MAX_MS + self.back_off_ms;
        self.back_off_ms = match self.last_ejected_ms {
            0 => BACK_OFF_MIN_MS,
            _ if calm => BACK_OFF_MIN_MS,
            _ => (self.back_off_ms * 2).min(BACK_OFF_MAX_MS),
        };
        self.last_ejected_ms = now_ms.max(1);
        self.state = State::Ejected { until_ms: now_ms + self.back_off_ms };
    }

    fn readmit(&mut self, now_ms: u64) {
        self.state = State::Admitted;
        self.ring = [Second::default(); RING_SECONDS];
        self.second(now_ms).good = 2;
    }

    /// The slot of the current second, emptied if it held an older one.
    fn second(&mut self, now_ms: u64) -> &mut Second {
        let at = now_ms / 1000;
        let [oldest, ..] = &mut self.ring;
        if oldest.at != at {
            self.ring.rotate_right(1);
            let [fresh, ..] = &mut self.ring;
            *fresh = Second { at, good: 0, bad: 0 };
        }
        let [newest, ..] = &mut self.ring;
        newest
    }
}

/// Load that is not there: what an endpoint's failures would have occupied, had they taken their time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ghost {
    milli: u32,
    at_ms: u64,
}

impl Ghost {
    /// The ghost after one more HEALTH failure.
    #[must_use]
    pub fn after_failure(self, now_ms: u64) -> Self {
        let milli = self.at(now_ms).saturating_add(GHOST_PER_FAILURE_MILLI).min(GHOST_MAX_MILLI);
        Self { milli, at_ms: now_ms }
    }

    /// Its size now, in thousandths of a call in flight: halves every 3,466 ms, linear in between.
    pub fn at(self, now_ms: u64) -> u32 {
        let age = now_ms.saturating_sub(self.at_ms);
        let halvings = (age / GHOST_HALF_LIFE_MS).min(31) as u32;
        let whole = u64::from(self.milli >> halvings);
        let into = age % GHOST_HALF_LIFE_MS;
        (whole - whole * into / (2 * GHOST_HALF_LIFE_MS)) as u32
    }

    /// Both parts in one word, for keeping in an atomic: the size, and [`GHOST_TIME_BITS`] of time.
    pub fn to_bits(self) -> u64 {
        (u64::from(self.milli) << GHOST_TIME_BITS) | (self.at_ms & GHOST_TIME_MASK)
    }

    /// The inverse of [`Self::to_bits`].
    pub fn from_bits(bits: u64) -> Self {
        Self { milli: (bits >> GHOST_TIME_BITS) as u32, at_ms: bits & GHOST_TIME_MASK }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(times: u32) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..times {
            breaker.record(Outcome::Bad, 1_000);
        }
        breaker
    }

    #[test]
    fn the_fifth_failure_in_a_row_ejects_and_not_the_fourth() {
        assert_eq!(failed(4).admission(1_000), Admission::Admitted);
        assert_eq!(failed(5).admission(1_000), Admission::Ejected);
    }

    #[test]
    fn a_success_in_between_starts_the_count_anew() {
        let mut breaker = failed(4);
        breaker.record(Outcome::Good, 1_000);
        breaker.record(Outcome::Bad, 1_000);
        assert_eq!(breaker.admission(1_000), Admission::Admitted);
    }

    #[test]
    fn under_half_good_of_twenty_ejects() {
        let mut breaker = Breaker::default();
        for _ in 0..3 {
            for _ in 0..3 {
                breaker.record(Outcome::Good, 1_000);
            }
            for _ in 0..4 {
                breaker.record(Outcome::Bad, 1_000);
            }
        }
        assert_eq!(breaker.admission(1_000), Admission::Ejected);
    }

    #[test]
    fn plain_503s_alone_do_not_eject_by_count() {
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            breaker.record(Outcome::HalfBad, 1_000);
        }
        assert_eq!(breaker.admission(1_000), Admission::Admitted);
    }

    #[test]
    fn one_trial_at_a_time_and_its_success_readmits() {
        let mut breaker = failed(5);
        assert!(!breaker.take_trial(1_999));
        assert!(breaker.take_trial(2_000));
        assert!(!breaker.take_trial(2_000));
        breaker.record(Outcome::Good, 2_100);
        assert_eq!(breaker.admission(2_100), Admission::Admitted);
    }

    #[test]
    fn a_failed_trial_doubles_the_back_off() {
        let mut breaker = failed(5);
        assert!(breaker.take_trial(2_000));
        breaker.record(Outcome::Bad, 2_000);
        assert!(!breaker.take_trial(3_999));
        assert!(breaker.take_trial(4_000));
    }

    #[test]
    fn the_cluster_hastens_the_trial_but_does_not_admit() {
        let mut breaker = failed(5);
        breaker.cluster_says_up(1_001);
        assert_eq!(breaker.admission(1_001), Admission::Trial);
    }

    #[test]
    fn ghosts_fade_to_half_in_a_half_life_and_survive_packing() {
        let ghost = Ghost::default().after_failure(10_000).after_failure(10_000);
        assert_eq!(ghost.at(10_000), 4_000);
        assert_eq!(ghost.at(10_000 + GHOST_HALF_LIFE_MS), 2_000);
        assert_eq!(ghost.at(10_000 + 100 * GHOST_HALF_LIFE_MS), 0);
        assert_eq!(Ghost::from_bits(ghost.to_bits()), ghost);
    }

    #[test]
    fn ghosts_survive_packing_in_a_router_that_runs_for_months() {
        let months_ms = 200 * 24 * 3_600_000;
        let full = (0..1_000).fold(Ghost::default(), |g, _| g.after_failure(months_ms));
        let unpacked = Ghost::from_bits(full.to_bits());
        assert_eq!(unpacked.at(months_ms), GHOST_MAX_MILLI);
        assert_eq!(unpacked.at(months_ms + GHOST_HALF_LIFE_MS), GHOST_MAX_MILLI / 2);
    }
}
