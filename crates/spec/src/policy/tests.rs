//! What a policy accepts, what it refuses, and in which words.

use proptest::prelude::{ProptestConfig, Strategy, prop_assert_eq, proptest};
use trunkline_core::policy::Strategy as Sharing;
use trunkline_core::policy::Timeouts;

use super::*;
use crate::catalog;

const SMALL: &str = "\
version: 1
strategy: latency
routes:
  smart:
    models: [openai/gpt-4o, anthropic/claude]
    strategy: price
    timeouts: {total_ms: 60000}
aliases: {fast: openai/gpt-4o}
timeouts: {answer_ms: 30000}
retry: {attempts: 2, assured: true}
data: {jurisdictions: [eu], max_retention_days: 0, no_training: true}
tags: [feature, stage]
";

const CATALOG: &str = "
version: 1
providers:
  - id: any
    base_url: https://any.example
    endpoints: [{model: openai/gpt-4o}, {model: anthropic/claude}]
";

fn complaints(text: &str) -> Vec<String> {
    let problems = parse(text).unwrap_err();
    problems
        .0
        .iter()
        .map(|p| format!("{}:{} {}: {}", p.line, p.column, p.path, p.message))
        .collect()
}

#[test]
fn what_is_written_is_in_force() {
    let policy = parse(SMALL).unwrap();
    assert_eq!(policy.strategy, Sharing::Latency);
    let smart = &policy.routes["smart"];
    assert_eq!(smart.models, [ModelId::new("openai/gpt-4o"), ModelId::new("anthropic/claude")]);
    assert_eq!(smart.strategy, Some(Sharing::Price));
    let timeouts = Timeouts { total_ms: 60_000, answer_ms: 30_000, ..Timeouts::default() };
    assert_eq!(smart.timeouts, Some(timeouts), "a route's deadlines are laid over the policy's");
    assert_eq!(policy.routes["fast"].models, [ModelId::new("openai/gpt-4o")]);
    assert_eq!((policy.retry.attempts, policy.retry.budget_percent), (2, 20));
    assert!(policy.retry.assured && policy.data.no_training);
    assert_eq!(policy.data.max_retention_days, Some(0));
    assert_eq!(policy.tags, ["feature", "stage"]);
}

#[test]
fn an_almost_empty_policy_is_the_default_with_a_version() {
    let policy = parse("version: 1").unwrap();
    assert_eq!(policy.version.len(), 64);
    assert_eq!(Policy { version: String::new(), ..policy }, Policy::default());
}

#[test]
fn the_version_depends_on_what_is_said_and_not_on_how() {
    let stored = parse(&canonical(SMALL).unwrap()).unwrap();
    assert_eq!(stored, parse(SMALL).unwrap());
    let other = parse(&SMALL.replace("attempts: 2", "attempts: 4")).unwrap();
    assert_ne!(stored.version, other.version);
}

#[test]
fn every_mistake_is_named_with_its_remedy() {
    let text = SMALL
        .replace("total_ms: 60000", "total_ms: 0")
        .replace("attempts: 2", "attempts: 9")
        .replace("fast:", "smart:")
        .replace("[eu]", "[]")
        .replace("[openai/gpt-4o, anthropic/claude]", "[]");
    assert_eq!(
        complaints(&text),
        [
            "5:5 routes.smart.models: a route has 1 to 16 models, not 0",
            "7:26 routes.smart.timeouts.total_ms: 0 is out of range; use 1 to 3600000 milliseconds",
            "8:18 aliases.smart: `smart` is also a route; remove one of the two",
            "10:19 retry.attempts: 9 is out of range; use 1 to 8",
            "11:8 data.jurisdictions: an empty list would exclude every endpoint; name one, or leave the key out",
        ]
    );
}

#[test]
fn a_model_that_does_not_exist_is_named_with_the_nearest_that_does() {
    let catalog = catalog::parse(CATALOG).unwrap();
    assert!(parse_against(SMALL, &catalog).is_ok());
    let text = SMALL
        .replace("anthropic/claude", "claude")
        .replace("fast: openai/gpt-4o", "fast: openai/gpt4o");
    let problems = parse_against(&text, &catalog).unwrap_err();
    assert_eq!(
        problems.in_file("policy.yaml").to_string(),
        "policy.yaml:5:29: routes.smart.models[1]: there is no model `claude` in the catalog; did you mean \
         `anthropic/claude`?\n 5 |     models: [openai/gpt-4o, claude]\n   |                             ^\n\
         policy.yaml:8:17: aliases.fast: there is no model `openai/gpt4o` in the catalog; did you mean \
         `openai/gpt-4o`?\n 8 | aliases: {fast: openai/gpt4o}\n   |                 ^"
    );
}

fn names() -> impl Strategy<Value = String> {
    "[A-Za-z0-9._:/@-]{1,12}"
}

fn documents() -> impl Strategy<Value = PolicyDocument> {
    let models = proptest::collection::btree_set(names(), 1..5);
    let route =
        (models, proptest::option::of(1..3_600_000u64)).prop_map(|(models, total_ms)| RouteEntry {
            models: models.into_iter().collect(),
            strategy: total_ms.map(|_| StrategyEntry::Order),
            timeouts: total_ms.map(|_| TimeoutsEntry { total_ms, ..TimeoutsEntry::default() }),
        });
    let routes = proptest::collection::btree_map(names(), route, 0..5);
    let aliases = proptest::collection::btree_map("[a-z]{1,8}!?", names(), 0..3);
    (routes, aliases, 0..10u32, proptest::option::of(0..100u32)).prop_map(
        |(routes, aliases, attempts, max_retention_days)| PolicyDocument {
            version: 1,
            strategy: StrategyEntry::Throughput,
            routes,
            aliases,
            timeouts: TimeoutsEntry::default(),
            retry: RetryEntry { attempts: Some(attempts), ..RetryEntry::default() },
            data: DataEntry { max_retention_days, ..DataEntry::default() },
            tags: vec!["feature".into()],
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// What the store holds means what was written; what is refused is refused in both forms.
    #[test]
    fn a_canonical_document_reads_back_the_same(document in documents()) {
        let text = canonical::json(&document).unwrap();
        match Policy::try_from(&document) {
            Ok(policy) => prop_assert_eq!(parse(&text).unwrap(), policy),
            Err(problems) => prop_assert_eq!(parse(&text).unwrap_err().0.len(), problems.0.len()),
        }
    }
}
