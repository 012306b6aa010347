//! Medians, ratios and goals, on made-up rounds.

use super::*;

fn figures(cpu: f64, requests: f64) -> Figures {
    Figures {
        cpu_ms_per_1000: cpu,
        requests_per_s: requests,
        sse_chunks_per_s: 100.0,
        sse_paced_cpu_us_per_chunk: 30.0,
        grpc_cpu_ms_per_1000: 60.0,
        ..Figures::default()
    }
}

fn round(router: f64, minimal: f64) -> Round {
    Round { router: figures(router, 1e6 / router), minimal: figures(minimal, 1e6 / minimal) }
}

#[test]
fn medians_are_in_the_middle() {
    let of = |values: &[f64]| median(values.iter().copied());
    assert_eq!(of(&[9.0, 1.0, 2.0]), 2.0);
    assert_eq!(of(&[4.0, 1.0, 3.0, 2.0]), 2.5);
    assert_eq!(of(&[7.0]), 7.0);
    assert!(of(&[]).is_nan());
}

#[test]
fn ratios_compare_within_a_round() {
    // The machine was twice as slow in the second round: the ratio does not see it.
    let report = Report::new(&[round(60.0, 40.0), round(120.0, 80.0), round(59.0, 40.0)], 0.1);
    assert_eq!(report.ratios.cpu_ratio_to_minimal, 1.5);
    assert_eq!(report.router.cpu_ms_per_1000, 60.0);
    assert_eq!(report.minimal.cpu_ms_per_1000, 40.0);
    assert_eq!((report.rounds, report.noise), (3, 0.1));
}

#[test]
fn every_missed_goal_is_named_with_its_bound() {
    let good = Report::new(&[round(40.0, 40.0)], 0.0);
    assert_eq!(good.missed(), [""; 0]);
    let mut slow = round(80.0, 40.0);
    slow.router.added_ttft_ms = 5.0;
    slow.router.idle_mib = 31.0;
    let missed = Report::new(&[slow], 0.0).missed();
    let expected = [
        "cpu_ratio_to_minimal is 2.000; the goal is at most 1.6",
        "throughput_ratio_to_minimal is 0.500; the goal is at least 0.65",
        "added_ttft_ms is 5.000; the goal is below 5",
        "idle_mib is 31.000; the goal is at most 30",
    ];
    assert_eq!(missed, expected);
}

#[test]
fn a_figure_that_was_not_measured_meets_no_goal() {
    assert_eq!(Report::new(&[], 0.0).missed().len(), GOALS.len());
}

#[test]
fn the_line_has_the_routers_figures_and_the_yardsticks_inside() {
    let report = Report::new(&[round(60.0, 40.0)], 0.2);
    let line = serde_json::to_value(&report).unwrap();
    for name in [
        "cpu_ratio_to_minimal",
        "throughput_ratio_to_minimal",
        "sse_ratio_to_minimal",
        "sse_paced_cpu_ratio_to_minimal",
        "grpc_cpu_ratio_to_bridge",
        "cpu_ms_per_1000",
        "requests_per_s",
        "p50_ms",
        "p99_ms",
        "added_ttft_ms",
        "kib_per_open_stream",
        "idle_mib",
        "cold_start_ms",
        "rounds",
        "noise",
    ] {
        assert!(line[name].is_number(), "{name} is missing");
    }
    assert_eq!(line["cpu_ms_per_1000"], 60.0);
    assert_eq!(line["minimal"]["cpu_ms_per_1000"], 40.0);
}

#[test]
fn the_table_names_every_figure_once() {
    let table = Report::new(&[round(60.0, 40.0)], 0.2).table();
    assert_eq!(table.lines().filter(|line| line.contains("1.50")).count(), 1, "{table}");
    assert!(table.lines().count() > ROWS.len(), "{table}");
}
