//! One call: its states, what moves it from one to the next, and how it ends.
//!
//! Source: DESIGN 2.10. Every input is taken in by the legs as facts; [`One::review`] then draws
//! the conclusions and shows the call when it looks different. Invariant: [`State::Over`] is
//! entered once, through [`One::finish`].

use std::time::Instant;

use super::leg::{Leg, Offer};
use super::patience;
use super::reason::{self, By, End, EndFacts, EndReason, NotLocated};
use super::signaling::{Privacy, SignalingCase};
use super::view::{CallView, Direction, HeldBy};
use super::{Callee, CallsOutput, Cx, Delivery, Refused, Sender};
use crate::ids::{CallId, UserName};
use crate::port::{PathEvent, PathId, PathPolicy, VoiceEvent, VoiceOrder, VoiceRoute};
use crate::wire::certificate::DEVICES_MAX;
use crate::wire::forward::Address;
use crate::wire::sealed::call::{Signal, SignalBody, SignalledEnd};

mod conclusions;
mod picture;

/// Where a call stands, each state with what it needs. While it is called there is a leg for each
/// of the callee's devices; from an answer on, and where it rings, there is one; before and after
/// there is none.
#[derive(Debug)]
enum State {
    /// The callee's devices are looked for.
    Locating { give_up: Instant },
    /// They are called; some may ring.
    Calling { called: usize, give_up: Instant, refusal: Option<End> },
    /// It rings here.
    Ringing { give_up: Instant },
    /// Answered; the path is being made.
    Connecting { give_up: Instant },
    /// Voice flows, or is held.
    Talking,
    /// It is over.
    Over(End),
}

/// One call.
#[derive(Debug)]
pub(super) struct One {
    id: CallId,
    peer: UserName,
    direction: Direction,
    policy: PathPolicy,
    state: State,
    legs: Vec<Leg>,
    muted: bool,
    held: HeldBy,
    voice: bool,
    started: Instant,
    rings: Option<Instant>,
    joined: Option<Instant>,
    answered: Option<Instant>,
    since: Instant,
    /// Over which paths the voice was told to go.
    route: VoiceRoute,
    shown: Option<CallView>,
}

impl One {
    fn new(cx: &Cx<'_>, id: CallId, peer: UserName, direction: Direction, state: State) -> Self {
        Self {
            id,
            peer,
            direction,
            policy: cx.around.addresses,
            state,
            legs: Vec::new(),
            muted: false,
            held: HeldBy::default(),
            voice: false,
            started: cx.now,
            rings: None,
            joined: None,
            answered: None,
            since: cx.now,
            route: VoiceRoute::default(),
            shown: None,
        }
    }

    /// We call somebody.
    pub(super) fn start(cx: &mut Cx<'_>, id: CallId, to: UserName, path: PathPolicy) -> Self {
        let state = State::Locating { give_up: cx.now + patience::LOCATE };
        let mut one = Self::new(cx, id, to.clone(), Direction::Out, state);
        if path == PathPolicy::RelayOnly {
            one.policy = path;
        }
        cx.out.push_back(CallsOutput::Locate { call: id, user: to });
        one.show(cx);
        one
    }

    /// Somebody calls us: it rings, unless the keys are refused.
    pub(super) fn ring(cx: &mut Cx<'_>, from: &Sender, signal: &Signal, offer: &Offer) -> Self {
        let mut one = Self::offered(cx, from, signal, offer);
        one.take_offer(cx, offer);
        one
    }

    /// Somebody whom we call calls us: answered without a ring.
    pub(super) fn join(
        cx: &mut Cx<'_>,
        from: &Sender,
        signal: &Signal,
        offer: &Offer,
        own: &Self,
    ) -> Self {
        let mut one = Self::offered(cx, from, signal, offer);
        one.muted = own.muted;
        if own.policy == PathPolicy::RelayOnly {
            one.policy = own.policy;
            one.legs.iter_mut().for_each(|leg| leg.privacy = Privacy::Hidden);
        }
        one.take_offer(cx, offer);
        one.join_ringing(cx);
        one
    }

    /// Somebody calls us and is refused at once.
    pub(super) fn refuse(
        cx: &mut Cx<'_>,
        from: &Sender,
        signal: &Signal,
        offer: &Offer,
        reason: EndReason,
    ) {
        let mut one = Self::offered(cx, from, signal, offer);
        one.finish(cx, reason, By::Me, EndFacts::default());
        one.review(cx);
    }

