//! Stories about bodies: what a message says is what the body says.

use prost_types::{ListValue, Value};
use serde_json::{Value as Json, json};
use trunkline_proto::inference::v1::*;
use trunkline_wire::operation::Operation;
use trunkline_wire::request::{self as wire, Peek};

use super::*;

fn body(request: &ChatRequest) -> Json {
    serde_json::from_slice(&chat_body(request, Reply::Whole).unwrap()).unwrap()
}

fn refused(request: &ChatRequest) -> String {
    chat_body(request, Reply::Whole).unwrap_err().to_string()
}

fn number(given: f64) -> Value {
    structure::of(Kind::NumberValue(given))
}

fn string(given: &str) -> Value {
    structure::of(Kind::StringValue(given.to_owned()))
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Struct {
    Struct { fields: members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
}

fn nested<const N: usize>(members: [(&str, Value); N]) -> Value {
    structure::of(Kind::StructValue(object(members)))
}

fn says(role: Role, text: &str) -> Message {
    let body = Some(message::Body::Content(text.to_owned()));
    Message { role: role.into(), body, ..Message::default() }
}

fn part(part: content_part::Part) -> ContentPart {
    ContentPart { part: Some(part), extra: None }
}

fn with_parts(parts: Vec<ContentPart>) -> ChatRequest {
    let body = Some(message::Body::Parts(ContentParts { parts }));
    let message = Message { role: Role::User.into(), body, ..Message::default() };
    ChatRequest { messages: vec![message], ..ChatRequest::default() }
}

#[test]
fn a_small_call_has_a_small_body() {
    let request = ChatRequest {
        model: "llama-3.3-70b".into(),
        messages: vec![says(Role::System, "Be \"brief\".\n"), says(Role::User, "Grüß Gott")],
        max_tokens: Some(16),
        ..ChatRequest::default()
    };
    let text = String::from_utf8(chat_body(&request, Reply::Whole).unwrap()).unwrap();
    assert_eq!(
        text,
        concat!(
            r#"{"model":"llama-3.3-70b","messages":[{"role":"system","content":"Be \"brief\".\n"},"#,
            r#"{"role":"user","content":"Grüß Gott"}],"stream":false,"max_tokens":16}"#
        )
    );
}

#[test]
fn a_streamed_answer_always_ends_with_its_usage() {
    let request = ChatRequest::default();
    let text = String::from_utf8(chat_body(&request, Reply::Streamed).unwrap()).unwrap();
    assert_eq!(text, r#"{"stream":true,"stream_options":{"include_usage":true}}"#);
}

#[test]
fn every_parameter_has_its_name() {
    let request = ChatRequest {
        models: vec!["b".into(), "c".into()],
        parallel_tool_calls: Some(false),
        temperature: Some(0.7),
        top_p: Some(1.0),
        top_k: Some(40),
        min_p: Some(0.05),
        top_a: Some(0.1),
        frequency_penalty: Some(-0.5),
        presence_penalty: Some(0.5),
        repetition_penalty: Some(1.1),
        logit_bias: [("50256".into(), -100.0)].into(),
        logprobs: Some(true),
        top_logprobs: Some(3),
        seed: Some(-7),
        n: Some(2),
        stop: vec!["END".into()],
        max_tokens: Some(10),
        max_completion_tokens: Some(20),
        reasoning_effort: Some("low".into()),
        user: Some("u".into()),
        session_id: Some("s".into()),
        metadata: [("k".into(), "v".into())].into(),
        delivery: Delivery::Assured.into(),
        ..ChatRequest::default()
    };
    assert_eq!(
        body(&request),
        json!({
            "models": ["b", "c"], "stream": false, "parallel_tool_calls": false,
            "temperature": 0.7, "top_p": 1, "top_k": 40, "min_p": 0.05, "top_a": 0.1,
            "frequency_penalty": -0.5, "presence_penalty": 0.5, "repetition_penalty": 1.1,
            "logit_bias": {"50256": -100}, "logprobs": true, "top_logprobs": 3, "seed": -7, "n": 2,
            "stop": ["END"], "max_tokens": 10, "max_completion_tokens": 20,
            "reasoning_effort": "low", "user": "u", "session_id": "s", "metadata": {"k": "v"},
            "delivery": "assured",
        })
    );
}

#[test]
fn attribution_and_explanation_are_no_part_of_the_body() {
    let request = ChatRequest {
        tags: [("feature".into(), "search".into())].into(),
        explain: true,
        ..ChatRequest::default()
    };
    assert_eq!(body(&request), json!({"stream": false}));
}

#[test]
fn parts_are_written_by_kind() {
    let inline = || InlineData { media_type: "image/png".into(), data: vec![1, 2, 3].into() };
    let url = image_part::Source::Url("https://example.org/a.png".into());
    let mut cached = part(content_part::Part::Text("look".into()));
    cached.extra = Some(object([("cache_control", nested([("type", string("ephemeral"))]))]));
    let other = object([("type", string("video_url")), ("video_url", string("https://v"))]);
    let request = with_parts(vec![
        cached,
        part(content_part::Part::Image(ImagePart {
            source: Some(url),
            detail: Some("low".into()),
        })),
        part(content_part::Part::Image(ImagePart {
            source: Some(image_part::Source::Inline(inline())),
            detail: None,
        })),
        part(content_part::Part::Audio(AudioPart {
            data: vec![255; 4].into(),
            format: "wav".into(),
        })),
        part(content_part::Part::File(FilePart {
            source: Some(file_part::Source::Inline(inline())),
            filename: Some("a.png".into()),
        })),
        part(content_part::Part::File(FilePart {
            source: Some(file_part::Source::FileId("file-1".into())),
            filename: None,
        })),
        ContentPart { part: None, extra: Some(other) },
    ]);
    assert_eq!(
        body(&request)["messages"][0]["content"],
        json!([
            {"type": "text", "text": "look", "cache_control": {"type": "ephemeral"}},
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AQID"}},
            {"type": "input_audio", "input_audio": {"data": "/////w==", "format": "wav"}},
            {"type": "file", "file": {"file_data": "data:image/png;base64,AQID", "filename": "a.png"}},
            {"type": "file", "file": {"file_id": "file-1"}},
            {"type": "video_url", "video_url": "https://v"},
        ])
    );
}

#[test]
fn a_round_of_tool_calls_is_written() {
    let call = ToolCall {
        id: "call_1".into(),
        function: Some(FunctionCall {
            name: "weather".into(),
            arguments: r#"{"city":"#.into(),
            extra: None,
        }),
        extra: Some(object([("extra_content", nested([("signature", string("x"))]))])),
    };
    let asks = Message {
        role: Role::Assistant.into(),
        tool_calls: vec![call],
        reasoning: Some("hm".into()),
        ..Message::default()
    };
    let mut answers = says(Role::Tool, "sunny");
    answers.tool_call_id = Some("call_1".into());
    let request = ChatRequest { messages: vec![asks, answers], ..ChatRequest::default() };
    assert_eq!(
        body(&request)["messages"],
        json!([
            {"role": "assistant", "reasoning": "hm", "tool_calls": [{
                "id": "call_1", "type": "function", "extra_content": {"signature": "x"},
                "function": {"name": "weather", "arguments": "{\"city\":"},
            }]},
            {"role": "tool", "content": "sunny", "tool_call_id": "call_1"},
        ])
    );
}

#[test]
fn schema_text_reaches_the_body_byte_for_byte() {
    let schema = r#"{ "z": 1.0, "a": {"type":"object"} }"#;
    let function = FunctionDefinition {
        name: "f".into(),
        description: Some("does f".into()),
        schema: Some(function_definition::Schema::ParametersJson(schema.into())),
        strict: Some(true),
    };
    let format = JsonSchemaFormat {
        name: "answer".into(),
        definition: Some(json_schema_format::Definition::SchemaJson(schema.into())),
        ..JsonSchemaFormat::default()
    };
    let search = object([("type", string("web_search"))]);
    let request = ChatRequest {
        tools: vec![
            Tool { function: Some(function), extra: None },
            Tool { function: None, extra: Some(search) },
        ],
        tool_choice: Some(ToolChoice { choice: Some(tool_choice::Choice::Function("f".into())) }),
        response_format: Some(ResponseFormat {
            format: Some(response_format::Format::JsonSchema(format)),
        }),
        ..ChatRequest::default()
    };
    let text = String::from_utf8(chat_body(&request, Reply::Whole).unwrap()).unwrap();
    assert_eq!(text.matches(schema).count(), 2, "{text}");
    let body = body(&request);
    assert_eq!(body["tools"][0]["type"], "function");
    assert_eq!(body["tools"][0]["function"]["strict"], true);
    assert_eq!(body["tools"][1], json!({"type": "web_search"}));
    assert_eq!(body["tool_choice"], json!({"type": "function", "function": {"name": "f"}}));
    assert_eq!(body["response_format"]["type"], "json_schema");
    assert_eq!(body["response_format"]["json_schema"]["name"], "answer");
}

#[test]
fn modes_and_simple_formats_are_words() {
    for (mode, word) in [
        (ToolChoiceMode::None, json!("none")),
        (ToolChoiceMode::Auto, json!("auto")),
        (ToolChoiceMode::Required, json!("required")),
        (ToolChoiceMode::Unspecified, Json::Null),
    ] {
        let choice = ToolChoice { choice: Some(tool_choice::Choice::Mode(mode.into())) };
        let request = ChatRequest { tool_choice: Some(choice), ..ChatRequest::default() };
        assert_eq!(body(&request)["tool_choice"], word);
    }
    let format = Some(response_format::Format::JsonObject(JsonObjectFormat {}));
    let request =
        ChatRequest { response_format: Some(ResponseFormat { format }), ..ChatRequest::default() };
    assert_eq!(body(&request)["response_format"], json!({"type": "json_object"}));
}

#[test]
fn preferences_are_the_provider_object() {
    let provider = ProviderPreferences {
        order: vec!["a".into()],
        only: vec!["a".into(), "b".into()],
        ignore: vec!["c".into()],
        allow_fallbacks: Some(false),
        require_parameters: Some(true),
        data_collection: DataCollection::Deny.into(),
        zdr: Some(true),
        quantizations: vec!["fp8".into()],
        sort: Some(ProviderSort {
            by: SortBy::Price.into(),
            partition: SortPartition::None.into(),
        }),
        preferred_min_throughput: Some(PercentileThresholds {
            p50: Some(30.0),
            ..PercentileThresholds::default()
        }),
        preferred_max_latency: Some(PercentileThresholds {
            p90: Some(1.5),
            ..PercentileThresholds::default()
        }),
        max_price: Some(MaxPrice { prompt: Some(0.3), ..MaxPrice::default() }),
        extra: Some(object([("enforce_distillable_text", structure::of(Kind::BoolValue(true)))])),
    };
    let request = ChatRequest { provider: Some(provider), ..ChatRequest::default() };
    assert_eq!(
        body(&request)["provider"],
        json!({
            "order": ["a"], "only": ["a", "b"], "ignore": ["c"], "allow_fallbacks": false,
            "require_parameters": true, "data_collection": "deny", "zdr": true,
            "quantizations": ["fp8"], "sort": {"by": "price", "partition": "none"},
            "preferred_min_throughput": {"p50": 30}, "preferred_max_latency": {"p90": 1.5},
            "max_price": {"prompt": 0.3}, "enforce_distillable_text": true,
        })
    );
}

#[test]
fn the_router_reads_what_was_meant() {
    let provider = ProviderPreferences {
        only: vec!["a".into()],
        allow_fallbacks: Some(false),
        data_collection: DataCollection::Deny.into(),
        sort: Some(ProviderSort {
            by: SortBy::Latency.into(),
            partition: SortPartition::None.into(),
        }),
        preferred_max_latency: Some(PercentileThresholds {
            p90: Some(1.5),
            ..PercentileThresholds::default()
        }),
        max_price: Some(MaxPrice { completion: Some(0.3), ..MaxPrice::default() }),
        ..ProviderPreferences::default()
    };
    let request = ChatRequest {
        model: "m".into(),
        models: vec!["n".into()],
        messages: vec![says(Role::User, "hi")],
        metadata: [("k".into(), "v".into())].into(),
        session_id: Some("s".into()),
        max_tokens: Some(9),
        provider: Some(provider),
        delivery: Delivery::Assured.into(),
        ..ChatRequest::default()
    };
    let body = chat_body(&request, Reply::Streamed).unwrap();
    let peek = Peek::parse(Operation::Chat, body.into()).unwrap();
    assert_eq!((peek.model.as_str(), peek.models.as_slice()), ("m", &["n".to_owned()][..]));
    assert!(peek.stream && peek.include_usage);
    assert_eq!((peek.max_tokens, peek.session_id.as_deref()), (Some(9), Some("s")));
    assert_eq!(peek.metadata, [("k".to_owned(), "v".to_owned())]);
    assert_eq!(peek.delivery, Some(wire::Delivery::Assured));
    let provider = peek.provider.unwrap();
    assert_eq!(provider.only, Some(vec!["a".to_owned()]));
    assert!(!provider.allow_fallbacks);
    assert_eq!(provider.data_collection, Some(wire::DataCollection::Deny));
    let sort = wire::Sort { by: wire::SortBy::Latency, partition: wire::Partition::None };
    assert_eq!(provider.sort, Some(sort));
    assert_eq!(provider.preferred_max_latency.unwrap().p90, Some(1.5));
    assert_eq!(provider.max_price.unwrap().completion_pico_usd, Some(300_000));
}

#[test]
fn extra_reaches_the_top_level_and_typed_fields_win() {
    let list = ListValue { values: vec![number(1.0), number(1.5)] };
    let request = ChatRequest {
        model: "typed".into(),
        extra: Some(object([
            ("model", string("untyped")),
            ("temperature", number(0.5)),
            ("top_logits", number(5.0)),
            ("ladder", structure::of(Kind::ListValue(list))),
            ("quo\"te", structure::of(Kind::NullValue(0))),
        ])),
        ..ChatRequest::default()
    };
    let text = String::from_utf8(chat_body(&request, Reply::Whole).unwrap()).unwrap();
    assert_eq!(
        text,
        concat!(
            r#"{"model":"typed","stream":false,"ladder":[1,1.5],"quo\"te":null,"#,
            r#""temperature":0.5,"top_logits":5}"#
        )
    );
}

#[test]
fn extra_cannot_change_how_the_answer_comes() {
    let options = || nested([("include_obfuscation", structure::of(Kind::BoolValue(false)))]);
    let streams = structure::of(Kind::BoolValue(true));
    let request = ChatRequest {
        extra: Some(object([("stream", streams), ("stream_options", options())])),
        ..ChatRequest::default()
    };
    assert_eq!(body(&request), json!({"stream": false}));
    let streamed: Json =
        serde_json::from_slice(&chat_body(&request, Reply::Streamed).unwrap()).unwrap();
    let both = json!({"include_usage": true, "include_obfuscation": false});
    assert_eq!(streamed, json!({"stream": true, "stream_options": both}));
}

#[test]
fn what_json_cannot_say_is_refused_by_its_path() {
    let odd_role = Message { role: 77, ..Message::default() };
    let messages = vec![says(Role::User, "a"), odd_role];
    let request = ChatRequest { messages, ..ChatRequest::default() };
    assert_eq!(refused(&request), "messages[1].role: is not a known role");

    let request = ChatRequest { messages: vec![Message::default()], ..ChatRequest::default() };
    assert_eq!(refused(&request), "messages[0].role: is required");

    let request = ChatRequest { temperature: Some(f64::NAN), ..ChatRequest::default() };
    assert_eq!(refused(&request), "temperature: is not a finite number");

    let request = with_parts(vec![ContentPart::default()]);
    assert_eq!(refused(&request), "messages[0].content[0].part: is required");

    let extra = object([("a", nested([("b", number(f64::INFINITY))]))]);
    let request = ChatRequest { extra: Some(extra), ..ChatRequest::default() };
    assert_eq!(refused(&request), "extra.a.b: is not a finite number");

    let schema = Some(function_definition::Schema::ParametersJson("{".into()));
    let function = FunctionDefinition { schema, ..FunctionDefinition::default() };
    let tools = vec![Tool { function: Some(function), extra: None }];
    let request = ChatRequest { tools, ..ChatRequest::default() };
    assert_eq!(refused(&request), "tools[0].function.parameters_json: is not JSON");

    let sort = Some(ProviderSort::default());
    let provider = Some(ProviderPreferences { sort, ..ProviderPreferences::default() });
    let request = ChatRequest { provider, ..ChatRequest::default() };
    assert_eq!(refused(&request), "provider.sort.by: is required");
}

#[test]
fn embeddings_take_texts_or_tokens_but_not_both() {
    let texts = EmbedRequest {
        model: "e".into(),
        input: vec!["a".into(), "b".into()],
        dimensions: Some(256),
        extra: Some(object([("input_type", string("query"))])),
        ..EmbedRequest::default()
    };
    let written = String::from_utf8(embed_body(&texts).unwrap()).unwrap();
    let expected = r#"{"model":"e","input":["a","b"],"dimensions":256,"input_type":"query"}"#;
    assert_eq!(written, expected);

    let token_input = vec![TokenSequence { tokens: vec![1, 2] }, TokenSequence { tokens: vec![] }];
    let tokens = EmbedRequest { token_input: token_input.clone(), ..EmbedRequest::default() };
    assert_eq!(embed_body(&tokens).unwrap(), br#"{"input":[[1,2],[]]}"#);

    let both = EmbedRequest { token_input, ..texts };
    assert_eq!(embed_body(&both).unwrap_err().field, "token_input");
}

#[test]
fn tags_become_a_header_unless_they_would_break_it() {
    let header = |key: &str, value: &str| {
        let tags = std::collections::BTreeMap::from([
            ("feature".to_owned(), "search".to_owned()),
            (key.to_owned(), value.to_owned()),
        ]);
        tags_header(&tags)
    };
    assert_eq!(header("stage", "beta").unwrap().unwrap(), "feature=search,stage=beta");
    assert_eq!(tags_header([]).unwrap(), None);
    for (key, value) in [("", "x"), ("a,b", "x"), ("a", "x=y"), ("a", "x\r\ny: z"), ("ä", "x")] {
        assert_eq!(header(key, value).unwrap_err().field, "tags", "{key}={value}");
    }
}
