//! How a process is to be started.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// What an `earshotd` is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Authority and first super-peer in one process.
    Network,
    /// Login authority.
    Authority,
    /// Super-peer.
    SuperPeer,
    /// Ordinary peer.
    Peer,
}

impl Role {
    /// Its name on the command line and in the first line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Authority => "authority",
            Self::SuperPeer => "super-peer",
            Self::Peer => "peer",
        }
    }
}

/// A process to start: its name among the others, its program, arguments and variables.
#[derive(Clone, Debug)]
pub struct Launch {
    pub(super) name: String,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) variables: Vec<(OsString, OsString)>,
}

impl Launch {
    /// Any program.
    #[must_use]
    pub fn program(name: &str, program: impl Into<PathBuf>) -> Self {
        let program = program.into();
        Self { name: name.to_owned(), program, arguments: Vec::new(), variables: Vec::new() }
    }

    /// An `earshotd` in a role; a peer speaks over stdio.
    #[must_use]
    pub fn earshotd(name: &str, program: impl Into<PathBuf>, role: Role) -> Self {
        let launch = Self::program(name, program).arg(role.name());
        match role {
            Role::Peer => launch.args(["--rpc", "stdio"]),
            Role::Network | Role::Authority | Role::SuperPeer => launch,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = A>) -> Self {
        arguments.into_iter().fold(self, |launch, argument| launch.arg(argument))
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }
}
