//! `test`: runs the families, counts what ran, and tells how long each took.
//!
//! A family fails when its command fails, when a test in it was ignored, or when fewer tests ran
//! than `tests/counts.toml` asks for. All chosen families run even if one fails.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::app;
use crate::counts::{Counts, FILE};
use crate::family::{FAMILIES, Family, Work};
use crate::metadata::Metadata;
use crate::pages;
use crate::setup;
use crate::stop::Stop;
use crate::tidy;
use crate::workspace::{cargo, shown};

/// Runs the named families, or all.
pub(crate) fn run(root: &Path, names: &[String]) -> Result<(), Stop> {
    let families = chosen(names)?;
    let counts = Counts::read(root)?;
    let unknown = counts.families().find(|name| FAMILIES.iter().all(|f| f.name != *name));
    if let Some(name) = unknown {
        return Err(Stop::check(format!("{FILE} counts `{name}`, and no such family exists")));
    }
    let purposes: Vec<_> = families.iter().flat_map(|family| family.needs).copied().collect();
    setup::install(&purposes)?;

    let mut results = Vec::new();
    for family in families {
        eprintln!("\n== {}: {}", family.name, family.what);
        let start = Instant::now();
        let outcome = work(root, &family.work);
        results.push(tell(family, start.elapsed(), outcome, &counts));
    }
    sum_up(&results)
}

/// Prints the families with what they show and how many tests each has at least.
pub(crate) fn list(root: &Path) -> Result<(), Stop> {
    let counts = Counts::read(root)?;
    for family in FAMILIES {
        let least = counts.least(family.name).unwrap_or(0);
        println!("{:<10} {least:>5}  {}", family.name, family.what);
    }
    Ok(())
}

/// What a family came to.
struct FamilyResult {
    name: &'static str,
    took: Duration,
    ran: usize,
    /// The reason, if it failed.
    failed: Option<String>,
}

/// How many ran, or why the family failed after how many.
type Outcome = Result<usize, (usize, String)>;

fn chosen(names: &[String]) -> Result<Vec<&'static Family>, Stop> {
    if names.is_empty() {
        return Ok(FAMILIES.iter().collect());
    }
    let found = names.iter().map(|name| {
        let family = FAMILIES.iter().find(|family| family.name == *name);
        family.ok_or_else(|| {
            let known: Vec<&str> = FAMILIES.iter().map(|family| family.name).collect();
            Stop::Usage(format!("There is no test family `{name}`: {}", known.join(", ")))
        })
    });
    found.collect()
}

fn work(root: &Path, work: &Work) -> Outcome {
    match work {
        Work::Tidy => tidy::run(root).map_err(|why| (0, why)).and_then(|rules| {
            let planted = tidy::self_test(root).map_err(|why| (rules, why))?;
            Ok(rules + planted)
        }),
        Work::Format => {
            let count = tidy::rust_files(root).map_err(|why| (0, why))?;
            stream(&mut cargo(root, &["fmt", "--all", "--check"])).map(|_| count)
        }
        Work::Lint => {
            let metadata = metadata(root)?;
            let count = metadata.packages.iter().map(|package| package.targets.len()).sum();
            let arguments = ["clippy", "--locked", "--workspace", "--all-targets", "--quiet"];
            let arguments = [&arguments[..], &["--", "-D", "warnings"]].concat();
            stream(&mut cargo(root, &arguments)).map(|_| count)
        }
        Work::Pages => pages::checks(root).iter_mut().try_fold(0, |ran, check| {
            stream(check).map(|more| ran + more).map_err(|(more, why)| (ran + more, why))
        }),
        Work::Cargo(which) => cargo_tests(root, which),
    }
}

fn metadata(root: &Path) -> Result<Metadata, (usize, String)> {
    Metadata::read(root).map_err(|stop| (0, stop.to_string()))
}

