//! Accounts of several routers on one store.

use std::sync::atomic::AtomicU32;

use trunkline_store::port::Answer;
use trunkline_store::{Lease, LeaseId, Listing, Memory, Txn, TxnResult, Watch};

use super::*;

fn key() -> KeyId {
    KeyId::new("k3tnq7ab")
}

const RECORD: &str = "/trunkline/v1/spend/k3tnq7ab";

async fn in_store(store: &Arc<dyn Store>) -> u64 {
    let entry = store.get(RECORD).await.unwrap().unwrap();
    spend::decode(&entry.value).unwrap().lifetime.0
}

fn teller(store: &Arc<dyn Store>) -> Teller {
    Teller { accounts: Arc::default(), store: Arc::clone(store) }
}

fn spent(teller: &Teller) -> u64 {
    teller.accounts.of(&key()).spent(unix_ms()).lifetime.0
}

/// A store whose first write happens and is not heard of, and which then is away for so many requests.
#[derive(Debug)]
struct Doubtful {
    store: Memory,
    requests: AtomicU32,
    away: u32,
}

impl Doubtful {
    fn then_away_for(away: u32) -> Arc<dyn Store> {
        Arc::new(Self { store: Memory::new(), requests: AtomicU32::new(0), away })
    }
}

impl Store for Doubtful {
    fn list(&self, prefix: &str) -> Answer<'_, Listing> {
        self.store.list(prefix)
    }

    fn commit(&self, txn: Txn) -> Answer<'_, TxnResult> {
        Box::pin(async move {
            let reason = "the line was cut".to_owned();
            match self.requests.fetch_add(1, Relaxed) {
                0 => self.store.commit(txn).await.and(Err(StoreError::InDoubt { reason })),
                number if number <= self.away => Err(StoreError::Unavailable { reason }),
                _ => self.store.commit(txn).await,
            }
        })
    }

    fn grant_lease(&self, ttl: Duration) -> Answer<'_, Lease> {
        self.store.grant_lease(ttl)
    }

    fn keep_alive(&self, lease: LeaseId) -> Answer<'_, ()> {
        self.store.keep_alive(lease)
    }

    fn revoke(&self, lease: LeaseId) -> Answer<'_, ()> {
        self.store.revoke(lease)
    }

    fn watch(&self, prefix: &str) -> Watch {
        self.store.watch(prefix)
    }
}

#[tokio::test]
async fn routers_add_to_what_the_others_added() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let (one, other) = (teller(&store), teller(&store));
    one.accounts.of(&key()).add(PicoUsd(3));
    other.accounts.of(&key()).add(PicoUsd(4));
    one.tell().await.unwrap();
    other.tell().await.unwrap();
    assert_eq!((spent(&one), spent(&other)), (3, 7));
    one.accounts.of(&key()).add(PicoUsd(1));
    assert_eq!(spent(&one), 4, "its own calls count at once");
    one.tell().await.unwrap();
    assert_eq!(spent(&one), 8);
    assert_eq!(in_store(&store).await, 8);
    assert!(one.accounts.owing().is_empty());
}

#[tokio::test]
async fn a_write_that_nobody_heard_of_is_not_counted_twice() {
    let store = Doubtful::then_away_for(0);
    let one = teller(&store);
    one.accounts.of(&key()).add(PicoUsd(3));
    one.tell().await.unwrap();
    assert_eq!((spent(&one), one.accounts.owing().len()), (3, 0));
    assert_eq!(in_store(&store).await, 3);
}

#[tokio::test]
async fn a_write_that_nobody_heard_of_is_found_when_the_store_is_back() {
    let store = Doubtful::then_away_for(2);
    let one = teller(&store);
    one.accounts.of(&key()).add(PicoUsd(3));
    one.tell().await.unwrap_err();
    one.accounts.of(&key()).add(PicoUsd(1));
    one.tell().await.unwrap_err();
    assert_eq!(spent(&one), 4);
    one.tell().await.unwrap();
    assert_eq!((spent(&one), in_store(&store).await), (4, 4));
}

#[tokio::test]
async fn a_write_that_is_heard_of_by_watching_is_not_written_again() {
    let store = Doubtful::then_away_for(1);
    let one = teller(&store);
    one.accounts.of(&key()).add(PicoUsd(3));
    one.tell().await.unwrap_err();
    let entry = store.get(RECORD).await.unwrap().unwrap();
    let told = (spend::decode(&entry.value).unwrap(), entry.mod_revision.0);
    one.accounts.hear(&key(), Some(told));
    assert_eq!((spent(&one), one.accounts.owing().len()), (3, 0));
    // What is older than what is known says nothing, unless the store itself went back.
    one.accounts.hear(&key(), Some((Spent::default(), 0)));
    assert_eq!(spent(&one), 3);
    one.accounts.hear(&key(), None);
    assert_eq!(spent(&one), 0);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_left_as_it_is_and_others_are_told() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let broken = "/trunkline/v1/spend/aaaaaaaa";
    store.put(broken, Bytes::from_static(b"?"), Expect::Any).await.unwrap();
    let one = teller(&store);
    one.accounts.of(&KeyId::new("aaaaaaaa")).add(PicoUsd(3));
    one.accounts.of(&key()).add(PicoUsd(3));
    assert!(matches!(one.tell().await, Err(StoreError::Invalid { .. })));
    assert_eq!(in_store(&store).await, 3);
    assert_eq!(store.get(broken).await.unwrap().unwrap().value, Bytes::from_static(b"?"));
}

#[test]
fn a_limit_that_is_reached_says_when_it_ends() {
    let limits = SpendLimits { day: Some(PicoUsd(5)), ..SpendLimits::default() };
    let spending = Spending { limits, account: Arc::default() };
    // Noon of 26 November 2026.
    let noon = 1_795_694_400_000;
    assert!(spending.check(noon).is_ok());
    spending.account.hear(Spent::default().plus(PicoUsd(5), noon), Revision(1));
    let refusal = spending.check(noon).unwrap_err();
    assert_eq!(refusal.error_type, ErrorType::InsufficientCredits);
    let until_midnight = Some(12 * 60 * 60 * 1_000);
    assert_eq!(refusal.availability.unwrap().retry_after_ms, until_midnight);
    assert!(spending.check(noon + 12 * 60 * 60 * 1_000).is_ok());
    assert_eq!(spending.tightest(noon), Some((Window::Day, PicoUsd(5), PicoUsd(5))));
}
