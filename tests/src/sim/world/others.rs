//! What routers and liars do in the world, and what routers tell probers of their calls.

use health_prober::evidence::{Batch, Seen, Traffic};
use trunkline_core::assess::Table;
use trunkline_core::id::{EndpointId, RouterId};
use trunkline_core::snapshot::{Verdict, Weight};

use super::{BEAT_MS, What, World};
use crate::sim::demand;

/// Endpoints that a liar speaks about at once.
const LIES: usize = 4;
/// Failed live calls after which a router's own breaker sends no more, a second.
const BREAKER_CALLS: u32 = 5;

impl World {
    pub(in crate::sim) fn router_looks_soon(&mut self, at: usize) {
        let way_ms = self.way_ms();
        if !self.routers[at].looking {
            self.routers[at].looking = true;
            self.say(way_ms, What::RouterLooks(at));
        }
    }

    pub(super) fn router_looks(&mut self, at: usize) {
        let now_ms = self.now_ms;
        let router = &mut self.routers[at];
        router.looking = false;
        if !router.connected {
            return;
        }
        let before = router.swap_ms;
        let due = router.look(now_ms);
        if let Some(due_ms) = due.filter(|_| due != before) {
            self.say(due_ms - now_ms, What::RouterSwaps(at));
        }
    }

    pub(super) fn router_swaps(&mut self, at: usize) {
        if self.routers[at].swap_ms.is_some_and(|due| due <= self.now_ms) {
            self.swap(at);
        }
    }

    /// Forms a router's table and holds it against what any table promises.
    pub(in crate::sim) fn swap(&mut self, at: usize) {
        let before = self.routers[at].table.take();
        let router = &mut self.routers[at];
        let revision = router.fold.revision;
        let table = router.swap().clone();
        let first = *self.digests.entry(revision).or_insert(table.digest);
        if first != table.digest {
            self.break_off(format!("router {at} has another table at revision {revision}"));
        }
        if let Err(what) = demand::always(&table, &self.catalog) {
            self.break_off(format!("router {at} at revision {revision}: {what}"));
        }
        if at == 0 {
            self.count_changes(before.as_ref(), &table);
        }
    }

    fn count_changes(&mut self, before: Option<&Table>, after: &Table) {
        for (id, row) in &after.rows {
            let old = before.and_then(|table| table.rows.get(id));
            if old.is_some_and(|old| of_the_cluster(old.verdict) != of_the_cluster(row.verdict)) {
                *self.books.verdict_changes.entry(*id).or_default() += 1;
            }
        }
    }

    pub(super) fn lie(&mut self, at: usize) {
        let endpoints = &self.catalog.endpoints;
        let first = self.rng.below(endpoints.len() as u64) as usize;
        let about = endpoints.iter().cycle().skip(first);
        let about: Vec<EndpointId> = about.take(endpoints.len().min(LIES)).map(|e| e.id).collect();
        self.liars[at].lie(&self.store, &about, &mut self.rng);
        self.news();
        let in_ms = 1_000 + self.rng.below(2_000);
        self.say(in_ms, What::Lie(at));
    }

    pub(super) fn beat(&mut self) {
        self.news();
        if self.scale.calls_per_second > 0 {
            (0..self.routers.len()).for_each(|at| self.tell_traffic(at));
        }
        self.say(BEAT_MS, What::Beat);
    }

    /// A router's calls of the last second, told to every prober.
    fn tell_traffic(&mut self, at: usize) {
        let Some(table) = self.routers[at].table.take() else { return };
        let mut batch =
            Batch { router: RouterId::new(&format!("router-{at}")), traffic: Vec::new() };
        for (id, _) in table.rows.iter().filter(|(_, row)| row.weight > Weight::ZERO) {
            let provider = self.providers.get(id).copied().unwrap_or(0);
            let calls = self.scale.calls_per_second;
            let counts = self.conducts[provider].serve(calls, &mut self.rng, self.now_ms);
            let failed = if counts.ok > 0 { 0 } else { counts.health.min(BREAKER_CALLS) };
            let seen = Seen { counts, consecutive_health: failed, ..Seen::default() };
            batch.traffic.push(Traffic { endpoint: *id, seen });
        }
        self.tell(&batch);
        self.routers[at].table = Some(table);
    }

    fn tell(&mut self, batch: &Batch) {
        for at in 0..self.probers.len() {
            let now_ms = self.now_ms;
            let prober = &mut self.probers[at];
            let local_ms = prober.clock.local_ms(now_ms);
            if let Some(process) = prober.process.as_mut().filter(|_| !prober.paused) {
                process.cycle.hear(batch, local_ms);
                self.plan_wake(at);
            }
        }
    }
}

/// The verdict of all zones: where only one zone finds it down, the cluster finds it up.
fn of_the_cluster(verdict: Verdict) -> Verdict {
    if verdict == Verdict::ZoneDown { Verdict::Up } else { verdict }
}
