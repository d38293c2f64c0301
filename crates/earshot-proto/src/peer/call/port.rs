//! The vocabulary between the calls and the peer that owns them: what goes in, what comes out.

use std::net::SocketAddr;

use crate::ids::{CallId, UserName};
use crate::port::{PathId, PathOrder, PathPolicy, RelayServer, RelayTransport, VoiceOrder};
use crate::secure::identity::LinkKey;
use crate::wire::certificate::{AgreeKey, VerifyKey};
use crate::wire::directory::{NodeEntry, Reachability};
use crate::wire::forward::Address;
use crate::wire::sealed::call::Signal;

#[cfg(doc)]
use super::Calls;
use super::reason::SendFailure;
use super::signaling::Route;
use super::view::{CallState, CallView, LogEntry};

/// What an owner's order may be refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another call is under way.
    #[error("another call is under way")]
    InCall {
        /// That one.
        call: CallId,
    },
    /// A user cannot call itself.
    #[error("a user cannot call itself")]
    Yourself,
    /// No such call is under way.
    #[error("no such call is under way")]
    NoSuchCall,
    /// The call is in a state in which this means nothing.
    #[error("not while the call is {state:?}")]
    NotNow {
        /// That state.
        state: CallState,
    },
}

/// What the other user is to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// An accepted buddy.
    Buddy,
    /// Was a buddy once.
    FormerBuddy,
    /// Neither.
    Stranger,
    /// Blocked by this user.
    Blocked,
}

impl Standing {
    /// Whether addresses may be shown.
    #[must_use]
    pub const fn is_buddy(self) -> bool {
        match self {
            Self::Buddy => true,
            Self::FormerBuddy | Self::Stranger | Self::Blocked => false,
        }
    }
}

/// Whose calls ring here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Callers {
    /// Everybody's but those who are blocked.
    #[default]
    Everybody,
    /// Buddies' only.
    Buddies,
}

/// Who this device is.
#[derive(Debug)]
pub struct Me {
    /// User and device.
    pub address: Address,
    /// The user's identity key K_u.
    pub identity: VerifyKey,
    /// The device's certified link key: the keys of the voice depend on it too.
    pub link: LinkKey,
}

/// What the peer knows of its own place in the network.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// How this peer can be reached.
    pub reachability: Reachability,
    /// The super-peer that serves it, if one does now.
    pub home: Option<NodeEntry>,
    /// STUN and TURN servers for new paths.
    pub servers: Vec<RelayServer>,
    /// [`PathPolicy::RelayOnly`]: "hide my address", always.
    pub addresses: PathPolicy,
    /// Whose calls ring.
    pub callers: Callers,
}

/// One device of a callee, located.
#[derive(Clone, Debug)]
pub struct Callee {
    /// The device.
    pub address: Address,
    /// The user's identity key K_u.
    pub identity: VerifyKey,
    /// The device's key, to which signals are sealed.
    pub agree: AgreeKey,
    /// What the user is to us.
    pub standing: Standing,
    /// How it can be reached; only buddies know.
    pub reachability: Option<Reachability>,
    /// The super-peer that serves it.
    pub home: Option<NodeEntry>,
    /// Where it is on our local network, where it is linked to us.
    pub near: Option<SocketAddr>,
    /// Where it takes calls itself; only buddies know.
    pub direct: Option<SocketAddr>,
}

/// Who sent a signal, as the opened envelope proves.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The device.
    pub address: Address,
    /// The user's identity key K_u.
    pub identity: VerifyKey,
    /// The device's key, to which answers are sealed.
    pub agree: AgreeKey,
    /// What the user is to us.
    pub standing: Standing,
}

/// How a sent signal fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It reached the device's link.
    Done,
    /// It did not.
    Failed(SendFailure),
}

/// A signal to be sealed and sent.
#[derive(Clone, Debug)]
pub struct Post {
    /// To whom.
    pub to: Address,
    /// That user's identity key.
    pub identity: VerifyKey,
    /// The key to seal to.
    pub agree: AgreeKey,
    /// The way; report how it fared by [`Calls::handle_delivery`] with [`Route::case`].
    pub route: Route,
    /// What is said.
    pub signal: Signal,
}

/// One thing to do for the calls.
#[derive(Debug)]
pub enum CallsOutput {
    /// Find the devices of this user; answer by [`Calls::handle_located`].
    Locate {
        /// For this call.
        call: CallId,
        /// Whom.
        user: UserName,
    },
    /// The device of this user that takes part in a call is no longer where it was: ask the
    /// directory, whatever is believed to be known; answer by [`Calls::handle_located`].
    Relocate {
        /// For this call.
        call: CallId,
        /// Whom.
        user: UserName,
    },
    /// Seal and send.
    Send(Box<Post>),
    /// Nothing more will be said to this device about this call of ourselves: a connection that was
    /// opened only for it can be closed.
    Forget {
        /// The call.
        call: CallId,
        /// The device.
        to: Address,
    },
    /// Nothing comes from the other device any more: perhaps our own home is not reached either.
    DoubtHome,
    /// This relay of ours gave no relayed address, asked so.
    RelayFailed(SocketAddr, RelayTransport),
    /// Do something with a media path. Paths are numbered by the calls from 0.
    Path(PathId, PathOrder),
    /// Do something with the voice.
    Voice(CallId, VoiceOrder),
    /// Tell the owner: this is how the call stands now.
    Changed(Box<CallView>),
    /// Keep this line of the call log.
    Log(Box<LogEntry>),
}
