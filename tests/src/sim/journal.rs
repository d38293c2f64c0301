//! The log of a run: what was decided, when and how large it was; never the bytes themselves.
//!
//! Two runs with one seed have one log. Only its hash and its last lines are kept: the hash tells
//! whether two runs were the same, the lines what happened before a story failed.

use std::collections::VecDeque;
use std::time::Duration;

/// Lines kept for whoever looks for the cause of a failure.
const LINES_KEPT: usize = 60;

/// The log.
#[derive(Debug)]
pub(super) struct Journal {
    hash: u64,
    lines: u64,
    last: VecDeque<String>,
}

impl Default for Journal {
    /// FNV-1a, 64 bits, begins with this number.
    fn default() -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, lines: 0, last: VecDeque::new() }
    }
}

impl Journal {
    /// Writes one line.
    pub(super) fn note(&mut self, at: Duration, who: &str, what: &str) {
        let line = format!("{:>12.6} {who} {what}", at.as_secs_f64());
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self.lines += 1;
        if self.last.len() == LINES_KEPT {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    /// The hash of all lines so far.
    #[must_use]
    pub(super) const fn hash(&self) -> u64 {
        self.hash
    }

    /// How many lines there were.
    #[must_use]
    pub(super) const fn lines(&self) -> u64 {
        self.lines
    }

    /// The last lines.
    #[must_use]
    pub(super) fn tail(&self) -> String {
        self.last.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}
