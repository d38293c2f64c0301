//! The network laboratory as anybody runs it: true NATs, the core dozen, and what must be survived.
//!
//! One after another: each builds an internet of its own, and a small machine holds one at a time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use earshot_tests::harness::{PROGRAM_VARIABLE, Scratch, earshotd};
use earshot_tests::netlab::kind::KINDS;
use earshot_tests::netlab::matrix::CORE;

/// What a run printed and how it ended.
struct Run {
    lines: Vec<String>,
    code: Option<i32>,
    out: Scratch,
}

impl Run {
    fn of(arguments: &[&str]) -> Self {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let out = Scratch::new("netlab").unwrap();
        let program = earshotd().expect("EARSHOTD names the program to try: run `./x test netlab`");
        let ran = Command::new(env!("CARGO_BIN_EXE_netlab"))
            .args(arguments)
            .arg("--out")
            .arg(out.path())
            .env(PROGRAM_VARIABLE, program)
            .output()
            .unwrap();
        let text = String::from_utf8(ran.stdout).unwrap();
        eprintln!("{text}{}", String::from_utf8_lossy(&ran.stderr));
        Self { lines: text.lines().map(str::to_owned).collect(), code: ran.status.code(), out }
    }

    /// The lines of a kind, without it.
    fn lines(&self, kind: &str) -> Vec<&str> {
        self.lines.iter().filter_map(|line| line.strip_prefix(kind)).map(str::trim_start).collect()
    }

    fn figure(&self, start: &str) -> f64 {
        let figure = self.lines("FIGURE ").into_iter().find_map(|line| line.strip_prefix(start));
        let figure = figure.unwrap_or_else(|| panic!("no FIGURE {start}"));
        figure.split_whitespace().next().unwrap().parse().unwrap()
    }

    #[track_caller]
    fn held(&self) {
        let failed = self.lines("CHECK ").into_iter().filter(|check| check.contains(" failed "));
        assert_eq!(failed.collect::<Vec<_>>(), Vec::<&str>::new());
        assert_eq!(self.code, Some(0));
    }
}

#[test]
fn every_nat_is_what_it_is_called() {
    let run = Run::of(&["--probe"]);
    run.held();
    assert_eq!(run.lines("CHECK netlab.nat.").len(), KINDS.len());
}

#[test]
fn a_slow_line_still_leads_everywhere() {
    Run::of(&["--probe", "--line", "delay=20,jitter=5,rate=5000"]).held();
}

#[test]
fn the_core_dozen_connects_as_the_standards_say() {
    let run = Run::of(&["--core"]);
    run.held();
    assert_eq!(run.figure("netlab.pairs "), CORE.len() as f64);
    for figure in ["connected_pct", "direct_where_possible_pct"] {
        assert_eq!(run.figure(&format!("netlab.{figure} ")), 100.0, "{figure}");
    }
    let samples = std::fs::read_to_string(run.out.join("calls.jsonl")).unwrap();
    assert_eq!(samples.lines().count(), CORE.len());
}

#[test]
fn a_call_that_goes_direct_outlives_its_home_super_peer() {
    let run = Run::of(&["--story", "home_death"]);
    run.held();
    assert!(run.figure("netlab.gap_ms_p95 ") < 1_000.0);
}

#[test]
fn a_wrong_command_line_is_usage() {
    assert_eq!(Run::of(&["--colour", "red"]).code, Some(64));
    assert_eq!(Run::of(&["--pairs", "public,nowhere"]).code, Some(64));
}
