//! Stories about streamed events.

use trunkline_proto::inference::v1::{Delta, FinishReason, Role, StreamChoice, ToolCallDelta};

use super::*;

fn event(data: &str) -> ChatStreamResponse {
    chunk(data.as_bytes()).unwrap().unwrap()
}

#[test]
fn a_piece_of_text_is_one_delta() {
    let got = event(
        r#"{"id":"g","object":"chat.completion.chunk","created":5,"model":"m","provider":"p",
            "choices":[{"index":0,"delta":{"role":"assistant","content":"Hi"},"finish_reason":null,
                        "native_finish_reason":null,"logprobs":null}]}"#,
    );
    let delta =
        Delta { role: Role::Assistant.into(), content: Some("Hi".into()), ..Delta::default() };
    let expected = ChatStreamResponse {
        id: "g".into(),
        created: 5,
        model: "m".into(),
        provider: "p".into(),
        choices: vec![StreamChoice { delta: Some(delta), ..StreamChoice::default() }],
        ..ChatStreamResponse::default()
    };
    assert_eq!(got, expected);
}

#[test]
fn pieces_of_a_tool_call_keep_what_the_provider_added() {
    let got = event(
        r#"{"choices":[{"delta":{"tool_calls":[
            {"index":1,"id":"c","type":"function","function":{"name":"f","arguments":"","sig":"s"}},
            {"index":1,"function":{"arguments":"{\"a\""}}]}}]}"#,
    );
    let calls = &got.choices[0].delta.as_ref().unwrap().tool_calls;
    assert_eq!((calls[0].id.as_deref(), calls[0].name.as_deref()), (Some("c"), Some("f")));
    assert!(calls[0].extra.as_ref().unwrap().fields.contains_key("function"));
    let second =
        ToolCallDelta { index: 1, arguments: Some(r#"{"a""#.into()), ..ToolCallDelta::default() };
    assert_eq!(calls[1], second);
}

#[test]
fn the_last_event_carries_reason_and_usage() {
    let got = event(
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"length"}],
            "usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#,
    );
    assert_eq!(got.choices[0].finish_reason(), FinishReason::Length);
    assert_eq!(got.choices[0].delta, Some(Delta::default()));
    assert_eq!(got.usage.unwrap().total_tokens, 3);
}

#[test]
fn unknown_members_of_every_level_survive() {
    let got =
        event(r#"{"x":1,"choices":[{"y":2,"delta":{"reasoning_content":"hm","z":{"n":16}}}]}"#);
    assert!(got.extra.unwrap().fields.contains_key("x"));
    assert!(got.choices[0].extra.as_ref().unwrap().fields.contains_key("y"));
    let delta = got.choices[0].delta.as_ref().unwrap();
    let names: Vec<_> = delta.extra.as_ref().unwrap().fields.keys().collect();
    assert_eq!(names, ["reasoning_content", "z"]);
}

#[test]
fn an_error_event_keeps_its_error() {
    let got = event(
        r#"{"error":{"code":502,"message":"gone"},
            "choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}"#,
    );
    assert_eq!(got.choices[0].finish_reason(), FinishReason::Error);
    assert!(got.extra.unwrap().fields.contains_key("error"));
}

#[test]
fn the_end_and_empty_data_are_no_events() {
    for data in ["[DONE]", " [DONE]\n", "", "  "] {
        assert_eq!(chunk(data.as_bytes()), Ok(None));
    }
}

#[test]
fn a_broken_event_is_undecodable() {
    assert_eq!(chunk(b"{\"choices\":[{").unwrap_err().problem, "cut short");
    assert_eq!(chunk(b"[1]").unwrap_err().problem, "of another shape than expected");
    assert_eq!(chunk(b"oops").unwrap_err().problem, "not JSON");
}
