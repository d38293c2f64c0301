//! Where we may be relayed: at our home, and at another super-peer, so that a call outlives the
//! relay that it goes through. DESIGN 2.10, 2.12.
//!
//! The home is asked as soon as it is one; then other super-peers, one after the other, each over a
//! link that is closed after, until there are two relays. Credentials last a day and longer than a
//! home does, so they are kept when the home goes. Invariants: at most [`ASKED_MAX`] others are
//! asked until the home itself is asked again, and none twice; at most two relays are known, and
//! they are two super-peers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::port::{LinkId, RelayServer, RelayTransport};
use crate::secure::links::Who;
use crate::time::UnixTime;
use crate::wire::certificate::AgreeKey;
use crate::wire::directory::Reachability;
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
/// Credentials that end within this are renewed with the next refresh.
const MARGIN: Duration = Duration::from_secs(3600);

/// Relays that we may use.
#[derive(Debug, Default)]
pub(super) struct Relays {
    /// The better first: at most two, of two super-peers.
    granted: Vec<Granted>,
    /// Super-peers other than the home that were asked since it was asked last.
    asked: Vec<AgreeKey>,
    /// When the next of them is asked, where the home has stopped to relay.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Granted {
    /// Whose it is.
    by: AgreeKey,
    server: RelayServer,
    expires: UnixTime,
}

impl Relays {
    pub(super) const fn next_due(&self) -> Option<Instant> {
        self.due
    }

    /// The next home is asked anew.
    pub(super) const fn at_another_home(&mut self) {
        self.due = None;
    }

    fn is_ending(&self, wall: UnixTime) -> bool {
        self.granted.len() < 2 || self.granted.iter().any(|g| g.expires <= wall.plus(MARGIN))
    }

    fn take(&mut self, granted: Granted, is_first: bool) {
        self.granted.retain(|known| known.by != granted.by);
        let place = if is_first { 0 } else { self.granted.len().min(1) };
        self.granted.insert(place, granted);
        self.granted.truncate(2);
    }
}

impl Peer {
    /// STUN and TURN servers for new paths, the better first.
    pub(super) fn relay_servers(&self) -> Vec<RelayServer> {
        let home = match &self.home {
            Home::Linked(home) => Some(home),
            Home::None | Home::Seeking(_) => None,
        };
        let is_restricted =
            home.is_some_and(|home| home.reachability == Some(Reachability::Restricted));
        let transport = if is_restricted { RelayTransport::Tcp } else { RelayTransport::Udp };
        let reached = |server: &RelayServer| RelayServer { transport, ..server.clone() };
        let servers: Vec<_> = self.relays.granted.iter().map(|g| reached(&g.server)).collect();
        match home.filter(|_| servers.is_empty()) {
            Some(home) => {
                let address = self.links.datagrams_to(home.link, &home.node);
                vec![RelayServer::stun_only(address, transport)]
            }
            None => servers,
        }
    }

    /// The session is over, and with it what was granted to its user.
    pub(super) fn forget_relays(&mut self) {
        self.relays = Relays::default();
    }

    /// The home is gone, and its relay perhaps with it: the other one comes first.
    pub(super) fn relay_in_doubt(&mut self, of_home: &AgreeKey) {
        let granted = &mut self.relays.granted;
        granted.sort_by_key(|known| known.by == *of_home);
    }

