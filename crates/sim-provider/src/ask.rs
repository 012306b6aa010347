//! What a request asks for, read from an OpenAI or an Anthropic body into one shape.
//! Lenient on purpose: it keeps what the simulated answer depends on and ignores the rest.

use serde_json::Value;

use crate::profile::TOKENS_MAX;

/// Choices in one answer.
const CHOICES_MAX: u64 = 16;
/// Tokens that one image counts for.
const IMAGE_TOKENS: u32 = 85;
/// Characters a token, at most: the rule by which prompts are counted.
const CHARS_PER_TOKEN: usize = 4;

/// The shape in which the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    Completion,
    /// `/v1/embeddings` and `/v1/models`.
    Plain,
    /// `/v1/messages`.
    Anthropic,
}

/// One request for an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// The shape of the answer.
    pub dialect: Dialect,
    /// The model, as written.
    pub model: String,
    /// Whether to stream.
    pub stream: bool,
    /// Whether a stream ends with a usage chunk (OpenAI only).
    pub include_usage: bool,
    /// The most tokens wanted.
    pub max_tokens: Option<u32>,
    /// How many choices, 1 to 16.
    pub choices: u32,
    /// Texts that end the answer.
    pub stops: Vec<String>,
    /// The text of the last message, from which the answer is made.
    pub prompt: String,
    /// Tokens of all messages.
    pub prompt_tokens: u32,
    /// What form the answer takes.
    pub form: Form,
}

/// What form the answer takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    /// Words made from the prompt.
    Text,
    /// Calls of these tools: name and schema of the arguments.
    Calls(Vec<(String, Value)>),
    /// JSON that satisfies this schema.
    Json(Value),
}

/// A body that cannot be answered, with the parameter at fault.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadAsk {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub param: &'static str,
}

/// How many tokens a text counts for: each word one for every four characters begun.
#[must_use]
pub fn count_tokens(text: &str) -> u32 {
    let tokens: usize =
        text.split_whitespace().map(|w| w.chars().count().div_ceil(CHARS_PER_TOKEN)).sum();
    u32::try_from(tokens).unwrap_or(u32::MAX)
}

/// Reads a request body.
///
/// # Errors
/// [`BadAsk`] for a body that a real provider would answer with 400.
pub fn read_ask(dialect: Dialect, body: &Value) -> Result<Ask, BadAsk> {
    let model = body.get("model").and_then(Value::as_str).ok_or_else(|| missing("model"))?;
    let (prompt, prompt_tokens, last_is_user) = match dialect {
        Dialect::Chat | Dialect::Anthropic => read_messages(body)?,
        Dialect::Completion | Dialect::Plain => read_prompt(body)?,
    };
    let max_tokens = read_max_tokens(dialect, body)?;
    let form = read_form(body, if last_is_user { &prompt } else { "" });
    Ok(Ask {
        dialect,
        model: model.to_owned(),
        stream: body.get("stream").and_then(Value::as_bool).unwrap_or(false),
        include_usage: body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true)),
        max_tokens,
        choices: read_choices(body)?,
        stops: read_stops(body),
        prompt,
        prompt_tokens,
        form,
    })
}

fn missing(param: &'static str) -> BadAsk {
    BadAsk { message: format!("Missing required parameter: '{param}'."), param }
}

/// The text of the last message, the tokens of all, and whether the last one is the user's own.
fn read_messages(body: &Value) -> Result<(String, u32, bool), BadAsk> {
    let messages =
        body.get("messages").and_then(Value::as_array).ok_or_else(|| missing("messages"))?;
    let last = messages.last().ok_or_else(|| BadAsk {
        message: "Invalid 'messages': at least one message is needed.".to_owned(),
        param: "messages",
    })?;
    let mut tokens = body.get("system").map_or(0, content_tokens);
    for message in messages {
        let content = message.get("content").ok_or_else(|| missing("messages.content"));
        let called = message.get("tool_calls").is_some() || message.get("function_call").is_some();
        match content {
            Ok(content) => tokens = tokens.saturating_add(content_tokens(content)),
            Err(_) if called => {}
            Err(error) => return Err(error),
        }
    }
    let content = last.get("content").unwrap_or(&Value::Null);
    let is_user = last.get("role").and_then(Value::as_str) == Some("user");
    Ok((content_text(content), tokens, is_user && !carries_tool_result(content)))
}

