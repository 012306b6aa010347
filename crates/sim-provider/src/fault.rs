//! The ways in which the provider can be told to misbehave, as plain data.
//! It says what goes wrong, not how: `rules.rs` picks the fault of a request, `sabotage.rs` carries it out.

use serde::{Deserialize, Serialize};

/// One deliberate failure. In JSON: `{"kind": "stall", "after": 3}`. Counts `after` are tokens that are
/// sent unharmed first; on an unstreamed answer any such count means "after half of the body".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Connections are refused for this long, and open ones are reset, except those that carried a
    /// `/_sim/` request. Concerns the whole provider at once.
    Refuse {
        /// How long, in milliseconds.
        for_ms: u64,
    },
    /// Alternates between serving and [`Fault::Refuse`], until faults are cleared.
    Flap {
        /// Length of each serving period in milliseconds, at least 1.
        up_ms: u64,
        /// Length of each refusing period in milliseconds, at least 1.
        down_ms: u64,
    },
    /// The connection is reset (TCP RST) before any byte of the answer.
    Reset,
    /// The request is read and never answered.
    BlackHole,
    /// Nothing is sent for a while, then the normal answer.
    SlowHeaders {
        /// The delay in milliseconds.
        delay_ms: u64,
    },
    /// Headers come at once, then silence for a while, then the normal answer.
    SlowFirstToken {
        /// The silence in milliseconds.
        delay_ms: u64,
    },
    /// Some tokens, then silence on a connection that stays open.
    Stall {
        /// Tokens sent first.
        after: u32,
    },
    /// Some tokens, then the socket is closed (FIN) without the chunk that ends the body.
    Cut {
        /// Tokens sent first.
        after: u32,
    },
    /// Some tokens, then the socket is reset (RST).
    CutReset {
        /// Tokens sent first.
        after: u32,
    },
    /// Some tokens, then a clean end of the HTTP body: no finish reason, no terminal event.
    EarlyEof {
        /// Tokens sent first.
        after: u32,
    },
    /// Everything but the terminal event (`[DONE]`, `message_stop`). No effect when not streamed.
    NoDone,
    /// One event with broken JSON between two tokens; the rest follows as if nothing had happened.
    MalformedChunk {
        /// Tokens sent first.
        after: u32,
    },
    /// One event of at least this size between two tokens, valid but for its size.
    HugeChunk {
        /// Tokens sent first.
        after: u32,
        /// Size of the event in bytes, at most 64 MiB.
        #[serde(default = "default_huge_bytes")]
        bytes: u32,
    },
    /// A body with `content-encoding: gzip` that inflates to far more than it weighs.
    GzipBomb {
        /// Size once inflated, in bytes.
        #[serde(default = "default_bomb_bytes")]
        inflated_bytes: u64,
    },
    /// Status 200 with an HTML page.
    WrongContentType,
    /// An error status, with the error body that belongs to it.
    Status {
        /// The status, 400–599.
        status: u16,
        /// Sent as `retry-after` exactly as given, however odd.
        #[serde(default)]
        retry_after: Option<String>,
        /// Sent as `retry-after-ms` exactly as given.
        #[serde(default)]
        retry_after_ms: Option<String>,
    },
    /// Status 200, no content, finish reason "stop".
    EmptyCompletion,
    /// Status 200 with an error inside: the body when not streamed, else an error event.
    ErrorInOk {
        /// Tokens sent first; 0 makes the error the first event.
        after: u32,
    },
    /// Status 200 with a JSON body that breaks off, or with only broken events when streamed.
    BadJson,
    /// The answer stops with finish reason "content_filter" ("refusal" for Anthropic).
    ContentFilter {
        /// Tokens sent first.
        after: u32,
    },
    /// 400 because of the content policy.
    ContentPolicy,
    /// 400 because the prompt exceeds the context window.
    ContextLength,
    /// 404: no such model.
    ModelNotFound,
    /// So many requests a window are served (with `x-ratelimit-*` headers), the rest get 429.
    RateLimit {
        /// Size of the bucket.
        requests: u32,
        /// Time in which an empty bucket fills up, in milliseconds, at least 1.
        window_ms: u64,
    },
    /// The stream consists of comments (Anthropic: `ping` events) and never starts or ends.
    CommentsOnly {
        /// Time between two comments in milliseconds, at least 1.
        every_ms: u64,
    },
    /// An error whose message quotes the request body and the API key, as careless providers do.
    EchoRequest {
        /// The status, 400–599.
        status: u16,
    },
}

/// A little more than 1 MiB: over the limit that clients usually set for one event.
const fn default_huge_bytes() -> u32 {
    (1 << 20) + 1024
}

/// 1 GiB: no client may keep this in memory.
const fn default_bomb_bytes() -> u64 {
    1 << 30
}

impl Fault {
    /// A [`Fault::Status`] without retry headers.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Status { status, retry_after: None, retry_after_ms: None }
    }

    /// A [`Fault::HugeChunk`] of the default size.
    #[must_use]
    pub fn huge_chunk(after: u32) -> Self {
        Self::HugeChunk { after, bytes: default_huge_bytes() }
    }

    /// A [`Fault::GzipBomb`] of the default size.
    #[must_use]
    pub fn gzip_bomb() -> Self {
        Self::GzipBomb { inflated_bytes: default_bomb_bytes() }
    }

    /// Whether the answer is late but whole.
    #[must_use]
    pub fn only_delays(&self) -> bool {
        matches!(self, Self::SlowHeaders { .. } | Self::SlowFirstToken { .. })
    }
}

/// When a fault applies. In JSON the body of `POST /_sim/fault`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// What goes wrong. [`Fault::Refuse`] and [`Fault::Flap`] start at once and ignore the filters below.
    pub fault: Fault,
    /// How many requests it hits before it is used up; none: until cleared.
    #[serde(default)]
    pub count: Option<u64>,
    /// Only requests for exactly this model.
    #[serde(default)]
    pub model: Option<String>,
    /// The share of matching requests that it hits, 0 to 1; none: all.
    #[serde(default)]
    pub probability: Option<f64>,
    /// Seeds the choice by probability.
    #[serde(default)]
    pub seed: u64,
}

impl From<Fault> for FaultRule {
    fn from(fault: Fault) -> Self {
        Self { fault, count: None, model: None, probability: None, seed: 0 }
    }
}

impl FaultRule {
    /// The fault hits the next `count` requests.
    #[must_use]
    pub fn times(fault: Fault, count: u64) -> Self {
        Self { count: Some(count), ..fault.into() }
    }

    /// The same rule for one model only.
    #[must_use]
    pub fn for_model(self, model: &str) -> Self {
        Self { model: Some(model.to_owned()), ..self }
    }

    /// The same rule for a share of the requests, 0 to 1, chosen with `seed`.
    #[must_use]
    pub fn with_probability(self, probability: f64, seed: u64) -> Self {
        Self { probability: Some(probability), seed, ..self }
    }
}
