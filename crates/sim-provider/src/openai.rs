//! Writes answers down as OpenAI does: chat and text completions, whole and streamed, embeddings, models.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::answer::{Answer, Call, Choice, Finish};
use crate::ask::{Ask, Dialect, count_tokens};
use crate::script::Step;

/// A fixed time of creation, so that equal requests get equal answers.
const CREATED: u64 = 1_700_000_000;
const FINGERPRINT: &str = "fp_sim";
/// Numbers in an embedding unless `dimensions` says otherwise.
const DIMENSIONS: u64 = 8;
const DIMENSIONS_MAX: u64 = 4096;

/// A whole, unstreamed answer.
#[must_use]
pub fn whole(ask: &Ask, answer: &Answer, id: u64) -> Vec<u8> {
    let (object, prefix) = names(ask.dialect);
    let choices: Vec<Value> = answer
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| {
            let mut body = match ask.dialect {
                Dialect::Completion => json!({"text": choice.text()}),
                Dialect::Chat | Dialect::Plain | Dialect::Anthropic => {
                    json!({"message": message(choice, id)})
                }
            };
            if let Value::Object(fields) = &mut body {
                fields.insert("index".to_owned(), index.into());
                fields.insert("logprobs".to_owned(), Value::Null);
                fields.insert("finish_reason".to_owned(), finish_name(choice.finish).into());
            }
            body
        })
        .collect();
    let body = json!({
        "id": format!("{prefix}-sim-{id}"),
        "object": object,
        "created": CREATED,
        "model": ask.model,
        "choices": choices,
        "usage": usage(answer),
        "system_fingerprint": FINGERPRINT,
    });
    body.to_string().into_bytes()
}

/// The steps of a streamed answer, without pauses.
#[must_use]
pub fn streamed(ask: &Ask, answer: &Answer, id: u64) -> Vec<Step> {
    let writer = ChunkWriter::new(ask, id);
    let mut steps = Vec::new();
    let choices = || answer.choices.iter().enumerate();
    if ask.dialect != Dialect::Completion {
        let role = r#"{"role":"assistant","content":"","refusal":null}"#;
        steps.extend(choices().map(|(index, _)| Step::Frame(writer.delta(index, role, None))));
    }
    let longest = choices().map(|(_, choice)| choice.pieces.len()).max().unwrap_or(0);
    for position in 0..longest {
        steps.extend(choices().filter_map(|(index, choice)| {
            Some(Step::Data(writer.text(index, choice.pieces.get(position)?), 1))
        }));
    }
    for (index, choice) in choices() {
        for (call_index, call) in choice.calls.iter().enumerate() {
            push_call(&mut steps, &writer, (index, call_index, id), call);
        }
    }
    steps.extend(choices().map(|(index, choice)| Step::Frame(writer.end(index, choice.finish))));
    if ask.include_usage {
        steps.push(Step::Frame(writer.usage(answer)));
    }
    steps.push(Step::Terminal(Bytes::from_static(b"data: [DONE]\n\n")));
    steps
}

fn push_call(
    steps: &mut Vec<Step>,
    writer: &ChunkWriter,
    (choice, index, id): (usize, usize, u64),
    call: &Call,
) {
    let opening = json!({"tool_calls": [{
        "index": index, "id": call_id(id, index), "type": "function",
        "function": {"name": call.name, "arguments": ""},
    }]});
    steps.push(Step::Frame(writer.delta(choice, &opening.to_string(), None)));
    steps.extend(call.pieces.iter().map(|piece| {
        let delta = json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]});
        Step::Data(writer.delta(choice, &delta.to_string(), None), 1)
    }));
}

/// An otherwise valid chunk whose content has this many bytes.
#[must_use]
pub fn huge_event(ask: &Ask, id: u64, bytes: usize) -> Bytes {
    ChunkWriter::new(ask, id).text(0, &"x".repeat(bytes))
}

/// Joins what is equal in all chunks of a stream with what is not.
struct ChunkWriter {
    dialect: Dialect,
    head: String,
    tail: &'static str,
}

impl ChunkWriter {
    fn new(ask: &Ask, id: u64) -> Self {
        let (object, prefix) = names(ask.dialect);
        let object = match ask.dialect {
            Dialect::Chat => "chat.completion.chunk",
            Dialect::Completion | Dialect::Plain | Dialect::Anthropic => object,
        };
        let model = Value::from(ask.model.as_str());
        let head = format!(
            r#"data: {{"id":"{prefix}-sim-{id}","object":"{object}","created":{CREATED},"model":{model},"system_fingerprint":"{FINGERPRINT}","choices":["#
        );
        let tail = if ask.include_usage { "],\"usage\":null}\n\n" } else { "]}\n\n" };
        Self { dialect: ask.dialect, head, tail }
    }

