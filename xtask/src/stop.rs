//! Why a verb ended early, and the exit code that says so.

use std::fmt;

/// One variant an exit code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A check did not hold, or something did not build.
    Check(String),
    /// The machine lacks what is needed, and we may not install it.
    SetUp { why: String, command: String },
    /// The arguments say nothing that we know.
    Usage(String),
}

impl Stop {
    pub(crate) fn check(what: impl Into<String>) -> Self {
        Self::Check(what.into())
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Check(_) => 1,
            Self::SetUp { .. } => 2,
            Self::Usage(_) => 64,
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Check(what) | Self::Usage(what) => out.write_str(what),
            Self::SetUp { why, command } => {
                write!(out, "{why}\nType this, then run the same command again:\n    {command}")
            }
        }
    }
}
