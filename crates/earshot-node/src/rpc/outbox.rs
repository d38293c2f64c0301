//! What waits to be written: answers and events, in one order.
//!
//! Invariants: each message is one line of at most [`LINE_MAX`] bytes. No more than [`WAITING_MAX`]
//! bytes wait: past [`WAITING_MARK`] no question is read and events that only repeat how things are
//! get left out; past the limit nobody reads us, and the process leaves.

use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::json;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

use super::lines::LINE_MAX;
use super::request::Id;
use crate::api::errors::ErrorCode;
use crate::api::events::{Numbered, Taken};
use crate::api::failure::Failure;

/// From here on the reader is slow. Our choice: one longest line.
const WAITING_MARK: usize = LINE_MAX;
/// From here on the reader is gone. Our choice: eight longest lines.
const WAITING_MAX: usize = 8 * LINE_MAX;

/// The queue towards the one writer. Clones are the same queue.
#[derive(Clone, Default)]
pub(super) struct Outbox(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Wakes the writer.
    more: Notify,
    /// Wakes the reader of questions.
    room: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<u8>,
    /// Bytes that the writer took and has not finished.
    writing: usize,
    /// Questions that were read and not answered.
    open: usize,
    end: End,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum End {
    /// Not yet.
    #[default]
    Open,
    /// After what waits.
    Leaving,
    /// Nobody reads any more.
    Broken,
}

impl Outbox {
    /// Counts a question in, unless `max` are open already. Each is counted out by its answer.
    pub(super) fn begin(&self, max: usize) -> bool {
        let mut queue = self.queue();
        let room = queue.open < max;
        queue.open += usize::from(room);
        room
    }

    /// Answers the question that was counted in; one without id, a notification, is answered by
    /// silence.
    pub(super) fn finish(&self, id: Option<&Id>, result: Result<String, Failure>) {
        self.queue().open -= 1;
        if let Some(id) = id {
            self.answer(id, result);
        }
    }

    /// Writes an answer.
    pub(super) fn answer(&self, id: &Id, result: Result<String, Failure>) {
        let line = match result {
            Ok(json) => format!(r#"{{"jsonrpc":"2.0","id":{},"result":{json}}}"#, id.as_json()),
            Err(failure) => error_line(id, &failure),
        };
        if line.len() <= LINE_MAX {
            return self.push(&line);
        }
        let too_long = ErrorCode::AnswerTooLong { got: line.len(), max: LINE_MAX };
        self.push(&error_line(id, &too_long.into()));
    }

    /// Writes an event.
    pub(super) fn tell(&self, event: &Numbered) -> Taken {
        if event.event.is_repeated() && self.queue().held() > WAITING_MARK {
            return Taken::LeftOut;
        }
        let params = serde_json::to_string(event).expect("events have string keys only");
        let line = format!(r#"{{"jsonrpc":"2.0","method":"event","params":{params}}}"#);
        if line.len() > LINE_MAX {
            tracing::error!(bytes = line.len(), seq = event.seq, "Event too long for a line");
            return Taken::LeftOut;
        }
        self.push(&line);
        Taken::Yes
    }

    /// Waits until the reader of our output keeps up again.
    pub(super) async fn keeps_up(&self) {
        while self.queue().is_crowded() {
            self.0.room.notified().await;
        }
    }

    /// Waits until nobody reads our output any more.
    pub(super) async fn broken(&self) {
        while self.queue().end != End::Broken {
            self.0.room.notified().await;
        }
    }

    /// Lets the writer end after what waits.
    pub(super) fn leave(&self) {
        let mut queue = self.queue();
        if queue.end == End::Open {
            queue.end = End::Leaving;
        }
        drop(queue);
        self.0.more.notify_one();
    }

    /// Writes whatever comes, at once, until told to leave or until nobody reads.
    pub(super) async fn write_to(self, mut output: impl AsyncWrite + Unpin) {
        while let Some(batch) = self.batch().await {
            let written = async {
                output.write_all(&batch).await?;
                output.flush().await
            };
            let failed = written.await.is_err();
            let mut queue = self.queue();
            queue.writing = 0;
            if failed {
                queue.break_off();
            }
            drop(queue);
            self.0.room.notify_one();
        }
    }

    async fn batch(&self) -> Option<Vec<u8>> {
        loop {
            {
                let mut queue = self.queue();
                if queue.end == End::Broken {
                    return None;
                }
                if !queue.waiting.is_empty() {
                    queue.writing = queue.waiting.len();
                    return Some(std::mem::take(&mut queue.waiting));
                }
                if queue.end == End::Leaving {
                    return None;
                }
            }
            self.0.more.notified().await;
        }
    }

    fn push(&self, line: &str) {
        let mut queue = self.queue();
        if queue.end == End::Broken {
            return;
        }
        if queue.held() + line.len() > WAITING_MAX {
            queue.break_off();
            self.0.room.notify_one();
        } else {
            queue.waiting.extend_from_slice(line.as_bytes());
            queue.waiting.push(b'\n');
        }
        drop(queue);
        self.0.more.notify_one();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().expect("nothing panics while it holds the queue")
    }
}

impl Queue {
    fn held(&self) -> usize {
        self.waiting.len() + self.writing
    }

    fn is_crowded(&self) -> bool {
        self.end == End::Open && self.held() > WAITING_MARK
    }

    fn break_off(&mut self) {
        self.end = End::Broken;
        self.waiting = Vec::new();
    }
}

fn error_line(id: &Id, failure: &Failure) -> String {
    let (code, message) = (failure.code.number(), failure.code.to_string());
    let error = json!({ "code": code, "message": message, "data": failure });
    format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, id.as_json())
}
