//! The life of one request: read it, log it, pick its fault, answer it, ruin the answer, play it.
//! Control requests branch off to `control.rs` at the door.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::time::Instant;

use crate::answer::answer;
use crate::ask::{Ask, Dialect, read_ask};
use crate::conn::Switch;
use crate::fault::Fault;
use crate::line::Line;
use crate::log::{Arrival, Ending, RequestLog, api_key};
use crate::pace::paced;
use crate::play::{CutOff, Playing, Reported, Witness, open};
use crate::profile::{ModelList, Profile, SimConfig};
use crate::refusal::{Refusal, request_id};
use crate::rules::{Met, Rules};
use crate::sabotage::{Delivery, Scene, ruin_answer, ruin_script};
use crate::script::Script;
use crate::{anthropic, control, openai};

/// The largest request body: a little more than any real provider takes.
const BODY_BYTES_MAX: usize = 64 << 20;

/// All that requests share.
pub struct World {
    /// The gate and the connections.
    pub line: Line,
    /// What was asked so far.
    pub log: Arc<RequestLog>,
    /// The faults that are set.
    pub rules: Mutex<Rules>,
    /// Speed, length and price.
    pub profile: RwLock<Arc<Profile>>,
    models: ModelList,
    api_keys: Vec<String>,
    in_flight: Arc<AtomicU32>,
}

impl World {
    /// A world without faults on this line.
    #[must_use]
    pub fn new(line: Line, config: SimConfig) -> Self {
        Self {
            line,
            log: Arc::new(RequestLog::new()),
            rules: Mutex::default(),
            profile: RwLock::new(Arc::new(config.profile)),
            models: config.models,
            api_keys: config.api_keys,
            in_flight: Arc::default(),
        }
    }

    /// The profile of this moment.
    #[must_use]
    pub fn profile(&self) -> Arc<Profile> {
        self.profile.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts an outage, or adds the rule for the requests to come.
    pub fn set_fault(&self, rule: crate::fault::FaultRule) {
        if let Fault::Refuse { for_ms } = rule.fault {
            self.line.refuse(for_ms);
        } else if let Fault::Flap { up_ms, down_ms } = rule.fault {
            self.line.flap(up_ms, down_ms);
        } else {
            self.rules.lock().unwrap_or_else(PoisonError::into_inner).set(rule);
        }
    }
}

/// One request after it was read.
struct Call {
    /// Its number in the log; 0 until it is logged.
    id: u64,
    method: Method,
    path: String,
    headers: HeaderMap,
    dialect: Dialect,
    bytes: Bytes,
    /// None when the body is not JSON.
    body: Option<Value>,
    delivery: Delivery,
}

/// Answers one request.
///
/// # Errors
/// [`CutOff`] when the connection has to be dropped instead.
pub async fn serve(
    request: Request<Incoming>,
    world: Arc<World>,
    switch: Arc<Switch>,
) -> Result<Response<Playing>, CutOff> {
    let (head, incoming) = request.into_parts();
    let bytes = match Limited::new(incoming, BODY_BYTES_MAX).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(_) => return Err(CutOff),
    };
    if head.uri.path().starts_with("/_sim/") {
        switch.mark_control();
        let script = control::answer(&world, &head, &bytes);
        return Ok(control::response(script));
    }
    let mut call = read_call(head, bytes);
    call.id = world.log.arrived(arrival(&call));
    let mut witness = Witness {
        log: world.log.clone(),
        id: call.id,
        switch,
        planned: Ending::Completed,
        in_flight: Some(world.in_flight.clone()),
        reported: Reported::No,
    };
    let others = world.in_flight.fetch_add(1, Ordering::AcqRel);
    let met = meet(&world, &call, others);
    let script = script_of(&world, &call, &met);
    let script = met
        .headers
        .iter()
        .fold(script, |script, (name, value)| script.with_header(name.clone(), value));
    if met.fault.as_ref().is_some_and(|fault| !fault.only_delays()) {
        witness.planned = Ending::Faulted;
    }
    world.log.decided(call.id, script.status.as_u16(), met.fault.as_ref());
    open(script.opening, &mut witness).await?;
    Ok(respond(script, witness, &call, &world))
}

