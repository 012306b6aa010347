//! One call, top to bottom. HTTP and gRPC, streamed and whole, all come through [`run`].

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::HeaderValue;
use tokio::sync::oneshot;
use trunkline_core::breaker::Admission as Breaker;
use trunkline_core::facts::Facts;
use trunkline_core::id::ProviderId;
use trunkline_core::plan::{self, Plan};
use trunkline_upstream::Transport;
use trunkline_wire::operation::Operation;
use trunkline_wire::request::{Delivery as Asked, Peek};

use crate::admission::Admission;
use crate::attempt::{Course, Delivery, Permits, Release};
use crate::auth::{KeyHolder, KeyPermit};
use crate::canary::{Caller, Decided};
use crate::evidence::Board;
use crate::facts::facts_of;
use crate::generations::Generations;
use crate::heard::Heard;
use crate::ledger::{Decision, Ledger, OpenRecord};
use crate::load::Clock;
use crate::rejection::{self, Rejection};
use crate::settings::Settings;
use crate::spending::Accounts;
use crate::streaming::Streaming;
use crate::telemetry::Telemetry;
use crate::view::View;

/// What every call of this process shares.
pub struct Router {
    /// The view in force.
    pub view: ArcSwap<View>,
    /// The connections to providers.
    pub transport: Transport,
    /// The records.
    pub ledger: Arc<Ledger>,
    /// Recent records.
    pub generations: Arc<Generations>,
    /// The metrics.
    pub telemetry: Arc<Telemetry>,
    /// The bound on calls at once.
    pub admission: Arc<Admission>,
    /// What probers are told of live calls.
    pub evidence: Board,
    /// The time.
    pub clock: Clock,
    /// What was last heard of the store.
    pub heard: Heard,
    /// What keys with a limit have spent.
    pub accounts: Arc<Accounts>,
    /// What of the configuration can change.
    pub settings: ArcSwap<Settings>,
}

/// A call as it came in.
pub struct Arrival {
    /// What it asks for.
    pub operation: Operation,
    /// Its body in the OpenAI-compatible dialect.
    pub body: Bytes,
    /// Its API key, as sent.
    pub credential: Option<HeaderValue>,
    /// Where it was sent from.
    pub peer: IpAddr,
    /// The session it belongs to, from a header.
    pub session: Option<String>,
    /// The caller's tags, from a header.
    pub tags: Vec<(String, String)>,
    /// How long the caller will wait.
    pub timeout: Option<Duration>,
    /// Which policy decides, where a canary runs.
    pub decided: Decided,
    /// Who is told of the decision, if anybody asked to be.
    pub explain: Option<oneshot::Sender<Decision>>,
}

/// The answer to a call.
pub enum Answer {
    /// In one piece, and from whom.
    Whole(Bytes, ProviderId),
    /// As a stream.
    Stream(Box<Streaming>),
}

/// Serves one call. The record was opened when the call arrived, and is closed exactly once, whatever
/// happens: at the end of the answer, on an error, or when the caller leaves.
///
/// # Errors
/// What the caller sees instead of an answer.
pub async fn run(
    router: &Arc<Router>,
    arrival: Arrival,
    mut record: OpenRecord,
) -> Result<Answer, Rejection> {
    let course = match prepare(router, arrival, &mut record) {
        Ok(prepared) => prepared.into_course(router, record),
        Err(rejection) => {
            record.failed(rejection.error_type);
            return Err(rejection);
        }
    };
    deliver(course).await
}

/// Everything before the first try: authenticate → parse → side → admit → snapshot → filters and plan.
fn prepare(
    router: &Router,
    arrival: Arrival,
    record: &mut OpenRecord,
) -> Result<Prepared, Rejection> {
    let view = router.view.load_full();
    let holder = view.keyring.authenticate(arrival.credential.as_ref(), arrival.peer)?;
    record.write(|r| r.key = Some(Arc::clone(&holder)));
    let peek = Peek::parse(arrival.operation, arrival.body).map_err(|bad| Box::new(bad.into()))?;
    let caller = Caller {
        key: holder.tenant.key.as_str(),
        session: arrival.session.as_deref().or(peek.session_id.as_deref()),
        user: peek.user.as_deref(),
    };
    let view = on_its_side(view, &caller, &arrival.decided, record);
    note_request(record, &peek, arrival.tags, &view);
    let most = router.settings.load().concurrency;
    let (router_permit, key_permit) = (router.admission.admit(most)?, KeyPermit::admit(&holder)?);
    let facts = facts_of(&peek, &view.snapshot, &holder.tenant, arrival.session.as_deref())?;
    let seed = router.ledger.seed();
    let now = Instant::now();
    let plan = Arc::new(draw(&view, &holder, &facts, seed, router.clock.at(now)));
    let model = facts.models.first().and_then(|m| view.model_load(m));
    let input_tokens = facts.input_tokens;
    let decision = Decision { view: Arc::clone(&view), plan: Arc::clone(&plan), seed, facts };
    if let Some(tell) = arrival.explain {
        // Whoever asked may have left.
        let _ = tell.send(decision.clone());
    }
    record.write(|r| r.decision = Some(decision));
    if plan.turns.is_empty() {
        return Err(why_no_turn(router, &view, &plan, &peek.model));
    }
    let model = model.map(|load| load.begin_call());
    let permits = Permits { router: router_permit, key: key_permit, model };
    let timeout = arrival.timeout;
    Ok(Prepared { view, plan, seed, began: now, peek, permits, input_tokens, timeout })
}

