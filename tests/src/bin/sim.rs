//! Long runs of the simulator: crowds by seed (see [`earshot_tests::sim::swarm`]), the rules of the
//! ring (see [`earshot_tests::ring`]), and the laboratory (see [`earshot_tests::lab`]).

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use earshot_proto::super_peer::ring::chord::Chord;
use earshot_tests::lab::command;
use earshot_tests::lab::rivals::table;
use earshot_tests::program::EXIT_USAGE;
use earshot_tests::report::{Outcome, Report};
use earshot_tests::ring::explore::{Bounds, explore};
use earshot_tests::ring::rules::Spot;
use earshot_tests::ring::schedules;
use earshot_tests::ring::world::Rectify;
use earshot_tests::sim::swarm::{Swarm, run};

const USAGE: &str = "\
usage: sim [--seed FIRST] [--seeds COUNT] [--minutes VIRTUAL] [--peers COUNT] [--super-peers COUNT]
           [--sloppy]
       sim --rivals [DIR]
       sim --ring-schedules COUNT [--seed FIRST]
       sim --ring-places COUNT [--ring-depth STEPS]";

struct Options {
    swarm: Swarm,
    seeds: u64,
    /// Random schedules of the ring's rules, instead of a swarm.
    ring_schedules: u64,
    /// Places whose states are explored, instead of a swarm.
    ring_places: u8,
    ring_depth: usize,
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let swarm = Swarm { seed: 1, peers: 12, super_peers: 3, minutes: 10, sloppy: false };
    let mut options =
        Options { swarm, seeds: 1, ring_schedules: 0, ring_places: 0, ring_depth: usize::MAX };
    while let Some(word) = words.next() {
        if word == "--sloppy" {
            options.swarm.sloppy = true;
            continue;
        }
        let number = words.next().ok_or_else(|| format!("`{word}` needs a number"))?;
        let number: u64 = number.parse().map_err(|_| format!("`{number}` is no number"))?;
        match word.as_str() {
            "--seed" => options.swarm.seed = number,
            "--seeds" => options.seeds = number,
            "--minutes" => options.swarm.minutes = number,
            "--peers" => options.swarm.peers = number.max(3) as usize,
            "--super-peers" => options.swarm.super_peers = number.max(1) as usize,
            "--ring-schedules" => options.ring_schedules = number,
            "--ring-places" => options.ring_places = number.clamp(4, 16) as u8,
            "--ring-depth" => options.ring_depth = number as usize,
            _ => return Err(format!("`{word}` is not known")),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    let mut report = Report::to_stdout();
    if words.next_if(|word| word == "--lab").is_some() {
        let trial = match command::parse(words) {
            Ok(trial) => trial,
            Err(why) => return refuse(&why),
        };
        command::report(&trial, &mut report);
        return ExitCode::from(u8::from(!report.failed().is_empty()));
    }
    if words.next_if(|word| word == "--rivals").is_some() {
        let out = words.next().unwrap_or_else(|| "docs/lab".to_owned());
        return match table::write_all(out.as_ref(), |what| eprintln!("{what}")) {
            Ok(text) => {
                print!("{text}");
                ExitCode::SUCCESS
            }
            Err(error) => refuse(&format!("{out}: {error}")),
        };
    }
    let options = match options(words) {
        Ok(options) => options,
        Err(why) => return refuse(&why),
    };
    if options.ring_schedules > 0 {
        run_schedules(&mut report, options.swarm.seed, options.ring_schedules);
    }
    if options.ring_places > 0 {
        explore_places(&mut report, options.ring_places, options.ring_depth);
    }
    if options.ring_schedules == 0 && options.ring_places == 0 {
        run_swarms(&mut report, &options);
    }
    ExitCode::from(u8::from(!report.failed().is_empty()))
}

fn refuse(why: &str) -> ExitCode {
    eprintln!("{why}\n{USAGE}\n       {}", command::USAGE);
    ExitCode::from(EXIT_USAGE)
}

/// The rules of the ring by random schedules.
fn run_schedules(report: &mut Report<impl Write>, first: u64, count: u64) {
    let started = Instant::now();
    let ends = (first..first + count).map(|seed| (seed, schedules::run::<Chord<Spot>>(seed)));
    let mut bad = 0;
    for (seed, end) in ends {
        if !matches!(end, schedules::End::Ideal(_)) {
            bad += 1;
            report.fact("sim.ring.broken", &format!("seed {seed}: {end:?}"));
        }
    }
    report.step("sim.ring", Outcome::of(bad == 0), started.elapsed());
    report.figure("sim.ring.schedules", count as f64, "schedules", &[]);
    report.check("sim.ring.promises", Outcome::of(bad == 0), "0", &bad.to_string());
}

/// The rules of the ring in every state of so many places, or of those so many steps away.
fn explore_places(report: &mut Report<impl Write>, places: u8, depth: usize) {
    let started = Instant::now();
    let rectify = Rectify::InTwoSteps;
    let bounds = Bounds { places, members: 3, depth, settle_every: 20, rectify };
    let explored = explore::<Chord<Spot>>(bounds);
    let held = explored.counterexample.is_none() && explored.stuck.is_none();
    report.step("sim.ring", Outcome::of(held), started.elapsed());
    report.figure("sim.ring.states", explored.states as f64, "states", &[]);
    report.figure("sim.ring.steps", explored.steps as f64, "steps", &[]);
    report.figure("sim.ring.depth", explored.depth as f64, "steps", &[]);
    report.figure("sim.ring.rounds", explored.rounds as f64, "rounds", &[]);
    if !held {
        let what = format!("{:?} {:?}", explored.counterexample, explored.stuck);
        report.fact("sim.ring.broken", &what);
    }
    report.check("sim.ring.promises", Outcome::of(held), "true", &held.to_string());
}

fn run_swarms(report: &mut Report<impl Write>, options: &Options) {
    let first = options.swarm.seed;
    for seed in first..first + options.seeds {
        let started = Instant::now();
        let outcome = run(&Swarm { seed, ..options.swarm });
        let held = outcome.broken.is_empty();
        let name = seed.to_string();
        let with = [("seed", name.as_str())];
        report.step("sim.swarm", Outcome::of(held), started.elapsed());
        report.fact("sim.hash", &format!("{:016x}", outcome.hash));
        report.figure("sim.events", outcome.events as f64, "events", &with);
        report.figure("sim.commands", outcome.commands as f64, "commands", &with);
        report.figure("sim.messages", outcome.messages as f64, "messages", &with);
        report.figure("sim.calls", outcome.calls as f64, "calls", &with);
        report.figure("sim.troubles", outcome.troubles as f64, "troubles", &with);
        for promise in &outcome.broken {
            report.fact("sim.broken", &format!("seed {seed}: {promise}"));
        }
        let got = outcome.broken.len().to_string();
        report.check("sim.promises", Outcome::of(held), "0", &got);
    }
}
