//! The case for and against an endpoint: what was counted, and what failed in a row. It weighs nothing but its
//! own evidence; what follows is up to the voter.

use crate::observation::{Counts, Evidence};
use crate::voter::Level;
use crate::window::Window;

/// HEALTH failures in a row that convict.
const CONVICTING_CHAIN: u32 = 3;
/// Probes in the window before their share of failures convicts.
const CONVICTING_PROBES: u64 = 5;
/// Live calls in the window before their share of failures convicts.
const CONVICTING_CALLS: u64 = 20;
/// Live calls in the last seconds before they speak for an endpoint …
const VETO_CALLS: u64 = 20;
/// … if at least this share of them worked, in percent.
const VETO_PERCENT: u64 = 90;
/// Calls in the window before an endpoint is called degraded.
const DEGRADED_CALLS: u64 = 20;
/// Degraded below this success, in percent …
const DEGRADED_BELOW_PERCENT: u64 = 95;
/// … and up again from this one on.
const UP_FROM_PERCENT: u64 = 97;
/// CONFIG failures in a row that make the vote.
const CONFIG_CHAIN: u32 = 2;

/// The evidence of one endpoint.
#[derive(Clone, Debug, Default)]
pub(super) struct Case {
    active: Window,
    passive: Window,
    /// HEALTH failures in a row, by level.
    chains: [u32; 3],
    /// CONFIG failures in a row, by level.
    config_chains: [u32; 3],
    seen_ms: u64,
}

impl Case {
    pub(super) fn probed(&mut self, one: &Counts, now_ms: u64) {
        self.active.count(one, now_ms);
    }

    pub(super) fn called(&mut self, some: &Counts, now_ms: u64) {
        self.passive.count(some, now_ms);
    }

    /// Something was learned, whatever it was.
    pub(super) fn seen(&mut self, now_ms: u64) {
        self.seen_ms = now_ms;
    }

    pub(super) fn age_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.seen_ms)
    }

    /// A success ends the rows of failures on its own level and on those before it.
    pub(super) fn clear_chains(&mut self, up_to: Level) {
        let cleared = up_to as usize + 1;
        self.chains.iter_mut().take(cleared).for_each(|chain| *chain = 0);
        self.config_chains.iter_mut().take(cleared).for_each(|chain| *chain = 0);
    }

    pub(super) fn failed(&mut self, level: Level, times: u32) {
        lengthen(&mut self.chains, level, times);
    }

    pub(super) fn refused(&mut self, level: Level, times: u32) {
        lengthen(&mut self.config_chains, level, times);
    }

    pub(super) fn clear_counts(&mut self) {
        self.active.clear();
        self.passive.clear();
    }

    pub(super) fn counts(&self, now_ms: u64) -> Counts {
        self.active.counts(now_ms).plus(&self.passive.counts(now_ms))
    }

    pub(super) fn live_counts(&self, now_ms: u64) -> Counts {
        self.passive.counts(now_ms)
    }

    pub(super) fn recent_refusals(&self, now_ms: u64) -> (u64, u64) {
        let recent = self.passive.recent_counts(now_ms);
        let refused = u64::from(recent.rate_limited);
        (recent.judged() + refused, refused)
    }

    pub(super) fn evidence(&self, now_ms: u64) -> Evidence {
        let any = |window: &Window| window.counts(now_ms) != Counts::default();
        Evidence { active: any(&self.active), passive: any(&self.passive) }
    }

    /// It fails again and again.
    pub(super) fn fails_in_a_row(&self) -> bool {
        self.chains.iter().any(|chain| *chain >= CONVICTING_CHAIN)
    }

    /// It refuses us again and again.
    pub(super) fn refuses(&self) -> bool {
        self.config_chains.iter().any(|chain| *chain >= CONFIG_CHAIN)
    }

    /// Enough to call it down.
    pub(super) fn convicts(&self, now_ms: u64) -> bool {
        let mostly_bad = |window: &Window, least: u64| {
            let (all, ok) = window.counts(now_ms).judged_halves();
            all >= 2 * least && ok * 2 < all
        };
        self.fails_in_a_row()
            || mostly_bad(&self.active, CONVICTING_PROBES)
            || mostly_bad(&self.passive, CONVICTING_CALLS)
    }

    /// The veto: live traffic outranks probes.
    pub(super) fn live_calls_work(&self, now_ms: u64) -> bool {
        let (all, ok) = self.passive.recent_counts(now_ms).judged_halves();
        all >= 2 * VETO_CALLS && ok * 100 >= all * VETO_PERCENT
    }

    pub(super) fn degraded(&self, now_ms: u64) -> bool {
        let (all, ok) = self.counts(now_ms).judged_halves();
        all >= 2 * DEGRADED_CALLS && ok * 100 < all * DEGRADED_BELOW_PERCENT
    }

    pub(super) fn no_longer_degraded(&self, now_ms: u64) -> bool {
        let (all, ok) = self.counts(now_ms).judged_halves();
        ok * 100 >= all * UP_FROM_PERCENT
    }
}

fn lengthen(chains: &mut [u32; 3], level: Level, times: u32) {
    if let Some(chain) = chains.get_mut(level as usize) {
        *chain = chain.saturating_add(times);
    }
}
