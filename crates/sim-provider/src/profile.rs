//! How the simulated provider is set up and how fast, dear and large it is when nothing is broken.
//! It holds numbers only; deliberate failures are in `fault.rs`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Most tokens that one answer may have: bounds the memory of a single request.
pub const TOKENS_MAX: u32 = 100_000;

/// What to start: address, speed, models and accepted keys.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// Where to listen; port 0 lets the system choose one.
    pub listen: SocketAddr,
    /// Speed, length and price of the answers.
    pub profile: Profile,
    /// The models that are offered.
    pub models: ModelList,
    /// Accepted API keys. Empty: the OpenAI routes need none, the Anthropic route needs any.
    pub api_keys: Vec<String>,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            profile: Profile::default(),
            models: ModelList::Any,
            api_keys: Vec::new(),
        }
    }
}

impl SimConfig {
    /// The default set-up with this profile.
    #[must_use]
    pub fn with_profile(profile: Profile) -> Self {
        Self { profile, ..Self::default() }
    }
}

/// Which model ids are answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelList {
    /// Every id is answered; `GET /v1/models` lists [`ModelList::SAMPLES`].
    Any,
    /// Only these ids (and names that carry `fault:`); everything else is a 404.
    Only(Vec<String>),
}

impl ModelList {
    /// The ids listed when any id is accepted.
    pub const SAMPLES: [&'static str; 3] = ["sim-small", "sim-large", "sim-embed"];

    /// The ids for `GET /v1/models`.
    #[must_use]
    pub fn listed(&self) -> Vec<String> {
        match self {
            Self::Any => Self::SAMPLES.iter().map(ToString::to_string).collect(),
            Self::Only(ids) => ids.clone(),
        }
    }

    /// Whether a request for this id is answered.
    #[must_use]
    pub fn offers(&self, id: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(ids) => ids.iter().any(|known| known == id) || id.contains("fault:"),
        }
    }
}

/// Speed, length and price of a healthy answer. All latencies may be 0, which sets no timer at all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// The provider's name, shown in `owned_by` and in the `x-sim-provider` header.
    pub name: String,
    /// Time from the request to the first token, in milliseconds.
    pub ttft_ms: u64,
    /// Tokens per second after the first; 0 sends them without a pause.
    pub tokens_per_second: f64,
    /// How far each pause may differ from its nominal length, in thousandths (0–1000).
    pub jitter_permille: u16,
    /// Seeds the jitter and the choice of failing requests; equal seeds repeat equal runs.
    pub jitter_seed: u64,
    /// Tokens in an answer, unless `max_tokens` asks for fewer; at most [`TOKENS_MAX`].
    pub tokens: u32,
    /// How many requests in a thousand fail with status 500 (0–1000).
    pub error_permille: u16,
    /// US dollars per million prompt tokens, for callers that want to compare prices.
    pub prompt_price: f64,
    /// US dollars per million completion tokens.
    pub completion_price: f64,
    /// Requests served at the same time; beyond it `over_limit_status` is answered. None: no limit.
    pub concurrency_limit: Option<u32>,
    /// The status beyond the concurrency limit: 429 or 503 are sensible.
    pub over_limit_status: u16,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            name: "sim".to_owned(),
            ttft_ms: 0,
            tokens_per_second: 0.0,
            jitter_permille: 0,
            jitter_seed: 0,
            tokens: 16,
            error_permille: 0,
            prompt_price: 0.0,
            completion_price: 0.0,
            concurrency_limit: None,
            over_limit_status: 429,
        }
    }
}

impl Profile {
    /// An instant profile with this many tokens in each answer.
    #[must_use]
    pub fn instant(tokens: u32) -> Self {
        Self { tokens, ..Self::default() }
    }

    /// The nominal pause between two tokens; zero when no rate is set.
    #[must_use]
    pub fn pause(&self) -> Duration {
        if self.tokens_per_second > 0.0 {
            Duration::try_from_secs_f64(1.0 / self.tokens_per_second).unwrap_or(Duration::MAX)
        } else {
            Duration::ZERO
        }
    }
}
