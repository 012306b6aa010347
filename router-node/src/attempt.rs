//! The attempt loop: the only place where a call is tried at providers, whether it is streamed or whole, came
//! by HTTP or gRPC, is released at its first content or held back until it is complete.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::timeout_at;
use trunkline_core::breaker::Admission;
use trunkline_core::failure::FailureKind;
use trunkline_core::plan::{Plan, Reason, Turn};
use trunkline_core::policy::Timeouts;
use trunkline_core::retry::{self, Again, GiveUp, Released, RetryBudget, Step, Tried};
use trunkline_core::snapshot::Numbers;
use trunkline_upstream::{Call, Chunk, EventStream, Failed, Item, Target, Whole};
use trunkline_wire::answer::rewrite_answer;
use trunkline_wire::error::{ErrorType, PreviousError};
use trunkline_wire::request::{Peek, Rewrite};

use crate::admission::Permit;
use crate::auth::KeyPermit;
use crate::ledger::{Attempt, Counted, OpenRecord, millis};
use crate::load::{InFlight, ModelShare};
use crate::pipeline::Router;
use crate::rejection::{self, Rejection, reject};
use crate::relay::{Relay, Terms, cost_details, token_counts, usage_out};
use crate::telemetry::Retry;
use crate::view::{Lane, View};

/// Bounds of the first-content deadline where the policy does not set it: three times the measured p99.
const FIRST_CONTENT_MS: (u64, u64) = (10_000, 120_000);
/// Bounds of the stall deadline where the policy does not set it: ten times the measured p99.
const STALL_MS: (u64, u64) = (15_000, 60_000);
/// How long a further try waits for room in the retry budget: a few times to the first token, so that the
/// calls of a dead provider are spread, not lost. After that the original error stands.
const RETRY_BUDGET_WAIT: Duration = Duration::from_secs(5);
/// Held before the first content: a provider needs a role and perhaps some empty deltas, not more.
const MAX_HELD_BEFORE_CONTENT: usize = 256 << 10;
/// Held for assured delivery: about two million tokens of stream.
const MAX_HELD_ASSURED: usize = 32 << 20;

/// How an answer is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// In one piece: the caller asked for no stream.
    Whole,
    /// As a stream, from its first content on.
    AtFirstContent,
    /// As a stream, once it is complete.
    WhenComplete,
}

/// What a course ends with when it succeeds.
pub enum Delivery {
    /// The answer.
    Whole(Bytes),
    /// The stream, committed.
    Stream(Box<Relay>),
}

/// One call on its way through its plan.
pub struct Course {
    /// The process.
    pub router: Arc<Router>,
    /// What the call is served from.
    pub view: Arc<View>,
    /// Where it may go, in order.
    pub plan: Arc<Plan>,
    /// Its seed.
    pub seed: u64,
    /// The request.
    pub peek: Peek,
    /// How the answer is released.
    pub release: Release,
    /// Its deadlines.
    pub timeouts: Timeouts,
    /// When it must end.
    pub deadline: Instant,
    /// The lower bound of its prompt tokens.
    pub input_tokens: u64,
    /// Its record.
    pub record: OpenRecord,
    /// Its places among the calls at once.
    pub permits: Permits,
}

/// A call's places among the calls at once: the router's, the key's and the model's.
pub struct Permits {
    /// The router's.
    pub router: Permit,
    /// The key's.
    pub key: KeyPermit,
    /// The model's.
    pub model: Option<ModelShare>,
}

/// What a call holds of an endpoint while it is served there.
pub struct Held {
    /// The view it is served from.
    pub view: Arc<View>,
    /// Position in the snapshot's endpoints.
    pub endpoint: usize,
    /// Which credential is used.
    pub credential: usize,
    router: Arc<Router>,
    _in_flight: InFlight,
    _retry: Option<ModelShare>,
    _permits: Option<Permits>,
}

impl Held {
    fn lane(&self) -> Option<&Lane> {
        self.view.lanes.get(self.endpoint)
    }

