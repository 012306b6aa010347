//! Stories about plans.

use super::*;
use crate::facts::Preferences;
use crate::id::ModelId;
use crate::policy::Policy;
use crate::snapshot::{Verdict, Weight};
use crate::story::{Known, anyone, at, endpoint, snapshot};

fn facts() -> Facts {
    Facts { models: vec![ModelId::new("m")], input_tokens: 100, ..Facts::default() }
}

fn wishing(wishes: Preferences) -> Facts {
    Facts { preferences: Some(Box::new(wishes)), ..facts() }
}

fn providers(snapshot: &Snapshot, plan: &Plan) -> Vec<String> {
    let name = |t: &Turn| snapshot.endpoints[t.endpoint].endpoint.provider.to_string();
    plan.turns.iter().map(name).collect()
}

fn three() -> Snapshot {
    let endpoints = ["a", "b", "c"].map(|p| endpoint(p, "m"));
    snapshot(endpoints.into(), Policy::default())
}

fn ejected() -> LocalLoad {
    LocalLoad { admission: Admission::Ejected, ..LocalLoad::default() }
}

#[test]
fn the_same_inputs_give_the_same_plan() {
    let view = three();
    let plan = |seed| draw(&view, &anyone(), &facts(), &Known::default(), seed);
    assert_eq!(plan(5), plan(5));
    assert!((0..50).any(|seed| plan(seed).turns != plan(5).turns));
}

#[test]
fn a_plan_names_each_endpoint_once_and_at_most_three() {
    let endpoints = ["a", "b", "c", "d", "e"].map(|p| endpoint(p, "m"));
    let view = snapshot(endpoints.into(), Policy::default());
    for seed in 0..100 {
        let plan = draw(&view, &anyone(), &facts(), &Known::default(), seed);
        let mut tried: Vec<usize> = plan.turns.iter().map(|t| t.endpoint).collect();
        tried.sort_unstable();
        tried.dedup();
        assert_eq!((plan.turns.len(), tried.len()), (3, 3));
    }
}

#[test]
fn a_retry_prefers_another_provider() {
    let mut other = endpoint("b", "m");
    other.weight = Weight(1);
    let mut twin = endpoint("a", "m");
    twin.endpoint.region = crate::id::Region::new("elsewhere");
    twin.endpoint.id = crate::id::EndpointId::of(
        &twin.endpoint.provider,
        &twin.endpoint.model,
        &twin.endpoint.region,
    );
    let view = snapshot(vec![endpoint("a", "m"), twin, other], Policy::default());
    let plan = draw(&view, &anyone(), &facts(), &Known::default(), 1);
    assert_eq!(providers(&view, &plan)[..2], ["a", "b"]);
}

#[test]
fn an_ejected_endpoint_waits_behind_every_other() {
    let view = three();
    let known = Known(vec![(at(&view, "a"), ejected())]);
    for seed in 0..50 {
        let plan = draw(&view, &anyone(), &facts(), &known, seed);
        assert!(!providers(&view, &plan)[..2].contains(&"a".to_owned()));
    }
}

#[test]
fn a_due_trial_is_drawn_like_any_other() {
    let view = three();
    let trial = LocalLoad { admission: Admission::Trial, ..LocalLoad::default() };
    let known = Known(vec![(at(&view, "a"), trial)]);
    let first = |seed| draw(&view, &anyone(), &facts(), &known, seed).turns[0];
    let trials = (0..300).map(first).filter(|turn| turn.reason == Reason::Trial);
    let drawn: Vec<usize> = trials.map(|turn| turn.endpoint).collect();
    assert!(drawn.iter().all(|endpoint| *endpoint == at(&view, "a")));
    assert!((60..140).contains(&drawn.len()), "{} of 300 calls are trials", drawn.len());
}

#[test]
fn when_everything_is_ejected_one_last_ditch_turn_is_left() {
    let view = three();
    let known = Known((0..3).map(|at| (at, ejected())).collect());
    let plan = draw(&view, &anyone(), &facts(), &known, 3);
    assert_eq!(plan.turns.len(), 1);
    assert_eq!(plan.turns[0].reason, Reason::LastDitch);
}

#[test]
fn what_the_cluster_calls_down_is_used_when_it_works_here_and_nothing_else_does() {
    let mut down = endpoint("a", "m");
    down.verdict = Verdict::Down;
    down.weight = Weight::ZERO;
    let view = snapshot(vec![down], Policy::default());
    let good = LocalLoad { recently_good: true, ..LocalLoad::default() };
    let plan = draw(&view, &anyone(), &facts(), &Known(vec![(0, good)]), 1);
    assert_eq!(plan.turns[0].reason, Reason::LocallyGood);
    let plan = draw(&view, &anyone(), &facts(), &Known::default(), 1);
    assert_eq!(plan.turns[0].reason, Reason::LastDitch);
}

#[test]
fn a_cooling_endpoint_has_no_turn_at_all() {
    let view = three();
    let cooling = LocalLoad { admission: Admission::Cooling, ..LocalLoad::default() };
    let known = Known((0..3).map(|at| (at, cooling)).collect());
    assert!(draw(&view, &anyone(), &facts(), &known, 1).turns.is_empty());
}

