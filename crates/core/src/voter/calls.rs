//! What routers tell of their live calls to one endpoint. Each router is one witness: however much it claims, it
//! gives at most a third of what counts, so that no router alone accuses an endpoint, or defends it. Where there
//! are fewer than three routers that bound cannot hold; an accusation then needs the prober's own probe.

use std::collections::BTreeMap;

use crate::id::RouterId;
use crate::observation::{Capacity, Counts, Latency};
use crate::score::{Bucket, headroom_permille, lower_median};
use crate::window::{Timings, Window};

/// Witnesses from which on one alone gives at most a third.
const ENOUGH_WITNESSES: u32 = 3;
/// Witnesses remembered for one endpoint: many times the routers of the largest cluster that is tested.
const WITNESSES_MAX: usize = 256;
/// A witness that has told nothing for this long is not asked any more. A router whose breaker keeps it away from
/// a failing endpoint falls silent, and its last word must outlive the wait for a verdict.
const PRESENT_MS: u64 = 20_000;
/// What a provider said of the room that it has left is worth nothing after this time: allowances are by the
/// minute.
pub const ROOM_MAX_AGE_MS: u64 = 60_000;
/// Time between two looks that witnesses alone ask for, so that one that cries wolf costs little.
const LOOK_AGAIN_MS: u64 = 2_000;

/// Calls that say something, and those of them that are of the kind in question.
type Share = fn(&Counts) -> (u64, u64);

/// Which of the witnesses in the middle is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Middle {
    /// The one with the smaller share.
    Lower,
    /// The one with the larger share.
    Upper,
}

/// Whether a prober should look for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// A router has begun to see the endpoint fail.
    Now,
    /// Nothing new.
    NoNeed,
}

/// What one router told.
#[derive(Clone, Debug, Default)]
struct Witness {
    window: Window,
    /// HEALTH failures since its last success.
    failures: u32,
    /// CONFIG failures since its last success.
    refusals: u32,
    /// The room that the provider said is left, and when.
    room: Option<(Capacity, u64)>,
    told_ms: u64,
}

/// What all routers told.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls {
    witnesses: BTreeMap<RouterId, Witness>,
    /// How many routers report to this prober at all, whether or not they call this endpoint.
    routers: u32,
    looked_ms: Option<u64>,
}

impl Calls {
    pub(super) fn set_routers(&mut self, routers: u32) {
        self.routers = routers;
    }

    /// Takes in what a router tells: counts since it last told, and how many calls have failed in a row by now.
    pub(super) fn told(
        &mut self,
        router: &RouterId,
        counts: &Counts,
        failures: u32,
        now_ms: u64,
    ) -> Look {
        let Some(witness) = self.witness(router, now_ms) else { return Look::NoNeed };
        let before = (witness.failures > 0, witness.refusals > 0);
        witness.told_ms = now_ms;
        witness.window.count(counts, now_ms);
        witness.failures = failures;
        witness.refusals = match counts.config {
            _ if counts.ok > 0 => 0,
            refused => witness.refusals.saturating_add(refused),
        };
        let after = (witness.failures > 0, witness.refusals > 0);
        let began = (after.0 && !before.0) || (after.1 && !before.1);
        let rested = self.looked_ms.is_none_or(|looked| now_ms >= looked + LOOK_AGAIN_MS);
        if began && rested {
            self.looked_ms = Some(now_ms);
            return Look::Now;
        }
        Look::NoNeed
    }

    /// Takes in how fast a router's calls were.
    pub(super) fn timed(&mut self, router: &RouterId, timings: &Timings, now_ms: u64) {
        if let Some(witness) = self.witness(router, now_ms) {
            witness.window.time(timings, now_ms);
        }
    }

    /// Takes in what a router was told of the room that is left.
    pub(super) fn told_room(&mut self, router: &RouterId, room: Capacity, now_ms: u64) {
        if let Some(witness) = self.witness(router, now_ms) {
            witness.room = Some((room, now_ms));
        }
    }

