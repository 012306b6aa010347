//! The canary as calls meet it: which side each is on, and what becomes of both sides on this router. Without one
//! a call pays for nothing here but the question.

pub mod telemetry;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use http::HeaderValue;
use trunkline_core::canary::{BUCKETS, Side, Totals};
use trunkline_core::draw::affinity_key;
use trunkline_core::money::PicoUsd;
use trunkline_core::score::Bucket;
use trunkline_spec::canary::Canary;
use uuid::Uuid;

use crate::ledger::{Ending, Record};
use crate::pipeline::Router;
use crate::view::View;
use telemetry::Meters;

/// A canary that runs.
#[derive(Clone)]
pub struct Running {
    /// As the store has it.
    pub canary: Arc<Canary>,
    /// What the candidate's calls are served from.
    pub view: Arc<View>,
    /// What became of both sides since it began, or since this router did.
    pub tally: Arc<Tally>,
}

impl Running {
    /// What is counted on: the same while the candidate is, whatever its share.
    pub fn tally_after(before: Option<&Self>, canary: &Canary) -> Arc<Tally> {
        let same = before.filter(|known| {
            let (known, new) = (&known.canary, canary);
            known.policy.version == new.policy.version && known.at_ms == new.at_ms
        });
        same.map_or_else(Arc::default, |known| Arc::clone(&known.tally))
    }
}

/// Who is asked to stay on one side: those whose conversation it is, as far as the call says.
pub struct Caller<'a> {
    /// The public part of the key.
    pub key: &'a str,
    /// The session.
    pub session: Option<&'a str>,
    /// The key holder's own user.
    pub user: Option<&'a str>,
}

impl Caller<'_> {
    /// The same bits on every router. A call without session and user is a caller of its own.
    fn bits(&self, generation: Uuid) -> u64 {
        match self.session.or(self.user) {
            // Two keys may well name their sessions alike.
            Some(name) => {
                affinity_key(self.key.as_bytes()).rotate_left(1) ^ affinity_key(name.as_bytes())
            }
            None => affinity_key(generation.as_bytes()),
        }
    }
}

/// The view that decides over a call, and what its end is counted on.
pub fn side_of(
    view: Arc<View>,
    caller: &Caller<'_>,
    generation: Uuid,
) -> (Arc<View>, Option<Counted>) {
    let Some(Running { canary, view: candidate, tally }) = &view.canary else {
        return (view, None);
    };
    let side = canary.lot.side(caller.bits(generation));
    let counted = Counted { side, tally: Arc::clone(tally) };
    let decides = match side {
        Side::Stable => view,
        Side::Canary => Arc::clone(candidate),
    };
    (decides, Some(counted))
}

/// The view that would decide over a call that is not made: its session's or user's, and the policy in force where
/// it says of neither, since that decides over most.
pub fn dry_side_of(view: &Arc<View>, caller: &Caller<'_>) -> Arc<View> {
    let view = Arc::clone(view);
    match caller.session.or(caller.user) {
        Some(_) => side_of(view, caller, Uuid::nil()).0,
        None => view,
    }
}

/// Where the end of a call is counted.
#[derive(Clone, Debug)]
pub struct Counted {
    side: Side,
    tally: Arc<Tally>,
}

impl Counted {
    /// Counts a call that has ended.
    pub fn ended(&self, record: &Record) {
        self.tally.side(self.side).ended(record);
    }
}

/// What became of both sides on this router.
#[derive(Debug, Default)]
pub struct Tally {
    stable: Counts,
    canary: Counts,
    meters: Meters,
}

impl Tally {
    /// What was counted of one side by now.
    pub fn totals(&self, side: Side) -> Totals {
        let counts = self.side(side).counts;
        Totals {
            calls: counts.calls.load(Relaxed),
            failed: counts.failed.load(Relaxed),
            abandoned: counts.abandoned.load(Relaxed),
            cost: PicoUsd(counts.cost_pico_usd.load(Relaxed)),
            first_content: counts.first_content.iter().map(|count| count.load(Relaxed)).collect(),
        }
    }

