//! The demo as anybody runs it, and each sabotage of it.
//!
//! One after another: two calls at a time on a small machine would measure each other.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use earshot_tests::demo::sabotage::Sabotage;
use earshot_tests::demo::sound::{Judgement, Recording};
use earshot_tests::harness::{Run, Scratch};
use std::path::{Path, PathBuf};

fn run(arguments: &[&str]) -> Run {
    Run::of(Path::new(env!("CARGO_BIN_EXE_demo")), arguments)
}

/// What the demo alone tells.
trait Told {
    fn fact(&self, name: &str) -> &str;

    /// All figures of the interface, each with the path.
    fn has_every_figure(&self, path: &str);

    fn caught(&self, sabotage: Sabotage);
}

impl Told for Run {
    fn fact(&self, name: &str) -> &str {
        let found = self.lines("FACT ").into_iter().find_map(|fact| fact.strip_prefix(name));
        found.unwrap_or_else(|| panic!("no FACT {name}")).trim_start()
    }

    fn has_every_figure(&self, path: &str) {
        for name in [
            "stretch_ms",
            "login_ms",
            "search_ms",
            "ring_ms",
            "first_sound_ms",
            "loss_pct",
            "rtt_ms",
            "mouth_to_ear_ms",
            "stoi",
        ] {
            let name = format!("demo.{name} ");
            let figure = self.lines("FIGURE ").into_iter().find(|line| line.starts_with(&name));
            let figure = figure.unwrap_or_else(|| panic!("no FIGURE {name}"));
            assert!(figure.ends_with(&format!("path={path}")), "{figure}");
        }
    }

    #[track_caller]
    fn caught(&self, sabotage: Sabotage) {
        assert_eq!(self.failed().first(), Some(&sabotage.caught_by()));
        assert_eq!(self.code, Some(1));
    }
}

fn recordings(out: &Path) -> (Recording, Recording) {
    let read = |name: &str| Recording::read(&out.join(name)).unwrap();
    (read("alice-in.wav"), read("bob-out.wav"))
}

#[test]
fn two_people_find_each_other_write_and_talk() {
    let run = run(&[]);
    run.held();
    run.has_every_figure("direct");
    // Whose candidate comes after the other's first check is seen as prflx.
    assert!(["host", "prflx"].iter().any(|kind| run.fact("demo.path").starts_with(kind)));
    for file in [
        "alice-in.wav",
        "alice-in.json",
        "bob-out.wav",
        "bob-out.json",
        "bob-in.wav",
        "bob-in.json",
        "alice-out.wav",
        "alice-out.json",
        "alice.rpc.jsonl",
        "bob.rpc.jsonl",
        "alice.log",
        "bob.log",
        "super-peer.log",
        "authority.log",
    ] {
        assert!(run.out.join(file).is_file(), "{file}");
    }
    fifty_milliseconds_more_are_measured(run.out.path());
}

/// On what was really recorded: what is played 50 ms later is heard 50 ms later.
fn fifty_milliseconds_more_are_measured(out: &Path) {
    let (said, mut heard) = recordings(out);
    let before = Judgement::of(&said, &heard).delay_ms().unwrap();
    heard.samples.splice(0..0, vec![0.0; 50 * 48]);
    let after = Judgement::of(&said, &heard).delay_ms().unwrap();
    assert!((after - before - 50.0).abs() <= 5.0, "{before} ms became {after} ms");
}

#[test]
fn the_call_goes_through_the_relay_when_asked_to() {
    let run = run(&["--relay-only", "--seconds", "6"]);
    run.held();
    run.has_every_figure("relay");
    assert!(run.fact("demo.path").starts_with("relayUdp"));
}

#[test]
fn signals_go_straight_to_a_public_callee() {
    let run = run(&["--case", "direct", "--seconds", "6"]);
    run.held();
    assert_eq!(run.fact("demo.signaling"), "direct");
}

#[test]
fn signals_go_through_the_home_of_a_natted_callee() {
    let run = run(&["--case", "callee-super-peer", "--seconds", "6"]);
    run.held();
    assert_eq!(run.fact("demo.signaling"), "calleeSuperPeer");
}

#[test]
fn signals_of_a_restricted_caller_go_through_both_homes() {
    let run = run(&["--case", "both-super-peers", "--seconds", "6"]);
    run.held();
    assert_eq!(run.fact("demo.signaling"), "bothSuperPeers");
}

#[test]
fn a_recording_of_ones_own_is_spoken() {
    let scratch = Scratch::new("own-speech").unwrap();
    let path: PathBuf = scratch.join("own.wav");
    let samples = earshot_tests::speech::speech(21, 7, 48_000);
    Recording { samples, sample0_ns: None }.write(&path).unwrap();
    run(&["--speech", path.to_str().unwrap(), "--seconds", "6"]).held();
}

#[test]
fn silence_is_noticed() {
    sabotaged(Sabotage::Silence);
}

#[test]
fn the_wrong_recording_is_noticed() {
    sabotaged(Sabotage::SwapWav);
}

#[test]
fn half_of_the_packets_are_missed() {
    let run = sabotaged(Sabotage::DropHalf);
    assert!(run.failed().contains(&"demo.loss.bob"));
    assert_ne!(run.fact("demo.dropped"), "0 datagrams by the kernel");
}

#[test]
fn plain_voice_at_the_relay_is_found() {
    let run = sabotaged(Sabotage::PlainRelay);
    assert_eq!(run.failed(), ["demo.sealed"], "and nothing else is wrong");
}

#[test]
fn a_path_that_was_not_checked_is_none() {
    let run = sabotaged(Sabotage::SkipIce);
    assert!(run.fact("demo.path").starts_with("none"));
}

fn sabotaged(sabotage: Sabotage) -> Run {
    let run = run(&["--sabotage", sabotage.name(), "--seconds", "6"]);
    run.caught(sabotage);
    run
}

#[test]
fn a_wrong_command_line_is_usage_and_a_missing_recording_impossible() {
    assert_eq!(run(&["--colour", "red"]).code, Some(64));
    assert_eq!(run(&["--speech", "none.wav"]).code, Some(2));
}
