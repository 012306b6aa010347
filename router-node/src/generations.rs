//! The background of the ledger: writes one log line for each record, and keeps recent ones for those who ask
//! where a call went. Text never comes here; a record has none.

mod kept;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::ser::{SerializeSeq, Serializer};
use tokio::sync::{mpsc, oneshot};
use trunkline_runtime::log_sink::LineWriter;
use trunkline_wire::models::{Generation, Usd};
use uuid::Uuid;

use crate::ledger::{Entry, Record};
use crate::page::TagCosts;
use crate::view::View;
use kept::Kept;
pub use kept::decision_of;

/// Records kept for questions: at a few KiB each some 30 MiB at the most.
pub const KEPT: usize = 10_000;

/// Recent records, the oldest first.
#[derive(Default)]
pub struct Generations(Mutex<VecDeque<Kept>>);

impl Generations {
    /// The generation of that id, if it is among the last [`KEPT`] of this router. It looks from the newest
    /// on: whoever asks asks soon.
    pub fn find(&self, id: &str) -> Option<Generation> {
        let id = Uuid::parse_str(id).ok()?;
        self.recent().iter().rev().find(|kept| kept.is(id)).map(Kept::generation)
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, record: Box<Record>) {
        let kept = Kept::new(record);
        let mut recent = self.recent();
        if recent.len() >= KEPT {
            recent.pop_front();
        }
        recent.push_back(kept);
    }
}

/// Empties the ledger's queue until every sender is gone, and adds up what the calls cost.
pub async fn write(
    mut queue: mpsc::Receiver<Entry>,
    generations: Arc<Generations>,
    lines: Option<LineWriter>,
    costs: Arc<TagCosts>,
) {
    let mut line = Vec::new();
    while let Some(entry) = queue.recv().await {
        match entry {
            Entry::Record(record) => {
                if let Some(lines) = &lines {
                    line.clear();
                    if write_log_line(&record, &mut line).is_ok() {
                        lines.write_line(&line);
                    }
                }
                costs.add(&record);
                generations.keep(record);
            }
            Entry::Barrier(reached) => answer(reached),
        }
    }
}

fn answer(reached: oneshot::Sender<()>) {
    // Whoever asked may have left.
    let _ = reached.send(());
}

/// One line of JSON. The decision is left out: it is large, and `GET /v1/generation` has it.
fn write_log_line(record: &Record, to: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    #[derive(serde::Serialize)]
    struct Line<'a> {
        timestamp_ms: u64,
        level: &'static str,
        message: &'static str,
        generation: Uuid,
        request_id: &'a str,
        key: Option<&'a str>,
        operation: &'a str,
        model: &'a str,
        endpoint: Option<&'a str>,
        outcome: &'a str,
        error_type: Option<&'a str>,
        revision: Option<u64>,
        #[serde(serialize_with = "write_attempts")]
        attempts: &'a Record,
        tokens_in: u64,
        tokens_out: u64,
        cost_usd: Usd,
        first_content_ms: Option<u64>,
        took_ms: u64,
    }
    let view = record.decision.as_ref().map(|decision| &*decision.view);
    let tokens = record.settlement.map(|s| s.tokens).unwrap_or_default();
    let line = Line {
        timestamp_ms: record.arrived_unix_ms,
        level: "INFO",
        message: "call",
        generation: record.generation,
        request_id: &record.request_id,
        key: record.key.as_ref().map(|holder| holder.tenant.key.as_str()),
        operation: record.operation.name(),
        model: &record.model,
        endpoint: record.serving_endpoint().and_then(|at| name_at(view?, at)),
        outcome: record.ending.as_str(),
        error_type: record.error.map(|error| error.row().name),
        revision: view.map(|view| view.snapshot.revision),
        attempts: record,
        tokens_in: tokens.input,
        tokens_out: tokens.output,
        cost_usd: Usd(record.settlement.map_or(0, |s| s.cost.total().0)),
        first_content_ms: record.first_content_ms,
        took_ms: record.took_ms,
    };
    serde_json::to_writer(to, &line)
}

/// Each try as endpoint, outcome and milliseconds.
fn write_attempts<S: Serializer>(record: &Record, to: S) -> Result<S::Ok, S::Error> {
    let view = record.decision.as_ref().map(|decision| &*decision.view);
    let mut list = to.serialize_seq(Some(record.attempts.len()))?;
    for attempt in &record.attempts {
        let endpoint = view.and_then(|view| name_at(view, attempt.endpoint));
        let outcome = attempt.failure.map_or("ok", |kind| kind.as_str());
        list.serialize_element(&(endpoint.unwrap_or_default(), outcome, attempt.took_ms))?;
    }
    list.end()
}

fn name_at(view: &View, endpoint: usize) -> Option<&str> {
    view.lanes.get(endpoint).map(|lane| &*lane.name)
}
