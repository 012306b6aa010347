//! Requests as callers send them.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn peek(body: &str) -> Result<Peek, BadRequest> {
    Peek::parse(Operation::Chat, Bytes::copy_from_slice(body.as_bytes()))
}

fn chat(more: &str) -> Result<Peek, BadRequest> {
    peek(&format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{more}}}"#))
}

fn rewritten(peek: &Peek, ask_usage: bool, drop: &[&str]) -> String {
    let body = peek.rewrite(&Rewrite { model: "to", ask_usage, drop });
    String::from_utf8(body.to_vec()).unwrap()
}

fn param(result: Result<Peek, BadRequest>) -> String {
    result.err().unwrap().param.unwrap()
}

#[test]
fn reads_the_facts() {
    let peek = peek(
        r#" {"model" : "a/b:nitro", "messages":[{"role":"user","content":[{"type":"text","text":"x"},
        {"type":"image_url","image_url":{"url":"data:"}}]}], "stream":true,
        "stream_options":{"include_usage":true},"max_tokens":5,"max_completion_tokens":7,"n":2,
        "tools":[{}],"response_format":{"type":"json_schema","json_schema":{}},"temperature":0.5,
        "seed":null,"models":["c"],"session_id":"s","user":"u","metadata":{"team":"x"},
        "delivery":"assured"} "#,
    )
    .unwrap();
    assert_eq!(peek.model, "a/b:nitro");
    assert!(peek.stream && peek.include_usage && peek.tools);
    assert_eq!(peek.images, 1);
    assert_eq!((peek.max_tokens, peek.n, peek.inputs), (Some(7), 2, 1));
    assert_eq!(peek.json, JsonMode::Schema);
    assert_eq!(peek.models, ["c"]);
    assert_eq!(peek.session_id.as_deref(), Some("s"));
    assert_eq!(peek.user.as_deref(), Some("u"));
    assert_eq!(peek.metadata, [("team".to_owned(), "x".to_owned())]);
    assert_eq!(peek.delivery, Some(Delivery::Assured));
    let names: Vec<_> = peek.parameters.names().collect();
    let all =
        ["temperature", "max_tokens", "max_completion_tokens", "tools", "response_format", "n"];
    assert_eq!(names, all);
    assert!(peek.parameters.contains("tools") && !peek.parameters.contains("seed"));
}

#[test]
fn counts_the_prompt_as_written() {
    let messages = r#"[{"role":"user","content":"hi"}]"#;
    assert_eq!(chat("").unwrap().prompt_bytes, messages.len());
}