fn cargo_tests(root: &Path, which: &[&str]) -> Outcome {
    let metadata = metadata(root)?;
    if which.contains(&"--test") && metadata.has_target("bin", "earshotd") {
        let daemon = ["build", "--locked", "--workspace", "--bin", "earshotd"];
        stream(&mut cargo(root, &[&daemon[..], which].concat()))?;
    }
    let [resident, window] = app::PROGRAMS;
    if which.contains(&"e2e") {
        let app = ["build", "--locked", "--workspace", "--bin", resident, "--bin", window];
        stream(&mut cargo(root, &[&app[..], which].concat()))?;
    }
    let arguments = ["test", "--locked", "--workspace", "--no-fail-fast"];
    let mut command = cargo(root, &[&arguments[..], which].concat());
    if which.contains(&"e2e") {
        // Voices are judged by ear: nothing else runs beside them.
        command.env("RUST_TEST_THREADS", "1");
    }
    let given = std::env::var_os("EARSHOT_APP").map(PathBuf::from);
    command.env("EARSHOT_APP", given.unwrap_or_else(|| metadata.built("debug", resident)));
    stream(command.env("EARSHOTD", metadata.built("debug", "earshotd")))
}

/// Runs a command, passes its output on, and adds up the closing lines of tests.
fn stream(command: &mut Command) -> Outcome {
    let shown = shown(command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| (0, format!("`{shown}` could not be started: {error}")))?;
    let output = child.stdout.take().expect("stdout was piped two lines above");
    let mut tally = Tally::default();
    for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        tally.read(&line);
        // A reader of ours that went away must not end the tests.
        drop(writeln!(std::io::stdout(), "{line}"));
    }
    let status = child.wait().map_err(|error| (tally.passed, error.to_string()))?;
    if !status.success() {
        return Err((tally.passed, format!("`{shown}` failed ({status})")));
    }
    if tally.ignored > 0 {
        return Err((tally.passed, format!("{} tests were ignored", tally.ignored)));
    }
    Ok(tally.passed)
}

/// The sum of the closing lines `test result: ok. 3 passed; 0 failed; 0 ignored; …`.
#[derive(Default)]
struct Tally {
    passed: usize,
    ignored: usize,
}

impl Tally {
    fn read(&mut self, line: &str) {
        self.passed += pages::passed(line).unwrap_or(0);
        let Some(closing) = line.strip_prefix("test result: ") else { return };
        for part in closing.split(['.', ';']).map(str::trim) {
            match part.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "ignored")) => self.ignored += number.parse().unwrap_or(0),
                Some(_) | None => {}
            }
        }
    }
}

fn tell(family: &Family, took: Duration, outcome: Outcome, counts: &Counts) -> FamilyResult {
    let (ran, failed) = match outcome {
        Ok(ran) => (ran, counts.judge(family.name, ran).err()),
        Err((ran, why)) => (ran, Some(why)),
    };
    let name = family.name;
    let word = if failed.is_none() { "ok" } else { "failed" };
    println!("STEP test.{name} {word} {}", took.as_millis());
    let least = counts.least(name).unwrap_or(0);
    println!("FIGURE test.{name}.ran {ran} tests at_least={least}");
    if let Some(why) = &failed {
        eprintln!("{name} failed: {why}");
    }
    FamilyResult { name, took, ran, failed }
}

fn sum_up(results: &[FamilyResult]) -> Result<(), Stop> {
    eprintln!();
    for result in results {
        let word = if result.failed.is_none() { "ok" } else { "FAILED" };
        let seconds = result.took.as_secs_f64();
        eprintln!("{:<10} {word:<6} {:>6} ran {seconds:>8.1} s", result.name, result.ran);
    }
    let total: f64 = results.iter().map(|result| result.took.as_secs_f64()).sum();
    eprintln!("{:<10} {:>13} {total:>12.1} s", "all", "");
    let failed: Vec<String> = results
        .iter()
        .filter_map(|result| Some(format!("{}: {}", result.name, result.failed.as_ref()?)))
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(Stop::check(failed.join("\n"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_of_several_binaries_add_up() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
            "test a ... ok",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out",
        ] {
            tally.read(line);
        }
        assert_eq!((tally.passed, tally.ignored), (5, 1));
    }

    #[test]
    fn an_unknown_family_is_a_usage_error_that_names_the_known_ones() {
        let Err(stop) = chosen(&["nonsense".into()]) else { panic!("it was accepted") };
        assert_eq!(stop.code(), 64);
        assert!(stop.to_string().contains("tidy"));
    }
}
