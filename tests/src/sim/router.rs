//! A router's view of the store: the real fold and the real consensus; no calls.

use router_node::fold::{Fold, Haste};
use trunkline_core::assess::Table;
use trunkline_core::id::Zone;
use trunkline_store::keys::ROOT;
use trunkline_store::{Memory, Store, Watch};

use super::poll::now;

/// From an urgent change to the next table, in milliseconds, as routers do it.
const URGENT_MS: u64 = 20;
/// From a measurement to the next table.
const MATERIAL_MS: u64 = 200;

/// One router.
pub(super) struct Router {
    pub(super) zone: Zone,
    pub(super) fold: Fold,
    /// In force; nothing until the first.
    pub(super) table: Option<Table>,
    /// Whether it reaches the store.
    pub(super) connected: bool,
    /// A look at the store is on its way.
    pub(super) looking: bool,
    /// When the next table is due.
    pub(super) swap_ms: Option<u64>,
    watch: Watch,
}

impl Router {
    pub(super) fn new(zone: &str, store: &Memory) -> Self {
        Self {
            zone: Zone::new(zone),
            fold: Fold::default(),
            table: None,
            connected: true,
            looking: false,
            swap_ms: None,
            watch: store.watch(ROOT),
        }
    }

    /// Begins anew, as a process that was just started.
    pub(super) fn restart(&mut self, store: &Memory) {
        *self = Self { connected: self.connected, ..Self::new(self.zone.as_str(), store) };
    }

    /// Folds in what is new; when the next table is due, if that is sooner than it was.
    pub(super) fn look(&mut self, now_ms: u64) -> Option<u64> {
        while let Some(change) = now(self.watch.next()) {
            let due_ms = match self.fold.apply(change) {
                Haste::None => continue,
                Haste::Material => now_ms + MATERIAL_MS,
                Haste::Urgent => now_ms + URGENT_MS,
            };
            if self.swap_ms.is_none_or(|at| due_ms < at) {
                self.swap_ms = Some(due_ms);
            }
        }
        self.swap_ms
    }

    /// Forms the table at the revision reached.
    pub(super) fn swap(&mut self) -> &Table {
        self.swap_ms = None;
        let table = self.fold.table(&self.zone);
        self.table.insert(table)
    }
}