    /// The try ended well.
    pub fn succeeded(&self) {
        if let Some(lane) = self.lane() {
            lane.load.succeeded(self.router.clock.now_ms());
            lane.meter.succeeded();
        }
    }

    /// The try failed: whoever pays by the failure table pays.
    pub fn failed(&self, failed: &Failed) {
        if let Some(lane) = self.lane() {
            lane.load.failed(&failed.failure, self.credential, self.router.clock.now_ms());
            lane.meter.failed(failed.failure.kind);
        }
    }
}

/// Where the loop stands.
struct Place {
    turn: usize,
    credential: Option<usize>,
    credentials_tried: usize,
    again: Again,
    retry: Option<ModelShare>,
}

impl Course {
    /// Tries turn after turn until one delivers or nothing is left. Closes the record unless a stream takes
    /// it along.
    ///
    /// # Errors
    /// What the caller sees when nothing is left.
    pub async fn run(mut self) -> Result<Delivery, Rejection> {
        let mut place = Place {
            turn: 0,
            credential: None,
            credentials_tried: 0,
            again: Again::Unused,
            retry: None,
        };
        let mut previous = Vec::new();
        loop {
            let Some(turn) = self.admitted_turn(&mut place) else {
                let rejection = self.all_ejected();
                return Err(self.give_up(rejection));
            };
            let failed = match self.try_turn(turn, &mut place).await {
                Ok(Yield::Whole(body, held)) => return Ok(self.deliver_whole(body, &held)),
                Ok(Yield::Stream(stream, held)) => return Ok(self.deliver_stream(stream, held)),
                Err(failed) => failed,
            };
            if let Some(why) = self.step_on(&failed, &mut place).await {
                let provider = self.provider_at(turn);
                let mut body = rejection::after_failure(&failed, provider, why);
                body.previous_errors = previous;
                return Err(self.give_up(body));
            }
            previous.push(self.previous_error(turn, &failed));
        }
    }

    /// The turn at hand, or the next one whose endpoint this router's breaker lets a call to.
    fn admitted_turn(&self, place: &mut Place) -> Option<Turn> {
        let now = self.router.clock.now_ms();
        while let Some(turn) = self.plan.turns.get(place.turn) {
            let lane = self.view.lanes.get(turn.endpoint)?;
            let admitted = match lane.load.admission(now) {
                Admission::Admitted | Admission::Cooling => true,
                Admission::Trial => lane.load.take_trial(now),
                Admission::Ejected => {
                    turn.reason == Reason::LastDitch && lane.load.in_flight() == 0
                }
            };
            if admitted {
                if turn.reason == Reason::LastDitch {
                    self.router.telemetry.panicked();
                }
                return Some(*turn);
            }
            place.turn += 1;
        }
        None
    }

    async fn try_turn(&mut self, turn: Turn, place: &mut Place) -> Result<Yield, Failed> {
        let now = self.router.clock.now_ms();
        let lane = self.view.lanes.get(turn.endpoint);
        let found = lane.and_then(|lane| lane.target.clone().map(|target| (lane, target)));
        let Some((lane, target)) = found else {
            return Err(Failed::new(FailureKind::Local, "this endpoint is not set up"));
        };
        let credential = place
            .credential
            .take()
            .or_else(|| lane.load.free_credential(lane.credentials, now))
            .unwrap_or(0);
        place.credentials_tried = place.credentials_tried.max(credential + 1);
        let held = Held {
            view: Arc::clone(&self.view),
            endpoint: turn.endpoint,
            credential,
            router: Arc::clone(&self.router),
            _in_flight: InFlight::begin(&lane.load),
            _retry: place.retry.take(),
            _permits: None,
        };
        let dropped = self.unsupported(turn.endpoint);
        let body = self.body_for(&target, &dropped);
        let began = Instant::now();
        self.begin_attempt(&turn, credential, began, dropped);
        let call = Call {
            target: &target,
            operation: self.peek.operation,
            credential,
            body,
            created: crate::ledger::unix_ms() / 1000,
        };
        let tried = self.ask(turn.endpoint, call, began).await;
        self.end_attempt(began, tried.as_ref().err());
        match tried {
            Ok(Asked::Whole(whole)) => Ok(Yield::Whole(whole, held)),
            Ok(Asked::Stream(stream)) => {
                if let Some(lane) = held.lane() {
                    lane.meter.first_content(began.elapsed().as_secs_f64());
                }
                Ok(Yield::Stream(stream, held))
            }
            Err(failed) => {
                held.failed(&failed);
                Err(failed)
            }
        }
    }

