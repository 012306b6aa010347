//! A prober that the test plays itself, with the right of a prober and no scruples: it publishes what it is told.

use std::time::Duration;

use trunkline_core::id::{EndpointId, ModelId, ProviderId, Region};
use trunkline_core::observation::{Counts, Evidence, Observation, Vote};
use trunkline_spec::observation::{ProberRecord, encode_observation, encode_prober};
use trunkline_store::keys::{Key, Segment};
use trunkline_store::{Condition, Etcd, Revision, Store, Txn};

/// Longer than any test.
const LEASE: Duration = Duration::from_secs(3_600);
/// Records in one transaction, below the store's limit.
const RECORDS_MAX: usize = 100;
/// Calls that it claims to have seen.
const CALLS: u32 = 1_000_000;

/// A prober played by the test.
pub struct StandIn {
    store: Etcd,
    name: Segment,
    key: String,
    incarnation: u64,
    sequence: u64,
}

impl StandIn {
    /// Joins the cluster.
    ///
    /// # Panics
    /// When the store does not take it.
    pub async fn join(store: Etcd, name: &str, zone: &str) -> Self {
        let name = Segment::new(name).expect("a name that a key can hold");
        let key = Key::Prober(name.clone()).to_string();
        let record = ProberRecord { zone: zone.to_owned(), ..ProberRecord::default() };
        let lease = store.grant_lease(LEASE).await.expect("a lease").id;
        let txn = Txn::new().put_leased(&key, encode_prober(&record), lease);
        let joined = store.commit(txn.get(&key)).await.expect("the store takes it");
        let entry = joined.reads.into_iter().flatten().next().expect("what was just written");
        Self { store, name, key, incarnation: entry.create_revision.0, sequence: 0 }
    }

    /// Publishes one vote on all these endpoints, and says at which revision the last of them stands.
    ///
    /// # Panics
    /// When the store does not take it.
    pub async fn vote(&mut self, endpoints: &[EndpointId], vote: Vote) -> u64 {
        self.sequence += 1;
        let record = encode_observation(&self.observation(vote));
        let mut revision = 0;
        for some in endpoints.chunks(RECORDS_MAX) {
            let alive = Condition::CreatedAt(Revision(self.incarnation));
            let txn = some.iter().fold(Txn::new().when(&self.key, alive), |txn, endpoint| {
                txn.put(&self.key_of(*endpoint), record.clone())
            });
            let written = self.store.commit(txn).await.expect("the store takes it");
            assert!(written.committed, "{} is no longer counted as alive", self.name);
            revision = written.revision.0;
        }
        revision
    }

    fn observation(&self, vote: Vote) -> Observation {
        let (ok, health) = if vote == Vote::Down { (0, CALLS) } else { (CALLS, 0) };
        Observation {
            sequence: self.sequence,
            incarnation: self.incarnation,
            vote,
            evidence: Evidence { active: true, passive: true },
            ramp_permille: 1000,
            window_s: 60,
            counts: Counts { ok, health, ..Counts::default() },
            ..Observation::default()
        }
    }

    fn key_of(&self, endpoint: EndpointId) -> String {
        let endpoint = Segment::new(endpoint.as_str()).expect("an id is a segment");
        Key::Observation { prober: self.name.clone(), endpoint }.to_string()
    }
}

/// The id of a provider's endpoint for a model, in the region that a catalog without regions means.
#[must_use]
pub fn endpoint(provider: &str, model: &str) -> EndpointId {
    EndpointId::of(&ProviderId::new(provider), &ModelId::new(model), &Region::new("global"))
}
