//! Chunks as providers stream them.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn scan(text: &str) -> ChunkScan {
    scan_chunk(text.as_bytes()).unwrap()
}

#[test]
fn a_role_or_an_empty_delta_is_not_content() {
    for (choice, content) in [
        (r#"{"delta":{"role":"assistant"}}"#, false),
        (r#"{"delta":{"role":"assistant","content":""}}"#, false),
        (r#"{"delta":{}}"#, false),
        (r#"{"delta":{"content":null}}"#, false),
        (r#"{"delta":{"content":" "}}"#, true),
        (r#"{"delta":{"tool_calls":[{"index":0}]}}"#, true),
        (r#"{"delta":{"refusal":"n"}}"#, true),
        (r#"{"delta":{"reasoning":"r"}}"#, true),
        (r#"{"text":""}"#, false),
        (r#"{"text":"x"}"#, true),
    ] {
        let text = format!(r#"{{"id":"c","choices":[{choice}],"usage":null}}"#);
        let found = scan(&text);
        assert_eq!(found.content, content, "{choice}");
        assert!(!found.choices_empty && !found.done && found.usage.is_none());
    }
}

#[test]
fn reads_the_end_of_a_stream() {
    assert!(scan("[DONE]").done);
    assert!(scan(" [DONE]\r").done);
    for (name, reason) in [
        ("stop", FinishReason::Stop),
        ("length", FinishReason::Length),
        ("tool_calls", FinishReason::ToolCalls),
        ("function_call", FinishReason::ToolCalls),
        ("content_filter", FinishReason::ContentFilter),
        ("error", FinishReason::Error),
        ("eos", FinishReason::Other),
    ] {
        let text = format!(r#"{{"choices":[{{"delta":{{}},"finish_reason":"{name}"}}]}}"#);
        assert_eq!(scan(&text).finish_reason, Some(reason));
    }
    assert_eq!(scan(r#"{"choices":[{"finish_reason":null}]}"#).finish_reason, None);
    let usage = scan(r#"{"choices":[],"usage":{"prompt_tokens":4,"completion_tokens":5}}"#);
    assert!(usage.choices_empty);
    assert_eq!(usage.usage.unwrap().total, 9);
}

#[test]
fn an_error_wins_over_another_end() {
    let found = scan(r#"{"choices":[{"finish_reason":"error"},{"finish_reason":"stop"}]}"#);
    assert_eq!(found.finish_reason, Some(FinishReason::Error));
}

#[test]
fn finds_errors() {
    assert_eq!(scan(r#"{"error":{"code":429}}"#).error.unwrap().status, Some(429));
    assert!(scan(r#"{"error":{}}"#).error.is_some());
}

#[test]
fn rewrites_only_model_and_usage() {
    let text = r#"{"id":"c", "model":"m","choices":[{"delta":{"content":"é\n"}}]}"#;
    let found = rewrite_chunk(text.as_bytes(), &scan(text), "to/it", None);
    assert_eq!(found, text.replace("\"m\"", "\"to/it\""));
    let usage = UsageOut { tokens: Usage::default(), cost_pico_usd: 0, cost_details: &[] };
    let text = r#"{"model":"m","choices":[],"usage":{"prompt_tokens":1}}"#;
    let found = rewrite_chunk(text.as_bytes(), &scan(text), "m", Some(&usage));
    let expected =
        r#"{"model":"m","choices":[],"usage":{"prompt_tokens":1,"cost":0,"cost_details":{}}}"#;
    assert_eq!(found, expected);
}

#[test]
fn usage_beside_content_can_be_taken_out() {
    let text = r#"{"model":"m","usage":{"prompt_tokens":1},"choices":[{"finish_reason":"stop"}]}"#;
    let found = without_usage(text.as_bytes(), &scan(text), "to");
    assert_eq!(found, r#"{"model":"to","usage":null,"choices":[{"finish_reason":"stop"}]}"#);
}

#[test]
fn our_own_usage_chunk_is_a_usage_chunk() {
    let tokens = Usage { prompt_tokens: 1, completion_tokens: 2, total: 3, ..Usage::default() };
    let usage = UsageOut { tokens, cost_pico_usd: 1, cost_details: &[] };
    for operation in [Operation::Chat, Operation::Completion] {
        let chunk = usage_chunk(operation, "i\"d", "m", 9, &usage);
        let found = scan_chunk(&chunk).unwrap();
        assert_eq!(found.usage, Some(tokens));
        assert!(found.choices_empty && !found.content);
        let value: Value = serde_json::from_slice(&chunk).unwrap();
        assert_eq!((&value["id"], &value["created"]), (&Value::from("i\"d"), &Value::from(9)));
    }
}

#[test]
fn what_is_not_one_object_is_undecodable() {
    for text in ["", "DONE", "[DONE", "[]", "{", "{}{}", "ping"] {
        assert!(scan_chunk(text.as_bytes()).is_err(), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = scan_chunk(&bytes);
    }

    #[test]
    fn a_cut_chunk_is_undecodable(cut in 1_usize..130) {
        let text = r#"{"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}],"usage":{"prompt_tokens":1}}"#;
        let cut = cut.min(text.len() - 1);
        prop_assert!(scan_chunk(&text.as_bytes()[..cut]).is_err());
    }
}
