//! Requests: gRPC message → body in the JSON dialect, which the pipeline then
//! treats like any other. Checks only what JSON could not express.

use prost_types::Struct;
use prost_types::value::Kind;
use trunkline_proto::inference::v1::{ChatRequest, Delivery, EmbedRequest};

use super::object::Object;
use super::{BadField, conversation, preferences, structure};

/// How the answer is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// In one piece.
    Whole,
    /// As a stream of events that ends with the usage.
    Streamed,
}

/// Room for the members beside the conversation, so that a body of ordinary
/// size is written without growing more than once or twice.
const BODY_CAPACITY_BYTES: usize = 1024;

/// The body of a chat completion. `tags` and `explain` are not part of it:
/// they are headers over HTTP, see [`tags_header`].
///
/// # Errors
/// The field that JSON cannot express: an unknown enum value, a number that is
/// not finite, a schema that is not JSON, an empty message part.
pub fn chat_body(request: &ChatRequest, reply: Reply) -> Result<Vec<u8>, BadField> {
    let mut out = Vec::with_capacity(BODY_CAPACITY_BYTES);
    let mut object = Object::begin(&mut out, request.extra.as_ref());
    object.put_text_if_any("model", &request.model);
    object.put_list("models", &request.models)?;
    object.put_each("messages", &request.messages, conversation::write_message)?;
    put_stream(&mut object, request.extra.as_ref(), reply)?;
    put_tools(&mut object, request)?;
    put_sampling(&mut object, request)?;
    put_limits(&mut object, request)?;
    object.put_if_set("user", &request.user)?;
    object.put_if_set("session_id", &request.session_id)?;
    if !request.metadata.is_empty() {
        object.put("metadata", &request.metadata)?;
    }
    if let Some(given) = &request.provider {
        preferences::write(given, object.key("provider")).map_err(|bad| bad.within("provider"))?;
    }
    object.put_if_set("delivery", &delivery(request.delivery)?)?;
    object.end()?;
    Ok(out)
}

/// The call decides whether the answer is streamed, so `extra` must not say
/// otherwise; of its stream options only those for the provider are kept.
fn put_stream(
    object: &mut Object<'_>,
    extra: Option<&Struct>,
    reply: Reply,
) -> Result<(), BadField> {
    object.put("stream", &(reply == Reply::Streamed))?;
    let options = extra.and_then(|extra| extra.fields.get("stream_options"));
    let options = match options.and_then(|options| options.kind.as_ref()) {
        None | Some(Kind::NullValue(_)) => None,
        Some(Kind::StructValue(options)) => Some(options),
        Some(_) => return Err(BadField::new("extra.stream_options", "is not an object")),
    };
    match reply {
        // Providers refuse stream options beside an answer in one piece.
        Reply::Whole => object.claim("stream_options"),
        Reply::Streamed => {
            let mut written = Object::begin(object.key("stream_options"), options);
            written.put("include_usage", &true)?;
            written.end().map_err(|bad| bad.within("extra.stream_options"))?;
        }
    }
    Ok(())
}

fn put_tools(object: &mut Object<'_>, request: &ChatRequest) -> Result<(), BadField> {
    object.put_each("tools", &request.tools, conversation::write_tool)?;
    if let Some(choice) = &request.tool_choice {
        conversation::put_tool_choice(object, choice)?;
    }
    object.put_if_set("parallel_tool_calls", &request.parallel_tool_calls)?;
    if let Some(format) = &request.response_format {
        conversation::put_response_format(object, format)?;
    }
    Ok(())
}

fn put_sampling(object: &mut Object<'_>, request: &ChatRequest) -> Result<(), BadField> {
    object.put_number("temperature", request.temperature)?;
    object.put_number("top_p", request.top_p)?;
    object.put_if_set("top_k", &request.top_k)?;
    object.put_number("min_p", request.min_p)?;
    object.put_number("top_a", request.top_a)?;
    object.put_number("frequency_penalty", request.frequency_penalty)?;
    object.put_number("presence_penalty", request.presence_penalty)?;
    object.put_number("repetition_penalty", request.repetition_penalty)?;
    if !request.logit_bias.is_empty() {
        let bias = |(token, bias): (&String, &f64)| {
            (token.clone(), structure::of(Kind::NumberValue(*bias)))
        };
        let fields = request.logit_bias.iter().map(bias).collect();
        object.put_structure("logit_bias", &Struct { fields })?;
    }
    object.put_if_set("logprobs", &request.logprobs)?;
    object.put_if_set("top_logprobs", &request.top_logprobs)?;
    object.put_if_set("seed", &request.seed)?;
    object.put_if_set("n", &request.n)
}

fn put_limits(object: &mut Object<'_>, request: &ChatRequest) -> Result<(), BadField> {
    object.put_list("stop", &request.stop)?;
    object.put_if_set("max_tokens", &request.max_tokens)?;
    object.put_if_set("max_completion_tokens", &request.max_completion_tokens)?;
    object.put_if_set("reasoning_effort", &request.reasoning_effort)
}

fn delivery(given: i32) -> Result<Option<&'static str>, BadField> {
    match Delivery::try_from(given) {
        Ok(Delivery::Unspecified) => Ok(None),
        Ok(Delivery::Assured) => Ok(Some("assured")),
        Err(_) => Err(BadField::new("delivery", "is not a known value")),
    }
}

/// The body of an embedding call. `tags` and `explain` are not part of it.
///
/// # Errors
/// The field that JSON cannot express, or both kinds of input at once.
pub fn embed_body(request: &EmbedRequest) -> Result<Vec<u8>, BadField> {
    let mut out = Vec::with_capacity(BODY_CAPACITY_BYTES);
    let mut object = Object::begin(&mut out, request.extra.as_ref());
    object.put_text_if_any("model", &request.model);
    object.put_list("models", &request.models)?;
    if !request.input.is_empty() && !request.token_input.is_empty() {
        return Err(BadField::new("token_input", "cannot be given together with input"));
    }
    object.put_list("input", &request.input)?;
    object.put_each("input", &request.token_input, |sequence, out| {
        structure::text(&sequence.tokens, out)
    })?;
    object.put_if_set("dimensions", &request.dimensions)?;
    object.put_if_set("user", &request.user)?;
    object.put_if_set("session_id", &request.session_id)?;
    if !request.metadata.is_empty() {
        object.put("metadata", &request.metadata)?;
    }
    if let Some(given) = &request.provider {
        preferences::write(given, object.key("provider")).map_err(|bad| bad.within("provider"))?;
    }
    object.end()?;
    Ok(out)
}

/// The value of `x-trunkline-tags` that says the same as a message's `tags`;
/// `None` when there are none.
///
/// # Errors
/// A tag that the header cannot carry: an empty key, or a comma, an equals sign
/// or a character that is not printable ASCII.
pub fn tags_header<'a>(
    tags: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Result<Option<String>, BadField> {
    let plain = |text: &str| text.bytes().all(|b| matches!(b, b' '..=b'~') && !b",=".contains(&b));
    let mut header = String::new();
    for (key, value) in tags {
        if key.is_empty() || !plain(key) || !plain(value) {
            return Err(BadField::new("tags", "has a key or a value that a header cannot carry"));
        }
        let comma = if header.is_empty() { "" } else { "," };
        header.extend([comma, key, "=", value]);
    }
    Ok(Some(header).filter(|header| !header.is_empty()))
}

#[cfg(test)]
mod tests;
