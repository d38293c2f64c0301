//! The call as its owner sees it, shown whenever it looks different.

use super::super::view::{CallState, CallView};
use super::super::{CallsOutput, Cx};
use super::{One, State};

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
            path: leg.and_then(|leg| leg.path.as_ref()).and_then(|path| path.up.clone()),
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
