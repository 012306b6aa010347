//! `router-node demo`: a scripted tour that checks what it shows. Exit code 0 when everything went as
//! promised.

mod client;

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use trunkline_proto::inference::v1::inference_service_client::InferenceServiceClient;
use trunkline_proto::inference::v1::{ChatRequest, Message, Role, message};
use trunkline_runtime::BoxError;

use crate::app::{Observability, Running};
use crate::config::{DemoArgs, Dev, LocalPorts, LogLevel};
use crate::dev::{self, DEV_KEY, Sims};
use client::Client;

/// The model of the tour.
const MODEL: &str = "sim/chat";
/// Calls that run while a provider is killed.
const CALLS: usize = 60;
/// Of them, this many at once.
const AT_ONCE: usize = 12;
/// The provider is killed when this many are done.
const KILL_AFTER: usize = 20;
/// How long the cluster may take to agree that a killed provider is down.
const DOWN_WITHIN: Duration = Duration::from_secs(20);
/// How long a revived provider may take to get weight again: its back-off is ten seconds.
const BACK_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks at the weights.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Runs the tour.
///
/// # Errors
/// The first thing that did not go as promised.
pub async fn run(_args: DemoArgs) -> Result<(), BoxError> {
    let dir = std::env::temp_dir().join(format!("trunkline-demo-{}", std::process::id()));
    let dev = Dev {
        ports: LocalPorts::any(),
        data_dir: dir.clone(),
        fresh: true,
        catalog: None,
        policy: None,
        log_level: LogLevel::Error,
        providers: Vec::new(),
    };
    let config = dev::config(&dev)?;
    let observability = Observability::start(&config)?;
    let sims = Sims::start().await?;
    let (running, _) = dev::start(&dev, &config, &sims, &observability).await?;
    let toured = tour(&running, &sims).await;
    running.shutdown.trigger();
    let ended = running.join().await;
    // What the tour kept is of no use to anybody.
    let _ = std::fs::remove_dir_all(dir);
    toured.and(ended)
}

async fn tour(running: &Running, sims: &Sims) -> Result<(), BoxError> {
    let client = Client::new(running.address, DEV_KEY);
    say(&format!("A router with three simulated providers runs on {}.", running.address));
    plain_call(&client).await?;
    streamed_call(&client).await?;
    grpc_call(running).await?;
    wait_for(&client, "every provider is measured", DOWN_WITHIN, |e| e.verdict == "up").await?;
    let before = show_weights(&client).await?;
    let generation = kill_under_load(&client, sims).await?;
    let down = |e: &Endpoint| e.provider != "sim-slow" || e.verdict == "down";
    wait_for(&client, "all three zones agree that sim-slow is down", DOWN_WITHIN, down).await?;
    show_weights(&client).await?;
    explain(&client, &generation).await?;
    sims.slow.revive()?;
    say("sim-slow is back.");
    let back = |e: &Endpoint| e.provider != "sim-slow" || e.weight_ppm > 0;
    wait_for(&client, "it gets weight again, step by step", BACK_WITHIN, back).await?;
    show_weights(&client).await?;
    promise(
        before.iter().any(|e| e.provider == "sim-slow" && e.weight_ppm > 0),
        "weights moved away and back",
    )
}

async fn plain_call(client: &Client) -> Result<(), BoxError> {
    let (status, answer, _) = client.post("/v1/chat/completions", &question(false)).await?;
    let answer: Value = serde_json::from_slice(&answer)?;
    promise(status == 200, &format!("a plain call is answered: {}", text_of(&answer)))?;
    let cost = answer.pointer("/usage/cost").ok_or("an answer without its cost")?;
    say(&format!("  it cost {cost} USD"));
    Ok(())
}

async fn streamed_call(client: &Client) -> Result<(), BoxError> {
    let (_, body, _) = client.post("/v1/chat/completions", &question(true)).await?;
    let body = String::from_utf8_lossy(&body);
    let chunks = body.matches("data: {").count();
    promise(
        body.ends_with("data: [DONE]\n\n"),
        &format!("a streamed call came in {chunks} chunks, and ended"),
    )
}

async fn grpc_call(running: &Running) -> Result<(), BoxError> {
    let address = format!("http://{}", running.address);
    let mut client = InferenceServiceClient::connect(address).await?;
    let mut request = tonic::Request::new(ChatRequest {
        model: MODEL.to_owned(),
        messages: vec![Message {
            role: Role::User.into(),
            body: Some(message::Body::Content("hello over gRPC".to_owned())),
            ..Message::default()
        }],
        ..ChatRequest::default()
    });
    request.metadata_mut().insert("authorization", format!("Bearer {DEV_KEY}").parse()?);
    let answer = client.chat(request).await?.into_inner();
    promise(!answer.choices.is_empty(), "the same by gRPC, on the same port")
}

