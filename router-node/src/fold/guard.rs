//! What is held back because it takes away so much that an accident is likelier than a wish: a catalog that
//! shrinks or vanishes, and whatever was deleted in the same breath. A manifest that names the number of
//! endpoints, written in the same revision or later, says that it is meant.

use std::collections::BTreeMap;

use trunkline_core::catalog::Catalog;
use trunkline_store::keys::CONFIG;
use trunkline_store::port::{Event, KeyValue};

use super::{CATALOG, Fold, Haste, MANIFEST};

/// What is held back, and the word that would let it through.
#[derive(Debug, Default)]
pub(super) struct Guard {
    /// The manifest as the store has it.
    manifest: Option<Confirmation>,
    catalog: Option<Held>,
    /// Other documents that were deleted together with the catalog, and when.
    deletions: BTreeMap<String, u64>,
    /// The catalog goes in the change that is being taken in.
    catalog_goes: bool,
}

/// A manifest: a catalog of so many endpoints is meant, if it is not newer.
#[derive(Clone, Copy, Debug)]
struct Confirmation {
    revision: u64,
    endpoints: u64,
}

impl Confirmation {
    fn covers(self, catalog: &Catalog, revision: u64) -> bool {
        self.revision >= revision && self.endpoints == catalog.endpoints.len() as u64
    }
}

/// A catalog that is held back; an empty one, without an entry, when it was deleted.
#[derive(Debug)]
struct Held {
    catalog: Catalog,
    entry: Option<KeyValue>,
    revision: u64,
}

impl Guard {
    /// A change begins: that the catalog goes must be known before what may go with it is taken in, and a
    /// manifest comes before what it confirms.
    pub(super) fn begin(&mut self, events: &mut [Event]) {
        let [catalog, manifest] = [CATALOG, MANIFEST].map(|path| format!("{CONFIG}{path}"));
        events.sort_by_key(|event| event.key() != manifest);
        let goes = |gone: &str| {
            events.iter().any(|event| matches!(event, Event::Delete { key } if key == gone))
        };
        self.catalog_goes = goes(&catalog);
        if goes(&manifest) {
            self.manifest = None;
        }
    }

    /// A manifest was written.
    pub(super) fn confirmed(&mut self, revision: u64, endpoints: u64) {
        self.manifest = Some(Confirmation { revision, endpoints });
    }

    /// A document was written and accepted: nothing of it is held back any more.
    pub(super) fn written(&mut self, key: &str) {
        self.deletions.remove(key);
    }
}

impl Fold {
    /// Takes a catalog, or holds it back.
    pub(super) fn take_catalog(
        &mut self,
        catalog: Catalog,
        entry: &KeyValue,
    ) -> Result<(), String> {
        let revision = entry.mod_revision.0;
        let meant = self.guard.manifest.is_some_and(|m| m.covers(&catalog, revision));
        if let Some(removal) = self.catalog.mass_removal(&catalog).filter(|_| !meant) {
            let (removed, before, left) =
                (removal.removed, removal.before, catalog.endpoints.len());
            self.guard.catalog = Some(Held { catalog, entry: Some(entry.clone()), revision });
            return Err(format!(
                "it would take away {removed} of {before} endpoints at once; if that is meant: \
                 admin-cli catalog confirm --endpoints {left}"
            ));
        }
        self.guard.catalog = None;
        self.catalog = catalog;
        self.configured = true;
        Ok(())
    }

    /// The catalog was deleted: calls go on with the last one until somebody says that it is meant.
    pub(super) fn hold_deleted_catalog(&mut self, key: &str) -> Haste {
        let Some(last) = self.good.get(key) else { return Haste::None };
        // A listing does not tell when; anything after the last catalog is late enough.
        let revision = last.mod_revision.next().0.min(self.revision);
        self.guard.catalog = Some(Held { catalog: Catalog::default(), entry: None, revision });
        let reason = "it was deleted; write it again, or, if that is meant: \
                      admin-cli catalog confirm --endpoints 0";
        self.refuse(key, self.revision, reason.to_owned());
        Haste::None
    }

    /// Whether a document's deletion is held back, because the catalog was deleted with it.
    pub(super) fn goes_with_the_catalog(&mut self, key: &str) -> bool {
        let goes = self.guard.catalog_goes || self.guard.deletions.contains_key(key);
        if goes && self.good.contains_key(key) {
            self.guard.deletions.insert(key.to_owned(), self.revision);
            let reason = "it was deleted together with the catalog; put both back as they were, from a backup; \
                          admin-cli catalog confirm takes it away for good";
            self.refuse(key, self.revision, reason.to_owned());
        }
        goes
    }

    /// Carries out what a manifest confirms of all that is held back.
    pub(super) fn carry_out_what_is_confirmed(&mut self) -> Haste {
        let Some(manifest) = self.guard.manifest else { return Haste::None };
        let mut haste = Haste::None;
        let held = self.guard.catalog.take_if(|h| manifest.covers(&h.catalog, h.revision));
        if let Some(held) = held {
            tracing::warn!(endpoints = manifest.endpoints, "the manifest confirms the catalog");
            let key = format!("{CONFIG}{CATALOG}");
            self.forget(&key);
            self.catalog = held.catalog;
            self.configured = true;
            self.configurations += 1;
            self.good.extend(held.entry.map(|entry| (key, entry)));
            haste = Haste::Urgent;
        }
        let catalog = &self.catalog;
        let confirmed = |(_, revision): &(&String, &u64)| manifest.covers(catalog, **revision);
        let deletions = self.guard.deletions.iter().filter(confirmed);
        for key in deletions.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.guard.deletions.remove(&key);
            if let Some(path) = key.strip_prefix(CONFIG) {
                self.drop_config(&key, path);
                haste = Haste::Urgent;
            }
        }
        haste
    }
}
