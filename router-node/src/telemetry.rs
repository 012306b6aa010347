//! Every metric's name, labels and meaning, and nothing else: code elsewhere calls methods. The catalogue is
//! what `docs/metrics.md` is generated from.
#![expect(clippy::disallowed_macros, reason = "this is the one file that names metrics")]

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram,
};
use metrics::{Unit, gauge, histogram};
use trunkline_core::breaker::Admission;
use trunkline_core::failure::FailureKind;
use trunkline_core::money::PicoUsd;
use trunkline_core::snapshot::{EndpointState, Verdict};
use trunkline_core::usage::TokenCounts;
use trunkline_runtime::catalogue::{Kind, Metric};
use trunkline_wire::operation::Operation;

use crate::ledger::Ending;

/// All metrics of a router. Labels never hold a caller's free text.
pub const CATALOGUE: &[Metric] = &[
    Metric::new(
        "trunkline_requests_total",
        Kind::Counter,
        &["operation", "outcome"],
        "Calls by how they ended: completed, rejected, failed or abandoned; each call once.",
    ),
    Metric::new(
        "trunkline_rejections_total",
        Kind::Counter,
        &["error_type"],
        "Calls that ended with an error, by error type.",
    ),
    Metric::new(
        "trunkline_attempts_total",
        Kind::Counter,
        &["endpoint", "outcome"],
        "Tries at an endpoint by outcome: ok, or the kind of failure.",
    ),
    Metric::new(
        "trunkline_call_duration_seconds",
        Kind::Histogram,
        &["operation"],
        "From the request's arrival to the end of its answer.",
    ),
    Metric::new(
        "trunkline_ttft_seconds",
        Kind::Histogram,
        &["endpoint"],
        "From sending a streamed request to an endpoint to its first content.",
    ),
    Metric::new(
        "trunkline_inter_token_seconds",
        Kind::Histogram,
        &["provider"],
        "Mean time between two chunks of a stream, one observation a stream.",
    ),
    Metric::new(
        "trunkline_tokens_total",
        Kind::Counter,
        &["endpoint", "kind"],
        "Tokens: input, output, cached.",
    ),
    Metric::new(
        "trunkline_cost_nanousd_total",
        Kind::Counter,
        &["endpoint"],
        "Cost of answers, in billionths of a US dollar.",
    ),
    Metric::new(
        "trunkline_retries_total",
        Kind::Counter,
        &["step"],
        "Further tries by what was tried: turn, credential, again.",
    ),
    Metric::new(
        "trunkline_retry_budget_exhausted_total",
        Kind::Counter,
        &[],
        "Further tries that the retry budget did not allow.",
    ),
    Metric::new(
        "trunkline_panic_picks_total",
        Kind::Counter,
        &[],
        "Calls sent to an endpoint only because nothing better existed.",
    ),
    Metric::new("trunkline_calls_in_flight", Kind::Gauge, &[], "Calls at the moment."),
    Metric::new(
        "trunkline_endpoint_in_flight",
        Kind::Gauge,
        &["endpoint"],
        "Calls at an endpoint at the moment, from this router.",
    ),
    Metric::new(
        "trunkline_endpoint_weight",
        Kind::Gauge,
        &["endpoint"],
        "Cluster-wide weight; 65,536 is an operator weight of 1.",
    ),
    Metric::new(
        "trunkline_endpoint_verdict",
        Kind::Gauge,
        &["endpoint"],
        "What the probers agree on: 0 unknown, 1 up, 2 degraded, 3 advisory down, 4 zone down, 5 down, 6 config error.",
    ),
    Metric::new(
        "trunkline_endpoint_breaker",
        Kind::Gauge,
        &["endpoint"],
        "This router's own judgement: 0 admitted, 1 trial due, 2 cooling down, 3 ejected.",
    ),
    Metric::new(
        "trunkline_applied_revision",
        Kind::Gauge,
        &[],
        "Everything up to this store revision is in what calls are served from.",
    ),
    Metric::new(
        "trunkline_watch_age_seconds",
        Kind::Gauge,
        &[],
        "Time since the store was last heard of.",
    ),
    Metric::new(
        "trunkline_table_digest",
        Kind::Gauge,
        &[],
        "First 48 bits of the digest of verdicts and weights: equal on all routers at one revision.",
    ),
    Metric::new(
        "trunkline_refused_records",
        Kind::Gauge,
        &[],
        "Records of the store that this router refuses, the last good ones being in force; admin-cli status names them.",
    ),
    Metric::new("trunkline_routers", Kind::Gauge, &[], "Registered routers, this one included."),
    Metric::new(
        "trunkline_records_dropped_total",
        Kind::Counter,
        &[],
        "Call records lost because the background writer did not keep up.",
    ),
];

