//! Chat requests and the Messages requests they become, told as pairs.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a broken translation should fail the story at once"
)]

use serde_json::{Value, json};
use trunkline_upstream::anthropic::Untranslatable;
use trunkline_upstream::anthropic::request::{DROPPED, REFUSED, to_messages};

/// Takes temperatures, budgets and schemas: the middle of the model range.
const CLASSIC: &str = "claude-sonnet-4-5";
/// Thinks adaptively and takes no sampling parameters.
const ADAPTIVE: &str = "claude-opus-4-8";
const DEFAULT_MAX_TOKENS: u64 = 4096;

fn translate(model: &str, body: &Value) -> Result<Value, Untranslatable> {
    let bytes = to_messages(body.to_string().as_bytes(), model, DEFAULT_MAX_TOKENS)?;
    Ok(serde_json::from_slice(&bytes).unwrap())
}

/// The translation of a chat with `messages`, as `(system, messages)`.
fn talk(messages: &Value) -> Result<(Value, Value), Untranslatable> {
    let mut sent = translate(CLASSIC, &json!({"model": "x", "messages": messages}))?;
    Ok((sent["system"].take(), sent["messages"].take()))
}

/// A chat with one user message and `extra` fields.
fn asked(model: &str, extra: &Value) -> Result<Value, Untranslatable> {
    let mut body = json!({"model": "x", "messages": [{"role": "user", "content": "Hi"}]});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    translate(model, &body)
}

/// What `extra` adds to the simplest request.
fn added(model: &str, extra: &Value) -> Value {
    let mut sent = asked(model, extra).unwrap();
    let plain = asked(model, &json!({})).unwrap();
    sent.as_object_mut().unwrap().retain(|name, value| plain.get(name) != Some(&*value));
    sent
}

fn refused(outcome: Result<impl Sized, Untranslatable>) -> String {
    outcome.err().unwrap().param
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn calls(ids: &[&str]) -> Value {
    let calls: Vec<Value> = ids
        .iter()
        .map(|id| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}))
        .collect();
    json!({"role": "assistant", "content": null, "tool_calls": calls})
}

fn result(id: &str) -> Value {
    json!({"role": "tool", "tool_call_id": id, "content": "42"})
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

#[test]
fn the_simplest_chat() {
    let sent = asked(CLASSIC, &json!({})).unwrap();
    assert_eq!(
        sent,
        json!({
            "model": CLASSIC,
            "max_tokens": DEFAULT_MAX_TOKENS,
            "messages": [{"role": "user", "content": [text("Hi")]}],
        })
    );
}

#[test]
fn instructions_leave_the_conversation_wherever_they_stood() {
    let (system, messages) = talk(&json!([
        {"role": "system", "content": "Be brief."},
        user("Hi"),
        {"role": "developer", "content": [{"type": "text", "text": "In French.", "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": "Salut"},
        user("Encore"),
    ]))
    .unwrap();
    assert_eq!(
        system,
        json!([text("Be brief."), {"type": "text", "text": "In French.", "cache_control": {"type": "ephemeral"}}])
    );
    let roles: Vec<&Value> =
        messages.as_array().unwrap().iter().map(|turn| &turn["role"]).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
}

#[test]
fn neighbours_of_one_role_become_one_turn_and_blank_text_disappears() {
    let (_, messages) = talk(&json!([
        user("One"),
        user(" \n"),
        {"role": "assistant", "content": ""},
        user("Two"),
        {"role": "assistant", "content": "A"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]},
        user("Three"),
    ]))
    .unwrap();
    assert_eq!(
        messages,
        json!([
            {"role": "user", "content": [text("One"), text("Two")]},
            {"role": "assistant", "content": [text("A"), text("No")]},
            {"role": "user", "content": [text("Three")]},
        ])
    );
}

#[test]
fn a_conversation_always_begins_with_the_user() {
    for messages in [
        json!([{"role": "assistant", "content": "Welcome!"}, user("Hi")]),
        json!([{"role": "system", "content": "Tell a joke."}]),
    ] {
        let (_, messages) = talk(&messages).unwrap();
        let opening = json!({"role": "user", "content": [text("(The conversation begins.)")]});
        assert_eq!(messages[0], opening);
    }
    assert_eq!(refused(talk(&json!([]))), "messages");
    assert_eq!(refused(talk(&json!([user("  ")]))), "messages");
}

#[test]
fn a_prefilled_answer_loses_its_trailing_space() {
    let (_, messages) =
        talk(&json!([user("Hi"), {"role": "assistant", "content": "The answer is \n"}])).unwrap();
    assert_eq!(messages[1]["content"], json!([text("The answer is")]));
}

#[test]
fn tool_calls_meet_their_results_first_in_the_next_turn() {
    let (_, messages) = talk(&json!([
        user("Go"),
        calls(&["a", "b"]),
        user("meanwhile"),
        result("b"),
        result("a"),
        {"role": "assistant", "content": "Done"},
    ]))
    .unwrap();
    let used = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {"a": 1}});
    let answered =
        |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": [text("42")]});
    assert_eq!(
        messages,
        json!([
            {"role": "user", "content": [text("Go")]},
            {"role": "assistant", "content": [used("a"), used("b")]},
            {"role": "user", "content": [answered("b"), answered("a"), text("meanwhile")]},
            {"role": "assistant", "content": [text("Done")]},
        ])
    );
}

