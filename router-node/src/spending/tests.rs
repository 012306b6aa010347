//! Accounts of several routers on one store.

use std::sync::atomic::AtomicBool;

use trunkline_store::port::Answer;
use trunkline_store::{Lease, LeaseId, Listing, Memory, Txn, TxnResult, Watch};

use super::*;

fn key() -> KeyId {
    KeyId::new("k3tnq7ab")
}

fn teller(store: &Arc<dyn Store>) -> Teller {
    Teller { accounts: Arc::default(), store: Arc::clone(store) }
}

fn spent(teller: &Teller) -> u64 {
    teller.accounts.of(&key()).spent(unix_ms()).lifetime.0
}

/// A store of which, once, nobody hears whether a write happened; it did.
#[derive(Debug)]
struct Doubtful {
    store: Memory,
    doubt: AtomicBool,
}

impl Store for Doubtful {
    fn list(&self, prefix: &str) -> Answer<'_, Listing> {
        self.store.list(prefix)
    }

    fn commit(&self, txn: Txn) -> Answer<'_, TxnResult> {
        Box::pin(async move {
            let result = self.store.commit(txn).await?;
            if self.doubt.swap(false, Relaxed) {
                return Err(StoreError::InDoubt { reason: "the line was cut".to_owned() });
            }
            Ok(result)
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
    let entry = store.get("/trunkline/v1/spend/k3tnq7ab").await.unwrap().unwrap();
    assert_eq!(spend::decode(&entry.value).unwrap().lifetime, PicoUsd(8));
    assert!(one.accounts.owing().is_empty());
}

#[tokio::test]
async fn a_write_that_nobody_heard_of_is_not_counted_twice() {
    let store = Doubtful { store: Memory::new(), doubt: AtomicBool::new(true) };
    let store: Arc<dyn Store> = Arc::new(store);
    let one = teller(&store);
    one.accounts.of(&key()).add(PicoUsd(3));
    one.tell().await.unwrap();
    assert_eq!(spent(&one), 3);
    let other = teller(&store);
    other.accounts.of(&key()).add(PicoUsd(1));
    other.tell().await.unwrap();
    assert_eq!(spent(&other), 4);
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
    assert!(store.get("/trunkline/v1/spend/k3tnq7ab").await.unwrap().is_some());
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
