//! What can go wrong in a simulated cluster, and a plan of it that chance draws up.

use trunkline_core::draw::Rng;
use trunkline_core::id::EndpointId;
use trunkline_store::keys::CONFIG;
use trunkline_store::{Expect, Store};

use super::link::Line;
use super::poll::now;
use super::provider::Conduct;
use super::scale::Scale;
use super::world::World;

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A provider misbehaves.
    Provider(usize, Conduct),
    /// A prober's line to the store is cut, or loses the answers.
    ProberLine(usize, Line),
    /// A prober reaches no provider.
    Egress(usize),
    /// A prober's process dies; it is started again at the end.
    ProberDies(usize),
    /// A prober's process is stopped.
    ProberStops(usize),
    /// A router's line to the store is cut.
    RouterLine(usize),
    /// A router's process dies and is started again at the end.
    RouterDies(usize),
    /// Nobody reaches the store.
    StoreAway,
    /// An operator drains an endpoint.
    Drain(usize),
}

/// A fault and its time.
#[derive(Clone, Copy, Debug)]
pub struct Planned {
    /// What goes wrong.
    pub fault: Fault,
    /// From when, in milliseconds.
    pub from_ms: u64,
    /// Until when; `None` for ever.
    pub to_ms: Option<u64>,
}

/// The most faults of one plan.
const FAULTS_MAX: u64 = 8;

/// Faults between `from_ms` and `heal_ms`; only dead providers stay beyond.
pub fn plan(scale: &Scale, rng: &mut Rng, (from_ms, heal_ms): (u64, u64)) -> Vec<Planned> {
    let mut plan: Vec<Planned> = (0..1 + rng.below(FAULTS_MAX))
        .filter_map(|_| {
            let fault = fault(scale, rng)?;
            let begin = from_ms + rng.below(heal_ms - from_ms);
            let end = begin + rng.below(heal_ms - begin + 1);
            Some(Planned { fault, from_ms: begin, to_ms: Some(end) })
        })
        .collect();
    for provider in 0..scale.providers {
        if rng.below(4) == 0 {
            let conduct = [Conduct::Refuses, Conduct::Errs, Conduct::Swallows][pick(rng, 3)];
            let from_ms = from_ms + rng.below(heal_ms - from_ms);
            let fault = Fault::Provider(provider, conduct);
            plan.retain(|p| !matches!(p.fault, Fault::Provider(at, _) if at == provider));
            plan.push(Planned { fault, from_ms, to_ms: None });
        }
    }
    plan
}

fn fault(scale: &Scale, rng: &mut Rng) -> Option<Fault> {
    let honest = scale.probers - scale.liars;
    let prober = pick(rng, honest);
    let router = pick(rng, scale.routers);
    Some(match rng.below(12) {
        0..=3 => Fault::Provider(pick(rng, scale.providers), conduct(rng)),
        4 => Fault::ProberLine(prober, Line::Cut),
        5 => Fault::ProberLine(prober, Line::Deaf),
        6 => Fault::Egress(prober),
        7 => Fault::ProberDies(prober),
        8 => Fault::ProberStops(prober),
        9 => [Fault::RouterLine(router), Fault::RouterDies(router)][pick(rng, 2)],
        10 => Fault::StoreAway,
        _ => Fault::Drain(pick(rng, scale.providers * scale.models)),
    })
}

fn conduct(rng: &mut Rng) -> Conduct {
    let all = [
        Conduct::Refuses,
        Conduct::Swallows,
        Conduct::Errs,
        Conduct::ErrsGenerating,
        Conduct::FailsPercent(30),
        Conduct::Limits,
        Conduct::Rejects,
        Conduct::Flaps(5_000),
    ];
    all[pick(rng, all.len())]
}

fn pick(rng: &mut Rng, of: usize) -> usize {
    rng.below(of as u64) as usize
}

impl World {
    /// It goes wrong from now on.
    pub fn begin(&mut self, fault: Fault) {
        match fault {
            Fault::Provider(at, conduct) => self.conducts[at] = conduct,
            Fault::ProberLine(at, line) => self.probers[at].line = line,
            Fault::Egress(at) => self.probers[at].egress = false,
            Fault::ProberDies(at) => self.probers[at].crash(),
            Fault::ProberStops(at) => self.probers[at].paused = true,
            Fault::RouterLine(at) => self.routers[at].connected = false,
            Fault::RouterDies(at) => {
                let store = self.store.clone();
                self.routers[at].restart(&store);
                self.routers[at].connected = false;
            }
            Fault::StoreAway => {
                self.probers.iter_mut().for_each(|prober| prober.line = Line::Cut);
                self.routers.iter_mut().for_each(|router| router.connected = false);
            }
            Fault::Drain(at) => self.drain(at),
        }
    }

    /// It is well again.
    pub fn end(&mut self, fault: Fault) {
        match fault {
            Fault::Provider(at, _) => self.conducts[at] = Conduct::Works,
            Fault::ProberLine(at, _) => self.probers[at].line = Line::Open,
            Fault::Egress(at) => self.probers[at].egress = true,
            Fault::ProberDies(at) => {
                if self.probers[at].process.is_none() {
                    self.start_prober(at);
                }
            }
            Fault::ProberStops(at) => {
                self.probers[at].paused = false;
                self.wake_at_once(at);
            }
            Fault::RouterLine(at) | Fault::RouterDies(at) => self.routers[at].connected = true,
            Fault::StoreAway => {
                self.probers.iter_mut().for_each(|prober| prober.line = Line::Open);
                self.routers.iter_mut().for_each(|router| router.connected = true);
            }
            Fault::Drain(at) => self.undrain(at),
        }
        self.news();
    }

    fn wake_at_once(&mut self, at: usize) {
        if let Some(process) = &mut self.probers[at].process {
            process.wake_ms = 0;
        }
        self.plan_wake(at);
    }

    fn drain_key(&self, at: usize) -> (String, EndpointId) {
        let id = self.catalog.endpoints[at].id;
        (format!("{CONFIG}overrides/drains/endpoint/{}", id.as_str()), id)
    }

    fn drain(&mut self, at: usize) {
        let (key, id) = self.drain_key(at);
        let text = format!("{{\"scope\":\"endpoint/{}\",\"reason\":\"a story\"}}", id.as_str());
        now(self.store.put(&key, text.into(), Expect::Any)).expect("at once").expect("room");
        self.news();
    }

    fn undrain(&mut self, at: usize) {
        let (key, _) = self.drain_key(at);
        now(self.store.delete(&key, Expect::Any)).expect("at once").expect("no condition");
    }
}
