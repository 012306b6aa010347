//! Promises about keys, transactions and listings.

use bytes::Bytes;

use super::{Arena, keys_of};
use crate::port::{
    Condition, Expect, KEY_MAX_BYTES, KeyValue, LeaseId, Revision, StoreError, TXN_MAX_BYTES,
    TXN_MAX_OPS, Txn,
};

type Verdict = Result<(), StoreError>;

pub(super) async fn a_new_key_tells_when_it_came_to_be(arena: Arena) -> Verdict {
    let (store, key) = (&arena.store, arena.key("a"));
    assert_eq!(store.get(&key).await?, None);
    let revision = store.put(&key, "1".into(), Expect::Absent).await?;
    let entry = KeyValue {
        key: key.clone(),
        value: "1".into(),
        create_revision: revision,
        mod_revision: revision,
        version: 1,
        lease: None,
    };
    assert_eq!(store.get(&key).await?, Some(entry.clone()));
    let listing = store.list(&arena.prefix).await?;
    assert_eq!((listing.revision, listing.entries), (revision, vec![entry]));
    Ok(())
}

pub(super) async fn versions_count_and_start_again_after_deletion(arena: Arena) -> Verdict {
    let (store, key) = (&arena.store, arena.key("a"));
    let first = store.put(&key, "1".into(), Expect::Any).await?;
    let second = store.put(&key, "2".into(), Expect::Revision(first)).await?;
    let entry = store.get(&key).await?.map(|kv| (kv.create_revision, kv.mod_revision, kv.version));
    assert_eq!(entry, Some((first, second, 2)));
    let gone = store.delete(&key, Expect::Revision(second)).await?;
    let third = store.put(&key, "3".into(), Expect::Absent).await?;
    let entry = store.get(&key).await?.map(|kv| (kv.create_revision, kv.mod_revision, kv.version));
    assert_eq!(entry, Some((third, third, 1)));
    assert!(first < second && second < gone && gone < third);
    Ok(())
}

pub(super) async fn a_conflict_shows_what_is_there_and_changes_nothing(arena: Arena) -> Verdict {
    let (store, key) = (&arena.store, arena.key("a"));
    let absent = store.put(&key, "1".into(), Expect::Revision(Revision(1))).await;
    assert!(matches!(absent, Err(StoreError::Conflict { current: None, .. })), "{absent:?}");
    let revision = store.put(&key, "1".into(), Expect::Any).await?;
    for expect in [Expect::Absent, Expect::Revision(revision.next())] {
        for refused in [store.put(&key, "2".into(), expect).await, store.delete(&key, expect).await]
        {
            let Err(StoreError::Conflict { key: which, current: Some(current) }) = refused else {
                panic!("no conflict: {refused:?}");
            };
            assert_eq!((&which, &current.value), (&key, &Bytes::from("1")));
        }
    }
    assert_eq!(store.list(&arena.prefix).await?.revision, revision);
    Ok(())
}

pub(super) async fn every_condition_is_told_apart(arena: Arena) -> Verdict {
    let (store, key, none) = (&arena.store, arena.key("a"), arena.key("none"));
    let lease = store.grant_lease(super::leases::TTL).await?.id;
    let created = store.commit(Txn::new().put_leased(&key, "1", lease)).await?.revision;
    let modified = store.commit(Txn::new().put_leased(&key, "2", lease)).await?.revision;
    let zero = Revision(0);
    let cases = [
        (&key, Condition::Present, true),
        (&key, Condition::Absent, false),
        (&key, Condition::CreatedAt(created), true),
        (&key, Condition::CreatedAt(modified), false),
        (&key, Condition::ModifiedAt(modified), true),
        (&key, Condition::ModifiedAt(created), false),
        (&key, Condition::Value("2".into()), true),
        (&key, Condition::Value("1".into()), false),
        (&key, Condition::Lease(lease), true),
        (&key, Condition::Lease(LeaseId(lease.0 + 1)), false),
        (&none, Condition::Present, false),
        (&none, Condition::Absent, true),
        (&none, Condition::CreatedAt(zero), true),
        (&none, Condition::ModifiedAt(zero), true),
        (&none, Condition::ModifiedAt(created), false),
        (&none, Condition::Value(Bytes::new()), false),
        (&none, Condition::Lease(lease), false),
    ];
    for (key, condition, holds) in cases {
        let result = store.commit(Txn::new().when(key, condition.clone())).await?;
        assert_eq!(result.committed, holds, "{key} {condition:?}");
    }
    store.revoke(lease).await
}

pub(super) async fn one_transaction_is_one_revision(arena: Arena) -> Verdict {
    let (store, a, b, c) = (&arena.store, arena.key("a"), arena.key("b"), arena.key("c"));
    store.put(&c, "1".into(), Expect::Absent).await?;
    let txn = Txn::new().when(&c, Condition::Present).put(&a, "1").put(&b, "1").delete(&c);
    let done = store.commit(txn.clone()).await?;
    assert!(done.committed && done.reads.is_empty());
    let listing = store.list(&arena.prefix).await?;
    assert_eq!(keys_of(&listing.entries), [a, b]);
    assert!(listing.entries.iter().all(|entry| entry.mod_revision == done.revision));
    let refused = store.commit(txn.or_get(&c).or_get(&arena.key("b"))).await?;
    assert!(!refused.committed);
    assert_eq!(refused.reads, [None, Some(listing.entries[1].clone())]);
    Ok(())
}

