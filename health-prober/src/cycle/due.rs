//! What is due: which probe of which endpoint may be sent now, and what it may cost.

use trunkline_core::id::{EndpointId, ProviderId};
use trunkline_core::voter::{Event, Generation};

use crate::cycle::Cycle;
use crate::probe::{Probe, Task};
use crate::schedule::live_traffic_suffices;
use crate::watched::Watched;

/// An endpoint whose light probe is due this soon rides along with that of another of its provider: the list
/// of models is the same for both, and a provider should not be asked for it once for each model.
const RIDE_ALONG_MS: u64 = 7_500;

impl Cycle {
    pub(super) fn light_due(&mut self, id: EndpointId, now_ms: u64) -> Option<Task> {
        let watched = self.watched.get_mut(&id)?;
        let probe = watched.light_probe()?;
        if watched.light_under_way.is_some() || watched.schedule.light_due_ms > now_ms {
            return None;
        }
        let situation = watched.situation(self.own.score(), self.observers, now_ms);
        watched.schedule.light_sent(&situation, &mut self.rng, now_ms);
        watched.light_under_way = Some(id);
        let provider = watched.endpoint.provider.clone();
        self.take_along(id, (&provider, probe), now_ms);
        self.task(id, probe)
    }

    /// Lets others of the same provider whose light probe is due soon share that of `leader`.
    fn take_along(
        &mut self,
        leader: EndpointId,
        (provider, probe): (&ProviderId, Probe),
        now_ms: u64,
    ) {
        for watched in self.watched.values_mut() {
            let same = watched.endpoint.provider == *provider
                && watched.light_probe() == Some(probe)
                && watched.target.is_some();
            let soon = watched.schedule.light_due_ms <= now_ms + RIDE_ALONG_MS;
            if same && soon && watched.light_under_way.is_none() {
                let situation = watched.situation(self.own.score(), self.observers, now_ms);
                watched.schedule.light_sent(&situation, &mut self.rng, now_ms);
                watched.light_under_way = Some(leader);
            }
        }
    }

    pub(super) fn full_due(&mut self, id: EndpointId, now_ms: u64) -> Option<Task> {
        let watched = self.watched.get_mut(&id)?;
        let probe = watched.full_probe()?;
        if watched.full_under_way || watched.schedule.full_due_ms > now_ms {
            return None;
        }
        let situation = watched.situation(self.own.score(), self.observers, now_ms);
        watched.schedule.full_sent(&situation, &mut self.rng, now_ms);
        if live_traffic_suffices(&situation) {
            return None;
        }
        let cost = watched.cost(probe);
        let affordable = watched.purse.affords(cost, now_ms) && self.purse.affords(cost, now_ms);
        let generation = if affordable { Generation::Allowed } else { Generation::Withheld };
        watched.voter.step(Event::Generation(generation), now_ms);
        if !affordable {
            self.telemetry.purse_empty();
            return None;
        }
        watched.purse.pay(cost);
        self.purse.pay(cost);
        self.telemetry.paid(cost);
        watched.full_under_way = true;
        self.task(id, probe)
    }

    fn task(&mut self, id: EndpointId, probe: Probe) -> Option<Task> {
        let watched = self.watched.get(&id)?;
        let (target, room) = (watched.target.clone()?, watched.room());
        self.under_way += 1;
        let patience = 1 + u32::from(self.own.score());
        Some(Task { endpoint: id, probe, target, room, patience })
    }
}

/// When the next probe of an endpoint can be sent; never while both are under way.
pub(super) fn next_probe_ms(watched: &Watched) -> u64 {
    let light = watched.light_probe().filter(|_| watched.light_under_way.is_none());
    let full = watched.full_probe().filter(|_| !watched.full_under_way);
    let light = light.map_or(u64::MAX, |_| watched.schedule.light_due_ms);
    light.min(full.map_or(u64::MAX, |_| watched.schedule.full_due_ms))
}
