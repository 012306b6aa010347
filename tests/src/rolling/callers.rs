//! The load: calls that begin at a steady pace whatever becomes of those before, and streams that are always open.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use sim_provider::answer_text;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use trunkline_proto::inference::v1::inference_service_client::InferenceServiceClient;
use trunkline_proto::inference::v1::{
    ChatRequest, ChatStreamRequest, ChatStreamResponse, Message, Role, message,
};

use super::balancer::Balancer;
use super::wire::{Answer, Http};
use super::{MODEL, STREAM_LASTS, STREAM_TOKENS};
use crate::frames::{self, Frame};
use crate::json::{PROMPT, chat, overlay};
use crate::router::KEY;
use crate::times::Times;

/// Tokens of a short call.
const CALL_TOKENS: u32 = 4;
/// Losses whose reasons are kept.
const REASONS_MAX: usize = 10;

/// Callers at work.
pub(super) struct Load {
    stop: watch::Sender<bool>,
    callers: JoinSet<Tally>,
}

/// What became of the calls.
#[derive(Default)]
pub(super) struct Tally {
    /// How long each short call took.
    pub(super) times: Times,
    /// Short calls.
    pub(super) calls: u64,
    /// Those of them without a right and whole answer.
    pub(super) failed: u64,
    /// Long streams.
    pub(super) streams: u64,
    /// Those of them that did not come to their end.
    pub(super) cut: u64,
    /// Why the first were lost.
    pub(super) reasons: Vec<String>,
}

/// How a call is made, in turn.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Whole,
    Streamed,
    Assured,
    Grpc,
}

impl Kind {
    const IN_TURN: [Self; 4] = [Self::Whole, Self::Streamed, Self::Assured, Self::Grpc];
}

/// One who calls whichever router the balancer names.
#[derive(Clone)]
struct Caller {
    balancer: Balancer,
    http: Http,
    channels: Arc<Mutex<HashMap<SocketAddr, Channel>>>,
}

impl Load {
    /// Starts so many calls a second, and keeps so many long streams open.
    pub(super) fn start(balancer: &Balancer, calls_per_s: u32, streams: u32) -> Self {
        let caller =
            Caller { balancer: balancer.clone(), http: Http::default(), channels: Arc::default() };
        let (stop, stopped) = watch::channel(false);
        let mut callers = JoinSet::new();
        callers.spawn(caller.clone().keep_calling(calls_per_s, stopped.clone()));
        for number in 0..streams {
            // They begin apart, so that some are young whenever a router leaves.
            let begins = STREAM_LASTS * number / streams.max(1);
            callers.spawn(caller.clone().keep_streaming(number, begins, stopped.clone()));
        }
        Self { stop, callers }
    }

    /// Lets what is under way end, and adds up.
    ///
    /// # Panics
    /// When a caller did.
    pub(super) async fn stop(mut self) -> Tally {
        self.stop.send_replace(true);
        let mut sum = Tally::default();
        while let Some(ended) = self.callers.join_next().await {
            sum.add(ended.expect("a caller that did not panic"));
        }
        sum
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.calls += other.calls;
        self.failed += other.failed;
        self.streams += other.streams;
        self.cut += other.cut;
        self.reasons.extend(other.reasons);
        self.reasons.truncate(REASONS_MAX);
    }

    fn of_call(kind: Kind, took: Duration, outcome: anyhow::Result<()>) -> Self {
        let mut tally = Self { calls: 1, failed: outcome.is_err().into(), ..Self::default() };
        tally.times.add(took);
        tally.reasons.extend(outcome.err().map(|error| format!("{kind:?}: {error:#}")));
        tally
    }

    fn of_stream(kind: Kind, outcome: anyhow::Result<()>) -> Self {
        let mut tally = Self { streams: 1, cut: outcome.is_err().into(), ..Self::default() };
        tally.reasons.extend(outcome.err().map(|error| format!("long {kind:?}: {error:#}")));
        tally
    }
}

impl Caller {
    async fn keep_calling(self, calls_per_s: u32, stopped: watch::Receiver<bool>) -> Tally {
        let (mut sum, mut calls) = (Tally::default(), JoinSet::new());
        let mut ticks = interval(Duration::from_secs(1) / calls_per_s);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for kind in Kind::IN_TURN.into_iter().cycle() {
            ticks.tick().await;
            if *stopped.borrow() {
                break;
            }
            let caller = self.clone();
            calls.spawn(async move {
                let began = Instant::now();
                let outcome = caller.call(kind, CALL_TOKENS).await;
                Tally::of_call(kind, began.elapsed(), outcome)
            });
            while let Some(ended) = calls.try_join_next() {
                sum.add(ended.expect("a call that did not panic"));
            }
        }
        calls.join_all().await.into_iter().for_each(|tally| sum.add(tally));
        sum
    }