/// Kills a provider while calls are under way. Every call must be answered; comes back with the generation
/// of one that needed a second try.
async fn kill_under_load(client: &Client, sims: &Sims) -> Result<String, BoxError> {
    say(&format!("{CALLS} calls, {AT_ONCE} at once; sim-slow is killed on the way."));
    let body = question(false);
    let (mut under_way, mut started, mut done, mut lost) = (FuturesUnordered::new(), 0, 0, 0);
    let mut generations = Vec::new();
    while done < CALLS {
        while started < CALLS && under_way.len() < AT_ONCE {
            started += 1;
            under_way.push(client.post("/v1/chat/completions", &body));
        }
        let Some(answered) = under_way.next().await else { break };
        let (status, _, generation) = answered?;
        lost += usize::from(status != 200);
        generations.push(generation);
        done += 1;
        if done == KILL_AFTER {
            sims.slow.kill();
        }
    }
    promise(lost == 0, &format!("{done} calls answered, {lost} lost"))?;
    for generation in generations {
        let attempts = record(client, &generation).await?.pointer("/attempts").cloned();
        if attempts.is_some_and(|a| a.as_array().is_some_and(|a| a.len() > 1)) {
            return Ok(generation);
        }
    }
    Err("no call needed a second try, although a provider was killed".into())
}

async fn explain(client: &Client, generation: &str) -> Result<(), BoxError> {
    let record = record(client, generation).await?;
    let empty = Vec::new();
    let list =
        |path: &str| record.pointer(path).and_then(Value::as_array).unwrap_or(&empty).clone();
    say(&format!(
        "One call that needed a second try, explained (GET /v1/generation?id={generation}):"
    ));
    let field = |value: &Value, name: &str| {
        value.get(name).map(|v| v.to_string().replace('"', "")).unwrap_or_default()
    };
    for candidate in list("/decision/candidates") {
        say(&format!(
            "  considered {:<24} weight {:<9} in flight {:<3} verdict {}",
            field(&candidate, "endpoint"),
            field(&candidate, "weight"),
            field(&candidate, "in_flight"),
            field(&candidate, "verdict")
        ));
    }
    for attempt in list("/attempts") {
        let failure = field(&attempt, "failure").replace("null", "answered");
        say(&format!(
            "  tried      {:<24} {failure} after {} ms",
            field(&attempt, "endpoint"),
            field(&attempt, "duration_ms")
        ));
    }
    promise(list("/attempts").len() > 1, "the decision and every attempt are on record")
}

async fn record(client: &Client, generation: &str) -> Result<Value, BoxError> {
    let page = client.get(&format!("/v1/generation?id={generation}")).await?;
    page.get("data").cloned().ok_or_else(|| format!("no record of {generation}").into())
}

/// What the models page says of an endpoint.
struct Endpoint {
    provider: String,
    verdict: String,
    weight_ppm: u64,
}

async fn endpoints(client: &Client) -> Result<Vec<Endpoint>, BoxError> {
    let page = client.get(&format!("/v1/models/{MODEL}/endpoints")).await?;
    let list = page.pointer("/data/endpoints").and_then(Value::as_array).ok_or("no endpoints")?;
    let text =
        |e: &Value, name: &str| e.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let endpoint = |e: &Value| Endpoint {
        provider: text(e, "provider_name"),
        verdict: text(e, "verdict"),
        weight_ppm: e.get("weight_ppm").and_then(Value::as_u64).unwrap_or(0),
    };
    Ok(list.iter().map(endpoint).collect())
}

async fn show_weights(client: &Client) -> Result<Vec<Endpoint>, BoxError> {
    let endpoints = endpoints(client).await?;
    for e in &endpoints {
        let percent = e.weight_ppm as f64 / 10_000.0;
        say(&format!("  {:<10} {:<14} {percent:>6.2} % of the calls", e.provider, e.verdict));
    }
    Ok(endpoints)
}

/// Waits until something holds for every endpoint.
async fn wait_for(
    client: &Client,
    what: &str,
    within: Duration,
    holds: impl Fn(&Endpoint) -> bool,
) -> Result<(), BoxError> {
    let began = Instant::now();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    while began.elapsed() < within {
        looks.tick().await;
        if endpoints(client).await?.iter().all(&holds) {
            return promise(true, &format!("{what} ({:.1} s)", began.elapsed().as_secs_f64()));
        }
    }
    promise(false, what)
}

fn question(stream: bool) -> Value {
    json!({"model": MODEL, "stream": stream, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 8})
}

fn text_of(answer: &Value) -> &str {
    answer.pointer("/choices/0/message/content").and_then(Value::as_str).unwrap_or("(nothing)")
}

fn promise(kept: bool, what: &str) -> Result<(), BoxError> {
    if !kept {
        return Err(format!("not as promised: {what}").into());
    }
    say(&format!("✓ {what}"));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a tour talks to whoever started it")]
fn say(line: &str) {
    println!("{line}");
}
