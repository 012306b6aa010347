//! Writes answers down as Anthropic does: messages, whole and as named events.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::answer::{Answer, Choice, Finish};
use crate::ask::Ask;
use crate::script::Step;

/// A whole, unstreamed message. Anthropic knows one choice only: the first.
#[must_use]
pub fn whole(ask: &Ask, answer: &Answer, id: u64) -> Vec<u8> {
    let Some(choice) = answer.choices.first() else { return Vec::new() };
    let text = choice.text();
    let mut content = Vec::new();
    if !text.is_empty() {
        content.push(json!({"type": "text", "text": text, "citations": null}));
    }
    content.extend(choice.calls.iter().enumerate().map(|(index, call)| {
        let input: Value = serde_json::from_str(&call.pieces.concat()).unwrap_or(Value::Null);
        json!({"type": "tool_use", "id": call_id(id, index), "name": call.name, "input": input})
    }));
    let mut message = message(ask, answer, id);
    if let Value::Object(fields) = &mut message {
        fields.insert("content".to_owned(), content.into());
        fields.insert("stop_reason".to_owned(), stop_reason(choice.finish).into());
        fields.insert("stop_sequence".to_owned(), stop_sequence(ask, choice));
        fields.insert("usage".to_owned(), usage(answer, answer.completion_tokens()));
    }
    message.to_string().into_bytes()
}

/// The steps of a streamed message, without pauses.
#[must_use]
pub fn streamed(ask: &Ask, answer: &Answer, id: u64) -> Vec<Step> {
    let Some(choice) = answer.choices.first() else { return Vec::new() };
    let start = json!({"type": "message_start", "message": message(ask, answer, id)});
    let mut steps = vec![frame(&start)];
    let mut index = 0;
    if !choice.pieces.is_empty() {
        let block = json!({"type": "text", "text": ""});
        steps.push(block_start(index, &block));
        steps.push(frame(&json!({"type": "ping"})));
        steps.extend(choice.pieces.iter().map(|piece| text_delta(index, piece)));
        steps.push(block_stop(index));
        index += 1;
    }
    for call in &choice.calls {
        let id = call_id(id, index);
        let block = json!({"type": "tool_use", "id": id, "name": call.name, "input": {}});
        steps.push(block_start(index, &block));
        steps.extend(call.pieces.iter().map(|piece| {
            delta(index, &json!({"type": "input_json_delta", "partial_json": piece}))
        }));
        steps.push(block_stop(index));
        index += 1;
    }
    steps.push(frame(&json!({
        "type": "message_delta",
        "delta": {"stop_reason": stop_reason(choice.finish), "stop_sequence": stop_sequence(ask, choice)},
        "usage": usage(answer, answer.completion_tokens()),
    })));
    steps.push(Step::Terminal(event(&json!({"type": "message_stop"}))));
    steps
}

/// An event with its name, which Anthropic takes from the `type` of its data.
#[must_use]
pub fn event(data: &Value) -> Bytes {
    let name = data.get("type").and_then(Value::as_str).unwrap_or("error");
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// An otherwise valid event whose content has this many bytes.
#[must_use]
pub fn huge_event(bytes: usize) -> Bytes {
    event(&json!({
        "type": "content_block_delta", "index": 0,
        "delta": {"type": "text_delta", "text": "x".repeat(bytes)},
    }))
}

fn frame(data: &Value) -> Step {
    Step::Frame(event(data))
}

fn block_start(index: usize, block: &Value) -> Step {
    frame(&json!({"type": "content_block_start", "index": index, "content_block": block}))
}

fn block_stop(index: usize) -> Step {
    frame(&json!({"type": "content_block_stop", "index": index}))
}

fn text_delta(index: usize, text: &str) -> Step {
    delta(index, &json!({"type": "text_delta", "text": text}))
}

fn delta(index: usize, delta: &Value) -> Step {
    let data = json!({"type": "content_block_delta", "index": index, "delta": delta});
    Step::Data(event(&data), 1)
}

fn message(ask: &Ask, answer: &Answer, id: u64) -> Value {
    json!({
        "id": format!("msg_sim_{id}"),
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": usage(answer, 1),
    })
}

fn usage(answer: &Answer, output_tokens: u32) -> Value {
    json!({
        "input_tokens": answer.prompt_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
    })
}

fn call_id(id: u64, index: usize) -> String {
    format!("toolu_sim_{id}_{index}")
}

/// The stop text that ended the answer: Anthropic names it, so the first one asked for is given.
fn stop_sequence(ask: &Ask, choice: &Choice) -> Value {
    match choice.finish {
        Finish::StopText => ask.stops.first().map_or(Value::Null, |stop| stop.as_str().into()),
        Finish::Stop | Finish::Length | Finish::ToolCalls | Finish::ContentFilter => Value::Null,
    }
}

fn stop_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::StopText => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::ContentFilter => "refusal",
    }
}
