//! Why a call ended: a closed list, each with who ended it and what is known.
//!
//! Source: INTERFACES 3 (`callChanged.call.end`), DESIGN 2.10. Invariant: a call ends once, and
//! never without a reason.

use std::time::Duration;

use crate::ids::{CallId, DeviceId};
use crate::port::PathDown;
use crate::wire::forward::Undelivered;
use crate::wire::sealed::call::SignalledEnd;

use super::view::Direction;

/// The end of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Why.
    pub reason: EndReason,
    /// Whose doing it was.
    pub by: By,
    /// What is known about it.
    pub facts: EndFacts,
}

impl End {
    /// An end that neither of the two brought about.
    pub(super) fn by_network(reason: EndReason) -> Self {
        Self { reason, by: By::Network, facts: EndFacts::default() }
    }
}

/// Why a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndReason {
    /// One of the two hung up.
    HungUp,
    /// The callee did not want it.
    Declined,
    /// The callee was in another call.
    Busy,
    /// It rang and nobody answered.
    NoAnswer,
    /// The caller gave up before an answer.
    Cancelled,
    /// Nobody has this name.
    NotFound,
    /// None of the callee's devices could be reached.
    Offline,
    /// We have blocked them.
    Blocked,
    /// The callee takes calls of buddies only, and we are none any more.
    NotBuddy,
    /// No path could be made for the voice.
    NoPath,
    /// The path of the voice was lost, and the other side says so too.
    PathLost,
    /// The other device is gone: neither voice nor signaling comes from it.
    PeerVanished,
    /// We ourselves lost the network's signaling before the call was made.
    SignalingLost,
    /// The keys did not fit: the other side's contribution is no key, or its identity is not the
    /// one we know.
    KeysRefused,
    /// Neither microphone nor speaker works.
    AudioFailed,
    /// Another device answered, or the two called each other and the other call was taken.
    AnsweredElsewhere,
    /// A mistake of ours.
    Internal,
}

impl EndReason {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::HungUp,
        Self::Declined,
        Self::Busy,
        Self::NoAnswer,
        Self::Cancelled,
        Self::NotFound,
        Self::Offline,
        Self::Blocked,
        Self::NotBuddy,
        Self::NoPath,
        Self::PathLost,
        Self::PeerVanished,
        Self::SignalingLost,
        Self::KeysRefused,
        Self::AudioFailed,
        Self::AnsweredElsewhere,
        Self::Internal,
    ];
}

/// Whose doing an end was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// This user (on whichever device).
    Me,
    /// The other user.
    Them,
    /// Neither of them.
    Network,
}

/// What is known about an end; what is not known is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndFacts {
    /// How long it was tried, until the answer or the end.
    pub waited: Option<Duration>,
    /// How long it rang.
    pub rang: Option<Duration>,
    /// How long they talked.
    pub talked: Option<Duration>,
    /// How many devices of the callee were called.
    pub devices: Option<usize>,
    /// The device of the other user that ended or refused it.
    pub device: Option<DeviceId>,
    /// Why finding the callee failed.
    pub locating: Option<NotLocated>,
    /// The last thing that signaling failed at.
    pub signaling: Option<SendFailure>,
    /// What became of the path.
    pub path: Option<PathDown>,
    /// Candidates of our path.
    pub candidates_here: Option<usize>,
    /// Candidates of theirs.
    pub candidates_there: Option<usize>,
    /// The call that was taken instead.
    pub continued_as: Option<CallId>,
}

/// Why a callee could not be located.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotLocated {
    /// Nobody has this name.
    NotFound,
    /// The user exists, and no device of theirs is there.
    Offline,
    /// We have blocked this user.
    Blocked,
    /// The user's identity key is not the one that we know: the owner must decide first.
    KeyChanged,
    /// We are cut off: no super-peer answers.
    CutOff,
}

impl NotLocated {
    /// The end that follows from it.
    #[must_use]
    pub fn end(self) -> End {
        let (reason, by) = match self {
            Self::NotFound => (EndReason::NotFound, By::Network),
            Self::Offline => (EndReason::Offline, By::Network),
            Self::Blocked => (EndReason::Blocked, By::Me),
            Self::KeyChanged => (EndReason::KeysRefused, By::Me),
            Self::CutOff => (EndReason::SignalingLost, By::Network),
        };
        End { reason, by, facts: EndFacts { locating: Some(self), ..EndFacts::default() } }
    }
}

/// Why a signal did not go out or did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendFailure {
    /// No TCP connection to the other device.
    NoConnection,
    /// We have no link to a home at the moment.
    Unlinked,
    /// A super-peer said why.
    Undelivered(Undelivered),
}

