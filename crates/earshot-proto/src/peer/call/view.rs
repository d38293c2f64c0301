//! A call as its owner sees it: `callChanged.call` and the call log of INTERFACES 3.

use std::time::Instant;

use super::reason::End;
use super::signaling::SignalingCase;
use crate::ids::{CallId, DeviceId, UserName};
use crate::port::{PathDown, PathFacts, TriedPair};
use crate::wire::sealed::call::PathPurpose;

/// Who called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// They called us.
    In,
    /// We called them.
    Out,
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    /// The callee is looked for, or none of its devices has answered yet.
    Locating,
    /// It rings.
    Ringing,
    /// Answered; the path is being made.
    Connecting,
    /// Voice flows.
    Talking,
    /// Voice would flow, but one or both hold the call.
    Held,
    /// Over.
    Ended,
}

/// Who holds a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeldBy {
    /// This user.
    pub me: bool,
    /// The other.
    pub them: bool,
}

impl HeldBy {
    /// Whether anybody does.
    #[must_use]
    pub const fn anybody(self) -> bool {
        self.me || self.them
    }
}

/// A call as its owner sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct CallView {
    /// The call.
    pub id: CallId,
    /// The other user.
    pub peer: UserName,
    /// The other user's device, once it is known which one it is.
    pub device: Option<DeviceId>,
    /// Who called.
    pub direction: Direction,
    /// Where it stands.
    pub state: CallState,
    /// What carries its signaling: what really did once anything arrived, before that what is
    /// tried.
    pub signaling: Option<SignalingCase>,
    /// The path of the voice, while there is one.
    pub path: Option<PathFacts>,
    /// How often the voice went over to another path.
    pub switches: u32,
    /// Since when no path gets packets through, if none does any more.
    pub interrupted: Option<Instant>,
    /// Our microphone is muted.
    pub muted_here: bool,
    /// Who holds it.
    pub held_by: HeldBy,
    /// When it came to this state.
    pub since: Instant,
    /// Why it ended; present exactly in [`CallState::Ended`].
    pub end: Option<End>,
}

/// One of the paths of a call, as its owner sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct PathView {
    /// Its number, the same at both ends.
    pub number: u32,
    /// What it is for.
    pub purpose: PathPurpose,
    /// How it stands.
    pub standing: PathStanding,
    /// The voice goes over it.
    pub is_used: bool,
    /// What it goes through, or went through, if it ever came up.
    pub facts: Option<PathFacts>,
    /// When it was begun.
    pub opened: Instant,
    /// What came of its pairs of candidates, as far as that was told.
    pub tried: Vec<TriedPair>,
}

/// How one of the paths of a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathStanding {
    /// It is being made.
    Making,
    /// Packets get through.
    Up,
    /// They do not, but may again.
    Silent,
    /// It is gone.
    Down(PathDown),
}

/// One line of the call log, written when a call has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct LogEntry {
    /// The call.
    pub call: CallId,
    /// The other user.
    pub peer: UserName,
    /// Who called.
    pub direction: Direction,
    /// When it began.
    pub started: Instant,
    /// When voice began to flow, if it did.
    pub answered: Option<Instant>,
    /// When it ended.
    pub ended: Instant,
    /// Why.
    pub end: End,
}
