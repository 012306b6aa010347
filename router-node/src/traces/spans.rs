//! A closed record as spans: one for the call, and one for each try at a provider. Names and attributes follow
//! OpenTelemetry's semantic conventions, and `docs/tracing.md` lists them. A record has no text of a call and
//! no secret, so a span has none.

use trunkline_core::catalog::{Dialect, Provider};
use trunkline_core::plan::Reason;
use trunkline_core::snapshot::EndpointState;
use trunkline_runtime::otlp::message::{
    Event, KeyValue, Span, SpanKind, Status, StatusCode, Value,
};
use trunkline_wire::operation::Operation;

use super::{Trace, attempt_span, call_span};
use crate::ledger::{Attempt, CameBy, Ending, Record};
use crate::view::{View, provider_of};

const NANOS_IN_MS: u64 = 1_000_000;
/// OTLP's flag that says that the next one means something …
const KNOWS_WHERE_PARENT_IS: u32 = 1 << 8;
/// … which is this one: the parent is in another process.
const PARENT_IS_ELSEWHERE: u32 = 1 << 9;
/// W3C's flag of a trace that is told of, which a trace with spans always has.
const SAMPLED: u32 = 1;

/// Hosts of providers that the semantic conventions have a name for; others have that of their dialect.
const KNOWN_HOSTS: [(&str, &str); 9] = [
    ("openai.azure.com", "azure.ai.openai"),
    ("api.groq.com", "groq"),
    ("api.mistral.ai", "mistral_ai"),
    ("api.deepseek.com", "deepseek"),
    ("api.x.ai", "x_ai"),
    ("api.perplexity.ai", "perplexity"),
    ("api.cohere.com", "cohere"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
];

/// The spans of a call, its own first.
pub(super) fn of(record: &Record, trace: &Trace) -> Vec<Span> {
    let mut spans = Vec::with_capacity(1 + record.attempts.len());
    spans.push(call(record, trace));
    let view = record.decision.as_ref().map(|decision| &*decision.view);
    let attempts = record.attempts.iter().enumerate();
    spans.extend(attempts.map(|(at, attempt)| try_of(record, trace, view, (at, attempt))));
    spans
}

fn call(record: &Record, trace: &Trace) -> Span {
    let mut attributes = route(record);
    let mut add = |key: &str, value: Value| {
        attributes.push(KeyValue::new(key, value));
    };
    add("gen_ai.operation.name", operation(record.operation).into());
    if !record.model.is_empty() {
        add("gen_ai.request.model", record.model.as_str().into());
        add("gen_ai.request.stream", record.stream.into());
    }
    add("trunkline.generation.id", record.generation.to_string().as_str().into());
    add("trunkline.request.id", record.known_as().as_str().into());
    add("trunkline.outcome", record.ending.as_str().into());
    add("trunkline.attempts", (record.attempts.len() as u64).into());
    if let Some(holder) = &record.key {
        add("trunkline.key.id", holder.tenant.key.as_str().into());
    }
    if let Some(decision) = &record.decision {
        add("trunkline.policy.version", (&*decision.view.policy_version).into());
        add("trunkline.revision", decision.view.snapshot.revision.into());
    }
    if let Some(settlement) = &record.settlement {
        add("trunkline.cost.usd", (settlement.cost.total().0 as f64 / 1e12).into());
    }
    if let Some(status) = http_status(record) {
        add("http.response.status_code", u64::from(status).into());
    }
    let error = record.error.map(|error| error.row().name);
    if let Some(error) = error {
        add("error.type", error.into());
    }
    let first = record.first_content_ms.map(|ms| Event {
        time_unix_nano: nanos(record, ms),
        name: "trunkline.first_content".to_owned(),
    });
    let elsewhere = if trace.caller.is_some() { PARENT_IS_ELSEWHERE } else { 0 };
    Span {
        trace_id: trace.id.to_vec(),
        span_id: call_span(record.generation).to_vec(),
        trace_state: state(trace),
        parent_span_id: trace.caller.map(Vec::from).unwrap_or_default(),
        name: route_name(record),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: nanos(record, 0),
        end_time_unix_nano: nanos(record, record.took_ms),
        attributes,
        events: first.into_iter().collect(),
        status: status(error),
        flags: SAMPLED | KNOWS_WHERE_PARENT_IS | elsewhere,
    }
}

fn try_of(
    record: &Record,
    trace: &Trace,
    view: Option<&View>,
    (at, attempt): (usize, &Attempt),
) -> Span {
    let state_of = view.and_then(|view| view.snapshot.endpoints.get(attempt.endpoint));
    let model = state_of.map_or("", |state| state.endpoint.upstream_model.as_str());
    let operation = operation(record.operation);
    let mut attributes = vec![
        KeyValue::new("gen_ai.operation.name", operation),
        KeyValue::new("gen_ai.request.model", model),
        KeyValue::new("gen_ai.request.stream", record.stream),
        KeyValue::new("trunkline.attempt", at as u64 + 1),
        KeyValue::new("trunkline.credential", attempt.credential as u64 + 1),
    ];
    if let (Some(view), Some(endpoint)) = (view, state_of) {
        place(view, endpoint, &mut attributes);
    }
    if let Some(reason) = reason(record, attempt.endpoint) {
        attributes.push(KeyValue::new("trunkline.turn.reason", reason.as_str()));
    }
    let last = at + 1 == record.attempts.len();
    if last {
        answer(record, attempt, &mut attributes);
    }
    let error = attempt.failure.map(|kind| kind.as_str());
    if let Some(error) = error {
        attributes.push(KeyValue::new("error.type", error));
    }
    if let Some(status) = attempt.status {
        attributes.push(KeyValue::new("http.response.status_code", u64::from(status)));
    }
    // A try is decided at its first content; one that was gives the rest of the answer, too.
    let answers = last && (attempt.failure.is_none() || record.first_content_ms.is_some());
    let took_ms = if answers { record.took_ms } else { attempt.began_ms + attempt.took_ms };
    Span {
        trace_id: trace.id.to_vec(),
        span_id: attempt_span(record.generation, at).to_vec(),
        trace_state: state(trace),
        parent_span_id: call_span(record.generation).to_vec(),
        name: format!("{operation} {model}"),
        kind: SpanKind::Client.into(),
        start_time_unix_nano: nanos(record, attempt.began_ms),
        end_time_unix_nano: nanos(record, took_ms.max(attempt.began_ms)),
        attributes,
        events: Vec::new(),
        status: status(error),
        flags: SAMPLED | KNOWS_WHERE_PARENT_IS,
    }
}

/// Where a try went.
fn place(view: &View, state: &EndpointState, to: &mut Vec<KeyValue>) {
    let endpoint = &state.endpoint;
    to.push(KeyValue::new("trunkline.endpoint", endpoint.name().as_str()));
    to.push(KeyValue::new("trunkline.provider", endpoint.provider.as_str()));
    let Some(provider) = provider_of(&view.snapshot, state) else { return };
    let url: Option<http::Uri> = provider.base_url.parse().ok();
    let host = url.as_ref().and_then(http::Uri::host).unwrap_or_default();
    to.push(KeyValue::new("gen_ai.provider.name", provider_name(provider, host)));
    if let Some(url) = &url {
        let own = if url.scheme_str() == Some("https") { 443 } else { 80 };
        to.push(KeyValue::new("server.address", host));
        to.push(KeyValue::new("server.port", u64::from(url.port_u16().unwrap_or(own))));
    }
}

/// What came of the try that answered: the last one, unless it failed before anything came.
fn answer(record: &Record, attempt: &Attempt, to: &mut Vec<KeyValue>) {
    let Some(settlement) = &record.settlement else { return };
    let tokens = settlement.tokens;
    let counts = [
        ("gen_ai.usage.input_tokens", Some(tokens.input)),
        ("gen_ai.usage.output_tokens", Some(tokens.output)),
        ("gen_ai.usage.cache_read.input_tokens", Some(tokens.cached).filter(|n| *n > 0)),
        ("gen_ai.usage.cache_creation.input_tokens", Some(tokens.cache_write).filter(|n| *n > 0)),
        ("gen_ai.usage.reasoning.output_tokens", Some(tokens.reasoning).filter(|n| *n > 0)),
    ];
    let counted = counts.into_iter().filter_map(|(key, count)| Some(KeyValue::new(key, count?)));
    to.extend(counted);
    if let Some(reason) = record.told.finish_reason {
        to.push(KeyValue::new("gen_ai.response.finish_reasons", &[reason.as_str()][..]));
    }
    if let Some(model) = &record.told.model {
        to.push(KeyValue::new("gen_ai.response.model", &**model));
    }
    if record.stream && record.first_content_ms.is_some() {
        let seconds = attempt.took_ms as f64 / 1000.0;
        to.push(KeyValue::new("gen_ai.response.time_to_first_chunk", seconds));
    }
}

/// How the call came in.
fn route(record: &Record) -> Vec<KeyValue> {
    match record.came_by {
        CameBy::Http => vec![
            KeyValue::new("http.request.method", "POST"),
            KeyValue::new("http.route", http_route(record.operation)),
        ],
        CameBy::Grpc => vec![
            KeyValue::new("rpc.system.name", "grpc"),
            KeyValue::new("rpc.method", grpc_method(record)),
        ],
    }
}

fn route_name(record: &Record) -> String {
    match record.came_by {
        CameBy::Http => format!("POST {}", http_route(record.operation)),
        CameBy::Grpc => grpc_method(record).to_owned(),
    }
}

fn http_route(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat => "/v1/chat/completions",
        Operation::Completion => "/v1/completions",
        Operation::Embedding => "/v1/embeddings",
    }
}

