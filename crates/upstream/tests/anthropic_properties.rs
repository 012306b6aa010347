//! What holds of the Anthropic translation for every input: valid chats obey the provider's rules or are refused, texts and
//! arguments survive the way there and back, and no bytes make it panic.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a broken translation should fail the property at once"
)]

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use trunkline_upstream::anthropic::stream::{StreamState, Translator};
use trunkline_upstream::anthropic::{error, models, request, response};

const MODELS: &[&str] =
    &["claude-3-5-haiku-20241022", "claude-sonnet-4-5", "claude-opus-4-8", "house"];

/// Cases of each property; what the properties promise is promised for many inputs.
const CASES: u32 = 1024;
/// Cases of the properties about hostile bytes.
const HOSTILE_CASES: u32 = 5000;

/// Text that is often blank or otherwise awkward.
fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "\\PC{0,12}",
        1 => Just(String::new()),
        1 => "[ \n\t]{1,3}",
        1 => Just("\u{0}\"\\\u{1F600}é".to_owned()),
    ]
}

fn arguments() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        "-?[1-9][0-9]{0,30}(\\.[0-9]{1,20})?(e[0-9]{1,2})?",
    ];
    prop::collection::vec(("[a-z]{1,4}", number), 0..4).prop_map(|fields| {
        let fields: Vec<String> =
            fields.into_iter().map(|(name, number)| format!("\"{name}\":{number}")).collect();
        format!("{{{}}}", fields.join(","))
    })
}

fn content() -> impl Strategy<Value = Value> {
    let part = prop_oneof![
        3 => words().prop_map(|text| json!({"type": "text", "text": text})),
        1 => Just(json!({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}})),
        1 => Just(json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}})),
    ];
    prop_oneof![
        words().prop_map(Value::from),
        prop::collection::vec(part, 0..3).prop_map(Value::from)
    ]
}

/// A short exchange: often a proper tool round, sometimes one with a fault.
fn exchange() -> impl Strategy<Value = Vec<Value>> {
    let say = |role: &'static str| {
        content().prop_map(move |content| vec![json!({"role": role, "content": content})])
    };
    let speak = words().prop_map(|text| vec![json!({"role": "assistant", "content": text})]);
    let instruct = words().prop_map(|text| vec![json!({"role": "system", "content": text})]);
    let calls = prop::collection::vec(("[a-c.]{0,3}", arguments()), 1..4);
    let round = (calls, words(), any::<bool>(), 0..12_usize).prop_map(
        |(calls, text, reversed, forgotten)| {
            let mut ids: Vec<String> = calls.iter().map(|(id, _)| id.clone()).collect();
            let calls: Vec<Value> = calls
                .into_iter()
                .map(|(id, arguments)| {
                    json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}})
                })
                .collect();
            if reversed {
                ids.reverse();
            }
            let mut round = vec![json!({"role": "assistant", "content": text, "tool_calls": calls})];
            let answers = ids.into_iter().enumerate().filter(|(at, _)| *at != forgotten);
            round.extend(
                answers.map(|(_, id)| json!({"role": "tool", "tool_call_id": id, "content": text})),
            );
            round
        },
    );
    prop_oneof![3 => say("user"), 2 => speak, 1 => instruct, 2 => round]
}

fn chat() -> impl Strategy<Value = Value> {
    let messages = prop::collection::vec(exchange(), 0..7).prop_map(|all| all.concat());
    let extras = (
        prop::option::of(0..3000_u64),
        prop::option::of(0.0..2.0_f64),
        prop::option::of(prop::sample::select(vec!["none", "low", "high", "max"])),
        prop::option::of(prop::sample::select(vec!["auto", "none", "required"])),
    );
    (messages, extras).prop_map(|(messages, (limit, temperature, effort, choice))| {
        let mut chat = Map::new();
        chat.insert("messages".to_owned(), messages.into());
        chat.insert("max_tokens".to_owned(), limit.into());
        chat.insert("temperature".to_owned(), temperature.into());
        chat.insert("reasoning_effort".to_owned(), effort.into());
        chat.insert("tool_choice".to_owned(), choice.into());
        chat.insert("tools".to_owned(), json!([{"type": "function", "function": {"name": "f"}}]));
        chat.into()
    })
}

fn kind(block: &Value) -> &str {
    block["type"].as_str().unwrap()
}

fn ids<'a>(turn: &'a Value, kind_of: &str, field: &str) -> Vec<&'a str> {
    let blocks = turn["content"].as_array().unwrap();
    let found = blocks.iter().filter(|block| kind(block) == kind_of);
    found.map(|block| block[field].as_str().unwrap()).collect()
}

