//! What overrides accept, what they refuse, and whom they mean.

use super::*;
use crate::{canonical, catalog};

const CATALOG: &str = "
version: 1
providers:
  - id: one
    base_url: https://one.example
    endpoints: [{model: a/b, region: us}, {model: a/b, region: eu}]
  - id: two
    base_url: https://two.example
    endpoints: [{model: a/b}, {model: c}]
";

const SMALL: &str = "
version: 1
drains:
  - {scope: provider/one, reason: incident 7, by: mira, at_ms: 1700000000000}
  - {scope: model/c, reason: recalled}
weights:
  - {scope: endpoint/two/a/b@global, weight: 0, reason: slow}
  - {scope: endpoint/one/a/b@eu, weight: 1000, reason: paid for}
";

/// What operators say about the endpoint of that name: drained, and the pinned weight.
fn word(name: &str) -> Option<(bool, Option<u16>)> {
    let catalog = catalog::parse(CATALOG).unwrap();
    let resolved = parse(SMALL).unwrap().resolve(&catalog);
    let endpoint = catalog.endpoints.iter().find(|e| e.name() == name).unwrap();
    resolved.endpoints.get(&endpoint.id).map(|word| (word.drained, word.weight))
}

#[test]
fn a_scope_reaches_its_endpoints_and_no_others() {
    assert_eq!(word("one/a/b@us"), Some((true, None)));
    assert_eq!(word("one/a/b@eu"), Some((true, Some(1000))));
    assert_eq!(word("two/c@global"), Some((true, None)));
    assert_eq!(word("two/a/b@global"), Some((false, Some(0))));
    let nobody = Overrides::default().resolve(&catalog::parse(CATALOG).unwrap());
    assert!(nobody.endpoints.is_empty());
}

#[test]
fn a_scope_reads_back_as_it_is_written() {
    for text in ["provider/one", "model/a/b", "endpoint/abcdefghij"] {
        assert_eq!(Scope::parse(text).unwrap().to_string(), text);
    }
    let id = EndpointId::of(&ProviderId::new("one"), &ModelId::new("a/b"), &Region::new("eu"));
    assert_eq!(Scope::parse("endpoint/one/a/b@eu"), Ok(Scope::Endpoint(id)));
    let global =
        EndpointId::of(&ProviderId::new("one"), &ModelId::new("c"), &Region::new("global"));
    assert_eq!(Scope::parse("endpoint/one/c"), Ok(Scope::Endpoint(global)));
}

#[test]
fn what_is_no_scope_is_told_what_is_one() {
    let cases = [
        ("openai", "write provider/<id>"),
        ("region/eu", "`region` is not a kind of scope"),
        ("provider/", "must not be empty"),
        ("endpoint/short", "neither an endpoint's id nor"),
        ("endpoint/a/@eu", "neither an endpoint's id nor"),
        ("model/a b", "' '"),
    ];
    for (text, part) in cases {
        let message = Scope::parse(text).unwrap_err();
        assert!(message.contains(part), "{text}: {message}");
    }
}

#[test]
fn stored_records_read_as_in_the_document() {
    let document = load::<OverridesDocument>(SMALL).unwrap().document;
    let overrides = parse(SMALL).unwrap();
    let drain = canonical::json(&document.drains[0]).unwrap();
    assert_eq!(parse_drain(&drain).unwrap(), overrides.drains[0]);
    let weight = canonical::json(&document.weights[0]).unwrap();
    assert_eq!(parse_weight(&weight).unwrap(), overrides.weights[0]);
    assert_eq!(parse(&canonical::json(&document).unwrap()).unwrap(), overrides);
}

#[test]
fn every_mistake_is_named_with_its_remedy() {
    let text = SMALL
        .replace("model/c", "provider/one")
        .replace("incident 7", "''")
        .replace("endpoint/two/a/b@global", "model/c")
        .replace("weight: 1000", "weight: 1001");
    let problems = parse(&text).unwrap_err();
    let found: Vec<String> =
        problems.0.iter().map(|p| format!("{} {}", p.path, p.message)).collect();
    assert_eq!(
        found,
        [
            "drains[0].reason expected 1 to 256 printable characters",
            "drains[1].scope drained already above; remove one of the two",
            "weights[0].scope a weight is pinned for one endpoint; write endpoint/<provider>/<model>@<region>",
            "weights[1].weight 1001 is too large; a weight is 0 (taken out) to 1000",
        ]
    );
}

const SLOW: &str = r#"{"scope": "provider/one", "reason": "x", "at_ms": 60000, "rate_permille": 100,
    "taken_permille": 250, "expires_at_ms": 3600000}"#;

#[test]
fn a_drain_with_a_rate_leaves_a_part_of_the_weight() {
    let slow = parse_drain(SLOW).unwrap();
    assert_eq!(slow.left_permille(), 750);
    assert_eq!(slow.due_permille(60_000), 250, "never less than is gone");
    assert_eq!(slow.due_permille(60_000 + 4 * 60_000), 400);
    assert_eq!(slow.due_permille(u64::MAX), 1_000);
    assert!(!slow.is_over(3_599_999) && slow.is_over(3_600_000));
    let cut = Drain { deadline_at_ms: Some(9), ..slow.clone() };
    assert_eq!(cut.cuts_at_ms(), None, "calls still arrive");
    assert_eq!(Drain { taken_permille: 1_000, ..cut }.cuts_at_ms(), Some(9));
    let catalog = catalog::parse(CATALOG).unwrap();
    let overrides = |drain| Overrides { drains: vec![drain], weights: Vec::new() };
    let one = catalog.endpoints.iter().find(|e| e.provider.as_str() == "one").unwrap();
    let word = overrides(slow.clone()).resolve(&catalog).endpoints[&one.id];
    assert_eq!((word.drained, word.weight), (false, Some(75)));
    let done = Drain { taken_permille: 1_000, ..slow };
    let word = overrides(done).resolve(&catalog).endpoints[&one.id];
    assert_eq!((word.drained, word.weight), (true, None));
}

#[test]
fn the_smallest_weight_is_something_until_the_drain_is_complete() {
    assert_eq!((part_of(1, 1), part_of(0, 999), part_of(1_000, 1)), (1, 0, 1));
}

#[test]
fn a_drain_says_nothing_that_makes_no_sense() {
    for (right, wrong, why) in [
        ("\"rate_permille\": 100", "\"rate_permille\": 1001", "rate_permille"),
        ("\"taken_permille\": 250", "\"taken_permille\": 1001", "taken_permille"),
        ("\"rate_permille\": 100,", "", "only at a rate"),
        ("\"reason\": \"x\"", "\"reason\": \"x\", \"withdrawn\": true", "only a model"),
    ] {
        let text = SLOW.replace(right, wrong);
        let told = parse_drain(&text).unwrap_err().to_string();
        assert!(told.contains(why), "{text}: {told}");
    }
}
