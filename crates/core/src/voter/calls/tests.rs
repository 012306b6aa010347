//! Who is believed, and by how much.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

fn told(of: &[(u32, u32)]) -> Calls {
    let mut calls = Calls::default();
    calls.set_routers(of.len() as u32);
    for (at, (ok, health)) in of.iter().enumerate() {
        let counts = Counts { ok: *ok, health: *health, ..Counts::default() };
        calls.told(&RouterId::new(&format!("r{at}")), &counts, u32::from(*ok == 0), 1_000);
    }
    calls
}

fn against(of: &[(u32, u32)]) -> (u32, u32) {
    let counts = told(of).against(1_000);
    (counts.ok, counts.health)
}

fn in_favour(of: &[(u32, u32)]) -> (u32, u32) {
    let counts = told(of).in_favour(1_000);
    (counts.ok, counts.health)
}

#[test]
fn where_there_is_one_router_its_word_stands() {
    assert_eq!(against(&[(90, 10)]), (90, 10));
    assert_eq!(in_favour(&[(90, 10)]), (90, 10));
}

#[test]
fn of_two_routers_the_better_accuses_and_the_worse_defends() {
    assert_eq!(against(&[(10, 0), (0, 10)]), (20, 0));
    assert_eq!(in_favour(&[(10, 0), (0, 10)]), (0, 20));
}

#[test]
fn one_of_three_weighs_a_third_at_most_however_much_it_tells() {
    assert_eq!(against(&[(10, 0), (9, 1), (0, 1_000_000)]), (27, 3));
    assert_eq!(in_favour(&[(0, 10), (1, 9), (1_000_000, 0)]), (3, 27));
}

#[test]
fn one_of_three_that_tells_alone_is_not_believed() {
    let mut calls = told(&[(0, 100)]);
    calls.set_routers(3);
    assert_eq!(calls.against(1_000), Counts::default());
    assert!(!calls.doubt(1, 1_000));
    calls.set_routers(2);
    assert!(calls.doubt(1, 1_000));
}

#[test]
fn latencies_are_those_of_the_router_in_the_middle() {
    let mut calls = Calls::default();
    calls.set_routers(3);
    for (router, ms) in [("r1", 100), ("r2", 200), ("r3", 100_000)] {
        let mut timings = Timings::default();
        timings.ttft.add(Bucket::of(ms), 1_000);
        calls.timed(&RouterId::new(router), &timings, 1_000);
        let known = calls.latency(1_000).ttft_p50;
        assert_eq!(known.is_some(), router == "r3", "three are asked, so three must tell");
    }
    assert_eq!(calls.latency(1_000).ttft_p50, Some(Bucket::of(200)));
}

#[test]
fn no_more_witnesses_are_kept_than_the_bound() {
    let mut calls = Calls::default();
    let counts = Counts { ok: 1, ..Counts::default() };
    for number in 0..WITNESSES_MAX + 9 {
        calls.told(&RouterId::new(&number.to_string()), &counts, 0, 1_000);
    }
    assert_eq!(calls.witnesses.len(), WITNESSES_MAX);
    calls.told(&RouterId::new("late"), &counts, 0, 1_000_000);
    assert_eq!(calls.witnesses.len(), 1, "those that are long gone make room");
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(3),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_weight_is_more_than_a_third(amounts in vec(0..u64::from(u32::MAX) * 4, 3..20)) {
        let limit = weight_limit(amounts.clone());
        let total: u64 = amounts.iter().map(|amount| (*amount).min(limit)).sum();
        prop_assert!(amounts.iter().all(|amount| 3 * (*amount).min(limit) <= total));
        let larger: u64 = amounts.iter().map(|amount| (*amount).min(limit + 3)).sum();
        let all_whole = amounts.iter().all(|amount| *amount <= limit);
        prop_assert!(all_whole || 3 * (limit + 3) > larger, "no larger limit would do");
    }

    #[test]
    fn what_is_agreed_lies_between_what_honest_routers_say(
        honest in vec((1..1_000u32, 0..1_000u32), 2..8),
        lie in any::<(u32, u32)>(),
    ) {
        let share = |ok: u32, all: u32| f64::from(ok) / f64::from(all.max(1));
        let shares = honest.iter().map(|(ok, health)| share(*ok, ok + health));
        let (low, high) = shares.fold((1.0, 0.0), |(low, high): (f64, f64), s| (low.min(s), high.max(s)));
        let everyone = [honest.as_slice(), &[lie]].concat();
        for (ok, health) in [against(&everyone), in_favour(&everyone)] {
            let all = ok.saturating_add(health);
            // Scaling rounds each count to the nearest.
            let slack = 1.0 / f64::from(all.max(1));
            let agreed = share(ok, all);
            prop_assert!(low - slack <= agreed && agreed <= high + slack, "{agreed}");
        }
    }
}

#[test]
fn the_room_that_is_left_is_what_the_router_in_the_middle_was_told_and_for_a_minute() {
    let mut calls = Calls::default();
    calls.set_routers(3);
    let room = |left: u64| Capacity {
        limit_requests: Some(100),
        remaining_requests: Some(left),
        ..Capacity::default()
    };
    for (router, left) in [("r1", 0), ("r2", 60)] {
        calls.told_room(&RouterId::new(router), room(left), 1_000);
        assert_eq!(calls.room(1_000), None, "two of three routers are not asked alone");
    }
    calls.told_room(&RouterId::new("r3"), room(70), 1_000);
    assert_eq!(calls.room(1_000), Some(room(60)));
    assert_eq!(calls.room(61_000), None);
}