#[test]
fn call_ids_become_plain_and_unique_over_the_whole_conversation() {
    let (_, messages) = talk(&json!([
        user("Go"),
        calls(&["call.0"]),
        result("call.0"),
        calls(&["call.0"]),
        result("call.0"),
    ]))
    .unwrap();
    let ids: Vec<&Value> = [1, 3].iter().map(|&at| &messages[at]["content"][0]["id"]).collect();
    let answers: Vec<&Value> =
        [2, 4].iter().map(|&at| &messages[at]["content"][0]["tool_use_id"]).collect();
    assert_eq!(ids, ["call_0", "call_0_1"]);
    assert_eq!(answers, ids);
}

#[test]
fn a_call_without_its_result_is_named() {
    let story = |messages: Value| refused(talk(&messages));
    assert_eq!(story(json!([user("Go"), calls(&["a"])])), "messages");
    assert_eq!(
        story(json!([user("Go"), calls(&["a"]), user("?"), {"role": "assistant", "content": "!"}])),
        "messages[3]"
    );
    assert_eq!(story(json!([user("Go"), result("a")])), "messages[1].tool_call_id");
    assert_eq!(
        story(json!([user("Go"), calls(&["a"]), result("a"), result("a")])),
        "messages[3].tool_call_id"
    );
    assert_eq!(story(json!([user("Go"), calls(&["a", "a"])])), "messages[1].tool_calls[1].id");
}

#[test]
fn tool_arguments_keep_their_digits_and_order() {
    let arguments = r#"{"z":1.10,"a":12345678901234567890123,"b":"\u00e9"}"#;
    let body = json!({"messages": [
        user("Go"),
        {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}]},
        result("a"),
    ]});
    let bytes = to_messages(body.to_string().as_bytes(), CLASSIC, 1).unwrap();
    let sent = String::from_utf8(bytes).unwrap();
    assert!(sent.contains(&format!("\"input\":{arguments}")), "{sent}");

    for (arguments, input) in
        [("", Some(json!({}))), (" {} ", Some(json!({}))), ("[1]", None), ("{", None)]
    {
        let outcome = talk(&json!([
            user("Go"),
            {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": arguments}}]},
            result("a"),
        ]));
        match input {
            Some(input) => assert_eq!(outcome.unwrap().1[1]["content"][0]["input"], input),
            None => assert_eq!(refused(outcome), "messages[1].tool_calls[0].function.arguments"),
        }
    }
}

