//! What this router alone knows about each endpoint, kept across snapshots: calls in flight, ghost load, the
//! breaker, the throttle, cooldowns. The rules are `core`'s; here they meet atomics and the clock.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;
use trunkline_core::breaker::{Admission, Breaker, Ghost, Outcome, RECENT_MS};
use trunkline_core::catalog::MAX_CREDENTIALS;
use trunkline_core::failure::{Failure, FailureKind, Penalty};
use trunkline_core::id::{EndpointId, ModelId};
use trunkline_core::plan::LocalLoad;
use trunkline_core::throttle::{Accepted, Throttle};

use crate::evidence::outcomes::Outcomes;

/// A rate limit that does not say for how long: about the shortest window in use.
const COOLDOWN_DEFAULT_MS: u64 = 2_000;
/// A refused credential is left alone this long before it is tried again.
const CREDENTIAL_REST_MS: u64 = 30_000;
/// A model that its provider does not know is left alone this long.
const MODEL_REST_MS: u64 = 60_000;

/// Milliseconds since this process began: never goes back.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that starts now, at one second, so that zero stays free to mean "never".
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time now.
    pub fn now_ms(self) -> u64 {
        self.at(Instant::now())
    }

    /// The time of an instant.
    pub fn at(self, instant: Instant) -> u64 {
        1_000
            + u64::try_from(instant.saturating_duration_since(self.0).as_millis())
                .unwrap_or(u64::MAX)
    }
}

/// One endpoint's local state.
#[derive(Debug, Default)]
pub struct EndpointLoad {
    /// What probers are told of its calls.
    pub outcomes: Outcomes,
    in_flight: AtomicU32,
    /// When an operator's drain cuts its streams, in milliseconds since 1970; 0 for never.
    cut_at_ms: AtomicU64,
    ghost: AtomicU64,
    /// Until when each credential is left alone.
    rests_until_ms: [AtomicU64; MAX_CREDENTIALS],
    /// Nothing speaks against the endpoint: its locked part need not be looked at.
    clean: AtomicBool,
    /// When a try last worked; 0 for never.
    worked_at_ms: AtomicU64,
    /// It has failed or refused at least once since it was last clean.
    judged: Mutex<Judged>,
}

#[derive(Debug, Default)]
struct Judged {
    breaker: Breaker,
    throttle: Throttle,
    /// What each credential was last left alone after.
    rests_after: [Option<FailureKind>; MAX_CREDENTIALS],
}

/// An endpoint that is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// Until when, by the router's clock.
    pub until_ms: u64,
    /// What it is left alone after.
    pub after: FailureKind,
}

impl EndpointLoad {
    fn judged(&self) -> MutexGuard<'_, Judged> {
        // A panic while holding it leaves counts that are at worst one off.
        self.judged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What planning may know.
    pub fn read(&self, credentials: usize, now_ms: u64) -> LocalLoad {
        let in_flight = self.in_flight.load(Relaxed);
        let ghost_milli = Ghost::from_bits(self.ghost.load(Relaxed)).at(now_ms);
        if self.clean.load(Relaxed) {
            return LocalLoad {
                in_flight,
                ghost_milli,
                recently_good: now_ms < self.worked_at_ms.load(Relaxed) + RECENT_MS,
                ..LocalLoad::default()
            };
        }
        let judged = self.judged();
        let admission = match judged.breaker.admission(now_ms) {
            Admission::Admitted if self.free_credential(credentials, now_ms).is_none() => {
                Admission::Cooling
            }
            other => other,
        };
        LocalLoad {
            in_flight,
            ghost_milli,
            admission,
            recently_good: judged.breaker.recently_good(now_ms),
            throttle_permille: judged.throttle.permille(now_ms),
        }
    }

    /// The first of the endpoint's credentials that is not resting; 0 for an endpoint without any.
    pub fn free_credential(&self, credentials: usize, now_ms: u64) -> Option<usize> {
        let mut rests = self.rests_until_ms.iter().take(credentials.max(1));
        rests.position(|until| until.load(Relaxed) <= now_ms)
    }

