//! The call as its owner sees it, shown whenever it looks different.

use super::super::paths::{PathState, Paths};
use super::super::view::{CallState, CallView, PathView};
use super::super::{CallsOutput, Cx};
use super::{One, State};
use crate::port::PathFacts;

impl One {
    pub(super) fn call_state(&self) -> CallState {
        match &self.state {
            State::Locating { .. } => CallState::Locating,
            State::Calling { .. } if self.rings.is_none() => CallState::Locating,
            State::Calling { .. } | State::Ringing { .. } => CallState::Ringing,
            State::Connecting { .. } => CallState::Connecting,
            State::Talking if self.held.anybody() => CallState::Held,
            State::Talking => CallState::Talking,
            State::Over(_) => CallState::Ended,
        }
    }

    /// The call as its owner sees it.
    pub(in super::super) fn view(&self) -> CallView {
        // Of several devices one that rings speaks for the call.
        let leg = self.legs.iter().find(|leg| leg.rang).or(self.legs.first());
        let paths = leg.and_then(|leg| leg.paths.as_ref());
        let known = !matches!(self.state, State::Calling { .. });
        let before = self.shown.as_ref();
        CallView {
            id: self.id,
            peer: self.peer.clone(),
            device: match leg {
                Some(leg) => Some(leg.to.device).filter(|_| known),
                None => before.and_then(|view| view.device),
            },
            direction: self.direction,
            state: self.call_state(),
            signaling: match leg {
                Some(leg) => Some(leg.case()),
                None => before.and_then(|view| view.signaling),
            },
            path: paths.and_then(Paths::in_use).cloned().map(unmeasured),
            switches: paths.map_or(0, Paths::switches),
            interrupted: leg.and_then(|leg| match leg.path_state() {
                PathState::Interrupted(since) => Some(since),
                PathState::Making | PathState::Alive | PathState::Failed(_) => None,
            }),
            muted_here: self.muted,
            held_by: self.held,
            since: self.since,
            end: match &self.state {
                State::Over(end) => Some(end.clone()),
                State::Locating { .. }
                | State::Calling { .. }
                | State::Ringing { .. }
                | State::Connecting { .. }
                | State::Talking => None,
            },
        }
    }

    /// The paths to the device that speaks for the call.
    pub(in super::super) fn paths(&self) -> Vec<PathView> {
        let leg = self.legs.iter().find(|leg| leg.rang).or(self.legs.first());
        leg.and_then(|leg| leg.paths.as_ref()).map(Paths::views).unwrap_or_default()
    }

    pub(super) fn show(&mut self, cx: &mut Cx<'_>) {
        if self.shown.as_ref().is_none_or(|view| view.state != self.call_state()) {
            self.since = cx.now;
        }
        let view = self.view();
        if self.shown.as_ref() != Some(&view) {
            self.shown = Some(view.clone());
            cx.out.push_back(CallsOutput::Changed(Box::new(view)));
        }
    }
}

/// The round trip changes all the time, which is no news: figures of the voice tell it.
fn unmeasured(facts: PathFacts) -> PathFacts {
    PathFacts { rtt_ms: None, ..facts }
}
