//! Whole answers, errors and model lists of the provider, and what callers see of them.
#![expect(clippy::unwrap_used, reason = "a broken translation should fail the story at once")]

use serde_json::{Value, json};
use trunkline_upstream::anthropic::{error, models, response};

fn completion(answer: &Value) -> Value {
    let bytes = response::to_completion(answer.to_string().as_bytes(), "house/model", 17).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn answer(content: &Value, stop_reason: &Value) -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x",
        "content": content, "stop_reason": stop_reason, "stop_sequence": null,
        "usage": {"input_tokens": 3, "output_tokens": 5},
    })
}

#[test]
fn a_plain_answer() {
    let content = json!([{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]);
    assert_eq!(
        completion(&answer(&content, &json!("end_turn"))),
        json!({
            "id": "msg_1", "object": "chat.completion", "created": 17, "model": "house/model",
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": "Hello"},
                "finish_reason": "stop",
                "native_finish_reason": "end_turn",
            }],
            "usage": {
                "prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8,
                "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            },
        })
    );
}

#[test]
fn every_stop_reason() {
    let table = [
        (json!("end_turn"), "stop"),
        (json!("stop_sequence"), "stop"),
        (json!("pause_turn"), "stop"),
        (json!("max_tokens"), "length"),
        (json!("model_context_window_exceeded"), "length"),
        (json!("tool_use"), "tool_calls"),
        (json!("refusal"), "content_filter"),
        (json!("of_tomorrow"), "stop"),
        (Value::Null, "stop"),
    ];
    for (reason, finish) in table {
        let seen = completion(&answer(&json!([]), &reason));
        assert_eq!(seen["choices"][0]["finish_reason"], finish, "{reason}");
        assert_eq!(seen["choices"][0]["message"]["content"], "");
    }
}

#[test]
fn tool_calls_keep_their_text_and_thoughts_their_signature() {
    let body = br#"{"id":"m","type":"message","usage":{},"stop_reason":"tool_use","content":[
        {"type":"thinking","thinking":"Hm","signature":"sig"},
        {"type":"redacted_thinking","data":"xyz"},
        {"type":"server_tool_use","id":"s","name":"web_search","input":{}},
        {"type":"web_search_tool_result","tool_use_id":"s","content":[],"data":{"a":1}},
        {"type":"tool_use","id":"t","name":"f","input":{"z":1.10,"a":123456789012345678901}},
        {"type":"tool_use","id":"u","name":"g"}]}"#;
    let bytes = response::to_completion(body, "m", 0).unwrap();
    let seen: Value = serde_json::from_slice(&bytes).unwrap();
    let format = "anthropic-claude-v1";
    assert_eq!(
        seen["choices"][0]["message"],
        json!({
            "role": "assistant",
            "content": null,
            "reasoning": "Hm",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "Hm", "signature": "sig", "format": format, "index": 0},
                {"type": "reasoning.encrypted", "data": "xyz", "format": format, "index": 1},
            ],
            "tool_calls": [
                {"id": "t", "type": "function",
                 "function": {"name": "f", "arguments": "{\"z\":1.10,\"a\":123456789012345678901}"}},
                {"id": "u", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        })
    );
}

#[test]
fn cached_tokens_count_as_prompt() {
    let mut body = answer(&json!([]), &json!("end_turn"));
    body["usage"] = json!({
        "input_tokens": 3, "output_tokens": 5, "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 20, "output_tokens_details": {"thinking_tokens": 4},
    });
    assert_eq!(
        completion(&body)["usage"],
        json!({
            "prompt_tokens": 123, "completion_tokens": 5, "total_tokens": 128,
            "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 20},
            "completion_tokens_details": {"reasoning_tokens": 4},
        })
    );
    body["usage"] =
        json!({"input_tokens": u64::MAX, "output_tokens": 5, "cache_read_input_tokens": null});
    assert_eq!(completion(&body)["usage"]["total_tokens"], u64::MAX);
}

#[test]
fn what_is_no_answer_is_undecodable() {
    let table = [
        json!({"type": "error", "error": {"type": "api_error", "message": "x"}}).to_string(),
        json!({"id": "m", "type": "message", "usage": {}}).to_string(),
        json!({"id": "m", "type": "message", "usage": {}, "content": [{"type": "tool_use"}]})
            .to_string(),
        json!({"id": "m", "type": "completion", "usage": {}, "content": []}).to_string(),
        answer(&json!([]), &json!("end_turn")).to_string().replace("end_turn\"", "end_turn"),
        "<html>".to_owned(),
        String::new(),
    ];
    for body in table {
        assert!(response::to_completion(body.as_bytes(), "m", 0).is_err(), "{body}");
    }
}