    /// Until when the first of its credentials is left alone, and why; `None` when none ever was.
    pub fn rest_of(&self, credentials: usize) -> Option<Rest> {
        let judged = self.judged();
        let rests = self.rests_until_ms.iter().zip(judged.rests_after).take(credentials.max(1));
        let rest = |(until, after): (&AtomicU64, Option<FailureKind>)| {
            Some(Rest { until_ms: until.load(Relaxed), after: after? })
        };
        rests.filter_map(rest).min_by_key(|rest| rest.until_ms)
    }

    /// Calls in flight from this router.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Sets when its streams are cut, in milliseconds since 1970.
    pub fn cut_at(&self, unix_ms: Option<u64>) {
        self.cut_at_ms.store(unix_ms.unwrap_or(0), Relaxed);
    }

    /// Whether its streams are to be cut by that time.
    pub fn is_cut(&self, unix_ms: u64) -> bool {
        let at = self.cut_at_ms.load(Relaxed);
        at > 0 && unix_ms >= at
    }

    /// The breaker's word, for metrics and status.
    pub fn admission(&self, now_ms: u64) -> Admission {
        self.judged().breaker.admission(now_ms)
    }

    /// Takes the one trial permit of an ejected endpoint.
    pub fn take_trial(&self, now_ms: u64) -> bool {
        self.judged().breaker.take_trial(now_ms)
    }

    /// The cluster says that the endpoint is up: its next trial is due.
    pub fn cluster_says_up(&self, now_ms: u64) {
        if !self.clean.load(Relaxed) {
            self.judged().breaker.cluster_says_up(now_ms);
        }
    }

    /// A try worked.
    pub fn succeeded(&self, now_ms: u64) {
        let mut judged = self.judged();
        judged.breaker.record(Outcome::Good, now_ms);
        judged.throttle.record(Accepted::Yes, now_ms);
        self.worked_at_ms.store(now_ms, Relaxed);
        self.settle(&judged, now_ms);
    }

    /// A try failed: whoever pays by the failure table pays here.
    pub fn failed(&self, failure: &Failure, credential: usize, now_ms: u64) {
        let mut judged = self.judged();
        self.clean.store(false, Relaxed);
        let refused = matches!(failure.kind, FailureKind::RateLimited | FailureKind::Overloaded);
        judged.throttle.record(if refused { Accepted::No } else { Accepted::Yes }, now_ms);
        match failure.kind.effect().penalty {
            Penalty::Health => {
                judged.breaker.record(Outcome::Bad, now_ms);
                let ghost = Ghost::from_bits(self.ghost.load(Relaxed)).after_failure(now_ms);
                self.ghost.store(ghost.to_bits(), Relaxed);
            }
            Penalty::HalfHealth => {
                judged.breaker.record(Outcome::HalfBad, now_ms);
                if let Some(wait) = failure.retry_after_ms {
                    self.rest(&mut judged, credential, now_ms + wait, failure.kind);
                }
            }
            Penalty::Capacity => {
                judged.breaker.return_trial(now_ms);
                let wait = failure.retry_after_ms.unwrap_or(COOLDOWN_DEFAULT_MS);
                self.rest(&mut judged, credential, now_ms + wait, failure.kind);
            }
            Penalty::Credential => {
                judged.breaker.return_trial(now_ms);
                self.rest(&mut judged, credential, now_ms + CREDENTIAL_REST_MS, failure.kind);
            }
            Penalty::Model => {
                judged.breaker.return_trial(now_ms);
                let until_ms = now_ms + MODEL_REST_MS;
                (0..MAX_CREDENTIALS)
                    .for_each(|c| self.rest(&mut judged, c, until_ms, failure.kind));
            }
            Penalty::Nobody => judged.breaker.return_trial(now_ms),
        }
    }

    /// Leaves a credential alone; the rest that ends last is the one that counts.
    fn rest(&self, judged: &mut Judged, credential: usize, until_ms: u64, after: FailureKind) {
        let place = self.rests_until_ms.get(credential).zip(judged.rests_after.get_mut(credential));
        if let Some((until, why)) = place
            && until.fetch_max(until_ms, Relaxed) < until_ms
        {
            *why = Some(after);
        }
    }

