//! Long runs of the simulator: crowds by seed. See [`earshot_tests::sim::swarm`].

use std::process::ExitCode;
use std::time::Instant;

use earshot_tests::report::{Outcome, Report};
use earshot_tests::sim::swarm::{Swarm, run};

const USAGE: &str = "\
usage: sim [--seed FIRST] [--seeds COUNT] [--minutes VIRTUAL] [--peers COUNT] [--super-peers COUNT]
           [--sloppy]";
/// The command line says nothing that we know. INTERFACES 1.
const EXIT_USAGE: u8 = 64;

struct Options {
    swarm: Swarm,
    seeds: u64,
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let swarm = Swarm { seed: 1, peers: 12, super_peers: 3, minutes: 10, sloppy: false };
    let mut options = Options { swarm, seeds: 1 };
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
            _ => return Err(format!("`{word}` is not known")),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let mut report = Report::to_stdout();
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
    ExitCode::from(u8::from(!report.failed().is_empty()))
}
