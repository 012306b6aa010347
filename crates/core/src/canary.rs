//! A canary: a candidate policy that decides a share of the calls, beside the stable one that decides the rest.
//! Which side a call is on, and when the candidate does so badly that it must end.

use crate::draw::Rng;
use crate::money::PicoUsd;
use crate::score::Bucket;

/// The largest share, in ‰: a candidate that decides more than half is no canary any more, but a change.
pub const MAX_SHARE_PERMILLE: u32 = 500;
/// The most that a rule allows, in ‰: ten times as much is no rule.
pub const MAX_RULE_PERMILLE: u32 = 10_000;
/// Calls that each side must have ended before a rule can end the canary: with fewer, chance decides.
pub const MIN_JUDGED_CALLS: u64 = 100;
/// How many standard errors a difference of failed shares must be beyond its rule: 3 is chance once in 700, and
/// it is looked at again and again.
const STANDARD_ERRORS: f64 = 3.0;
/// Buckets of times to the first content: all that there are.
pub const BUCKETS: usize = Bucket::MAX.index() as usize + 1;

/// Which policy decides over a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The policy in force.
    Stable,
    /// The candidate.
    Canary,
}

impl Side {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Stable, Self::Canary];

    /// The name in metrics and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
        }
    }
}

/// Draws sides. The same caller is on the same side on every router, for as long as the candidate is the same;
/// whoever is on its side at a share stays there when the share grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lot {
    /// What makes another candidate choose other callers; of its version.
    pub salt: u64,
    /// The share of callers on the candidate's side, in ‰.
    pub share_permille: u32,
}

impl Lot {
    /// The side of a caller, who is any 64 bits that stay the same for them.
    pub const fn side(&self, caller: u64) -> Side {
        let drawn = Rng::new(caller ^ self.salt).below(1_000);
        if drawn < self.share_permille as u64 { Side::Canary } else { Side::Stable }
    }
}

/// What became of one side's calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Calls that ended while their caller was there.
    pub calls: u64,
    /// Those of them that ended with an error.
    pub failed: u64,
    /// Calls whose caller left.
    pub abandoned: u64,
    /// What all of them cost.
    pub cost: PicoUsd,
    /// Times to the first content of streams, in milliseconds, by bucket; [`BUCKETS`] of them.
    pub first_content: Vec<u64>,
}

impl Default for Totals {
    fn default() -> Self {
        let (calls, failed, abandoned, cost) = (0, 0, 0, PicoUsd::ZERO);
        Self { calls, failed, abandoned, cost, first_content: vec![0; BUCKETS] }
    }
}

impl Totals {
    /// Adds another router's.
    pub fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.failed = self.failed.saturating_add(other.failed);
        self.abandoned = self.abandoned.saturating_add(other.abandoned);
        self.cost = PicoUsd(self.cost.0.saturating_add(other.cost.0));
        for (sum, count) in self.first_content.iter_mut().zip(&other.first_content) {
            *sum = sum.saturating_add(*count);
        }
    }

    /// What a call costs on average; `None` without calls.
    pub fn cost_per_call(&self) -> Option<PicoUsd> {
        let calls = self.calls.saturating_add(self.abandoned);
        self.cost.0.checked_div(calls).map(PicoUsd)
    }

    /// The time to the first content that so many percent of the streams do not exceed, in milliseconds, about;
    /// `None` without streams.
    pub fn first_content_ms(&self, percent: u64) -> Option<u32> {
        let all: u64 = self.first_content.iter().fold(0, |sum, count| sum.saturating_add(*count));
        let rank = (u128::from(all) * u128::from(percent)).div_ceil(100).max(1);
        let mut below = 0;
        let at = self.first_content.iter().position(|count| {
            below += u128::from(*count);
            below >= rank
        })?;
        u8::try_from(at).ok().map(|at| Bucket::new(at).middle())
    }

    fn failed_share(&self) -> f64 {
        self.failed as f64 / self.calls.max(1) as f64
    }

    /// The variance of the failed share.
    fn spread(&self) -> f64 {
        let share = self.failed_share();
        share * (1.0 - share) / self.calls.max(1) as f64
    }
}

/// What ends a canary before its time; each only where it is said, in ‰.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AbortRules {
    /// The candidate's failed share is that much larger than the stable one's, in thousandths of all calls.
    pub failed_permille: Option<u32>,
    /// A call costs that much more than a stable one.
    pub cost_permille: Option<u32>,
    /// The median time to the first content is that much longer.
    pub first_content_permille: Option<u32>,
}

impl AbortRules {
    /// Why the canary must end, in words; `None` while nothing is against it or too few calls have ended.
    pub fn broken(&self, stable: &Totals, canary: &Totals) -> Option<String> {
        if stable.calls.min(canary.calls) < MIN_JUDGED_CALLS {
            return None;
        }
        self.fails_more(stable, canary)
            .or_else(|| self.costs_more(stable, canary))
            .or_else(|| self.is_slower(stable, canary))
    }

