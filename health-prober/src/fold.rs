//! What the store holds, as far as a prober needs it: the catalog, the living probers, and how they vote.
//! A record that cannot be read leaves the last good one in force.

use std::collections::{BTreeMap, BTreeSet};

use trunkline_core::catalog::Catalog;
use trunkline_core::id::{EndpointId, ProberId};
use trunkline_core::observation::{ProberInfo, Vote};
use trunkline_spec::catalog;
use trunkline_spec::observation::{decode_observation, decode_prober};
use trunkline_store::keys::Key;
use trunkline_store::{Change, Event, KeyValue};

/// Where the catalog is, below `cfg/`.
const CATALOG: &str = "catalog";

/// Another prober's vote, valid while that prober lives with the same incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerVote {
    /// The create revision of the prober's key when it wrote.
    pub incarnation: u64,
    /// The vote.
    pub vote: Vote,
}

/// What a change touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Addresses and credentials may be different now.
    pub catalog: bool,
    /// Who watches what may be different now.
    pub assignment: bool,
    /// Endpoints that somebody votes on differently now.
    pub votes: BTreeSet<EndpointId>,
}

/// The store's contents, understood.
#[derive(Debug, Default)]
pub struct Fold {
    /// What exists.
    pub catalog: Catalog,
    /// Who lives.
    pub probers: BTreeMap<ProberId, ProberInfo>,
    votes: BTreeMap<(EndpointId, ProberId), PeerVote>,
}

impl Fold {
    /// Takes in one change; all events of a revision together.
    pub fn apply(&mut self, change: Change) -> Touched {
        let mut touched = Touched::default();
        match change {
            Change::Snapshot(listing) => {
                touched.assignment = true;
                touched.votes.extend(self.votes.keys().map(|(endpoint, _)| *endpoint));
                self.probers.clear();
                self.votes.clear();
                listing.entries.iter().for_each(|entry| self.put(entry, &mut touched));
            }
            Change::Batch { events, .. } => {
                for event in events {
                    match event {
                        Event::Put(entry) => self.put(&entry, &mut touched),
                        Event::Delete { key } => self.delete(&key, &mut touched),
                    }
                }
            }
            Change::Progress { .. } => {}
            // It is said for every failed try; a metric counts them, and failed errands are logged.
            Change::Silent { reason } => tracing::debug!(reason, "the store does not answer"),
        }
        touched
    }

    /// How the others among these observers see an endpoint: how many doubt it.
    pub fn doubters<'a>(
        &self,
        endpoint: EndpointId,
        others: impl Iterator<Item = (&'a ProberId, &'a ProberInfo)>,
    ) -> u32 {
        let doubts = |(id, info): &(&ProberId, &ProberInfo)| {
            let said = self.votes.get(&(endpoint, (*id).clone()));
            said.is_some_and(|said| {
                let alive = said.incarnation == info.incarnation && !info.self_suspect;
                alive && matches!(said.vote, Vote::Suspect | Vote::Down)
            })
        };
        others.filter(doubts).count() as u32
    }

    /// What the store has a prober say of an endpoint.
    pub fn vote_of(&self, endpoint: EndpointId, prober: &ProberId) -> Option<PeerVote> {
        self.votes.get(&(endpoint, prober.clone())).copied()
    }

    /// The endpoints that a prober has a record of.
    pub fn recorded_by<'a>(
        &'a self,
        prober: &'a ProberId,
    ) -> impl Iterator<Item = EndpointId> + 'a {
        self.votes.keys().filter(move |(_, id)| id == prober).map(|(endpoint, _)| *endpoint)
    }

    fn put(&mut self, entry: &KeyValue, touched: &mut Touched) {
        if let Err(reason) = self.read(entry, touched) {
            tracing::warn!(key = entry.key, reason, "record refused, the last good one stays");
        }
    }

    fn read(&mut self, entry: &KeyValue, touched: &mut Touched) -> Result<(), String> {
        match Key::parse(&entry.key) {
            Some(Key::Config(path)) if path.as_str() == CATALOG => {
                let text = std::str::from_utf8(&entry.value).map_err(|e| e.to_string())?;
                self.catalog = catalog::parse(text).map_err(|e| e.to_string())?;
                (touched.catalog, touched.assignment) = (true, true);
            }
            Some(Key::Prober(id)) => {
                let incarnation = entry.create_revision.0;
                let info = decode_prober(&entry.value, incarnation).map_err(|e| e.to_string())?;
                let before = self.probers.insert(ProberId::new(id.as_str()), info.clone());
                touched.assignment |= before != Some(info);
            }
            Some(Key::Observation { prober, endpoint }) => {
                let endpoint = EndpointId::parse(endpoint.as_str()).ok_or("no endpoint id")?;
                let seen = decode_observation(&entry.value).map_err(|e| e.to_string())?;
                let vote = PeerVote { incarnation: seen.incarnation, vote: seen.vote };
                let at = (endpoint, ProberId::new(prober.as_str()));
                if self.votes.insert(at, vote) != Some(vote) {
                    touched.votes.insert(endpoint);
                }
            }
            Some(Key::Config(_) | Key::History(_) | Key::Router(_)) | None => {}
        }
        Ok(())
    }

    fn delete(&mut self, key: &str, touched: &mut Touched) {
        match Key::parse(key) {
            Some(Key::Prober(id)) => {
                touched.assignment |= self.probers.remove(id.as_str()).is_some();
            }
            Some(Key::Observation { prober, endpoint }) => {
                let Some(endpoint) = EndpointId::parse(endpoint.as_str()) else { return };
                self.votes.remove(&(endpoint, ProberId::new(prober.as_str())));
                touched.votes.insert(endpoint);
            }
            // Nobody takes the catalog away on purpose: probing goes on with the last one.
            Some(Key::Config(_) | Key::History(_) | Key::Router(_)) | None => {}
        }
    }
}
