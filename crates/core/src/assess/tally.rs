//! First stage: whose word counts for which endpoint. Nothing is decided here but trust.

use crate::assess::Inputs;
use crate::assign::{Member, Roster};
use crate::catalog::Endpoint;
use crate::id::{EndpointId, ModelId, ProberId, ProviderId, Zone};
use crate::observation::{Observation, Vote};

/// A prober that alone calls at least this share of its providers down, in ‰, is taken to have lost its own
/// network.
const DISTRUST_FROM_PERMILLE: usize = 500;
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

/// An endpoint and the positions of those whose task it is to watch it.
struct Watch<'a> {
    endpoint: &'a Endpoint,
    observers: Vec<usize>,
}

/// One tally for each endpoint of the catalog, ordered by (model, id).
pub(super) fn count<'a>(input: &Inputs<'a>, roster: &Roster<'a>) -> Vec<Tally<'a>> {
    let published = published(input, roster);
    let mut endpoints: Vec<&Endpoint> = input.catalog.endpoints.iter().collect();
    endpoints.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
    let watch = |endpoint: &'a Endpoint| Watch { endpoint, observers: roster.of(endpoint.id) };
    let watches: Vec<Watch<'a>> = endpoints.into_iter().map(watch).collect();
    let distrusted = distrusted(&watches, roster, &published);
    let members = roster.members();
    let tally = |Watch { endpoint, observers }: Watch<'a>| {
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
    watches.into_iter().map(tally).collect()
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

/// How many endpoints of one provider a prober has seen, and how many of those it alone calls down.
#[derive(Clone, Copy, Default)]
struct Seen {
    endpoints: u32,
    alone_down: u32,
}

/// The positions of the probers whose votes do not count: those that suspect themselves, and those that alone
/// see most of their providers down.
///
/// Shares of what each calls down could not be compared instead: probers watch different endpoints, so where
/// half of the providers are down, the honest differ, and a liar beside them would turn the median.
fn distrusted(watches: &[Watch<'_>], roster: &Roster<'_>, published: &Published<'_>) -> Vec<usize> {
    let lonely = lonely_shares(watches, roster, published);
    let all = roster.members().iter().zip(lonely).enumerate();
    all.filter(|(_, (member, share))| member.info.self_suspect || *share >= DISTRUST_FROM_PERMILLE)
        .map(|(at, _)| at)
        .collect()
}

/// For each prober, the share of providers that it alone calls down on active evidence, in ‰. A provider is
/// called down when more than half of its endpoints are: one broken model does not make a broken provider.
/// The share is 0 below [`DISTRUST_FROM_PROVIDERS`].
fn lonely_shares(
    watches: &[Watch<'_>],
    roster: &Roster<'_>,
    published: &Published<'_>,
) -> Vec<usize> {
    let mut providers: Vec<&ProviderId> = watches.iter().map(|w| &w.endpoint.provider).collect();
    providers.sort_unstable();
    providers.dedup();
    let mut seen: Vec<Vec<Seen>> =
        vec![vec![Seen::default(); providers.len()]; roster.members().len()];
    for watch in watches {
        let provider = providers.binary_search(&&watch.endpoint.provider).unwrap_or(0);
        let records = published.about(watch.endpoint.id);
        for record in records {
            let of_prober = seen.get_mut(record.prober);
            let Some(seen) = of_prober.and_then(|s| s.get_mut(provider)) else { continue };
            let observation = record.observation;
            let down = observation.vote == Vote::Down && observation.evidence.active;
            seen.endpoints += 1;
            seen.alone_down += u32::from(down && !confirmed(record, watch, roster, records));
        }
    }
    seen.iter().map(|of_prober| lonely_share(of_prober)).collect()
}

/// Whether so many of the other observers doubt the endpoint, too, as would be left of the honest if all liars
/// that a majority can bear were among them. Silence confirms nothing.
fn confirmed(
    record: &Record<'_>,
    watch: &Watch<'_>,
    roster: &Roster<'_>,
    records: &[Record<'_>],
) -> bool {
    let doubts = |other: &&Record<'_>| {
        let doubted = matches!(other.observation.vote, Vote::Down | Vote::Suspect);
        let sane = roster.members().get(other.prober).is_some_and(|m| !m.info.self_suspect);
        other.prober != record.prober && doubted && sane && watch.observers.contains(&other.prober)
    };
    records.iter().filter(doubts).count() >= watch.observers.len().saturating_sub(1) / 2
}

fn lonely_share(seen: &[Seen]) -> usize {
    let all = seen.iter().filter(|s| s.endpoints > 0).count();
    let down = seen.iter().filter(|s| 2 * s.alone_down > s.endpoints).count();
    if down < DISTRUST_FROM_PROVIDERS { 0 } else { down * 1000 / all }
}
