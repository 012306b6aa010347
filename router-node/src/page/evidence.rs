//! What is in the store and in no view: probers, what each saw, routers, and the words of drains. It is read when
//! somebody looks, and a store that is away leaves the page without it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;
use trunkline_core::id::EndpointId;
use trunkline_core::observation::Observation;
use trunkline_spec::observation::{ProberRecord, decode_observation, decode_prober_record};
use trunkline_spec::overrides::{Drain, parse_drain};
use trunkline_spec::router::RouterRecord;
use trunkline_store::keys::{CONFIG, Key, OBSERVATIONS, PROBERS, ROUTERS};
use trunkline_store::port::{KeyValue, Store, StoreError};

use crate::fold::DRAINS;

/// Somebody who looks at a page does not wait longer for the store.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the store has.
#[derive(Debug, Default)]
pub struct Stored {
    /// Living probers, by id.
    pub probers: BTreeMap<String, Prober>,
    /// What living probers saw, by endpoint.
    pub seen: BTreeMap<EndpointId, Vec<Seen>>,
    /// Registered routers, by id.
    pub routers: BTreeMap<String, RouterRecord>,
    /// Drains in force.
    pub drains: Vec<Drain>,
}

/// A living prober.
#[derive(Debug)]
pub struct Prober {
    /// What it says of itself.
    pub record: ProberRecord,
    /// Accounts that it wrote in another life do not count.
    incarnation: u64,
}

/// One prober's account of one endpoint.
#[derive(Debug, Serialize)]
pub struct Seen {
    prober: String,
    zone: String,
    vote: &'static str,
    /// It doubts its own network: its vote does not count.
    self_suspect: bool,
    probes: bool,
    calls: bool,
    ok: u32,
    failed: u32,
    refused: u32,
    window_s: u16,
    ttft_p50_ms: Option<u32>,
}

/// Reads all of it; nothing when the store does not answer in time.
pub async fn read(store: &dyn Store) -> Option<Stored> {
    let entries = timeout(PATIENCE, entries(store)).await;
    match entries.unwrap_or_else(|_| Err(late())) {
        Ok(entries) => Some(understood(&entries)),
        Err(error) => {
            tracing::warn!(%error, "the status page is shown without the store");
            None
        }
    }
}

fn late() -> StoreError {
    StoreError::Unavailable { reason: "no answer within two seconds".to_owned() }
}

async fn entries(store: &dyn Store) -> Result<Vec<KeyValue>, StoreError> {
    let mut entries = Vec::new();
    for prefix in [PROBERS, OBSERVATIONS, ROUTERS, &format!("{CONFIG}{DRAINS}")] {
        entries.extend(store.list(prefix).await?.entries);
    }
    Ok(entries)
}

/// What cannot be read is passed over: routers name what they refuse.
fn understood(entries: &[KeyValue]) -> Stored {
    let mut stored = Stored::default();
    for entry in entries {
        match Key::parse(&entry.key) {
            Some(Key::Prober(id)) => {
                if let Ok(record) = decode_prober_record(&entry.value) {
                    let incarnation = entry.create_revision.0;
                    stored.probers.insert(id.to_string(), Prober { record, incarnation });
                }
            }
            Some(Key::Observation { prober, endpoint }) => {
                let by = stored.probers.get(prober.as_str());
                let seen = by.and_then(|by| by.saw(prober.as_str(), &entry.value));
                if let Some((endpoint, seen)) = EndpointId::parse(endpoint.as_str()).zip(seen) {
                    stored.seen.entry(endpoint).or_default().push(seen);
                }
            }
            Some(Key::Router(id)) => {
                let record = RouterRecord::decode(&entry.value).unwrap_or_default();
                stored.routers.insert(id.to_string(), record);
            }
            Some(Key::Config(_)) => {
                let text = std::str::from_utf8(&entry.value).ok();
                stored.drains.extend(text.and_then(|text| parse_drain(text).ok()));
            }
            Some(Key::History(_) | Key::Spend(_)) | None => {}
        }
    }
    stored
}

impl Prober {
    fn saw(&self, name: &str, bytes: &[u8]) -> Option<Seen> {
        let observation: Observation = decode_observation(bytes).ok()?;
        let counts = &observation.counts;
        (observation.incarnation == self.incarnation).then(|| Seen {
            prober: name.to_owned(),
            zone: self.record.zone.clone(),
            vote: observation.vote.as_str(),
            self_suspect: self.record.self_suspect,
            probes: observation.evidence.active,
            calls: observation.evidence.passive,
            ok: counts.ok,
            failed: counts.health.saturating_add(counts.overloaded).saturating_add(counts.config),
            refused: counts.rate_limited,
            window_s: observation.window_s,
            ttft_p50_ms: observation.latency.ttft_p50.map(|bucket| bucket.middle()),
        })
    }
}