    async fn ask(&self, endpoint: usize, call: Call<'_>, began: Instant) -> Result<Asked, Failed> {
        let transport = &self.router.transport;
        if self.release == Release::Whole {
            let by = began + Duration::from_millis(self.timeouts.answer_ms);
            let whole =
                self.within(by, FailureKind::FirstContentTimeout, transport.whole(call)).await?;
            return Ok(Asked::Whole(whole));
        }
        let numbers =
            self.view.snapshot.endpoints.get(endpoint).map(|s| s.numbers).unwrap_or_default();
        let by = began + first_content(&self.timeouts, &numbers);
        let kind = FailureKind::FirstContentTimeout;
        let mut source = self.within(by, kind, transport.stream(call)).await?;
        let mut held = HeldBack::default();
        while !source.has_content() && !source.finished() {
            let item = self.within(by, kind, source.next()).await?;
            if held.take(item, MAX_HELD_BEFORE_CONTENT)? {
                return Ok(Asked::Stream(Stream { waiting: held.chunks, source: None }));
            }
        }
        if self.release == Release::WhenComplete {
            let stall = stall(&self.timeouts, &numbers);
            loop {
                let item =
                    self.within(Instant::now() + stall, FailureKind::Stall, source.next()).await?;
                if held.take(item, MAX_HELD_ASSURED)? {
                    return Ok(Asked::Stream(Stream { waiting: held.chunks, source: None }));
                }
            }
        }
        Ok(Asked::Stream(Stream { waiting: held.chunks, source: Some(source) }))
    }

    /// Bounds a wait by its own deadline and by the call's; the earlier one names the failure.
    async fn within<T>(
        &self,
        by: Instant,
        kind: FailureKind,
        work: impl Future<Output = Result<T, Failed>>,
    ) -> Result<T, Failed> {
        match timeout_at(by.min(self.deadline).into(), work).await {
            Ok(done) => done,
            Err(_) if self.deadline <= by => {
                Err(Failed::new(FailureKind::Deadline, "the call's deadline passed"))
            }
            Err(_) => Err(Failed::new(kind, "the provider did not answer in time")),
        }
    }

    /// Moves to the next place; the reason when there is none.
    async fn step_on(&self, failed: &Failed, place: &mut Place) -> Option<GiveUp> {
        let telemetry = &self.router.telemetry;
        let mut step = retry::after(&failed.failure, &self.tried(place, RetryBudget::Left));
        if !matches!(step, Step::GiveUp(_)) {
            place.retry = self.retry_share(place).await;
            if place.retry.is_none() {
                step = retry::after(&failed.failure, &self.tried(place, RetryBudget::Exhausted));
            }
        }
        match step {
            Step::Turn(turn) => {
                let stage = |at: usize| self.plan.turns.get(at).map(|t| t.stage);
                if stage(turn) != stage(place.turn) {
                    place.again = Again::Unused;
                }
                place.turn = turn;
                place.credentials_tried = 0;
                telemetry.retried(Retry::Turn);
                None
            }
            Step::Credential(credential) => {
                place.credential = Some(credential);
                telemetry.retried(Retry::Credential);
                None
            }
            Step::Again { after_ms } => {
                place.again = Again::Used;
                tokio::time::sleep(Duration::from_millis(after_ms)).await;
                telemetry.retried(Retry::Again);
                None
            }
            Step::GiveUp(why) => {
                if why == GiveUp::RetryBudget {
                    telemetry.retry_budget_exhausted();
                }
                Some(why)
            }
        }
    }