    fn fails_more(&self, stable: &Totals, canary: &Totals) -> Option<String> {
        let most = f64::from(self.failed_permille?) / 1_000.0;
        let (was, is) = (stable.failed_share(), canary.failed_share());
        let error = (stable.spread() + canary.spread()).sqrt();
        (is - was - STANDARD_ERRORS * error > most).then(|| {
            let [was, is] = [was, is].map(|share| share * 100.0);
            format!("{is:.1} % of the canary's calls fail, and {was:.1} % of the stable ones")
        })
    }

    fn costs_more(&self, stable: &Totals, canary: &Totals) -> Option<String> {
        let most = self.cost_permille?;
        let (was, is) = (stable.cost_per_call()?, canary.cost_per_call()?);
        exceeds(is.0, was.0, most)
            .then(|| format!("a call costs {is} USD on the canary's side, and {was} on the other"))
    }

    fn is_slower(&self, stable: &Totals, canary: &Totals) -> Option<String> {
        let most = self.first_content_permille?;
        let (was, is) = (stable.first_content_ms(50)?, canary.first_content_ms(50)?);
        exceeds(is.into(), was.into(), most).then(|| {
            format!("the median first content takes {is} ms on the canary's side, and {was} ms on the other")
        })
    }
}

/// Whether `is` is more than so many thousandths above `was`.
fn exceeds(is: u64, was: u64, permille: u32) -> bool {
    u128::from(is) * 1_000 > u128::from(was) * (1_000 + u128::from(permille))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_canary(lot: Lot) -> Vec<u64> {
        (0..20_000).filter(|caller| lot.side(*caller) == Side::Canary).collect()
    }

    #[test]
    fn a_share_of_the_callers_is_chosen_and_stays_when_it_grows() {
        let few = on_canary(Lot { salt: 7, share_permille: 50 });
        assert!((900..1_100).contains(&few.len()), "{}", few.len());
        let more = on_canary(Lot { salt: 7, share_permille: 200 });
        assert!((3_800..4_200).contains(&more.len()), "{}", more.len());
        assert!(few.iter().all(|caller| more.contains(caller)));
    }

    #[test]
    fn another_candidate_chooses_other_callers() {
        let one = on_canary(Lot { salt: 7, share_permille: 50 });
        let other = on_canary(Lot { salt: 8, share_permille: 50 });
        let both = one.iter().filter(|caller| other.contains(caller)).count();
        assert!(both < 120, "{both} of {} by chance", one.len());
    }

    fn totals(calls: u64, failed: u64) -> Totals {
        Totals { calls, failed, ..Totals::default() }
    }

    #[test]
    fn failing_more_ends_it_once_that_is_no_chance() {
        let rules = AbortRules { failed_permille: Some(10), ..AbortRules::default() };
        assert_eq!(rules.broken(&totals(5_000, 50), &totals(99, 99)), None, "too few");
        assert_eq!(rules.broken(&totals(5_000, 50), &totals(200, 6)), None, "may be chance");
        let why = rules.broken(&totals(5_000, 50), &totals(200, 20)).unwrap();
        assert!(why.contains("10.0 %") && why.contains("1.0 %"), "{why}");
        assert_eq!(AbortRules::default().broken(&totals(500, 0), &totals(500, 500)), None);
    }

    #[test]
    fn costing_more_or_being_slower_ends_it_where_that_was_said() {
        let side = |cost, bucket: usize| {
            let mut totals = Totals { cost: PicoUsd(cost), ..totals(100, 0) };
            totals.first_content[bucket] = 100;
            totals
        };
        let cost = AbortRules { cost_permille: Some(200), ..AbortRules::default() };
        assert_eq!(cost.broken(&side(1_000, 40), &side(1_200, 60)), None);
        assert!(cost.broken(&side(1_000, 40), &side(1_300, 40)).is_some());
        let slow = AbortRules { first_content_permille: Some(500), ..AbortRules::default() };
        assert_eq!(slow.broken(&side(1, 40), &side(9, 41)), None);
        assert!(slow.broken(&side(1, 40), &side(1, 44)).unwrap().contains("first content"));
    }

    #[test]
    fn totals_of_routers_add_up() {
        let mut sum = totals(3, 1);
        sum.first_content[Bucket::of(100).index() as usize] = 3;
        sum.add(&Totals { cost: PicoUsd(8), abandoned: 1, ..sum.clone() });
        assert_eq!((sum.calls, sum.failed, sum.abandoned), (6, 2, 1));
        assert_eq!(sum.cost_per_call(), Some(PicoUsd(1)));
        assert_eq!(sum.first_content_ms(99), Some(Bucket::of(100).middle()));
        assert_eq!(Totals::default().first_content_ms(50), None);
    }
}
