//! Call signaling, from device to device. DESIGN 2.10; lecture, slides 32 and 39.
//!
//! The signals of one call between two devices are numbered from 1 on each side, repeated until the
//! other side says how far it has heard, and taken in order. Only [`SignalBody::End`] is taken
//! whatever came before it.

use minicbor::{CborLen, Decode, Encode};

use crate::ids::CallId;
use crate::wire::Wire;
use crate::wire::bounded::{List, Text};
use crate::wire::certificate::AgreeKey;
use crate::wire::directory::NodeEntry;

/// Longest ICE candidate line, in bytes (RFC 8839).
pub const CANDIDATE_MAX: usize = 256;
/// Candidates in one signal at most.
pub const CANDIDATES_MAX: usize = 16;

/// One signal of one call.
#[derive(Clone, Debug, PartialEq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Signal {
    /// The call.
    #[n(0)]
    pub call: CallId,
    /// Its place among the signals of its sender, from 1; the same when it is repeated. 0: only
    /// [`SignalBody::Heard`].
    #[n(1)]
    pub number: u32,
    /// The sender has taken the other side's signals up to this number.
    #[n(2)]
    pub heard: u32,
    /// How this signal travels; the answer goes the same way.
    #[n(3)]
    pub case: SignalingCase,
    /// What is said about the call.
    #[n(4)]
    pub body: SignalBody,
}

/// Who carries the signaling of a call (lecture, slide 32), each case needing less of the two peers
/// than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, CborLen)]
#[cbor(index_only)]
pub enum SignalingCase {
    /// One TCP connection from the caller to the callee.
    #[n(0)]
    Direct,
    /// The caller reaches the callee's super-peer, which forwards.
    #[n(1)]
    CalleeSuperPeer,
    /// Each side speaks with its own super-peer.
    #[n(2)]
    BothSuperPeers,
}

/// What is said about a call.
#[derive(Clone, Debug, PartialEq, Encode, Decode, CborLen)]
pub enum SignalBody {
    /// Caller: I call you. Always number 1.
    #[n(0)]
    Offer {
        /// The caller's fresh X25519 key for this call.
        #[n(0)]
        contribution: AgreeKey,
        /// The super-peer that serves the caller, through which it can be answered.
        #[n(1)]
        home: Option<NodeEntry>,
        /// The caller wants relayed paths only.
        #[n(2)]
        relay_only: bool,
    },
    /// Callee: it rings. Always number 1.
    #[n(1)]
    Ringing {
        /// The callee's fresh X25519 key for this call.
        #[n(0)]
        contribution: AgreeKey,
    },
    /// Either: the credentials of the sender's end of a path; paths are made while it rings, and
    /// others in the middle of the call. A number that the other side does not know opens a path.
    #[n(2)]
    Ice {
        /// Of the sender's agent.
        #[n(0)]
        credentials: IceCredentials,
        /// Which path: the caller opens even numbers, the callee odd ones.
        #[n(1)]
        path: u32,
        /// What it is for.
        #[n(2)]
        purpose: PathPurpose,
    },
    /// Either: candidates of the sender's end of a path.
    #[n(3)]
    Candidates {
        /// As SDP candidate attribute values.
        #[n(0)]
        candidates: List<Text<CANDIDATE_MAX>, CANDIDATES_MAX>,
        /// Which path.
        #[n(1)]
        path: u32,
    },
    /// Callee: I answer.
    #[n(4)]
    Accept,
    /// Either: nothing but how far I have heard.
    #[n(5)]
    Heard,
    /// It is over, or never began. The sender's last number.
    #[n(6)]
    End {
        /// Why.
        #[n(0)]
        reason: SignalledEnd,
    },
    /// I hold the call.
    #[n(7)]
    Hold,
    /// I take it up again.
    #[n(8)]
    Resume,
    /// Another super-peer serves me now.
    #[n(9)]
    Moved {
        /// That one.
        #[n(0)]
        home: NodeEntry,
    },
    /// Do you still have this call? Answered by hearing it, or by [`SignalledEnd::Unknown`].
    #[n(10)]
    Probe,
}

/// What one of the paths of a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(index_only)]
pub enum PathPurpose {
    /// To talk as soon as possible, by whatever works.
    #[n(0)]
    Main,
    /// To talk without a relay, where the main path goes through one.
    #[n(1)]
    Direct,
    /// To fall back to: through another relay than the main path.
    #[n(2)]
    Spare,
}

/// The credentials of one ICE agent (RFC 8445, section 5.3).
#[derive(Clone, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct IceCredentials {
    /// User name fragment.
    #[n(0)]
    pub ufrag: Text<64>,
    /// Password.
    #[n(1)]
    pub password: Text<128>,
}

impl std::fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IceCredentials(..)")
    }
}

/// Why one side ends a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(index_only)]
pub enum SignalledEnd {
    /// Hung up.
    #[n(0)]
    HungUp,
    /// The callee does not want it (also told to the callee's other devices).
    #[n(1)]
    Declined,
    /// The callee is in another call.
    #[n(2)]
    Busy,
    /// The caller gave up before an answer.
    #[n(3)]
    Cancelled,
    /// It rang and nobody answered.
    #[n(4)]
    NoAnswer,
    /// Another device of the callee answered, or the callee's own call to the caller was taken
    /// instead.
    #[n(5)]
    AnsweredElsewhere,
    /// The caller is no buddy of the callee (told only to people who were).
    #[n(6)]
    NotBuddy,
    /// No path could be made.
    #[n(7)]
    NoPath,
    /// The path was lost.
    #[n(8)]
    PathLost,
    /// The keys did not fit.
    #[n(9)]
    KeysRefused,
    /// Neither microphone nor speaker works.
    #[n(10)]
    AudioFailed,
    /// The sender could not go on for a reason of its own.
    #[n(11)]
    Internal,
    /// The sender knows of no such call (it was started anew since).
    #[n(12)]
    Unknown,
}

impl Wire for Signal {
    const NAME: &'static str = "sealed.call";
    const MAX: usize = 5 * 1024;
}
