//! From an OpenAI chat request to a Messages request: which fields go where, and in what order they are decided.
//!
//! The conversation itself is in `conversation`, one part of a message in `parts`, tools in `tools`, thinking in
//! `reasoning`, JSON answers in `answer_format`. No limits of a model are enforced here.

mod answer_format;
mod conversation;
mod fields;
mod parts;
mod reasoning;
mod sampling;
mod tools;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use self::answer_format::AnswerFormat;
use self::conversation::{Conversation, Turn};
use self::fields::Fields;
use self::parts::Block;
use self::reasoning::{Circumstances, OutputConfig, Reasoning, Thinking};
use self::sampling::Sampling;
use self::tools::{Tool, ToolChoice};
use super::generation::Generation;
use super::{Text, Untranslatable};

/// OpenAI fields that the Messages API would refuse and whose absence only loosens the answer: left out in silence.
pub const DROPPED: &[&str] = &[
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "modalities",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "seed",
    "store",
    "stream_options",
    "top_logprobs",
    "verbosity",
];

/// OpenAI fields that ask for something the Messages API cannot give; leaving them out would change the answer's kind.
pub const REFUSED: &[&str] = &["audio", "function_call", "functions", "web_search_options"];

/// Longest `metadata.user_id` the provider takes, in characters; a longer one is left out.
const MAX_USER_ID_CHARS: usize = 256;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<ToolChoice<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<Text<'a>>,
    #[serde(flatten)]
    sampling: Sampling<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
    #[serde(flatten)]
    untouched: BTreeMap<String, &'a RawValue>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    user_id: Text<'a>,
}

/// Writes the chat request `openai_body` as a Messages request to `model`.
///
/// `default_max_tokens` (tokens) is used when the caller names no limit, since the provider demands one. Fields this
/// module does not know reach the provider untouched; [`DROPPED`] ones do not. A caller who writes the provider's own
/// `thinking` or `output_config` overrides what `reasoning` and `response_format` would give.
///
/// # Errors
/// [`Untranslatable`], naming the field, when the request is not a chat request or asks for what cannot be expressed.
pub fn to_messages(
    openai_body: &[u8],
    model: &str,
    default_max_tokens: u64,
) -> Result<Vec<u8>, Untranslatable> {
    let mut fields = Fields::parse(openai_body)?;
    refuse_what_cannot_be_given(&mut fields)?;
    let generation = Generation::of(model);

    let mut talk = Conversation::read(fields.require("messages")?)?;
    let tools = tools::read_tools(fields.take("tools"), generation)?;
    let tool_choice = tools::read_choice(&mut fields, &tools)?;
    let format = AnswerFormat::read(fields.take("response_format"), generation)?;
    let stop_sequences = read_stop(&mut fields)?;
    let limit = read_max_tokens(&mut fields)?;

    let native = NativeFields::read(&fields)?;
    native.refuse_a_second_source(&stop_sequences)?;
    let plan = Reasoning::read(&mut fields)?.plan(&Circumstances {
        generation,
        limit,
        default_max_tokens,
        forced_tool: tool_choice.as_ref().is_some_and(ToolChoice::is_forced),
        unthought_tool_loop: talk.tool_loop_lacks_thinking(),
    })?;
    let thinking = if native.thinking.is_some() { None } else { plan.thinking };
    let is_thinking = native.thinking.unwrap_or(thinking.is_some_and(Thinking::is_on));

    talk.instruct(format.instruction());
    let body = Body {
        model,
        max_tokens: plan.max_tokens,
        system: talk.system,
        messages: talk.turns,
        tools,
        tool_choice,
        stop_sequences,
        sampling: Sampling::read(&mut fields, generation, is_thinking)?,
        stream: fields.get("stream", "true or false")?,
        metadata: read_user(&mut fields)?,
        service_tier: read_service_tier(&mut fields)?,
        thinking,
        output_config: if native.output_config {
            None
        } else {
            OutputConfig::unless_empty(plan.effort, format.schema())
        },
        untouched: fields.rest(DROPPED),
    };
    serde_json::to_vec(&body).map_err(|_| Untranslatable::new("", "the request cannot be written"))
}

