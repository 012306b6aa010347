//! What a catalog accepts, what it refuses, and in which words.

use proptest::prelude::*;
use trunkline_core::catalog::{Dialect, ProbeMode, Retention, SecretRef, Training};
use trunkline_core::money::PicoUsd;

use super::*;
use crate::canonical;

const SMALL: &str = "\
version: 1
providers:
  - id: openai
    base_url: https://api.openai.com/v1/
    credentials: [{env: OPENAI_API_KEY}, {file: /run/key}]
    endpoints:
      - model: openai/gpt-4o-mini
        region: us
        upstream_model: gpt-4o-mini
        price: {input: 0.15, output: 0.60, cache_read: 0.075}
        max_output_tokens: 16384
        capabilities: [chat, tools]
        jurisdiction: us
        retention: {days: 30}
        training: no
        probe: list
        weight: 250
      - model: openai/gpt-4o
";

/// Each message with the place it names.
fn complaints(text: &str) -> Vec<String> {
    let problems = parse(text).unwrap_err();
    problems
        .0
        .iter()
        .map(|p| format!("{}:{} {}: {}", p.line, p.column, p.path, p.message))
        .collect()
}

#[test]
fn what_is_written_is_what_exists() {
    let catalog = parse(SMALL).unwrap();
    let provider = &catalog.providers[0];
    assert_eq!(provider.base_url, "https://api.openai.com/v1");
    assert_eq!(provider.dialect, Dialect::OpenAi);
    let env = SecretRef::Env("OPENAI_API_KEY".into());
    assert_eq!(provider.credentials, [env, SecretRef::File("/run/key".into())]);
    let mini = catalog.endpoints.iter().find(|e| e.model.as_str() == "openai/gpt-4o-mini").unwrap();
    assert_eq!(mini.name(), "openai/openai/gpt-4o-mini@us");
    assert_eq!(mini.upstream_model, "gpt-4o-mini");
    assert_eq!(mini.price.input, PicoUsd(150_000));
    assert_eq!(mini.price.cache_read, PicoUsd(75_000));
    assert_eq!(mini.price.cache_write, mini.price.input);
    assert_eq!(mini.retention, Retention::Days(30));
    assert_eq!(mini.training, Training::No);
    assert_eq!(mini.probe, ProbeMode::List);
    assert_eq!((mini.weight, mini.max_output_tokens), (250, 16_384));
    assert!(mini.capabilities.tools && mini.capabilities.chat && !mini.capabilities.images);
}

#[test]
fn what_is_left_out_has_its_documented_default() {
    let catalog = parse(SMALL).unwrap();
    let plain = catalog.endpoints.iter().find(|e| e.model.as_str() == "openai/gpt-4o").unwrap();
    assert_eq!(plain.region.as_str(), "global");
    assert_eq!(plain.upstream_model, "openai/gpt-4o");
    assert_eq!((plain.context_tokens, plain.max_output_tokens), (128_000, 128_000));
    assert_eq!(plain.price, trunkline_core::catalog::Price::default());
    assert_eq!((plain.retention, plain.training), (Retention::Unknown, Training::Unknown));
    assert_eq!((plain.probe, plain.weight), (ProbeMode::Generate, 100));
    assert!(plain.capabilities.chat && plain.parameters.is_empty());
}

