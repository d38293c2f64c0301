//! What the programs of the proving ground share: how they begin, where they leave things, and how
//! they end.
//!
//! Source: INTERFACES 1.

use std::io::{Stdout, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::report::Report;

/// The command line says nothing that we know. INTERFACES 1.
pub const EXIT_USAGE: u8 = 64;

/// How a run came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All checks held.
    Held,
    /// The first check that did not.
    Failed(String),
    /// The machine lacks something; what to type.
    CannotBegin(String),
}

impl Ending {
    /// What the checks of a report came to.
    #[must_use]
    pub fn of<W: Write>(report: &Report<W>) -> Self {
        report.failed().first().cloned().map_or(Self::Held, Self::Failed)
    }

    /// The exit code of INTERFACES 1.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Held => 0,
            Self::Failed(_) => 1,
            Self::CannotBegin(_) => 2,
        }
    }
}

/// A whole program: reports to stdout what it was asked to do, or says how it is asked.
pub fn program<O>(
    options: Result<O, String>,
    usage: &str,
    run: impl FnOnce(&O, &mut Report<Stdout>) -> Ending,
) -> ExitCode {
    let options = match options {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}\n{usage}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let ending = run(&options, &mut Report::to_stdout());
    match &ending {
        Ending::Held => eprintln!("All checks held."),
        Ending::Failed(first) => eprintln!("A check failed first of all: {first}"),
        Ending::CannotBegin(why) => eprintln!("{why}"),
    }
    ExitCode::from(ending.code())
}

/// Where a program leaves everything: absolute, since processes are told of it; a new directory
/// among the temporary ones where none is asked for.
///
/// # Errors
/// What to tell people where it cannot be had.
pub fn directory(asked: Option<&Path>, program: &str) -> Result<PathBuf, String> {
    let fresh = || std::env::temp_dir().join(format!("earshot-{program}-{}", std::process::id()));
    let out = asked.map_or_else(fresh, Path::to_owned);
    let made = std::fs::create_dir_all(&out).and_then(|()| out.canonicalize());
    made.map_err(|error| format!("--out: {error}"))
}