/// What an end signalled by the other side means here.
pub(super) const fn heard(said: SignalledEnd, direction: Direction) -> (EndReason, By) {
    match (said, direction) {
        (SignalledEnd::HungUp, _) => (EndReason::HungUp, By::Them),
        (SignalledEnd::Declined, Direction::Out) => (EndReason::Declined, By::Them),
        (SignalledEnd::Declined, Direction::In) => (EndReason::Declined, By::Me),
        (SignalledEnd::Busy, _) => (EndReason::Busy, By::Them),
        (SignalledEnd::Cancelled, _) => (EndReason::Cancelled, By::Them),
        (SignalledEnd::NoAnswer, Direction::Out) => (EndReason::NoAnswer, By::Them),
        (SignalledEnd::NoAnswer, Direction::In) => (EndReason::NoAnswer, By::Me),
        (SignalledEnd::AnsweredElsewhere, Direction::In) => (EndReason::AnsweredElsewhere, By::Me),
        (SignalledEnd::AnsweredElsewhere, Direction::Out) => {
            (EndReason::AnsweredElsewhere, By::Them)
        }
        (SignalledEnd::NotBuddy, _) => (EndReason::NotBuddy, By::Them),
        (SignalledEnd::NoPath, _) => (EndReason::NoPath, By::Network),
        (SignalledEnd::PathLost, _) => (EndReason::PathLost, By::Network),
        (SignalledEnd::KeysRefused, _) => (EndReason::KeysRefused, By::Them),
        (SignalledEnd::AudioFailed, _) => (EndReason::AudioFailed, By::Them),
        (SignalledEnd::Internal, _) => (EndReason::Internal, By::Them),
        (SignalledEnd::Unknown, _) => (EndReason::PeerVanished, By::Network),
    }
}

/// How far a call had come when it ended: what may be said to the other side differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Before an answer.
    Asking,
    /// After it.
    Joined,
}

/// What is said to the other side about an end decided here. What is nobody's business there (a
/// block, a broken network here) reads like an everyday end.
pub(super) const fn told(reason: EndReason, stage: Stage, direction: Direction) -> SignalledEnd {
    match reason {
        EndReason::HungUp => SignalledEnd::HungUp,
        EndReason::Declined => SignalledEnd::Declined,
        EndReason::Busy => SignalledEnd::Busy,
        EndReason::NoAnswer => SignalledEnd::NoAnswer,
        EndReason::Cancelled | EndReason::NotFound | EndReason::Offline => SignalledEnd::Cancelled,
        EndReason::Blocked => match (stage, direction) {
            (Stage::Joined, _) => SignalledEnd::HungUp,
            (Stage::Asking, Direction::In) => SignalledEnd::Declined,
            (Stage::Asking, Direction::Out) => SignalledEnd::Cancelled,
        },
        EndReason::NotBuddy => SignalledEnd::NotBuddy,
        EndReason::NoPath => SignalledEnd::NoPath,
        EndReason::PathLost => SignalledEnd::PathLost,
        EndReason::PeerVanished | EndReason::SignalingLost => match (stage, direction) {
            (Stage::Joined, _) => SignalledEnd::PathLost,
            (Stage::Asking, Direction::Out) => SignalledEnd::Cancelled,
            (Stage::Asking, Direction::In) => SignalledEnd::NoAnswer,
        },
        EndReason::KeysRefused => SignalledEnd::KeysRefused,
        EndReason::AudioFailed => SignalledEnd::AudioFailed,
        EndReason::AnsweredElsewhere => SignalledEnd::AnsweredElsewhere,
        EndReason::Internal => SignalledEnd::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_other_side_is_told_is_the_same_end_or_an_everyday_one() {
        for reason in EndReason::ALL {
            for stage in [Stage::Asking, Stage::Joined] {
                for (here, there) in
                    [(Direction::In, Direction::Out), (Direction::Out, Direction::In)]
                {
                    let (understood, by) = heard(told(reason, stage, here), there);
                    let hidden = match reason {
                        EndReason::NotFound
                        | EndReason::Offline
                        | EndReason::Blocked
                        | EndReason::PeerVanished
                        | EndReason::SignalingLost => true,
                        EndReason::HungUp
                        | EndReason::Declined
                        | EndReason::Busy
                        | EndReason::NoAnswer
                        | EndReason::Cancelled
                        | EndReason::NotBuddy
                        | EndReason::NoPath
                        | EndReason::PathLost
                        | EndReason::KeysRefused
                        | EndReason::AudioFailed
                        | EndReason::AnsweredElsewhere
                        | EndReason::Internal => false,
                    };
                    assert_eq!(understood == reason, !hidden, "{reason:?} {stage:?} {here:?}");
                    assert!(understood != EndReason::Blocked, "a block is never told");
                    assert!(by != By::Me || there == Direction::In, "only another device of mine");
                }
            }
        }
    }
}
