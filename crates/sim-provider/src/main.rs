//! The simulated provider as a program: one line with its address, then it serves until Ctrl-C.
//! Everything else is in the library.

use std::net::SocketAddr;

use clap::Parser;
use sim_provider::{ModelList, Profile, SimConfig, SimProvider};

/// A simulated LLM provider that can be told to misbehave.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Where to listen; port 0 chooses a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The provider's name.
    #[arg(long, default_value = "sim")]
    name: String,
    /// Milliseconds to the first token.
    #[arg(long, default_value_t = 0)]
    ttft_ms: u64,
    /// Tokens per second after the first; 0 for no pauses.
    #[arg(long, default_value_t = 0.0)]
    tokens_per_second: f64,
    /// How far pauses may vary, in thousandths.
    #[arg(long, default_value_t = 0)]
    jitter_permille: u16,
    /// Seed of everything random.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Tokens in an answer.
    #[arg(long, default_value_t = 16)]
    tokens: u32,
    /// Requests in a thousand that fail with status 500.
    #[arg(long, default_value_t = 0)]
    error_permille: u16,
    /// Requests at the same time before 429.
    #[arg(long)]
    concurrency_limit: Option<u32>,
    /// An offered model; repeat for more. None: every model id is answered.
    #[arg(long = "model")]
    models: Vec<String>,
    /// An accepted API key; repeat for more. None: every key is accepted.
    #[arg(long = "api-key")]
    api_keys: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let sim = SimProvider::start(config(args)).await?;
    announce(&sim.root_url());
    sim.run().await?;
    Ok(())
}

fn config(args: Args) -> SimConfig {
    let profile = Profile {
        name: args.name,
        ttft_ms: args.ttft_ms,
        tokens_per_second: args.tokens_per_second,
        jitter_permille: args.jitter_permille,
        jitter_seed: args.seed,
        tokens: args.tokens,
        error_permille: args.error_permille,
        concurrency_limit: args.concurrency_limit,
        ..Profile::default()
    };
    let models = match args.models.is_empty() {
        true => ModelList::Any,
        false => ModelList::Only(args.models),
    };
    SimConfig { listen: args.listen, profile, models, api_keys: args.api_keys }
}

#[expect(clippy::print_stdout, reason = "the address is what the program is asked for")]
fn announce(url: &str) {
    println!("{url}");
}
