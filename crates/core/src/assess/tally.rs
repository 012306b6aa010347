//! First stage: whose word counts for which endpoint. Nothing is decided here but trust.

use crate::assess::Inputs;
use crate::assign::{Member, Roster};
use crate::catalog::Endpoint;
use crate::id::{EndpointId, ModelId, ProberId, ProviderId, Zone};
use crate::observation::{Observation, Vote};
use crate::score::lower_median;

/// A prober that calls at least this share of the providers down, in ‰ …
const DISTRUST_FROM_PERMILLE: u32 = 500;
/// … and this much more than the median prober does, is taken to have lost its own network.
const DISTRUST_ABOVE_MEDIAN_PERMILLE: u32 = 300;
/// One provider that only one prober finds down says nothing about that prober's network, however few
/// providers there are.
const DISTRUST_FROM_PROVIDERS: usize = 2;

/// Who was heard about an endpoint, and how they voted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Living probers whose task it is to watch the endpoint.
    pub assigned: u32,
    /// Those of them that are trusted and have an opinion.
    pub voices: u32,
    /// Opinions that it is down.
    pub down: u32,
    /// Opinions that it is down which rest on probes alone.
    pub down_active_only: u32,
    /// Opinions that rest on probes, among others.
    pub active: u32,
    /// Opinions that rest on live traffic, among others.
    pub passive: u32,
    /// Opinions that it is degraded.
    pub degraded: u32,
    /// Opinions that it refuses our credential or does not know the model.
    pub config: u32,
    /// Opinions that it is failing, down or just coming back.
    pub outage: u32,
}

/// A trusted observer with an opinion.
#[derive(Clone, Copy)]
pub(super) struct Voice<'a> {
    pub(super) zone: &'a Zone,
    pub(super) observation: &'a Observation,
}

/// What was said about one endpoint.
pub(super) struct Tally<'a> {
    pub(super) endpoint: &'a Endpoint,
    /// The zones of all assigned observers, once for each, heard or not.
    pub(super) assigned: Vec<&'a Zone>,
    pub(super) voices: Vec<Voice<'a>>,
}

impl Tally<'_> {
    pub(super) fn heard(&self) -> Heard {
        let count = |test: fn(&Observation) -> bool| {
            self.voices.iter().filter(|v| test(v.observation)).count() as u32
        };
        Heard {
            assigned: self.assigned.len() as u32,
            voices: self.voices.len() as u32,
            down: count(|o| o.vote == Vote::Down),
            down_active_only: count(|o| o.vote == Vote::Down && !o.evidence.passive),
            active: count(|o| o.evidence.active),
            passive: count(|o| o.evidence.passive),
            degraded: count(|o| o.vote == Vote::Degraded),
            config: count(|o| o.vote == Vote::Config),
            outage: count(|o| matches!(o.vote, Vote::Suspect | Vote::Down | Vote::Recovering)),
        }
    }
}

/// What a living prober published about an endpoint.
#[derive(Clone, Copy)]
struct Record<'a> {
    endpoint: EndpointId,
    /// The prober's position in the roster.
    prober: usize,
    observation: &'a Observation,
}

/// All records, ordered by endpoint.
struct Published<'a>(Vec<Record<'a>>);

impl<'a> Published<'a> {
    fn about(&self, endpoint: EndpointId) -> &[Record<'a>] {
        let first = self.0.partition_point(|r| r.endpoint < endpoint);
        let rest = self.0.get(first..).unwrap_or_default();
        let count = rest.iter().take_while(|r| r.endpoint == endpoint).count();
        rest.get(..count).unwrap_or_default()
    }
}

