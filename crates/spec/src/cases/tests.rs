//! What cases accept, and what they refuse.

use super::*;
use crate::catalog;

const SMALL: &str = "\
version: 1
catalog: catalog.yaml
cases:
  - name: the second stands in for the first
    request: {model: fast, provider: {order: [a, b], allow_fallbacks: false}}
    key: {providers: [a, b], data: {jurisdictions: [eu]}}
    states:
      - {target: provider/a, verdict: down}
      - {target: endpoint/b/m@global, breaker: trial, weight: 50}
    expect: {plan: [provider/b], never: [model/n]}
";

#[test]
fn what_is_written_is_what_decisions_get() {
    let cases = parse(SMALL).unwrap();
    let case = &cases.cases[0];
    assert_eq!(
        (case.names.as_slice(), cases.catalog.as_str()),
        (["fast".to_owned()].as_slice(), "catalog.yaml")
    );
    let wishes = case.facts.preferences.as_ref().unwrap();
    assert_eq!(
        (wishes.order.len(), wishes.allow_fallbacks, case.facts.input_tokens),
        (2, false, 100)
    );
    assert!(case.facts.needs.chat);
    assert_eq!(case.states[0].1.verdict, Some(Verdict::Down));
    assert_eq!(case.states[1].1.admission, Some(Admission::Trial));
    assert_eq!(case.expect.never, [Scope::Model(ModelId::new("n"))]);
    assert_eq!(case.tenant.data.jurisdictions, Some(vec!["eu".to_owned()]));
}

#[test]
fn every_mistake_has_its_line() {
    let text = SMALL
        .replace("provider/a, ", "a, ")
        .replace("weight: 50", "weight: 5000")
        .replace("{plan: [provider/b], never: [model/n]}", "{}");
    let problems = parse(&text).unwrap_err();
    let lines: Vec<u32> = problems.0.iter().map(|p| p.line).collect();
    assert_eq!(lines, [8, 9, 10], "{problems}");
}

#[test]
fn a_target_that_covers_nothing_is_a_mistake() {
    let catalog = "
version: 1
providers:
  - {id: a, base_url: https://a.example, endpoints: [{model: m}]}
  - {id: b, base_url: https://b.example, endpoints: [{model: m}]}
";
    let catalog = catalog::parse(catalog).unwrap();
    let problems = parse(SMALL).unwrap().check_against(&catalog).unwrap_err();
    assert_eq!(problems.0.len(), 1);
    assert_eq!(problems.0[0].path, "cases[0].expect.never[0]");
}