    fn tried(&self, place: &Place, retry_budget: RetryBudget) -> Tried<'_> {
        Tried {
            plan: &self.plan,
            snapshot: &self.view.snapshot,
            turn: place.turn,
            credentials_tried: place.credentials_tried,
            again_used: place.again,
            released: Released::Nothing,
            retry_budget,
            remaining_ms: millis(self.deadline.saturating_duration_since(Instant::now())),
            seed: self.seed,
        }
    }

    /// A share of the model's retry budget, waited for if need be.
    async fn retry_share(&self, place: &Place) -> Option<ModelShare> {
        let rules = &self.view.snapshot.policy.retry;
        let turn = self.plan.turns.get(place.turn)?;
        let model = &self.view.snapshot.endpoints.get(turn.endpoint)?.endpoint.model;
        let load = self.view.model_load(model)?;
        let until = self.deadline.min(Instant::now() + RETRY_BUDGET_WAIT);
        load.retry_by(rules.budget_percent, rules.budget_floor, until).await
    }

    /// Parameters of the request that the endpoint does not support.
    fn unsupported(&self, endpoint: usize) -> Vec<&'static str> {
        let Some(state) = self.view.snapshot.endpoints.get(endpoint) else { return Vec::new() };
        let honoured = &state.endpoint.parameters;
        if honoured.is_empty() {
            return Vec::new();
        }
        self.peek.parameters.names().filter(|name| !honoured.iter().any(|h| h == name)).collect()
    }

    fn body_for(&self, target: &Target, drop: &[&str]) -> Bytes {
        self.peek.rewrite(&Rewrite {
            model: &target.upstream_model,
            ask_usage: self.peek.stream,
            drop,
        })
    }

    fn begin_attempt(
        &mut self,
        turn: &Turn,
        credential: usize,
        began: Instant,
        dropped: Vec<&'static str>,
    ) {
        let endpoint = turn.endpoint;
        self.record.write(|r| {
            let began_ms = millis(began.saturating_duration_since(r.arrived));
            let (took_ms, failure, status) = (0, None, None);
            r.attempts.push(Attempt {
                endpoint,
                credential,
                began_ms,
                took_ms,
                failure,
                status,
                dropped,
            });
        });
    }

    fn end_attempt(&mut self, began: Instant, failed: Option<&Failed>) {
        self.record.write(|r| {
            if let Some(attempt) = r.attempts.last_mut() {
                attempt.took_ms = millis(began.elapsed());
                attempt.failure = failed.map(|f| f.failure.kind);
                attempt.status = failed.and_then(|f| f.failure.status);
            }
        });
    }

    fn deliver_whole(mut self, whole: Whole, held: &Held) -> Delivery {
        held.succeeded();
        let (tokens, counted) = match whole.scan.usage {
            Some(usage) => (token_counts(usage), Counted::Provider),
            None => {
                // About four bytes of JSON a token: a rough count beats none.
                let (input, output) = (self.input_tokens, whole.body.len() as u64 / 4);
                (
                    trunkline_core::usage::TokenCounts { input, output, ..Default::default() },
                    Counted::Estimate,
                )
            }
        };
        let mut settlement = None;
        self.record.write(|r| settlement = r.settle(tokens, counted));
        let model = self.model_at(held.endpoint);
        let body = match settlement {
            Some(settlement) => {
                let details = cost_details(&settlement);
                rewrite_answer(&whole.body, &whole.scan, model, &usage_out(&settlement, &details))
            }
            None => whole.body,
        };
        self.record.completed();
        Delivery::Whole(body)
    }

    fn deliver_stream(self, stream: Stream, mut held: Held) -> Delivery {
        let numbers =
            self.view.snapshot.endpoints.get(held.endpoint).map(|s| s.numbers).unwrap_or_default();
        let lane = self.view.lanes.get(held.endpoint);
        let upstream_model = lane.and_then(|l| l.target.as_ref()).map(|t| t.upstream_model.clone());
        let terms = Terms {
            stall: stall(&self.timeouts, &numbers),
            keep_alive: Duration::from_millis(self.timeouts.keep_alive_ms),
            deadline: self.deadline,
            include_usage: self.peek.include_usage,
            model: self.model_at(held.endpoint).to_owned(),
            upstream_model: upstream_model.unwrap_or_default(),
            input_tokens: self.input_tokens,
        };
        held._permits = Some(self.permits);
        Delivery::Stream(Box::new(Relay::new(
            stream.waiting,
            stream.source,
            terms,
            self.record,
            held,
        )))
    }

    fn give_up(mut self, mut body: Rejection) -> Rejection {
        self.record.write(|r| body.attempts = u32::try_from(r.attempts.len()).ok());
        self.record.failed(body.error_type);
        body
    }

    fn all_ejected(&self) -> Rejection {
        let model = &self.peek.model;
        let message =
            format!("no provider of {model} is working at the moment, and one is being tried");
        let mut body = reject(ErrorType::ProviderUnavailable, message);
        body.availability = Some(trunkline_wire::error::Availability {
            code: "ejected".to_owned(),
            retryable: true,
            retry_after_ms: Some(1_000),
            excluded_by: Vec::new(),
            affected_providers: Vec::new(),
        });
        body
    }

    fn previous_error(&self, turn: Turn, failed: &Failed) -> PreviousError {
        PreviousError {
            provider: self.provider_at(turn).to_owned(),
            code: failed.failure.kind.as_str().to_owned(),
            status: failed.failure.status,
        }
    }

    fn provider_at(&self, turn: Turn) -> &str {
        let state = self.view.snapshot.endpoints.get(turn.endpoint);
        state.map_or("", |s| s.endpoint.provider.as_str())
    }

    fn model_at(&self, endpoint: usize) -> &str {
        self.view.snapshot.endpoints.get(endpoint).map_or("", |s| s.endpoint.model.as_str())
    }
}

