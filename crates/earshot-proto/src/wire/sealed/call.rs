//! Call signaling, from device to device. DESIGN 2.10; lecture, slides 32 and 39.

use minicbor::{CborLen, Decode, Encode};

use crate::ids::CallId;
use crate::wire::Wire;
use crate::wire::bounded::{List, Text};
use crate::wire::certificate::AgreeKey;

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
    /// What is said about it.
    #[n(1)]
    pub body: SignalBody,
}

/// What is said about a call.
#[derive(Clone, Debug, PartialEq, Encode, Decode, CborLen)]
pub enum SignalBody {
    /// Caller: I call you.
    #[n(0)]
    Offer {
        /// The caller's fresh X25519 key for this call.
        #[n(0)]
        contribution: AgreeKey,
        /// The caller's ICE credentials.
        #[n(1)]
        ice: IceCredentials,
        /// The caller wants relayed paths only.
        #[n(2)]
        relay_only: bool,
    },
    /// Callee: it rings.
    #[n(1)]
    Ringing {
        /// The callee's fresh X25519 key for this call.
        #[n(0)]
        contribution: AgreeKey,
        /// The callee's ICE credentials: paths are made while it rings.
        #[n(1)]
        ice: IceCredentials,
    },
    /// Candidates of the sender's path.
    #[n(2)]
    Candidates {
        /// As SDP candidate attribute values.
        #[n(0)]
        candidates: List<Text<CANDIDATE_MAX>, CANDIDATES_MAX>,
    },
    /// Callee: I answer.
    #[n(3)]
    Accept,
    /// Either: I heard it. Signals that must not be lost are repeated until this comes.
    #[n(4)]
    Heard {
        /// What was heard.
        #[n(0)]
        what: Heard,
    },
    /// It is over, or never began.
    #[n(5)]
    End {
        /// Why.
        #[n(0)]
        reason: SignalledEnd,
    },
    /// I hold the call.
    #[n(6)]
    Hold,
    /// I take it up again.
    #[n(7)]
    Resume,
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

/// A signal whose arrival is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, CborLen)]
#[cbor(index_only)]
pub enum Heard {
    /// [`SignalBody::Accept`].
    #[n(0)]
    Accept,
    /// [`SignalBody::End`].
    #[n(1)]
    End,
}

/// Why one side ends a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(index_only)]
pub enum SignalledEnd {
    /// Hung up.
    #[n(0)]
    HungUp,
    /// The callee does not want it.
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
    /// Another device of the callee answered.
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
}

impl Wire for Signal {
    const NAME: &'static str = "sealed.call";
    const MAX: usize = 5 * 1024;
}
