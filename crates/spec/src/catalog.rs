//! The catalog as people write it: providers, and under each the endpoints it serves. Turning it into
//! [`trunkline_core::catalog::Catalog`] is in `admit`; defaults are chosen here.

mod admit;
mod url;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use trunkline_core::catalog::Catalog;

pub use admit::admit_secret;
pub(crate) use admit::{check_text, together, weight};

use crate::canonical;
use crate::error::Problems;
use crate::load::load;

/// The version of the catalog format that this release reads.
pub const VERSION: u32 = 1;

/// Reads a catalog, in YAML or JSON, into what decisions use.
///
/// # Errors
/// Every mistake found, with its line.
pub fn parse(text: &str) -> Result<Catalog, Problems> {
    let loaded = load::<CatalogDocument>(text)?;
    Catalog::try_from(&loaded.document).map_err(|problems| loaded.locate(problems))
}

/// The canonical JSON of a catalog, for the store. It holds no more than the text said: only [`parse`] says
/// whether that makes sense.
///
/// # Errors
/// Text that is not of a catalog's shape.
pub fn canonical(text: &str) -> Result<String, Problems> {
    canonical::json(&load::<CatalogDocument>(text)?.document)
}

/// Whether `url` can be a base URL, with `http://` only to loopback addresses unless plain text is allowed.
///
/// # Errors
/// What would be right.
pub fn check_base_url(url: &str, plaintext: Plaintext) -> Result<(), String> {
    url::base_url(url, plaintext).map(|_| ())
}

/// Whether `http://` may leave the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plaintext {
    /// To loopback addresses only.
    LoopbackOnly,
    /// Anywhere.
    Allowed,
}

/// What exists: providers, and the endpoints they serve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CatalogDocument {
    /// The version of this format: 1.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// Accounts at those who run models; at most 200, with at most 2,000 endpoints in all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<ProviderEntry>,
}

/// An account at somebody who runs models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderEntry {
    /// Its name in documents, metrics and answers; unique. Letters, digits and `. _ : @ -`.
    pub id: String,
    /// How it speaks.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "openai"))]
    pub dialect: DialectEntry,
    /// Where it is called: scheme, host, optional port and path prefix, such as `https://api.openai.com/v1`.
    pub base_url: String,
    /// Where its API keys are found, tried in order when one is refused; at most 4, none for a provider without keys. A relative file is looked for in the router's working directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<SecretEntry>,
    /// Allows `http://` to private addresses other than loopback ones, where prompts and keys then travel unencrypted; to a public address it is never allowed.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = false))]
    pub allow_plaintext: bool,
    /// Tells it the trace of each call in `traceparent` and `tracestate`, so that its spans join ours. For your own servers: others have no use for it.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = false))]
    pub propagate_trace: bool,
    /// What it serves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<EndpointEntry>,
}

/// How a provider speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DialectEntry {
    /// OpenAI-compatible: OpenAI, vLLM, Ollama, Groq, Together and many more.
    #[default]
    Openai,
    /// Anthropic Messages.
    Anthropic,
}

/// Where a secret is found; never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretEntry {
    /// The name of an environment variable.
    Env(String),
    /// The path of a file; spaces and line ends around its content are ignored.
    File(String),
}

/// One model at one provider in one region: the unit of health, weight and drain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointEntry {
    /// What clients ask for, such as `openai/gpt-4o-mini`. Endpoints of the same model stand in for each other.
    pub model: String,
    /// Where it runs, as the provider calls it.
    #[serde(default = "global", skip_serializing_if = "is_global")]
    #[schemars(extend("default" = "global"))]
    pub region: String,
    /// The provider's own name for the model; the model's name when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_model: Option<String>,
    /// What it charges; left out for a model that costs nothing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub price: PriceEntry,
    /// Prompt and answer together, in tokens.
    #[serde(default = "default_context", skip_serializing_if = "is_default_context")]
    #[schemars(range(min = 1, max = 100_000_000))]
    #[schemars(extend("default" = 128_000))]
    pub context_tokens: u64,
    /// The longest answer, in tokens; the whole context when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max_output_tokens: Option<u64>,
    /// What it can do; a call that needs more is never sent there.
    #[serde(default = "chat_only", skip_serializing_if = "is_chat_only")]
    #[schemars(extend("default" = ["chat"]))]
    pub capabilities: Vec<CapabilityEntry>,
    /// The request parameters it honours, such as `seed`; all of them when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<String>,
    /// How its weights are stored: `fp8`, `int4`, `bf16` and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<String>,
    /// Whose law applies: a country code such as `us` or a group such as `eu`. When left out, rules on jurisdiction exclude it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
    /// How long prompts are kept. Where a rule limits retention, `unknown` excludes.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "unknown"))]
    pub retention: RetentionEntry,
    /// Whether prompts are trained on; `unknown` counts as yes. `true` and `false` are read as yes and no.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "unknown"))]
    pub training: TrainingEntry,
    /// What a prober may do to it.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "generate"))]
    pub probe: ProbeEntry,
    /// Its share among the endpoints of its model, relative to theirs; 0 takes it out.
    #[serde(default = "default_weight", skip_serializing_if = "is_default_weight")]
    #[schemars(range(min = 0, max = 1000))]
    #[schemars(extend("default" = 100))]
    pub weight: u32,
}