#[test]
fn the_first_of_models_stands_in_for_a_missing_model() {
    let peek = peek(r#"{"messages":[{}],"models":["a","b"]}"#).unwrap();
    assert_eq!((peek.model.as_str(), peek.models.as_slice()), ("a", ["b".to_owned()].as_slice()));
    assert_eq!(rewritten(&peek, false, &[]), r#"{"messages":[{}],"model":"to"}"#);
}

#[test]
fn embedding_inputs_are_counted() {
    for (input, inputs) in
        [(r#""x""#, 1), (r#"["x","y"]"#, 2), ("[1,2,3]", 1), ("[[1],[2,3],[4]]", 3)]
    {
        let body = format!(r#"{{"model":"m","input":{input}}}"#);
        let peek = Peek::parse(Operation::Embedding, Bytes::from(body)).unwrap();
        assert_eq!(peek.inputs, inputs, "{input}");
    }
    for input in ["[]", "[1,\"x\"]", "{}", "null", "[null]"] {
        let body = format!(r#"{{"model":"m","input":{input}}}"#);
        assert_eq!(param(Peek::parse(Operation::Embedding, Bytes::from(body))), "input");
    }
}

#[test]
fn refuses_wrong_types_by_name() {
    for (more, name) in [
        (r#","stream":1"#, "stream"),
        (r#","temperature":"hot""#, "temperature"),
        (r#","n":0"#, "n"),
        (r#","max_tokens":-1"#, "max_tokens"),
        (r#","max_tokens":1.5"#, "max_tokens"),
        (r#","seed":1e3"#, "seed"),
        (r#","tools":{}"#, "tools"),
        (r#","models":["a",""]"#, "models"),
        (r#","delivery":"slow""#, "delivery"),
        (r#","metadata":{"a":1}"#, "metadata.*"),
        (r#","response_format":"json""#, "response_format"),
        (r#","stream_options":[]"#, "stream_options"),
        (r#","provider":{"only":"x"}"#, "provider.only"),
        (r#","provider":{"onyl":["x"]}"#, "provider"),
        (r#","provider":{"sort":"speed"}"#, "provider.sort"),
        (r#","provider":{"max_price":{"prompt":"cheap"}}"#, "provider.max_price"),
        (r#","provider":{"zdr":true,"zdr":false}"#, "provider"),
        (r#","model":"again""#, "model"),
    ] {
        assert_eq!(param(chat(more)), name, "{more}");
    }
}

#[test]
fn refuses_what_is_missing_or_empty() {
    assert_eq!(param(peek(r#"{"messages":[{}]}"#)), "model");
    assert_eq!(param(peek(r#"{"model":"","messages":[{}]}"#)), "model");
    assert_eq!(param(peek(r#"{"model":"m"}"#)), "messages");
    assert_eq!(param(peek(r#"{"model":"m","messages":[]}"#)), "messages");
    assert_eq!(param(peek(r#"{"model":"m","messages":["x"]}"#)), "messages");
    for body in ["", "[]", "1", "null", "{", r#"{"model":"m","messages":[{}]} x"#] {
        assert_eq!(peek(body).err().unwrap().param, None, "{body}");
    }
}

#[test]
fn repeated_fields_are_refused_however_they_are_spelt() {
    assert!(chat(r#","x":1,"x":2"#).is_err());
    assert!(chat(r#","x":1,"\u0078":2"#).is_err());
    assert_eq!(param(chat(r#","mod\u0065l":"other""#)), "model");
    assert!(chat(r#","x":{"y":1,"y":2}"#).is_ok(), "only the top level is ours to judge");
}

#[test]
fn depth_is_bounded_inside_fields_nobody_reads() {
    let nested = |depth: usize| format!(r#","x":{}{}"#, "[".repeat(depth), "]".repeat(depth));
    assert!(chat(&nested(63)).is_ok());
    assert!(chat(&nested(64)).is_err());
}

#[test]
fn too_many_fields_are_refused() {
    let fields = |count: usize| (0..count).map(|at| format!(r#","x{at}":0"#)).collect::<String>();
    assert!(chat(&fields(MAX_FIELDS - 2)).is_ok());
    assert!(chat(&fields(MAX_FIELDS - 1)).is_err());
}

#[test]
fn messages_of_refusals_hold_nothing_of_the_body() {
    for more in [
        r#","stream":"SECRET""#,
        r#","SECRET":tru"#,
        r#","provider":{"SECRET":1}"#,
        r#","delivery":"SECRET""#,
        r#","SECRET":1,"SECRET":2"#,
        r#","metadata":{"SECRET":{}}"#,
    ] {
        let bad = chat(more).err().unwrap();
        assert!(!format!("{bad:?} {bad}").contains("SECRET"), "{more}");
    }
}

#[test]
fn reads_the_preferences() {
    let peek = chat(
        r#","provider":{"order":["a"],"only":[],"ignore":["b"],"allow_fallbacks":false,
        "require_parameters":true,"data_collection":"deny","zdr":true,"quantizations":["fp8"],
        "sort":{"by":"latency","partition":"none"},"preferred_min_throughput":50,
        "preferred_max_latency":{"p90":1.5},
        "max_price":{"prompt":"0.15","completion":2,"request":0.001,"image":null}}"#,
    )
    .unwrap();
    let expected = ProviderPreferences {
        order: vec!["a".into()],
        only: Some(Vec::new()),
        ignore: vec!["b".into()],
        allow_fallbacks: false,
        require_parameters: true,
        data_collection: Some(DataCollection::Deny),
        zdr: true,
        quantizations: vec!["fp8".into()],
        sort: Some(Sort { by: SortBy::Latency, partition: Partition::None }),
        preferred_min_throughput: Some(Percentiles { p50: Some(50.0), ..Default::default() }),
        preferred_max_latency: Some(Percentiles { p90: Some(1.5), ..Default::default() }),
        max_price: Some(MaxPrice {
            prompt_pico_usd: Some(150_000),
            completion_pico_usd: Some(2_000_000),
            request_pico_usd: Some(1_000_000_000),
            image_pico_usd: None,
        }),
    };
    assert_eq!(peek.provider.as_deref(), Some(&expected));
    assert_eq!(chat(r#","provider":null"#).unwrap().provider, None);
    let plain = chat(r#","provider":{"sort":"price"}"#).unwrap().provider.unwrap();
    assert_eq!(plain.sort, Some(Sort { by: SortBy::Price, partition: Partition::Model }));
    assert!(plain.allow_fallbacks);
}

#[test]
fn rewriting_changes_only_what_it_names() {
    let body = "{ \"provider\":{\"zdr\":true},\n \"x\" : [1, 2.50,\"\\u00e9\"] , \"model\" :\"m\",\
         \"session_id\":\"s\",\"messages\": [ {} ],\"seed\":1 ,\"plugins\":[] }";
    let peek = peek(body).unwrap();
    let expected =
        "{ \"x\" : [1, 2.50,\"\\u00e9\"] , \"model\" :\"to\",\"messages\": [ {} ],\"seed\":1 }";
    assert_eq!(rewritten(&peek, true, &[]), expected);
    let expected = "{ \"x\" : [1, 2.50,\"\\u00e9\"] , \"model\" :\"to\",\"messages\": [ {} ] }";
    assert_eq!(rewritten(&peek, true, &["seed", "model"]), expected);
    assert!(rewritten(&peek, true, &["x"]).starts_with("{ \"model\" :\"to\""));
}

#[test]
fn callers_ask_for_usage_in_either_way() {
    let asks = |more: &str| chat(more).map(|peek| peek.include_usage).map_err(|bad| bad.param);
    assert_eq!(asks(""), Ok(false));
    assert_eq!(asks(r#","usage":{"include":true}"#), Ok(true));
    assert_eq!(asks(r#","usage":{"include":false,"x":[]}"#), Ok(false));
    assert_eq!(asks(r#","usage":null"#), Ok(false));
    let both = r#","usage":{"include":true},"stream_options":{"include_usage":false}"#;
    assert_eq!(asks(both), Ok(true));
    assert_eq!(asks(r#","usage":{"include":1}"#), Err(Some("usage.include".to_owned())));
    assert_eq!(asks(r#","usage":true"#), Err(Some("usage".to_owned())));
}

#[test]
fn a_plugin_that_there_is_not_is_refused() {
    let refused = |more: &str| chat(more).err().and_then(|bad| bad.param);
    for fine in [r#","plugins":[]"#, r#","plugins":null"#] {
        assert_eq!(refused(fine), None, "{fine}");
    }
    for bad in [r#","plugins":[{"id":"web"}]"#, r#","plugins":"web""#] {
        assert_eq!(refused(bad), Some("plugins".to_owned()), "{bad}");
    }
}

#[test]
fn asks_for_usage_in_streams() {
    let base = r#"{"model":"to","messages":[{"role":"user","content":"hi"}]"#;
    for (more, expected) in [
        (r#","stream":true"#, r#","stream":true,"stream_options":{"include_usage":true}"#),
        (
            r#","stream_options":null,"stream":true"#,
            r#","stream_options":{"include_usage":true},"stream":true"#,
        ),
        (
            r#","stream":true,"stream_options":{ }"#,
            r#","stream":true,"stream_options":{"include_usage":true }"#,
        ),
        (
            r#","stream":true,"stream_options":{"a":1}"#,
            r#","stream":true,"stream_options":{"include_usage":true,"a":1}"#,
        ),
        (
            r#","stream":true,"stream_options":{"a":1, "include_usage" : false }"#,
            r#","stream":true,"stream_options":{"a":1, "include_usage" : true }"#,
        ),
        (r#","stream":false"#, r#","stream":false"#),
    ] {
        assert_eq!(
            rewritten(&chat(more).unwrap(), true, &[]),
            format!("{base}{expected}}}"),
            "{more}"
        );
        let untouched = format!("{base}{more}}}");
        assert_eq!(rewritten(&chat(more).unwrap(), false, &[]), untouched, "{more}");
    }
    let dropped = rewritten(&chat(r#","stream":true"#).unwrap(), true, &["stream_options"]);
    assert_eq!(dropped, format!(r#"{base},"stream":true}}"#));
}

#[test]
fn the_model_is_escaped() {
    let body =
        chat("").unwrap().rewrite(&Rewrite { model: "a\"\\\n", ask_usage: false, drop: &[] });
    let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(value["model"], "a\"\\\n");
}

/// A JSON value as text, with odd spacing and escapes.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("-0.10E+5".to_owned()),
        Just(r#""\ud83d\ude00\/\n""#.to_owned()),
        any::<u64>().prop_map(|n| n.to_string()),
        "[a-zé ☃]{0,20}".prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4);
        let pairs = prop::collection::vec(("[a-z]{1,4}", inner), 0..4);
        prop_oneof![
            list.prop_map(|items| format!("[ {}]", items.join(" ,"))),
            pairs.prop_map(|pairs| {
                let pairs: Vec<_> = pairs.iter().map(|(k, v)| format!("\"{k}\" :{v}")).collect();
                format!("{{{}\n}}", pairs.join(", "))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn unknown_fields_survive_byte_by_byte(
        values in prop::collection::vec(json(), 0..6),
        at in 0_usize..6,
        space in "[ \n\t]{0,3}",
    ) {
        let mut fields: Vec<_> =
            values.iter().enumerate().map(|(i, v)| format!("{space}\"zz{i}\":{space}{v}")).collect();
        let at = at.min(fields.len());
        fields.insert(at, format!("\"messages\":[{{}}]{space}"));
        let kept = |model: &str| {
            let mut all = fields.clone();
            all.push(format!("\"model\":{space}\"{model}\""));
            all.join(",")
        };
        let body = format!("{{{},\"provider\":{{}}{space}}}", kept("m"));
        let peek = peek(&body).unwrap();
        prop_assert_eq!(rewritten(&peek, true, &[]), format!("{{{}{space}}}", kept("to")));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        for operation in [Operation::Chat, Operation::Completion, Operation::Embedding] {
            prop_assert!(Peek::parse(operation, Bytes::from(bytes.clone())).is_err());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn almost_json_never_panics(text in r#"\{("(model|messages|stream|provider|n|x)":["\[\]{}:,\\tru1-9a. ]{0,12},?){0,5}\}?"#) {
        let whole = peek(&text);
        if let Ok(peek) = whole {
            let body = peek.rewrite(&Rewrite { model: "to", ask_usage: true, drop: &["n"] });
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
        }
    }
}
