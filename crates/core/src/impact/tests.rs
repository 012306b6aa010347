//! Stories about what a change would do.

use super::*;
use crate::policy::{DataRules, Policy, Route};
use crate::story::{anyone, endpoint, snapshot};

fn facts() -> Facts {
    Facts { models: vec![ModelId::new("m")], input_tokens: 100, ..Facts::default() }
}

fn calls<'a>(asked: &'a str, facts: &'a Facts, tenant: &'a Tenant) -> Vec<Past<'a>> {
    let past = |seed| Past { asked, facts, tenant, loads: Vec::new(), seed, tokens: Some((10, 5)) };
    (0..1_000).map(past).collect()
}

fn side_of(snapshot: &Snapshot, provider: &str, side: &Side) -> Share {
    let of = |s: &&crate::snapshot::EndpointState| s.endpoint.provider.as_str() == provider;
    let found = snapshot.endpoints.iter().find(of).unwrap();
    side.endpoints.get(&found.endpoint.id).copied().unwrap_or_default()
}

fn two() -> Vec<crate::snapshot::EndpointState> {
    let mut eu = endpoint("eu", "m");
    eu.endpoint.jurisdiction = Some("eu".to_owned());
    eu.numbers.ttft_p50_ms = Some(200);
    let mut us = endpoint("us", "m");
    us.endpoint.jurisdiction = Some("us".to_owned());
    us.endpoint.price.output = PicoUsd(1_400);
    us.numbers.ttft_p50_ms = Some(400);
    vec![eu, us]
}

#[test]
fn the_same_snapshot_changes_nothing_and_adds_up() {
    let (view, facts, tenant) = (snapshot(two(), Policy::default()), facts(), anyone());
    let sum = impact(&view, &view, calls("m", &facts, &tenant));
    assert_eq!((sum.calls, sum.moved, &sum.before), (1_000, 0, &sum.after));
    let (eu, us) = (side_of(&view, "eu", &sum.after), side_of(&view, "us", &sum.after));
    assert_eq!(eu.calls + us.calls, 1_000);
    assert_eq!(eu.cost, PicoUsd(10 * 100 + 5 * 400).times(eu.calls));
    assert_eq!(us.cost, PicoUsd(10 * 100 + 5 * 1_400).times(us.calls));
    assert_eq!(sum.after.cost, eu.cost + us.cost);
    assert_eq!(sum.after.first_token_ms.map(|(_, p99)| p99), Some(400));
}

#[test]
fn a_tighter_rule_moves_the_calls_and_says_which_were_against_it() {
    let eu_only = DataRules { jurisdictions: Some(vec!["eu".to_owned()]), ..DataRules::default() };
    let before = snapshot(two(), Policy::default());
    let after = snapshot(two(), Policy { data: eu_only, ..Policy::default() });
    let (facts, tenant) = (facts(), anyone());
    let sum = impact(&before, &after, calls("m", &facts, &tenant));
    let us = side_of(&before, "us", &sum.before);
    assert!(us.calls > 300, "{us:?}");
    assert_eq!((sum.moved, side_of(&before, "us", &sum.after).calls), (us.calls, 0));
    assert_eq!((us.against_rules, sum.before.against_rules), (1_000, 1_000), "as a further try");
    assert_eq!((sum.after.against_rules, sum.after.nothing_allowed), (0, 0));
    // The other way round is a rule that is taken away.
    let back = impact(&after, &before, calls("m", &facts, &tenant));
    assert_eq!((back.before.against_rules, back.after.against_rules), (0, 1_000));
}

#[test]
fn a_route_is_followed_to_its_new_models_and_a_lost_one_is_told() {
    let both = || vec![endpoint("a", "m"), endpoint("b", "n")];
    let route = |model: &str| {
        let models = vec![ModelId::new(model)];
        let route = Route { models, strategy: None, timeouts: None };
        Policy { routes: [("fast".to_owned(), route)].into(), ..Policy::default() }
    };
    let (before, after) = (snapshot(both(), route("m")), snapshot(both(), route("n")));
    let (facts, tenant) = (facts(), anyone());
    let sum = impact(&before, &after, calls("fast", &facts, &tenant));
    assert_eq!(sum.moved, 1_000);
    assert_eq!(side_of(&after, "b", &sum.after).calls, 1_000);
    let without = snapshot(both(), Policy::default());
    let lost = impact(&before, &without, calls("fast", &facts, &tenant));
    assert_eq!((lost.after.unknown_model, lost.moved), (1_000, 1_000));
    let kept = Tenant { models: Some(vec![ModelId::new("m")]), ..anyone() };
    let refused = impact(&before, &after, calls("fast", &facts, &kept));
    assert_eq!((refused.before.nothing_allowed, refused.after.nothing_allowed), (0, 1_000));
}

#[test]
fn a_call_keeps_the_load_of_its_time() {
    let view = snapshot(two(), Policy::default());
    let (facts, tenant) = (facts(), anyone());
    let mut busy = calls("m", &facts, &tenant);
    let us = view.endpoints.iter().find(|s| s.endpoint.provider.as_str() == "us").unwrap();
    for past in &mut busy {
        past.loads = vec![(us.endpoint.id, LocalLoad { in_flight: 9, ..LocalLoad::default() })];
    }
    let sum = impact(&view, &view, busy);
    let share = side_of(&view, "us", &sum.before);
    assert!((200..300).contains(&share.calls), "only where both draws hit it: {share:?}");
}

#[test]
fn what_two_routers_saw_adds_up_to_what_one_would_have_seen() {
    let (before, after) = (snapshot(two(), Policy::default()), {
        let eu = DataRules { jurisdictions: Some(vec!["eu".to_owned()]), ..DataRules::default() };
        snapshot(two(), Policy { data: eu, ..Policy::default() })
    });
    let (facts, tenant) = (facts(), anyone());
    let of = |range: std::ops::Range<usize>| {
        let calls = calls("m", &facts, &tenant).into_iter();
        impact(&before, &after, calls.skip(range.start).take(range.len()))
    };
    let mut sum = of(0..300);
    sum.add(&of(300..1_000), &before, &after);
    assert_eq!(sum, of(0..1_000));
}
