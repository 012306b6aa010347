//! What the store holds, as this router has understood it so far: changes are folded in one by one, and a
//! record that cannot be read leaves the last good one in force.

use std::collections::BTreeMap;

use trunkline_core::assess::{Inputs, Table, assess};
use trunkline_core::catalog::Catalog;
use trunkline_core::id::{EndpointId, ProberId, Zone};
use trunkline_core::observation::{Observation, ProberInfo};
use trunkline_core::policy::{ApiKey, Policy};
use trunkline_core::snapshot::Snapshot;
use trunkline_spec::observation::{decode_observation, decode_prober};
use trunkline_spec::overrides::{Drain, Overrides, PinnedWeight};
use trunkline_spec::{catalog, keys, overrides, policy};
use trunkline_store::keys::Key;
use trunkline_store::port::{Change, Event, KeyValue};

/// Where the catalog is, below `cfg/`.
pub const CATALOG: &str = "catalog";
/// Where the policy is.
pub const POLICY: &str = "policy";
/// Where the bootstrap's keys document is; single keys are below it.
pub const KEYS: &str = "keys";
/// Where drains are.
pub const DRAINS: &str = "overrides/drains/";
/// Where pinned weights are.
pub const WEIGHTS: &str = "overrides/weights/";

/// A change that takes away more than this share of the endpoints at once is taken for an accident, in
/// percent; the last good catalog stays in force.
const MAX_REMOVED_PERCENT: usize = 30;
/// Small catalogs may lose more than the share above.
const GUARDED_FROM: usize = 4;

/// A record that was refused; the last good one stays in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nack {
    /// Its key.
    pub key: String,
    /// Why.
    pub reason: String,
}

/// The store's contents, understood.
#[derive(Debug, Default)]
pub struct Fold {
    /// The revision they are from.
    pub revision: u64,
    /// What exists.
    pub catalog: Catalog,
    /// The policy in force.
    pub policy: Policy,
    /// A catalog was read at least once: calls can be served.
    pub configured: bool,
    keys: BTreeMap<String, Vec<ApiKey>>,
    drains: BTreeMap<String, Drain>,
    weights: BTreeMap<String, PinnedWeight>,
    probers: BTreeMap<ProberId, ProberInfo>,
    observations: BTreeMap<(EndpointId, ProberId), Observation>,
    nacks: BTreeMap<String, String>,
}

/// How soon a change must reach the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Haste {
    /// Nothing changed.
    None,
    /// Measurements.
    Material,
    /// Configuration, or a prober's word.
    Urgent,
}

impl Fold {
    /// Takes in one change; all events of a revision together.
    pub fn apply(&mut self, change: Change) -> Haste {
        match change {
            Change::Snapshot(listing) => {
                self.revision = listing.revision.0;
                self.forget_what_is_gone(&listing.entries);
                listing.entries.into_iter().for_each(|entry| _ = self.put(entry));
                Haste::Urgent
            }
            Change::Batch { revision, events } => {
                self.revision = revision.0;
                let hastes = events.into_iter().map(|event| match event {
                    Event::Put(entry) => self.put(entry),
                    Event::Delete { key } => self.delete(&key),
                });
                hastes.max().unwrap_or(Haste::None)
            }
            Change::Progress { revision } => {
                self.revision = self.revision.max(revision.0);
                Haste::None
            }
            Change::Silent { .. } => Haste::None,
        }
    }

    /// All keys in force.
    pub fn keys(&self) -> Vec<ApiKey> {
        self.keys.values().flatten().cloned().collect()
    }