#[test]
fn pictures_and_documents() {
    let cache = json!({"type": "ephemeral", "ttl": "1h"});
    let (_, messages) = talk(&json!([{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/JPG;base64,AAAA", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}, "cache_control": cache},
        {"type": "image_url", "image_url": "http://example.org/b.png"},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,BBBB"}},
    ]}]))
    .unwrap();
    assert_eq!(
        messages[0]["content"],
        json!([
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"}},
            {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}, "cache_control": cache},
            {"type": "image", "source": {"type": "url", "url": "http://example.org/b.png"}},
            {"type": "document", "title": "a.pdf",
             "source": {"type": "base64", "media_type": "application/pdf", "data": "BBBB"}},
        ])
    );
}

#[test]
fn parts_without_an_equal_are_named() {
    let table = [
        (json!({"type": "input_audio", "input_audio": {}}), "type"),
        (json!({"type": "image_url"}), "image_url"),
        (json!({"type": "image_url", "image_url": {"url": "ftp://x"}}), "image_url.url"),
        (
            json!({"type": "image_url", "image_url": {"url": "data:image/png,AAAA"}}),
            "image_url.url",
        ),
        (
            json!({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA"}}),
            "image_url.url",
        ),
        (json!({"type": "file", "file": {"file_id": "file-1"}}), "file.file_data"),
        (json!({"type": "text"}), "text"),
    ];
    for (part, param) in table {
        let outcome = talk(&json!([user("Hi"), {"role": "user", "content": [text("a"), part]}]));
        assert_eq!(refused(outcome), format!("messages[1].content[1].{param}"));
    }
    let picture = json!({"type": "image_url", "image_url": {"url": "https://example.org"}});
    let outcome = talk(&json!([user("Hi"), {"role": "assistant", "content": [picture]}]));
    assert_eq!(refused(outcome), "messages[1].content[0].type");
}

#[test]
fn a_tool_may_answer_with_a_picture_or_nothing() {
    let (_, messages) = talk(&json!([
        user("Go"),
        calls(&["a", "b"]),
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "image_url", "image_url": {"url": "https://x.org/i"}}]},
        {"role": "tool", "tool_call_id": "b", "content": ""},
    ]))
    .unwrap();
    let results = &messages[2]["content"];
    assert_eq!(results[0]["content"][0]["type"], "image");
    assert_eq!(results[1], json!({"type": "tool_result", "tool_use_id": "b"}));
}

#[test]
fn sampling_limits_and_other_plain_fields() {
    let table = [
        (json!({"temperature": 0.30}), json!({"temperature": 0.3})),
        (json!({"temperature": 1.7}), json!({"temperature": 1})),
        (json!({"top_p": 0.9, "top_k": 40}), json!({"top_p": 0.9, "top_k": 40})),
        (json!({"temperature": 0.5, "top_p": 0.9}), json!({"temperature": 0.5})),
        (json!({"max_tokens": 7}), json!({"max_tokens": 7})),
        (json!({"max_tokens": 7, "max_completion_tokens": 9}), json!({"max_tokens": 9})),
        (json!({"stop": "END"}), json!({"stop_sequences": ["END"]})),
        (json!({"stop": ["A", "\n", "B"]}), json!({"stop_sequences": ["A", "B"]})),
        (json!({"stop": "\n"}), json!({})),
        (
            json!({"stream": true, "stream_options": {"include_usage": true}}),
            json!({"stream": true}),
        ),
        (json!({"user": "u1"}), json!({"metadata": {"user_id": "u1"}})),
        (
            json!({"user": "u1", "metadata": {"user_id": "u2", "a": "b"}}),
            json!({"metadata": {"user_id": "u2"}}),
        ),
        (json!({"metadata": {"a": "b"}}), json!({})),
        (json!({"user": "u".repeat(257)}), json!({})),
        (json!({"service_tier": "default"}), json!({"service_tier": "standard_only"})),
        (json!({"service_tier": "flex"}), json!({})),
        (json!({"n": 1, "temperature": null, "stop": null, "thinking": null}), json!({})),
        (
            json!({"context_management": {"edits": [1.0]}}),
            json!({"context_management": {"edits": [1.0]}}),
        ),
    ];
    for (extra, expected) in table {
        assert_eq!(added(CLASSIC, &extra), expected, "{extra}");
    }
}