/// Bucket bounds, in seconds: time to first token, whole calls, time between tokens.
pub const BUCKETS: &[(&str, &[f64])] = &[
    (
        "trunkline_call_duration_seconds",
        &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0],
    ),
    ("trunkline_ttft_seconds", &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]),
    ("trunkline_inter_token_seconds", &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0]),
];

/// Metrics that exist once per process. Handles are held, never looked up on the way of a call.
pub struct Telemetry {
    calls: [CallMeter; 3],
    retry_turn: Counter,
    retry_credential: Counter,
    retry_again: Counter,
    retry_budget_exhausted: Counter,
    panic_picks: Counter,
    calls_in_flight: Gauge,
    applied_revision: Gauge,
    watch_age: Gauge,
    table_digest: Gauge,
    refused_records: Gauge,
    routers: Gauge,
    records_dropped: Counter,
}

struct CallMeter {
    endings: [Counter; 4],
    duration: Histogram,
}

impl CallMeter {
    fn new(operation: Operation) -> Self {
        let name = operation.name();
        let ending = |e: Ending| counter!("trunkline_requests_total", "operation" => name, "outcome" => e.as_str());
        Self {
            endings: Ending::ALL.map(ending),
            duration: histogram!("trunkline_call_duration_seconds", "operation" => name),
        }
    }
}

/// Which further try was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The plan's next turn.
    Turn,
    /// Another credential at the same endpoint.
    Credential,
    /// The same endpoint once more.
    Again,
}

impl Telemetry {
    /// Registers everything; call once, after the recorder is installed.
    pub fn new() -> Self {
        describe();
        let retry = |step: &'static str| counter!("trunkline_retries_total", "step" => step);
        Self {
            calls: [Operation::Chat, Operation::Completion, Operation::Embedding]
                .map(CallMeter::new),
            retry_turn: retry("turn"),
            retry_credential: retry("credential"),
            retry_again: retry("again"),
            retry_budget_exhausted: counter!("trunkline_retry_budget_exhausted_total"),
            panic_picks: counter!("trunkline_panic_picks_total"),
            calls_in_flight: gauge!("trunkline_calls_in_flight"),
            applied_revision: gauge!("trunkline_applied_revision"),
            watch_age: gauge!("trunkline_watch_age_seconds"),
            table_digest: gauge!("trunkline_table_digest"),
            refused_records: gauge!("trunkline_refused_records"),
            routers: gauge!("trunkline_routers"),
            records_dropped: counter!("trunkline_records_dropped_total"),
        }
    }

    /// A call ended.
    pub fn call_ended(&self, operation: Operation, ending: Ending, seconds: f64) {
        let [chat, completion, embedding] = &self.calls;
        let meter = match operation {
            Operation::Chat => chat,
            Operation::Completion => completion,
            Operation::Embedding => embedding,
        };
        if let Some(counter) = meter.endings.get(ending as usize) {
            counter.increment(1);
        }
        meter.duration.record(seconds);
    }

    /// A call ended with an error of this type.
    pub fn call_refused(&self, error_type: &'static str) {
        counter!("trunkline_rejections_total", "error_type" => error_type).increment(1);
    }

    /// A further try is made.
    pub fn retried(&self, retry: Retry) {
        match retry {
            Retry::Turn => self.retry_turn.increment(1),
            Retry::Credential => self.retry_credential.increment(1),
            Retry::Again => self.retry_again.increment(1),
        }
    }

    /// A further try was not allowed by the retry budget.
    pub fn retry_budget_exhausted(&self) {
        self.retry_budget_exhausted.increment(1);
    }

    /// A call went to an endpoint only because nothing better existed.
    pub fn panicked(&self) {
        self.panic_picks.increment(1);
    }

    /// A record was lost.
    pub fn record_dropped(&self) {
        self.records_dropped.increment(1);
    }

