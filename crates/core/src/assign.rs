//! Which probers watch which endpoint: rendezvous hashing over the living, spread over zones. Probers use it
//! to know their work and routers to know whose word counts; both see the same keys, so both get the same answer.

use std::collections::BTreeMap;

use crate::draw::affinity_key;
use crate::id::{EndpointId, ProberId};
use crate::observation::ProberInfo;

/// Observers of an endpoint where there are at least as many probers: two liars are outvoted.
const MANY_OBSERVERS: usize = 5;
/// Observers where there are fewer than [`MANY_OBSERVERS`] but at least three: one liar is outvoted.
const FEW_OBSERVERS: usize = 3;

/// The living probers, ready to be asked about one endpoint after the other.
#[derive(Clone, Debug)]
pub struct Roster<'a> {
    members: Vec<Member<'a>>,
    observers: usize,
    zones: usize,
}

/// A living prober.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// Its name.
    pub id: &'a ProberId,
    /// What its key tells.
    pub info: &'a ProberInfo,
    hash: u64,
    /// Position of its zone among the zones, so that spreading compares numbers.
    zone: usize,
}

impl<'a> Roster<'a> {
    /// The roster of these probers.
    pub fn new(probers: &'a BTreeMap<ProberId, ProberInfo>) -> Self {
        let mut zones: Vec<_> = probers.values().map(|p| &p.zone).collect();
        zones.sort_unstable();
        zones.dedup();
        let member = |(id, info): (&'a ProberId, &'a ProberInfo)| Member {
            id,
            info,
            hash: affinity_key(id.as_str().as_bytes()),
            zone: zones.binary_search(&&info.zone).unwrap_or(0),
        };
        let members: Vec<Member<'a>> = probers.iter().map(member).collect();
        let observers = match members.len() {
            MANY_OBSERVERS.. => MANY_OBSERVERS,
            FEW_OBSERVERS.. => FEW_OBSERVERS,
            fewer => fewer,
        };
        Self { members, observers, zones: zones.len() }
    }

    /// The living, by name.
    pub fn members(&self) -> &[Member<'a>] {
        &self.members
    }

    /// The position of a prober among [`Self::members`].
    pub fn position(&self, prober: &ProberId) -> Option<usize> {
        self.members.binary_search_by(|m| m.id.cmp(prober)).ok()
    }

    /// How many observers each endpoint has.
    pub fn observers(&self) -> usize {
        self.observers
    }

    /// The positions of an endpoint's observers, in order of their hash: the first is its foremost.
    pub fn of(&self, endpoint: EndpointId) -> Vec<usize> {
        let salt = affinity_key_of(endpoint);
        let mut ranked: Vec<(u64, usize)> =
            self.members.iter().enumerate().map(|(at, m)| (mixed(m.hash ^ salt), at)).collect();
        ranked.sort_unstable_by(|a, b| b.cmp(a));
        self.spread(&ranked)
    }

    /// Takes the best ranked of the zones that have the fewest observers so far, until there are enough.
    fn spread(&self, ranked: &[(u64, usize)]) -> Vec<usize> {
        let mut left: Vec<usize> = ranked.iter().map(|(_, at)| *at).collect();
        let mut taken = vec![0; self.zones];
        let mut chosen = Vec::with_capacity(self.observers);
        while chosen.len() < self.observers {
            let of_zone = |at: usize| self.members.get(at).and_then(|m| taken.get(m.zone));
            // `min_by_key` keeps the first of equals, which is the best ranked.
            let best = left.iter().enumerate().min_by_key(|(_, at)| of_zone(**at));
            let Some((place, _)) = best else { break };
            let at = left.remove(place);
            if let Some(count) = self.members.get(at).and_then(|m| taken.get_mut(m.zone)) {
                *count += 1;
            }
            chosen.push(at);
        }
        chosen
    }
}

fn affinity_key_of(endpoint: EndpointId) -> u64 {
    // Ten base32 characters are 50 bits of a hash already, six bits each as they are packed: no need to hash again.
    let bits = |byte: u8| u64::from(byte & 0x1f) ^ (u64::from(byte >> 6) << 5);
    let packed = endpoint.as_str().bytes().fold(0u64, |sum, byte| (sum << 6) ^ bits(byte));
    mixed(packed)
}

/// The finisher of SplitMix64: every bit of the input moves every bit of the output.
const fn mixed(input: u64) -> u64 {
    let z = (input ^ (input >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ModelId, ProviderId, Region, Zone};

    fn probers(zones: &[&str]) -> BTreeMap<ProberId, ProberInfo> {
        let prober = |(at, zone): (usize, &&str)| {
            let info = ProberInfo { zone: Zone::new(zone), incarnation: 1, self_suspect: false };
            (ProberId::new(&format!("p{at}")), info)
        };
        zones.iter().enumerate().map(prober).collect()
    }

    fn endpoint(number: usize) -> EndpointId {
        let model = ModelId::new(&number.to_string());
        EndpointId::of(&ProviderId::new("p"), &model, &Region::new("r"))
    }

    #[test]
    fn the_number_of_observers_is_odd_wherever_it_can_be() {
        let observers = |n: usize| Roster::new(&probers(&vec!["a"; n])).of(endpoint(1)).len();
        assert_eq!([0, 1, 2, 3, 4, 5, 9].map(observers), [0, 1, 2, 3, 3, 5, 5]);
    }

    #[test]
    fn observers_are_spread_over_zones() {
        let all = probers(&["a", "a", "a", "a", "a", "b", "c"]);
        let roster = Roster::new(&all);
        for number in 0..50 {
            let chosen = roster.of(endpoint(number));
            let zones = chosen.iter().map(|at| roster.members()[*at].info.zone.as_str());
            let in_a = zones.filter(|zone| *zone == "a").count();
            assert_eq!(in_a, 3, "b and c have one prober each, and both are taken");
        }
    }

    #[test]
    fn work_is_shared_evenly() {
        let all = probers(&["a"; 10]);
        let roster = Roster::new(&all);
        let mut load = [0; 10];
        (0..1_000).flat_map(|n| roster.of(endpoint(n))).for_each(|at| load[at] += 1);
        assert!(load.iter().all(|n| (400..600).contains(n)), "{load:?}");
    }

    #[test]
    fn one_prober_less_moves_only_its_own_work() {
        let before_all = probers(&["a"; 10]);
        let mut after_all = before_all.clone();
        after_all.remove("p3");
        let (before, after) = (Roster::new(&before_all), Roster::new(&after_all));
        for number in 0..200 {
            let names = |roster: &Roster<'_>| -> Vec<String> {
                let of = roster.of(endpoint(number));
                of.iter().map(|at| roster.members()[*at].id.to_string()).collect()
            };
            let (mut old, new) = (names(&before), names(&after));
            old.retain(|name| name != "p3");
            assert!(old.iter().all(|name| new.contains(name)));
        }
    }
}