/// What an endpoint gave.
enum Asked {
    Whole(Whole),
    Stream(Stream),
}

/// What a turn gave, and what the call holds of its endpoint.
enum Yield {
    Whole(Whole, Held),
    Stream(Stream, Held),
}

/// A committed stream: what came so far, and where the rest comes from.
struct Stream {
    waiting: VecDeque<Chunk>,
    source: Option<EventStream>,
}

/// Chunks held back until they may be released.
#[derive(Default)]
struct HeldBack {
    chunks: VecDeque<Chunk>,
    bytes: usize,
}

impl HeldBack {
    /// Takes an item; `true` when the stream is complete.
    fn take(&mut self, item: Item, limit: usize) -> Result<bool, Failed> {
        match item {
            Item::Chunk(chunk) => {
                self.bytes += chunk.raw.len();
                self.chunks.push_back(chunk);
                if self.bytes > limit {
                    let message = "more came than can be held back before it is released";
                    return Err(Failed::new(FailureKind::TooLarge, message));
                }
                Ok(false)
            }
            Item::Comment => Ok(false),
            Item::End => Ok(true),
        }
    }
}

fn first_content(timeouts: &Timeouts, numbers: &Numbers) -> Duration {
    let (least, most) = FIRST_CONTENT_MS;
    let measured = numbers.ttft_p99_ms.map_or(least, |p99| (3 * u64::from(p99)).clamp(least, most));
    Duration::from_millis(timeouts.first_content_ms.unwrap_or(measured))
}

fn stall(timeouts: &Timeouts, numbers: &Numbers) -> Duration {
    let (least, most) = STALL_MS;
    let measured =
        numbers.inter_token_p99_ms.map_or(least, |p99| (10 * u64::from(p99)).clamp(least, most));
    Duration::from_millis(timeouts.stall_ms.unwrap_or(measured))
}
