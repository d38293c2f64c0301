//! `sim --lab`: one experiment from the command line.

use std::io::Write;
use std::time::{Duration, Instant};

use earshot_proto::super_peer::ring::Config;
use earshot_proto::super_peer::ring::fingers::Digits;

use super::network::Delays;
use super::trial::{Measured, Trial, run};
use crate::report::{Outcome, Report};

/// Usage, for people.
pub const USAGE: &str = "\
sim --lab [--nodes N] [--users N] [--minutes VIRTUAL] [--warm-up VIRTUAL] [--searches N]
                 [--session MEDIAN-MINUTES] [--liars PCT] [--fail PCT] [--loss PCT] [--cities 0|1]
                 [--digits BITS] [--up THRESHOLD] [--seed N]";

/// Reads the words after `--lab`.
///
/// # Errors
/// What is wrong with them.
pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Trial, String> {
    let mut trial = Trial::of(100_000);
    let (mut users, mut delays) = (10_000_000.0, Delays::Cities);
    trial.searches = 100_000;
    trial.session = Some(Duration::from_secs(3600));
    while let Some(word) = words.next() {
        let number = words.next().ok_or_else(|| format!("`{word}` needs a number"))?;
        let number: f64 = number.parse().map_err(|_| format!("`{number}` is no number"))?;
        if !(0.0..=1e9).contains(&number) {
            return Err(format!("`{word} {number}` is out of range"));
        }
        match word.as_str() {
            "--nodes" => trial.nodes = (number as u32).clamp(1, 1_000_000),
            "--users" => users = number,
            "--minutes" => trial.minutes = (number as u64).max(1),
            "--warm-up" => trial.warm_up = number as u64,
            "--searches" => trial.searches = number as u64,
            "--session" => {
                trial.session = (number > 0.0).then(|| Duration::from_secs_f64(60.0 * number));
            }
            "--liars" => trial.liars = number / 100.0,
            "--fail" => trial.fail = number / 100.0,
            "--loss" => trial.loss = number / 100.0,
            "--cities" => delays = if number > 0.0 { Delays::Cities } else { Delays::Fixed },
            "--digits" => trial.config.digits = Digits::of_bits(number as u8),
            "--up" => {
                trial.config = Config {
                    digits: trial.config.digits,
                    ..Config::with_thresholds(number as u16, number as u16 / 2)
                };
            }
            "--seed" => trial.seed = number as u64,
            _ => return Err(format!("`{word}` is not known")),
        }
    }
    (trial.users, trial.delays) = (users as usize, delays);
    Ok(trial)
}

/// Runs it and prints what came of it.
pub fn report<W: Write>(trial: &Trial, report: &mut Report<W>) {
    let begun = Instant::now();
    let mut measured = run(trial);
    report.step("sim.lab", Outcome::Ok, begun.elapsed());
    print(trial, &mut measured, report);
    if let Some(mb) = most_memory_mb() {
        report.figure("sim.lab.memory_mb", mb, "MB", &[]);
    }
    let is_done = measured.searches as u64 * 100 >= trial.searches * 99;
    report.check("sim.lab.searches", Outcome::of(is_done), &trial.searches.to_string(), &{
        measured.searches.to_string()
    });
}

fn print<W: Write>(trial: &Trial, measured: &mut Measured, report: &mut Report<W>) {
    let nodes = trial.nodes.to_string();
    let with = [("n", nodes.as_str())];
    let per_node = |bytes: u64| bytes as f64 / f64::from(trial.nodes) / (60 * trial.minutes) as f64;
    let per_search = |count: u64| count as f64 / measured.searches.max(1) as f64;
    let lines = [
        ("sim.lab.success_pct", measured.success_pct, "pct"),
        ("sim.lab.hops.mean", measured.mean_hops(), "hops"),
        ("sim.lab.hops.p99", measured.clone().hops_at(0.99), "hops"),
        ("sim.lab.lookup_ms.p50", measured.clone().took_at(0.5), "ms"),
        ("sim.lab.lookup_ms.p99", measured.clone().took_at(0.99), "ms"),
        ("sim.lab.search.messages", per_search(measured.search.messages), "datagrams"),
        ("sim.lab.search.bytes", per_search(measured.search.bytes), "bytes"),
        ("sim.lab.upkeep_bytes_per_s", measured.upkeep_per_node, "bytes_per_s"),
        ("sim.lab.records_bytes_per_s", per_node(measured.records.bytes), "bytes_per_s"),
        ("sim.lab.repair_bytes_per_s", per_node(measured.repair.bytes), "bytes_per_s"),
        ("sim.lab.known", measured.known, "nodes"),
        ("sim.lab.busiest", f64::from(measured.busiest), "questions"),
        ("sim.lab.births", measured.births as f64, "nodes"),
        ("sim.lab.beats", measured.beats as f64, "beats"),
        ("sim.lab.signatures", measured.signatures as f64, "checks"),
        ("sim.lab.events", measured.events as f64, "events"),
        ("sim.lab.records.whole", measured.after.whole as f64, "records"),
        ("sim.lab.records.partial", measured.after.partial as f64, "records"),
        ("sim.lab.records.lost", measured.after.lost as f64, "records"),
    ];
    for (name, number, unit) in lines {
        report.figure(name, number, unit, &with);
    }
    for (mode, count) in ["outside", "full", "chord"].into_iter().zip(measured.modes) {
        let with = [with[0], ("mode", mode)];
        report.figure("sim.lab.modes", count as f64, "nodes", &with);
    }
    if let Some(seconds) = measured.whole_s {
        report.figure("sim.lab.whole_s", seconds, "s", &with);
    }
    if let Some(seconds) = measured.repair_s {
        report.figure("sim.lab.repair_s", seconds, "s", &with);
    }
}

/// The most memory that this process ever had; Linux only.
fn most_memory_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Trial, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn an_experiment_is_named_by_its_numbers() {
        let trial = parsed("--nodes 1000 --session 1.4 --liars 20").unwrap();
        assert_eq!((trial.nodes, trial.session), (1000, Some(Duration::from_secs(84))));
        assert!((trial.liars - 0.2).abs() < 1e-9);
        assert_eq!(parsed("").unwrap().users, 10_000_000);
        assert!(parsed("--nodes").is_err() && parsed("--beds 3").is_err());
        assert!(parsed("--nodes -3").is_err());
    }
}