fn read_prompt(body: &Value) -> Result<(String, u32, bool), BadAsk> {
    let prompt = body.get("prompt").ok_or_else(|| missing("prompt"))?;
    let text = match prompt {
        Value::Array(parts) => parts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    let tokens = count_tokens(&text);
    Ok((text, tokens, false))
}

fn carries_tool_result(content: &Value) -> bool {
    parts(content).any(|part| part.get("type").and_then(Value::as_str) == Some("tool_result"))
}

fn parts(content: &Value) -> impl Iterator<Item = &Value> {
    content.as_array().into_iter().flatten()
}

/// All text of a message's content, tool results included.
fn content_text(content: &Value) -> String {
    if let Some(text) = content.as_str() {
        return text.to_owned();
    }
    let texts = parts(content).filter_map(|part| match part.get("text").and_then(Value::as_str) {
        Some(text) => Some(text.to_owned()),
        None => part.get("content").map(content_text),
    });
    texts.collect::<Vec<_>>().join(" ")
}

fn content_tokens(content: &Value) -> u32 {
    let is_image = |part: &&Value| {
        matches!(part.get("type").and_then(Value::as_str), Some("image_url" | "image"))
    };
    let images = u32::try_from(parts(content).filter(is_image).count()).unwrap_or(u32::MAX);
    count_tokens(&content_text(content)).saturating_add(images.saturating_mul(IMAGE_TOKENS))
}

fn read_max_tokens(dialect: Dialect, body: &Value) -> Result<Option<u32>, BadAsk> {
    let given = body.get("max_completion_tokens").or_else(|| body.get("max_tokens"));
    match given.filter(|value| !value.is_null()) {
        None if dialect == Dialect::Anthropic => Err(missing("max_tokens")),
        None => Ok(None),
        Some(value) => match value.as_u64() {
            Some(tokens) if tokens > 0 => {
                Ok(Some(u32::try_from(tokens).unwrap_or(TOKENS_MAX).min(TOKENS_MAX)))
            }
            _ => Err(BadAsk {
                message: format!("Invalid 'max_tokens': {value} is not a positive integer."),
                param: "max_tokens",
            }),
        },
    }
}

fn read_choices(body: &Value) -> Result<u32, BadAsk> {
    match body.get("n").filter(|value| !value.is_null()) {
        None => Ok(1),
        Some(value) => value
            .as_u64()
            .filter(|n| (1..=CHOICES_MAX).contains(n))
            .and_then(|n| u32::try_from(n).ok())
            .ok_or_else(|| BadAsk {
                message: format!("Invalid 'n': {value} is not between 1 and {CHOICES_MAX}."),
                param: "n",
            }),
    }
}

fn read_stops(body: &Value) -> Vec<String> {
    let stops = body.get("stop").or_else(|| body.get("stop_sequences"));
    let one = stops.and_then(Value::as_str).into_iter();
    let many = stops.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    one.chain(many).filter(|stop| !stop.is_empty()).map(str::to_owned).collect()
}

fn read_form(body: &Value, prompt: &str) -> Form {
    let calls = read_calls(body, prompt);
    if !calls.is_empty() {
        return Form::Calls(calls);
    }
    let format = body.get("response_format").or_else(|| body.pointer("/output_config/format"));
    let format = format.or_else(|| body.get("output_format")).unwrap_or(&Value::Null);
    match format.get("type").and_then(Value::as_str) {
        Some("json_schema") => {
            let schema = format.pointer("/json_schema/schema").or_else(|| format.get("schema"));
            Form::Json(schema.cloned().unwrap_or(Value::Null))
        }
        Some("json_object") => Form::Json(serde_json::json!({
            "type": "object", "properties": {"answer": {"type": "string"}}
        })),
        _ => Form::Text,
    }
}

/// The tools to call: the one that `tool_choice` names, else those that the text asks for.
fn read_calls(body: &Value, prompt: &str) -> Vec<(String, Value)> {
    let tools: Vec<_> = parts(body.get("tools").unwrap_or(&Value::Null)).filter_map(tool).collect();
    let choice = body.get("tool_choice").unwrap_or(&Value::Null);
    let named = choice.pointer("/function/name").or_else(|| choice.get("name"));
    if let Some(name) = named.and_then(Value::as_str) {
        return tools.into_iter().filter(|(tool, _)| tool == name).take(1).collect();
    }
    let mode = choice.as_str().or_else(|| choice.get("type").and_then(Value::as_str));
    match mode {
        Some("none") => Vec::new(),
        Some("required" | "any") => asked_for(tools, prompt, Pressure::Required),
        _ => asked_for(tools, prompt, Pressure::Free),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pressure {
    Free,
    Required,
}

/// Tools whose name, or a word of it, is in the text: one, or each of them if it says "parallel".
fn asked_for(
    tools: Vec<(String, Value)>,
    prompt: &str,
    pressure: Pressure,
) -> Vec<(String, Value)> {
    let prompt = prompt.to_lowercase();
    if prompt.contains("parallel") {
        return tools;
    }
    let mentioned = |name: &str| {
        let name = name.to_lowercase();
        name.split('_').any(|word| word.len() > CHARS_PER_TOKEN && prompt.contains(word))
    };
    let chosen = tools.iter().position(|(name, _)| mentioned(name));
    let wanted = pressure == Pressure::Required || prompt.contains("weather");
    let chosen = chosen.or(if wanted { Some(0) } else { None });
    chosen.and_then(|index| tools.into_iter().nth(index)).into_iter().collect()
}

/// Name and argument schema of a tool in either dialect.
fn tool(tool: &Value) -> Option<(String, Value)> {
    let function = tool.get("function").unwrap_or(tool);
    let name = function.get("name").and_then(Value::as_str)?;
    let schema = function.get("parameters").or_else(|| function.get("input_schema"));
    Some((name.to_owned(), schema.cloned().unwrap_or(Value::Null)))
}