fn read_call(head: Parts, bytes: Bytes) -> Call {
    let body: Option<Value> = serde_json::from_slice(&bytes).ok();
    let dialect = match head.uri.path() {
        "/v1/chat/completions" => Dialect::Chat,
        "/v1/completions" => Dialect::Completion,
        "/v1/messages" => Dialect::Anthropic,
        _ => Dialect::Plain,
    };
    let streams = body.as_ref().and_then(|body| body.get("stream")) == Some(&Value::Bool(true));
    let delivery = match dialect {
        Dialect::Chat | Dialect::Completion | Dialect::Anthropic if streams => Delivery::Streamed,
        Dialect::Chat | Dialect::Completion | Dialect::Anthropic | Dialect::Plain => {
            Delivery::Whole
        }
    };
    Call {
        id: 0,
        method: head.method,
        path: head.uri.path().to_owned(),
        headers: head.headers,
        dialect,
        bytes,
        body,
        delivery,
    }
}

impl Call {
    fn model(&self) -> &str {
        self.body.as_ref().and_then(|body| body.get("model")).and_then(Value::as_str).unwrap_or("")
    }
}

fn arrival(call: &Call) -> Arrival {
    Arrival {
        method: call.method.to_string(),
        path: call.path.clone(),
        model: call.model().to_owned(),
        stream: call.delivery == Delivery::Streamed,
        body: call.bytes.clone(),
        headers: call.headers.clone(),
    }
}

/// What stands in the way of this request, `others` being served at the moment.
fn meet(world: &World, call: &Call, others: u32) -> Met {
    let profile = world.profile();
    if profile.concurrency_limit.is_some_and(|limit| others >= limit) {
        let refusal = Refusal::of_status(profile.over_limit_status)
            .with_header(header::RETRY_AFTER, "1".to_owned());
        return Met { refusal: Some(refusal), ..Met::default() };
    }
    let mut rules = world.rules.lock().unwrap_or_else(PoisonError::into_inner);
    let met = rules.meet(call.model(), &profile, Instant::now());
    drop(rules);
    if let Some(outage @ (Fault::Refuse { .. } | Fault::Flap { .. })) = &met.fault {
        // Only a model's name can bring these here: a rule starts them when it is set.
        world.set_fault(outage.clone().into());
    }
    met
}

/// The whole answer as a script, ruined by the fault that the request met.
fn script_of(world: &World, call: &Call, met: &Met) -> Script {
    let key = api_key(&call.headers).unwrap_or_default();
    let by_fault = || Refusal::of_fault(met.fault.as_ref()?, &call.bytes, &key);
    if let Some(refusal) = met.refusal.clone().or_else(by_fault) {
        return refusal.script(call.dialect, call.id);
    }
    healthy_or_refused(world, call, &key, met.fault.as_ref())
        .unwrap_or_else(|refusal| refusal.script(call.dialect, call.id))
}

fn healthy_or_refused(
    world: &World,
    call: &Call,
    key: &str,
    fault: Option<&Fault>,
) -> Result<Script, Refusal> {
    check_key(world, call, key)?;
    match (&call.method, call.path.as_str()) {
        (&Method::POST, "/v1/chat/completions" | "/v1/completions" | "/v1/messages") => {
            let ask =
                read_ask(call.dialect, json_body(call)?).map_err(|bad| Refusal::bad_ask(&bad))?;
            check_model(world, &ask.model)?;
            Ok(script_of_ask(&ask, &world.profile(), call.id, fault))
        }
        (&Method::POST, "/v1/embeddings") => {
            check_model(world, call.model())?;
            let made = openai::embeddings(json_body(call)?);
            let made =
                made.ok_or_else(|| Refusal::told(400, "'input' must be text or token ids."))?;
            Ok(plain(&made, call.id, fault))
        }
        (&Method::GET, "/v1/models") => Ok(plain(
            &openai::models(&world.models.listed(), &world.profile().name),
            call.id,
            fault,
        )),
        (&Method::GET, path) if path.starts_with("/v1/models/") => {
            // OpenAI's clients write the `/` of a model id as `%2F`.
            let id = percent_decoded(path.trim_start_matches("/v1/models/"));
            check_model(world, &id)?;
            Ok(plain(&openai::model(&id, &world.profile().name), call.id, fault))
        }
        (method, path) => {
            Err(Refusal::told(404, &format!("Unknown request URL: {method} {path}.")))
        }
    }
}

