//! The prober's side of the store: its lease, its sign of life, and its letters. Every write is fenced by the
//! create revision of the sign of life, so that a prober that was thought dead cannot write any more.
//!
//! One errand at a time; the cycle goes on meanwhile.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use trunkline_core::id::{EndpointId, ProberId};
use trunkline_core::voter::LocalHealth;
use trunkline_spec::observation::{ProberRecord, encode_observation, encode_prober};
use trunkline_store::keys::{Key, Segment};
use trunkline_store::{Condition, LeaseId, Revision, Store, StoreError, Txn};

use crate::allowance::Allowance;
use crate::config::ProberConfig;
use crate::cycle::{Cycle, Letter};

/// How long a prober counts as alive after its last sign.
const LEASE_TTL: Duration = Duration::from_secs(15);
/// Time between two signs.
const KEEP_ALIVE_MS: u64 = 4_000;
/// Time between two batches of what is not urgent.
const BATCH_MS: u64 = 500;
/// Letters in one transaction.
const LETTERS_MAX: usize = 100;
/// After a failed errand.
const RETRY_MS: u64 = 1_000;
/// A store that takes longer does not answer.
const ERRAND_DEADLINE: Duration = Duration::from_secs(5);

/// A life: a lease, and the revision at which the sign of life was put under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Life {
    lease: LeaseId,
    incarnation: u64,
    shown: Shown,
}

/// What the sign of life says of the prober's own state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shown {
    score: u8,
    suspect: bool,
}

impl Shown {
    fn of(own: LocalHealth) -> Self {
        Self { score: own.score(), suspect: own.suspect() }
    }
}

/// How an errand ended.
pub enum Ended {
    /// A new life began, or did not.
    Born(Result<Born, StoreError>),
    /// The lease was kept alive, or not.
    KeptAlive(Result<(), StoreError>),
    /// The sign of life was changed; false when it was no longer ours.
    Shown(Result<bool, StoreError>, LocalHealth),
    /// Letters were written, at a revision; none when the life was over.
    Written(Vec<Letter>, Result<Option<u64>, StoreError>),
    /// Old records were removed.
    Tidied(Result<(), StoreError>),
}

/// A new life.
pub struct Born {
    lease: LeaseId,
    incarnation: u64,
    own: LocalHealth,
}

/// An errand under way.
pub type Errand = Pin<Box<dyn Future<Output = Ended> + Send>>;

/// Who runs the errands of one prober.
pub struct Publisher {
    store: Arc<dyn Store>,
    id: ProberId,
    sign: ProberRecord,
    key: String,
    life: Option<Life>,
    allowance: Allowance,
    /// When urgent letters may go on that had to stop.
    urgent_ms: Option<u64>,
    keep_alive_ms: u64,
    batch_ms: u64,
    not_before_ms: u64,
}

impl Publisher {
    /// A publisher that is not alive yet. `None` for an id that no key can hold.
    pub fn new(config: &ProberConfig, store: Arc<dyn Store>) -> Option<Self> {
        let key = Key::Prober(Segment::new(config.id.as_str())?).to_string();
        let sign = ProberRecord {
            zone: config.zone.as_str().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            address: config.address.clone(),
            local_health: 0,
            self_suspect: false,
        };
        let id = config.id.clone();
        Some(Self {
            store,
            id,
            sign,
            key,
            life: None,
            allowance: Allowance::default(),
            urgent_ms: None,
            keep_alive_ms: 0,
            batch_ms: 0,
            not_before_ms: 0,
        })
    }

    /// Whether the prober has a voice.
    pub fn alive(&self) -> bool {
        self.life.is_some()
    }

    /// The most pressing thing to do in the store, if anything is.
    pub fn next_errand(&mut self, cycle: &Cycle, now_ms: u64) -> Option<Errand> {
        if now_ms < self.not_before_ms {
            return None;
        }
        let Some(life) = self.life else { return Some(self.be_born(cycle.own())) };
        if let Some(errand) = self.urgent(life, cycle, now_ms) {
            return Some(errand);
        }
        if now_ms >= self.keep_alive_ms {
            self.keep_alive_ms = now_ms + KEEP_ALIVE_MS;
            return Some(self.keep_alive(life.lease));
        }
        if Shown::of(cycle.own()) != life.shown {
            return Some(self.show(life, cycle.own()));
        }
        if now_ms >= self.batch_ms {
            self.batch_ms = now_ms + BATCH_MS;
            return self.batch(life, cycle, now_ms);
        }
        None
    }

    /// When the next errand is due without anything happening.
    pub fn next_wake_ms(&self) -> u64 {
        let urgent_ms = self.urgent_ms.unwrap_or(u64::MAX);
        let due = self.keep_alive_ms.min(self.batch_ms).min(urgent_ms);
        if self.alive() { due.max(self.not_before_ms) } else { self.not_before_ms }
    }

    /// An errand ended.
    pub fn ended(
        &mut self,
        ended: Ended,
        cycle: &mut Cycle,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let outcome = match ended {
            Ended::Born(Ok(born)) => {
                tracing::info!(prober = %self.id, incarnation = born.incarnation, "joined");
                let Born { lease, incarnation, own } = born;
                self.life = Some(Life { lease, incarnation, shown: Shown::of(own) });
                self.keep_alive_ms = now_ms + KEEP_ALIVE_MS;
                cycle.born();
                Ok(())
            }
            Ended::KeptAlive(Ok(())) | Ended::Tidied(Ok(())) => Ok(()),
            Ended::Shown(Ok(true), own) => {
                if let Some(life) = &mut self.life {
                    life.shown = Shown::of(own);
                }
                Ok(())
            }
            Ended::Written(letters, Ok(Some(revision))) => {
                cycle.published(&letters, revision, now_ms);
                Ok(())
            }
            Ended::Shown(Ok(false), _) | Ended::Written(_, Ok(None)) => {
                tracing::warn!(prober = %self.id, "no longer counted as alive, joining again");
                self.life = None;
                Ok(())
            }
            Ended::Born(Err(error))
            | Ended::KeptAlive(Err(error))
            | Ended::Shown(Err(error), _)
            | Ended::Written(_, Err(error))
            | Ended::Tidied(Err(error)) => Err(error),
        };
        if let Err(error) = &outcome {
            self.not_before_ms = now_ms + RETRY_MS;
            if matches!(error, StoreError::LeaseGone { .. }) {
                self.life = None;
            }
        }
        outcome
    }

