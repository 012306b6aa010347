//! Answers as providers send them.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn chat(text: &str) -> AnswerScan {
    scan_answer(Operation::Chat, text.as_bytes()).unwrap()
}

fn cost() -> UsageOut<'static> {
    UsageOut {
        tokens: Usage { prompt_tokens: 3, completion_tokens: 4, total: 7, ..Usage::default() },
        cost_pico_usd: 1_500_000,
        cost_details: &[("prompt", 500_000), ("completion", 1_000_000)],
    }
}

fn rewritten(text: &str) -> String {
    let bytes =
        rewrite_answer(&Bytes::copy_from_slice(text.as_bytes()), &chat(text), "to", &cost());
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn reads_an_answer() {
    let text = r#"{"id":"x-1","object":"chat.completion","model":"theirs","choices":[{"index":0,
        "message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],
        "usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
    let found = chat(text);
    assert_eq!(found.id.as_deref(), Some("x-1"));
    assert_eq!(&text[found.model.unwrap()], r#""theirs""#);
    assert_eq!(found.usage.unwrap().total, 3);
    assert_eq!(found.finish_reason, Some(FinishReason::Stop));
    assert!(found.content && found.error.is_none());
}

#[test]
fn content_is_whatever_says_something() {
    for (message, content) in [
        (r#"{"content":"x"}"#, true),
        (r#"{"content":""}"#, false),
        (r#"{"content":null}"#, false),
        (r#"{"role":"assistant"}"#, false),
        (r#"{"content":null,"tool_calls":[{}]}"#, true),
        (r#"{"tool_calls":[]}"#, false),
        (r#"{"refusal":"no"}"#, true),
        (r#"{"reasoning":"hm"}"#, true),
        (r#"{"reasoning_content":"hm"}"#, true),
        (r#"{"audio":{"id":"a"}}"#, true),
        (r#"{"audio":null}"#, false),
        (r#"{"function_call":{"name":"f"}}"#, true),
        ("null", false),
    ] {
        let text = format!(r#"{{"choices":[{{"message":{message}}}]}}"#);
        assert_eq!(chat(&text).content, content, "{message}");
    }
    assert!(!chat(r#"{"choices":[]}"#).content);
    assert!(chat(r#"{"choices":[{"text":"x"}]}"#).content);
    assert!(chat(r#"{"choices":[{"message":{}},{"message":{"content":"x"}}]}"#).content);
    let embedding =
        |text: &str| scan_answer(Operation::Embedding, text.as_bytes()).unwrap().content;
    assert!(embedding(r#"{"data":[{"embedding":[0.1]}]}"#));
    assert!(!embedding(r#"{"data":[]}"#));
}

#[test]
fn finds_errors_in_a_200() {
    let error = chat(r#"{"error":{"message":"boom","code":503,"type":"t"}}"#).error.unwrap();
    assert_eq!(error.message.as_deref(), Some("boom"));
    assert_eq!((error.code.as_deref(), error.status), (Some("503"), Some(503)));
    assert_eq!(error.kind.as_deref(), Some("t"));
    assert!(!format!("{error:?}").contains("boom"), "a provider's words never reach a log");
    assert_eq!(chat(r#"{"error":"boom"}"#).error.unwrap().message.as_deref(), Some("boom"));
    assert!(
        chat(r#"{"choices":[{"error":{"code":"x"},"finish_reason":"error"}]}"#).error.is_some()
    );
    for none in [r#"{"error":null}"#, r#"{"error":""}"#, r#"{"error":false}"#] {
        assert_eq!(chat(none).error, None, "{none}");
    }
}

#[test]
fn what_is_not_one_object_is_undecodable() {
    for text in ["", "null", "[]", "{", "{}x", "\u{feff}{}", r#"{"a":"#] {
        assert!(scan_answer(Operation::Chat, text.as_bytes()).is_err(), "{text}");
    }
    assert!(scan_answer(Operation::Chat, b"{\"a\":\"\xff\"}").is_err());
}

#[test]
fn splices_model_and_cost() {
    let ours = r#""cost":0.0000015,"cost_details":{"prompt":0.0000005,"completion":0.000001}}"#;
    assert_eq!(
        rewritten(
            r#"{ "x":[1.0], "model" : "m" ,"usage": {"prompt_tokens":1, "n":{"y":2} } , "z":"é"}"#
        ),
        format!(
            r#"{{ "x":[1.0], "model" : "to" ,"usage": {{"prompt_tokens":1, "n":{{"y":2}},{ours} , "z":"é"}}"#
        ),
    );
    assert_eq!(
        rewritten(r#"{"usage":{"cost":9,"prompt_tokens":1,"cost_details":{"a":1}},"model":"m"}"#),
        format!(r#"{{"usage":{{"prompt_tokens":1,{ours},"model":"to"}}"#),
    );
}

#[test]
fn adds_what_is_missing() {
    for text in [r#"{"id":"x"}"#, "{}", r#"{"usage":null}"#, r#"{"model":"m","usage":{}}"#] {
        let value: Value = serde_json::from_str(&rewritten(text)).unwrap();
        assert_eq!(value["model"], "to", "{text}");
        assert_eq!(value["usage"]["total_tokens"], 7, "{text}");
        assert_eq!(value["usage"]["cost_details"]["completion"], 0.000_001, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = scan_answer(Operation::Chat, &bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_scans_rewrites_to_json(
        fields in prop::collection::vec((
            prop::sample::select(vec!["id", "model", "usage", "choices", "error", "x"]),
            prop::sample::select(vec![
                "null", "1", "\"s\"", "[]", "{}", "[{\"message\":{\"content\":\"c\"}}]",
                "{\"prompt_tokens\":1,\"cost\":2}", "[[[]]]", "-1.5e3",
            ]),
        ), 0..6),
        space in "[ \n]{0,2}",
    ) {
        let fields: Vec<_> = fields.iter().map(|(k, v)| format!("{space}\"{k}\":{v}{space}")).collect();
        let text = format!("{{{}}}", fields.join(","));
        let value: Value = serde_json::from_str(&rewritten(&text)).unwrap();
        prop_assert_eq!(&value["model"], "to");
        prop_assert!(value["usage"]["cost"].is_number());
    }
}
