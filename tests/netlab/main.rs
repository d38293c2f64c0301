//! The network laboratory as anybody runs it: true NATs, the core dozen, and what must be survived.
//!
//! One after another: each builds an internet of its own, and a small machine holds one at a time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::path::Path;

use earshot_tests::harness::Run;
use earshot_tests::netlab::kind::KINDS;
use earshot_tests::netlab::matrix::CORE;

fn run(arguments: &[&str]) -> Run {
    Run::of(Path::new(env!("CARGO_BIN_EXE_netlab")), arguments)
}

fn figure(run: &Run, start: &str) -> f64 {
    let figure = run.lines("FIGURE ").into_iter().find_map(|line| line.strip_prefix(start));
    let figure = figure.unwrap_or_else(|| panic!("no FIGURE {start}"));
    figure.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn every_nat_is_what_it_is_called() {
    let run = run(&["--probe"]);
    run.held();
    assert_eq!(run.lines("CHECK netlab.nat.").len(), KINDS.len());
}

#[test]
fn a_slow_line_still_leads_everywhere() {
    run(&["--probe", "--line", "delay=20,jitter=5,rate=5000"]).held();
}

#[test]
fn the_core_dozen_connects_as_the_standards_say() {
    let run = run(&["--core"]);
    run.held();
    assert_eq!(figure(&run, "netlab.pairs "), CORE.len() as f64);
    for share in ["connected_pct", "direct_where_possible_pct"] {
        assert_eq!(figure(&run, &format!("netlab.{share} ")), 100.0, "{share}");
    }
    let samples = std::fs::read_to_string(run.out.join("calls.jsonl")).unwrap();
    assert_eq!(samples.lines().count(), CORE.len());
}

#[test]
fn a_call_that_goes_direct_outlives_its_home_super_peer() {
    let run = run(&["--story", "home_death"]);
    run.held();
    assert!(figure(&run, "netlab.gap_ms_p95 ") < 1_000.0);
}

#[test]
fn a_wrong_command_line_is_usage() {
    assert_eq!(run(&["--colour", "red"]).code, Some(64));
    assert_eq!(run(&["--pairs", "public,nowhere"]).code, Some(64));
}