    /// Marks the endpoint clean when nothing speaks against it any more.
    fn settle(&self, judged: &Judged, now_ms: u64) {
        let rested = self.rests_until_ms.iter().all(|until| until.load(Relaxed) <= now_ms);
        let admitted = judged.breaker.admission(now_ms) == Admission::Admitted;
        let quiet = judged.throttle.permille(now_ms) == 0;
        let (_, bad) = judged.breaker.recent(now_ms);
        self.clean.store(rested && admitted && quiet && bad == 0, Relaxed);
    }
}

/// The one trial of an ejected endpoint, held by its call. A call that ends without a word about the endpoint,
/// because its caller left, gives it back when this is dropped.
#[derive(Debug)]
pub struct Trial {
    load: Arc<EndpointLoad>,
    taken_ms: u64,
}

impl Trial {
    /// Takes the trial; `None` when there is none to take.
    pub fn take(load: &Arc<EndpointLoad>, now_ms: u64) -> Option<Self> {
        load.take_trial(now_ms).then(|| Self { load: Arc::clone(load), taken_ms: now_ms })
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.load.judged().breaker.abandon_trial(self.taken_ms);
    }
}

/// Counts one call in flight for as long as it is held.
#[derive(Debug)]
pub struct InFlight(Arc<EndpointLoad>);

