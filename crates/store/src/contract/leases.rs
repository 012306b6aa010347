//! Promises about leases.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Arena, next_batch, next_news, next_snapshot};
use crate::port::{Change, Event, Expect, LEASE_MIN, LeaseId, StoreError, Txn};

type Verdict = Result<(), StoreError>;

/// Longer than any check, for leases that must not end by themselves.
pub(super) const TTL: Duration = Duration::from_secs(600);

pub(super) async fn keys_go_with_their_lease_at_one_revision(arena: Arena) -> Verdict {
    let (store, a, b) = (&arena.store, arena.key("a"), arena.key("b"));
    let lease = store.grant_lease(TTL).await?;
    assert!(lease.ttl >= TTL);
    let txn = Txn::new().put_leased(&a, "1", lease.id).put_leased(&b, "1", lease.id);
    let written = store.commit(txn).await?.revision;
    store.put(&arena.key("c"), "1".into(), Expect::Any).await?;
    assert_eq!(store.get(&a).await?.and_then(|entry| entry.lease), Some(lease.id));
    let mut watch = arena.watch();
    assert_eq!(next_snapshot(&mut watch).await.entries.len(), 3);
    store.revoke(lease.id).await?;
    let (revision, events) = next_batch(&mut watch).await;
    assert_eq!(events, [Event::Delete { key: a }, Event::Delete { key: b }]);
    let left = store.list(&arena.prefix).await?;
    assert_eq!((left.revision, left.entries.len()), (revision, 1));
    assert_eq!(revision, written.next().next());
    Ok(())
}

pub(super) async fn a_lease_ends_by_itself(arena: Arena) -> Verdict {
    let (store, key) = (&arena.store, arena.key("a"));
    let lease = store.grant_lease(LEASE_MIN).await?;
    let granted = Instant::now();
    store.commit(Txn::new().put_leased(&key, "1", lease.id)).await?;
    let mut watch = arena.watch();
    next_snapshot(&mut watch).await;
    let (_, events) = next_batch(&mut watch).await;
    // The store measures from a moment before ours.
    assert!(granted.elapsed() + Duration::from_secs(1) >= lease.ttl, "too early");
    assert_eq!(events, [Event::Delete { key: key.clone() }]);
    assert_eq!(store.get(&key).await?, None);
    let late = store.keep_alive(lease.id).await;
    assert!(matches!(late, Err(StoreError::LeaseGone { .. })), "{late:?}");
    Ok(())
}

pub(super) async fn a_lease_lives_while_it_is_kept_alive(arena: Arena) -> Verdict {
    let (store, key) = (&arena.store, arena.key("a"));
    let lease = store.grant_lease(LEASE_MIN).await?;
    store.commit(Txn::new().put_leased(&key, "1", lease.id)).await?;
    // The passing of time is what is tested: twice the lease's life, in steps of a third.
    for _ in 0..6 {
        sleep(lease.ttl / 3).await;
        store.keep_alive(lease.id).await?;
    }
    assert!(store.get(&key).await?.is_some());
    store.revoke(lease.id).await
}

pub(super) async fn a_dead_lease_is_refused(arena: Arena) -> Verdict {
    let (store, a, b) = (&arena.store, arena.key("a"), arena.key("b"));
    let lease = store.grant_lease(TTL).await?.id;
    store.revoke(lease).await?;
    for lease in [lease, LeaseId(4_242_424_242)] {
        let refused = [
            store.keep_alive(lease).await.err(),
            store.revoke(lease).await.err(),
            store.commit(Txn::new().put(&b, "1").put_leased(&a, "1", lease)).await.err(),
        ];
        for error in refused {
            assert!(matches!(error, Some(StoreError::LeaseGone { .. })), "{error:?}");
        }
    }
    assert_eq!(store.list(&arena.prefix).await?.entries, []);
    let short = store.grant_lease(LEASE_MIN / 2).await;
    assert!(matches!(short, Err(StoreError::Invalid { .. })), "{short:?}");
    Ok(())
}

pub(super) async fn a_put_without_a_lease_outlives_the_old_one(arena: Arena) -> Verdict {
    let (store, a, b) = (&arena.store, arena.key("a"), arena.key("b"));
    let (old, new) = (store.grant_lease(TTL).await?.id, store.grant_lease(TTL).await?.id);
    let leased = Txn::new().put_leased(&a, "1", old).put_leased(&b, "1", old);
    store.commit(leased).await?;
    store.put(&a, "2".into(), Expect::Any).await?;
    store.commit(Txn::new().put_leased(&b, "2", new)).await?;
    let mut watch = arena.watch();
    next_snapshot(&mut watch).await;
    store.revoke(old).await?;
    assert_eq!(store.list(&arena.prefix).await?.entries.len(), 2);
    store.revoke(new).await?;
    let change = next_news(&mut watch).await;
    assert!(matches!(change, Change::Batch { events, .. } if events == [Event::Delete { key: b }]));
    Ok(())
}
