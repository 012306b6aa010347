//! The store's contents at the time of an edit, understood as every router understands them. What calls are
//! served from is the view, not this.

use std::sync::Arc;

use bytes::Bytes;
use tonic::Status;
use trunkline_core::assess::Table;
use trunkline_core::catalog::Catalog;
use trunkline_core::id::Zone;
use trunkline_core::policy::{ApiKey, Policy};
use trunkline_core::snapshot::Snapshot;
use trunkline_spec::canary::Canary;
use trunkline_store::keys::{CONFIG, OBSERVATIONS, PROBERS};
use trunkline_store::port::{Change, Event, KeyValue, Listing, Revision, Store};

use super::refusal;
use crate::fold::Fold;

/// What the store held.
pub struct State {
    /// At this revision.
    pub revision: Revision,
    config: Vec<KeyValue>,
    fold: Fold,
}

/// What decides about traffic.
pub struct Outlook {
    /// What exists.
    pub catalog: Catalog,
    /// The policy in force.
    pub policy: Arc<Policy>,
    /// The policy that a canary's share of the calls obeys.
    pub candidate: Option<Arc<Policy>>,
    /// Verdicts and weights.
    pub table: Table,
}

impl Outlook {
    /// The policies that decide over calls.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        std::iter::once(&*self.policy).chain(self.candidate.as_deref())
    }
}

impl State {
    /// Reads configuration, probers and observations.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn read(store: &dyn Store) -> Result<Self, Status> {
        let mut listings = Vec::new();
        for prefix in [CONFIG, PROBERS, OBSERVATIONS] {
            listings.push(store.list(prefix).await.map_err(|e| refusal::store(&e))?);
        }
        Ok(Self::of(listings))
    }

    /// The state that these listings make; the first is the configuration, whose revision counts.
    fn of(listings: Vec<Listing>) -> Self {
        let revision = listings.first().map(|listing| listing.revision).unwrap_or_default();
        let config = listings.first().map(|listing| listing.entries.clone()).unwrap_or_default();
        let entries = listings.into_iter().flat_map(|listing| listing.entries).collect();
        let mut fold = Fold::default();
        fold.apply(Change::Snapshot(Listing { revision, entries }));
        Self { revision, config, fold }
    }

    /// What exists.
    pub fn catalog(&self) -> &Catalog {
        &self.fold.catalog
    }

    /// The canary that runs.
    pub fn canary(&self) -> Option<&Arc<Canary>> {
        self.fold.canary()
    }

    /// All keys.
    pub fn keys(&self) -> Vec<ApiKey> {
        self.fold.keys()
    }

    /// Why routers would refuse the record under this key, if they would.
    pub fn refused(&self, key: &str) -> Option<String> {
        self.fold.nacks().into_iter().find(|nack| nack.key == key).map(|nack| nack.reason)
    }

    /// What decides about traffic, for routers of no zone in particular.
    pub fn outlook(&self) -> Outlook {
        Outlook {
            catalog: self.fold.catalog.clone(),
            policy: Arc::clone(&self.fold.policy),
            candidate: self.fold.canary().map(|canary| Arc::clone(&canary.policy)),
            table: self.fold.table(&Zone::new("")),
        }
    }

    /// What calls would be served from: names are resolved by it as theirs are.
    pub fn snapshot(&self) -> Snapshot {
        let (providers, table) =
            (self.fold.catalog.providers.clone(), self.fold.table(&Zone::new("")));
        let states = table.states(&self.fold.catalog);
        Snapshot::new(self.revision.0, Arc::clone(&self.fold.policy), providers, states)
    }

    /// The same, as if these keys had been written (or deleted, without a value).
    pub fn with(mut self, changes: &[(String, Option<Bytes>)]) -> Self {
        let revision = self.revision.next();
        let event = |(key, value): &(String, Option<Bytes>)| match value {
            None => Event::Delete { key: key.clone() },
            Some(value) => Event::Put(KeyValue {
                key: key.clone(),
                value: value.clone(),
                create_revision: revision,
                mod_revision: revision,
                version: 1,
                lease: None,
            }),
        };
        let events = changes.iter().map(event).collect();
        self.fold.apply(Change::Batch { revision, events });
        self
    }

    /// The entry under a key of the configuration.
    pub fn entry(&self, key: &str) -> Option<&KeyValue> {
        self.config.iter().find(|entry| entry.key == key)
    }

    /// The entries below a prefix of the configuration.
    pub fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a KeyValue> {
        self.config.iter().filter(move |entry| entry.key.starts_with(prefix))
    }
}