/// Type, param and code that callers see for an error of the provider.
fn seen_error(status: u16, kind: &str, message: &str) -> [String; 3] {
    let body = json!({"type": "error", "error": {"type": kind, "message": message}});
    let seen = error::to_openai(status, body.to_string().as_bytes());
    let seen: Value = serde_json::from_slice(&seen).unwrap();
    let error = seen.get("error").unwrap();
    assert_eq!(error.get("message").unwrap(), message);
    ["type", "param", "code"].map(|name| match error.get(name).unwrap() {
        Value::String(word) => word.clone(),
        other => other.to_string(),
    })
}

#[test]
fn every_kind_of_error() {
    let bad = "invalid_request_error";
    let table = [
        (401, "authentication_error", ["authentication_error", "null", "invalid_api_key"]),
        (402, "billing_error", ["insufficient_quota", "null", "insufficient_quota"]),
        (403, "permission_error", ["permission_error", "null", "permission_denied"]),
        (404, "not_found_error", [bad, "null", "not_found"]),
        (409, "conflict_error", [bad, "null", "conflict"]),
        (413, "request_too_large", [bad, "null", "request_too_large"]),
        (429, "rate_limit_error", ["rate_limit_error", "null", "rate_limit_exceeded"]),
        (500, "api_error", ["server_error", "null", "server_error"]),
        (504, "timeout_error", ["server_error", "null", "timeout"]),
        (529, "overloaded_error", ["server_error", "null", "overloaded"]),
        (418, "teapot_error", [bad, "null", "null"]),
    ];
    for (status, kind, seen) in table {
        assert_eq!(seen_error(status, kind, "Sorry"), seen, "{kind}");
    }
}

#[test]
fn errors_that_only_their_phrase_tells_apart() {
    let bad = "invalid_request_error";
    let too_long = [bad, "messages", "context_length_exceeded"];
    let table = [
        (bad, "messages: bad", [bad, "null", "null"]),
        (bad, "prompt is too long: 9 tokens > 8 maximum", too_long),
        (bad, "input length and `max_tokens` exceed context limit: 9", too_long),
        (
            bad,
            "Your credit balance is too low",
            ["insufficient_quota", "null", "insufficient_quota"],
        ),
        ("not_found_error", "model: claude-0", [bad, "model", "model_not_found"]),
        ("overloaded_error", "prompt is too long", ["server_error", "null", "overloaded"]),
    ];
    for (kind, message, seen) in table {
        assert_eq!(seen_error(400, kind, message), seen, "{message}");
    }
}

#[test]
fn an_error_page_is_told_but_not_echoed() {
    for (status, code) in [(502, "server_error"), (503, "overloaded"), (429, "rate_limit_exceeded")]
    {
        let seen = error::to_openai(status, b"<html>key sk-ant-1 from 10.0.0.1</html>");
        let seen: Value = serde_json::from_slice(&seen).unwrap();
        assert_eq!(seen["error"]["code"], code);
        let message = seen["error"]["message"].as_str().unwrap();
        assert!(message.contains(&status.to_string()) && !message.contains("sk-ant"));
    }
}

#[test]
fn a_huge_error_message_is_cut_between_characters() {
    let body = json!({"error": {"type": "invalid_request_error", "message": "é".repeat(5000)}});
    let seen = error::to_openai(400, body.to_string().as_bytes());
    let seen: Value = serde_json::from_slice(&seen).unwrap();
    assert_eq!(seen["error"]["message"].as_str().unwrap().chars().count(), 1001);
}

#[test]
fn the_model_list() {
    let body = json!({
        "data": [
            {"type": "model", "id": "claude-b", "display_name": "B", "created_at": "2026-01-01T00:00:00Z"},
            {"type": "model", "id": "claude-a"},
        ],
        "has_more": false, "first_id": "claude-b", "last_id": "claude-a",
    });
    assert_eq!(models::ids(body.to_string().as_bytes()).unwrap(), ["claude-b", "claude-a"]);
    assert!(models::ids(b"{\"data\": 3}").is_err());
}