/// The provider's rules for a conversation.
fn obeys_the_rules(sent: &Value) -> Result<(), TestCaseError> {
    let turns = sent["messages"].as_array().unwrap();
    prop_assert!(!turns.is_empty());
    let mut seen_ids = HashSet::new();
    let mut awaited: HashSet<&str> = HashSet::new();
    for (at, turn) in turns.iter().enumerate() {
        prop_assert_eq!(&turn["role"], if at % 2 == 0 { "user" } else { "assistant" });
        let blocks = turn["content"].as_array().unwrap();
        prop_assert!(!blocks.is_empty());
        no_blank_text(blocks)?;

        let answered = ids(turn, "tool_result", "tool_use_id");
        prop_assert!(blocks.iter().take(answered.len()).all(|block| kind(block) == "tool_result"));
        let distinct: HashSet<&str> = answered.iter().copied().collect();
        prop_assert_eq!(distinct.len(), answered.len());
        prop_assert_eq!(distinct, awaited);

        awaited = ids(turn, "tool_use", "id").into_iter().collect();
        for id in &awaited {
            prop_assert!(seen_ids.insert(*id), "id used twice: {}", id);
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            prop_assert!(!id.is_empty() && id.chars().all(is_plain));
        }
    }
    prop_assert!(awaited.is_empty());
    no_blank_text(sent["system"].as_array().map_or(&[][..], Vec::as_slice))
}

fn no_blank_text(blocks: &[Value]) -> Result<(), TestCaseError> {
    for block in blocks {
        match kind(block) {
            "text" => prop_assert!(!block["text"].as_str().unwrap().trim().is_empty()),
            "tool_result" => {
                no_blank_text(block["content"].as_array().map_or(&[][..], Vec::as_slice))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The provider's rules for limits, thinking and sampling.
fn obeys_the_limits(sent: &Value) -> Result<(), TestCaseError> {
    let max_tokens = sent["max_tokens"].as_u64().unwrap();
    prop_assert!(max_tokens >= 1);
    if let Some(temperature) = sent["temperature"].as_f64() {
        prop_assert!((0.0..=1.0).contains(&temperature));
        prop_assert!(
            sent["thinking"]["type"] != "enabled" && sent["thinking"]["type"] != "adaptive"
        );
    }
    if let Some(budget) = sent["thinking"]["budget_tokens"].as_u64() {
        prop_assert!((1024..max_tokens).contains(&budget));
        prop_assert!(sent["tool_choice"]["type"] != "any");
    }
    Ok(())
}

/// Every text in `value` under the key `text` or as a plain `content`, in order.
fn texts_of(messages: &Value) -> Vec<&str> {
    let mut texts = Vec::new();
    for message in messages.as_array().unwrap() {
        match &message["content"] {
            Value::String(text) => texts.push(text.as_str()),
            Value::Array(parts) => {
                texts.extend(parts.iter().filter_map(|part| part["text"].as_str()))
            }
            _ => {}
        }
    }
    texts.retain(|text| !text.trim().is_empty());
    texts
}

fn delta_events(index: u64, block: &Value, pieces: &[Value]) -> Vec<Value> {
    let mut events =
        vec![json!({"type": "content_block_start", "index": index, "content_block": block})];
    events.extend(
        pieces
            .iter()
            .map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta})),
    );
    events.push(json!({"type": "content_block_stop", "index": index}));
    events
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_chat_obeys_the_rules_or_is_refused(chat in chat(), model in prop::sample::select(MODELS)) {
        match request::to_messages(chat.to_string().as_bytes(), model, 2048) {
            Ok(sent) => {
                let sent: Value = serde_json::from_slice(&sent).unwrap();
                obeys_the_rules(&sent)?;
                obeys_the_limits(&sent)?;
            }
            Err(refusal) => prop_assert!(!refusal.message.is_empty()),
        }
    }

    #[test]
    fn users_texts_reach_the_provider_unchanged_and_in_order(
        contents in prop::collection::vec(content(), 1..6),
    ) {
        let messages: Vec<Value> =
            contents.iter().map(|content| json!({"role": "user", "content": content})).collect();
        let messages = Value::from(messages);
        let body = json!({"messages": messages}).to_string();
        if let Ok(sent) = request::to_messages(body.as_bytes(), "house", 8) {
            let sent: Value = serde_json::from_slice(&sent).unwrap();
            prop_assert_eq!(texts_of(&sent["messages"]), texts_of(&messages));
        } else {
            prop_assert!(texts_of(&messages).is_empty());
        }
    }

    #[test]
    fn an_answer_handed_back_is_the_same_text_and_arguments(
        text in "[a-z]{1,3}\\PC{0,20}[a-z]",
        arguments in arguments(),
    ) {
        let answer = format!(
            r#"{{"id":"m","type":"message","usage":{{}},"stop_reason":"tool_use","content":[{{"type":"text","text":{}}},{{"type":"tool_use","id":"t","name":"f","input":{arguments}}}]}}"#,
            Value::from(text.as_str()),
        );
        let seen = response::to_completion(answer.as_bytes(), "m", 0).unwrap();
        let seen: Value = serde_json::from_slice(&seen).unwrap();
        let message = &seen["choices"][0]["message"];
        prop_assert_eq!(&message["content"], &text);
        prop_assert_eq!(&message["tool_calls"][0]["function"]["arguments"], &arguments);

        let body = json!({"messages": [
            {"role": "user", "content": "Go"},
            message,
            {"role": "tool", "tool_call_id": "t", "content": "ok"},
        ]});
        let sent = request::to_messages(body.to_string().as_bytes(), "house", 8).unwrap();
        let sent_text = String::from_utf8(sent.clone()).unwrap();
        let input = format!("\"input\":{arguments}");
        prop_assert!(sent_text.contains(&input));
        let sent: Value = serde_json::from_slice(&sent).unwrap();
        prop_assert_eq!(&sent["messages"][1]["content"][0]["text"], &text);
    }

    #[test]
    fn a_stream_gives_the_text_and_arguments_of_its_pieces(
        pieces in prop::collection::vec(words(), 0..6),
        arguments in arguments(),
        cut in 0..40_usize,
    ) {
        let (head, tail) = arguments.split_at(cut.min(arguments.len()));
        let texts: Vec<Value> =
            pieces.iter().map(|text| json!({"type": "text_delta", "text": text})).collect();
        let jsons: Vec<Value> = [head, tail]
            .iter()
            .map(|text| json!({"type": "input_json_delta", "partial_json": text}))
            .collect();
        let mut events = delta_events(0, &json!({"type": "text", "text": ""}), &texts);
        let tool = json!({"type": "tool_use", "id": "t", "name": "f", "input": {}});
        events.extend(delta_events(1, &tool, &jsons));
        events.push(json!({"type": "message_stop"}));

        let mut translator = Translator::new("m", 0);
        let mut out = Vec::new();
        let mut state = StreamState::Open;
        for event in events {
            prop_assert_eq!(state, StreamState::Open);
            state = translator.event(None, event.to_string().as_bytes(), &mut out).unwrap();
        }
        prop_assert_eq!(state, StreamState::Done);

        let chunks: Vec<Value> = out.iter().map(|chunk| serde_json::from_slice(chunk).unwrap()).collect();
        let text: String =
            chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
        let called: String = chunks
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str())
            .collect();
        prop_assert_eq!(text, pieces.concat());
        prop_assert_eq!(called, arguments);
    }
}

