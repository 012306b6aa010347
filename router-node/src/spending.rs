//! What keys have spent in the whole cluster, without asking it. Each router adds what its own calls cost to the
//! one record that a key has in the store, about once a second, and follows what others add; a call is admitted
//! by what is known then. So a limit is overrun by calls that were under way when it was reached, and by what
//! other routers spent in the last second or so; not by the number of routers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::time::{sleep, timeout};
use trunkline_core::id::KeyId;
use trunkline_core::money::PicoUsd;
use trunkline_core::policy::{SpendLimits, Spent, Window};
use trunkline_runtime::BoxError;
use trunkline_spec::spend;
use trunkline_store::keys::{Key, Segment};
use trunkline_store::{Expect, KeyValue, Revision, Store, StoreError};
use trunkline_wire::error::{Availability, ErrorType};

use crate::ledger::unix_ms;
use crate::rejection::{Rejection, reject};

/// Between two tellings, at least: what is spent meanwhile is in the second.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// Tellings of all routers together, a second; more routers tell less often.
const CLUSTER_TELLS_A_SECOND: u32 = 20;
/// Tries to add to a record that other routers are adding to; then it waits for the next telling.
const TRIES: usize = 8;
/// A store that takes longer does not answer.
const ERRAND_DEADLINE: Duration = Duration::from_secs(5);

/// A key's limits, and what it has spent.
#[derive(Debug)]
pub struct Spending {
    /// What it may spend.
    pub limits: SpendLimits,
    /// What it has spent.
    pub account: Arc<Account>,
}

impl Spending {
    /// Whether the key may spend on at this moment.
    ///
    /// # Errors
    /// [`ErrorType::InsufficientCredits`], with the limit that is reached and how long it holds.
    pub fn check(&self, now_ms: u64) -> Result<(), Rejection> {
        let spent = self.account.spent(now_ms);
        let Some((window, limit)) = self.limits.reached(&spent, now_ms) else { return Ok(()) };
        let then = match window {
            Window::Day => "a day; it starts anew at midnight UTC",
            Window::Week => "a week; it starts anew on Monday at midnight UTC",
            Window::Month => "a month; it starts anew on the 1st at midnight UTC",
            Window::Lifetime => "in all; ask for a higher one",
        };
        let message = format!("this key has spent its limit of {limit} USD {then}");
        let wait_ms = window.ends_ms(now_ms).map(|end| end.saturating_sub(now_ms));
        let mut rejection = reject(ErrorType::InsufficientCredits, message);
        rejection.availability = Some(Availability {
            code: "spend_limit".to_owned(),
            retryable: wait_ms.is_some(),
            retry_after_ms: wait_ms,
            excluded_by: Vec::new(),
            affected_providers: Vec::new(),
        });
        Err(rejection)
    }

    /// The window with the least left of its limit at this moment: which, its limit, what was spent in it.
    pub fn tightest(&self, now_ms: u64) -> Option<(Window, PicoUsd, PicoUsd)> {
        let spent = self.account.spent(now_ms);
        let windows = self
            .limits
            .windows()
            .map(|(window, limit)| (window, limit, spent.within(window, now_ms)));
        windows.min_by_key(|(_, limit, spent)| limit.0.saturating_sub(spent.0))
    }
}

/// What one key has spent, as far as this router knows. Calls only read and add; what is known changes under a lock.
#[derive(Debug, Default)]
pub struct Account {
    known: ArcSwap<Known>,
    /// What calls here cost and is not in what is known, in pico-USD.
    untold: AtomicU64,
    /// Writes on top of what is known that may have happened.
    tried: Mutex<Vec<Try>>,
}

/// What the store has.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    spent: Spent,
    /// When it was written; zero for never.
    revision: Revision,
}

/// A write: what the record was to be, and how much of it was added, in pico-USD.
#[derive(Clone, Copy, Debug)]
struct Try {
    spent: Spent,
    added: u64,
}

impl Account {
    /// Adds a call's cost.
    pub fn add(&self, cost: PicoUsd) {
        self.untold.fetch_add(cost.0, Relaxed);
    }

    /// What was spent by this moment.
    pub fn spent(&self, at_ms: u64) -> Spent {
        let untold = PicoUsd(self.untold.load(Relaxed));
        self.known.load().spent.plus(untold, at_ms)
    }

    /// Takes in the record at a revision; one that is older than what is known says nothing. If it is what a write
    /// of this router was to make of it, that write has happened.
    fn hear(&self, spent: Spent, revision: Revision) {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if revision <= self.known.load().revision {
            return;
        }
        // In this order it is for a moment counted twice, rather than not at all.
        self.known.store(Arc::new(Known { spent, revision }));
        if let Some(happened) = tried.iter().find(|tried| tried.spent == spent) {
            self.untold.fetch_sub(happened.added, Relaxed);
        }
        tried.clear();
    }

    /// Nothing that was known of the record holds any more.
    fn forget(&self) {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        self.known.store(Arc::default());
        tried.clear();
    }

