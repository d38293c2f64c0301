//! What can go wrong with a process that is spoken to.

use std::process::ExitStatus;
use std::time::Duration;

use serde_json::Value;

/// An `error` of JSON-RPC, with the code and facts that INTERFACES 3 puts into `data`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{number} {code} {facts}")]
pub struct Refusal {
    /// JSON-RPC's number.
    pub number: i64,
    /// `data.code`; empty if there is none.
    pub code: String,
    /// `data.facts`.
    pub facts: Value,
    /// `data.retryAfterMs`.
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// Reads the `error` of a response.
    #[must_use]
    pub fn read(error: &Value) -> Self {
        let data = &error["data"];
        Self {
            number: error["code"].as_i64().unwrap_or_default(),
            code: data["code"].as_str().unwrap_or_default().to_owned(),
            facts: data["facts"].clone(),
            retry_after_ms: data["retryAfterMs"].as_u64(),
        }
    }
}

/// Why a process did not do what was wanted of it.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It could not be started or written to.
    #[error("{name}: {doing}: {source}")]
    Io {
        /// The process.
        name: String,
        /// What was being done.
        doing: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// Its first line says that it does not start.
    #[error("{name} does not start: {error}")]
    NotReady {
        /// The process.
        name: String,
        /// `error` of its line.
        error: Box<Value>,
        /// How it ended.
        status: Option<ExitStatus>,
    },
    /// It said no to a request.
    #[error("{name} refuses {method}: {refusal}")]
    Refused {
        /// The process.
        name: String,
        /// What was asked.
        method: String,
        /// Its answer.
        refusal: Box<Refusal>,
    },
    /// What was waited for did not come.
    #[error("{name}: no {what} within {within:?}")]
    Missing {
        /// The process.
        name: String,
        /// What was waited for.
        what: String,
        /// For how long.
        within: Duration,
    },
    /// The process ended, or closed its stdout, before what was waited for came.
    #[error("{name} ended ({status:?}) without {what}")]
    Ended {
        /// The process.
        name: String,
        /// What was waited for.
        what: String,
        /// How it ended, if it has.
        status: Option<ExitStatus>,
    },
    /// Something came that must not.
    #[error("{name}: {what}")]
    Unexpected {
        /// The process.
        name: String,
        /// What came.
        what: String,
    },
}

impl Trouble {
    /// The refusal, if that is what it is.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal),
            Self::Io { .. }
            | Self::NotReady { .. }
            | Self::Missing { .. }
            | Self::Ended { .. }
            | Self::Unexpected { .. } => None,
        }
    }
}
