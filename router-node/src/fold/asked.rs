//! What is asked of the fold: it changes nothing.

use super::*;

impl Fold {
    /// All keys in force.
    pub fn keys(&self) -> Vec<ApiKey> {
        self.keys.values().flatten().cloned().collect()
    }

    /// The canary, while the policy that it is compared with is in force.
    pub fn canary(&self) -> Option<&Arc<Canary>> {
        self.canary.as_ref().filter(|canary| canary.base == self.policy.version)
    }

    /// What is drained.
    pub fn drained(&self) -> Vec<Scope> {
        self.drains.values().map(|drain| drain.scope.clone()).collect()
    }

    /// Living probers, by where they stand.
    pub fn probers_by_zone(&self) -> BTreeMap<Zone, u32> {
        let mut zones = BTreeMap::new();
        for prober in self.probers.values() {
            *zones.entry(prober.zone.clone()).or_default() += 1;
        }
        zones
    }

    /// Drains that somebody has to change as time passes.
    pub fn timed_drains(&self) -> Vec<Drain> {
        self.drains.values().filter(|drain| drain.changes_with_time()).cloned().collect()
    }

    /// When an operator cuts what is still open at an endpoint, in milliseconds since 1970.
    pub fn cuts_at_ms(&self, endpoint: &Endpoint) -> Option<u64> {
        let drains = self.drains.values().filter(|drain| drain.scope.covers(endpoint));
        drains.filter_map(Drain::cuts_at_ms).min()
    }

    /// Records that were refused, the last good ones being in force.
    pub fn nacks(&self) -> Vec<Nack> {
        self.nacks.values().cloned().collect()
    }

    /// The records in force, for the disk.
    pub fn in_force(&self) -> Listing {
        let entries = self.good.values().cloned().collect();
        Listing { revision: Revision(self.revision), entries }
    }

    /// Verdicts and weights at this revision, for routers of `zone`.
    pub fn table(&self, zone: &Zone) -> Table {
        self.table_under(&self.policy, zone)
    }

    /// The same, were this policy in force.
    pub fn table_under(&self, policy: &Policy, zone: &Zone) -> Table {
        assess::assess(&Inputs {
            catalog: &self.catalog,
            policy,
            overrides: &self.resolved,
            probers: &self.probers,
            observations: &self.observations,
            zone,
        })
    }
}
