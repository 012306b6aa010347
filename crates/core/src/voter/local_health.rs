//! How well the prober itself does. The idea is Lifeguard's (Dadgar, Phillips, Currey 2017): who misses its
//! own deadlines should first doubt itself, wait longer and, in the end, hold its tongue.

/// The worst score.
const WORST: u8 = 8;
/// From this score on, the prober's votes are withheld.
const SUSPECT_FROM: u8 = 4;

/// What a prober noticed about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It was woken in time, or one of its calls succeeded.
    Good,
    /// It was woken late, or a call failed for a reason on its own side.
    Bad,
    /// Its test of its own network passed.
    SelfTestPassed,
    /// Its test of its own network failed.
    SelfTestFailed,
}

/// 0 (well) to 8, and whether the last self-test failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalHealth {
    score: u8,
    self_test_failed: bool,
}

impl LocalHealth {
    /// Takes in a sign.
    pub fn note(&mut self, sign: Sign) {
        match sign {
            Sign::Good => self.score = self.score.saturating_sub(1),
            Sign::Bad => self.score = (self.score + 1).min(WORST),
            Sign::SelfTestPassed => self.self_test_failed = false,
            Sign::SelfTestFailed => self.self_test_failed = true,
        }
    }

    /// 0 (well) to 8: deadlines and waiting times grow with it.
    pub fn score(self) -> u8 {
        self.score
    }

    /// Whether its votes are withheld.
    pub fn suspect(self) -> bool {
        self.self_test_failed || self.score >= SUSPECT_FROM
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_bad_signs_withhold_the_vote_and_good_ones_give_it_back() {
        let mut health = LocalHealth::default();
        (0..3).for_each(|_| health.note(Sign::Bad));
        assert!(!health.suspect());
        health.note(Sign::Bad);
        assert!(health.suspect());
        health.note(Sign::Good);
        assert!(!health.suspect());
    }

    #[test]
    fn the_score_is_bounded_on_both_sides() {
        let mut health = LocalHealth::default();
        health.note(Sign::Good);
        assert_eq!(health.score(), 0);
        (0..100).for_each(|_| health.note(Sign::Bad));
        assert_eq!(health.score(), WORST);
    }

    #[test]
    fn a_failed_self_test_withholds_the_vote_until_one_passes() {
        let mut health = LocalHealth::default();
        health.note(Sign::SelfTestFailed);
        health.note(Sign::Good);
        assert!(health.suspect());
        health.note(Sign::SelfTestPassed);
        assert!(!health.suspect());
    }
}
