//! What the store holds, as this router has understood it so far: changes are folded in one by one, and a
//! record that cannot be read leaves the last good one in force.

mod asked;
mod guard;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use trunkline_core::assess::{self, Inputs, Table};
use trunkline_core::catalog::{Catalog, Endpoint};
use trunkline_core::id::{EndpointId, KeyId, ProberId, Zone};
use trunkline_core::observation::{Observation, ProberInfo};
use trunkline_core::policy::{ApiKey, Policy, Spent};
use trunkline_spec::canary::{self, Canary};
use trunkline_spec::observation::{decode_observation, decode_prober};
use trunkline_spec::overrides::{Drain, Overrides, PinnedWeight, Scope};
use trunkline_spec::router::RouterRecord;
use trunkline_spec::{catalog, keys, manifest, overrides, policy, spend};
use trunkline_store::keys::{Key, SPEND};
use trunkline_store::port::{Change, Event, KeyValue, Listing, Revision};

use guard::Guard;

use crate::agreement::TableSign;

/// Where the catalog is, below `cfg/`.
pub const CATALOG: &str = "catalog";
/// Where the manifest is: the word that a catalog is meant.
pub const MANIFEST: &str = "manifest";
/// Where the policy is.
pub const POLICY: &str = "policy";
/// Where the canary is, while one runs.
pub const CANARY: &str = "canary";
/// Where the bootstrap's keys document is; single keys are below it.
pub const KEYS: &str = "keys";
/// Where drains are.
pub const DRAINS: &str = "overrides/drains/";
/// Where pinned weights are.
pub const WEIGHTS: &str = "overrides/weights/";

/// A record that was refused; the last good one stays in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nack {
    /// Its key.
    pub key: String,
    /// The revision that was refused.
    pub revision: u64,
    /// Why.
    pub reason: String,
}