    pub(super) fn clear(&mut self) {
        self.witnesses.clear();
    }

    /// The calls of the last minute that count against an endpoint.
    pub(super) fn against(&self, now_ms: u64) -> Counts {
        self.agreed(|w| w.counts(now_ms), Counts::judged_halves, Middle::Upper)
    }

    /// The calls of the last 10 to 20 seconds that speak for it.
    pub(super) fn in_favour(&self, now_ms: u64) -> Counts {
        self.agreed(|w| w.recent_counts(now_ms), Counts::judged_halves, Middle::Lower)
    }

    /// Calls of the last 10 to 20 seconds, and those of them that a rate limit turned away.
    pub(super) fn refusals(&self, now_ms: u64) -> (u64, u64) {
        let share: Share = |c| (c.judged() + u64::from(c.rate_limited), u64::from(c.rate_limited));
        share(&self.agreed(|w| w.recent_counts(now_ms), share, Middle::Lower))
    }

    /// Calls of about the last half minute that worked, whoever says so: the most that a lie can do here is to
    /// spare the endpoint a paid probe, and not even that when others see it fail.
    pub(super) fn good(&self, now_ms: u64) -> u64 {
        let ok = |w: &Witness| u64::from(w.window.half_minute_counts(now_ms).ok);
        if self.doubt(1, now_ms) { 0 } else { self.witnesses.values().map(ok).sum() }
    }

    /// Lower medians over the routers of what each measured; one router alone, or two, are believed only where
    /// there are no more.
    pub(super) fn latency(&self, now_ms: u64) -> Latency {
        let told: Vec<Latency> =
            self.witnesses.values().map(|w| w.window.latency(now_ms)).collect();
        let median = |of: fn(&Latency) -> Option<Bucket>| {
            let voices = told.iter().filter_map(of).count() as u32;
            let enough = voices >= self.routers.min(ENOUGH_WITNESSES);
            enough.then(|| lower_median(told.iter().filter_map(of))).flatten()
        };
        Latency {
            ttft_p50: median(|l| l.ttft_p50),
            ttft_p90: median(|l| l.ttft_p90),
            ttft_p99: median(|l| l.ttft_p99),
            inter_token_p50: median(|l| l.inter_token_p50),
            inter_token_p90: median(|l| l.inter_token_p90),
            tokens_per_second_p50: median(|l| l.tokens_per_second_p50),
        }
    }

    /// The room that is left, as the router in the middle was told; believed as latencies are.
    pub(super) fn room(&self, now_ms: u64) -> Option<Capacity> {
        let told = self.witnesses.values().filter_map(|w| w.room);
        let fresh = told.filter(|(_, at)| now_ms < at.saturating_add(ROOM_MAX_AGE_MS));
        let mut rooms: Vec<(u32, Capacity)> =
            fresh.filter_map(|(room, _)| Some((headroom_permille(&room)?, room))).collect();
        rooms.sort_by_key(|(permille, _)| *permille);
        let enough = rooms.len() as u32 >= self.routers.min(ENOUGH_WITNESSES);
        let middle = rooms.len().checked_sub(1)? / 2;
        rooms.get(middle).map(|(_, room)| *room).filter(|_| enough)
    }

    /// More than a third of the witnesses see it fail so often in a row at present.
    pub(super) fn doubt(&self, in_a_row: u32, now_ms: u64) -> bool {
        let failing = self.count(now_ms, |w| w.failures >= in_a_row);
        failing * ENOUGH_WITNESSES > self.asked(now_ms)
    }

    /// How many witnesses see it fail so often in a row; none unless most do.
    pub(super) fn failing(&self, in_a_row: u32, now_ms: u64) -> u32 {
        self.most(now_ms, |w| w.failures >= in_a_row)
    }

