//! What exists: providers, models and the endpoints that serve them. Values here were validated where the
//! documents were read; nothing is checked again.

use crate::id::{EndpointId, ModelId, ProviderId, Region};
use crate::money::PicoUsd;

/// Credentials of one provider. Four cover key rotation and two accounts; each costs one cooldown slot
/// in every endpoint's local state.
pub const MAX_CREDENTIALS: usize = 4;

/// How a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI-compatible: OpenAI, vLLM, Ollama, Groq, Together and many more.
    OpenAi,
    /// Anthropic Messages.
    Anthropic,
}

/// Where a secret is to be found; never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// An environment variable's name.
    Env(String),
    /// A file's path.
    File(String),
}

/// An account at somebody who runs models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its name in documents and metrics.
    pub id: ProviderId,
    /// How it speaks.
    pub dialect: Dialect,
    /// Scheme, authority and path prefix, without a trailing slash: `https://api.openai.com/v1`.
    pub base_url: String,
    /// Tried in order when one is refused; at most [`MAX_CREDENTIALS`]; empty for a provider without keys.
    pub credentials: Vec<SecretRef>,
    /// Whether it is told a call's place in its trace.
    pub propagate_trace: bool,
}

/// What an endpoint can do; a request that needs more is never sent there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Chat completions.
    pub chat: bool,
    /// Text completions.
    pub completion: bool,
    /// Embeddings.
    pub embedding: bool,
    /// Function calling.
    pub tools: bool,
    /// `response_format: json_object`.
    pub json_object: bool,
    /// `response_format: json_schema`.
    pub json_schema: bool,
    /// Images in the prompt.
    pub images: bool,
}

/// How long a provider keeps prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Retention {
    /// Not at all.
    Zero,
    /// This many days.
    Days(u32),
    /// Not stated: excluded wherever retention matters.
    Unknown,
}

/// Whether a provider trains on prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Training {
    /// It does not.
    No,
    /// It may.
    Yes,
    /// Not stated: treated as yes.
    Unknown,
}

/// Prices of one unit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// A prompt token.
    pub input: PicoUsd,
    /// An answer token.
    pub output: PicoUsd,
    /// A prompt token read from cache.
    pub cache_read: PicoUsd,
    /// A prompt token written to cache.
    pub cache_write: PicoUsd,
    /// The call itself.
    pub request: PicoUsd,
    /// An image in the prompt.
    pub image: PicoUsd,
}

impl Price {
    /// What a call of this size is expected to cost.
    pub fn of(&self, input_tokens: u64, output_tokens: u64) -> PicoUsd {
        self.input.times(input_tokens) + self.output.times(output_tokens) + self.request
    }
}

/// What a prober may do to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeMode {
    /// Everything, one-token generations included.
    Generate,
    /// Nothing that costs money: connect and list models.
    List,
    /// Connect only.
    Connect,
    /// Nothing: health comes from live traffic alone.
    None,
}

/// One (provider, model, region).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its identity in the store.
    pub id: EndpointId,
    /// Who runs it.
    pub provider: ProviderId,
    /// What it serves.
    pub model: ModelId,
    /// Where it runs.
    pub region: Region,
    /// The provider's own name for the model.
    pub upstream_model: String,
    /// What it charges.
    pub price: Price,
    /// Prompt and answer together, in tokens.
    pub context_tokens: u64,
    /// The longest answer, in tokens.
    pub max_output_tokens: u64,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Request parameters it honours; empty means all.
    pub parameters: Vec<String>,
    /// `fp8`, `int4`, …; `None` when not stated.
    pub quantization: Option<String>,
    /// Whose law applies: an ISO 3166 code or a group such as `eu`; `None` when not stated.
    pub jurisdiction: Option<String>,
    /// How long prompts are kept.
    pub retention: Retention,
    /// Whether prompts are trained on.
    pub training: Training,
    /// What a prober may do to it.
    pub probe: ProbeMode,
    /// The operator's weight, 0 to 1000; 0 excludes.
    pub weight: u16,
}

impl Endpoint {
    /// `provider/model@region`, as people write it.
    pub fn name(&self) -> String {
        format!("{}/{}@{}", self.provider, self.model, self.region)
    }
}

/// Everything that exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// By id, ascending.
    pub providers: Vec<Provider>,
    /// By id, ascending.
    pub endpoints: Vec<Endpoint>,
}

impl Catalog {
    /// The provider of that id.
    pub fn provider(&self, id: &ProviderId) -> Option<&Provider> {
        self.providers.binary_search_by(|p| p.id.cmp(id)).ok().and_then(|at| self.providers.get(at))
    }

    /// What `next` takes away, if it is so much at once that an accident is likelier than a wish: all that
    /// there was, or more than [`MAX_REMOVED_PERCENT`] of what is no small catalog.
    pub fn mass_removal(&self, next: &Self) -> Option<MassRemoval> {
        let kept = |e: &&Endpoint| next.endpoints.binary_search_by(|n| n.id.cmp(&e.id)).is_ok();
        let before = self.endpoints.len();
        let removed = before - self.endpoints.iter().filter(kept).count();
        let many = before >= GUARDED_FROM && removed * 100 > before * MAX_REMOVED_PERCENT;
        let all = before > 0 && next.endpoints.is_empty();
        (many || all).then_some(MassRemoval { removed, before })
    }
}

/// A change that takes away more than this share of the endpoints at once is taken for an accident, in
/// percent.
pub const MAX_REMOVED_PERCENT: usize = 30;
/// Smaller catalogs may lose more than that: of three, one is a third.
const GUARDED_FROM: usize = 4;

/// So many endpoints go at once that somebody must say that it is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MassRemoval {
    /// How many go.
    pub removed: usize,
    /// Of how many.
    pub before: usize,
}