    fn side(&self, side: Side) -> OneSide<'_> {
        let (counts, meter) = match side {
            Side::Stable => (&self.stable, &self.meters.stable),
            Side::Canary => (&self.canary, &self.meters.canary),
        };
        OneSide { counts, meter }
    }
}

/// One side's counts.
#[derive(Debug)]
struct Counts {
    calls: AtomicU64,
    failed: AtomicU64,
    abandoned: AtomicU64,
    cost_pico_usd: AtomicU64,
    first_content: [AtomicU64; BUCKETS],
}

impl Default for Counts {
    fn default() -> Self {
        let [calls, failed, abandoned, cost_pico_usd] = [const { AtomicU64::new(0) }; 4];
        let first_content = [const { AtomicU64::new(0) }; BUCKETS];
        Self { calls, failed, abandoned, cost_pico_usd, first_content }
    }
}

struct OneSide<'a> {
    counts: &'a Counts,
    meter: &'a telemetry::SideMeter,
}

impl OneSide<'_> {
    fn ended(&self, record: &Record) {
        let Self { counts, meter } = self;
        match record.ending {
            Ending::Abandoned => counts.abandoned.fetch_add(1, Relaxed),
            Ending::Completed | Ending::Rejected | Ending::Failed => {
                counts.calls.fetch_add(1, Relaxed)
            }
        };
        if matches!(record.ending, Ending::Rejected | Ending::Failed) {
            counts.failed.fetch_add(1, Relaxed);
        }
        let cost = record.settlement.map_or(PicoUsd::ZERO, |settled| settled.cost.total());
        counts.cost_pico_usd.fetch_add(cost.0, Relaxed);
        if let Some(ms) = record.first_content_ms {
            let bucket = Bucket::of(u32::try_from(ms).unwrap_or(u32::MAX)).index();
            if let Some(count) = counts.first_content.get(usize::from(bucket)) {
                count.fetch_add(1, Relaxed);
            }
            meter.first_content(ms);
        }
        meter.ended(record.ending, cost);
    }
}

/// Which view decided over a call, for the header that names its policy. Empty where no canary ran when the call
/// arrived: the policy in force is then the one, and a canary that begins meanwhile leaves the call alone.
#[derive(Clone, Default)]
pub struct Decided(Option<Arc<OnceLock<Arc<View>>>>);

impl Decided {
    /// For a call that has just arrived.
    pub fn of(router: &Router) -> Self {
        Self(router.view.load().canary.as_ref().map(|_| Arc::default()))
    }

    /// The view that decides over the call, and what its end is counted on.
    pub fn side_of(
        &self,
        view: Arc<View>,
        caller: &Caller<'_>,
        generation: Uuid,
    ) -> (Arc<View>, Option<Counted>) {
        let Some(told) = &self.0 else { return (view, None) };
        let (view, counted) = side_of(view, caller, generation);
        // It is told once.
        let _ = told.set(Arc::clone(&view));
        (view, counted)
    }

    /// The policy's version as a header.
    pub fn policy_header(&self, router: &Router) -> HeaderValue {
        let told = self.0.as_ref().and_then(|told| told.get());
        told.map_or_else(|| router.view.load().policy_header.clone(), |v| v.policy_header.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(key: &str, session: Option<&str>, user: Option<&str>, generation: u128) -> u64 {
        Caller { key, session, user }.bits(Uuid::from_u128(generation))
    }

    #[test]
    fn a_conversation_stays_on_its_side_and_calls_without_one_are_apart() {
        assert_eq!(bits("k", Some("s"), None, 1), bits("k", Some("s"), Some("u"), 2));
        assert_eq!(bits("k", None, Some("u"), 1), bits("k", None, Some("u"), 2));
        assert_ne!(bits("k", None, None, 1), bits("k", None, None, 2));
        assert_ne!(bits("k", Some("s"), None, 1), bits("l", Some("s"), None, 1));
        assert_ne!(bits("same", Some("same"), None, 1), bits("other", Some("other"), None, 1));
    }
}
