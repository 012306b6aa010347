//! The routing simulator's figures keep their bounds; `routing-sim` prints them.

use trunkline_tests::routing::table;

#[test]
fn every_figure_of_the_routing_simulator_keeps_its_bound() {
    let missed: Vec<String> =
        table::lines().iter().filter(|line| !line.kept).map(ToString::to_string).collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
