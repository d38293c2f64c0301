//! Having super-peers dial back, for whoever decides whether to serve.

use std::time::Instant;

use earshot_proto::peer::Peer;
use earshot_proto::peer::command::{Answer, Command};
use earshot_proto::peer::reach::Verdict;
use tokio::sync::oneshot;

use super::{Ears, Owner, refused};
use crate::api::errors::ErrorCode;
use crate::api::failure::Failure;
use crate::driver::Handle;

/// Asks the peer to be dialled back.
#[derive(Clone)]
pub struct ReachDesk {
    ears: Ears,
    handle: Handle<Peer>,
}

impl Owner {
    /// The desk where tests are ordered.
    #[must_use]
    pub fn reach_desk(&self) -> ReachDesk {
        ReachDesk { ears: self.ears.clone(), handle: self.handle.clone() }
    }
}

impl ReachDesk {
    /// The peer itself.
    #[must_use]
    pub const fn peer(&self) -> &Handle<Peer> {
        &self.handle
    }

    /// Has super-peers dial back.
    ///
    /// # Errors
    /// [`ErrorCode::NotLoggedIn`] and [`ErrorCode::NotConnected`].
    pub async fn test(&self) -> Result<Vec<Verdict>, Failure> {
        let (told, answered) = oneshot::channel();
        let ears = self.ears.clone();
        let put = self.handle.call(move |peer, now: Instant| {
            // Nobody may wait for it any more.
            let ask = ears.expect(Box::new(move |result| drop(told.send(result))));
            peer.command(now, ask, Command::TestReach);
        });
        put.await.map_err(|_| ErrorCode::Leaving)?;
        match answered.await {
            Ok(Ok(Answer::Reach(verdicts))) => Ok(verdicts),
            Ok(Ok(_)) => Err(ErrorCode::Internal { what: "answer".into() }.into()),
            Ok(Err(failure)) => Err(refused::failure(failure)),
            Err(_) => Err(ErrorCode::Leaving.into()),
        }
    }
}