    /// Takes in the record as it was found; nothing when there is none.
    fn find(&self, current: Option<&KeyValue>) -> Result<(), StoreError> {
        let Some(entry) = current else {
            if self.known.load().revision > Revision(0) {
                self.forget();
            }
            return Ok(());
        };
        let spent = spend::decode(&entry.value).map_err(|error| StoreError::Invalid {
            reason: format!("{}: {error}; delete it to count from nothing", entry.key),
        })?;
        self.hear(spent, entry.mod_revision);
        Ok(())
    }

    /// Begins to add what is untold: what is expected of the record, and what it is to be.
    fn attempt(&self) -> (Expect, Spent) {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, added) = (**self.known.load(), self.untold.load(Relaxed));
        let spent = known.spent.plus(PicoUsd(added), unix_ms());
        tried.push(Try { spent, added });
        let never = known.revision == Revision(0);
        (if never { Expect::Absent } else { Expect::Revision(known.revision) }, spent)
    }

    /// Whether a write may have happened that nobody heard of.
    fn in_doubt(&self) -> bool {
        !self.tried.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// The accounts of all keys that have a limit, or had one.
#[derive(Debug, Default)]
pub struct Accounts(Mutex<BTreeMap<KeyId, Arc<Account>>>);

impl Accounts {
    /// The account of a key.
    pub fn of(&self, key: &KeyId) -> Arc<Account> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(accounts.entry(key.clone()).or_default())
    }

    /// Takes in what the store says of a key at a revision; nothing when it has no record any more.
    pub fn hear(&self, key: &KeyId, told: Option<(Spent, u64)>) {
        match told {
            Some((spent, revision)) => self.of(key).hear(spent, Revision(revision)),
            None => self.of(key).forget(),
        }
    }

    /// Keys with costs that the store does not know.
    fn owing(&self) -> Vec<(KeyId, Arc<Account>)> {
        let accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let owing = accounts.iter().filter(|(_, account)| account.untold.load(Relaxed) > 0);
        owing.map(|(key, account)| (key.clone(), Arc::clone(account))).collect()
    }
}

/// Tells the store what calls here cost.
#[derive(Clone, Debug)]
pub struct Teller {
    /// What is to be told.
    pub accounts: Arc<Accounts>,
    /// Whom.
    pub store: Arc<dyn Store>,
}

impl Teller {
    /// Tells until it is dropped: calls end after a router was asked to. `alive` counts the cluster's routers.
    ///
    /// # Errors
    /// None: a store that is away is told later.
    pub async fn run(self, alive: impl Fn() -> usize) -> Result<(), BoxError> {
        let mut fails = false;
        loop {
            let routers = u32::try_from(alive()).unwrap_or(u32::MAX);
            let fair = Duration::from_secs(1) * routers / CLUSTER_TELLS_A_SECOND;
            sleep(fair.max(TELL_EVERY)).await;
            let told = self.tell().await;
            if let Err(error) = &told
                && !fails
            {
                tracing::warn!(%error, "what keys spent could not be told, trying on");
            }
            fails = told.is_err();
        }
    }

    /// Tells the rest, after the last call. What a store does not take now is lost.
    pub async fn last_words(&self) {
        let told = timeout(ERRAND_DEADLINE, self.tell()).await;
        let owing = self.accounts.owing().len();
        if owing > 0 || !matches!(told, Ok(Ok(()))) {
            tracing::warn!(keys = owing, "what these keys spent last could not be told");
        }
    }

    /// Tells what is untold.
    ///
    /// # Errors
    /// The first failure; what was not told stays to be told.
    pub async fn tell(&self) -> Result<(), StoreError> {
        let mut first = Ok(());
        for (key, account) in self.accounts.owing() {
            match self.add(&key, &account).await {
                Ok(()) => {}
                // One record's own trouble keeps nobody else's from being told.
                Err(error @ StoreError::Invalid { .. }) => first = first.and(Err(error)),
                Err(error) => return Err(error),
            }
        }
        first
    }

    /// Adds to a key's record. Where a write may have happened that nobody heard of, the record is read first: the
    /// write has happened if the record is what it was to be. It is counted twice only if another router has
    /// written since, and it is never lost.
    async fn add(&self, key: &KeyId, account: &Account) -> Result<(), StoreError> {
        let Some(segment) = Segment::new(key.as_str()) else { return Ok(()) };
        let record = Key::Spend(segment).to_string();
        for _ in 0..TRIES {
            if account.in_doubt() {
                account.find(in_time(self.store.get(&record)).await?.as_ref())?;
            }
            if account.untold.load(Relaxed) == 0 {
                return Ok(());
            }
            let (expect, spent) = account.attempt();
            let written = Bytes::from(spend::encode(&spent));
            match in_time(self.store.put(&record, written, expect)).await {
                Ok(revision) => {
                    account.hear(spent, revision);
                    return Ok(());
                }
                Err(StoreError::Conflict { current, .. }) => account.find(current.as_deref())?,
                Err(StoreError::InDoubt { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

async fn in_time<T>(errand: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let late = StoreError::InDoubt { reason: "no answer within five seconds".to_owned() };
    timeout(ERRAND_DEADLINE, errand).await.unwrap_or(Err(late))
}

#[cfg(test)]
mod tests;
