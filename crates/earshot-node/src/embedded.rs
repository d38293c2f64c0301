//! A peer inside another program, on a thread of its own: how the window has one.
//!
//! ```text
//! let peer = Embedded::start(PeerPlan::new(directory), move |event| frame.tell(event))?;
//! peer.put("state.get", "{}", move |answer| frame.answer(answer));
//! peer.leave();
//! ```
//!
//! Questions and answers are those of JSON-RPC (docs/rpc.md) without its envelope: a method's name
//! and its parameters as JSON, the result as JSON or a typed failure. Invariants: questions are
//! taken in their order, and the result of each comes before the events that it caused; no more
//! than [`QUESTIONS_MAX`] wait; who drops it without a word has said goodbye all the same.

use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::api::commands::{Command, asked};
use crate::api::errors::{ErrorCode, Limited};
use crate::api::events::{Events, Numbered, Taken};
use crate::api::failure::Failure;
use crate::api::ready::{Ready, Role};
use crate::rpc::QUESTIONS_MAX;
use crate::run::living::{LivingPeer, PeerPlan};
use crate::start::block_on;

/// A peer on a thread.
pub struct Embedded {
    ready: Ready,
    commands: mpsc::Sender<Command>,
    room: Arc<Semaphore>,
    thread: JoinHandle<()>,
}

impl Embedded {
    /// Starts a peer and waits until it is ready. Every event goes to `hear`; written by serde it
    /// is that of docs/rpc.md. It is called on the peer's thread and must not wait.
    ///
    /// # Errors
    /// See [`LivingPeer::start`].
    pub fn start(
        plan: PeerPlan,
        mut hear: impl FnMut(&Numbered) + Send + 'static,
    ) -> Result<Self, Failure> {
        let (commands, mut ordered) = mpsc::channel(QUESTIONS_MAX);
        let (told, started) = std::sync::mpsc::sync_channel(1);
        let events = Events::new(move |event| {
            hear(event);
            Taken::Yes
        });
        let life = async move {
            let peer = match LivingPeer::start(plan, events).await {
                Ok(peer) => peer,
                Err(why) => return told.send(Err(why)),
            };
            let heard = told.send(Ok(peer.ready()));
            while let Some(command) = ordered.recv().await {
                peer.execute(command).await;
            }
            peer.leave().await;
            heard
        };
        let thread = std::thread::Builder::new().name("earshot-peer".into());
        let thread = thread.spawn(move || {
            // Who started it learns by the channel how that went; here it could only be told twice.
            let _ = block_on(async {
                let _ = life.await;
                Ok(())
            });
        });
        let thread = thread.map_err(|e| ErrorCode::Internal { what: e.to_string() })?;
        let ready = started.recv().unwrap_or_else(|_| Err(ErrorCode::Leaving.into()))?;
        Ok(Self { ready, commands, room: Arc::new(Semaphore::new(QUESTIONS_MAX)), thread })
    }

    /// What the first line of an `earshotd` tells.
    #[must_use]
    pub const fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Asks without waiting. `answer` takes the result as JSON, or the failure, at once or later
    /// and on any thread; it must not wait.
    pub fn put(
        &self,
        method: &str,
        params: &str,
        answer: impl FnOnce(Result<String, Failure>) + Send + 'static,
    ) {
        let room = Arc::clone(&self.room).try_acquire_owned();
        let full = ErrorCode::TooMany { what: Limited::Questions, max: QUESTIONS_MAX };
        match (asked(method, Role::Peer, params), room) {
            (Err(why), _) => answer(Err(why.into())),
            (Ok(_), Err(_)) => answer(Err(full.into())),
            (Ok(question), Ok(seat)) => {
                let command = question(Box::new(move |result| {
                    drop(seat);
                    answer(result);
                }));
                // Whoever has a seat finds room. A peer that has left drops the command, and with
                // it the reply, which then says so.
                let _ = self.commands.try_send(command);
            }
        }
    }

    /// Asks; the answer may be waited for on any runtime.
    ///
    /// # Errors
    /// The failures of docs/rpc.md.
    pub fn ask(
        &self,
        method: &str,
        params: &str,
    ) -> impl Future<Output = Result<String, Failure>> + Send + use<> {
        let (told, answered) = oneshot::channel();
        // Nobody may wait for it any more.
        self.put(method, params, move |result| drop(told.send(result)));
        async { answered.await.unwrap_or_else(|_| Err(ErrorCode::Leaving.into())) }
    }

    /// Says goodbye and waits until the peer has left: at most three seconds.
    pub fn leave(self) {
        drop(self.commands);
        // It panicked, and said so.
        let _ = self.thread.join();
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("ready", &self.ready).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