fn grpc_method(record: &Record) -> &'static str {
    match (record.operation, record.stream) {
        (Operation::Embedding, _) => "trunkline.inference.v1.InferenceService/Embed",
        (Operation::Chat | Operation::Completion, true) => {
            "trunkline.inference.v1.InferenceService/ChatStream"
        }
        (Operation::Chat | Operation::Completion, false) => {
            "trunkline.inference.v1.InferenceService/Chat"
        }
    }
}

/// The name of an operation in the semantic conventions.
fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat => "chat",
        Operation::Completion => "text_completion",
        Operation::Embedding => "embeddings",
    }
}

/// The provider's name in the semantic conventions; [`Provider::id`] is the operator's.
fn provider_name(provider: &Provider, host: &str) -> &'static str {
    let known = KNOWN_HOSTS.iter().find(|(name, _)| {
        host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with(['.', '-']))
    });
    known.map_or(
        match provider.dialect {
            Dialect::OpenAi => "openai",
            Dialect::Anthropic => "anthropic",
        },
        |(_, name)| name,
    )
}

/// The status that an HTTP caller saw. One whose stream broke saw a success before.
fn http_status(record: &Record) -> Option<u16> {
    match (record.came_by, record.ending) {
        (CameBy::Grpc, _) | (_, Ending::Abandoned) => None,
        (CameBy::Http, Ending::Completed) => Some(200),
        (CameBy::Http, Ending::Rejected | Ending::Failed) => {
            let released = record.stream && record.first_content_ms.is_some();
            record.error.map(|error| error.row().status).filter(|_| !released)
        }
    }
}

/// Why an endpoint was in the plan.
fn reason(record: &Record, endpoint: usize) -> Option<Reason> {
    let turns = &record.decision.as_ref()?.plan.turns;
    turns.iter().find(|turn| turn.endpoint == endpoint).map(|turn| turn.reason)
}

fn status(error: Option<&str>) -> Option<Status> {
    let message = error?.to_owned();
    Some(Status { message, code: StatusCode::Error.into() })
}

fn state(trace: &Trace) -> String {
    let state = trace.state.as_ref().and_then(|state| state.to_str().ok());
    state.unwrap_or_default().to_owned()
}

fn nanos(record: &Record, after_ms: u64) -> u64 {
    record.arrived_unix_ms.saturating_add(after_ms).saturating_mul(NANOS_IN_MS)
}