    fn offered(cx: &mut Cx<'_>, from: &Sender, signal: &Signal, offer: &Offer) -> Self {
        let state = State::Ringing { give_up: cx.now + patience::RING + patience::RING_SLACK };
        let peer = from.address.user.clone();
        let mut one = Self::new(cx, signal.call, peer, Direction::In, state);
        one.legs.push(Leg::to_caller(cx, from, signal, offer));
        one
    }

    fn take_offer(&mut self, cx: &mut Cx<'_>, offer: &Offer) {
        let [leg] = &mut self.legs[..] else { return };
        let contribution = leg.contribution().expect("a new leg has not used its secret");
        if !leg.agree(cx, &offer.contribution) {
            return self.finish(cx, EndReason::KeysRefused, By::Me, EndFacts::default());
        }
        leg.say(cx, SignalBody::Ringing { contribution });
        leg.open_paths(cx);
        self.begin_ring(cx);
    }

    fn begin_ring(&mut self, cx: &mut Cx<'_>) {
        if self.rings.is_none() {
            self.rings = Some(cx.now);
            self.voice = true;
            cx.out.push_back(CallsOutput::Voice(self.id, VoiceOrder::Prepare));
        }
    }

    pub(super) const fn id(&self) -> CallId {
        self.id
    }

    pub(super) const fn peer(&self) -> &UserName {
        &self.peer
    }

    pub(super) const fn is_over(&self) -> bool {
        matches!(self.state, State::Over(_))
    }

    /// Whether we call this user and nobody has answered.
    pub(super) fn calls(&self, user: &UserName) -> bool {
        matches!(self.state, State::Locating { .. } | State::Calling { .. }) && self.peer == *user
    }

    /// Whether the call is with this very device.
    pub(super) fn is_with(&self, device: &Address) -> bool {
        match &self.state {
            State::Ringing { .. } | State::Connecting { .. } | State::Talking => {
                self.has_leg_to(device)
            }
            State::Locating { .. } | State::Calling { .. } | State::Over(_) => false,
        }
    }

    pub(super) fn has_leg(&self, from: &Sender, call: CallId) -> bool {
        self.id == call && self.legs.iter().any(|leg| leg.is_with(from))
    }

    pub(super) fn has_leg_to(&self, to: &Address) -> bool {
        self.legs.iter().any(|leg| leg.to == *to)
    }

    // Orders of the owner.

    pub(super) fn accept(&mut self, cx: &mut Cx<'_>) -> Result<(), Refused> {
        if !matches!(self.state, State::Ringing { .. }) {
            return Err(self.not_now());
        }
        self.join_ringing(cx);
        Ok(())
    }

    fn join_ringing(&mut self, cx: &mut Cx<'_>) {
        if matches!(self.state, State::Ringing { .. }) {
            self.legs.iter_mut().for_each(|leg| {
                leg.say(cx, SignalBody::Accept);
            });
            self.connect(cx);
        }
    }

    fn connect(&mut self, cx: &Cx<'_>) {
        self.joined = Some(cx.now);
        self.legs.iter_mut().for_each(Leg::answered);
        self.state = State::Connecting { give_up: cx.now + patience::CONNECT };
    }

    pub(super) fn decline(&mut self, cx: &mut Cx<'_>) -> Result<(), Refused> {
        if !matches!(self.state, State::Ringing { .. }) {
            return Err(self.not_now());
        }
        self.finish(cx, EndReason::Declined, By::Me, EndFacts::default());
        Ok(())
    }

    pub(super) fn hang_up(&mut self, cx: &mut Cx<'_>) -> Result<(), Refused> {
        let reason = match &self.state {
            State::Locating { .. } | State::Calling { .. } => EndReason::Cancelled,
            State::Ringing { .. } => EndReason::Declined,
            State::Connecting { .. } | State::Talking => EndReason::HungUp,
            State::Over(_) => return Err(self.not_now()),
        };
        self.finish(cx, reason, By::Me, EndFacts::default());
        Ok(())
    }

    pub(super) fn hold(&mut self, cx: &mut Cx<'_>, held: bool) -> Result<(), Refused> {
        if !matches!(self.state, State::Talking) {
            return Err(self.not_now());
        }
        self.legs.iter_mut().for_each(|leg| leg.hold(held));
        self.held_now(cx, HeldBy { me: held, ..self.held });
        Ok(())
    }

