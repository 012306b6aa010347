//! What the log says of a call: one line, when its record is closed.

use trunkline_wire::fields::{Fields, push_text};
use trunkline_wire::pico::push_number;
use uuid::Uuid;

use crate::ledger::Record;
use crate::view::View;

/// One object of JSON. The decision is left out: it is large, and `GET /v1/generation` has it.
///
/// Every call writes one: serialised field by field it took a twelfth of a call's instructions.
pub(super) fn write(record: &Record, to: &mut String) {
    let view = record.decision.as_ref().map(|decision| &*decision.view);
    let tokens = record.settlement.map(|s| s.tokens).unwrap_or_default();
    let endpoint = record.serving_endpoint().and_then(|at| name_at(view?, at));
    let mut line = Fields::begin(to);
    line.number("timestamp_ms", record.arrived_unix_ms);
    line.word("level", "INFO");
    line.word("message", "call");
    let mut room = Uuid::encode_buffer();
    let generation: &str = record.generation.hyphenated().encode_lower(&mut room);
    line.text("generation", generation);
    line.text("request_id", record.request_id.as_deref().unwrap_or(generation));
    line.text_or_null("key", record.key.as_ref().map(|holder| holder.tenant.key.as_str()));
    line.word("operation", record.operation.name());
    line.text("model", &record.model);
    line.text_or_null("endpoint", endpoint);
    line.word("outcome", record.ending.as_str());
    line.text_or_null("error_type", record.error.map(|error| error.row().name));
    line.number_or_null("revision", view.map(|view| view.snapshot.revision));
    write_attempts(record, view, line.value("attempts"));
    line.number("tokens_in", tokens.input);
    line.number("tokens_out", tokens.output);
    line.usd("cost_usd", record.settlement.map_or(0, |s| s.cost.total().0));
    line.number_or_null("first_content_ms", record.first_content_ms);
    line.number("took_ms", record.took_ms);
    if let Some(trace) = &record.trace {
        line.text("trace_id", &trace.id());
    }
    line.end();
}

/// Each try as endpoint, outcome and milliseconds.
fn write_attempts(record: &Record, view: Option<&View>, to: &mut String) {
    to.push('[');
    for (number, attempt) in record.attempts.iter().enumerate() {
        to.push_str(if number == 0 { "[" } else { ",[" });
        let endpoint = view.and_then(|view| name_at(view, attempt.endpoint));
        push_text(to, endpoint.unwrap_or_default());
        to.push(',');
        push_text(to, attempt.failure.map_or("ok", |kind| kind.as_str()));
        to.push(',');
        push_number(to, attempt.took_ms);
        to.push(']');
    }
    to.push(']');
}

fn name_at(view: &View, endpoint: usize) -> Option<&str> {
    view.lanes.get(endpoint).map(|lane| &*lane.name)
}
