//! A relay elsewhere, where the home does not relay. DESIGN 2.12 (two jobs, each with its switch).
//!
//! Other super-peers are asked one after the other, each over a link that is closed after; the
//! first that grants is our relay as the home's would be. Invariant: at most [`ASKED_MAX`] are
//! asked until the home itself is asked again, and none twice.

use std::time::{Duration, Instant};

use crate::port::{LinkId, Service};
use crate::secure::link::Expect;
use crate::wire::frame::Message;
use crate::wire::nat::{Nat, NatRefusal};

use super::Peer;
use super::asking::About;
use super::home::{Home, door_of};

/// Super-peers asked at most. Our choice: where three in a row do not relay, hardly anybody does.
const ASKED_MAX: usize = 3;
/// When a home stops to relay, its clients ask elsewhere within so long, by full jitter. Our
/// choice: a thousand clients are a few dozen handshakes a second.
const SPREAD: Duration = Duration::from_secs(30);

impl Peer {
    /// Something about reachability or relays that nobody was asked for, or an answer.
    pub(super) fn handle_nat(&mut self, now: Instant, link: LinkId, ask: u32, message: Nat) {
        if let Some(about) = self.asks.answered(link, ask) {
            return self.answered(now, about, Some(message.into()));
        }
        let is_home = self.home_link().is_some_and(|(home, _)| home == link);
        if is_home && message == (Nat::Refused { reason: NatRefusal::NoRelay }) {
            self.relay_withdrawn(now);
        }
    }

    /// The home has answered whether it relays.
    pub(super) fn home_relay_told(&mut self, now: Instant, answer: Option<Message>) {
        if let Home::Linked(home) = &mut self.home {
            home.relays_asked.clear();
        }
        match answer {
            Some(Message::Nat(grant @ Nat::RelayGrant { .. })) => self.relay_granted(now, &grant),
            Some(Message::Nat(Nat::Refused { reason: NatRefusal::NoRelay })) => {
                self.ask_another_relay(now);
            }
            // Another answer, or none: it is asked again with the next refresh.
            Some(_) | None => {}
        }
    }

    /// The home does not relay any more; calls that it carries go on.
    fn relay_withdrawn(&mut self, now: Instant) {
        let Home::Linked(home) = &mut self.home else { return };
        let is_its_own = home.relay.as_ref().is_some_and(|(s, _)| s.address == home.node.address);
        if is_its_own {
            home.relays_asked.clear();
            let wait = self.entropy.jitter.below(SPREAD.as_millis() as u64 + 1);
            home.relay_due = Some(now + Duration::from_millis(wait));
        }
    }

    /// It is time to ask elsewhere.
    pub(super) fn relay_due(&mut self, now: Instant) {
        if let Home::Linked(home) = &mut self.home {
            home.relay_due = None;
        }
        self.ask_another_relay(now);
    }

    fn ask_another_relay(&mut self, now: Instant) {
        let Home::Linked(home) = &self.home else { return };
        let (home_door, asked) = (door_of(&home.node), home.relays_asked.clone());
        if asked.len() >= ASKED_MAX {
            return;
        }
        let jitter = &mut self.entropy.jitter;
        let Some(door) = self.super_peers.verifiers(&home_door, &asked, 1, jitter).pop() else {
            return;
        };
        if let Home::Linked(home) = &mut self.home {
            home.relays_asked.push(door.key);
        }
        let (link, is_ours) = match self.visit_of(&door.key) {
            Some(open) => (open, false),
            None => {
                let expect = Expect::Key(door.key);
                (self.links.dial(now, door.address, Service::SuperPeer, expect), true)
            }
        };
        self.ask(now, link, About::RelayElsewhere(link, is_ours), Nat::RelayCredentials);
    }

    /// Another super-peer has answered whether it relays for us, or has not.
    pub(super) fn other_relay_told(
        &mut self,
        now: Instant,
        (link, is_ours): (LinkId, bool),
        answer: Option<Message>,
    ) {
        if is_ours {
            self.links.close(link);
        }
        match answer {
            Some(Message::Nat(grant @ Nat::RelayGrant { .. })) => self.relay_granted(now, &grant),
            Some(_) | None => self.ask_another_relay(now),
        }
    }
}