/// The text with its `%XX` escapes resolved; what is not an escape stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn check_key(world: &World, call: &Call, key: &str) -> Result<(), Refusal> {
    let known = world.api_keys.is_empty() || world.api_keys.iter().any(|known| known == key);
    let anthropic = call.dialect == Dialect::Anthropic;
    if !known || (anthropic && key.is_empty()) {
        return Err(Refusal::of_status(401));
    }
    if anthropic && !call.headers.contains_key("anthropic-version") {
        return Err(Refusal::told(400, "anthropic-version: header is required"));
    }
    Ok(())
}

fn check_model(world: &World, model: &str) -> Result<(), Refusal> {
    if world.models.offers(model) { Ok(()) } else { Err(Refusal::no_model(model)) }
}

fn json_body(call: &Call) -> Result<&Value, Refusal> {
    let told = "We could not parse the JSON body of your request.";
    call.body.as_ref().ok_or_else(|| Refusal::told(400, told))
}

fn script_of_ask(ask: &Ask, profile: &Profile, id: u64, fault: Option<&Fault>) -> Script {
    let mut made = answer(ask, profile.tokens);
    if let Some(fault) = fault {
        ruin_answer(&mut made, fault);
    }
    let anthropic = ask.dialect == Dialect::Anthropic;
    let delivery = if ask.stream { Delivery::Streamed } else { Delivery::Whole };
    let script = match delivery {
        Delivery::Streamed if anthropic => Script::events(anthropic::streamed(ask, &made, id)),
        Delivery::Streamed => Script::events(openai::streamed(ask, &made, id)),
        Delivery::Whole => {
            let whole = if anthropic { anthropic::whole } else { openai::whole };
            Script::json(StatusCode::OK, whole(ask, &made, id), made.completion_tokens())
        }
    };
    let script = paced(script, profile, delivery, id);
    let huge_event = |bytes: usize| {
        if anthropic { anthropic::huge_event(bytes) } else { openai::huge_event(ask, id, bytes) }
    };
    let scene = Scene { dialect: ask.dialect, id, delivery, huge_event: &huge_event };
    match fault {
        Some(fault) => ruin_script(script, fault, &scene),
        None => script,
    }
}

fn plain(body: &Value, id: u64, fault: Option<&Fault>) -> Script {
    let script = Script::json(StatusCode::OK, body.to_string().into_bytes(), 0);
    let scene = Scene {
        dialect: Dialect::Plain,
        id,
        delivery: Delivery::Whole,
        huge_event: &|bytes| vec![b' '; bytes].into(),
    };
    match fault {
        Some(fault) => ruin_script(script, fault, &scene),
        None => script,
    }
}

fn respond(script: Script, witness: Witness, call: &Call, world: &World) -> Response<Playing> {
    let id_header = match call.dialect {
        Dialect::Anthropic => HeaderName::from_static("request-id"),
        Dialect::Chat | Dialect::Completion | Dialect::Plain => {
            HeaderName::from_static("x-request-id")
        }
    };
    let script = script
        .with_header(id_header, &request_id(call.id))
        .with_header(HeaderName::from_static("x-sim-provider"), &world.profile().name);
    let mut response = Response::new(Playing::new(script.steps, witness));
    *response.status_mut() = script.status;
    *response.headers_mut() = script.headers;
    response
}