    fn held_now(&mut self, cx: &mut Cx<'_>, held: HeldBy) {
        let (before, after) = (self.held.anybody(), held.anybody());
        self.held = held;
        if before == after || !matches!(self.state, State::Talking) {
            return;
        }
        let order = if after { VoiceOrder::Hold } else { VoiceOrder::Resume };
        cx.out.push_back(CallsOutput::Voice(self.id, order));
    }

    pub(super) fn mute(&mut self, cx: &mut Cx<'_>, muted: bool) -> Result<(), Refused> {
        if self.muted != muted && matches!(self.state, State::Talking) {
            let order = if muted { VoiceOrder::Mute } else { VoiceOrder::Unmute };
            cx.out.push_back(CallsOutput::Voice(self.id, order));
        }
        self.muted = muted;
        Ok(())
    }

    fn not_now(&self) -> Refused {
        Refused::NotNow { state: self.call_state() }
    }

    // What happens.

    pub(super) fn handle_located(
        &mut self,
        cx: &mut Cx<'_>,
        found: Result<Vec<Callee>, NotLocated>,
    ) {
        if !matches!(self.state, State::Locating { .. }) {
            return self.handle_relocated(cx, found);
        }
        let callees = match found {
            Ok(callees) => callees,
            Err(why) => {
                let End { reason, by, facts } = why.end();
                return self.finish(cx, reason, by, facts);
            }
        };
        let hide = self.policy == PathPolicy::RelayOnly;
        let peer = &self.peer;
        let callees = callees.into_iter().filter(|callee| callee.address.user == *peer);
        for callee in callees.take(DEVICES_MAX) {
            let mut leg = Leg::to_callee(cx, self.id, callee, hide);
            let contribution = leg.contribution().expect("a new leg has not used its secret");
            let home = cx.around.home;
            leg.say(cx, SignalBody::Offer { contribution, home, relay_only: hide });
            self.legs.push(leg);
        }
        let (called, give_up) = (self.legs.len(), cx.now + patience::OFFER);
        self.state = State::Calling { called, give_up, refusal: None };
    }

    /// What was located in the middle of a call tells where to go on speaking; nothing ends by it.
    fn handle_relocated(&mut self, cx: &mut Cx<'_>, found: Result<Vec<Callee>, NotLocated>) {
        let found = found.unwrap_or_default();
        self.legs.iter_mut().for_each(|leg| leg.handle_located(cx, &found));
    }

    pub(super) fn handle_signal(&mut self, cx: &mut Cx<'_>, from: &Sender, signal: &Signal) {
        let Some(leg) = self.legs.iter_mut().find(|leg| leg.is_with(from)) else { return };
        for body in leg.handle_signal(cx, signal) {
            self.take(cx, &from.address, body);
        }
    }

    /// Takes one signal whose turn it is.
    fn take(&mut self, cx: &mut Cx<'_>, from: &Address, body: SignalBody) {
        match body {
            SignalBody::Ringing { contribution } => self.take_ringing(cx, from, &contribution),
            SignalBody::Accept => self.take_accept(cx, from),
            SignalBody::End { reason } => self.take_end(cx, from, reason),
            SignalBody::Hold => self.held_now(cx, HeldBy { them: true, ..self.held }),
            SignalBody::Resume => self.held_now(cx, HeldBy { them: false, ..self.held }),
            SignalBody::Ice { credentials, path, purpose } => {
                let which = (path, purpose);
                self.on_leg(from, |leg| leg.take_credentials(cx, which, &credentials));
            }
            SignalBody::Candidates { candidates, path } => {
                self.on_leg(from, |leg| leg.take_candidates(cx, path, candidates));
            }
            SignalBody::Moved { home } => self.on_leg(from, |leg| leg.take_home(cx, home)),
            // A second offer means nothing; a probe is answered by being heard.
            SignalBody::Offer { .. } | SignalBody::Heard | SignalBody::Probe => {}
        }
    }

    fn on_leg(&mut self, to: &Address, act: impl FnOnce(&mut Leg)) {
        if let Some(leg) = self.legs.iter_mut().find(|leg| leg.to == *to) {
            act(leg);
        }
    }

    fn take_ringing(
        &mut self,
        cx: &mut Cx<'_>,
        from: &Address,
        contribution: &crate::wire::certificate::AgreeKey,
    ) {
        let State::Calling { .. } = &self.state else { return };
        let mut legs = self.legs.iter_mut();
        let Some(leg) = legs.find(|leg| leg.to == *from && !leg.rang) else { return };
        leg.rang = true;
        if leg.agree(cx, contribution) {
            leg.open_paths(cx);
            self.begin_ring(cx);
        }
    }

