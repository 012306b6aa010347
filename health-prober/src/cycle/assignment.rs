//! Whose work is whose: which endpoints this prober watches, how they are called, and what the others who watch
//! them say.

use std::sync::Arc;

use trunkline_core::assign::Roster;
use trunkline_core::catalog::{Catalog, Endpoint};
use trunkline_core::id::EndpointId;
use trunkline_core::money::PicoUsd;
use trunkline_core::voter::Event;
use trunkline_upstream::{Credential, Target};

use crate::config::SecretFinder;
use crate::cycle::Cycle;
use crate::purse::Purse;
use crate::schedule::Schedule;
use crate::watched::Watched;

/// First probes are spread over this time for each endpoint there is …
const SPREAD_PER_ENDPOINT_MS: u64 = 10;
/// … up to the pace of light probes.
const SPREAD_MAX_MS: u64 = 15_000;

impl Cycle {
    /// Works out anew which endpoints are this prober's to watch; what is watched already stays as it is.
    /// While the prober itself is not counted among the living it goes on with what it has.
    pub(super) fn reassign(&mut self, now_ms: u64) {
        let roster = Roster::new(&self.fold.probers);
        let Some(me) = roster.position(&self.me) else { return };
        let is_mine = |e: &&Endpoint| roster.of(e.id).contains(&me);
        let endpoints: Vec<Endpoint> =
            self.fold.catalog.endpoints.iter().filter(is_mine).cloned().collect();
        self.observers = roster.observers().max(1) as u64;
        let endpoint_share = self.endpoint_share();
        let mut before = std::mem::take(&mut self.watched);
        let routers = self.router_count();
        let spread_ms = (SPREAD_PER_ENDPOINT_MS * endpoints.len() as u64).min(SPREAD_MAX_MS);
        for endpoint in endpoints {
            let mut watched = before.remove(&endpoint.id).unwrap_or_else(|| {
                let schedule = Schedule::new(spread_ms, &mut self.rng, now_ms);
                let purse = Purse::new(endpoint_share, now_ms);
                let mut new = Watched::new(endpoint.clone(), schedule, purse);
                new.voter.step(Event::Routers(routers), now_ms);
                new.target = target(&self.fold.catalog, &endpoint, &self.secrets);
                self.unsaid.insert(endpoint.id);
                new
            });
            let id = endpoint.id;
            watched.describe(endpoint, now_ms);
            self.watched.insert(id, watched);
        }
        self.rewatched = true;
        self.unsaid.retain(|id| self.watched.contains_key(id));
        self.share(now_ms);
        self.telemetry.watching(self.watched.len());
    }

    /// Probes of one endpoint, and all of the cluster, may cost so much in a day from now on.
    pub fn allow(&mut self, (endpoint, cluster): (PicoUsd, PicoUsd), now_ms: u64) {
        (self.endpoint_daily, self.cluster_daily) = (endpoint, cluster);
        self.share(now_ms);
    }

    /// Works out anew what this prober may spend of what all may.
    fn share(&mut self, now_ms: u64) {
        let endpoint_share = self.endpoint_share();
        for watched in self.watched.values_mut() {
            watched.purse.set_daily(endpoint_share, now_ms);
        }
        let share = self.cluster_daily.0 / self.fold.probers.len().max(1) as u64;
        self.purse.set_daily(PicoUsd(share), now_ms);
    }

    /// Every observer pays its part of what an endpoint's probes may cost.
    fn endpoint_share(&self) -> PicoUsd {
        PicoUsd(self.endpoint_daily.0 / self.observers)
    }

    /// The catalog changed: addresses and credentials may be others now.
    pub(super) fn find_targets(&mut self) {
        for watched in self.watched.values_mut() {
            watched.target = target(&self.fold.catalog, &watched.endpoint, &self.secrets);
        }
    }

    /// Tells the voters what the endpoints' other observers say.
    pub(super) fn listen_to_peers(&mut self, endpoints: &[EndpointId], now_ms: u64) {
        let mut news = Vec::with_capacity(endpoints.len());
        let roster = Roster::new(&self.fold.probers);
        for id in endpoints {
            let observers = roster.of(*id);
            let others = observers.iter().filter_map(|at| roster.members().get(*at));
            let others = others.filter(|m| *m.id != self.me).map(|m| (m.id, m.info));
            let suspecting = self.fold.doubters(*id, others);
            news.push((*id, Event::Peers { suspecting, observers: observers.len() as u32 }));
        }
        for (id, event) in news {
            self.tell(id, event, now_ms);
        }
    }
}

/// How an endpoint is called; `None`, and a line in the log, when that cannot be found out.
fn target(catalog: &Catalog, endpoint: &Endpoint, secrets: &SecretFinder) -> Option<Arc<Target>> {
    let provider = catalog.provider(&endpoint.provider)?;
    let credentials: Result<Vec<Credential>, String> =
        provider.credentials.iter().map(|reference| secrets(reference)).collect();
    let target = credentials
        .and_then(|c| Target::new(provider, endpoint, &c).map_err(|error| error.to_string()));
    match target {
        Ok(target) => Some(Arc::new(target)),
        Err(reason) => {
            tracing::warn!(endpoint = endpoint.name(), reason, "endpoint cannot be probed");
            None
        }
    }
}