    /// Ends the life at once, so that others take over without waiting for the lease to expire.
    ///
    /// # Errors
    /// The store's failures; the lease then expires by itself.
    pub async fn leave(&mut self) -> Result<(), StoreError> {
        match self.life.take() {
            Some(life) => in_time(self.store.revoke(life.lease)).await,
            None => Ok(()),
        }
    }

    fn record(&self, own: LocalHealth) -> Vec<u8> {
        encode_prober(&ProberRecord {
            local_health: own.score(),
            self_suspect: own.suspect(),
            ..self.sign.clone()
        })
    }

    /// A former life's key is deleted first, so that this life has a create revision of its own.
    fn be_born(&self, own: LocalHealth) -> Errand {
        let (store, key, record) = (Arc::clone(&self.store), self.key.clone(), self.record(own));
        let begin = async move {
            store.commit(Txn::new().delete(&key)).await?;
            let lease = store.grant_lease(LEASE_TTL).await?.id;
            let put = Txn::new().when(&key, Condition::Absent).put_leased(&key, record, lease);
            let put = store.commit(put.get(&key)).await?;
            match put.reads.into_iter().next().flatten() {
                Some(entry) if put.committed => {
                    Ok(Born { lease, incarnation: entry.create_revision.0, own })
                }
                _ => Err(StoreError::Unavailable {
                    reason: format!("another prober of this name is joining at {key}"),
                }),
            }
        };
        Box::pin(async move { Ended::Born(in_time(begin).await) })
    }

    fn keep_alive(&self, lease: LeaseId) -> Errand {
        let store = Arc::clone(&self.store);
        Box::pin(async move { Ended::KeptAlive(in_time(store.keep_alive(lease)).await) })
    }

    fn show(&self, life: Life, own: LocalHealth) -> Errand {
        let txn = self.fenced(life).put_leased(&self.key, self.record(own), life.lease);
        let store = Arc::clone(&self.store);
        Box::pin(async move {
            let shown = in_time(store.commit(txn)).await.map(|result| result.committed);
            Ended::Shown(shown, own)
        })
    }

    fn urgent(&mut self, life: Life, cycle: &Cycle, now_ms: u64) -> Option<Errand> {
        self.urgent_ms = None;
        if !cycle.has_urgent_letters() {
            return None;
        }
        let left = self.allowance.left(cycle.probers(), now_ms).min(LETTERS_MAX);
        if left == 0 {
            self.urgent_ms = self.allowance.grows_ms();
            return None;
        }
        let letters = cycle.urgent_letters(life.incarnation, left, now_ms);
        (!letters.is_empty()).then(|| self.write(life, letters, now_ms))
    }

    fn batch(&mut self, life: Life, cycle: &Cycle, now_ms: u64) -> Option<Errand> {
        let left = self.allowance.left_for_what_can_wait(cycle.probers(), now_ms);
        let letters = cycle.letters(life.incarnation, left.min(LETTERS_MAX), now_ms);
        if !letters.is_empty() {
            return Some(self.write(life, letters, now_ms));
        }
        let leavings = cycle.leavings();
        if leavings.is_empty() { None } else { Some(self.tidy(life, leavings)) }
    }

    fn write(&mut self, life: Life, letters: Vec<Letter>, now_ms: u64) -> Errand {
        self.allowance.spend(letters.len(), now_ms);
        let keyed = letters.iter().filter_map(|l| Some((self.key_of(l.endpoint)?, l)));
        let txn = keyed.fold(self.fenced(life), |txn, (key, letter)| {
            txn.put(&key, encode_observation(&letter.observation))
        });
        let store = Arc::clone(&self.store);
        Box::pin(async move {
            let result = in_time(store.commit(txn)).await;
            let revision = result.map(|r| r.committed.then_some(r.revision.0));
            Ended::Written(letters, revision)
        })
    }

    fn tidy(&self, life: Life, leavings: Vec<EndpointId>) -> Errand {
        let keys = leavings.into_iter().take(LETTERS_MAX).filter_map(|id| self.key_of(id));
        let txn = keys.fold(self.fenced(life), |txn, key| txn.delete(&key));
        let store = Arc::clone(&self.store);
        Box::pin(async move { Ended::Tidied(in_time(store.commit(txn)).await.map(drop)) })
    }

    fn fenced(&self, life: Life) -> Txn {
        let created = Condition::CreatedAt(Revision(life.incarnation));
        Txn::new().when(&self.key, created)
    }

    fn key_of(&self, endpoint: EndpointId) -> Option<String> {
        let (prober, endpoint) =
            (Segment::new(self.id.as_str())?, Segment::new(endpoint.as_str())?);
        Some(Key::Observation { prober, endpoint }.to_string())
    }
}

async fn in_time<T>(errand: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match timeout(ERRAND_DEADLINE, errand).await {
        Ok(outcome) => outcome,
        Err(_) => Err(StoreError::InDoubt { reason: "no answer within five seconds".to_owned() }),
    }
}
