//! Calls in their place: the peer locates, seals, sends and reports for the call machine. DESIGN
//! 2.10.

use std::time::Instant;

use crate::ids::{CallId, UserName};
use crate::port::{Output, PathEvent, PathId, PathPolicy, VoiceEvent};
use crate::secure::identity::LinkKey;
use crate::wire::directory::Reachability;
use crate::wire::forward::Address;
use crate::wire::sealed::call::{Signal, SignalingCase};

use super::buddies::Trust;
use super::call::reason::{NotLocated, SendFailure};
use super::call::view::{CallView, PathView};
use super::call::{
    self, Callee, Callers, Calls, CallsOutput, Me, Post, Refused, Standing, Surroundings,
};
use super::command::{Answer, CallAction, Failure, Notice};
use super::post::{Fate, Letter, Sender};
use super::session::Session;
use super::{Peer, Record};

impl Peer {
    /// The call under way, if there is one.
    #[must_use]
    pub fn current_call(&self) -> Option<CallView> {
        self.calls.as_ref().and_then(Calls::current)
    }

    /// The paths of a call under way, those that are gone first.
    #[must_use]
    pub fn call_paths(&self, call: CallId) -> Option<Vec<PathView>> {
        self.calls.as_ref().and_then(|calls| calls.paths(call))
    }

    pub(super) fn start_calls(&mut self, session: &Session) {
        let me = Me {
            address: session.address.clone(),
            identity: session.vault.vault.identity,
            link: LinkKey::from_secret(&session.vault.keys.link.secret()),
        };
        let network = self.network_id();
        let secrets = self.entropy.secrets.split();
        self.calls = Some(Calls::new(me, network, self.surroundings(), secrets, self.next_path));
    }

    /// The session ends: what is under way is hung up.
    pub(super) fn end_calls(&mut self, now: Instant) {
        if let Some(call) = self.current_call() {
            let calls = self.calls.as_mut();
            let _ = calls.map(|calls| calls.hang_up(now, call.id));
            self.drain_calls(now);
        }
        if let Some(calls) = self.calls.take() {
            self.next_path = calls.next_path();
        }
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings {
            reachability: self.reachability().unwrap_or(Reachability::Natted),
            home: self.home_link().map(|(_, node)| node),
            servers: self.relay_servers(),
            addresses: self.config.addresses,
            callers: Callers::Everybody,
        }
    }

    /// Our home, our relay or our reachability is another one now.
    pub(super) fn surroundings_changed(&mut self, now: Instant) {
        let around = self.surroundings();
        if let Some(calls) = &mut self.calls {
            calls.handle_surroundings(now, around);
        }
    }

    /// A router forwards a port for the sound: what had to be relayed until now may go direct.
    pub(super) fn sound_mapped(&mut self, now: Instant) {
        if let Some(calls) = &mut self.calls {
            calls.handle_mapped(now);
        }
    }

    /// The owner calls.
    pub(super) fn start_call(&mut self, now: Instant, ask: u64, to: UserName, path: PathPolicy) {
        let Some(calls) = &mut self.calls else { return };
        match calls.start(now, to, path) {
            Ok(call) => self.succeed(ask, Answer::Calling(call)),
            Err(refused) => self.fail(ask, refused.into()),
        }
    }

    /// The owner does something with a call.
    pub(super) fn in_call(&mut self, now: Instant, ask: u64, call: CallId, action: CallAction) {
        let Some(calls) = &mut self.calls else { return };
        let done = match action {
            CallAction::Accept => calls.accept(now, call),
            CallAction::Decline => calls.decline(now, call),
            CallAction::HangUp => calls.hang_up(now, call),
            CallAction::Hold => calls.hold(now, call),
            CallAction::Resume => calls.resume(now, call),
            CallAction::Mute => calls.mute(now, call),
            CallAction::Unmute => calls.unmute(now, call),
        };
        match done {
            Ok(()) => self.succeed(ask, Answer::Done),
            Err(refused) => self.fail(ask, refused.into()),
        }
    }

    pub(super) fn handle_call_signal(&mut self, now: Instant, from: &Sender, signal: &Signal) {
        let sender = call::Sender {
            address: from.address.clone(),
            identity: from.identity,
            agree: from.keys.agree,
            standing: self.call_standing(&from.address.user, from.trust),
        };
        if let Some(calls) = &mut self.calls {
            calls.handle_signal(now, &sender, signal);
        }
    }

    fn call_standing(&self, user: &UserName, trust: Trust) -> Standing {
        match trust {
            Trust::Buddy | Trust::Myself => Standing::Buddy,
            Trust::Blocked => Standing::Blocked,
            Trust::OtherKey => Standing::Stranger,
            Trust::Stranger if self.buddies.was_buddy(user) => Standing::FormerBuddy,
            Trust::Stranger => Standing::Stranger,
        }
    }

    /// What became of a signal.
    pub(super) fn call_letter_fate(
        &mut self,
        now: Instant,
        call: CallId,
        to: &Address,
        case: SignalingCase,
        fate: Fate,
    ) {
        let delivery = match fate {
            Fate::Delivered => call::Delivery::Done,
            Fate::Failed(reason) => call::Delivery::Failed(SendFailure::Undelivered(reason)),
            Fate::NoConnection => call::Delivery::Failed(SendFailure::NoConnection),
            Fate::Unlinked => call::Delivery::Failed(SendFailure::Unlinked),
        };
        if let Some(calls) = &mut self.calls {
            calls.handle_delivery(now, call, to, case, delivery);
        }
    }