    /// What operators have said.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            drains: self.drains.values().cloned().collect(),
            weights: self.weights.values().cloned().collect(),
        }
    }

    /// Records that were refused, the last good ones being in force.
    pub fn nacks(&self) -> Vec<Nack> {
        let nack =
            |(key, reason): (&String, &String)| Nack { key: key.clone(), reason: reason.clone() };
        self.nacks.iter().map(nack).collect()
    }

    /// Verdicts and weights at this revision, for routers of `zone`.
    pub fn table(&self, zone: &Zone) -> Table {
        assess(&Inputs {
            catalog: &self.catalog,
            policy: &self.policy,
            overrides: &self.overrides().resolve(&self.catalog),
            probers: &self.probers,
            observations: &self.observations,
            zone,
        })
    }

    /// The snapshot that a table makes.
    pub fn snapshot(&self, table: &Table) -> Snapshot {
        let states = table.states(&self.catalog);
        Snapshot::new(self.revision, self.policy.clone(), self.catalog.providers.clone(), states)
    }

    fn put(&mut self, entry: KeyValue) -> Haste {
        let haste = self.read(&entry);
        match haste {
            Ok(haste) => {
                self.nacks.remove(&entry.key);
                haste
            }
            Err(reason) => {
                tracing::warn!(
                    key = entry.key,
                    reason,
                    "record refused, the last good one stays in force"
                );
                self.nacks.insert(entry.key, reason);
                Haste::Urgent
            }
        }
    }

    fn read(&mut self, entry: &KeyValue) -> Result<Haste, String> {
        match Key::parse(&entry.key) {
            Some(Key::Config(path)) => {
                let text = std::str::from_utf8(&entry.value).map_err(|e| e.to_string())?;
                self.read_config(path.as_str(), text)
            }
            Some(Key::Prober(prober)) => {
                let incarnation = entry.create_revision.0;
                let info = decode_prober(&entry.value, incarnation).map_err(|e| e.to_string())?;
                let before = self.probers.insert(ProberId::new(prober.as_str()), info.clone());
                Ok(if before == Some(info) { Haste::None } else { Haste::Urgent })
            }
            Some(Key::Observation { prober, endpoint }) => {
                let endpoint = EndpointId::parse(endpoint.as_str()).ok_or("no endpoint id")?;
                let seen = decode_observation(&entry.value).map_err(|e| e.to_string())?;
                let at = (endpoint, ProberId::new(prober.as_str()));
                let before = self.observations.insert(at, seen);
                let same_vote = before.is_some_and(|b| b.vote == seen.vote);
                Ok(if same_vote { Haste::Material } else { Haste::Urgent })
            }
            Some(Key::History(_) | Key::Router(_)) | None => Ok(Haste::None),
        }
    }

    fn read_config(&mut self, path: &str, text: &str) -> Result<Haste, String> {
        match path {
            CATALOG => self.take_catalog(catalog::parse(text).map_err(|p| p.to_string())?)?,
            POLICY => self.policy = policy::parse(text).map_err(|p| p.to_string())?,
            KEYS => drop(
                self.keys.insert(path.to_owned(), keys::parse(text).map_err(|p| p.to_string())?),
            ),
            _ if path.starts_with("keys/") => {
                let key = keys::parse_one(text).map_err(|p| p.to_string())?;
                self.keys.insert(path.to_owned(), vec![key]);
            }
            _ if path.starts_with(DRAINS) => {
                let drain = overrides::parse_drain(text).map_err(|p| p.to_string())?;
                self.drains.insert(path.to_owned(), drain);
            }
            _ if path.starts_with(WEIGHTS) => {
                let weight = overrides::parse_weight(text).map_err(|p| p.to_string())?;
                self.weights.insert(path.to_owned(), weight);
            }
            _ => return Ok(Haste::None),
        }
        Ok(Haste::Urgent)
    }

    /// Refuses a catalog that takes away so much at once that it is more likely an accident.
    fn take_catalog(&mut self, catalog: Catalog) -> Result<(), String> {
        let before = self.catalog.endpoints.len();
        let kept = |id| catalog.endpoints.iter().any(|e| e.id == id);
        let removed = self.catalog.endpoints.iter().filter(|e| !kept(e.id)).count();
        if before >= GUARDED_FROM && removed * 100 > before * MAX_REMOVED_PERCENT {
            return Err(format!("it would remove {removed} of {before} endpoints at once"));
        }
        self.catalog = catalog;
        self.configured = true;
        Ok(())
    }

    fn delete(&mut self, key: &str) -> Haste {
        self.nacks.remove(key);
        match Key::parse(key) {
            Some(Key::Config(path)) => self.delete_config(key, path.as_str()),
            Some(Key::Prober(prober)) => {
                self.probers.remove(prober.as_str());
                Haste::Urgent
            }
            Some(Key::Observation { prober, endpoint }) => {
                if let Some(endpoint) = EndpointId::parse(endpoint.as_str()) {
                    self.observations.remove(&(endpoint, ProberId::new(prober.as_str())));
                }
                Haste::Material
            }
            Some(Key::History(_) | Key::Router(_)) | None => Haste::None,
        }
    }

    fn delete_config(&mut self, key: &str, path: &str) -> Haste {
        match path {
            // Nobody takes the catalog or the policy away on purpose: calls go on with the last one.
            CATALOG | POLICY => {
                tracing::warn!(key, "deleted from the store, the last good one stays in force");
                self.nacks.insert(key.to_owned(), "it was deleted".to_owned());
            }
            _ => {
                self.keys.remove(path);
                self.drains.remove(path);
                self.weights.remove(path);
            }
        }
        Haste::Urgent
    }

    /// A snapshot names everything there is: what it does not name was deleted while nobody looked.
    fn forget_what_is_gone(&mut self, entries: &[KeyValue]) {
        let mut gone = Vec::new();
        let is_there = |key: &str| entries.iter().any(|e| e.key == key);
        let config = self.keys.keys().chain(self.drains.keys()).chain(self.weights.keys());
        gone.extend(config.map(|path| format!("{}{path}", trunkline_store::keys::CONFIG)));
        let probers = self.probers.keys();
        gone.extend(probers.map(|p| format!("{}{p}", trunkline_store::keys::PROBERS)));
        gone.retain(|key| !is_there(key));
        let observations: std::collections::BTreeSet<&str> =
            entries.iter().map(|e| e.key.as_str()).collect();
        self.observations.retain(|(endpoint, prober), _| {
            let key = format!("{}{prober}/{endpoint}", trunkline_store::keys::OBSERVATIONS);
            observations.contains(key.as_str())
        });
        for key in gone {
            self.delete(&key);
        }
    }
}