#[test]
fn a_drained_endpoint_has_no_turn_even_in_panic() {
    let mut drained = endpoint("a", "m");
    drained.drained = true;
    let view = snapshot(vec![drained, endpoint("b", "m")], Policy::default());
    let known = Known((0..2).map(|at| (at, ejected())).collect());
    for seed in 0..50 {
        let plan = draw(&view, &anyone(), &facts(), &known, seed);
        assert_eq!(providers(&view, &plan), ["b"]);
    }
}

#[test]
fn the_callers_order_is_kept_and_the_rest_follow() {
    let view = three();
    let order = vec!["c".to_owned(), "b".to_owned()];
    let facts = wishing(Preferences { order: order.clone(), ..Preferences::default() });
    let plan = draw(&view, &anyone(), &facts, &Known::default(), 9);
    assert_eq!(providers(&view, &plan), ["c", "b", "a"]);
    let alone = Preferences { order, allow_fallbacks: false, ..Preferences::default() };
    let plan = draw(&view, &anyone(), &wishing(alone), &Known::default(), 9);
    assert_eq!(providers(&view, &plan), ["c", "b"]);
}

#[test]
fn without_fallbacks_there_is_one_turn() {
    let view = three();
    let facts = wishing(Preferences { allow_fallbacks: false, ..Preferences::default() });
    assert_eq!(draw(&view, &anyone(), &facts, &Known::default(), 1).turns.len(), 1);
}

#[test]
fn sorting_by_price_puts_the_cheapest_first() {
    let mut cheap = endpoint("b", "m");
    cheap.endpoint.price.input = crate::money::PicoUsd(1);
    let view = snapshot(vec![endpoint("a", "m"), cheap, endpoint("c", "m")], Policy::default());
    let facts = wishing(Preferences { sort: Some(Sort::Price), ..Preferences::default() });
    for seed in 0..20 {
        let plan = draw(&view, &anyone(), &facts, &Known::default(), seed);
        assert_eq!(providers(&view, &plan)[0], "b");
    }
}

#[test]
fn an_unmeasured_endpoint_never_wins_a_sort_by_speed() {
    let mut measured = endpoint("b", "m");
    measured.numbers.ttft_p50_ms = Some(900);
    measured.numbers.tokens_per_second = Some(5);
    let view = snapshot(vec![endpoint("a", "m"), measured], Policy::default());
    for sort in [Sort::Latency, Sort::Throughput] {
        let facts = wishing(Preferences { sort: Some(sort), ..Preferences::default() });
        let plan = draw(&view, &anyone(), &facts, &Known::default(), 1);
        assert_eq!(providers(&view, &plan)[0], "b");
    }
}

#[test]
fn soft_wishes_put_others_last_but_never_out() {
    let mut slow = endpoint("a", "m");
    slow.numbers.ttft_p50_ms = Some(5_000);
    let mut quick = endpoint("b", "m");
    quick.numbers.ttft_p50_ms = Some(100);
    quick.weight = Weight(1);
    let view = snapshot(vec![slow, quick], Policy::default());
    let facts = wishing(Preferences { max_latency_ms: Some(1_000), ..Preferences::default() });
    let plan = draw(&view, &anyone(), &facts, &Known::default(), 1);
    assert_eq!(providers(&view, &plan), ["b", "a"]);
}

#[test]
fn soft_wishes_hold_for_what_is_sorted_too() {
    let endpoints = [("a", 1, 5_000), ("b", 2, 100), ("c", 3, 100)].map(|(id, price, ttft_ms)| {
        let mut state = endpoint(id, "m");
        state.endpoint.price.input = crate::money::PicoUsd(price);
        state.numbers.ttft_p50_ms = Some(ttft_ms);
        state
    });
    let view = snapshot(endpoints.into(), Policy::default());
    let sort = Some(Sort::Price);
    let wishes = Preferences { sort, max_latency_ms: Some(1_000), ..Preferences::default() };
    let plan = draw(&view, &anyone(), &wishing(wishes), &Known::default(), 1);
    assert_eq!(providers(&view, &plan), ["b", "c", "a"]);
}

#[test]
fn a_session_keeps_its_endpoint_over_seeds() {
    let view = three();
    let facts = Facts { affinity: Some(77), ..facts() };
    let home = draw(&view, &anyone(), &facts, &Known::default(), 0).turns[0];
    assert_eq!(home.reason, Reason::Affinity);
    for seed in 1..30 {
        let plan = draw(&view, &anyone(), &facts, &Known::default(), seed);
        assert_eq!(plan.turns[0], home);
    }
}

#[test]
fn further_models_come_after_the_one_asked_for() {
    let view = snapshot(vec![endpoint("a", "m"), endpoint("b", "n")], Policy::default());
    let facts = Facts { models: vec![ModelId::new("m"), ModelId::new("n")], ..facts() };
    let plan = draw(&view, &anyone(), &facts, &Known::default(), 1);
    let stages: Vec<usize> = plan.turns.iter().map(|t| t.stage).collect();
    assert_eq!(stages, [0, 1]);
}

#[test]
fn refused_capacity_takes_weight_away() {
    let view = snapshot(vec![endpoint("a", "m"), endpoint("b", "m")], Policy::default());
    let refused = LocalLoad { throttle_permille: 900, ..LocalLoad::default() };
    let known = Known(vec![(at(&view, "a"), refused)]);
    let first_a = (0..2_000)
        .filter(|seed| {
            let plan = draw(&view, &anyone(), &facts(), &known, *seed);
            providers(&view, &plan)[0] == "a"
        })
        .count();
    assert!((100..280).contains(&first_a), "about a tenth, was {first_a} of 2000");
}
