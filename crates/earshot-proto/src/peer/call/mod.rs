//! Calls: from a name to voice, and to an end that says why. DESIGN 2.10; lecture, slide 32.
//!
//! [`Calls`] is a machine inside the peer: it decides, the peer seals, sends and locates for it. It
//! is given commands, what was located, opened signals, how sent ones fared, and what path and
//! voice report; it gives [`CallsOutput`]s. One call at a time: a second caller hears *busy*.
//!
//! | file | what it is for |
//! |---|---|
//! | `port` | what goes in and comes out |
//! | [`signaling`] | the lecture's three cases as one pure function |
//! | `one` | the states of one call |
//! | `leg` | one call towards one device |
//! | `leg_path` | one path of the voice to one device |
//! | `paths` | all of them: which the voice goes over, and what takes its place |
//! | `making` | what the next path is made of, and which relay it goes through |
//! | `way` | by which case signals go to a device, and what follows when it fails |
//! | `dialog` | signals numbered, repeated until heard, taken in order |
//! | `farewell` | ended calls, remembered to answer what comes late |
//! | [`patience`] | how long each thing may take |
//! | [`reason`] | why a call ended |
//! | [`view`] | a call as its owner sees it |
//!
//! **Addresses.** Whoever calls, or is called by, somebody who is no buddy of theirs, or hides its
//! address, never goes straight and opens its path for relayed candidates only, for the whole call:
//! it shows no address, before or after the call is accepted.
//!
//! Invariants: each call that was shown ends once, with a reason; after an end nothing of it is
//! left but a bounded memory; every state has a deadline except talking, which lives as long as its
//! path.

use std::collections::VecDeque;
use std::time::Instant;

use crate::entropy::Stream;
use crate::ids::{CallId, NetworkId, UserName};
use crate::port::{PathEvent, PathId, PathPolicy, VoiceEvent};
use crate::wire::forward::Address;
use crate::wire::sealed::call::{Signal, SignalBody, SignalledEnd};

use farewell::Farewells;
use leg::{Leg, Offer};
use one::One;
use reason::{By, EndFacts, EndReason, NotLocated};
use signaling::{Side, SignalingCase};
use view::{CallView, PathView};

mod dialog;
mod farewell;
mod leg;
mod leg_path;
mod making;
mod one;
mod paths;
pub mod patience;
mod port;
pub mod reason;
pub mod signaling;
#[cfg(test)]
mod tests;
pub mod view;
mod way;

pub use port::{
    Callee, Callers, CallsOutput, Delivery, Me, Post, Refused, Sender, Standing, Surroundings,
};

/// What every part of the machine works with during one input.
pub(crate) struct Cx<'a> {
    now: Instant,
    me: &'a Me,
    network: &'a NetworkId,
    around: &'a Surroundings,
    secrets: &'a mut Stream,
    next_path: &'a mut u32,
    closed: &'a mut Vec<Leg>,
    out: &'a mut VecDeque<CallsOutput>,
}

/// The calls of one device.
#[derive(Debug)]
pub struct Calls {
    me: Me,
    network: NetworkId,
    around: Surroundings,
    secrets: Stream,
    next_path: u32,
    current: Option<One>,
    /// Legs closed during this input, on their way to the farewells.
    closed: Vec<Leg>,
    farewells: Farewells,
    out: VecDeque<CallsOutput>,
}

/// Lends everything but the current call and the farewells.
macro_rules! cx {
    ($self:ident, $now:expr) => {
        Cx {
            now: $now,
            me: &$self.me,
            network: &$self.network,
            around: &$self.around,
            secrets: &mut $self.secrets,
            next_path: &mut $self.next_path,
            closed: &mut $self.closed,
            out: &mut $self.out,
        }
    };
}

impl Calls {
    /// No calls yet. `secrets` is a stream of its own, split off the peer's; paths are numbered
    /// from `first_path` on.
    #[must_use]
    pub fn new(
        me: Me,
        network: NetworkId,
        around: Surroundings,
        secrets: Stream,
        first_path: u32,
    ) -> Self {
        Self {
            me,
            network,
            around,
            secrets,
            next_path: first_path,
            current: None,
            closed: Vec::new(),
            farewells: Farewells::default(),
            out: VecDeque::new(),
        }
    }