    fn text(&self, index: usize, text: &str) -> Bytes {
        let text = Value::from(text);
        match self.dialect {
            Dialect::Completion => self.choice(&format!(
                r#"{{"index":{index},"text":{text},"logprobs":null,"finish_reason":null}}"#
            )),
            Dialect::Chat | Dialect::Plain | Dialect::Anthropic => {
                self.delta(index, &format!(r#"{{"content":{text}}}"#), None)
            }
        }
    }

    fn end(&self, index: usize, finish: Finish) -> Bytes {
        let reason = finish_name(finish);
        match self.dialect {
            Dialect::Completion => self.choice(&format!(
                r#"{{"index":{index},"text":"","logprobs":null,"finish_reason":"{reason}"}}"#
            )),
            Dialect::Chat | Dialect::Plain | Dialect::Anthropic => {
                self.delta(index, "{}", Some(reason))
            }
        }
    }

    fn delta(&self, index: usize, delta: &str, finish: Option<&str>) -> Bytes {
        let finish = finish.map_or(Value::Null, Value::from);
        self.choice(&format!(
            r#"{{"index":{index},"delta":{delta},"logprobs":null,"finish_reason":{finish}}}"#
        ))
    }

    fn choice(&self, choice: &str) -> Bytes {
        Bytes::from([&self.head, choice, self.tail].concat())
    }

    fn usage(&self, answer: &Answer) -> Bytes {
        Bytes::from(format!("{}],\"usage\":{}}}\n\n", self.head, usage(answer)))
    }
}

/// The models for `GET /v1/models`.
#[must_use]
pub fn models(ids: &[String], owner: &str) -> Value {
    let data: Vec<Value> = ids.iter().map(|id| model(id, owner)).collect();
    json!({"object": "list", "data": data})
}

/// One model for `GET /v1/models/{id}`.
#[must_use]
pub fn model(id: &str, owner: &str) -> Value {
    json!({"id": id, "object": "model", "created": CREATED, "owned_by": owner})
}

/// The answer to an embeddings request; none if `input` is missing or of a wrong type.
#[must_use]
pub fn embeddings(body: &Value) -> Option<Value> {
    let inputs = inputs(body.get("input")?)?;
    let dimensions = body.get("dimensions").and_then(Value::as_u64).unwrap_or(DIMENSIONS);
    let base64 = body.get("encoding_format").and_then(Value::as_str) == Some("base64");
    let vector = |text: &String| embedding(text, dimensions.clamp(1, DIMENSIONS_MAX));
    let written = |numbers: Vec<f32>| {
        if base64 { Value::from(to_base64(&numbers)) } else { Value::from(numbers) }
    };
    let data: Vec<Value> = inputs.iter().enumerate().map(|(index, text)| {
        json!({"object": "embedding", "index": index, "embedding": written(vector(text))})
    }).collect();
    let tokens: u32 = inputs.iter().map(|text| count_tokens(text)).fold(0, u32::saturating_add);
    Some(json!({
        "object": "list",
        "data": data,
        "model": body.get("model"),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }))
}

/// A text, texts, token ids or lists of token ids: as texts.
fn inputs(input: &Value) -> Option<Vec<String>> {
    match input {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            Some(items.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        }
        Value::Array(items) if items.iter().all(Value::is_number) => Some(vec![joined(items)]),
        Value::Array(items) => {
            items.iter().map(|item| item.as_array().map(|ids| joined(ids))).collect()
        }
        _ => None,
    }
}

fn joined(ids: &[Value]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// A unit vector that depends on every byte of the text.
fn embedding(text: &str, dimensions: u64) -> Vec<f32> {
    let seed = text.bytes().fold(0, |seed, byte| crate::draw::draw(seed, u64::from(byte)));
    let raw: Vec<f32> = (0..dimensions)
        .map(|n| f32::from(crate::draw::permille(seed, n)) / 1000.0 - 0.4995)
        .collect();
    let norm = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
    raw.into_iter().map(|x| x / norm).collect()
}

/// Standard base64 (RFC 4648) of little-endian 32-bit floats, as OpenAI encodes embeddings.
fn to_base64(numbers: &[f32]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for position in 0..4 {
            let index = (bits >> (18 - 6 * position)) & 63;
            let letter = ALPHABET.get(usize::try_from(index).unwrap_or(0)).copied();
            text.push(if position > group.len() {
                '='
            } else {
                char::from(letter.unwrap_or(b'='))
            });
        }
    }
    text
}

fn names(dialect: Dialect) -> (&'static str, &'static str) {
    match dialect {
        Dialect::Completion => ("text_completion", "cmpl"),
        Dialect::Chat | Dialect::Plain | Dialect::Anthropic => ("chat.completion", "chatcmpl"),
    }
}

fn message(choice: &Choice, id: u64) -> Value {
    let calls: Vec<Value> = choice
        .calls
        .iter()
        .enumerate()
        .map(|(index, call)| {
            json!({"id": call_id(id, index), "type": "function",
               "function": {"name": call.name, "arguments": call.pieces.concat()}})
        })
        .collect();
    if calls.is_empty() {
        json!({"role": "assistant", "content": choice.text(), "refusal": null})
    } else {
        json!({"role": "assistant", "content": null, "refusal": null, "tool_calls": calls})
    }
}

fn call_id(id: u64, index: usize) -> String {
    format!("call_sim_{id}_{index}")
}

fn usage(answer: &Answer) -> Value {
    let (prompt, completion) = (answer.prompt_tokens, answer.completion_tokens());
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt.saturating_add(completion),
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    })
}

fn finish_name(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopText => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
    }
}
