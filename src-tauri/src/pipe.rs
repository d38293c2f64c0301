//! What the resident and its window say to each other: JSON, one message a line, over the standard
//! input and output of the window's process.
//!
//! Invariants: a line is at most [`LINE_MAX`]; what waits to be written is at most [`WAITING_MAX`]
//! lines, and where an event finds no room it is left out: the window sees the gap in its numbers
//! and asks for a new snapshot. Answers are never left out, for no more than [`ASKED_MAX`] wait.

use std::collections::VecDeque;
use std::io::{BufRead, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::link::Link;

/// Bytes of a line: a message of the node is at most 1 MiB (INTERFACES 3), and has our envelope.
pub const LINE_MAX: usize = 1024 * 1024 + 4096;
/// Questions of the window that wait for an answer. As the node takes (`earshot_node::rpc`).
pub const ASKED_MAX: usize = earshot_node::rpc::QUESTIONS_MAX;
/// Bytes that a window may have kept for the next one: drafts, and the place where one was. Our
/// choice: a message of 64 KiB, as JSON.
pub const KEPT_MAX: usize = 256 * 1024;
/// Lines that wait to be written: those answers, and events of a few seconds.
const WAITING_MAX: usize = 4 * ASKED_MAX;

/// What the window says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ToResident {
    /// It asks the node.
    Ask(Question),
    /// It has painted, and hears events.
    Painted,
    /// What the next window is to be told.
    Keep(String),
    /// It has, or lost, the attention of the person in front of it.
    Focus(bool),
    /// The person closed it. It ends with that.
    Closed,
}

/// A question to the node.
#[derive(Debug, Serialize, Deserialize)]
pub struct Question {
    /// Told again with the answer.
    pub id: u64,
    /// As in docs/rpc.md.
    pub method: String,
    /// As in docs/rpc.md.
    pub params: Box<RawValue>,
}

/// What the resident says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ToWindow {
    /// An answer: a result or a failure, as in docs/rpc.md.
    Answer(u64, Result<Box<RawValue>, Box<RawValue>>),
    /// An event, as in docs/rpc.md.
    Event(Box<RawValue>),
    /// What the window before had kept; the first thing that is said.
    Kept(String),
    /// A link was clicked elsewhere.
    Link(Link),
    /// It is to come to the front.
    Raise,
}

/// Whether a line may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// It may.
    Event,
    /// It may not.
    Owed,
}

/// Reads messages until the other side is gone or says what is none.
pub fn read<T: for<'de> Deserialize<'de>>(input: impl Read, mut take: impl FnMut(T)) {
    let mut input = std::io::BufReader::new(input);
    let mut line = Vec::new();
    loop {
        line.clear();
        let most = (LINE_MAX + 1) as u64;
        let whole = input.by_ref().take(most).read_until(b'\n', &mut line);
        if !whole.is_ok_and(|bytes| bytes > 0) || line.len() > LINE_MAX {
            return;
        }
        match serde_json::from_slice(&line) {
            Ok(message) => take(message),
            Err(error) => {
                tracing::warn!(%error, "The other half says what is no message");
                return;
            }
        }
    }
}

/// The way to the other side: a thread that writes what is put into it, so that nobody waits.
#[derive(Clone)]
pub struct Outbox(Arc<Queue>);

struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: VecDeque<String>,
    closed: bool,
}

impl Outbox {
    /// An outbox that writes to `output` until that breaks or it is closed.
    pub fn to(mut output: impl Write + Send + 'static) -> Self {
        let queue = Arc::new(Queue { waiting: Mutex::default(), more: Condvar::new() });
        let outbox = Self(Arc::clone(&queue));
        std::thread::spawn(move || {
            while let Some(line) = queue.next() {
                if output.write_all(line.as_bytes()).and_then(|()| output.flush()).is_err() {
                    queue.close();
                }
            }
        });
        outbox
    }

    /// Puts a message in; without waiting.
    pub fn put(&self, message: &impl Serialize, weight: Weight) {
        let mut line = serde_json::to_string(message).expect("messages have string keys only");
        line.push('\n');
        let mut waiting = self.0.lock();
        let full = match weight {
            Weight::Event => waiting.lines.len() >= WAITING_MAX - 2 * ASKED_MAX,
            Weight::Owed => waiting.lines.len() >= WAITING_MAX,
        };
        if !waiting.closed && !full {
            waiting.lines.push_back(line);
            self.0.more.notify_one();
        }
    }

    /// Writes what waits, and ends then.
    pub fn close(&self) {
        self.0.close();
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outbox({} wait)", self.0.lock().lines.len())
    }
}

impl Queue {
    fn next(&self) -> Option<String> {
        let idle = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.closed;
        let waiting = self.more.wait_while(self.lock(), idle);
        waiting.unwrap_or_else(PoisonError::into_inner).lines.pop_front()
    }

    fn close(&self) {
        self.lock().closed = true;
        self.more.notify_one();
    }

    /// A panic in one holder leaves whole lines behind.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.into()).unwrap()
    }

    /// Takes nothing before it is told to.
    struct Slow(Receiver<()>, Sender<Vec<u8>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _told_or_gone = self.0.recv();
            let _nobody_listens = self.1.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_said_is_heard() {
        let said = [
            r#"{"answer":[7,{"Ok":{"a":1}}]}"#,
            r#"{"answer":[8,{"Err":{"code":"noNetwork","facts":{}}}]}"#,
            r#"{"event":{"seq":1,"type":"x"}}"#,
            r#"{"link":"earshot:add/anna"}"#,
            r#""raise""#,
        ];
        let mut heard = Vec::new();
        read(said.join("\n").as_bytes(), |m: ToWindow| {
            heard.push(serde_json::to_string(&m).unwrap());
        });
        assert_eq!(heard, said);
    }

    #[test]
    fn whoever_says_nonsense_or_never_ends_is_not_listened_to() {
        let mut heard = 0;
        read(&b"\"painted\"\nnonsense\n\"painted\"\n"[..], |_: ToResident| heard += 1);
        assert_eq!(heard, 1);
        read(std::io::repeat(b' '), |_: ToResident| heard += 1);
        assert_eq!(heard, 1);
    }

    #[test]
    fn a_window_that_reads_nothing_misses_events_and_no_answer() {
        let (go, waits) = channel();
        let (sender, written) = channel();
        let outbox = Outbox::to(Slow(waits, sender));
        for _ in 0..2 * WAITING_MAX {
            outbox.put(&ToWindow::Event(raw("{}")), Weight::Event);
        }
        for id in 0..ASKED_MAX as u64 {
            outbox.put(&ToWindow::Answer(id, Ok(raw("{}"))), Weight::Owed);
        }
        outbox.close();
        drop(go);
        let lines: Vec<_> = written.iter().map(|l| String::from_utf8(l).unwrap()).collect();
        let answers = lines.iter().filter(|line| line.contains("answer")).count();
        assert_eq!(answers, ASKED_MAX);
        assert!(lines.len() <= WAITING_MAX);
    }
}