    /// The process-wide gauges, set once a second.
    pub fn observe(&self, calls_in_flight: usize, applied: Applied) {
        self.calls_in_flight.set(calls_in_flight as f64);
        self.applied_revision.set(applied.revision as f64);
        self.watch_age.set(applied.watch_age_s);
        self.table_digest.set(applied.digest_prefix as f64);
        self.refused_records.set(applied.nacks as f64);
        self.routers.set(applied.routers as f64);
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

/// What the router has applied of the store.
#[derive(Clone, Copy, Debug, Default)]
pub struct Applied {
    /// The revision.
    pub revision: u64,
    /// Seconds since the store was last heard of.
    pub watch_age_s: f64,
    /// The first 48 bits of the table's digest: what a Prometheus sample holds exactly.
    pub digest_prefix: u64,
    /// Records that are refused.
    pub nacks: usize,
    /// Routers that are registered.
    pub routers: usize,
}

/// Metrics of one endpoint; made with the snapshot.
pub struct EndpointMeter {
    name: String,
    ok: Counter,
    ttft: Histogram,
    inter_token: Histogram,
    input: Counter,
    output: Counter,
    cached: Counter,
    cost: Counter,
    in_flight: Gauge,
    weight: Gauge,
    verdict: Gauge,
    breaker: Gauge,
}

impl EndpointMeter {
    /// Registers the endpoint's series.
    pub fn new(state: &EndpointState) -> Self {
        let endpoint = &state.endpoint;
        let name = endpoint.name();
        let tokens = |kind: &'static str| counter!("trunkline_tokens_total", "endpoint" => name.clone(), "kind" => kind);
        let provider = endpoint.provider.as_str().to_owned();
        Self {
            ok: counter!("trunkline_attempts_total", "endpoint" => name.clone(), "outcome" => "ok"),
            ttft: histogram!("trunkline_ttft_seconds", "endpoint" => name.clone()),
            inter_token: histogram!("trunkline_inter_token_seconds", "provider" => provider),
            input: tokens("input"),
            output: tokens("output"),
            cached: tokens("cached"),
            cost: counter!("trunkline_cost_nanousd_total", "endpoint" => name.clone()),
            in_flight: gauge!("trunkline_endpoint_in_flight", "endpoint" => name.clone()),
            weight: gauge!("trunkline_endpoint_weight", "endpoint" => name.clone()),
            verdict: gauge!("trunkline_endpoint_verdict", "endpoint" => name.clone()),
            breaker: gauge!("trunkline_endpoint_breaker", "endpoint" => name.clone()),
            name,
        }
    }

    /// A try worked.
    pub fn succeeded(&self) {
        self.ok.increment(1);
    }

    /// A try failed.
    pub fn failed(&self, kind: FailureKind) {
        let endpoint = self.name.clone();
        counter!("trunkline_attempts_total", "endpoint" => endpoint, "outcome" => kind.as_str())
            .increment(1);
    }

    /// A stream's first content came this long after it was asked for.
    pub fn first_content(&self, seconds: f64) {
        self.ttft.record(seconds);
    }

    /// A stream's chunks came this far apart on average.
    pub fn inter_token(&self, seconds: f64) {
        self.inter_token.record(seconds);
    }

    /// An answer was settled.
    pub fn settled(&self, tokens: TokenCounts, cost: PicoUsd) {
        self.input.increment(tokens.input);
        self.output.increment(tokens.output);
        self.cached.increment(tokens.cached);
        self.cost.increment(cost.0 / 1000);
    }

    /// The endpoint's gauges, set once a second.
    pub fn observe(&self, state: &EndpointState, in_flight: u32, admission: Admission) {
        self.in_flight.set(f64::from(in_flight));
        self.weight.set(f64::from(state.weight.0));
        // The order of ALL is that of the catalogue's help.
        let number = Verdict::ALL.iter().position(|known| *known == state.verdict);
        self.verdict.set(number.unwrap_or_default() as f64);
        self.breaker.set(match admission {
            Admission::Admitted => 0.0,
            Admission::Trial => 1.0,
            Admission::Cooling => 2.0,
            Admission::Ejected => 3.0,
        });
    }

    /// The endpoint left the catalog: it has no verdict, and nothing to share.
    pub fn forget(&self) {
        self.verdict.set(f64::NAN);
        for gauge in [&self.in_flight, &self.weight, &self.breaker] {
            gauge.set(0.0);
        }
    }
}

fn describe() {
    for metric in CATALOGUE {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, Unit::Count, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, Unit::Count, metric.help),
            Kind::Histogram => describe_histogram!(metric.name, Unit::Seconds, metric.help),
        }
    }
}
