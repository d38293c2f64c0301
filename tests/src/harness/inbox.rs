//! What a process has said so far, and waiting for more of it.
//!
//! Invariant: nothing heard is forgotten before the process is, so a waiter never misses what came
//! before it began to wait.

use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A message and when it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// On the clock of [`super::monotonic_ns`].
    pub at_ns: u64,
    /// The first line, a response, the `params` of an event, or a line that is none of these (a
    /// string if it is not JSON).
    pub value: Value,
}

/// A place in the stream of events: those before it are past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark(pub(super) usize);

/// Everything heard.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) first: Option<Heard>,
    pub(super) answers: BTreeMap<u64, Heard>,
    pub(super) events: Vec<Heard>,
    /// Responses without an id of ours, and lines that are no message.
    pub(super) strays: Vec<Heard>,
    pub(super) longest_line: usize,
    /// Nothing more will be heard.
    pub(super) closed: bool,
    pub(super) status: Option<ExitStatus>,
}

/// How waiting ended without what was waited for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Nothing {
    InTime,
    AnyMore(Option<ExitStatus>),
}

#[derive(Debug, Default)]
pub(super) struct Inbox {
    said: Mutex<Said>,
    changed: Condvar,
}

impl Inbox {
    /// Sorts a line in.
    pub(super) fn hear(&self, at_ns: u64, line: &[u8]) {
        self.change(|said| {
            said.longest_line = said.longest_line.max(line.len());
            let Ok(mut message) = serde_json::from_slice::<Value>(line) else {
                let text = String::from_utf8_lossy(line).into_owned();
                said.strays.push(Heard { at_ns, value: Value::String(text) });
                return;
            };
            if said.first.is_none() {
                said.first = Some(Heard { at_ns, value: message });
            } else if message["method"] == "event" && message.get("id").is_none() {
                let value = message["params"].take();
                said.events.push(Heard { at_ns, value });
            } else if let Some(id) = message["id"].as_u64() {
                said.answers.insert(id, Heard { at_ns, value: message });
            } else {
                said.strays.push(Heard { at_ns, value: message });
            }
        });
    }

    pub(super) fn close(&self) {
        self.change(|said| said.closed = true);
    }

    pub(super) fn change<T>(&self, how: impl FnOnce(&mut Said) -> T) -> T {
        let result = how(&mut self.said());
        self.changed.notify_all();
        result
    }

    pub(super) fn said(&self) -> MutexGuard<'_, Said> {
        // What a panicking waiter leaves behind is whole: it only looks.
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `look` finds something. Ends early when nothing more can come.
    pub(super) fn wait<T>(
        &self,
        within: Duration,
        mut look: impl FnMut(&mut Said) -> Option<T>,
    ) -> Result<T, Nothing> {
        let deadline = Instant::now() + within;
        let mut said = self.said();
        loop {
            if let Some(found) = look(&mut said) {
                return Ok(found);
            }
            if said.closed && said.status.is_some() {
                return Err(Nothing::AnyMore(said.status));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Nothing::InTime);
            }
            let woken = self.changed.wait_timeout(said, left);
            said = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
