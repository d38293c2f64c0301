//! One call towards one device of the other user: the way signals take to it, what is still to be
//! heard by it, and the path of the voice to it.
//!
//! A leg knows facts (rung, cut off, path up, path down, probed in vain); what follows from them
//! for the call is decided by [`super::one`]. Invariant: once a leg was closed it holds no key, no
//! path, and says nothing new.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::dialog::Dialog;
use super::paths::{PathState, Paths};
use super::patience;
use super::reason::EndFacts;
use super::signaling::{self, Privacy, Side, SignalingCase};
use super::way::Way;
use super::{Callee, CallsOutput, Cx, Delivery, Post, Sender};
use crate::ids::CallId;
use crate::port::{PathEvent, PathId, PathPolicy, VoiceRoute};
use crate::secure::call_keys::{Contribution, Parties, Party};
use crate::secure::voice_seal::VoiceKeys;
use crate::wire::bounded::{List, Text};
use crate::wire::certificate::{AgreeKey, VerifyKey};
use crate::wire::directory::NodeEntry;
use crate::wire::forward::Address;
use crate::wire::sealed::call::{
    CANDIDATE_MAX, CANDIDATES_MAX, IceCredentials, PathPurpose, Signal, SignalBody, SignalledEnd,
};

/// How often a signal is repeated by one case before the next one is tried: silence is a failure
/// too. Our choice: with the waits of [`super::dialog`] that is 1.5 s, longer than any round trip,
/// shorter than a caller's patience. While the voice is interrupted it is not repeated by the same.
const REPEATS_PER_CASE: u32 = 1;
type Candidates = List<Text<CANDIDATE_MAX>, CANDIDATES_MAX>;

/// Whether the other device was asked if it still has the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// It was not.
    No,
    /// It was, and may answer until then.
    Asked { deadline: Instant },
    /// It has.
    Answered,
    /// It kept silent.
    Unanswered,
}

/// One call towards one device.
pub(super) struct Leg {
    pub(super) call: CallId,
    pub(super) to: Address,
    identity: VerifyKey,
    agree: AgreeKey,
    side: Side,
    pub(super) privacy: Privacy,
    pub(super) way: Way,
    dialog: Dialog,
    secret: Option<Contribution>,
    pub(super) keys: Option<Box<VoiceKeys>>,
    /// The other side's contribution is no key.
    pub(super) keys_refused: bool,
    pub(super) paths: Option<Paths>,
    /// Anything of ours was heard there, or anything came from there.
    pub(super) met: bool,
    pub(super) rang: bool,
    pub(super) probe: Probe,
    /// A super-peer says that the device is gone, and nothing has come from it since.
    pub(super) gone: bool,
    /// Number of the last probe said; one is under way at a time.
    asked: u32,
    hold: Told<bool>,
    our_home: Told<Option<NodeEntry>>,
    /// The last search for it.
    search: Option<Search>,
}

/// Something the other side is kept informed of; one signal about it is under way at a time.
#[derive(Debug)]
struct Told<T> {
    said: T,
    now: T,
}

/// A search for a device that is no longer where it was.
#[derive(Clone, Copy, Debug)]
struct Search {
    /// When the next may begin.
    again: Instant,
    /// How long that is after this one.
    wait: Duration,
}

impl Leg {
    /// A leg towards a device that we call.
    pub(super) fn to_callee(cx: &mut Cx<'_>, call: CallId, callee: Callee, hide: bool) -> Self {
        let hide = hide || !callee.standing.is_buddy();
        let privacy = if hide { Privacy::Hidden } else { Privacy::Open };
        let case = match (callee.near, privacy) {
            (Some(_), Privacy::Open) => SignalingCase::Direct,
            (_, privacy) => signaling::first(cx.around.reachability, callee.reachability, privacy),
        };
        Self {
            call,
            to: callee.address,
            identity: callee.identity,
            agree: callee.agree,
            side: Side::Caller,
            privacy,
            way: Way::to_callee(case, callee.home, callee.near.or(callee.direct)),
            dialog: Dialog::default(),
            secret: Some(Contribution::draw(cx.secrets)),
            keys: None,
            keys_refused: false,
            paths: None,
            met: false,
            rang: false,
            probe: Probe::No,
            gone: false,
            asked: 0,
            hold: Told { said: false, now: false },
            our_home: Told { said: cx.around.home, now: cx.around.home },
            search: None,
        }
    }