    /// How many witnesses are refused so often in a row; none unless most are.
    pub(super) fn refused(&self, in_a_row: u32, now_ms: u64) -> u32 {
        self.most(now_ms, |w| w.refusals >= in_a_row)
    }

    /// Whether there are so many witnesses that none gives more than a third.
    pub(super) fn conclusive(&self, now_ms: u64) -> bool {
        self.count(now_ms, |_| true) >= ENOUGH_WITNESSES
    }

    /// The witness of that name, unless there are too many already.
    fn witness(&mut self, router: &RouterId, now_ms: u64) -> Option<&mut Witness> {
        if !self.witnesses.contains_key(router) {
            let empty = |w: &Witness| w.window.counts(now_ms) == Counts::default();
            self.witnesses.retain(|_, w| present(w, now_ms) || !empty(w));
            if self.witnesses.len() >= WITNESSES_MAX {
                return None;
            }
        }
        Some(self.witnesses.entry(router.clone()).or_default())
    }

    fn count(&self, now_ms: u64, test: impl Fn(&Witness) -> bool) -> u32 {
        self.witnesses.values().filter(|w| present(w, now_ms) && test(w)).count() as u32
    }

    /// How many could speak: routers that do not call the endpoint count where one voice would be too much.
    fn asked(&self, now_ms: u64) -> u32 {
        self.count(now_ms, |_| true).max(self.routers.min(ENOUGH_WITNESSES))
    }

    fn most(&self, now_ms: u64, test: impl Fn(&Witness) -> bool) -> u32 {
        let count = self.count(now_ms, test);
        if 2 * count > self.asked(now_ms) { count } else { 0 }
    }

    /// What the witnesses agree on: the calls of the one in the middle, scaled to as many as all have seen
    /// together, where no witness weighs more than a third. Nothing when there are three routers or more and
    /// fewer than three were heard.
    fn agreed(&self, of: impl Fn(&Window) -> Counts, share: Share, middle: Middle) -> Counts {
        let told = self.witnesses.values().map(|w| of(&w.window));
        let mut told: Vec<(Counts, u64, u64)> = told
            .map(|counts| (share(&counts), counts))
            .filter_map(|((all, part), counts)| (all > 0).then_some((counts, all, part)))
            .collect();
        if (told.len() as u32) < self.routers.min(ENOUGH_WITNESSES) {
            return Counts::default();
        }
        let most = weight_limit(told.iter().map(|(_, all, _)| *all).collect());
        told.sort_by(|a, b| cross(a.2, b.1).cmp(&cross(b.2, a.1)));
        if middle == Middle::Upper {
            told.reverse();
        }
        let total: u64 = told.iter().map(|(_, all, _)| (*all).min(most)).sum();
        let mut so_far = 0;
        let believed = told.iter().find(|(_, all, _)| {
            so_far += (*all).min(most);
            2 * so_far >= total
        });
        believed.map_or(Counts::default(), |(counts, all, _)| counts.scaled(total, *all))
    }
}

fn present(witness: &Witness, now_ms: u64) -> bool {
    now_ms < witness.told_ms.saturating_add(PRESENT_MS)
}

fn cross(a: u64, b: u64) -> u128 {
    u128::from(a) * u128::from(b)
}

/// The largest weight that is at most a third of the sum of all weights, once none is larger (half of it, or all,
/// where there are only two, or one).
fn weight_limit(mut amounts: Vec<u64>) -> u64 {
    let parts = (amounts.len() as u64).min(u64::from(ENOUGH_WITNESSES));
    amounts.sort_unstable_by(|a, b| b.cmp(a));
    let mut rest: u64 = amounts.iter().sum();
    for (limited, amount) in (0..parts).zip(&amounts) {
        let limit = rest / (parts - limited);
        if *amount <= limit {
            return limit;
        }
        rest -= amount;
    }
    0
}

#[cfg(test)]
mod tests;
