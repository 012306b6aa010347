//! Callers that call all the time, and the count of what they lost. A call is lost when its caller gets an error
//! or half an answer although nothing of the answer had been released before. A stream that broke after its
//! first content is counted apart: nobody could have taken that content back.

use std::time::Duration;

use serde_json::{Value, json};
use sim_provider::answer_text;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::client::{Client, End, Line, Reply};
use crate::json::{PROMPT, chat, overlay};
use crate::provider::TOKENS;

/// Losses whose reasons are kept; the rest is only counted.
const REASONS_MAX: usize = 10;

/// Callers at work.
pub struct Load {
    stop: watch::Sender<bool>,
    callers: JoinSet<Tally>,
}

/// What became of the calls.
#[derive(Debug, Default)]
pub struct Tally {
    /// All that ended.
    pub calls: u64,
    /// Lost calls.
    pub lost: u64,
    /// Streams that broke after their first content.
    pub broken: u64,
    /// Why the first of them were lost.
    pub reasons: Vec<String>,
    /// The longest that one took.
    pub slowest: Duration,
}

/// How a call is made, in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Whole,
    Streamed,
    Assured,
}

impl Kind {
    const IN_TURN: [Self; 3] = [Self::Whole, Self::Streamed, Self::Assured];

    fn body(self, model: &str) -> Value {
        match self {
            Self::Whole => chat(model),
            Self::Streamed => overlay(chat(model), json!({"stream": true})),
            Self::Assured => overlay(chat(model), json!({"stream": true, "delivery": "assured"})),
        }
    }
}

impl Load {
    /// Starts `callers_each` callers for each of these clients, which pause between two calls.
    #[must_use]
    pub fn start(clients: Vec<Client>, model: &str, callers_each: usize, pause: Duration) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut callers = JoinSet::new();
        for client in clients {
            for _ in 0..callers_each {
                callers.spawn(call(client.clone(), model.to_owned(), pause, stopped.clone()));
            }
        }
        Self { stop, callers }
    }

    /// Lets the calls under way end, and adds up.
    ///
    /// # Panics
    /// When a caller did: a call that hangs, or a router that does not listen.
    pub async fn stop(mut self) -> Tally {
        self.stop.send_replace(true);
        let mut sum = Tally::default();
        while let Some(ended) = self.callers.join_next().await {
            sum.add(ended.expect("a caller that did not panic"));
        }
        sum
    }

    /// Ends it, and insists that nothing was lost and something was called.
    ///
    /// # Panics
    /// When a call was lost.
    pub async fn stop_without_loss(self) -> Tally {
        let tally = self.stop().await;
        assert!(tally.calls > 0 && tally.lost == 0, "{tally:#?}");
        tally
    }
}

impl Tally {
    /// Adds another count.
    pub fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.lost += other.lost;
        self.broken += other.broken;
        self.slowest = self.slowest.max(other.slowest);
        self.reasons.extend(other.reasons);
        self.reasons.truncate(REASONS_MAX);
    }

    fn judge(&mut self, kind: Kind, reply: &Reply) {
        self.calls += 1;
        let is_right = reply.status() == 200
            && reply.end == End::Whole
            && reply.content() == answer_text(PROMPT, TOKENS)
            && (kind == Kind::Whole || reply.is_done());
        if is_right {
            return;
        }
        let was_released = kind == Kind::Streamed && reply.status() == 200;
        if was_released && !reply.content().is_empty() {
            self.broken += 1;
            return;
        }
        self.lost += 1;
        self.reasons.push(format!("{kind:?}: {} {}", reply.status(), reply.text()));
        self.reasons.truncate(REASONS_MAX);
    }
}

async fn call(
    client: Client,
    model: String,
    pause: Duration,
    mut stopped: watch::Receiver<bool>,
) -> Tally {
    let (mut tally, mut line) = (Tally::default(), None);
    for kind in Kind::IN_TURN.into_iter().cycle() {
        if *stopped.borrow() {
            break;
        }
        let began = Instant::now();
        let reply = ask(&client, &mut line, &kind.body(&model)).await;
        tally.slowest = tally.slowest.max(began.elapsed());
        tally.judge(kind, &reply);
        tokio::select! {
            () = sleep(pause) => {}
            _ = stopped.changed() => {}
        }
    }
    tally
}

/// Calls on the connection of the call before, as clients do. That a router ends it without an answer is worse
/// than a lost call: the caller panics.
async fn ask(client: &Client, kept: &mut Option<Line>, body: &Value) -> Reply {
    let request = client.request("POST", "/v1/chat/completions", &[], body.to_string().as_bytes());
    let mut line = match kept.take() {
        Some(line) => line,
        None => Line::connect(client.address).await,
    };
    line.send(&request).await;
    let (reply, line) = line.exchange().await.read_on().await;
    let goes_on = reply.end == End::Whole && reply.head.header("connection") != Some("close");
    *kept = goes_on.then_some(line);
    reply
}