impl InFlight {
    /// Counts the call.
    pub fn begin(load: &Arc<EndpointLoad>) -> Self {
        load.in_flight.fetch_add(1, Relaxed);
        Self(Arc::clone(load))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// How many calls of a model are in flight, and how many of them are retries: the retry budget's two numbers.
#[derive(Debug, Default)]
pub struct ModelLoad {
    calls: AtomicU32,
    retries: AtomicU32,
    /// Told whenever a retry has ended.
    freed: Notify,
}

/// Counts something of a model for as long as it is held.
#[derive(Debug)]
pub struct ModelShare {
    load: Arc<ModelLoad>,
    of: fn(&ModelLoad) -> &AtomicU32,
}

impl ModelLoad {
    /// Counts a call.
    pub fn begin_call(self: &Arc<Self>) -> ModelShare {
        self.calls.fetch_add(1, Relaxed);
        ModelShare { load: Arc::clone(self), of: |load| &load.calls }
    }

    /// Counts a retry if the budget has room: at most `percent` of the calls in flight, and always `floor`.
    pub fn begin_retry(self: &Arc<Self>, percent: u32, floor: u32) -> Option<ModelShare> {
        let allowed = (self.calls.load(Relaxed).saturating_mul(percent) / 100).max(floor);
        let taken = self.retries.fetch_update(Relaxed, Relaxed, |r| (r < allowed).then_some(r + 1));
        taken.is_ok().then(|| ModelShare { load: Arc::clone(self), of: |load| &load.retries })
    }
}

impl ModelLoad {
    /// The same, waiting for room until `until`; `None` when there was none. A provider that dies takes a
    /// third of the calls with it at once: refusing what is over the budget would lose calls that another
    /// provider can serve, while a short queue only spreads the retries.
    pub async fn retry_by(
        self: &Arc<Self>,
        percent: u32,
        floor: u32,
        until: Instant,
    ) -> Option<ModelShare> {
        let room = async {
            loop {
                // Registered before the look, so that a share freed in between is not missed.
                let mut freed = pin!(self.freed.notified());
                freed.as_mut().enable();
                if let Some(share) = self.begin_retry(percent, floor) {
                    return share;
                }
                freed.await;
            }
        };
        tokio::time::timeout_at(until.into(), room).await.ok()
    }
}

impl Drop for ModelShare {
    fn drop(&mut self) {
        (self.of)(&self.load).fetch_sub(1, Relaxed);
        self.load.freed.notify_one();
    }
}

/// The local state of everything that was ever in a snapshot of this process.
#[derive(Debug, Default)]
pub struct LoadBook {
    endpoints: Mutex<BTreeMap<EndpointId, Arc<EndpointLoad>>>,
    models: Mutex<BTreeMap<ModelId, Arc<ModelLoad>>>,
}

impl LoadBook {
    /// The endpoint's state, new if it was never seen.
    pub fn endpoint(&self, id: EndpointId) -> Arc<EndpointLoad> {
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(endpoints.entry(id).or_default())
    }

    /// The model's state, new if it was never seen.
    pub fn model(&self, id: &ModelId) -> Arc<ModelLoad> {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(models.entry(id.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_eject_and_a_rate_limit_only_cools() {
        let load = EndpointLoad::default();
        for _ in 0..5 {
            load.failed(&Failure::new(FailureKind::Connect), 0, 5_000);
        }
        assert_eq!(load.read(1, 5_000).admission, Admission::Ejected);
        let cooled = EndpointLoad::default();
        cooled.failed(&Failure::new(FailureKind::RateLimited), 0, 5_000);
        assert_eq!(cooled.read(1, 5_000).admission, Admission::Cooling);
        assert_eq!(cooled.read(1, 5_000 + COOLDOWN_DEFAULT_MS).admission, Admission::Admitted);
    }

    #[test]
    fn a_second_credential_serves_while_the_first_rests() {
        let load = EndpointLoad::default();
        load.failed(&Failure::new(FailureKind::RateLimited), 0, 5_000);
        assert_eq!(load.free_credential(2, 5_000), Some(1));
        assert_eq!(load.read(2, 5_000).admission, Admission::Admitted);
    }

    #[test]
    fn only_what_worked_in_the_last_ten_seconds_is_recently_good() {
        let load = EndpointLoad::default();
        load.succeeded(5_000);
        assert!(load.read(1, 5_000 + RECENT_MS - 1).recently_good);
        assert!(!load.read(1, 5_000 + RECENT_MS).recently_good);
    }

    #[test]
    fn a_trial_that_says_nothing_is_given_back() {
        let load = Arc::new(EndpointLoad::default());
        for _ in 0..5 {
            load.failed(&Failure::new(FailureKind::Connect), 0, 5_000);
        }
        let trial = Trial::take(&load, 7_000).unwrap();
        assert!(Trial::take(&load, 7_100).is_none());
        drop(trial);
        assert_eq!(load.admission(7_100), Admission::Trial);
        let stream = Trial::take(&load, 7_100).unwrap();
        load.succeeded(7_200);
        assert_eq!(load.admission(7_200), Admission::Admitted);
        for _ in 0..5 {
            load.failed(&Failure::new(FailureKind::Connect), 0, 8_000);
        }
        let _running = Trial::take(&load, 60_000).unwrap();
        drop(stream);
        assert_eq!(load.admission(60_100), Admission::Ejected, "there is one trial at a time");
    }

    #[test]
    fn a_rest_tells_what_it_is_for_and_the_longest_counts() {
        let load = EndpointLoad::default();
        assert_eq!(load.rest_of(1), None);
        load.failed(&Failure::new(FailureKind::CredentialRefused), 0, 5_000);
        load.failed(&Failure::new(FailureKind::RateLimited), 0, 5_000);
        let refused =
            Rest { until_ms: 5_000 + CREDENTIAL_REST_MS, after: FailureKind::CredentialRefused };
        assert_eq!(load.rest_of(1), Some(refused));
        load.failed(&Failure::new(FailureKind::RateLimited), 1, 5_000);
        assert_eq!(load.rest_of(2).map(|rest| rest.after), Some(FailureKind::RateLimited));
    }

    #[test]
    fn the_retry_budget_has_a_floor_and_gives_back() {
        let model = Arc::new(ModelLoad::default());
        let held: Vec<_> = (0..3).map(|_| model.begin_retry(20, 3).unwrap()).collect();
        assert!(model.begin_retry(20, 3).is_none());
        drop(held);
        assert!(model.begin_retry(20, 3).is_some());
    }
}