#[test]
fn a_model_that_outgrew_sampling_gets_none() {
    let extra = json!({"temperature": 0.3, "top_p": 0.9, "top_k": 4});
    assert_eq!(added(ADAPTIVE, &extra), json!({}));
    assert_eq!(added("house-model", &extra), extra);
}

#[test]
fn fields_of_openai_alone_are_dropped_or_refused() {
    for name in DROPPED.iter().filter(|name| **name != "modalities") {
        assert_eq!(added(CLASSIC, &json!({*name: 1})), json!({}), "{name}");
    }
    assert_eq!(added(CLASSIC, &json!({"modalities": ["text"]})), json!({}));
    for name in REFUSED {
        assert_eq!(refused(asked(CLASSIC, &json!({*name: {}}))), *name);
    }
}

#[test]
fn impossible_fields_are_named() {
    let table = [
        (json!({"n": 2}), "n"),
        (json!({"n": "1"}), "n"),
        (json!({"modalities": ["text", "audio"]}), "modalities"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"max_tokens": 1.5}), "max_tokens"),
        (json!({"temperature": -1}), "temperature"),
        (json!({"temperature": "hot"}), "temperature"),
        (json!({"stop": 4}), "stop"),
        (json!({"stream": "yes"}), "stream"),
        (json!({"system": "Be brief."}), "system"),
        (json!({"stop": "a", "stop_sequences": ["b"]}), "stop_sequences"),
        (json!({"messages": "Hi"}), "messages"),
        (json!({"messages": null}), "messages"),
        (json!({"messages": [{"content": "Hi"}]}), "messages[0]"),
        (json!({"messages": [{"role": "function", "content": "Hi"}]}), "messages[0].role"),
        (json!({"messages": [{"role": "user", "content": {}}]}), "messages[0].content"),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (json!({"tools": [{"type": "custom", "custom": {"name": "x"}}]}), "tools[0].type"),
        (json!({"tools": [{"type": "function"}]}), "tools[0].function"),
        (json!({"response_format": {"type": "grammar"}}), "response_format.type"),
        (json!({"response_format": {"type": "json_schema"}}), "response_format.json_schema"),
        (json!({"reasoning_effort": "extreme"}), "reasoning_effort"),
    ];
    for (extra, param) in table {
        assert_eq!(refused(asked(CLASSIC, &extra)), param, "{extra}");
    }
    assert_eq!(refused(to_messages(b"[]", CLASSIC, 1)), "");
}

#[test]
fn refusals_do_not_quote_the_caller() {
    let secret = "s3cret";
    let refusal =
        asked(CLASSIC, &json!({"messages": [{"role": "user", "content": {"x": secret}}]}));
    assert!(!refusal.unwrap_err().to_string().contains(secret));
    let refusal = asked(CLASSIC, &json!({"tool_choice": secret, "stream": secret}));
    assert!(!refusal.unwrap_err().to_string().contains(secret));
}

