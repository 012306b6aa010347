//! Calls on a cluster: one member at a time, the next one when it fails.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use etcd_client::{Error, GetOptions, GetResponse};
use tokio::time::timeout;

use super::EtcdOptions;
use super::convert;
use super::link::Link;
use super::version::Version;
use crate::port::{KeyValue, Listing, Member, Revision, StoreError};

/// How long one call may take. etcd itself gives up on a proposal after about this time.
pub(super) const CALL_MAX: Duration = Duration::from_secs(5);
/// Calls tried before giving up, even with a single member: the first may find a dead connection.
const TRIES_MIN: usize = 2;
/// Entries asked for at once: so many of the largest fit into a message.
const PAGE: i64 = 160;

/// What it means when a call fails on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Risk {
    /// It may be asked again.
    Repeatable,
    /// It may have been done, and doing it twice is not the same as doing it once.
    Once,
}

/// The members of a cluster and the connection in use.
pub(super) struct Cluster {
    options: EtcdOptions,
    current: Mutex<Option<Link>>,
    turn: AtomicUsize,
    warned: AtomicBool,
}

impl Cluster {
    pub(super) fn new(options: EtcdOptions) -> Self {
        let (turn, warned) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { options, current: Mutex::new(None), turn, warned }
    }

    /// Connects to the member whose turn it is, counted round and round.
    pub(super) async fn dial(&self, turn: usize) -> Result<Link, StoreError> {
        let members = &self.options.members;
        let chosen = turn.checked_rem(members.len()).and_then(|index| members.get(index));
        let member = chosen.ok_or_else(|| StoreError::invalid("etcd has no members"))?;
        let link = Link::dial(member, &self.options).await?;
        let told = link.version != Some(Version::UNTOLD);
        let recommended = link.version.is_some_and(Version::is_recommended);
        if told && !recommended && !self.warned.swap(true, Ordering::Relaxed) {
            let version = link.version.map(|version| version.to_string());
            tracing::warn!(member, version, "etcd should be at least 3.5.33 or 3.6.14");
        }
        Ok(link)
    }

    /// Waits until a connection should be made anew, because its identity was renewed.
    pub(super) async fn outdated(&self, link: &Link) {
        link.outdated(&self.options).await;
    }

    /// Whom the members take us for; nothing without TLS.
    pub(super) fn user(&self) -> Option<String> {
        self.options.tls.as_ref().and_then(|tls| tls.owner())
    }

    /// Asks every member how it is.
    pub(super) async fn members(&self) -> Vec<Member> {
        let mut members = Vec::new();
        for address in &self.options.members {
            let told = Link::state(address, &self.options).await.map_err(|e| why(address, e));
            members.push(Member { address: address.clone(), told });
        }
        members
    }

    /// Asks one member after the other until one answers; a refusal is an answer.
    pub(super) async fn call<T, F>(
        &self,
        risk: Risk,
        patience: Duration,
        ask: impl Fn(Link) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut last = StoreError::unavailable("it was not asked");
        for _ in 0..self.options.members.len().max(TRIES_MIN) {
            let failed = match self.link().await {
                Err(error) => error,
                Ok(link) => match timeout(patience, ask(link)).await {
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(error)) => risk.of(error),
                    Err(_) => risk.of(Error::Internal("no answer in time".to_owned())),
                },
            };
            match failed {
                StoreError::Unavailable { .. } => self.next_member(),
                StoreError::InDoubt { .. } => {
                    self.next_member();
                    return Err(failed);
                }
                refusal => return Err(refusal),
            }
            last = failed;
        }
        Err(last)
    }

    async fn link(&self) -> Result<Link, StoreError> {
        // Calls under way on a connection of an old identity finish there.
        if let Some(link) = self.current().clone().filter(|link| link.is_current(&self.options)) {
            return Ok(link);
        }
        let link = self.dial(self.turn.load(Ordering::Relaxed)).await?;
        *self.current() = Some(link.clone());
        Ok(link)
    }

    fn next_member(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
        *self.current() = None;
    }

    fn current(&self) -> MutexGuard<'_, Option<Link>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Cluster").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Why a member does not answer, for whoever knows its address.
fn why(address: &str, error: StoreError) -> String {
    match error {
        StoreError::Unavailable { reason } => {
            let why = reason.strip_prefix(address).and_then(|rest| rest.strip_prefix(": "));
            why.unwrap_or(&reason).to_owned()
        }
        other => other.to_string(),
    }
}

impl Risk {
    fn of(self, error: Error) -> StoreError {
        match self {
            Self::Repeatable => convert::failure(error),
            Self::Once => convert::failed_write(error),
        }
    }
}

/// Everything under a prefix at one revision, and the id of the cluster that said so. The pages
/// after the first are asked for at the first one's revision.
pub(super) async fn list_all(link: &Link, prefix: &str) -> Result<(u64, Listing), Error> {
    let options = GetOptions::new().with_limit(PAGE);
    let first = link.kv().get(prefix, Some(options.clone().with_prefix())).await?;
    let header = first.header().ok_or_else(|| Error::Internal("no header".to_owned()))?;
    let (cluster, revision) = (header.cluster_id(), header.revision());
    let mut entries = Vec::new();
    let mut next = take_page(first, &mut entries);
    while let Some(from) = next {
        let options = options.clone().with_revision(revision).with_range(range_end(prefix));
        next = take_page(link.kv().get(from, Some(options)).await?, &mut entries);
    }
    Ok((cluster, Listing { revision: Revision(convert::unsigned(revision)), entries }))
}

/// Takes the entries of a page and says where the next one begins, if there is one.
fn take_page(mut page: GetResponse, entries: &mut Vec<KeyValue>) -> Option<Vec<u8>> {
    let more = page.more();
    let kvs = page.take_kvs();
    // The first key that can come after another one is that one with a zero byte.
    let next = kvs.last().map(|last| [last.key(), &[0]].concat());
    entries.extend(kvs.into_iter().filter_map(convert::entry));
    next.filter(|_| more)
}

/// The first key after all that have a prefix; a single zero byte if there is none. A byte 255
/// cannot be raised, but no text has one.
fn range_end(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    match end.last_mut() {
        Some(last) => *last = last.saturating_add(1),
        None => end.push(0),
    }
    end
}
