//! The simulated providers of a development router: each good at something, none at everything.

use sim_provider::{ModelList, Profile, SimConfig, SimError, SimProvider};

/// Three simulated providers on loopback.
pub struct Sims {
    /// Quick and dear.
    pub fast: SimProvider,
    /// Slow and cheap.
    pub slow: SimProvider,
    /// Quick and cheap, and fails one request in five.
    pub flaky: SimProvider,
}

impl Sims {
    /// Starts all three on free ports.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> Result<Self, SimError> {
        Ok(Self {
            fast: start(
                "sim-fast",
                Character { ttft_ms: 60, tokens_per_second: 120.0, error_permille: 0, price: 5.0 },
            )
            .await?,
            slow: start(
                "sim-slow",
                Character { ttft_ms: 400, tokens_per_second: 25.0, error_permille: 0, price: 0.5 },
            )
            .await?,
            flaky: start(
                "sim-flaky",
                Character {
                    ttft_ms: 120,
                    tokens_per_second: 60.0,
                    error_permille: 200,
                    price: 1.0,
                },
            )
            .await?,
        })
    }

    /// All of them, with their names in the catalog.
    pub fn all(&self) -> [(&'static str, &SimProvider, &'static str); 3] {
        [
            ("sim-fast", &self.fast, "quick and dear"),
            ("sim-slow", &self.slow, "slow and cheap"),
            ("sim-flaky", &self.flaky, "quick and cheap, and fails one request in five"),
        ]
    }
}

/// What sets one apart.
struct Character {
    ttft_ms: u64,
    tokens_per_second: f64,
    error_permille: u16,
    price: f64,
}

/// Answer tokens cost this many times prompt tokens.
const OUTPUT_PRICE_FACTOR: f64 = 4.0;
/// Tokens of an answer: long enough to watch it stream.
const TOKENS: u32 = 24;

async fn start(name: &str, character: Character) -> Result<SimProvider, SimError> {
    let profile = Profile {
        name: name.to_owned(),
        ttft_ms: character.ttft_ms,
        tokens_per_second: character.tokens_per_second,
        jitter_permille: 200,
        error_permille: character.error_permille,
        prompt_price: character.price,
        completion_price: character.price * OUTPUT_PRICE_FACTOR,
        ..Profile::instant(TOKENS)
    };
    let config = SimConfig { models: ModelList::Any, ..SimConfig::with_profile(profile) };
    SimProvider::start(config).await
}

/// Prices of a simulated provider, in USD per million tokens: prompt, answer.
pub fn prices(name: &str) -> (f64, f64) {
    let price = match name {
        "sim-fast" => 5.0,
        "sim-slow" => 0.5,
        _ => 1.0,
    };
    (price, price * OUTPUT_PRICE_FACTOR)
}
