//! What the provider saw: one entry a request, bounded, with a way to wait for a condition.
//! It never keeps a credential: only its last four characters.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use serde::{Serialize, Serializer};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::fault::Fault;

/// Entries kept; older ones are dropped first. Enough for any test, small enough for a day of `dev`.
pub const LOG_ENTRIES_MAX: usize = 10_000;
/// Bytes of request bodies kept over all entries, so that large prompts cannot fill the memory.
pub const LOG_BODY_BYTES_MAX: usize = 64 << 20;
/// Headers kept of one request.
const LOG_HEADERS_MAX: usize = 100;
/// How much of a credential may be shown.
const CREDENTIAL_TAIL: usize = 4;
/// Headers that carry credentials.
const CREDENTIAL_HEADERS: [&str; 5] =
    ["authorization", "x-api-key", "api-key", "cookie", "proxy-authorization"];

/// One request as the provider saw it. Times are milliseconds since the provider was started.
#[derive(Clone, Debug, Serialize)]
pub struct LogEntry {
    /// Counts from 1, over all requests.
    pub id: u64,
    /// The HTTP method.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The `model` of the body, or empty.
    pub model: String,
    /// The body as received (in JSON: as text).
    #[serde(serialize_with = "as_text")]
    pub body: Bytes,
    /// All headers in order, names in lower case; credentials as `…` and their last four characters.
    pub headers: Vec<(String, String)>,
    /// The last four characters of the API key, when there was one.
    pub credential_tail: Option<String>,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// The fault that was applied.
    pub fault: Option<Fault>,
    /// The status that was, or would have been, sent.
    pub status: Option<u16>,
    /// When the request had been read.
    pub received_ms: u64,
    /// How and when it ended; none while it is running.
    pub end: Option<End>,
    /// Tokens handed to the connection so far.
    pub tokens: u32,
}

impl LogEntry {
    /// The value of a header by its lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether it ended in this way.
    #[must_use]
    pub fn ended(&self, ending: Ending) -> bool {
        self.end.is_some_and(|end| end.ending == ending)
    }
}

/// How and when a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct End {
    /// How.
    pub ending: Ending,
    /// When, in milliseconds since the start of the provider.
    pub at_ms: u64,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The whole answer was handed to the connection.
    Completed,
    /// The client closed or reset its side first.
    ClientGone,
    /// A fault ended it as it was meant to.
    Faulted,
    /// The provider was killed, refused or shut down meanwhile.
    Killed,
}

/// What is known when a request arrives.
pub struct Arrival {
    /// The HTTP method.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The `model` of the body, or empty.
    pub model: String,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// The body as received.
    pub body: Bytes,
    /// The headers as received.
    pub headers: HeaderMap,
}

/// The entries of a log did not satisfy a condition in time.
#[derive(Debug, thiserror::Error)]
#[error("the condition on the request log did not hold within {waited:?}; {entries} entries")]
pub struct WaitTimeout {
    /// How long was waited.
    pub waited: Duration,
    /// How many entries the log had then.
    pub entries: usize,
}