pub(super) async fn what_changes_nothing_makes_no_revision(arena: Arena) -> Verdict {
    let (store, key) = (&arena.store, arena.key("a"));
    let revision = store.put(&key, "1".into(), Expect::Any).await?;
    let nothing = [
        Txn::new(),
        Txn::new().get(&key),
        Txn::new().delete(&arena.key("none")),
        Txn::new().when(&key, Condition::Absent).put(&key, "2"),
    ];
    for txn in nothing {
        assert_eq!(store.commit(txn.clone()).await?.revision, revision, "{txn:?}");
    }
    assert_eq!(store.delete(&arena.key("none"), Expect::Any).await?, revision);
    assert_eq!(store.put(&key, "1".into(), Expect::Any).await?, revision.next());
    Ok(())
}

pub(super) async fn reads_in_a_transaction_see_the_steps_before(arena: Arena) -> Verdict {
    let (store, a, b) = (&arena.store, arena.key("a"), arena.key("b"));
    store.put(&b, "1".into(), Expect::Any).await?;
    let txn = Txn::new().get(&a).put(&a, "1").get(&a).get(&b).delete(&b).get(&b);
    let done = store.commit(txn).await?;
    let values: Vec<Option<Bytes>> =
        done.reads.into_iter().map(|read| read.map(|entry| entry.value)).collect();
    assert_eq!(values, [None, Some("1".into()), Some("1".into()), None]);
    Ok(())
}

pub(super) async fn what_no_store_would_take_is_refused(arena: Arena) -> Verdict {
    let (store, key) = (&arena.store, arena.key("a"));
    let many = (0..=TXN_MAX_OPS).fold(Txn::new(), |txn, n| txn.get(&arena.key(&n.to_string())));
    let large = Bytes::from(vec![0; TXN_MAX_BYTES]);
    for txn in [many, Txn::new().put(&key, large), Txn::new().get(&"k".repeat(KEY_MAX_BYTES + 1))] {
        let refused = store.commit(txn).await;
        assert!(matches!(refused, Err(StoreError::TooLarge { .. })), "{refused:?}");
    }
    let twice = [
        Txn::new().put(&key, "1").put(&key, "2"),
        Txn::new().put(&key, "1").delete(&key),
        Txn::new().get(""),
    ];
    for txn in twice {
        let refused = store.commit(txn).await;
        assert!(matches!(refused, Err(StoreError::Invalid { .. })), "{refused:?}");
    }
    assert_eq!(store.get(&key).await?, None);
    Ok(())
}

pub(super) async fn the_largest_transaction_is_taken(arena: Arena) -> Verdict {
    let (store, key) = (&arena.store, arena.key("a"));
    let value = Bytes::from(vec![7; TXN_MAX_BYTES - 2 * key.len()]);
    store.put(&key, value.clone(), Expect::Any).await?;
    assert_eq!(store.get(&key).await?.map(|entry| entry.value), Some(value));
    let names: Vec<String> = (0..TXN_MAX_OPS).map(|n| arena.key(&format!("b{n:03}"))).collect();
    let txn = names.iter().fold(Txn::new(), |txn, name| {
        txn.when(name, Condition::Absent).put(name, "1").or_get(name)
    });
    assert!(store.commit(txn.clone()).await?.committed);
    assert_eq!(store.commit(txn).await?.reads.iter().flatten().count(), TXN_MAX_OPS);
    store.delete(&key, Expect::Any).await?;
    Ok(())
}

pub(super) async fn a_listing_is_in_order_and_only_of_its_prefix(arena: Arena) -> Verdict {
    let store = &arena.store;
    for name in ["b/2", "a", "b/10", "b", "b0", "c", "b/\u{e9}"] {
        store.put(&arena.key(name), "1".into(), Expect::Any).await?;
    }
    let all = store.list(&arena.prefix).await?;
    let names = ["a", "b", "b/10", "b/2", "b/\u{e9}", "b0", "c"].map(|name| arena.key(name));
    assert_eq!(keys_of(&all.entries), names);
    let some = store.list(&arena.key("b/")).await?;
    assert_eq!(keys_of(&some.entries), names[2..5]);
    let everything = store.list("").await?;
    assert!(everything.entries.len() >= all.entries.len());
    assert_eq!(store.list(&arena.key("none")).await?.entries, []);
    Ok(())
}

pub(super) async fn a_long_listing_is_complete(arena: Arena) -> Verdict {
    const TXNS: usize = 20;
    let value = Bytes::from(vec![1; 2_000]);
    for round in 0..TXNS {
        let txn = (0..TXN_MAX_OPS).fold(Txn::new(), |txn, n| {
            txn.put(&arena.key(&format!("{round:02}/{n:03}")), value.clone())
        });
        arena.store.commit(txn).await?;
    }
    let listing = arena.store.list(&arena.prefix).await?;
    assert_eq!(listing.entries.len(), TXNS * TXN_MAX_OPS);
    assert!(listing.entries.is_sorted_by(|one, other| one.key < other.key));
    assert!(listing.entries.iter().all(|entry| entry.value == value));
    Ok(())
}
