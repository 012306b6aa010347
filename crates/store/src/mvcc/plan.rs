//! Decides what a request changes. Pure: the clock is an argument, the state is only read.

use std::time::Duration;

use tokio::time::Instant;

use super::{Delta, Held, Outcome, Reply, Request, State};
use crate::port::{
    Compare, Condition, Event, KeyValue, Lease, LeaseId, Op, Revision, StoreError, Txn, TxnResult,
    check_ttl,
};

/// Adds what a request changes to `delta`; a request that fails adds nothing but expired leases.
pub(crate) fn plan(state: &State, delta: &mut Delta, request: Request, now: Instant) -> Outcome {
    expire(state, delta, now);
    match request {
        Request::Commit(txn) => commit(state, delta, &txn).map(Reply::Committed),
        Request::Grant(ttl) => grant(delta, ttl, now).map(Reply::Granted),
        Request::KeepAlive(id) => keep_alive(state, delta, id, now).map(|()| Reply::Done),
        Request::Revoke(id) => {
            live(state, delta, id)?;
            end_lease(state, delta, id);
            Ok(Reply::Done)
        }
        Request::Expire => Ok(Reply::Done),
    }
}

fn expire(state: &State, delta: &mut Delta, now: Instant) {
    let due: Vec<LeaseId> = state
        .leases()
        .filter(|(id, _)| delta.lease(state, *id).is_some_and(|held| held.deadline <= now))
        .map(|(id, _)| id)
        .collect();
    for id in due {
        end_lease(state, delta, id);
    }
}

/// Deletes a lease and its keys, at one revision.
fn end_lease(state: &State, delta: &mut Delta, id: LeaseId) {
    let revision = delta.revision.next();
    let mut events = Vec::new();
    for key in delta.keys_under(state, id) {
        delta.set(state, Event::Delete { key }, &mut events);
    }
    delta.seal(revision, events);
    delta.leases.insert(id, None);
    delta.durable = true;
}

fn live(state: &State, delta: &Delta, id: LeaseId) -> Result<Held, StoreError> {
    delta.lease(state, id).copied().ok_or(StoreError::LeaseGone { lease: Some(id) })
}

fn grant(delta: &mut Delta, ttl: Duration, now: Instant) -> Result<Lease, StoreError> {
    check_ttl(ttl)?;
    let id = LeaseId(delta.last_lease.0.saturating_add(1));
    delta.last_lease = id;
    delta.leases.insert(id, Some(Held { ttl, deadline: now + ttl }));
    delta.durable = true;
    Ok(Lease { id, ttl })
}

fn keep_alive(
    state: &State,
    delta: &mut Delta,
    id: LeaseId,
    now: Instant,
) -> Result<(), StoreError> {
    let held = live(state, delta, id)?;
    delta.leases.insert(id, Some(Held { deadline: now + held.ttl, ..held }));
    Ok(())
}

fn commit(state: &State, delta: &mut Delta, txn: &Txn) -> Result<TxnResult, StoreError> {
    txn.check()?;
    let committed = txn.compare.iter().all(|compare| holds(state, delta, compare));
    let branch = if committed { &txn.then } else { &txn.otherwise };
    check_branch(state, delta, branch)?;
    let revision = delta.revision.next();
    let (mut events, mut reads) = (Vec::new(), Vec::new());
    for op in branch {
        match op {
            Op::Get { key } => reads.push(delta.entry(state, key).cloned()),
            Op::Delete { key } if delta.entry(state, key).is_none() => {}
            Op::Delete { key } => {
                delta.set(state, Event::Delete { key: key.clone() }, &mut events);
            }
            Op::Put { .. } => {
                if let Some(entry) = written(state, delta, op, revision) {
                    delta.set(state, Event::Put(entry), &mut events);
                }
            }
        }
    }
    delta.seal(revision, events);
    Ok(TxnResult { committed, revision: delta.revision, reads })
}

fn holds(state: &State, delta: &Delta, compare: &Compare) -> bool {
    let entry = delta.entry(state, &compare.key);
    match &compare.condition {
        Condition::Absent => entry.is_none(),
        Condition::Present => entry.is_some(),
        Condition::CreatedAt(at) => entry.map_or(Revision(0), |kv| kv.create_revision) == *at,
        Condition::ModifiedAt(at) => entry.map_or(Revision(0), |kv| kv.mod_revision) == *at,
        Condition::Value(value) => entry.is_some_and(|kv| kv.value == *value),
        Condition::Lease(id) => entry.is_some_and(|kv| kv.lease == Some(*id)),
    }
}

/// Everything that could fail half-way, asked before the first step.
fn check_branch(state: &State, delta: &Delta, branch: &[Op]) -> Result<(), StoreError> {
    let mut growth = 0;
    for op in branch {
        match op {
            Op::Put { key, value, lease } => {
                growth += key.len() + value.len();
                lease.map(|id| live(state, delta, id)).transpose()?;
            }
            Op::Delete { .. } | Op::Get { .. } => {}
        }
    }
    let quota = state.quota();
    if growth > 0 && delta.bytes.saturating_add(growth) > quota {
        return Err(StoreError::Full { reason: format!("its quota is {quota} bytes") });
    }
    Ok(())
}

/// The entry that a put leaves behind.
fn written(state: &State, delta: &Delta, op: &Op, revision: Revision) -> Option<KeyValue> {
    let Op::Put { key, value, lease } = op else { return None };
    let before = delta.entry(state, key);
    Some(KeyValue {
        key: key.clone(),
        value: value.clone(),
        create_revision: before.map_or(revision, |entry| entry.create_revision),
        mod_revision: revision,
        version: before.map_or(1, |entry| entry.version.saturating_add(1)),
        lease: *lease,
    })
}