    /// The number of the next path.
    #[must_use]
    pub const fn next_path(&self) -> u32 {
        self.next_path
    }

    /// The call under way, if there is one.
    #[must_use]
    pub fn current(&self) -> Option<CallView> {
        self.current.as_ref().map(|one| one.view())
    }

    /// The paths of the call under way, those that are gone first; none where it is another call.
    #[must_use]
    pub fn paths(&self, call: CallId) -> Option<Vec<PathView>> {
        self.current.as_ref().filter(|one| one.id() == call).map(One::paths)
    }

    /// Calls a user.
    ///
    /// # Errors
    /// [`Refused::InCall`], [`Refused::Yourself`].
    pub fn start(
        &mut self,
        now: Instant,
        to: UserName,
        path: PathPolicy,
    ) -> Result<CallId, Refused> {
        if let Some(one) = &self.current {
            return Err(Refused::InCall { call: one.id() });
        }
        if to == self.me.address.user {
            return Err(Refused::Yourself);
        }
        let id = CallId(self.secrets.bytes());
        self.current = Some(One::start(&mut cx!(self, now), id, to, path));
        Ok(id)
    }

    /// Answers a call.
    ///
    /// # Errors
    /// [`Refused::NoSuchCall`], [`Refused::NotNow`] unless it rings here.
    pub fn accept(&mut self, now: Instant, call: CallId) -> Result<(), Refused> {
        self.order(now, call, One::accept)
    }

    /// Does not want a call.
    ///
    /// # Errors
    /// [`Refused::NoSuchCall`], [`Refused::NotNow`] unless it rings here.
    pub fn decline(&mut self, now: Instant, call: CallId) -> Result<(), Refused> {
        self.order(now, call, One::decline)
    }

    /// Ends a call, whatever its state: one that rings here is declined, one not answered yet is
    /// cancelled.
    ///
    /// # Errors
    /// [`Refused::NoSuchCall`].
    pub fn hang_up(&mut self, now: Instant, call: CallId) -> Result<(), Refused> {
        self.order(now, call, One::hang_up)
    }

    /// Holds a call. Holding twice is holding.
    ///
    /// # Errors
    /// [`Refused::NoSuchCall`], [`Refused::NotNow`] before voice flows.
    pub fn hold(&mut self, now: Instant, call: CallId) -> Result<(), Refused> {
        self.order(now, call, |one, cx| one.hold(cx, true))
    }

    /// Takes a call up again; it stays held while the other side holds it.
    ///
    /// # Errors
    /// [`Refused::NoSuchCall`], [`Refused::NotNow`] before voice flows.
    pub fn resume(&mut self, now: Instant, call: CallId) -> Result<(), Refused> {
        self.order(now, call, |one, cx| one.hold(cx, false))
    }

    /// Sends silence instead of our voice. Nobody is told.
    ///
    /// # Errors
    /// [`Refused::NoSuchCall`].
    pub fn mute(&mut self, now: Instant, call: CallId) -> Result<(), Refused> {
        self.order(now, call, |one, cx| one.mute(cx, true))
    }

    /// Sends our voice again.
    ///
    /// # Errors
    /// [`Refused::NoSuchCall`].
    pub fn unmute(&mut self, now: Instant, call: CallId) -> Result<(), Refused> {
        self.order(now, call, |one, cx| one.mute(cx, false))
    }

    fn order(
        &mut self,
        now: Instant,
        call: CallId,
        act: impl FnOnce(&mut One, &mut Cx<'_>) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let Some(one) = self.current.as_mut().filter(|one| one.id() == call) else {
            return Err(Refused::NoSuchCall);
        };
        let result = act(one, &mut cx!(self, now));
        self.with_current(now, |_, _| {});
        result
    }

