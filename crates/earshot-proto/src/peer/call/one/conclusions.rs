//! What follows for a call from what its legs and the time say, and how it ends.

use std::time::Instant;

use super::super::leg::{Leg, Probe};
use super::super::paths::PathState;
use super::super::reason::{self, By, End, EndFacts, EndReason, NotLocated, SendFailure, Stage};
use super::super::view::LogEntry;
use super::super::{CallsOutput, Cx, patience};
use super::{One, State};
use crate::port::{PathDown, VoiceOrder};
use crate::wire::forward::{Address, Undelivered};

impl One {
    /// Draws the conclusions from what the legs know, lets them say what they owe, and shows the
    /// call if it changed.
    pub(in super::super) fn review(&mut self, cx: &mut Cx<'_>) {
        self.legs.iter_mut().for_each(|leg| leg.attend_paths(cx));
        self.conclude(cx);
        self.reroute(cx);
        self.legs.iter_mut().for_each(|leg| leg.relocate(cx.now, cx.out));
        self.legs.iter_mut().for_each(|leg| leg.settle(cx));
        self.show(cx);
    }

    fn conclude(&mut self, cx: &mut Cx<'_>) {
        let late = |give_up: &Instant| *give_up <= cx.now;
        let late = match &self.state {
            State::Calling { .. } => return self.conclude_calling(cx),
            State::Locating { give_up } => late(give_up).then(|| NotLocated::CutOff.end()),
            State::Ringing { give_up } => {
                late(give_up).then(|| End::by_network(EndReason::PeerVanished))
            }
            State::Connecting { give_up } if late(give_up) => {
                self.legs.first().map(never_connected)
            }
            State::Connecting { .. } | State::Talking | State::Over(_) => None,
        };
        match self.legs.iter_mut().find_map(|leg| fault(leg, cx)).or(late) {
            Some(End { reason, by, facts }) => self.finish(cx, reason, by, facts),
            None => self.talk(cx),
        }
    }

    fn conclude_calling(&mut self, cx: &mut Cx<'_>) {
        let faults: Vec<(Address, End)> = self
            .legs
            .iter_mut()
            .filter_map(|leg| fault(leg, cx).map(|end| (leg.to.clone(), end)))
            .collect();
        for (to, end) in faults {
            if let Some(mut leg) = self.remove_leg(&to) {
                let told = reason::told(end.reason, Stage::Asking, self.direction);
                leg.close(cx, Some(told));
                cx.closed.push(leg);
                self.remember_refusal(end);
            }
        }
        let State::Calling { give_up, refusal, .. } = &mut self.state else { return };
        let give_up = *give_up;
        if self.legs.is_empty() {
            let offline = || End::by_network(EndReason::Offline);
            let End { reason, by, facts } = refusal.take().unwrap_or_else(offline);
            return self.finish(cx, reason, by, facts);
        }
        let failure = self.legs.iter().find_map(|leg| leg.way.last_failure());
        let unlinked = self.legs.iter().all(|leg| leg.way.cut_off() == Some(SendFailure::Unlinked));
        let facts = EndFacts { signaling: failure, ..EndFacts::default() };
        let deadline = self.rings.map_or(give_up, |rings| rings + patience::RING);
        if deadline > cx.now {
            return;
        }
        if unlinked {
            self.finish(cx, EndReason::SignalingLost, By::Network, facts);
        } else if self.rings.is_some() {
            self.finish(cx, EndReason::NoAnswer, By::Them, facts);
        } else {
            self.finish(cx, EndReason::Offline, By::Network, facts);
        }
    }

    /// Lets the voice begin as soon as there is a path.
    fn talk(&mut self, cx: &mut Cx<'_>) {
        let (State::Connecting { .. }, [leg]) = (&self.state, &mut self.legs[..]) else { return };
        let Some(route) = leg.voice_route().filter(|route| !route.send.is_empty()) else { return };
        let Some(keys) = leg.keys.take() else { return };
        self.route = route.clone();
        cx.out.push_back(CallsOutput::Voice(self.id, VoiceOrder::Start { route, keys }));
        self.answered = Some(cx.now);
        self.state = State::Talking;
        if self.muted {
            cx.out.push_back(CallsOutput::Voice(self.id, VoiceOrder::Mute));
        }
        if self.held.anybody() {
            cx.out.push_back(CallsOutput::Voice(self.id, VoiceOrder::Hold));
        }
    }