    /// A leg towards a device that calls us; `first` is its first signal, an offer.
    pub(super) fn to_caller(cx: &mut Cx<'_>, from: &Sender, first: &Signal, offer: &Offer) -> Self {
        let hide = offer.relay_only || !from.standing.is_buddy();
        let hide = hide || cx.around.addresses == PathPolicy::RelayOnly;
        let mut leg = Self {
            call: first.call,
            to: from.address.clone(),
            identity: from.identity,
            agree: from.agree,
            side: Side::Callee,
            privacy: if hide { Privacy::Hidden } else { Privacy::Open },
            way: Way::to_caller(first.case, offer.home),
            dialog: Dialog::default(),
            secret: Some(Contribution::draw(cx.secrets)),
            keys: None,
            keys_refused: false,
            paths: None,
            met: true,
            rang: true,
            probe: Probe::No,
            gone: false,
            asked: 0,
            hold: Told { said: false, now: false },
            our_home: Told { said: cx.around.home, now: cx.around.home },
            search: None,
        };
        leg.dialog.take(first.number, &first.body);
        leg
    }

    /// Whether a signal comes from the device (and the person) of this leg.
    pub(super) fn is_with(&self, from: &Sender) -> bool {
        self.is_at(&from.address, &from.identity)
    }

    pub(super) fn is_at(&self, device: &Address, identity: &VerifyKey) -> bool {
        self.to == *device && self.identity == *identity
    }

    pub(super) fn case(&self) -> SignalingCase {
        self.way.case()
    }

    /// What is known of this leg when it ends a call.
    pub(super) fn facts(&self) -> EndFacts {
        let paths = self.paths.as_ref().map(Paths::facts);
        EndFacts {
            device: Some(self.to.device),
            signaling: self.way.last_failure(),
            path: paths.and_then(|(down, _, _)| down),
            candidates_here: paths.map(|(_, here, _)| here),
            candidates_there: paths.map(|(_, _, there)| there),
            ..EndFacts::default()
        }
    }

    /// Our contribution to the keys.
    pub(super) fn contribution(&self) -> Option<AgreeKey> {
        self.secret.as_ref().map(Contribution::public)
    }

    /// Makes the keys of the voice from both contributions; ours is used up. False: theirs is
    /// refused.
    pub(super) fn agree(&mut self, cx: &Cx<'_>, theirs: &AgreeKey) -> bool {
        let Some(own) = self.secret.take() else { return self.keys.is_some() };
        let ours = Party {
            contribution: own.public(),
            identity: cx.me.identity,
            device: cx.me.address.device,
            link: cx.me.link.public(),
        };
        let theirs = Party {
            contribution: *theirs,
            identity: self.identity,
            device: self.to.device,
            link: self.agree,
        };
        let (network, call, link) = (*cx.network, self.call, &cx.me.link);
        let keys =
            match self.side {
                Side::Caller => Parties { network, call, caller: ours, callee: theirs }
                    .keys_of_caller(own, link),
                Side::Callee => Parties { network, call, caller: theirs, callee: ours }
                    .keys_of_callee(own, link),
            };
        self.keys = keys.ok().map(Box::new);
        self.keys_refused = self.keys.is_none();
        !self.keys_refused
    }

    /// Says something that must arrive.
    pub(super) fn say(&mut self, cx: &mut Cx<'_>, body: SignalBody) -> u32 {
        let number = self.dialog.say(cx.now, body.clone());
        self.send(cx, number, body);
        number
    }

    fn send(&mut self, cx: &mut Cx<'_>, number: u32, body: SignalBody) {
        let Some(route) = self.way.route() else { return };
        let heard = self.dialog.tell_taken();
        let signal = Signal { call: self.call, number, heard, case: self.way.case(), body };
        cx.out.push_back(CallsOutput::Send(Box::new(Post {
            to: self.to.clone(),
            identity: self.identity,
            agree: self.agree,
            route,
            signal,
        })));
    }