/// The store's contents, understood.
#[derive(Debug, Default)]
pub struct Fold {
    /// The revision they are from.
    pub revision: u64,
    /// The last revision that made a difference; after a listing the least that it can have been, because a
    /// listing does not tell when something was deleted.
    pub changed: u64,
    /// What exists.
    pub catalog: Catalog,
    /// The policy in force.
    pub policy: Arc<Policy>,
    /// A catalog was read at least once: calls can be served.
    pub configured: bool,
    /// How often catalog, policy, keys or overrides changed: what was made from them is old when it moved.
    pub configurations: u64,
    /// How often the refusals changed.
    pub refusals: u64,
    /// Routers that are alive.
    pub routers: Arc<BTreeSet<String>>,
    /// What they say of their tables.
    pub signs: Arc<BTreeMap<String, TableSign>>,
    canary: Option<Arc<Canary>>,
    /// What keys have spent and when that was written, or nothing where the record is gone: what changed since
    /// somebody took it from here.
    pub spent: Vec<(KeyId, Option<(Spent, u64)>)>,
    keys: BTreeMap<String, Vec<ApiKey>>,
    drains: BTreeMap<String, Drain>,
    weights: BTreeMap<String, PinnedWeight>,
    resolved: assess::Overrides,
    probers: BTreeMap<ProberId, ProberInfo>,
    observations: BTreeMap<(EndpointId, ProberId), Observation>,
    /// The records in force, as they were written.
    good: BTreeMap<String, KeyValue>,
    nacks: BTreeMap<String, Nack>,
    guard: Guard,
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
            Change::Snapshot(listing) => self.take_listing(listing),
            Change::Batch { revision, events } => {
                self.revision = revision.0;
                let haste = self.take_events(events);
                if haste > Haste::None {
                    self.changed = self.revision;
                }
                haste
            }
            Change::Progress { revision } => {
                self.revision = self.revision.max(revision.0);
                Haste::None
            }
            Change::Silent { .. } => Haste::None,
        }
    }

    /// A listing names everything there is: what it does not name was deleted while nobody looked, and what
    /// it names as it is in force is no news.
    fn take_listing(&mut self, listing: Listing) -> Haste {
        let went_back = listing.revision.0 < self.revision;
        self.revision = listing.revision.0;
        self.routers = Arc::default();
        self.signs = Arc::default();
        let listed: BTreeSet<&str> = listing.entries.iter().map(|e| e.key.as_str()).collect();
        let known: BTreeSet<&String> = self.good.keys().chain(self.nacks.keys()).collect();
        let gone = known.into_iter().filter(|key| !listed.contains(key.as_str())).cloned();
        let mut events: Vec<Event> = gone.map(|key| Event::Delete { key }).collect();
        let in_force = |entry: &KeyValue| {
            self.good.get(&entry.key) == Some(entry) && !self.nacks.contains_key(&entry.key)
        };
        events.extend(listing.entries.into_iter().filter(|e| !in_force(e)).map(Event::Put));
        let haste = self.take_events(events);
        let told = self.good.values().filter(|entry| !entry.key.starts_with(SPEND));
        let newest = told.map(|entry| entry.mod_revision.0).max().unwrap_or(0);
        if went_back {
            self.tell_spending_anew();
            // Even with the same contents: revisions seen before mean something else now.
            self.changed = newest.min(self.revision);
            return Haste::Urgent;
        }
        if haste > Haste::None {
            self.changed = self.changed.max(newest);
        }
        haste
    }

    /// In a store that went back, older records are the true ones.
    fn tell_spending_anew(&mut self) {
        for entry in self.good.values() {
            let (Some(Key::Spend(key)), Ok(spent)) =
                (Key::parse(&entry.key), spend::decode(&entry.value))
            else {
                continue;
            };
            let key = KeyId::new(key.as_str());
            self.spent.push((key.clone(), None));
            self.spent.push((key, Some((spent, entry.mod_revision.0))));
        }
    }

    fn take_events(&mut self, mut events: Vec<Event>) -> Haste {
        let configurations = self.configurations;
        self.guard.begin(&mut events);
        let mut haste = Haste::None;
        for event in events {
            haste = haste.max(match event {
                Event::Put(entry) => self.put(entry),
                Event::Delete { key } => self.delete(&key),
            });
        }
        haste = haste.max(self.carry_out_what_is_confirmed());
        if self.configurations != configurations {
            self.resolved = Overrides {
                drains: self.drains.values().cloned().collect(),
                weights: self.weights.values().cloned().collect(),
            }
            .resolve(&self.catalog);
        }
        haste
    }

    fn put(&mut self, entry: KeyValue) -> Haste {
        match self.read(&entry) {
            Ok(None) => Haste::None,
            Ok(Some(haste)) => {
                self.accept(&entry.key);
                self.good.insert(entry.key.clone(), entry);
                haste
            }
            Err(reason) => {
                self.refuse(&entry.key, entry.mod_revision.0, reason);
                Haste::None
            }
        }
    }

    fn refuse(&mut self, key: &str, revision: u64, reason: String) {
        tracing::warn!(key, revision, reason, "record refused, the last good one stays in force");
        let nack = Nack { key: key.to_owned(), revision, reason };
        let before = self.nacks.insert(key.to_owned(), nack.clone());
        self.refusals += u64::from(before != Some(nack));
    }

    fn accept(&mut self, key: &str) {
        self.refusals += u64::from(self.nacks.remove(key).is_some());
    }

    /// Understands a record; nothing for one that this router has no use for.
    fn read(&mut self, entry: &KeyValue) -> Result<Option<Haste>, String> {
        match Key::parse(&entry.key) {
            Some(Key::Config(path)) => {
                let text = std::str::from_utf8(&entry.value).map_err(|e| e.to_string())?;
                let ours = self.read_config(path.as_str(), text, entry)?;
                self.configurations += u64::from(ours);
                Ok(ours.then_some(Haste::Urgent))
            }
            Some(Key::Prober(prober)) => {
                let incarnation = entry.create_revision.0;
                let info = decode_prober(&entry.value, incarnation).map_err(|e| e.to_string())?;
                let before = self.probers.insert(ProberId::new(prober.as_str()), info.clone());
                Ok(Some(if before == Some(info) { Haste::None } else { Haste::Urgent }))
            }
            Some(Key::Observation { prober, endpoint }) => {
                let endpoint = EndpointId::parse(endpoint.as_str()).ok_or("no endpoint id")?;
                let seen = decode_observation(&entry.value).map_err(|e| e.to_string())?;
                let at = (endpoint, ProberId::new(prober.as_str()));
                let before = self.observations.insert(at, seen);
                let same_vote = before.is_some_and(|b| b.vote == seen.vote);
                Ok(Some(if same_vote { Haste::Material } else { Haste::Urgent }))
            }
            Some(Key::Router(router)) => {
                Arc::make_mut(&mut self.routers).insert(router.to_string());
                if let Ok(RouterRecord {
                    changed_revision: changed, table_digest: digest, ..
                }) = RouterRecord::decode(&entry.value)
                {
                    let sign = TableSign { changed, digest };
                    Arc::make_mut(&mut self.signs).insert(router.to_string(), sign);
                }
                Ok(None)
            }
            Some(Key::Spend(key)) => {
                let spent = spend::decode(&entry.value).map_err(|e| e.to_string())?;
                let told = Some((spent, entry.mod_revision.0));
                self.spent.push((KeyId::new(key.as_str()), told));
                Ok(Some(Haste::None))
            }
            Some(Key::History(_)) | None => Ok(None),
        }
    }

    /// Whether the document is one that this router reads.
    fn read_config(&mut self, path: &str, text: &str, entry: &KeyValue) -> Result<bool, String> {
        match path {
            CATALOG => {
                let catalog = catalog::parse(text).map_err(|p| p.to_string())?;
                self.take_catalog(catalog, entry)?;
            }
            MANIFEST => {
                let manifest = manifest::parse(text).map_err(|p| p.to_string())?;
                self.guard.confirmed(entry.mod_revision.0, manifest.endpoints);
            }
            POLICY => self.policy = Arc::new(policy::parse(text).map_err(|p| p.to_string())?),
            CANARY => {
                self.canary = Some(Arc::new(canary::parse(text).map_err(|p| p.to_string())?));
            }
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
            _ => return Ok(false),
        }
        self.guard.written(&entry.key);
        Ok(true)
    }

    fn delete(&mut self, key: &str) -> Haste {
        match Key::parse(key) {
            Some(Key::Config(path)) => self.delete_config(key, path.as_str()),
            Some(Key::Prober(prober)) => {
                self.forget(key);
                self.probers.remove(prober.as_str());
                Haste::Urgent
            }
            Some(Key::Observation { prober, endpoint }) => {
                self.forget(key);
                if let Some(endpoint) = EndpointId::parse(endpoint.as_str()) {
                    self.observations.remove(&(endpoint, ProberId::new(prober.as_str())));
                }
                Haste::Material
            }
            Some(Key::Router(router)) => {
                Arc::make_mut(&mut self.routers).remove(router.as_str());
                Arc::make_mut(&mut self.signs).remove(router.as_str());
                Haste::None
            }
            Some(Key::Spend(spender)) => {
                self.forget(key);
                self.spent.push((KeyId::new(spender.as_str()), None));
                Haste::None
            }
            Some(Key::History(_)) | None => Haste::None,
        }
    }

    fn forget(&mut self, key: &str) {
        self.accept(key);
        self.good.remove(key);
    }

    fn delete_config(&mut self, key: &str, path: &str) -> Haste {
        match path {
            MANIFEST => self.forget(key),
            CATALOG => return self.hold_deleted_catalog(key),
            // Nobody takes the policy away on purpose: calls go on with the last one.
            POLICY if self.good.contains_key(key) => {
                self.refuse(key, self.revision, "it was deleted; write it again".to_owned());
                return Haste::None;
            }
            _ if self.goes_with_the_catalog(key) => return Haste::None,
            _ => self.drop_config(key, path),
        }
        Haste::Urgent
    }

    fn drop_config(&mut self, key: &str, path: &str) {
        self.forget(key);
        self.canary.take_if(|_| path == CANARY);
        self.keys.remove(path);
        self.drains.remove(path);
        self.weights.remove(path);
        self.configurations += 1;
    }
}

#[cfg(test)]
mod tests;