/// The view of the policy that decides over a call: the one in force, but for a canary's share.
fn on_its_side(
    view: Arc<View>,
    caller: &Caller<'_>,
    decided: &Decided,
    record: &mut OpenRecord,
) -> Arc<View> {
    let generation = record.read(|r| r.generation).unwrap_or_default();
    let (view, counted) = decided.side_of(view, caller, generation);
    if counted.is_some() {
        record.write(|r| r.counted = counted);
    }
    view
}

/// Draws the plan of a call: pure, but for reading the local layer.
pub fn draw(view: &View, holder: &KeyHolder, facts: &Facts, seed: u64, now_ms: u64) -> Plan {
    let local = view.local(now_ms);
    plan::draw(&view.snapshot, &holder.tenant, facts, &local, seed)
}

/// Attempts, then relay. A stream that is not committed in time is handed out undecided: its caller gets
/// headers and comments while the attempts go on.
async fn deliver(course: Box<Course>) -> Result<Answer, Rejection> {
    let whole = course.release == Release::Whole;
    let commit_after = Duration::from_millis(course.timeouts.commit_after_ms);
    let keep_alive = Duration::from_millis(course.timeouts.keep_alive_ms);
    let model = if whole { String::new() } else { course.peek.model.clone() };
    let mut deciding = Box::pin(course.run());
    let decided = if whole {
        deciding.await?
    } else {
        match tokio::time::timeout(commit_after, &mut deciding).await {
            Ok(decided) => decided?,
            Err(_) => {
                let undecided = Streaming::deciding(deciding, keep_alive, model);
                return Ok(Answer::Stream(Box::new(undecided)));
            }
        }
    };
    Ok(match decided {
        Delivery::Whole(body, from) => Answer::Whole(body, from),
        Delivery::Stream(relay) => Answer::Stream(Box::new(Streaming::committed(relay))),
    })
}

/// A call that may be tried.
struct Prepared {
    view: Arc<View>,
    plan: Arc<Plan>,
    seed: u64,
    began: Instant,
    peek: Peek,
    permits: Permits,
    input_tokens: u64,
    timeout: Option<Duration>,
}

impl Prepared {
    fn into_course(self, router: &Arc<Router>, record: OpenRecord) -> Box<Course> {
        let timeouts = self.view.snapshot.timeouts(&self.peek.model);
        let total = Duration::from_millis(timeouts.total_ms);
        let patience = self.timeout.map_or(total, |asked| asked.min(total));
        let assured =
            self.peek.delivery == Some(Asked::Assured) || self.view.snapshot.policy.retry.assured;
        let release = match (self.peek.stream, assured) {
            (false, _) => Release::Whole,
            (true, false) => Release::AtFirstContent,
            (true, true) => Release::WhenComplete,
        };
        Box::new(Course {
            router: Arc::clone(router),
            view: self.view,
            plan: self.plan,
            seed: self.seed,
            peek: self.peek,
            release,
            timeouts,
            deadline: self.began + patience,
            input_tokens: self.input_tokens,
            record,
            permits: self.permits,
        })
    }
}

fn note_request(record: &mut OpenRecord, peek: &Peek, tags: Vec<(String, String)>, view: &View) {
    let allowed = &view.snapshot.policy.tags;
    let tags = tags.into_iter().chain(peek.metadata.iter().cloned());
    let tags = tags.filter(|(name, _)| allowed.contains(name)).collect();
    record.write(|r| {
        r.model.clone_from(&peek.model);
        r.stream = peek.stream;
        r.images = peek.images as u64;
        r.user.clone_from(&peek.user);
        r.tags = tags;
    });
}

/// Why a plan has no turn: nothing is allowed, or what is allowed rests.
fn why_no_turn(router: &Router, view: &View, plan: &Plan, model: &str) -> Rejection {
    let resting = plan.candidates.iter().filter(|c| c.excluded.is_none());
    let lanes: Vec<_> = resting
        .filter(|c| c.load.admission == Breaker::Cooling)
        .filter_map(|c| view.lanes.get(c.endpoint).zip(view.snapshot.endpoints.get(c.endpoint)))
        .collect();
    if lanes.is_empty() {
        let exclusions: Vec<_> = plan.candidates.iter().filter_map(|c| c.excluded).collect();
        return rejection::nothing_allowed(model, &exclusions);
    }
    let now = router.clock.now_ms();
    let rests: Vec<_> =
        lanes.iter().filter_map(|(lane, _)| lane.load.rest_of(lane.credentials)).collect();
    let providers = lanes.iter().map(|(_, state)| state.endpoint.provider.to_string()).collect();
    rejection::all_resting(model, &rests, now, providers)
}