    fn repeat(&mut self, cx: &mut Cx<'_>) {
        for (number, body) in self.dialog.repeat(cx.now) {
            self.send(cx, number, body);
        }
    }

    fn say_again(&mut self, cx: &mut Cx<'_>) {
        for (number, body) in self.dialog.unheard() {
            self.send(cx, number, body);
        }
    }

    /// Takes a signal in; gives what has its turn now, in order.
    pub(super) fn handle_signal(&mut self, cx: &mut Cx<'_>, signal: &Signal) -> Vec<SignalBody> {
        let news = self.dialog.hear(cx.now, signal.heard);
        let turn = self.dialog.take(signal.number, &signal.body);
        if news || !turn.is_empty() {
            self.met = true;
            self.gone = false;
            self.way.works(signal.case);
        }
        let waits = matches!(self.probe, Probe::Asked { .. } | Probe::Unanswered);
        if waits && self.dialog.was_heard(self.asked) {
            self.probe = Probe::Answered;
        }
        turn
    }

    /// The other side's credentials came for a path.
    pub(super) fn take_credentials(
        &mut self,
        cx: &mut Cx<'_>,
        which: (u32, PathPurpose),
        theirs: &IceCredentials,
    ) {
        if let Some(paths) = &mut self.paths {
            paths.handle_credentials(cx, which, theirs);
        }
    }

    /// Candidates of the other side came for a path.
    pub(super) fn take_candidates(&mut self, cx: &mut Cx<'_>, number: u32, theirs: Candidates) {
        if let Some(paths) = &mut self.paths {
            paths.handle_candidates(cx, number, theirs);
        }
    }

    /// The other side is served by another super-peer now: what it has not heard goes there.
    pub(super) fn take_home(&mut self, cx: &mut Cx<'_>, home: NodeEntry) {
        self.way.moved(home);
        self.dialog.renew(cx.now);
        self.say_again(cx);
    }

    /// The user's devices were located anew, perhaps this one among them. Where it has heard us
    /// meanwhile, we know better.
    pub(super) fn handle_located(&mut self, cx: &mut Cx<'_>, found: &[Callee]) {
        let here = |found: &&Callee| self.is_at(&found.address, &found.identity);
        let Some(found) = found.iter().find(here).filter(|_| self.waits()) else { return };
        if self.way.found(found.home, found.near.or(found.direct)) {
            self.dialog.renew(cx.now);
        }
        if self.way.try_again() {
            self.say_again(cx);
        }
    }

    /// Looks for the device where every way to it ended nowhere, ever more seldom until it hears
    /// us: both sides may have moved at the same time.
    pub(super) fn relocate(&mut self, now: Instant, out: &mut VecDeque<CallsOutput>) {
        if !self.waits() {
            self.search = None;
        }
        if self.is_lost() && self.search.is_none_or(|last| last.again <= now) {
            let twice = |last: Search| (last.wait * 2).min(patience::RELOCATE_LONGEST);
            let wait = self.search.map_or(patience::RELOCATE_FIRST, twice);
            self.search = Some(Search { again: now + wait, wait });
            let user = self.to.user.clone();
            out.push_back(CallsOutput::Relocate { call: self.call, user });
        }
    }

    /// Whether every way ended nowhere, and it was there before: it must have moved.
    const fn is_lost(&self) -> bool {
        self.way.ends_nowhere() && self.met
    }

    /// Says how a signal fared that went out by `case`.
    pub(super) fn handle_delivery(
        &mut self,
        cx: &mut Cx<'_>,
        case: SignalingCase,
        delivery: Delivery,
    ) {
        let Delivery::Failed(failure) = delivery else { return };
        if self.dialog.waits() && self.way.failed(case, failure) {
            self.say_again(cx);
        }
    }

    /// We are served by another home now, or by one again.
    pub(super) fn handle_home(&mut self, cx: &mut Cx<'_>) {
        self.our_home.now = cx.around.home;
        self.way.try_again();
        if self.dialog.repeat_at().is_some() {
            self.dialog.renew(cx.now);
            self.say_again(cx);
        }
    }