    pub(super) fn handle_path(&mut self, now: Instant, path: PathId, event: PathEvent) {
        if let Some(calls) = &mut self.calls {
            calls.handle_path(now, path, event);
        }
    }

    pub(super) fn handle_voice(&mut self, now: Instant, call: CallId, event: VoiceEvent) {
        if let Some(calls) = &mut self.calls {
            calls.handle_voice(now, call, event);
        }
    }

    pub(super) fn calls_due(&mut self, now: Instant) {
        if let Some(calls) = &mut self.calls
            && calls.poll_timeout().is_some_and(|at| at <= now)
        {
            calls.handle_timeout(now);
        }
    }

    /// A device is gone: perhaps the other side of a call.
    pub(super) fn call_partner_gone(&mut self, now: Instant, who: &Address) {
        if let Some(calls) = &mut self.calls {
            calls.handle_gone(now, who);
        }
    }

    /// A user was blocked: perhaps the other side of a call.
    pub(super) fn call_partner_blocked(&mut self, now: Instant, user: &UserName) {
        if let Some(calls) = &mut self.calls {
            calls.handle_blocked(now, user);
        }
    }

    /// Does what the call machine wants, until it wants nothing more.
    pub(super) fn drain_calls(&mut self, now: Instant) {
        while let Some(output) = self.calls.as_mut().and_then(Calls::poll_output) {
            match output {
                CallsOutput::Locate { call, user } => self.locate(now, call, &user),
                CallsOutput::Relocate { call, user } => self.look_up_for(now, call, &user),
                CallsOutput::Send(post) => {
                    let Post { to, agree, route, signal, .. } = *post;
                    let letter = Letter::Call(signal.call, route.case());
                    self.post_by(now, &to, &agree, &route, &signal.into(), letter);
                }
                CallsOutput::Forget { to, .. } => self.close_straight(&to),
                CallsOutput::DoubtHome => self.doubt_home(now),
                CallsOutput::RelayFailed(relay, by) => self.relay_failed(now, relay, by),
                CallsOutput::Path(path, order) => self.out.push_back(Output::Path(path, order)),
                CallsOutput::Voice(call, order) => self.out.push_back(Output::Voice(call, order)),
                CallsOutput::Changed(view) => self.tell(Notice::Call(view)),
                CallsOutput::Log(entry) => self.save(Record::Call(*entry), super::OnSaved::Nothing),
            }
        }
    }

    /// Finds the devices of a callee: at once where their cards are fresh, else by a look-up.
    fn locate(&mut self, now: Instant, call: CallId, user: &UserName) {
        let found = if self.buddies.is_blocked(user) {
            Some(Err(NotLocated::Blocked))
        } else if self.buddies.key_is_changed(user) {
            Some(Err(NotLocated::KeyChanged))
        } else if self.presences.is_online(user) {
            Some(Ok(self.callees(user))).filter(|found| found.as_ref().is_ok_and(|c| !c.is_empty()))
        } else if self.home_link().is_none() {
            Some(Err(NotLocated::CutOff))
        } else {
            None
        };
        match found {
            Some(found) => self.located(now, call, found),
            None => self.look_up_for(now, call, user),
        }
    }

    /// Asks the directory where the devices of somebody are. Without a home nothing is asked, and
    /// nothing answered: the call goes on when there is one.
    fn look_up_for(&mut self, now: Instant, call: CallId, user: &UserName) {
        if self.home_link().is_some() {
            self.searches.locating.push((user.clone(), call));
            self.look_up(now, user);
        }
    }

    /// A look-up has ended: calls that waited for it go on.
    pub(super) fn call_located(&mut self, now: Instant, user: &UserName, exists: bool) {
        let waiting = &mut self.searches.locating;
        let calls: Vec<CallId> =
            waiting.extract_if(.., |(wanted, _)| wanted == user).map(|(_, call)| call).collect();
        for call in calls {
            let callees = self.callees(user);
            let found = match (callees.is_empty(), exists) {
                (false, _) => Ok(callees),
                (true, true) => Err(NotLocated::Offline),
                (true, false) if self.buddies.is_buddy(user) => Err(NotLocated::Offline),
                (true, false) => Err(NotLocated::NotFound),
            };
            self.located(now, call, found);
        }
    }

    fn located(&mut self, now: Instant, call: CallId, found: Result<Vec<Callee>, NotLocated>) {
        if let Some(calls) = &mut self.calls {
            calls.handle_located(now, call, found);
        }
    }

    fn callees(&self, user: &UserName) -> Vec<Callee> {
        let reachable = self.cards.reachable(user);
        reachable
            .map(|(address, card)| {
                let trust = self.buddies.trust(user, &card.identity);
                let near = self.nearby.link_to(address);
                let standing = self.call_standing(user, trust);
                Callee {
                    address: address.clone(),
                    identity: card.identity,
                    agree: card.keys.agree,
                    standing,
                    reachability: card.reachability,
                    home: card.home,
                    near: near.and_then(|link| self.links.remote_address(link)),
                    direct: card.direct,
                }
            })
            .collect()
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::InCall { call } => Self::InCall(call),
            Refused::Yourself => Self::Yourself,
            Refused::NoSuchCall => Self::NoSuchCall,
            Refused::NotNow { state } => Self::WrongCallState(state),
        }
    }
}
