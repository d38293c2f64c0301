//! JSON-RPC 2.0 over two streams, one message a line: commands in, answers and events out.
//!
//! Source: JSON-RPC 2.0; INTERFACES 3. Invariants: whatever comes in is answered (but
//! notifications) and none of it ends the process; the end of the input does, politely. Idle,
//! nothing runs: both tasks wait for bytes.

mod lines;
mod outbox;
mod request;

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, Stdin};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub use lines::LINE_MAX;

use crate::api::commands::{Command, asked, method};
use crate::api::errors::{ErrorCode, Limited};
use crate::api::events::Events;
use crate::api::ready::Role;
use lines::{Line, Lines};
use outbox::Outbox;
use request::{Id, Refused, Request};

/// Questions that may wait for their answers at a time. Our choice: more than any window has under
/// way.
pub const QUESTIONS_MAX: usize = 256;
/// How long leaving waits for the last lines to be read. INTERFACES 2 gives the whole leave 3 s.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

/// The two streams of one client.
pub struct Rpc<R> {
    lines: Lines<R>,
    outbox: Outbox,
    role: Role,
    /// Wakes the writer for the first time.
    begun: Arc<Notify>,
    writer: JoinHandle<()>,
}

impl Rpc<Stdin> {
    /// Over standard input and output. Nothing is written before [`Self::begin`]: the first line
    /// says whether the process serves, and events come after it. The runtime must be shut down
    /// without waiting for its threads, since one of them waits for input: see
    /// [`start::block_on`](crate::start::block_on).
    #[must_use]
    pub fn stdio(role: Role) -> Self {
        Self::held(tokio::io::stdin(), tokio::io::stdout(), role)
    }
}

impl<R: AsyncRead + Unpin> Rpc<R> {
    /// Over two streams. Needs a runtime of tokio, in which the writer becomes a task.
    pub fn open(input: R, output: impl AsyncWrite + Unpin + Send + 'static, role: Role) -> Self {
        let rpc = Self::held(input, output, role);
        rpc.begin();
        rpc
    }

    fn held(input: R, output: impl AsyncWrite + Unpin + Send + 'static, role: Role) -> Self {
        let (outbox, begun) = (Outbox::default(), Arc::new(Notify::new()));
        let (writing, begins) = (outbox.clone(), Arc::clone(&begun));
        let writer = tokio::spawn(async move {
            begins.notified().await;
            writing.write_to(output).await;
        });
        Self { lines: Lines::new(input), outbox, role, begun, writer }
    }

    /// Begins to write.
    pub fn begin(&self) {
        self.begun.notify_one();
    }

    /// The events that this client hears. To be taken once: each stream is numbered on its own.
    #[must_use]
    pub fn events(&self) -> Events {
        let outbox = self.outbox.clone();
        Events::new(move |event| outbox.tell(event))
    }

    /// The next command; `None` when the client is gone. What is no command is answered here.
    /// Nothing is lost when the future is dropped, so it may stand in a `select!`.
    pub async fn next(&mut self) -> Option<Command> {
        loop {
            self.outbox.keeps_up().await;
            let line = tokio::select! {
                line = self.lines.next() => line,
                () = self.outbox.broken() => {
                    tracing::warn!("Nobody reads the output; leaving");
                    return None;
                }
            };
            let line = line.unwrap_or_else(|error| {
                tracing::warn!(%error, "Input cannot be read; leaving");
                None
            })?;
            if let Some(command) = self.command(&line) {
                return Some(command);
            }
        }
    }

    /// Writes what still waits, as long as that does not take too long.
    pub async fn leave(self) {
        self.outbox.leave();
        if tokio::time::timeout(FLUSH_PATIENCE, self.writer).await.is_err() {
            tracing::warn!("The last lines were not read");
        }
    }

    fn command(&self, line: &Line) -> Option<Command> {
        let line = match line {
            Line::Whole(bytes) if bytes.trim_ascii().is_empty() => return None,
            Line::Whole(bytes) => bytes,
            Line::TooLong => {
                let too_long = ErrorCode::LineTooLong { max: LINE_MAX };
                self.outbox.answer(&Id::null(), Err(too_long.into()));
                return None;
            }
        };
        match request::read(line) {
            Ok(request) => self.ask(request),
            Err(Refused { id, why }) => {
                self.outbox.answer(&id, Err(why.into()));
                None
            }
        }
    }

    fn ask(&self, request: Request<'_>) -> Option<Command> {
        let known = method(&request.method, self.role).ok_or(ErrorCode::UnknownMethod);
        let params = known.and(request.params);
        let asked = params.and_then(|params| asked(&request.method, self.role, params));
        let asked = asked.and_then(|asked| {
            let too_many = ErrorCode::TooMany { what: Limited::Questions, max: QUESTIONS_MAX };
            self.outbox.begin(QUESTIONS_MAX).then_some(asked).ok_or(too_many)
        });
        let (id, outbox) = (request.id, self.outbox.clone());
        match asked {
            Ok(asked) => Some(asked(Box::new(move |result| outbox.finish(id.as_ref(), result)))),
            Err(why) => {
                if let Some(id) = id {
                    self.outbox.answer(&id, Err(why.into()));
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
