//! What the log says of a call: one line, when its record is closed.

use serde::ser::{SerializeSeq, Serializer};
use trunkline_wire::models::Usd;
use uuid::Uuid;

use crate::ledger::Record;
use crate::traces::Trace;
use crate::view::View;

/// One line of JSON. The decision is left out: it is large, and `GET /v1/generation` has it.
pub(super) fn write(record: &Record, to: &mut Vec<u8>) -> Result<(), serde_json::Error> {
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
        #[serde(skip_serializing_if = "Option::is_none")]
        trace_id: Option<String>,
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
        trace_id: record.trace.as_ref().map(Trace::id),
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
