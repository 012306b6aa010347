//! Streams of the provider's events and the chunks they become.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a broken translation should fail the story at once"
)]

use serde_json::{Value, json};
use trunkline_upstream::anthropic::stream::{StreamState, Translator};

/// Plays events, each under the name its type gives, and collects the chunks.
fn play(events: &[Value]) -> (StreamState, Vec<Value>) {
    let mut translator = Translator::new("house/model", 17);
    let mut out = Vec::new();
    let mut state = StreamState::Open;
    for event in events {
        let data = event.to_string();
        state = translator.event(event["type"].as_str(), data.as_bytes(), &mut out).unwrap();
    }
    (state, out.iter().map(|chunk| serde_json::from_slice(chunk).unwrap()).collect())
}

/// The deltas alone.
fn deltas(events: &[Value]) -> Vec<Value> {
    let (_, chunks) = play(events);
    chunks.iter().map(|chunk| chunk["choices"][0]["delta"].clone()).collect()
}

fn start() -> Value {
    json!({"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "content": [], "stop_reason": null,
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 1}}})
}

fn begin(index: u64, block: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn piece(index: u64, delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn end(index: u64) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

fn near_end(reason: &str) -> Value {
    json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": {"output_tokens": 12}})
}

fn stop() -> Value {
    json!({"type": "message_stop"})
}

fn text(text: &str) -> Value {
    json!({"type": "text_delta", "text": text})
}

fn role() -> Value {
    json!({"role": "assistant", "content": ""})
}

#[test]
fn a_text_from_role_to_usage() {
    let (state, chunks) = play(&[
        start(),
        begin(0, json!({"type": "text", "text": ""})),
        json!({"type": "ping"}),
        piece(0, text("Hel")),
        piece(0, text("lo")),
        end(0),
        near_end("end_turn"),
        stop(),
    ]);
    assert_eq!(state, StreamState::Done);
    let chunk = |choices: Value| json!({"id": "msg_1", "object": "chat.completion.chunk", "created": 17, "model": "house/model", "choices": choices});
    let delta = |delta: Value| chunk(json!([{"index": 0, "delta": delta, "finish_reason": null}]));
    let finish = json!([{"index": 0, "delta": {}, "finish_reason": "stop", "native_finish_reason": "end_turn"}]);
    let mut usage = chunk(json!([]));
    usage["usage"] = json!({
        "prompt_tokens": 100, "completion_tokens": 12, "total_tokens": 112,
        "prompt_tokens_details": {"cached_tokens": 90, "cache_write_tokens": 0},
    });
    assert_eq!(
        chunks,
        [
            delta(role()),
            delta(json!({"content": "Hel"})),
            delta(json!({"content": "lo"})),
            chunk(finish),
            usage,
        ]
    );
}

#[test]
fn tool_calls_are_counted_apart_from_blocks() {
    let call = |index: u64, id: &str| json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": {"name": "f", "arguments": ""}}]});
    let arguments = |index: u64, text: &str| json!({"tool_calls": [{"index": index, "function": {"arguments": text}}]});
    let tool =
        |id: &str, input: Value| json!({"type": "tool_use", "id": id, "name": "f", "input": input});
    let json_piece = |text: &str| json!({"type": "input_json_delta", "partial_json": text});
    let seen = deltas(&[
        start(),
        begin(0, json!({"type": "text", "text": "Let me"})),
        end(0),
        begin(1, tool("a", json!({}))),
        piece(1, json_piece("")),
        piece(1, json_piece("{\"x\":")),
        piece(1, json_piece("1}")),
        end(1),
        begin(2, tool("b", json!({}))),
        end(2),
        begin(3, tool("c", json!({"whole": true}))),
        near_end("tool_use"),
        stop(),
    ]);
    assert_eq!(
        seen,
        [
            role(),
            json!({"content": "Let me"}),
            call(0, "a"),
            arguments(0, "{\"x\":"),
            arguments(0, "1}"),
            call(1, "b"),
            arguments(1, "{}"),
            call(2, "c"),
            arguments(2, "{\"whole\":true}"),
            json!({}),
            Value::Null,
        ]
    );
}

#[test]
fn thoughts_come_as_reasoning_with_their_signature() {
    let thought = |fields: Value| {
        let mut thought =
            json!({"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0});
        thought.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!([thought])
    };
    let seen = deltas(&[
        start(),
        begin(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        piece(0, json!({"type": "thinking_delta", "thinking": "Hm"})),
        piece(0, json!({"type": "signature_delta", "signature": "sig"})),
        end(0),
        begin(1, json!({"type": "redacted_thinking", "data": "xyz"})),
        end(1),
    ]);
    assert_eq!(
        seen,
        [
            role(),
            json!({"reasoning": "Hm", "reasoning_details": thought(json!({"text": "Hm"}))}),
            json!({"reasoning_details": thought(json!({"signature": "sig"}))}),
            json!({"reasoning_details": [
                {"type": "reasoning.encrypted", "data": "xyz", "format": "anthropic-claude-v1", "index": 1}]}),
        ]
    );
}

#[test]
fn an_error_event_ends_the_stream() {
    let table = [
        ("overloaded_error", 529, 503),
        ("rate_limit_error", 429, 429),
        ("api_error", 500, 500),
        ("timeout_error", 504, 504),
        ("of_tomorrow", 500, 500),
    ];
    for (kind, status, code) in table {
        let event = json!({"type": "error", "error": {"type": kind, "message": "Sorry"}});
        let (state, chunks) = play(&[start(), event, piece(0, text("late")), stop()]);
        assert_eq!(state, StreamState::Failed { status }, "{kind}");
        assert_eq!(chunks.len(), 2, "nothing follows an error");
        assert_eq!(chunks[1]["error"]["code"], code);
        assert_eq!(chunks[1]["error"]["message"], "Sorry");
    }
}

#[test]
fn what_is_unknown_gives_nothing_and_what_is_broken_is_told() {
    let (state, chunks) = play(&[
        json!({"type": "of_tomorrow", "delta": 3, "index": "x"}),
        json!({"type": "ping"}),
        begin(0, json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}})),
        piece(0, json!({"type": "input_json_delta", "partial_json": "{}"})),
        piece(0, json!({"type": "citations_delta", "citation": {}})),
        end(0),
        end(7),
    ]);
    assert_eq!((state, chunks.len()), (StreamState::Open, 0));

    for (name, data) in [
        (Some("content_block_delta"), "{\"type\":\"content_block_delta\""),
        (Some("content_block_delta"), "{}"),
        (None, "{\"type\":\"message_start\"}"),
        (None, "[DONE]"),
        (None, ""),
    ] {
        let mut out = Vec::new();
        let outcome = Translator::new("m", 0).event(name, data.as_bytes(), &mut out);
        assert!(outcome.is_err() && out.is_empty(), "{data}");
    }
}

#[test]
fn text_before_the_start_still_comes_after_the_role() {
    let seen = deltas(&[piece(0, text("early")), start()]);
    assert_eq!(seen, [role(), json!({"content": "early"})]);
}

#[test]
fn the_name_stands_in_for_a_missing_type() {
    let mut out = Vec::new();
    let data = br#"{"index":0,"delta":{"type":"text_delta","text":"x"}}"#;
    Translator::new("m", 0).event(Some("content_block_delta"), data, &mut out).unwrap();
    assert_eq!(out.len(), 2);
}

#[test]
fn an_end_without_its_event_is_complete_only_after_a_stop_reason() {
    let finished = |events: &[Value]| {
        let mut translator = Translator::new("m", 0);
        let mut out = Vec::new();
        for event in events {
            translator.event(None, event.to_string().as_bytes(), &mut out).unwrap();
        }
        let before = out.len();
        let state = translator.end_of_input(&mut out).unwrap();
        (state, out.len() - before)
    };
    assert_eq!(finished(&[start(), piece(0, text("cut"))]), (StreamState::Open, 0));
    assert_eq!(finished(&[start(), near_end("end_turn")]), (StreamState::Done, 2));
    assert_eq!(finished(&[start(), near_end("end_turn"), stop()]), (StreamState::Done, 0));
}

#[test]
fn blocks_begun_and_never_ended_have_a_bound() {
    let mut translator = Translator::new("m", 0);
    let mut out = Vec::new();
    let mut begin_block = |index: u64| {
        let event = begin(index, json!({"type": "text", "text": ""}));
        translator.event(None, event.to_string().as_bytes(), &mut out)
    };
    assert!((0..128).all(|index| begin_block(index).is_ok()));
    assert!(begin_block(128).is_err());
}