#[test]
fn json_says_the_same_as_yaml() {
    let canonical = canonical(SMALL).unwrap();
    assert!(canonical.starts_with(r#"{"providers":[{"base_url":"#), "{canonical}");
    assert_eq!(parse(&canonical).unwrap(), parse(SMALL).unwrap());
}

#[test]
fn training_is_read_as_word_or_flag() {
    for (written, meant) in [
        ("no", Training::No),
        ("false", Training::No),
        ("\"no\"", Training::No),
        ("yes", Training::Yes),
        ("true", Training::Yes),
        ("unknown", Training::Unknown),
    ] {
        let text = SMALL.replace("training: no", &format!("training: {written}"));
        let catalog = parse(&text).unwrap();
        assert!(
            catalog.endpoints.iter().any(|e| e.training == meant && e.weight == 250),
            "{written}"
        );
    }
}

#[test]
fn a_misspelt_key_is_named_with_the_right_one() {
    let text = SMALL.replace("base_url", "bse_url").replace("weight: 250", "wieght: 250");
    assert_eq!(
        complaints(&text),
        [
            "3:5 providers[0]: `base_url` is missing; add `base_url: …` (Where it is called: scheme, host, \
             optional port and path prefix, such as `https://api.openai.com/v1`)",
            "4:5 providers[0].bse_url: unknown key `bse_url`; did you mean `base_url`?",
            "17:9 providers[0].endpoints[0].wieght: unknown key `wieght`; did you mean `weight`?",
        ]
    );
}

#[test]
fn a_wrong_type_is_said_in_words() {
    let cases = [
        (
            "weight: 250",
            "weight: heavy",
            "expected a whole number, zero or more, found the text `heavy`",
        ),
        ("weight: 250", "weight: \"250\"", "remove the quotes"),
        ("weight: 250", "weight: -1", "expected a whole number, zero or more, found the number -1"),
        ("weight: 250", "weight: 2.5", "found the number 2.5"),
        ("region: us", "region: 7", "expected text, found the number 7; put it in quotes"),
        (
            "[chat, tools]",
            "chat",
            "expected a list, found the text `chat`; begin each item with `- `",
        ),
        ("[chat, tools]", "[chat, tool]", "`tool` is not known here"),
        ("[chat, tools]", "[chat, tool]", "did you mean `tools`?"),
        ("{days: 30}", "{day: 30}", "unknown key `day`; did you mean `days`?"),
        (
            "{days: 30}",
            "30",
            "expected `zero` or `unknown` or a mapping (`key: value`), found the number 30",
        ),
        (
            "{env: OPENAI_API_KEY}",
            "{evn: X}",
            "expected one of the keys `env`, `file`; did you mean `env`?",
        ),
        ("{env: OPENAI_API_KEY}", "{env: X, file: y}", "unknown key `file`"),
        (
            "training: no",
            "training: maybe",
            "`maybe` is not known here; use `no`, `yes`, `unknown`",
        ),
        ("version: 1", "version: one", "expected a whole number"),
        ("version: 1", "version: 2", "version 2 is not known; this release reads 1"),
    ];
    for (right, wrong, part) in cases {
        let found = complaints(&SMALL.replacen(right, wrong, 1)).join("\n");
        assert!(found.contains(part), "{wrong}: {found}");
    }
}

#[test]
fn every_bad_value_is_reported_with_its_line() {
    let text = SMALL
        .replace("https://api.openai.com/v1/", "http://api.openai.com/v1")
        .replace("OPENAI_API_KEY", "sk-abc123")
        .replace("input: 0.15, output: 0.60", "input: -0.15, output: 60000")
        .replace("16384", "9999999")
        .replace("weight: 250", "weight: 1001")
        .replace("[chat, tools]", "[tools]");
    let found = complaints(&text);
    let expected = [
        "4:15 providers[0].base_url: http:// to `api.openai.com` sends prompts and keys unencrypted",
        "5:25 providers[0].credentials[0].env: not the name of an environment variable",
        "10:24 providers[0].endpoints[0].price.input: -0.15 is not a price",
        "10:39 providers[0].endpoints[0].price.output: 60000 is not a price",
        "11:28 providers[0].endpoints[0].max_output_tokens: 9999999 is out of range",
        "12:9 providers[0].endpoints[0].capabilities: nothing could be sent there",
        "17:17 providers[0].endpoints[0].weight: 1001 is too large",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
    assert!(!found.iter().any(|f| f.contains("sk-abc123")), "a pasted secret is not repeated");
}

#[test]
fn prices_that_are_no_numbers_are_refused() {
    for price in [".nan", ".inf", "free", "1e999"] {
        assert!(parse(&SMALL.replace("0.60", price)).is_err(), "{price}");
    }
    let mut document = load::<CatalogDocument>(SMALL).unwrap().document;
    document.providers[0].endpoints[0].price.input = f64::NAN;
    assert_eq!(
        Catalog::try_from(&document).unwrap_err().0[0].path,
        "providers[0].endpoints[0].price.input"
    );
}

#[test]
fn the_same_thing_twice_is_refused() {
    let twice = SMALL.replace(
        "      - model: openai/gpt-4o\n",
        "      - {model: openai/gpt-4o-mini, region: us}\n",
    );
    assert_eq!(
        complaints(&twice),
        ["18:17 providers[0].endpoints[1].model: `openai/openai/gpt-4o-mini@us` is also \
          providers[0].endpoints[0]; give one another `region`"]
    );
    let again = format!("{SMALL}  - {{id: openai, base_url: 'https://x.example'}}\n");
    assert_eq!(
        complaints(&again),
        ["19:10 providers[1].id: `openai` is also the id of providers[0]; ids are unique"]
    );
    let keys = SMALL.replace("    endpoints:", "    id: other\n    endpoints:");
    assert!(
        complaints(&keys)[0].contains("the key `id` stands twice; remove one of the two"),
        "{:?}",
        complaints(&keys)
    );
}

#[test]
fn more_credentials_than_there_is_room_for_are_refused() {
    let text =
        SMALL.replace("[{env: OPENAI_API_KEY}, ", "[{env: A}, {env: B}, {env: C}, {env: D}, ");
    assert_eq!(complaints(&text), ["5:5 providers[0].credentials: 5 are too many; at most 4"]);
}

#[test]
fn a_tab_is_named_where_it_stands() {
    let text = SMALL.replace("    base_url", "\tbase_url");
    let found = complaints(&text);
    assert!(found[0].starts_with("4:"), "{found:?}");
    assert!(found[0].contains("a tab stands in the indentation"), "{found:?}");
}

#[test]
fn a_problem_shows_its_line_with_a_mark() {
    let problems = parse(&SMALL.replace("weight: 250", "weight: 1001")).unwrap_err();
    assert_eq!(
        problems.in_file("catalog.yaml").to_string(),
        "catalog.yaml:17:17: providers[0].endpoints[0].weight: 1001 is too large; a weight is 0 (taken out) \
         to 1000\n 17 |         weight: 1001\n    |                 ^"
    );
}

fn names() -> impl Strategy<Value = String> {
    "[A-Za-z0-9._:/@-]{1,20}"
}

prop_compose! {
    fn endpoints()(
        (model, region, quantization) in (names(), names(), proptest::option::of(names())),
        (input, output) in (0.0..1000.0f64, 0.0..1000.0f64),
        cache_read in proptest::option::of(0.0..10.0f64),
        (context_tokens, weight) in (1..1_000_000u64, 0..=1000u32),
        retention in prop_oneof![
            Just(RetentionEntry::Zero), Just(RetentionEntry::Unknown), (0..400u32).prop_map(RetentionEntry::Days)
        ],
        training in prop_oneof![
            Just(TrainingEntry::No), Just(TrainingEntry::Yes), Just(TrainingEntry::Unknown)
        ],
        upstream in proptest::option::of("\\PC{1,40}"),
        tools in any::<bool>(),
    ) -> EndpointEntry {
        let price = PriceEntry { input, output, cache_read, ..PriceEntry::default() };
        let mut capabilities = vec![CapabilityEntry::Embedding];
        if tools {
            capabilities.push(CapabilityEntry::Tools);
        }
        EndpointEntry {
            model, region, quantization, price, context_tokens, weight, retention, training, capabilities,
            upstream_model: upstream,
            max_output_tokens: None,
            parameters: Vec::new(),
            jurisdiction: None,
            probe: ProbeEntry::None,
        }
    }
}

fn documents() -> impl Strategy<Value = CatalogDocument> {
    let endpoints = proptest::collection::vec(endpoints(), 0..5);
    let provider = ("[a-z0-9.-]{1,12}", any::<bool>(), endpoints);
    proptest::collection::vec(provider, 0..4).prop_map(|providers| CatalogDocument {
        version: 1,
        providers: providers
            .into_iter()
            .map(|(id, allow_plaintext, endpoints)| ProviderEntry {
                id,
                dialect: DialectEntry::Anthropic,
                base_url: "http://localhost:8000/v1".into(),
                credentials: vec![SecretEntry::Env("KEY".into())],
                allow_plaintext,
                propagate_trace: allow_plaintext,
                endpoints,
            })
            .collect(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// What the store holds means what was written; what is refused is refused in both forms.
    #[test]
    fn a_canonical_document_reads_back_the_same(document in documents()) {
        let text = canonical::json(&document).unwrap();
        let loaded = load::<CatalogDocument>(&text).unwrap().document;
        prop_assert_eq!(canonical::json(&loaded).unwrap(), text.clone());
        match Catalog::try_from(&document) {
            Ok(catalog) => prop_assert_eq!(parse(&text).unwrap(), catalog),
            Err(problems) => prop_assert_eq!(parse(&text).unwrap_err().0.len(), problems.0.len()),
        }
    }
}