    fn take_accept(&mut self, cx: &mut Cx<'_>, from: &Address) {
        let State::Calling { .. } = &self.state else { return };
        let mut legs = self.legs.iter();
        let Some(at) = legs.position(|leg| leg.to == *from && leg.keys.is_some()) else { return };
        let leg = self.legs.swap_remove(at);
        for mut other in std::mem::replace(&mut self.legs, vec![leg]) {
            other.close(cx, Some(SignalledEnd::AnsweredElsewhere));
            cx.closed.push(other);
        }
        self.connect(cx);
    }

    fn take_end(&mut self, cx: &mut Cx<'_>, from: &Address, said: SignalledEnd) {
        let (reason, by) = reason::heard(said, self.direction);
        let one_of_many =
            matches!(self.state, State::Calling { .. }) && said != SignalledEnd::Declined;
        let Some(mut leg) = self.remove_leg(from) else { return };
        // What both sides tried is known here as well as there.
        let facts = if matches!(reason, EndReason::NoPath | EndReason::PathLost) {
            leg.facts()
        } else {
            EndFacts { device: Some(from.device), ..EndFacts::default() }
        };
        leg.close(cx, None);
        cx.closed.push(leg);
        if one_of_many {
            self.remember_refusal(End { reason, by, facts });
        } else {
            self.finish(cx, reason, by, facts);
        }
    }

    fn remove_leg(&mut self, to: &Address) -> Option<Leg> {
        let at = self.legs.iter().position(|leg| leg.to == *to)?;
        Some(self.legs.swap_remove(at))
    }

    /// Of several devices' refusals the first one counts that is more than not being there.
    fn remember_refusal(&mut self, end: End) {
        let State::Calling { refusal, .. } = &mut self.state else { return };
        let there = |end: &End| end.reason != EndReason::Offline;
        if refusal.as_ref().is_none_or(|first| !there(first) && there(&end)) {
            *refusal = Some(end);
        }
    }

    pub(super) fn handle_delivery(
        &mut self,
        cx: &mut Cx<'_>,
        to: &Address,
        case: SignalingCase,
        delivery: Delivery,
    ) {
        self.on_leg(to, |leg| leg.handle_delivery(cx, case, delivery));
    }

    pub(super) fn handle_path(&mut self, cx: &mut Cx<'_>, id: PathId, event: PathEvent) {
        if let Some(leg) = self.legs.iter_mut().find(|leg| leg.has_path(id)) {
            leg.handle_path(cx, id, event);
        }
    }

    pub(super) fn handle_voice(&mut self, cx: &mut Cx<'_>, event: VoiceEvent) {
        match event {
            VoiceEvent::Failed => {
                self.finish(cx, EndReason::AudioFailed, By::Me, EndFacts::default());
            }
        }
    }

    /// Our own addresses changed.
    pub(super) fn handle_network(&mut self, now: Instant) {
        self.legs.iter_mut().for_each(|leg| leg.renew_paths(now));
    }

    /// A router forwards a port of ours.
    pub(super) fn handle_mapped(&mut self) {
        self.legs.iter_mut().for_each(Leg::try_direct);
    }

    pub(super) fn handle_home(&mut self, cx: &mut Cx<'_>) {
        self.legs.iter_mut().for_each(|leg| leg.handle_home(cx));
    }

    pub(super) fn handle_gone(&mut self, cx: &mut Cx<'_>, who: &Address) {
        self.legs.iter_mut().filter(|leg| leg.to == *who).for_each(|leg| leg.handle_gone(cx));
    }

    /// Asks the other device whether it still has the call.
    pub(super) fn ask(&mut self, cx: &mut Cx<'_>) {
        self.legs.iter_mut().for_each(|leg| leg.ask(cx));
    }

    pub(super) fn handle_timeout(&mut self, cx: &mut Cx<'_>) {
        self.legs.iter_mut().for_each(|leg| leg.handle_timeout(cx));
    }

    pub(super) fn due(&self) -> Option<Instant> {
        let own = match &self.state {
            State::Locating { give_up }
            | State::Ringing { give_up }
            | State::Connecting { give_up } => Some(*give_up),
            State::Calling { give_up, .. } => {
                Some(self.rings.map_or(*give_up, |rings| rings + patience::RING))
            }
            State::Talking | State::Over(_) => None,
        };
        self.legs.iter().filter_map(Leg::due).chain(own).min()
    }
}