#[test]
fn tools_and_their_choice() {
    let tool = |function: Value| json!({"type": "function", "function": function});
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let table = [
        (
            json!({"name": "f", "description": "F", "parameters": schema, "strict": true}),
            json!({"name": "f", "description": "F", "input_schema": schema, "strict": true}),
        ),
        (json!({"name": "f"}), json!({"name": "f", "input_schema": {"type": "object"}})),
        (
            json!({"name": "f", "parameters": {}, "strict": false}),
            json!({"name": "f", "input_schema": {"type": "object"}}),
        ),
        (
            json!({"name": "f", "parameters": {"properties": {}}}),
            json!({"name": "f", "input_schema": {"type": "object", "properties": {}}}),
        ),
        (
            json!({"name": "f", "cache_control": {"type": "ephemeral"}}),
            json!({"name": "f", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}),
        ),
    ];
    for (function, expected) in table {
        assert_eq!(
            added(CLASSIC, &json!({"tools": [tool(function)]})),
            json!({"tools": [expected]})
        );
    }

    let native = json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 3});
    assert_eq!(added(CLASSIC, &json!({"tools": [native]})), json!({"tools": [native]}));

    let table = [
        (json!({"tool_choice": "auto"}), json!({"type": "auto"})),
        (json!({"tool_choice": "none", "parallel_tool_calls": false}), json!({"type": "none"})),
        (json!({"tool_choice": "required"}), json!({"type": "any"})),
        (
            json!({"tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": false}),
            json!({"type": "tool", "name": "f", "disable_parallel_tool_use": true}),
        ),
        (
            json!({"parallel_tool_calls": false}),
            json!({"type": "auto", "disable_parallel_tool_use": true}),
        ),
        (json!({"parallel_tool_calls": true}), Value::Null),
    ];
    for (mut extra, expected) in table {
        extra["tools"] = json!([tool(json!({"name": "f"}))]);
        assert_eq!(added(CLASSIC, &extra)["tool_choice"], expected, "{extra}");
    }
    assert_eq!(added(CLASSIC, &json!({"tool_choice": "auto", "tools": []})), json!({}));
}

#[test]
fn a_schema_is_enforced_where_the_provider_can() {
    let closed = json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false});
    let open = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let format = |schema: &Value, strict: Value| {
        json!({"response_format": {"type": "json_schema",
            "json_schema": {"name": "x", "schema": schema, "strict": strict}}})
    };
    let enforced = |schema: &Value| json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}});
    assert_eq!(added(CLASSIC, &format(&closed, Value::Null)), enforced(&closed));
    assert_eq!(added(CLASSIC, &format(&open, json!(true))), enforced(&open));

    for (model, extra) in [
        (CLASSIC, format(&open, json!(false))),
        ("claude-3-7-sonnet-20250219", format(&closed, json!(true))),
    ] {
        let sent = added(model, &extra);
        let instruction = sent["system"][0]["text"].as_str().unwrap();
        assert!(sent.get("output_config").is_none());
        assert!(instruction.contains("JSON Schema") && instruction.contains("\"properties\""));
    }
    let sent = added(CLASSIC, &json!({"response_format": {"type": "json_object"}}));
    assert!(sent["system"][0]["text"].as_str().unwrap().contains("one JSON object"));
    assert_eq!(added(CLASSIC, &json!({"response_format": {"type": "text"}})), json!({}));
}

#[test]
fn thinking_as_a_budget() {
    let on = |budget: u64| json!({"type": "enabled", "budget_tokens": budget});
    let table = [
        (json!({"reasoning_effort": "high", "max_tokens": 10_000}), on(8000), 10_000),
        (json!({"reasoning_effort": "minimal", "max_tokens": 4000}), on(1024), 4000),
        (json!({"reasoning": {"effort": "medium"}}), on(2000), DEFAULT_MAX_TOKENS),
        (json!({"reasoning": {"enabled": true}}), on(2000), DEFAULT_MAX_TOKENS),
        (json!({"reasoning": {"max_tokens": 9000}}), on(9000), 9000 + DEFAULT_MAX_TOKENS),
        (json!({"reasoning": {"max_tokens": 9000}, "max_tokens": 5000}), on(4999), 5000),
        (json!({"reasoning_effort": "high", "max_tokens": 500}), Value::Null, 500),
        (json!({"reasoning_effort": "none"}), Value::Null, DEFAULT_MAX_TOKENS),
        (json!({"thinking": on(2048), "reasoning_effort": "low"}), on(2048), DEFAULT_MAX_TOKENS),
    ];
    for (extra, thinking, max_tokens) in table {
        let sent = asked(CLASSIC, &extra).unwrap();
        assert_eq!(
            (&sent["thinking"], &sent["max_tokens"]),
            (&thinking, &json!(max_tokens)),
            "{extra}"
        );
    }
    let outcome = asked(CLASSIC, &json!({"reasoning": {"max_tokens": 2000}, "max_tokens": 1024}));
    assert_eq!(refused(outcome), "reasoning.max_tokens");
    assert_eq!(added("claude-3-5-haiku-20241022", &json!({"reasoning_effort": "high"})), json!({}));
}

