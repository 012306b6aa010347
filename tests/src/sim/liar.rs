//! A prober that lies: it keeps its lease and writes what it likes under its own name, and nothing else, because
//! the store lets it write nothing else.

use std::time::Duration;

use trunkline_core::draw::Rng;
use trunkline_core::id::EndpointId;
use trunkline_core::observation::{Capacity, Counts, Evidence, Latency, Observation, Vote};
use trunkline_core::score::Bucket;
use trunkline_spec::observation::{ProberRecord, encode_observation, encode_prober};
use trunkline_store::keys::{OBSERVATIONS, PROBERS};
use trunkline_store::{Condition, LeaseId, Memory, Revision, Store, Txn};

use super::poll::now;

/// As long as an honest prober's.
const LEASE_TTL: Duration = Duration::from_secs(15);

/// What a liar wants to be believed.
#[derive(Clone, Copy, Debug)]
enum Tale {
    AllDown,
    AllUp,
    Anything,
}

#[derive(Debug)]
pub(super) struct Liar {
    pub(super) id: String,
    pub(super) zone: String,
    tale: Tale,
    life: Option<(LeaseId, Revision)>,
}

impl Liar {
    pub(super) fn new(id: String, zone: String, rng: &mut Rng) -> Self {
        let tale = [Tale::AllDown, Tale::AllUp, Tale::Anything][rng.below(3) as usize];
        Self { id, zone, tale, life: None }
    }

    /// Says something about each of some endpoints.
    pub(super) fn lie(&mut self, store: &Memory, endpoints: &[EndpointId], rng: &mut Rng) {
        let key = format!("{PROBERS}{}", self.id);
        if let Some((lease, _)) = self.life
            && !matches!(now(store.keep_alive(lease)), Some(Ok(())))
        {
            self.life = None;
        }
        if self.life.is_none() {
            self.life = self.join(store, &key);
        }
        let Some((_, created)) = self.life else { return };
        let mut txn = Txn::new().when(&key, Condition::CreatedAt(created));
        for endpoint in endpoints {
            let lie = self.invent(created.0, rng);
            let key = format!("{OBSERVATIONS}{}/{}", self.id, endpoint.as_str());
            txn = txn.put(&key, encode_observation(&lie));
        }
        // What the store refuses is not written; there is nobody to tell.
        _ = now(store.commit(txn));
    }

    fn join(&self, store: &Memory, key: &str) -> Option<(LeaseId, Revision)> {
        let lease = now(store.grant_lease(LEASE_TTL))?.ok()?.id;
        let record = ProberRecord { zone: self.zone.clone(), ..ProberRecord::default() };
        let txn = Txn::new().put_leased(key, encode_prober(&record), lease).get(key);
        let result = now(store.commit(txn))?.ok()?;
        let entry = result.reads.into_iter().next().flatten()?;
        Some((lease, entry.create_revision))
    }

    fn invent(&self, incarnation: u64, rng: &mut Rng) -> Observation {
        let vote = match self.tale {
            Tale::AllDown => Vote::Down,
            Tale::AllUp => Vote::Up,
            Tale::Anything => Vote::ALL[rng.below(Vote::ALL.len() as u64) as usize],
        };
        let any = |rng: &mut Rng| rng.next() as u32 >> rng.below(32);
        let bucket = |rng: &mut Rng| (rng.below(3) > 0).then(|| Bucket::new(rng.below(128) as u8));
        Observation {
            sequence: rng.next(),
            incarnation,
            vote,
            evidence: Evidence { active: rng.below(2) == 0, passive: rng.below(2) == 0 },
            ramp_permille: rng.below(2_000) as u16,
            window_s: 60,
            counts: Counts { ok: any(rng), health: any(rng), ..Counts::default() },
            latency: Latency {
                ttft_p50: bucket(rng),
                ttft_p99: bucket(rng),
                tokens_per_second_p50: bucket(rng),
                ..Latency::default()
            },
            capacity: Capacity {
                limit_requests: Some(1_000),
                remaining_requests: Some(rng.below(1_001)),
                learned_cap_permille: Some(rng.below(1_001) as u16),
                ..Capacity::default()
            },
            flap: rng.below(6) as u8,
            since_revision: rng.below(1_000),
        }
    }
}
