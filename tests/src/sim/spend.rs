//! What paid probes spend in a month. It runs the probers' cycles alone, without a store and in steps of some
//! seconds: a month of whole worlds would take hours.

use std::collections::BTreeMap;
use std::sync::Arc;

use health_prober::config::ProberConfig;
use health_prober::cycle::Cycle;
use health_prober::evidence::{Batch, Seen, Traffic};
use health_prober::probe::{PROMPT_TOKENS, Probe, Report};
use health_prober::telemetry::Telemetry;
use trunkline_core::catalog::{Catalog, SecretRef};
use trunkline_core::draw::Rng;
use trunkline_core::id::{EndpointId, ProberId, RouterId, Zone};
use trunkline_core::money::PicoUsd;
use trunkline_core::observation::Counts;
use trunkline_spec::observation::{ProberRecord, encode_prober};
use trunkline_store::keys::{CONFIG, PROBERS};
use trunkline_store::{Change, KeyValue, Listing, Revision};

use super::provider::Conduct;
use super::scale::{Scale, zone_name};

/// One step, in milliseconds: shorter than any time between two paid probes.
const STEP_MS: u64 = 5_000;
const HOUR_MS: u64 = 3_600_000;
/// Hours of the month.
const MONTH_H: u64 = 30 * 24;

/// What was spent at most in any 24 hours of a month.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// By all probes.
    pub most_in_a_day: PicoUsd,
    /// By those of one endpoint.
    pub most_for_an_endpoint: PicoUsd,
    /// In the whole month.
    pub in_all: PicoUsd,
}

/// A month of five probers, eight endpoints and prices at which both allowances bind. On odd days there is live
/// traffic, so that allowances are saved; a provider dies every sixth hour, so that probes hurry.
pub fn month() -> Spent {
    let scale = Scale { providers: 8, models: 1, usd_per_million: 500, ..Scale::default() };
    let mut month = Month::new(&scale);
    for hour in 0..MONTH_H {
        month.hour(hour);
    }
    month.spent(&scale)
}

struct Month {
    catalog: Catalog,
    cycles: Vec<Cycle>,
    rng: Rng,
    /// By endpoint, by hour.
    hours: BTreeMap<EndpointId, Vec<u64>>,
}

impl Month {
    fn new(scale: &Scale) -> Self {
        let text = scale.catalog();
        let catalog = trunkline_spec::catalog::parse(&text).expect("the simulation's own catalog");
        let snapshot = Change::Snapshot(listing(scale, &text));
        let cycle = |at: usize| {
            let secrets = Arc::new(|reference: &SecretRef| Err(format!("no secret {reference:?}")));
            let id = ProberId::new(&format!("prober-{at}"));
            let config = ProberConfig::new(id, Zone::new(&zone_name(at, scale.zones)), secrets);
            let mut cycle = Cycle::new(&config, Telemetry::new(&config.id), 0);
            cycle.learn(snapshot.clone(), 0);
            cycle
        };
        Self {
            cycles: (0..scale.probers).map(cycle).collect(),
            hours: catalog.endpoints.iter().map(|e| (e.id, vec![0; MONTH_H as usize])).collect(),
            catalog,
            rng: Rng::new(30),
        }
    }

    fn hour(&mut self, hour: u64) {
        let live = (hour / 24) % 2 == 1;
        let dead = (hour % 6 == 5).then_some((hour / 6) as usize % self.catalog.endpoints.len());
        for step in 0..HOUR_MS / STEP_MS {
            let now_ms = hour * HOUR_MS + step * STEP_MS;
            for at in 0..self.cycles.len() {
                if live && step.is_multiple_of(2) {
                    self.tell(at, dead, now_ms);
                }
                self.probe(at, dead, now_ms);
            }
        }
    }

    fn conduct(&self, endpoint: EndpointId, dead: Option<usize>) -> Conduct {
        let dead = dead.and_then(|at| self.catalog.endpoints.get(at)).map(|e| e.id);
        if dead == Some(endpoint) { Conduct::Refuses } else { Conduct::Works }
    }

    fn tell(&mut self, at: usize, dead: Option<usize>, now_ms: u64) {
        let traffic = self.catalog.endpoints.iter().map(|endpoint| {
            let works = self.conduct(endpoint.id, dead).is_well();
            let counts = Counts { ok: if works { 20 } else { 0 }, ..Counts::default() };
            Traffic { endpoint: endpoint.id, seen: Seen { counts, ..Seen::default() } }
        });
        let batch = Batch { router: RouterId::new("router"), traffic: traffic.collect() };
        self.cycles[at].hear(&batch, now_ms);
    }

    fn probe(&mut self, at: usize, dead: Option<usize>, now_ms: u64) {
        for task in self.cycles[at].due(now_ms) {
            self.pay(task.endpoint, task.probe, now_ms);
            let conduct = self.conduct(task.endpoint, dead);
            let (_, outcome) = conduct.answer(task.probe.level(), 300, &mut self.rng, now_ms);
            let report = Report { endpoint: task.endpoint, probe: task.probe, outcome };
            self.cycles[at].observe(&report, now_ms);
        }
    }

    fn pay(&mut self, id: EndpointId, probe: Probe, now_ms: u64) {
        let Probe::Generate { tokens, .. } = probe else { return };
        let priced = self.catalog.endpoints.iter().find(|e| e.id == id);
        let cost = priced.map_or(0, |e| e.price.of(PROMPT_TOKENS, u64::from(tokens)).0);
        let hours = self.hours.get_mut(&id).expect("a probe of the catalog's");
        hours[(now_ms / HOUR_MS) as usize] += cost;
    }

    fn spent(&self, scale: &Scale) -> Spent {
        let most = |hours: &[u64]| {
            PicoUsd(hours.windows(24).map(|day| day.iter().sum()).max().unwrap_or(0))
        };
        let mut all = vec![0; MONTH_H as usize];
        for hours in self.hours.values() {
            all.iter_mut().zip(hours).for_each(|(sum, hour)| *sum += hour);
        }
        debug_assert_eq!(self.hours.len(), scale.providers);
        let of_one = self.hours.values().map(|hours| most(hours)).max();
        Spent {
            most_in_a_day: most(&all),
            most_for_an_endpoint: of_one.unwrap_or(PicoUsd::ZERO),
            in_all: PicoUsd(all.iter().sum()),
        }
    }
}

/// The catalog and the probers' signs of life.
fn listing(scale: &Scale, catalog: &str) -> Listing {
    let entry = |key: String, value: Vec<u8>| KeyValue {
        key,
        value: value.into(),
        create_revision: Revision(1),
        mod_revision: Revision(1),
        version: 1,
        lease: None,
    };
    let sign = |at: usize| {
        let zone = zone_name(at, scale.zones);
        let record = ProberRecord { zone, ..ProberRecord::default() };
        entry(format!("{PROBERS}prober-{at}"), encode_prober(&record))
    };
    let catalog = entry(format!("{CONFIG}catalog"), catalog.as_bytes().to_vec());
    let entries = std::iter::once(catalog).chain((0..scale.probers).map(sign)).collect();
    Listing { revision: Revision(1), entries }
}
