//! The case for and against an endpoint: what was counted, and what failed in a row. It weighs nothing but its
//! own evidence; what follows is up to the voter.

use crate::observation::{Capacity, Counts, Evidence, Latency};
use crate::voter::Level;
use crate::voter::calls::Calls;
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
    calls: Calls,
    /// HEALTH failures of probes in a row, by level.
    chains: [u32; 3],
    /// CONFIG failures of probes in a row, by level.
    config_chains: [u32; 3],
    seen_ms: u64,
}

impl Case {
    pub(super) fn probed(&mut self, one: &Counts, now_ms: u64) {
        self.active.count(one, now_ms);
    }

    pub(super) fn calls(&mut self) -> &mut Calls {
        &mut self.calls
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

    pub(super) fn failed(&mut self, level: Level) {
        lengthen(&mut self.chains, level);
    }

    pub(super) fn refused(&mut self, level: Level) {
        lengthen(&mut self.config_chains, level);
    }

    pub(super) fn clear_counts(&mut self) {
        self.active.clear();
        self.calls.clear();
    }

    pub(super) fn counts(&self, now_ms: u64) -> Counts {
        self.active.counts(now_ms).plus(&self.calls.against(now_ms))
    }

    pub(super) fn good_live_calls(&self, now_ms: u64) -> u64 {
        self.calls.good(now_ms)
    }

    pub(super) fn recent_refusals(&self, now_ms: u64) -> (u64, u64) {
        self.calls.refusals(now_ms)
    }

    pub(super) fn live_room(&self, now_ms: u64) -> Option<Capacity> {
        self.calls.room(now_ms)
    }

    pub(super) fn live_latency(&self, now_ms: u64) -> Latency {
        self.calls.latency(now_ms)
    }

    /// Live calls are part of it where they count: not when one router of many tells of them.
    pub(super) fn evidence(&self, now_ms: u64) -> Evidence {
        let counted = self.calls.against(now_ms) != Counts::default();
        Evidence {
            active: self.active.counts(now_ms) != Counts::default(),
            passive: counted || self.calls.failing(1, now_ms) > 0,
        }
    }

    /// It fails again and again.
    pub(super) fn fails_in_a_row(&self) -> bool {
        own(&self.chains) >= CONVICTING_CHAIN
    }

    /// The routers see it fail.
    pub(super) fn live_calls_fail(&self, now_ms: u64) -> bool {
        self.calls.doubt(1, now_ms)
    }

    /// Most routers see it fail again and again.
    pub(super) fn live_calls_fail_in_a_row(&self, now_ms: u64) -> bool {
        self.calls.failing(CONVICTING_CHAIN, now_ms) > 0
    }

    /// So many routers see it fail that a probe need not confirm it.
    pub(super) fn live_calls_suffice_against(&self, now_ms: u64) -> bool {
        self.calls.failing(1, now_ms) >= CONVICTING_CHAIN
    }

    /// It refuses us again and again: our probes, or our probes and most routers' calls.
    pub(super) fn refuses(&self, now_ms: u64) -> bool {
        let (ours, theirs) = (own(&self.config_chains), self.calls.refused(CONFIG_CHAIN, now_ms));
        ours >= CONFIG_CHAIN || ours + theirs >= CONVICTING_CHAIN
    }

    /// Neither our probes nor the routers' calls are refused at present.
    pub(super) fn accepts(&self, now_ms: u64) -> bool {
        own(&self.config_chains) == 0 && self.calls.refused(1, now_ms) == 0
    }

    /// Enough to call it down. Of the failures in a row that this takes, each router gives one at most; and the
    /// share of live calls that failed is enough only where three routers tell of it, or a probe fails too.
    pub(super) fn convicts(&self, now_ms: u64) -> bool {
        let mostly_bad = |counts: Counts, least: u64| {
            let (all, ok) = counts.judged_halves();
            all >= 2 * least && ok * 2 < all
        };
        let ours = own(&self.chains);
        let confirmed = ours > 0 || self.calls.conclusive(now_ms);
        ours + self.calls.failing(CONVICTING_CHAIN, now_ms) >= CONVICTING_CHAIN
            || mostly_bad(self.active.counts(now_ms), CONVICTING_PROBES)
            || (confirmed && mostly_bad(self.calls.against(now_ms), CONVICTING_CALLS))
    }

    /// The veto: live traffic outranks probes. Many calls that worked before a row of failures prove nothing about
    /// now: routers stop calling what fails, so their good calls would outweigh their few bad ones for long.
    pub(super) fn live_calls_work(&self, now_ms: u64) -> bool {
        let (all, ok) = self.calls.in_favour(now_ms).judged_halves();
        let enough = all >= 2 * VETO_CALLS && ok * 100 >= all * VETO_PERCENT;
        enough && !self.calls.doubt(CONVICTING_CHAIN, now_ms)
    }

    /// Where fewer than three routers tell of live calls, a probe must have failed, too.
    pub(super) fn degraded(&self, now_ms: u64) -> bool {
        let (probes, probes_ok) = self.active.counts(now_ms).judged_halves();
        let confirmed = probes_ok < probes || self.calls.conclusive(now_ms);
        let (all, ok) = self.counts(now_ms).judged_halves();
        confirmed && all >= 2 * DEGRADED_CALLS && ok * 100 < all * DEGRADED_BELOW_PERCENT
    }

    pub(super) fn no_longer_degraded(&self, now_ms: u64) -> bool {
        let (all, ok) = self.counts(now_ms).judged_halves();
        ok * 100 >= all * UP_FROM_PERCENT
    }
}

/// The longest row of our own.
fn own(chains: &[u32; 3]) -> u32 {
    chains.iter().copied().max().unwrap_or(0)
}

fn lengthen(chains: &mut [u32; 3], level: Level) {
    if let Some(chain) = chains.get_mut(level as usize) {
        *chain = chain.saturating_add(1);
    }
}