/// Bytes that are nearly what each function expects: a valid document with a stretch overwritten.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let documents = vec![
        r#"{"messages":[{"role":"user","content":[{"type":"text","text":"\u00e9"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]},{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"a\":1}"}}],"reasoning_details":[{"type":"reasoning.text","text":"x","signature":"s"}]},{"role":"tool","tool_call_id":"a","content":"1"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"a":1}}}],"stop":["a"],"reasoning":{"max_tokens":2000},"response_format":{"type":"json_schema","json_schema":{"schema":{}}}}"#,
        r#"{"id":"m","type":"message","content":[{"type":"text","text":"a"},{"type":"tool_use","id":"t","name":"f","input":{"a":[1]}},{"type":"thinking","thinking":"t","signature":"s"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}}"#,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: é"}}"#,
        r#"{"data":[{"id":"a"}]}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{"}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":18446744073709551615}}"#,
    ];
    let patch = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..4),
        prop::sample::select(vec![
            "null", "{}", "[]", "\"\"", "-1", "1e999", "\\ud800", "é", "}", "\""
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    (prop::sample::select(documents), any::<prop::sample::Index>(), 0..6_usize, patch).prop_map(
        |(document, at, length, patch)| {
            let mut bytes = document.as_bytes().to_vec();
            let start = at.index(bytes.len());
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, patch);
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: HOSTILE_CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_cause_a_panic_and_what_comes_out_is_json(
        bytes in prop_oneof![1 => prop::collection::vec(any::<u8>(), 0..64), 4 => damaged()],
        status in any::<u16>(),
    ) {
        // By its grammar: what a caller wrote in JSON stays as it was, a lone surrogate or 1e999, too.
        let is_json = |bytes: &[u8]| serde_json::from_slice::<&RawValue>(bytes).is_ok();
        prop_assert!(is_json(&error::to_openai(status, &bytes)));
        let _ = models::ids(&bytes);
        if let Ok(sent) = request::to_messages(&bytes, "claude-sonnet-4-5", 1024) {
            prop_assert!(is_json(&sent));
        }
        if let Ok(seen) = response::to_completion(&bytes, "m", 0) {
            prop_assert!(is_json(&seen));
        }
    }

    #[test]
    fn no_events_cause_a_panic_and_every_chunk_is_json(
        events in prop::collection::vec(damaged(), 0..6),
    ) {
        let mut translator = Translator::new("m", 0);
        let mut out = Vec::new();
        for event in &events {
            let _ = translator.event(None, event, &mut out);
        }
        translator.end_of_input(&mut out).unwrap();
        for chunk in &out {
            prop_assert!(serde_json::from_slice::<Value>(chunk).is_ok());
        }
    }
}