/// The bounded log.
pub struct RequestLog {
    started: Instant,
    kept: Mutex<Kept>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Kept {
    entries: VecDeque<LogEntry>,
    body_bytes: usize,
    next_id: u64,
}

impl RequestLog {
    /// An empty log whose clock starts now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            kept: Mutex::new(Kept { next_id: 1, ..Kept::default() }),
            changed: watch::Sender::new(()),
        }
    }

    /// Adds a request and returns its id.
    pub fn arrived(&self, arrival: Arrival) -> u64 {
        let received_ms = self.now_ms();
        let mut kept = self.lock();
        let id = kept.next_id;
        kept.next_id += 1;
        kept.body_bytes += arrival.body.len();
        kept.entries.push_back(entry(id, received_ms, arrival));
        while kept.entries.len() > LOG_ENTRIES_MAX || kept.body_bytes > LOG_BODY_BYTES_MAX {
            let Some(oldest) = kept.entries.pop_front() else { break };
            kept.body_bytes -= oldest.body.len();
        }
        drop(kept);
        self.changed.send_replace(());
        id
    }

    /// Notes what is going to be done about a request.
    pub fn decided(&self, id: u64, status: u16, fault: Option<&Fault>) {
        self.update(id, |entry| {
            entry.status = Some(status);
            entry.fault = fault.cloned();
        });
    }

    /// Notes tokens that were handed to the connection.
    pub fn emitted(&self, id: u64, tokens: u32) {
        self.update(id, |entry| entry.tokens = entry.tokens.saturating_add(tokens));
    }

    /// Notes the end of a request.
    pub fn ended(&self, id: u64, ending: Ending) {
        let at_ms = self.now_ms();
        self.update(id, |entry| entry.end = Some(End { ending, at_ms }));
    }

    /// The entries with an id greater than `since`, oldest first.
    #[must_use]
    pub fn since(&self, since: u64) -> Vec<LogEntry> {
        self.lock().entries.iter().filter(|entry| entry.id > since).cloned().collect()
    }

    /// Forgets all entries; ids go on counting.
    pub fn clear(&self) {
        let mut kept = self.lock();
        kept.entries.clear();
        kept.body_bytes = 0;
        drop(kept);
        self.changed.send_replace(());
    }

    /// Waits until the condition holds for the entries and returns them. The condition must not call
    /// back into the log.
    ///
    /// # Errors
    /// [`WaitTimeout`] when it does not hold within `limit`.
    pub async fn wait_for(
        &self,
        mut condition: impl FnMut(&[LogEntry]) -> bool,
        limit: Duration,
    ) -> Result<Vec<LogEntry>, WaitTimeout> {
        let mut changes = self.changed.subscribe();
        let held = tokio::time::timeout(limit, async {
            loop {
                changes.mark_unchanged();
                if let Some(entries) = self.entries_if(&mut condition) {
                    return Some(entries);
                }
                changes.changed().await.ok()?;
            }
        });
        let entries = held.await.ok().flatten();
        entries.ok_or_else(|| WaitTimeout { waited: limit, entries: self.lock().entries.len() })
    }

    fn entries_if(&self, condition: &mut dyn FnMut(&[LogEntry]) -> bool) -> Option<Vec<LogEntry>> {
        let mut kept = self.lock();
        let entries = kept.entries.make_contiguous();
        condition(entries).then(|| entries.to_vec())
    }

    fn update(&self, id: u64, change: impl FnOnce(&mut LogEntry)) {
        let mut kept = self.lock();
        let first = kept.entries.front().map_or(0, |entry| entry.id);
        let index = id.checked_sub(first).and_then(|index| usize::try_from(index).ok());
        if let Some(entry) = index.and_then(|index| kept.entries.get_mut(index)) {
            change(entry);
        }
        drop(kept);
        self.changed.send_replace(());
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for RequestLog {
    fn default() -> Self {
        Self::new()
    }
}

fn entry(id: u64, received_ms: u64, arrival: Arrival) -> LogEntry {
    LogEntry {
        id,
        method: arrival.method,
        path: arrival.path,
        model: arrival.model,
        body: arrival.body,
        headers: arrival.headers.iter().take(LOG_HEADERS_MAX).map(shown).collect(),
        credential_tail: api_key(&arrival.headers).map(|key| tail(&key)),
        stream: arrival.stream,
        fault: None,
        status: None,
        received_ms,
        end: None,
        tokens: 0,
    }
}

/// The API key of a request: `x-api-key`, or the bearer token.
#[must_use]
pub fn api_key(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = || text("authorization")?.strip_prefix("Bearer ");
    text("x-api-key").or_else(bearer).filter(|key| !key.is_empty()).map(str::to_owned)
}

fn shown((name, value): (&http::HeaderName, &http::HeaderValue)) -> (String, String) {
    let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
    let secret = CREDENTIAL_HEADERS.contains(&name.as_str());
    (name.as_str().to_owned(), if secret { format!("…{}", tail(&value)) } else { value })
}

/// The last characters of a secret; of a short one at most half, so that it cannot be shown whole.
fn tail(secret: &str) -> String {
    let length = secret.chars().count();
    secret.chars().skip(length - CREDENTIAL_TAIL.min(length / 2)).collect()
}

fn as_text<S: Serializer>(body: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(body))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::HeaderMap;

    use super::{Arrival, Ending, LOG_BODY_BYTES_MAX, LOG_ENTRIES_MAX, RequestLog, tail};

    fn arrival(body: Bytes) -> Arrival {
        Arrival {
            method: "POST".to_owned(),
            path: "/".to_owned(),
            model: String::new(),
            stream: false,
            body,
            headers: HeaderMap::new(),
        }
    }

    #[test]
    fn it_is_bounded_in_entries_and_in_bytes_and_drops_the_oldest() {
        let log = RequestLog::new();
        for _ in 0..=LOG_ENTRIES_MAX {
            log.arrived(arrival(Bytes::new()));
        }
        let entries = log.since(0);
        assert_eq!((entries.len(), entries[0].id), (LOG_ENTRIES_MAX, 2));
        let large = Bytes::from(vec![0; LOG_BODY_BYTES_MAX / 2]);
        let ids = [(); 3].map(|()| log.arrived(arrival(large.clone())));
        let kept: Vec<u64> = log.since(0).iter().map(|entry| entry.id).collect();
        assert_eq!(kept, ids[1..]);
    }

    #[test]
    fn a_request_that_was_dropped_from_the_log_can_still_end() {
        let log = RequestLog::new();
        let first = log.arrived(arrival(Bytes::new()));
        log.clear();
        let second = log.arrived(arrival(Bytes::new()));
        log.ended(first, Ending::Completed);
        assert!(log.since(0)[0].end.is_none());
        log.ended(second, Ending::Completed);
        assert!(log.since(0)[0].ended(Ending::Completed));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_with_the_condition_or_with_the_limit() {
        let log = RequestLog::new();
        let limit = Duration::from_secs(5);
        let error = log.wait_for(|log| !log.is_empty(), limit).await.unwrap_err();
        assert_eq!((error.waited, error.entries), (limit, 0));
        let id = log.arrived(arrival(Bytes::new()));
        let (waited, ()) = tokio::join!(
            log.wait_for(|log| log.iter().all(|entry| entry.tokens == 3), limit),
            async { log.emitted(id, 3) }
        );
        assert_eq!(waited.unwrap().len(), 1);
    }

    #[test]
    fn a_secret_shows_at_most_four_characters_and_never_more_than_half() {
        assert_eq!(tail("sk-secret-1234"), "1234");
        assert_eq!(tail("abcde"), "de");
        assert_eq!(tail("a"), "");
    }
}
