//! A program of the proving ground, run to its end: what it printed, and how it ended.
//!
//! Source: INTERFACES 1. Invariant: one runs at a time, for two on a small machine would measure
//! each other.

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use super::{PROGRAM_VARIABLE, Scratch, earshotd};

/// A run that has ended.
#[derive(Debug)]
pub struct Run {
    lines: Vec<String>,
    /// Its exit code.
    pub code: Option<i32>,
    /// Where it left everything.
    pub out: Scratch,
}

impl Run {
    /// Runs the program to its end.
    ///
    /// # Panics
    /// Where it cannot be run, or there is no `earshotd` to try.
    #[must_use]
    pub fn of(program: &Path, arguments: &[&str]) -> Self {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let name = program.file_stem().expect("a program has a name").to_string_lossy();
        let out = Scratch::new(&name).expect("a directory for tests");
        let tried = earshotd().unwrap_or_else(|| {
            panic!("{PROGRAM_VARIABLE} names the program: run `./x test {name}`")
        });
        let ran = Command::new(program)
            .args(arguments)
            .arg("--out")
            .arg(out.path())
            .env(PROGRAM_VARIABLE, tried)
            .output()
            .expect("the program was built with its tests");
        let text = String::from_utf8(ran.stdout).expect("lines of text");
        eprintln!("{text}{}", String::from_utf8_lossy(&ran.stderr));
        Self { lines: text.lines().map(str::to_owned).collect(), code: ran.status.code(), out }
    }

    /// The lines of a kind, without it.
    #[must_use]
    pub fn lines(&self, kind: &str) -> Vec<&str> {
        self.lines.iter().filter_map(|line| line.strip_prefix(kind)).map(str::trim_start).collect()
    }

    /// The checks that failed, in order.
    #[must_use]
    pub fn failed(&self) -> Vec<&str> {
        let checks = self.lines("CHECK ").into_iter();
        checks.filter_map(|check| check.split_once(" failed ").map(|(name, _)| name)).collect()
    }

    /// # Panics
    /// Where a check failed, or it ended as if one had.
    #[track_caller]
    pub fn held(&self) {
        assert_eq!(self.failed(), Vec::<&str>::new());
        assert_eq!(self.code, Some(0));
    }
}