    /// Opens the first path of the voice.
    pub(super) fn open_paths(&mut self, cx: &mut Cx<'_>) {
        self.paths = Some(Paths::start(cx, self.side, self.privacy));
    }

    pub(super) fn has_path(&self, id: PathId) -> bool {
        self.paths.as_ref().is_some_and(|paths| paths.has(id))
    }

    /// Takes an event of a path of this leg.
    pub(super) fn handle_path(&mut self, cx: &mut Cx<'_>, id: PathId, event: PathEvent) {
        let Some(paths) = &mut self.paths else { return };
        if let Some(body) = paths.handle_event(cx, id, event) {
            self.say(cx, body);
        }
        self.flush_candidates(cx);
    }

    /// Our own addresses changed.
    pub(super) fn renew_paths(&mut self, now: Instant) {
        if let Some(paths) = &mut self.paths {
            paths.renew(now);
        }
    }

    /// The other device may reach us directly now.
    pub(super) fn try_direct(&mut self) {
        if let Some(paths) = &mut self.paths {
            paths.try_direct();
        }
    }

    /// The call is answered.
    pub(super) fn answered(&mut self) {
        if let Some(paths) = &mut self.paths {
            paths.answered();
        }
    }

    fn flush_candidates(&mut self, cx: &mut Cx<'_>) {
        while let Some(body) = self.paths.as_mut().and_then(|paths| paths.due_candidates(cx.now)) {
            self.say(cx, body);
        }
    }

    /// Chooses the path that the voice goes over, and opens what is missing.
    pub(super) fn attend_paths(&mut self, cx: &mut Cx<'_>) {
        let Some(paths) = &mut self.paths else { return };
        let opens = |body: &SignalBody| matches!(body, SignalBody::Ice { .. });
        paths.attend(cx, !self.dialog.waits_for(opens));
        if self.voice_flows() && !matches!(self.probe, Probe::Asked { .. }) {
            self.probe = Probe::No; // An answer from before says nothing about later.
        }
    }

    /// Over which paths the voice goes.
    pub(super) fn voice_route(&self) -> Option<VoiceRoute> {
        self.paths.as_ref().map(Paths::route)
    }

    /// Whether the call was answered.
    pub(super) fn is_answered(&self) -> bool {
        self.paths.as_ref().is_some_and(Paths::is_answered)
    }

    /// Whether fresh paths came to nothing, too.
    pub(super) fn is_hopeless(&self) -> bool {
        self.paths.as_ref().is_some_and(Paths::are_hopeless)
    }

    pub(super) fn path_state(&self) -> PathState {
        self.paths.as_ref().map_or(PathState::Making, Paths::state)
    }

    /// Whether packets of the other device come, as far as is known.
    pub(super) fn voice_flows(&self) -> bool {
        self.path_state() == PathState::Alive
    }

    /// A super-peer says that the device is gone. Where nothing comes from it for a while already,
    /// its network is gone, which may come back; a process that ends is told of at once.
    pub(super) fn handle_gone(&mut self, cx: &mut Cx<'_>) {
        let network_is = match self.path_state() {
            PathState::Interrupted(since) => since + patience::GONE_AT_ONCE <= cx.now,
            PathState::Making | PathState::Alive | PathState::Failed(_) => false,
        };
        self.gone |= !network_is;
        self.ask(cx);
    }

    /// Asks the device whether it still has the call.
    pub(super) fn ask(&mut self, cx: &mut Cx<'_>) {
        if matches!(self.probe, Probe::Asked { .. }) {
            return;
        }
        let asked = self.dialog.waits_for(|body| matches!(body, SignalBody::Probe));
        if !asked {
            self.asked = self.say(cx, SignalBody::Probe);
        }
        self.probe = Probe::Asked { deadline: cx.now + patience::PROBE };
    }

    /// We hold the call, or do not.
    pub(super) fn hold(&mut self, held: bool) {
        self.hold.now = held;
    }

