//! What probes may cost: a token bucket in dollars. It is filled evenly and holds a quarter of a day's worth at
//! most; an empty one means free probes only, never a debt. In no 24 hours more than the day's worth is spent:
//! what was saved before them and what is earned in them come to that together.

use trunkline_core::money::PicoUsd;

const DAY_MS: u128 = 24 * 60 * 60 * 1000;
/// Of a day's worth, this part may be saved, and the rest is what a day earns: a quarter. Less would keep
/// endpoints whose single probe is dear from ever being probed.
const SAVED_PART: u64 = 4;
/// What a new purse holds is a day's worth divided by this, a minute's: enough for a first look, and a prober
/// that restarts once in a while spends hardly more than one that does not.
const STARTING_PART: u64 = 24 * 60;

/// One allowance.
#[derive(Clone, Copy, Debug)]
pub struct Purse {
    daily: PicoUsd,
    balance: PicoUsd,
    filled_ms: u64,
}

impl Purse {
    /// A purse with a minute's worth in it.
    pub fn new(daily: PicoUsd, now_ms: u64) -> Self {
        Self { daily, balance: PicoUsd(daily.0 / STARTING_PART), filled_ms: now_ms }
    }

    /// Another allowance from now on.
    pub fn set_daily(&mut self, daily: PicoUsd, now_ms: u64) {
        self.fill(now_ms);
        self.daily = daily;
        self.balance = self.balance.min(self.most());
    }

    /// Whether there is enough for something of this cost.
    pub fn affords(&mut self, cost: PicoUsd, now_ms: u64) -> bool {
        self.fill(now_ms);
        cost <= self.balance
    }

    /// Takes the cost out; at most what is there.
    pub fn pay(&mut self, cost: PicoUsd) {
        self.balance = PicoUsd(self.balance.0.saturating_sub(cost.0));
    }

    /// What it can hold.
    fn most(&self) -> PicoUsd {
        PicoUsd(self.daily.0 / SAVED_PART)
    }

    fn fill(&mut self, now_ms: u64) {
        let elapsed = u128::from(now_ms.saturating_sub(self.filled_ms));
        let earned_a_day = u128::from(self.daily.0 - self.most().0);
        let earned = earned_a_day * elapsed / DAY_MS;
        if earned > 0 {
            let earned = PicoUsd(u64::try_from(earned).unwrap_or(u64::MAX));
            self.balance = (self.balance + earned).min(self.most());
            self.filled_ms = now_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: u64 = 60 * 1000;
    const DAILY: PicoUsd = PicoUsd(1440 * 4_000);
    const EARNED_A_MINUTE: PicoUsd = PicoUsd(3_000);

    #[test]
    fn a_minutes_worth_is_there_and_then_it_is_earned() {
        let mut purse = Purse::new(DAILY, 0);
        assert!(purse.affords(PicoUsd(4_000), 0));
        purse.pay(PicoUsd(4_000));
        assert!(!purse.affords(PicoUsd(1), 0));
        assert!(purse.affords(EARNED_A_MINUTE, MINUTE_MS));
        assert!(!purse.affords(PicoUsd(EARNED_A_MINUTE.0 + 1), MINUTE_MS));
    }

    #[test]
    fn nothing_is_always_affordable() {
        assert!(Purse::new(PicoUsd::ZERO, 0).affords(PicoUsd::ZERO, 0));
    }

    #[test]
    fn at_most_a_quarter_of_a_day_is_saved() {
        let mut purse = Purse::new(DAILY, 0);
        assert!(purse.affords(PicoUsd(DAILY.0 / 4), 10_000 * MINUTE_MS));
        assert!(!purse.affords(PicoUsd(DAILY.0 / 4 + 1), 10_000 * MINUTE_MS));
    }

    #[test]
    fn in_no_24_hours_more_than_a_days_worth_is_spent_whatever_was_saved_before() {
        let mut purse = Purse::new(DAILY, 0);
        let later = 10_000 * MINUTE_MS;
        let mut spent = PicoUsd::ZERO;
        for minute in 0..1440 {
            // More often than a day's worth could pay for, so that a purse without a bottom shows.
            for _ in 0..DAILY.0 / 100 {
                if purse.affords(PicoUsd(100), later + minute * MINUTE_MS) {
                    purse.pay(PicoUsd(100));
                    spent = spent + PicoUsd(100);
                }
            }
        }
        assert!(spent <= DAILY && spent.0 > DAILY.0 * 99 / 100, "{spent:?} of {DAILY:?}");
    }
}