/// One tally for each endpoint of the catalog, ordered by (model, id).
pub(super) fn count<'a>(input: &Inputs<'a>, roster: &Roster<'a>) -> Vec<Tally<'a>> {
    let published = published(input, roster);
    let distrusted = distrusted(input, roster, &published);
    let mut endpoints: Vec<&Endpoint> = input.catalog.endpoints.iter().collect();
    endpoints.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
    let tally = |endpoint: &'a Endpoint| {
        let observers = roster.of(endpoint.id);
        let members = roster.members();
        let counts = |at: &usize| observers.contains(at) && !distrusted.contains(at);
        let voice = |record: &Record<'a>| {
            let opinion = record.observation.vote != Vote::Unknown;
            let member =
                members.get(record.prober).filter(|_| opinion && counts(&record.prober))?;
            Some(Voice { zone: &member.info.zone, observation: record.observation })
        };
        let assigned = observers.iter().filter_map(|at| members.get(*at)).map(|m| &m.info.zone);
        Tally {
            endpoint,
            assigned: assigned.collect(),
            voices: published.about(endpoint.id).iter().filter_map(voice).collect(),
        }
    };
    endpoints.into_iter().map(tally).collect()
}

fn order(endpoint: &Endpoint) -> (&ModelId, EndpointId) {
    (&endpoint.model, endpoint.id)
}

/// What living probers published in their present life.
fn published<'a>(input: &Inputs<'a>, roster: &Roster<'a>) -> Published<'a> {
    let record = |((endpoint, prober), observation): (&(EndpointId, ProberId), &'a Observation)| {
        let prober = roster.position(prober)?;
        let alive = |m: &&Member<'_>| m.info.incarnation == observation.incarnation;
        roster.members().get(prober).filter(alive)?;
        Some(Record { endpoint: *endpoint, prober, observation })
    };
    Published(input.observations.iter().filter_map(record).collect())
}

/// How many endpoints of one provider a prober has seen, and how many of those it calls down.
#[derive(Clone, Copy, Default)]
struct Seen {
    endpoints: u32,
    down: u32,
}

/// The positions of the probers whose votes do not count: those that suspect themselves, and those that see
/// much more down than the others do.
fn distrusted(input: &Inputs<'_>, roster: &Roster<'_>, published: &Published<'_>) -> Vec<usize> {
    let shares = down_shares(input, roster, published);
    let suspects = |at: &usize| roster.members().get(*at).is_none_or(|m| m.info.self_suspect);
    let honest = shares.iter().enumerate().filter(|(at, _)| !suspects(at));
    let median = lower_median(honest.map(|(_, share)| *share)).unwrap_or(0);
    let too_many = |share: u32| {
        share >= DISTRUST_FROM_PERMILLE && share >= median + DISTRUST_ABOVE_MEDIAN_PERMILLE
    };
    let judged = shares.iter().enumerate();
    judged.filter(|(at, share)| suspects(at) || too_many(**share)).map(|(at, _)| at).collect()
}

/// For each prober, the share of providers that it calls down on active evidence, in ‰. A provider is called
/// down when more than half of its endpoints are: one broken model does not make a broken provider.
/// The share is 0 below [`DISTRUST_FROM_PROVIDERS`].
fn down_shares(input: &Inputs<'_>, roster: &Roster<'_>, published: &Published<'_>) -> Vec<u32> {
    let mut providers: Vec<&ProviderId> =
        input.catalog.endpoints.iter().map(|e| &e.provider).collect();
    providers.sort_unstable();
    providers.dedup();
    let mut seen: Vec<Vec<Seen>> =
        vec![vec![Seen::default(); providers.len()]; roster.members().len()];
    for endpoint in &input.catalog.endpoints {
        let provider = providers.binary_search(&&endpoint.provider).unwrap_or(0);
        for record in published.about(endpoint.id) {
            let of_prober = seen.get_mut(record.prober);
            let Some(seen) = of_prober.and_then(|s| s.get_mut(provider)) else { continue };
            let observation = record.observation;
            seen.endpoints += 1;
            seen.down += u32::from(observation.vote == Vote::Down && observation.evidence.active);
        }
    }
    seen.iter().map(|of_prober| down_share(of_prober)).collect()
}

fn down_share(seen: &[Seen]) -> u32 {
    let all = seen.iter().filter(|s| s.endpoints > 0).count();
    let down = seen.iter().filter(|s| 2 * s.down > s.endpoints).count();
    if down < DISTRUST_FROM_PROVIDERS { 0 } else { (down * 1000 / all) as u32 }
}
