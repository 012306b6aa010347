//! Promises that take minutes or days to keep, held in simulated time. `simulate --figures` prints the figures.

use trunkline_core::money::PicoUsd;
use trunkline_tests::sim::cli::{explained, play_all};
use trunkline_tests::sim::figures::{
    fourteen_of_twenty_sick, verdict_changes_of_a_flapping_provider, writes,
};
use trunkline_tests::sim::spend::month;

#[test]
fn after_a_thousand_stories_of_faults_everybody_agrees() {
    let endings = play_all(0..1_000).map_err(|failed| explained(&failed)).unwrap();
    assert_eq!(endings.len(), 1_000);
}

#[test]
fn a_story_can_be_had_again() {
    let ending = || format!("{:?}", play_all(7..8).unwrap());
    assert_eq!(ending(), ending());
}

#[test]
fn the_verdict_on_a_flapping_provider_changes_six_times_in_ten_minutes_at_most() {
    for calls in [0, 3] {
        for each_ms in [1_000, 5_000, 20_000, 30_000, 60_000, 90_000, 110_000] {
            let changes = verdict_changes_of_a_flapping_provider(each_ms, calls).unwrap();
            assert!(changes <= 6, "{changes} changes, {each_ms} ms each, {calls} calls a second");
        }
    }
}

#[test]
fn where_only_probes_see_fourteen_of_twenty_down_nothing_is_ejected() {
    let sick = fourteen_of_twenty_sick(0).unwrap();
    assert!(sick.disruption && sick.ejected == 0 && sick.limited == 14, "{sick:?}");
    assert!(sick.well == 6 && sick.well_permille > 6 * 1_000 / 20, "{sick:?}");
}

#[test]
fn where_live_calls_fail_at_fourteen_of_twenty_half_are_ejected_and_the_rest_hardly_called() {
    let sick = fourteen_of_twenty_sick(3).unwrap();
    assert!(!sick.disruption && sick.ejected == 10 && sick.limited == 4, "{sick:?}");
    assert!(sick.well == 6 && sick.well_permille > 950, "{sick:?}");
}

#[test]
fn in_no_24_hours_of_a_month_do_probes_spend_more_than_a_days_allowance() {
    let spent = month();
    let (all, one) = (PicoUsd::from_usd(5), PicoUsd::from_usd(1));
    assert!(spent.most_in_a_day <= all, "{spent:?}");
    assert!(spent.most_for_an_endpoint <= one, "{spent:?}");
    assert!(
        spent.in_all > all.times(10),
        "the allowances must bind, or nothing is shown: {spent:?}"
    );
}

// At the full scale, `simulate --figures` tells; a tenth of it shows a change of pace as well.
#[test]
fn a_tenth_of_the_largest_cluster_writes_a_fifth_of_what_it_may_even_in_an_outage() {
    let (calm, outage) = writes(5, 10).unwrap();
    assert!(calm.mean <= 20 && outage.mean <= 100, "{calm:?} {outage:?}");
    assert!(calm.peak <= 500 && outage.peak <= 500, "{calm:?} {outage:?}");
}
