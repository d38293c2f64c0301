//! The lines that demo, bench, sim and netlab print, and nothing else on their stdout.
//!
//! Source: INTERFACES 1. Invariant: every line is flushed at once, numbers are plain decimals, and
//! what was not measured has no `FIGURE` but a failed `CHECK`.

use std::io::{Stdout, Write};
use std::time::{Duration, Instant};

/// How something came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Ok,
    /// Otherwise.
    Failed,
}

impl Outcome {
    /// `Ok` where the claim is true.
    #[must_use]
    pub const fn of(claim: bool) -> Self {
        if claim { Self::Ok } else { Self::Failed }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
        }
    }
}

/// Prints the lines and remembers the checks that failed.
#[derive(Debug)]
pub struct Report<W> {
    out: W,
    failed: Vec<String>,
}

impl Report<Stdout> {
    /// A report to stdout.
    #[must_use]
    pub fn to_stdout() -> Self {
        Self::new(std::io::stdout())
    }
}

impl<W: Write> Report<W> {
    /// A report to anywhere.
    pub const fn new(out: W) -> Self {
        Self { out, failed: Vec::new() }
    }

    /// `STEP name ok|failed ms`.
    pub fn step(&mut self, name: &str, outcome: Outcome, took: Duration) {
        self.line(name, &format!("STEP {name} {} {}", outcome.word(), took.as_millis()));
    }

    /// Does it, and says how that step went and how long it took.
    ///
    /// # Errors
    /// As what is done.
    pub fn timed<T, E>(
        &mut self,
        name: &str,
        how: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let start = Instant::now();
        let result = how(self);
        self.step(name, Outcome::of(result.is_ok()), start.elapsed());
        result
    }

    /// `FIGURE name number unit k=v …`.
    pub fn figure(&mut self, name: &str, number: f64, unit: &str, with: &[(&str, &str)]) {
        let with: String = with.iter().map(|(key, value)| format!(" {key}={value}")).collect();
        self.line(name, &format!("FIGURE {name} {} {unit}{with}", decimal(number)));
    }

    /// `FACT name rest of line`.
    pub fn fact(&mut self, name: &str, rest: &str) {
        self.line(name, &format!("FACT {name} {}", rest.replace(['\n', '\r'], " ")));
    }

    /// `CHECK name ok|failed expected got`, both without spaces.
    pub fn check(&mut self, name: &str, outcome: Outcome, expected: &str, got: &str) {
        if outcome == Outcome::Failed {
            self.failed.push(name.to_owned());
        }
        let (expected, got) = (word(expected), word(got));
        self.line(name, &format!("CHECK {name} {} {expected} {got}", outcome.word()));
    }

    /// The checks that failed, in the order of their lines.
    pub fn failed(&self) -> &[String] {
        &self.failed
    }

    /// Nobody may listen any more; what the run came to is told by its exit code all the same.
    fn line(&mut self, name: &str, line: &str) {
        debug_assert!(is_name(name), "`{name}` is no name");
        drop(writeln!(self.out, "{line}").and_then(|()| self.out.flush()));
    }
}

/// A number as people write it: at most three decimals, no exponent.
#[must_use]
pub fn decimal(number: f64) -> String {
    let text = format!("{number:.3}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
}

fn word(text: &str) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join("_");
    if joined.is_empty() { "nothing".to_owned() } else { joined }
}

/// `[a-z0-9_]+(\.[a-z0-9_]+)*`.
fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.split('.').all(|part| !part.is_empty() && part.chars().all(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_as_the_interface_says() {
        let mut report = Report::new(Vec::new());
        report.step("call.ring", Outcome::Ok, Duration::from_micros(12_900));
        report.figure("demo.stoi", 0.981_26, "stoi", &[("path", "direct")]);
        report.fact("demo.path", "host↔host\nudp");
        report.check("demo.loss", Outcome::Failed, "<=1 %", "49.5 %");
        report.check("demo.stoi", Outcome::of(true), ">=0.9", "0.98");
        let lines = String::from_utf8(report.out.clone()).unwrap();
        let wanted = "STEP call.ring ok 12\nFIGURE demo.stoi 0.981 stoi path=direct\n\
                      FACT demo.path host↔host udp\nCHECK demo.loss failed <=1_% 49.5_%\n\
                      CHECK demo.stoi ok >=0.9 0.98\n";
        assert_eq!(lines, wanted);
        assert_eq!(report.failed(), ["demo.loss"]);
    }

    #[test]
    fn numbers_are_plain_decimals() {
        for (number, text) in
            [(0.0, "0"), (-0.000_1, "0"), (4.1, "4.1"), (1e9, "1000000000"), (0.0567, "0.057")]
        {
            assert_eq!(decimal(number), text);
        }
    }

    #[test]
    fn names_are_lower_case_words_between_dots() {
        assert!(is_name("demo.stoi.alice_to_bob"));
        for bad in ["", "demo.", "Demo", "a b", ".a"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