    /// Renews what ends soon; with each refresh of the registration.
    pub(super) fn refresh_relays(&mut self, now: Instant, home: LinkId) {
        let wall = self.wall(now);
        if self.relays.is_ending(wall) {
            self.ask(now, home, About::RelayCredentials, Nat::RelayCredentials);
        }
    }

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
        self.relays.asked.clear();
        match answer {
            Some(Message::Nat(grant @ Nat::RelayGrant { .. })) => {
                if let Some((_, home)) = self.home_link() {
                    self.relay_granted(now, home.key, grant, true);
                }
                self.ask_another_relay(now);
            }
            Some(Message::Nat(Nat::Refused { reason: NatRefusal::NoRelay })) => {
                self.forget_relay_of_home(now);
                self.ask_another_relay(now);
            }
            // Another answer, or none: it is asked again with the next refresh.
            Some(_) | None => {}
        }
    }

    fn relay_granted(&mut self, now: Instant, by: AgreeKey, grant: Nat, is_first: bool) {
        let Nat::RelayGrant { address, username, password, expires } = grant else { return };
        let server = RelayServer {
            address,
            transport: RelayTransport::Udp,
            username: username.as_str().to_owned(),
            password: password.as_str().to_owned(),
        };
        self.relays.take(Granted { by, server, expires }, is_first);
        self.surroundings_changed(now);
    }

    /// The home does not relay any more; calls that it carries go on.
    fn relay_withdrawn(&mut self, now: Instant) {
        let Some((_, home)) = self.home_link() else { return };
        let wait = self.entropy.jitter.below(SPREAD.as_millis() as u64 + 1);
        let relays = &mut self.relays;
        if relays.granted.iter().any(|known| known.by == home.key) {
            relays.asked.clear();
            relays.due = Some(now + Duration::from_millis(wait));
        }
    }

    /// Asks elsewhere, where it is time to.
    pub(super) fn relays_due(&mut self, now: Instant) {
        if self.relays.due.take_if(|at| *at <= now).is_none() {
            return;
        }
        self.forget_relay_of_home(now);
        self.ask_another_relay(now);
    }

    fn forget_relay_of_home(&mut self, now: Instant) {
        if let Some((_, home)) = self.home_link() {
            self.forget_relay(now, &home.key);
        }
    }

    fn forget_relay(&mut self, now: Instant, of: &AgreeKey) {
        self.relays.granted.retain(|known| known.by != *of);
        self.surroundings_changed(now);
    }

    /// A relay gave a call no relayed address: its owner may have stopped it, or it has begun anew
    /// and knows none of its credentials. While we have no home nothing is known of relays.
    pub(super) fn relay_failed(&mut self, now: Instant, relay: SocketAddr) {
        let Some((link, home)) = self.home_link() else { return };
        let granted = self.relays.granted.iter().find(|known| known.server.address == relay);
        match granted.map(|known| known.by) {
            Some(by) if by == home.key => {
                self.ask(now, link, About::RelayCredentials, Nat::RelayCredentials);
            }
            Some(by) => {
                self.forget_relay(now, &by);
                self.ask_another_relay(now);
            }
            None => {}
        }
    }

    fn ask_another_relay(&mut self, now: Instant) {
        let wall = self.wall(now);
        let Home::Linked(home) = &self.home else { return };
        if !self.relays.is_ending(wall) || self.relays.asked.len() >= ASKED_MAX {
            return;
        }
        let (home_door, asked) = (door_of(&home.node), &self.relays.asked);
        let jitter = &mut self.entropy.jitter;
        let Some(door) = self.super_peers.verifiers(&home_door, asked, 1, jitter).pop() else {
            return;
        };
        self.relays.asked.push(door.key);
        let (link, is_ours) = self.link_for_once(now, &door);
        self.ask(now, link, About::RelayElsewhere(link, is_ours), Nat::RelayCredentials);
    }

    /// Another super-peer has answered whether it relays for us, or has not.
    pub(super) fn other_relay_told(
        &mut self,
        now: Instant,
        (link, is_ours): (LinkId, bool),
        answer: Option<Message>,
    ) {
        if let Some(Message::Nat(grant @ Nat::RelayGrant { .. })) = answer
            && let Some(Who::Node(node)) = self.links.who(link)
        {
            let by = node.key;
            self.relay_granted(now, by, grant, false);
        }
        if is_ours {
            self.links.close(link);
        }
        self.ask_another_relay(now);
    }
}