fn refuse_what_cannot_be_given(fields: &mut Fields<'_>) -> Result<(), Untranslatable> {
    fields.take("model");
    for &name in REFUSED {
        if fields.take(name).is_some() {
            return Err(Untranslatable::new(name, "this provider has no equal"));
        }
    }
    if fields.get::<u64>("n", "a positive integer")?.unwrap_or(1) != 1 {
        return Err(Untranslatable::new("n", "this provider gives one choice a request"));
    }
    let modalities: Vec<Text<'_>> =
        fields.get("modalities", "an array of strings")?.unwrap_or_default();
    if modalities.iter().any(|modality| modality.as_str() != "text") {
        return Err(Untranslatable::new("modalities", "this provider answers in text alone"));
    }
    Ok(())
}

/// The provider's own fields that a caller may write beside the OpenAI ones.
struct NativeFields {
    /// Whether the caller's `thinking` turns thinking on; `None` without one.
    thinking: Option<bool>,
    output_config: bool,
    system: bool,
    stop_sequences: bool,
}

impl NativeFields {
    fn read(fields: &Fields<'_>) -> Result<Self, Untranslatable> {
        Ok(Self {
            thinking: fields.peek("thinking").map(reasoning::turns_on).transpose()?,
            output_config: fields.peek("output_config").is_some(),
            system: fields.peek("system").is_some(),
            stop_sequences: fields.peek("stop_sequences").is_some(),
        })
    }

    /// Two sources for one field would give a document with the key twice, of which the provider picks one.
    fn refuse_a_second_source(&self, stops: &[Text<'_>]) -> Result<(), Untranslatable> {
        if self.system {
            let message = "put the instruction into a message with the role system";
            return Err(Untranslatable::new("system", message));
        }
        if self.stop_sequences && !stops.is_empty() {
            return Err(Untranslatable::new("stop_sequences", "`stop` says the same"));
        }
        Ok(())
    }
}

/// `max_completion_tokens` goes before its older name `max_tokens`.
fn read_max_tokens(fields: &mut Fields<'_>) -> Result<Option<u64>, Untranslatable> {
    let older = fields.get::<u64>("max_tokens", "a positive integer")?;
    let limit = fields.get::<u64>("max_completion_tokens", "a positive integer")?.or(older);
    match limit {
        Some(0) => Err(Untranslatable::new("max_tokens", "must be at least 1")),
        limit => Ok(limit),
    }
}

/// The provider refuses stop sequences of white space alone, which OpenAI allows: they are left out.
fn read_stop<'a>(fields: &mut Fields<'a>) -> Result<Vec<Text<'a>>, Untranslatable> {
    let Some(raw) = fields.take("stop") else { return Ok(Vec::new()) };
    let expected = "a string or an array of strings";
    let mut stops: Vec<Text<'a>> = if raw.get().starts_with('"') {
        vec![fields::read(raw, "stop", expected)?]
    } else {
        fields::read(raw, "stop", expected)?
    };
    stops.retain(|stop| !stop.as_str().trim().is_empty());
    Ok(stops)
}

/// `metadata.user_id`, else `user`. The provider refuses any other metadata, so the rest is left out.
fn read_user<'a>(fields: &mut Fields<'a>) -> Result<Option<Metadata<'a>>, Untranslatable> {
    let user = fields.get::<Text<'a>>("user", "a string")?;
    let named = match fields.take("metadata") {
        Some(raw) => Fields::nested(raw, "metadata")?
            .get::<Text<'a>>("user_id", "a string")
            .map_err(|error| error.within("metadata"))?,
        None => None,
    };
    Ok(named
        .or(user)
        .filter(|id| !id.as_str().is_empty() && id.as_str().chars().count() <= MAX_USER_ID_CHARS)
        .map(|user_id| Metadata { user_id }))
}

/// OpenAI's tiers beyond these two have no equal and only change speed and price: left out.
fn read_service_tier(fields: &mut Fields<'_>) -> Result<Option<&'static str>, Untranslatable> {
    let tier = fields.get::<Text<'_>>("service_tier", "a string")?;
    Ok(match tier.as_ref().map(Text::as_str) {
        Some("auto") => Some("auto"),
        Some("default" | "standard_only") => Some("standard_only"),
        _ => None,
    })
}