    /// Does what has come due.
    pub(super) fn handle_timeout(&mut self, cx: &mut Cx<'_>) {
        if let Probe::Asked { deadline } = self.probe
            && deadline <= cx.now
        {
            self.probe = Probe::Unanswered;
        }
        if self.dialog.repeat_at().is_some_and(|at| at <= cx.now) {
            let is_urgent = matches!(self.path_state(), PathState::Interrupted(_));
            let by_this_case = if is_urgent { 0 } else { REPEATS_PER_CASE };
            let is_silent = self.dialog.repeats() >= by_this_case;
            if !self.way.try_again() && is_silent {
                self.way.was_silent();
            }
            self.repeat(cx);
        }
        self.flush_candidates(cx);
    }

    /// Says what is still owed: how the other side is held, where we moved, how far it was heard.
    pub(super) fn settle(&mut self, cx: &mut Cx<'_>) {
        let holds = |body: &SignalBody| matches!(body, SignalBody::Hold | SignalBody::Resume);
        if self.hold.said != self.hold.now && !self.dialog.waits_for(holds) {
            self.hold.said = self.hold.now;
            self.say(cx, if self.hold.now { SignalBody::Hold } else { SignalBody::Resume });
        }
        let moved = |body: &SignalBody| matches!(body, SignalBody::Moved { .. });
        if let Some(home) = self.our_home.now
            && self.our_home.said != Some(home)
            && !self.dialog.waits_for(moved)
        {
            self.our_home.said = Some(home);
            self.say(cx, SignalBody::Moved { home });
        }
        if self.dialog.owes() {
            self.send(cx, 0, SignalBody::Heard);
        }
    }

    /// The next moment at which something comes due.
    pub(super) fn due(&self) -> Option<Instant> {
        let probe = match self.probe {
            Probe::Asked { deadline } => Some(deadline),
            Probe::No | Probe::Answered | Probe::Unanswered => None,
        };
        let paths = self.paths.as_ref().and_then(Paths::due);
        let lost = match self.path_state() {
            PathState::Interrupted(since) => Some(since + patience::INTERRUPTED),
            PathState::Making | PathState::Alive | PathState::Failed(_) => None,
        };
        let search = self.search.filter(|_| self.is_lost()).map(|last| last.again);
        [probe, paths, lost, search, self.dialog.repeat_at()].into_iter().flatten().min()
    }

    /// Gives path and keys up; with a reason, tells the device that the call is over.
    pub(super) fn close(&mut self, cx: &mut Cx<'_>, tell: Option<SignalledEnd>) {
        if let Some(paths) = self.paths.take() {
            paths.close(cx);
        }
        self.keys = None;
        self.secret = None;
        self.probe = Probe::No;
        self.dialog.drop_unheard();
        self.hold.now = self.hold.said;
        self.our_home.now = self.our_home.said;
        match tell {
            Some(reason) => {
                self.say(cx, SignalBody::End { reason });
            }
            None if self.dialog.owes() => self.send(cx, 0, SignalBody::Heard),
            None => {}
        }
    }

    /// A late signal for a closed leg: an end said before is said again, and all is heard.
    pub(super) fn handle_late(&mut self, cx: &mut Cx<'_>, signal: &Signal) {
        self.dialog.hear(cx.now, signal.heard);
        self.dialog.take(signal.number, &signal.body);
        self.way.answer_by(signal.case);
        if self.dialog.owes() && self.dialog.waits() {
            self.repeat(cx);
        } else if self.dialog.owes() {
            self.send(cx, 0, SignalBody::Heard);
        }
    }

    /// Whether the end that was said is still to be heard.
    pub(super) fn waits(&self) -> bool {
        self.dialog.waits()
    }

    /// Nothing more is repeated of itself.
    pub(super) fn rest(&mut self) {
        self.dialog.rest();
    }
}

impl std::fmt::Debug for Leg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Leg({:?}, {:?}, {:?})", self.call, self.to.device, self.dialog)
    }
}

/// What an offer says.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) contribution: AgreeKey,
    pub(super) home: Option<NodeEntry>,
    pub(super) relay_only: bool,
}