    /// Lets the voice go on over the paths that are best now.
    fn reroute(&mut self, cx: &mut Cx<'_>) {
        let (State::Talking, [leg]) = (&self.state, &self.legs[..]) else { return };
        if let Some(route) = leg.voice_route().filter(|route| *route != self.route) {
            self.route = route.clone();
            cx.out.push_back(CallsOutput::Voice(self.id, VoiceOrder::Reroute(route)));
        }
    }

    /// Ends the call: closes what is left, tells who has to know, and writes the log.
    pub(in super::super) fn finish(
        &mut self,
        cx: &mut Cx<'_>,
        reason: EndReason,
        by: By,
        mut facts: EndFacts,
    ) {
        if self.is_over() {
            return;
        }
        if let State::Calling { called, .. } = &self.state {
            facts.devices.get_or_insert(*called);
        }
        let until = self.joined.unwrap_or(cx.now);
        facts.waited = Some(until.saturating_duration_since(self.started));
        facts.rang = self.rings.map(|from| until.saturating_duration_since(from));
        facts.talked = self.answered.map(|from| cx.now.saturating_duration_since(from));
        let stage = if self.joined.is_some() { Stage::Joined } else { Stage::Asking };
        let told = reason::told(reason, stage, self.direction);
        let end = End { reason, by, facts };
        self.state = State::Over(end.clone());
        for mut leg in self.legs.drain(..) {
            leg.close(cx, Some(told));
            cx.closed.push(leg);
        }
        if self.voice {
            cx.out.push_back(CallsOutput::Voice(self.id, VoiceOrder::Stop));
        }
        cx.out.push_back(CallsOutput::Log(Box::new(LogEntry {
            call: self.id,
            peer: self.peer.clone(),
            direction: self.direction,
            started: self.started,
            answered: self.answered,
            ended: cx.now,
            end,
        })));
    }
}

/// What makes a leg useless, if anything does. A leg whose paths are dead is asked first whether
/// it is still there.
fn fault(leg: &mut Leg, cx: &mut Cx<'_>) -> Option<End> {
    let facts = leg.facts();
    let end = |reason, by| Some(End { reason, by, facts });
    if leg.keys_refused {
        return end(EndReason::KeysRefused, By::Me);
    }
    match leg.path_state() {
        PathState::Failed(PathDown::Unavailable) => return end(EndReason::NoPath, By::Me),
        PathState::Failed(_) => return end(EndReason::NoPath, By::Network),
        PathState::Interrupted(since) => {
            return interrupted(leg, cx, since).and_then(|reason| end(reason, By::Network));
        }
        PathState::Making if leg.probe == Probe::Unanswered => {
            let reason = if leg.rang { EndReason::PeerVanished } else { EndReason::Offline };
            return end(reason, By::Network);
        }
        PathState::Making | PathState::Alive => {}
    }
    match leg.way.cut_off().filter(|_| !leg.met) {
        Some(SendFailure::Undelivered(Undelivered::NotAllowed)) => end(EndReason::Internal, By::Me),
        Some(
            SendFailure::NoConnection
            | SendFailure::Undelivered(Undelivered::NotHere | Undelivered::HomeUnreachable),
        ) => end(EndReason::Offline, By::Network),
        Some(SendFailure::Unlinked | SendFailure::Undelivered(Undelivered::TooMuch)) | None => None,
    }
}

/// Why a call whose paths are all dead ends now, if it does.
fn interrupted(leg: &mut Leg, cx: &mut Cx<'_>, since: Instant) -> Option<EndReason> {
    let is_over = since + patience::INTERRUPTED <= cx.now;
    match leg.probe {
        Probe::Answered if is_over || leg.is_hopeless() => Some(EndReason::PathLost),
        Probe::Unanswered if leg.gone || !leg.is_answered() => Some(EndReason::PeerVanished),
        Probe::No | Probe::Asked { .. } | Probe::Unanswered if is_over => {
            Some(EndReason::PeerVanished)
        }
        Probe::No => {
            leg.ask(cx);
            None
        }
        Probe::Asked { .. } | Probe::Answered | Probe::Unanswered => None,
    }
}

/// Why an answered call came to no voice in time.
fn never_connected(leg: &Leg) -> End {
    let facts = leg.facts();
    let reason = match (leg.waits(), leg.way.cut_off()) {
        (true, Some(SendFailure::Unlinked)) => EndReason::SignalingLost,
        (true, _) => EndReason::PeerVanished,
        (false, _) => EndReason::NoPath,
    };
    End { reason, by: By::Network, facts }
}