    async fn keep_streaming(
        self,
        number: u32,
        begins: Duration,
        mut stopped: watch::Receiver<bool>,
    ) -> Tally {
        let kind = if number.is_multiple_of(2) { Kind::Streamed } else { Kind::Grpc };
        let mut sum = Tally::default();
        tokio::select! {
            () = sleep(begins) => {}
            _ = stopped.changed() => {}
        }
        while !*stopped.borrow() {
            let outcome = match kind {
                Kind::Grpc => self.grpc_stream(STREAM_TOKENS).await,
                other => self.call(other, STREAM_TOKENS).await,
            };
            sum.add(Tally::of_stream(kind, outcome));
        }
        sum
    }

    async fn call(&self, kind: Kind, tokens: u32) -> anyhow::Result<()> {
        let how = match kind {
            Kind::Whole => json!({}),
            Kind::Streamed => json!({"stream": true}),
            Kind::Assured => json!({"stream": true, "delivery": "assured"}),
            Kind::Grpc => return self.grpc(tokens).await,
        };
        let ask = overlay(overlay(chat(MODEL), json!({"max_tokens": tokens})), how);
        let answer = self.http.chat(self.balancer.pick()?, &ask).await?;
        judge(&answer, matches!(kind, Kind::Whole), tokens)
    }

    async fn grpc(&self, tokens: u32) -> anyhow::Result<()> {
        let mut client = InferenceServiceClient::new(self.channel()?);
        let answer = client.chat(signed(asking(tokens))?).await?.into_inner();
        let said = answer.choices.into_iter().next().and_then(|choice| choice.message);
        let Some(message::Body::Content(text)) = said.and_then(|message| message.body) else {
            anyhow::bail!("an answer without text");
        };
        ensure!(text == answer_text(PROMPT, tokens), "another answer: {text}");
        Ok(())
    }

    async fn grpc_stream(&self, tokens: u32) -> anyhow::Result<()> {
        let mut client = InferenceServiceClient::new(self.channel()?);
        let ask = ChatStreamRequest { chat: Some(asking(tokens)) };
        let mut answer = client.chat_stream(signed(ask)?).await?.into_inner();
        let mut text = String::new();
        while let Some(event) = answer.message().await? {
            text.push_str(delta(&event));
        }
        ensure!(text == answer_text(PROMPT, tokens), "another answer");
        Ok(())
    }

    /// The connection to the router that the balancer names; made anew by itself when that went away.
    fn channel(&self) -> anyhow::Result<Channel> {
        let address = self.balancer.pick()?;
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let connect = || {
            let endpoint = Endpoint::from_shared(format!("http://{address}"));
            endpoint.expect("an address makes a URL").connect_lazy()
        };
        Ok(channels.entry(address).or_insert_with(connect).clone())
    }
}

/// Whether an answer over HTTP is the right one, and whole.
fn judge(answer: &Answer, whole: bool, tokens: u32) -> anyhow::Result<()> {
    let said = String::from_utf8_lossy(&answer.body);
    ensure!(answer.status == 200, "{} {said}", answer.status);
    let text = if whole {
        let json: Value = serde_json::from_slice(&answer.body).context("no JSON")?;
        let text = json.pointer("/choices/0/message/content").and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    } else {
        let frames = frames::split(&mut answer.body.to_vec());
        ensure!(frames.last() == Some(&Frame::Done), "no end: {:?}", frames.last());
        frames.iter().filter_map(Frame::content).collect()
    };
    ensure!(text == answer_text(PROMPT, tokens), "another answer");
    Ok(())
}

fn asking(tokens: u32) -> ChatRequest {
    let body = Some(message::Body::Content(PROMPT.to_owned()));
    let message = Message { role: Role::User.into(), body, ..Message::default() };
    let max_tokens = Some(tokens);
    ChatRequest {
        model: MODEL.to_owned(),
        messages: vec![message],
        max_tokens,
        ..ChatRequest::default()
    }
}

fn signed<T>(message: T) -> anyhow::Result<Request<T>> {
    let mut request = Request::new(message);
    let key = MetadataValue::try_from(format!("Bearer {KEY}"))?;
    request.metadata_mut().insert("authorization", key);
    Ok(request)
}

/// What an event adds to the first choice.
fn delta(event: &ChatStreamResponse) -> &str {
    let first = event.choices.first().and_then(|choice| choice.delta.as_ref());
    first.and_then(|delta| delta.content.as_deref()).unwrap_or_default()
}
