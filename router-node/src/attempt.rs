//! The attempt loop: the only place where a call is tried at providers, whether it is streamed or whole, came
//! by HTTP or gRPC, is released at its first content or held back until it is complete.

mod ask;
mod deliver;
mod held;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use trunkline_core::breaker::Admission;
use trunkline_core::failure::FailureKind;
use trunkline_core::id::ProviderId;
use trunkline_core::plan::{Plan, Reason, Turn};
use trunkline_core::policy::Timeouts;
use trunkline_core::retry::{self, Again, GiveUp, Released, RetryBudget, Step, Tried};
use trunkline_upstream::{Call, Failed, Target, TraceHeaders, Whole};
use trunkline_wire::error::{ErrorType, PreviousError};
use trunkline_wire::request::{Peek, Rewrite};

use crate::ledger::{Attempt, OpenRecord, millis};
use crate::load::{InFlight, ModelShare, Trial};
use crate::pipeline::Router;
use crate::rejection::{self, Rejection, reject};
use crate::relay::Relay;
use crate::telemetry::Retry;
use crate::traces;
use crate::view::View;

use ask::{Asked, Stream};

pub use held::{Held, Permits};

/// How long a further try waits for room in the retry budget: as long as an ordinary whole answer takes, for
/// that is how long another call's further try may hold its place. After that the original error stands.
const RETRY_BUDGET_WAIT: Duration = Duration::from_secs(30);

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
    /// The answer, and who gave it.
    Whole(Bytes, ProviderId),
    /// The stream, committed.
    Stream(Box<Relay>),
}

/// One call on its way through its plan. It is large, so it stays in its box.
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

/// Where the loop stands.
struct Place {
    turn: usize,
    credential: Option<usize>,
    credentials_tried: usize,
    again: Again,
    retry: Option<ModelShare>,
    trial: Option<Trial>,
}

impl Course {
    /// Tries turn after turn until one delivers or nothing is left. Closes the record unless a stream takes
    /// it along.
    ///
    /// # Errors
    /// What the caller sees when nothing is left.
    pub async fn run(mut self: Box<Self>) -> Result<Delivery, Rejection> {
        let mut place = Place {
            turn: 0,
            credential: None,
            credentials_tried: 0,
            again: Again::Unused,
            retry: None,
            trial: None,
        };
        let mut previous = Vec::new();
        loop {
            let now = Instant::now();
            let Some(turn) = self.admitted_turn(&mut place, now) else {
                let rejection = self.all_ejected();
                return Err(self.give_up(rejection));
            };
            let failed = match self.try_turn(turn, &mut place, now).await {
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
    fn admitted_turn(&self, place: &mut Place, now: Instant) -> Option<Turn> {
        let now = self.router.clock.at(now);
        while let Some(turn) = self.plan.turns.get(place.turn) {
            let lane = self.view.lanes.get(turn.endpoint)?;
            let admitted = match lane.load.admission(now) {
                Admission::Admitted | Admission::Cooling => true,
                Admission::Trial => {
                    place.trial = Trial::take(&lane.load, now);
                    place.trial.is_some()
                }
                Admission::Ejected => match turn.reason {
                    Reason::LastDitch => lane.load.in_flight() == 0,
                    // Another call was quicker to take the trial; where there is no other turn, both are.
                    Reason::Trial => place.turn + 1 == self.plan.turns.len(),
                    _ => false,
                },
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

    async fn try_turn(
        &mut self,
        turn: Turn,
        place: &mut Place,
        began: Instant,
    ) -> Result<Yield, Failed> {
        let now = self.router.clock.at(began);
        let trial = place.trial.take();
        let lane = self.view.lanes.get(turn.endpoint).cloned();
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
            _trial: trial,
            _permits: None,
        };
        let dropped = self.unsupported(turn.endpoint);
        let body = self.body_for(&target, &dropped);
        self.begin_attempt(&turn, credential, began, dropped);
        let call = Call {
            target: &target,
            operation: self.peek.operation,
            credential,
            body,
            created: self.record.read(|r| r.arrived_unix_ms / 1000).unwrap_or_default(),
            room: &lane.load.outcomes.room,
            trace: self.trace_for(&target),
        };
        let tried = self.ask(turn.endpoint, call, began).await;
        let ended = Instant::now();
        let took = ended.saturating_duration_since(began);
        self.end_attempt(took, tried.as_ref().err());
        match tried {
            Ok(Asked::Whole(whole)) => {
                held.succeeded(ended);
                Ok(Yield::Whole(whole, held))
            }
            Ok(Asked::Stream(stream)) => {
                lane.meter.first_content(took.as_secs_f64());
                lane.load.outcomes.first_content(took);
                Ok(Yield::Stream(stream, held))
            }
            Err(failed) => {
                held.failed(&failed);
                Err(failed)
            }
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

    /// What the provider is told of the call's trace.
    fn trace_for(&self, target: &Target) -> Option<Box<TraceHeaders>> {
        target
            .propagate_trace
            .then(|| self.record.read(traces::headers_of).flatten())?
            .map(Box::new)
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
            // Most calls have one: the record is kept.
            r.attempts.reserve_exact(1);
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

    fn end_attempt(&mut self, took: Duration, failed: Option<&Failed>) {
        self.record.write(|r| {
            if let Some(attempt) = r.attempts.last_mut() {
                attempt.took_ms = millis(took);
                attempt.failure = failed.map(|f| f.failure.kind);
                attempt.status = failed.and_then(|f| f.failure.status);
            }
        });
    }

    fn give_up(mut self: Box<Self>, mut body: Rejection) -> Rejection {
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

/// What a turn gave, and what the call holds of its endpoint.
enum Yield {
    Whole(Whole, Held),
    Stream(Stream, Held),
}
