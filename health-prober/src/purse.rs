//! What probes may cost: a token bucket in dollars. It is filled evenly over a day and holds at most a day's
//! worth; an empty one means free probes only, never a debt.

use trunkline_core::money::PicoUsd;

const DAY_MS: u128 = 24 * 60 * 60 * 1000;
/// What a new purse holds is a day's worth divided by this: a prober that restarts often cannot spend more.
const STARTING_SHARE: u64 = 24;

/// One allowance.
#[derive(Clone, Copy, Debug)]
pub struct Purse {
    daily: PicoUsd,
    balance: PicoUsd,
    filled_ms: u64,
}

impl Purse {
    /// A purse with an hour's worth in it.
    pub fn new(daily: PicoUsd, now_ms: u64) -> Self {
        Self { daily, balance: PicoUsd(daily.0 / STARTING_SHARE), filled_ms: now_ms }
    }

    /// Another allowance from now on.
    pub fn set_daily(&mut self, daily: PicoUsd, now_ms: u64) {
        self.fill(now_ms);
        self.daily = daily;
        self.balance = self.balance.min(daily);
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

    fn fill(&mut self, now_ms: u64) {
        let elapsed = u128::from(now_ms.saturating_sub(self.filled_ms));
        let earned = u128::from(self.daily.0) * elapsed / DAY_MS;
        if earned > 0 {
            let earned = PicoUsd(u64::try_from(earned).unwrap_or(u64::MAX));
            self.balance = (self.balance + earned).min(self.daily);
            self.filled_ms = now_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 60 * 60 * 1000;
    const HOURLY: PicoUsd = PicoUsd(1_000_000);
    const DAILY: PicoUsd = PicoUsd(24_000_000);

    #[test]
    fn an_hours_worth_is_there_and_then_it_is_earned() {
        let mut purse = Purse::new(DAILY, 0);
        assert!(purse.affords(HOURLY, 0));
        purse.pay(HOURLY);
        assert!(!purse.affords(PicoUsd(1), 0));
        assert!(purse.affords(HOURLY, HOUR_MS));
    }

    #[test]
    fn nothing_is_always_affordable() {
        assert!(Purse::new(PicoUsd::ZERO, 0).affords(PicoUsd::ZERO, 0));
    }

    #[test]
    fn at_most_a_day_is_saved() {
        let mut purse = Purse::new(DAILY, 0);
        assert!(purse.affords(DAILY, 1_000 * HOUR_MS));
        assert!(!purse.affords(PicoUsd(DAILY.0 + 1), 1_000 * HOUR_MS));
    }
}
