//! What a keys document accepts, what it refuses, and in which words.

use trunkline_core::money::PicoUsd;
use trunkline_core::policy::{Access, Role};

use super::*;
use crate::catalog;

const HASH: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn document() -> String {
    format!(
        "version: 1\nkeys:\n  - id: Abcd1234\n    hash: {HASH}\n    note: the search team\n    \
         models: [openai/gpt-4o]\n    providers: [any]\n    data: {{no_training: true}}\n    \
         max_concurrency: 10\n    requests_per_minute: 600\n  - {{id: zzzz0000, hash: {HASH}}}\n"
    )
}

fn complaints(text: &str) -> Vec<String> {
    let problems = parse(text).unwrap_err();
    problems
        .0
        .iter()
        .map(|p| format!("{}:{} {}: {}", p.line, p.column, p.path, p.message))
        .collect()
}

#[test]
fn what_is_written_is_what_holders_may_do() {
    let keys = parse(&document()).unwrap();
    let tenant = &keys[0].tenant;
    assert_eq!(keys[0].hash[..3], [0x00, 0x11, 0x22]);
    assert_eq!(tenant.key, KeyId::new("Abcd1234"));
    assert_eq!(tenant.models, Some(vec![ModelId::new("openai/gpt-4o")]));
    assert_eq!(tenant.providers, Some(vec![ProviderId::new("any")]));
    assert_eq!((tenant.max_concurrency, tenant.requests_per_minute), (Some(10), Some(600)));
    assert!(tenant.data.no_training);
    assert_eq!(keys[1].tenant, Tenant::unrestricted(KeyId::new("zzzz0000")));
}

#[test]
fn a_stored_record_reads_as_in_the_document() {
    let loaded = load::<KeysDocument>(&document()).unwrap().document;
    let record = canonical::json(&loaded.keys[0]).unwrap();
    assert_eq!(parse_one(&record).unwrap(), parse(&document()).unwrap()[0]);
    assert_eq!(parse(&canonical(&document()).unwrap()).unwrap(), parse(&document()).unwrap());
}

#[test]
fn every_mistake_is_named_with_its_remedy() {
    let text = document()
        .replace("Abcd1234", "tl_Abcd1234")
        .replacen(HASH, "tl_Abcd1234_secret", 1)
        .replace("[any]", "[]")
        .replace("max_concurrency: 10", "max_concurrency: 0")
        .replace("zzzz0000", "tl_Abcd1234");
    let found = complaints(&text);
    let expected = [
        "3:9 keys[0].id: an id is the 8 letters or digits after `tl_`",
        "4:11 keys[0].hash: a hash is 64 hexadecimal digits, never the key itself",
        "7:5 keys[0].providers: an empty list would refuse every call",
        "9:22 keys[0].max_concurrency: out of range; use 1 to 1000000",
        "11:10 keys[1].id: `tl_Abcd1234` is also the id of keys[0]",
        "11:10 keys[1].id: an id is the 8 letters or digits after `tl_`",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
}

#[test]
fn names_that_do_not_exist_are_told_with_the_nearest_that_do() {
    let catalog = "version: 1\nproviders: [{id: anyone, base_url: 'https://a.example', endpoints: [{model: openai/gpt-4}]}]";
    let catalog = catalog::parse(catalog).unwrap();
    let problems = parse_against(&document(), &catalog).unwrap_err();
    let messages: Vec<&str> = problems.0.iter().map(|p| p.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "there is no model `openai/gpt-4o` in the catalog; did you mean `openai/gpt-4`?",
            "there is no provider `any` in the catalog; did you mean `anyone`?",
        ]
    );
}

#[test]
fn what_a_key_opens_until_when_and_from_where() {
    let more = "role: operator\n    expires_at_ms: 7\n    networks: [10.0.0.0/8, 192.0.2.1]";
    let text = document().replace("max_concurrency: 10", more);
    let access = parse(&text).unwrap().remove(0).access;
    assert_eq!((access.role, access.expires_at_ms), (Some(Role::Operator), Some(7)));
    assert!(access.from_here("10.9.9.9".parse().unwrap()));
    assert!(access.from_here("192.0.2.1".parse().unwrap()));
    assert!(!access.from_here("192.0.2.2".parse().unwrap()));
    assert_eq!(parse(&document()).unwrap()[0].access, Access::default());
    for wrong in ["10.0.0.0/33", "10.0.0/8", "anywhere", "::/129"] {
        let told = complaints(&text.replace("10.0.0.0/8", wrong));
        assert!(told[0].contains("keys[0].networks[0]: `"), "{told:?}");
    }
    let told = complaints(&text.replace("[10.0.0.0/8, 192.0.2.1]", "[]"));
    assert!(told[0].contains("let nobody in"), "{told:?}");
}

#[test]
fn spend_limits_are_amounts_in_usd_for_each_window() {
    let with = |spend: &str| {
        format!("version: 1\nkeys: [{{id: Abcd1234, hash: {HASH}, spend: {spend}}}]\n")
    };
    let limits = parse(&with("{day: 2.5, lifetime: 0}")).unwrap()[0].spend;
    let usd = |usd| PicoUsd::from_usd_f64(usd);
    assert_eq!((limits.day, limits.week, limits.lifetime), (usd(2.5), None, usd(0.0)));
    let found = complaints(&with("{week: -1, month: 1e12}"));
    assert!(found[0].contains("keys[0].spend.week: out of range"), "{found:?}");
    assert!(found[1].contains("keys[0].spend.month: out of range"), "{found:?}");
    assert!(complaints(&with("{year: 1}"))[0].contains("year"));
}