/// Prices in US dollars. Tokens are priced by the million.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceEntry {
    /// A million prompt tokens.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = 0))]
    pub input: f64,
    /// A million answer tokens.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = 0))]
    pub output: f64,
    /// A million prompt tokens read from cache; the price of `input` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<f64>,
    /// A million prompt tokens written to cache; the price of `input` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<f64>,
    /// One call.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = 0))]
    pub request: f64,
    /// One image in the prompt.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = 0))]
    pub image: f64,
}

/// Something that an endpoint can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CapabilityEntry {
    /// Chat completions.
    Chat,
    /// Text completions.
    Completion,
    /// Embeddings.
    Embedding,
    /// Function calling.
    Tools,
    /// `response_format: json_object`.
    JsonObject,
    /// `response_format: json_schema`.
    JsonSchema,
    /// Images in the prompt.
    Images,
}

/// How long a provider keeps prompts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetentionEntry {
    /// Not at all.
    Zero,
    /// Not stated.
    #[default]
    Unknown,
    /// This many days.
    Days(u32),
}

/// Whether a provider trains on prompts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainingEntry {
    /// It does not.
    No,
    /// It may.
    Yes,
    /// Not stated.
    #[default]
    Unknown,
}

/// What [`TrainingEntry`] looks like in text: some YAML readers turn a bare `no` into `false`.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum TrainingText {
    /// `true` or `false`.
    Flag(bool),
    /// A word.
    Word(TrainingWord),
}

/// The words for [`TrainingEntry`].
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum TrainingWord {
    No,
    Yes,
    Unknown,
}

impl<'de> Deserialize<'de> for TrainingEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match TrainingText::deserialize(deserializer)? {
            TrainingText::Flag(false) | TrainingText::Word(TrainingWord::No) => Self::No,
            TrainingText::Flag(true) | TrainingText::Word(TrainingWord::Yes) => Self::Yes,
            TrainingText::Word(TrainingWord::Unknown) => Self::Unknown,
        })
    }
}

impl JsonSchema for TrainingEntry {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TrainingEntry".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Whether a provider trains on prompts.",
            "anyOf": [
                { "type": "string", "enum": ["no", "yes", "unknown"] },
                { "type": "boolean" },
            ],
        })
    }
}

/// What a prober may do to an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProbeEntry {
    /// Everything, short generations that cost a fraction of a cent included.
    #[default]
    Generate,
    /// Nothing that costs money: connect and list models.
    List,
    /// Connect only.
    Connect,
    /// Nothing: health comes from live traffic alone.
    None,
}

/// The region of an endpoint that does not say.
pub(crate) const DEFAULT_REGION: &str = "global";
/// The context of an endpoint that does not say: what most present models have.
const DEFAULT_CONTEXT_TOKENS: u64 = 128_000;
/// The weight of an endpoint that does not say: room to go both up and down.
const DEFAULT_WEIGHT: u32 = 100;

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn global() -> String {
    DEFAULT_REGION.to_owned()
}

fn is_global(region: &str) -> bool {
    region == DEFAULT_REGION
}

fn default_context() -> u64 {
    DEFAULT_CONTEXT_TOKENS
}

fn is_default_context(tokens: &u64) -> bool {
    *tokens == DEFAULT_CONTEXT_TOKENS
}

pub(crate) fn chat_only() -> Vec<CapabilityEntry> {
    vec![CapabilityEntry::Chat]
}

pub(crate) fn is_chat_only(capabilities: &[CapabilityEntry]) -> bool {
    capabilities == [CapabilityEntry::Chat]
}

fn default_weight() -> u32 {
    DEFAULT_WEIGHT
}

fn is_default_weight(weight: &u32) -> bool {
    *weight == DEFAULT_WEIGHT
}

#[cfg(test)]
mod tests;
