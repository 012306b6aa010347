//! What routers tell: whose words they are, which endpoints they are about, and who has fallen silent.

use std::collections::BTreeSet;

use trunkline_core::id::{EndpointId, RouterId};
use trunkline_core::voter::Event;

use crate::cycle::Cycle;
use crate::evidence::{Batch, Traffic};

/// A router that has told nothing for this long, not even that it is there, is not counted any more. It says so
/// every ten seconds at least, so two batches may be lost.
const ROUTER_SILENT_MS: u64 = 30_000;
/// Routers remembered: many times those of the largest cluster that is tested.
const ROUTERS_MAX: usize = 1_024;

impl Cycle {
    /// Observe: a router told something.
    pub fn hear(&mut self, batch: &Batch, now_ms: u64) {
        self.note_router(&batch.router, now_ms);
        let mut calls = 0;
        for Traffic { endpoint, seen } in &batch.traffic {
            let Some(watched) = self.watched.get_mut(endpoint) else { continue };
            calls += seen.counts.judged();
            let before = watched.voter.vote();
            let actions = watched.hear(&batch.router, seen, now_ms);
            self.follow_up(*endpoint, before, actions, now_ms);
        }
        self.telemetry.evidence_heard(calls);
    }

    /// What is watched, if that changed since the last time somebody asked.
    pub fn take_interest(&mut self) -> Option<BTreeSet<EndpointId>> {
        let changed = std::mem::take(&mut self.rewatched);
        changed.then(|| self.watched.keys().copied().collect())
    }

    fn note_router(&mut self, router: &RouterId, now_ms: u64) {
        if let Some(heard_ms) = self.routers.get_mut(router) {
            *heard_ms = now_ms;
        } else if self.routers.len() < ROUTERS_MAX {
            self.routers.insert(router.clone(), now_ms);
            self.tell_router_count(now_ms);
        }
    }

    pub(super) fn miss_silent_routers(&mut self, now_ms: u64) {
        let before = self.routers.len();
        self.routers.retain(|_, heard_ms| now_ms < *heard_ms + ROUTER_SILENT_MS);
        if self.routers.len() != before {
            self.tell_router_count(now_ms);
        }
    }

    pub(super) fn router_count(&self) -> u32 {
        self.routers.len() as u32
    }

    fn tell_router_count(&mut self, now_ms: u64) {
        self.telemetry.evidence_routers(self.router_count());
        self.tell_all(&Event::Routers(self.router_count()), now_ms);
    }
}
