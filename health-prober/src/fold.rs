//! What the store holds, as far as a prober needs it: the catalog, the living probers, and how they vote.
//! A record that cannot be read leaves the last good one in force, and so does a catalog that takes much away
//! until a manifest says that it is meant: what routers still call must still be measured.

use std::collections::{BTreeMap, BTreeSet};

use trunkline_core::catalog::Catalog;
use trunkline_core::id::{EndpointId, ProberId};
use trunkline_core::observation::{ProberInfo, Vote};
use trunkline_spec::observation::{decode_observation, decode_prober};
use trunkline_spec::{catalog, manifest};
use trunkline_store::keys::Key;
use trunkline_store::{Change, Event, KeyValue, Revision};

/// Where the catalog is, below `cfg/`.
const CATALOG: &str = "catalog";
/// Where the word is that a catalog is meant.
const MANIFEST: &str = "manifest";

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
    /// A catalog that is held back, and when it was written.
    held: Option<(Catalog, Revision)>,
    /// How many endpoints the manifest names, and when it was written.
    manifest: Option<(u64, Revision)>,
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
                let catalog = catalog::parse(text).map_err(|e| e.to_string())?;
                let risky = self.catalog.mass_removal(&catalog).is_some();
                self.held = Some((catalog, entry.mod_revision));
                if risky && !self.is_confirmed() {
                    return Err("it takes much away; it waits for a manifest".to_owned());
                }
                self.take_held(touched);
            }
            Some(Key::Config(path)) if path.as_str() == MANIFEST => {
                let text = std::str::from_utf8(&entry.value).map_err(|e| e.to_string())?;
                let manifest = manifest::parse(text).map_err(|e| e.to_string())?;
                self.manifest = Some((manifest.endpoints, entry.mod_revision));
                if self.is_confirmed() {
                    self.take_held(touched);
                }
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
            Some(Key::Config(_) | Key::History(_) | Key::Router(_) | Key::Spend(_)) | None => {}
        }
        Ok(())
    }

    /// Whether the manifest is about the catalog that is held back.
    fn is_confirmed(&self) -> bool {
        let both = self.held.as_ref().zip(self.manifest);
        both.is_some_and(|((catalog, written), (endpoints, confirmed))| {
            confirmed >= *written && endpoints == catalog.endpoints.len() as u64
        })
    }

    fn take_held(&mut self, touched: &mut Touched) {
        if let Some((catalog, _)) = self.held.take() {
            self.catalog = catalog;
            (touched.catalog, touched.assignment) = (true, true);
        }
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
            // Probing goes on with the last one until somebody says that it is meant.
            Some(Key::Config(path)) if path.as_str() == CATALOG => {
                self.held = Some((Catalog::default(), Revision::default()));
                self.manifest = None;
            }
            Some(Key::Config(_) | Key::History(_) | Key::Router(_) | Key::Spend(_)) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &str, revision: u64, text: &str) -> Change {
        let entry = KeyValue {
            key: format!("/trunkline/v1/cfg/{path}"),
            value: text.to_owned().into(),
            create_revision: Revision(1),
            mod_revision: Revision(revision),
            version: 1,
            lease: None,
        };
        Change::Batch { revision: Revision(revision), events: vec![Event::Put(entry)] }
    }

    fn catalog_of(endpoints: usize) -> String {
        let models = (0..endpoints).map(|at| {
            format!("{{model: m{at}, price: {{input: 1, output: 2}}, capabilities: [chat]}}")
        });
        let models = models.collect::<Vec<_>>().join(", ");
        format!(
            "version: 1\nproviders: [{{id: p, base_url: 'https://p.example', endpoints: [{models}]}}]"
        )
    }

    fn manifest(endpoints: usize) -> String {
        format!("{{endpoints: {endpoints}, reason: meant}}")
    }

    #[test]
    fn a_catalog_that_takes_much_away_is_measured_on_until_it_is_meant() {
        let mut fold = Fold::default();
        fold.apply(put(CATALOG, 1, &catalog_of(6)));
        assert_eq!(fold.apply(put(CATALOG, 2, &catalog_of(2))), Touched::default());
        fold.apply(put(MANIFEST, 3, &manifest(3)));
        assert_eq!(fold.catalog.endpoints.len(), 6);
        assert!(fold.apply(put(MANIFEST, 4, &manifest(2))).catalog);
        assert_eq!(fold.catalog.endpoints.len(), 2);
        let gone = Event::Delete { key: "/trunkline/v1/cfg/catalog".to_owned() };
        fold.apply(Change::Batch { revision: Revision(5), events: vec![gone] });
        assert_eq!(fold.catalog.endpoints.len(), 2);
        fold.apply(put(MANIFEST, 6, &manifest(0)));
        assert!(fold.catalog.endpoints.is_empty());
    }
}
