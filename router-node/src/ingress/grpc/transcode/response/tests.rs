//! Stories about answers: what the body says is what the message says.

use super::*;

const ANSWER: &str = r#"{
    "id": "gen-1", "object": "chat.completion", "created": 1763800000, "model": "llama",
    "provider": "acme", "system_fingerprint": "fp", "service_tier": null,
    "choices": [{
        "index": 0, "finish_reason": "tool_calls", "native_finish_reason": "TOOL", "logprobs": null,
        "message": {
            "role": "assistant", "content": "Gr\u00fc\u00df \"Gott\"", "refusal": null,
            "reasoning": "hm", "annotations": [{"n": 16}],
            "tool_calls": [{"id": "c1", "type": "function", "sig": "x",
                            "function": {"name": "f", "arguments": "{\"a\":1}"}}]
        }
    }],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "cost": 0.00001},
    "x_groq": {"id": "req"}
}"#;

fn names(extra: &Option<Struct>) -> Vec<&str> {
    extra.iter().flat_map(|extra| extra.fields.keys()).map(String::as_str).collect()
}

#[test]
fn an_answer_finds_its_fields() {
    let answer = chat(ANSWER.as_bytes()).unwrap();
    assert_eq!((answer.id.as_str(), answer.model.as_str()), ("gen-1", "llama"));
    assert_eq!((answer.created, answer.provider.as_str()), (1_763_800_000, "acme"));
    assert_eq!(answer.system_fingerprint.as_deref(), Some("fp"));
    assert_eq!(answer.service_tier, None);
    assert_eq!(answer.usage.unwrap().cost.as_deref(), Some("0.00001"));

    let choice = &answer.choices[0];
    assert_eq!(choice.finish_reason(), FinishReason::ToolCalls);
    assert_eq!(choice.native_finish_reason.as_deref(), Some("TOOL"));
    let message = choice.message.as_ref().unwrap();
    assert_eq!(message.role(), Role::Assistant);
    assert_eq!(message.body, Some(message::Body::Content("Grüß \"Gott\"".into())));
    assert_eq!((message.refusal.as_deref(), message.reasoning.as_deref()), (None, Some("hm")));
    let call = &message.tool_calls[0];
    assert_eq!(call.function.as_ref().unwrap().arguments, r#"{"a":1}"#);
}

#[test]
fn unknown_members_survive_where_they_were() {
    let answer = chat(ANSWER.as_bytes()).unwrap();
    assert_eq!(names(&answer.extra), ["x_groq"]);
    let message = answer.choices[0].message.as_ref().unwrap();
    assert_eq!(names(&message.extra), ["annotations"]);
    assert_eq!(names(&message.tool_calls[0].extra), ["sig"]);
    assert_eq!(names(&answer.choices[0].extra), [""; 0]);
}

#[test]
fn an_answer_can_be_sent_back_as_it_came() {
    let answer = chat(ANSWER.as_bytes()).unwrap();
    let messages = answer.choices.into_iter().filter_map(|choice| choice.message).collect();
    let request = trunkline_proto::inference::v1::ChatRequest { messages, ..Default::default() };
    let body = super::super::request::chat_body(&request, super::super::request::Reply::Whole);
    let body: serde_json::Value = serde_json::from_slice(&body.unwrap()).unwrap();
    let mut original: serde_json::Value = serde_json::from_str(ANSWER).unwrap();
    let message = original["choices"][0]["message"].as_object_mut().unwrap();
    message.remove("refusal");
    assert_eq!(body["messages"][0], serde_json::Value::from(message.clone()));
}

#[test]
fn members_of_an_odd_type_are_kept_aside() {
    let answer = chat(
        br#"{"id": 7, "created": 1.5, "choices": [{"index": 0, "finish_reason": "eos",
             "message": {"role": "critic", "content": [{"type": "text"}],
                         "tool_calls": [{"type": "custom", "custom": {"name": "x"}}]}}]}"#,
    )
    .unwrap();
    assert_eq!((answer.id.as_str(), names(&answer.extra)), ("", vec!["id"]));
    let choice = &answer.choices[0];
    assert_eq!(choice.finish_reason(), FinishReason::Other);
    assert_eq!(choice.native_finish_reason.as_deref(), Some("eos"));
    let message = choice.message.as_ref().unwrap();
    assert_eq!(message.body, None);
    assert_eq!(names(&message.extra), ["content", "role"]);
    assert_eq!(names(&message.tool_calls[0].extra), ["custom", "type"]);
}

#[test]
fn null_lists_and_objects_are_nothing() {
    let answer = chat(br#"{"choices": [{"message": {"tool_calls": null}}], "usage": null}"#);
    let answer = answer.unwrap();
    assert_eq!(answer.usage, None);
    assert_eq!(answer.choices[0].message.as_ref().unwrap().tool_calls, []);
}

#[test]
fn a_broken_body_is_undecodable_without_quoting_it() {
    let cut = chat(br#"{"id": "secret", "choices": [{"mess"#).unwrap_err();
    assert_eq!(cut.problem, "cut short");
    let shape = chat(br#"{"choices": "secret"}"#).unwrap_err();
    assert_eq!((shape.problem, shape.line), ("of another shape than expected", 1));
    assert_eq!(chat(b"secret").unwrap_err().problem, "not JSON");
    assert!(!shape.to_string().contains("secret"));
}

#[test]
fn vectors_come_as_lists_or_as_base64() {
    let answer = embed(
        br#"{"object": "list", "model": "e", "usage": {"prompt_tokens": 2, "total_tokens": 2},
             "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -1, 2e-3]},
                      {"index": 1, "embedding": "AACAPwAAAMA=", "truncated": true}]}"#,
    )
    .unwrap();
    assert_eq!(answer.embeddings[0].values, [0.5, -1.0, 0.002]);
    assert_eq!(answer.embeddings[1].values, [1.0, -2.0]);
    assert_eq!(answer.embeddings[1].index, 1);
    assert_eq!(names(&answer.embeddings[1].extra), ["truncated"]);
    assert_eq!(answer.usage.unwrap().prompt_tokens, 2);
}

#[test]
fn a_vector_that_is_none_is_undecodable() {
    for body in [r#"{"data":[{"embedding":"AAAA"}]}"#, r#"{"data":[{"embedding":{"a":1}}]}"#] {
        let bad = embed(body.as_bytes()).unwrap_err();
        assert_eq!(bad.problem, "of another shape than expected");
    }
}