#[test]
fn thinking_as_an_effort() {
    let table = [
        (
            ADAPTIVE,
            json!({"reasoning_effort": "minimal"}),
            json!({"type": "adaptive", "display": "summarized"}),
            json!("low"),
        ),
        (
            ADAPTIVE,
            json!({"reasoning": {"effort": "xhigh", "exclude": true}}),
            json!({"type": "adaptive", "display": "omitted"}),
            json!("xhigh"),
        ),
        (
            ADAPTIVE,
            json!({"reasoning": {"max_tokens": 9000}}),
            json!({"type": "adaptive", "display": "summarized"}),
            Value::Null,
        ),
        (ADAPTIVE, json!({"reasoning_effort": "none"}), json!({"type": "disabled"}), Value::Null),
        (
            "claude-opus-4-6",
            json!({"reasoning_effort": "xhigh"}),
            json!({"type": "adaptive"}),
            json!("high"),
        ),
        (
            "claude-opus-4-6",
            json!({"reasoning": {"max_tokens": 2000}}),
            json!({"type": "enabled", "budget_tokens": 2000}),
            Value::Null,
        ),
    ];
    for (model, extra, thinking, effort) in table {
        let sent = asked(model, &extra).unwrap();
        assert_eq!(
            (&sent["thinking"], &sent["output_config"]["effort"]),
            (&thinking, &effort),
            "{extra}"
        );
    }
}

#[test]
fn thinking_gives_way_to_a_forced_tool_and_takes_sampling_along() {
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let extra = json!({"reasoning_effort": "high", "tools": tools, "tool_choice": "required", "temperature": 0.2});
    let sent = asked(CLASSIC, &extra).unwrap();
    assert_eq!((&sent["thinking"], &sent["temperature"]), (&Value::Null, &json!(0.2)));

    let extra = json!({"reasoning_effort": "high", "temperature": 0.2, "top_k": 3, "top_p": 0.97});
    let sent = asked(CLASSIC, &extra).unwrap();
    assert_eq!((sent.get("temperature"), sent.get("top_k")), (None, None));
    assert_eq!(sent["top_p"], 0.97);
}

#[test]
fn thoughts_handed_back_keep_a_tool_loop_thinking() {
    let details = json!([
        {"type": "reasoning.text", "text": "Else", "signature": "s", "format": "google-gemini-v1"},
        {"type": "reasoning.text", "text": "First ", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.text", "text": "this.", "index": 0},
        {"type": "reasoning.text", "signature": "sig", "index": 0},
        {"type": "reasoning.encrypted", "data": "xyz", "index": 1},
        {"type": "reasoning.text", "text": "unsigned"},
    ]);
    let body = |details: Value| {
        let mut call = calls(&["a"]);
        call["reasoning_details"] = details;
        json!({"reasoning_effort": "high", "messages": [user("Go"), call, result("a")]})
    };
    let sent = translate(CLASSIC, &body(details)).unwrap();
    assert_eq!(sent["thinking"]["type"], "enabled");
    assert_eq!(
        sent["messages"][1]["content"].as_array().unwrap()[..2],
        [
            json!({"type": "thinking", "thinking": "First this.", "signature": "sig"}),
            json!({"type": "redacted_thinking", "data": "xyz"}),
        ]
    );
    let sent = translate(CLASSIC, &body(Value::Null)).unwrap();
    assert_eq!(
        sent.get("thinking"),
        None,
        "the provider would refuse a loop begun without thinking"
    );
    let sent = translate(ADAPTIVE, &body(Value::Null)).unwrap();
    assert_eq!(sent["thinking"]["type"], "adaptive");
}