    /// Lets something happen to the current call, then lets go of it if it is over.
    fn with_current(&mut self, now: Instant, act: impl FnOnce(&mut One, &mut Cx<'_>)) {
        let Some(one) = &mut self.current else { return };
        let cx = &mut cx!(self, now);
        act(one, cx);
        one.review(cx);
        if one.is_over() {
            self.current = None;
        }
        self.part(now);
    }

    fn part(&mut self, now: Instant) {
        for leg in self.closed.drain(..) {
            self.farewells.push(now, leg, &mut self.out);
        }
    }

    /// The callee's devices were found, or not.
    pub fn handle_located(
        &mut self,
        now: Instant,
        call: CallId,
        found: Result<Vec<Callee>, NotLocated>,
    ) {
        if self.current.as_ref().is_some_and(|one| one.id() == call) {
            return self.with_current(now, |one, cx| one.handle_located(cx, found));
        }
        let found = found.unwrap_or_default();
        self.farewells.handle_located(&mut cx!(self, now), call, &found);
    }

    /// A signal came and its envelope was opened.
    pub fn handle_signal(&mut self, now: Instant, from: &Sender, signal: &Signal) {
        if self.current.as_ref().is_some_and(|one| one.has_leg(from, signal.call)) {
            return self.with_current(now, |one, cx| one.handle_signal(cx, from, signal));
        }
        if self.farewells.handle_signal(&mut cx!(self, now), from, signal) {
            return;
        }
        match &signal.body {
            SignalBody::Offer { contribution, home, relay_only } if signal.number == 1 => {
                let (home, relay_only) = (*home, *relay_only);
                let offer = Offer { contribution: *contribution, home, relay_only };
                self.handle_offer(now, from, signal, &offer);
            }
            SignalBody::End { .. } => self.answer_unknown(from, signal, SignalBody::Heard),
            SignalBody::Probe => {
                let reason = SignalledEnd::Unknown;
                self.answer_unknown(from, signal, SignalBody::End { reason });
            }
            // What belongs to no call of ours is not heard: before its offer it comes again, after
            // all it is late.
            SignalBody::Offer { .. }
            | SignalBody::Ringing { .. }
            | SignalBody::Ice { .. }
            | SignalBody::Candidates { .. }
            | SignalBody::Accept
            | SignalBody::Heard
            | SignalBody::Hold
            | SignalBody::Resume
            | SignalBody::Moved { .. } => {}
        }
    }

    /// Answers about a call that is not known here, without remembering anything. The way back is
    /// the one it came; through both super-peers there is none without knowing the other's, and the
    /// asker's patience ends instead.
    fn answer_unknown(&mut self, from: &Sender, to: &Signal, body: SignalBody) {
        if self.is_silent_to(from.standing) {
            return;
        }
        let Some(route) = signaling::route(to.case, Side::Callee, None, None) else { return };
        let number = u32::from(!matches!(body, SignalBody::Heard));
        let signal = Signal { call: to.call, number, heard: to.number, case: to.case, body };
        self.out.push_back(CallsOutput::Send(Box::new(Post {
            to: from.address.clone(),
            identity: from.identity,
            agree: from.agree,
            route,
            signal,
        })));
    }

    /// Whoever is blocked, or a stranger where buddies only may ring, meets silence.
    fn is_silent_to(&self, standing: Standing) -> bool {
        match (standing, self.around.callers) {
            (Standing::Blocked, _) | (Standing::Stranger, Callers::Buddies) => true,
            (Standing::Buddy | Standing::FormerBuddy, _) | (_, Callers::Everybody) => false,
        }
    }

    fn handle_offer(&mut self, now: Instant, from: &Sender, signal: &Signal, offer: &Offer) {
        if self.is_silent_to(from.standing) {
            return;
        }
        if (from.standing, self.around.callers) == (Standing::FormerBuddy, Callers::Buddies) {
            return self.refuse(now, from, signal, offer, EndReason::NotBuddy);
        }
        if signaling::route(signal.case, Side::Callee, None, offer.home).is_none() {
            return; // It could not be answered.
        }
        let Some(one) = &self.current else {
            let one = One::ring(&mut cx!(self, now), from, signal, offer);
            self.current = Some(one);
            return self.with_current(now, |_, _| {});
        };
        if one.calls(&from.address.user) {
            // Both called: the lower id gives way. Ours stays: theirs is not heard, and given up at
            // their side.
            if signal.call > one.id() {
                self.cross(now, from, signal, offer);
            }
        } else if one.is_with(&from.address) {
            // That device cannot hold two calls: has it lost this one? Its offer is not heard
            // before we know.
            self.with_current(now, One::ask);
        } else {
            self.refuse(now, from, signal, offer, EndReason::Busy);
        }
    }

    /// Answers a call without ringing, in place of our own to the same user.
    fn cross(&mut self, now: Instant, from: &Sender, signal: &Signal, offer: &Offer) {
        let Some(mut own) = self.current.take() else { return };
        let cx = &mut cx!(self, now);
        let mut theirs = One::join(cx, from, signal, offer, &own);
        theirs.review(cx);
        let facts = EndFacts { continued_as: Some(signal.call), ..EndFacts::default() };
        own.finish(cx, EndReason::AnsweredElsewhere, By::Me, facts);
        own.review(cx);
        self.current = Some(theirs).filter(|one| !one.is_over());
        self.part(now);
    }

    /// Refuses an offer while another call goes on, or for good; it stays in the log.
    fn refuse(
        &mut self,
        now: Instant,
        from: &Sender,
        signal: &Signal,
        offer: &Offer,
        reason: EndReason,
    ) {
        One::refuse(&mut cx!(self, now), from, signal, offer, reason);
        self.part(now);
    }

    /// Says how a sent signal fared.
    pub fn handle_delivery(
        &mut self,
        now: Instant,
        call: CallId,
        to: &Address,
        case: SignalingCase,
        delivery: Delivery,
    ) {
        if self.current.as_ref().is_some_and(|one| one.id() == call && one.has_leg_to(to)) {
            return self.with_current(now, |one, cx| one.handle_delivery(cx, to, case, delivery));
        }
        self.farewells.handle_delivery(&mut cx!(self, now), call, to, case, delivery);
    }

    /// Our place in the network changed: another home, none, other relays, another reachability.
    pub fn handle_surroundings(&mut self, now: Instant, around: Surroundings) {
        self.around = around;
        self.farewells.handle_home(&mut cx!(self, now));
        self.with_current(now, One::handle_home);
    }

    /// The addresses of this computer changed: paths on new ones are made before the old ones are
    /// given up.
    pub fn handle_network(&mut self, now: Instant) {
        self.with_current(now, |one, _| one.handle_network(now));
    }

    /// A router forwards a port of ours that it did not forward before.
    pub fn handle_mapped(&mut self, now: Instant) {
        self.with_current(now, |one, _| one.handle_mapped());
    }

    /// A super-peer says that this device is gone: if it takes part in a call, it is asked.
    pub fn handle_gone(&mut self, now: Instant, who: &Address) {
        self.with_current(now, |one, cx| one.handle_gone(cx, who));
    }

    /// The owner blocked this user.
    pub fn handle_blocked(&mut self, now: Instant, user: &UserName) {
        self.with_current(now, |one, cx| {
            if one.peer() == user {
                one.finish(cx, EndReason::Blocked, By::Me, EndFacts::default());
            }
        });
    }

    /// Something happened on a path of a call.
    pub fn handle_path(&mut self, now: Instant, path: PathId, event: PathEvent) {
        self.with_current(now, |one, cx| one.handle_path(cx, path, event));
    }

    /// The voice of a call reports.
    pub fn handle_voice(&mut self, now: Instant, call: CallId, event: VoiceEvent) {
        self.with_current(now, |one, cx| {
            if one.id() == call {
                one.handle_voice(cx, event);
            }
        });
    }

    /// The deadline of [`Self::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.farewells.handle_timeout(&mut cx!(self, now));
        self.with_current(now, One::handle_timeout);
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let current = self.current.as_ref().and_then(One::due);
        current.into_iter().chain(self.farewells.due()).min()
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<CallsOutput> {
        self.out.pop_front()
    }
}
