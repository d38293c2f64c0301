//! Where we may be relayed: at the two nearest of our home and some other super-peers, so that a
//! call goes by a short way and outlives the relay that it goes through. DESIGN 2.10, 2.12.
//!
//! The home is asked as soon as it is one; then other super-peers, one after the other, each over a
//! link that is closed after. How near they are is how long their links took there and back when
//! they were made; which of two relays is near to both ends of a call is found out by the paths
//! themselves (`call/paths.rs`). Credentials last a day and longer than a home does, so they are
//! kept when the home goes. Others are asked in rounds: in each new network, and where there are
//! not two relays or one of them ends. Invariants: a round asks at most [`ASKED_MAX`] others, none
//! twice; at most two relays are known, and they are two super-peers.

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

/// Super-peers asked at most beside the home. Our choice: the best two of four are much nearer than
/// two taken blindly, and where three in a row do not relay, hardly anybody does.
const ASKED_MAX: usize = 3;
/// The home comes first unless another is nearer by more than this. Our choice: nobody hears it,
/// and the home's relay is known to be there.
const NEARER: Duration = Duration::from_millis(10);
/// When a home stops to relay, its clients ask elsewhere within so long, by full jitter. Our
/// choice: a thousand clients are a few dozen handshakes a second.
const SPREAD: Duration = Duration::from_secs(30);
/// Credentials that end within this are renewed with the next refresh.
const MARGIN: Duration = Duration::from_secs(3600);

/// Relays that we may use.
#[derive(Debug, Default)]
pub(super) struct Relays {
    /// The nearer first: at most two, of two super-peers.
    granted: Vec<Granted>,
    /// Super-peers other than the home that were asked in this round.
    asked: Vec<AgreeKey>,
    /// A round is under way.
    seeks: bool,
    /// What is granted is the best of a round, in this network.
    is_compared: bool,
    /// When the next of them is asked, where the home has stopped to relay.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Granted {
    /// Whose it is.
    by: AgreeKey,
    /// It is our home's.
    is_home: bool,
    /// To it and back; longest where it was not measured.
    round_trip: Duration,
    server: RelayServer,
    expires: UnixTime,
}

impl Relays {
    pub(super) const fn next_due(&self) -> Option<Instant> {
        self.due
    }

    /// The next home is asked anew.
    pub(super) fn at_another_home(&mut self) {
        self.due = None;
        self.granted.iter_mut().for_each(|known| known.is_home = false);
    }

    /// In another network others are near.
    pub(super) const fn in_another_network(&mut self) {
        self.is_compared = false;
    }

    /// Others are to be asked; those who were may be asked again, but this one.
    fn seek(&mut self, but: Option<AgreeKey>) {
        self.seeks = true;
        self.asked = but.into_iter().collect();
    }

    fn is_ending(&self, wall: UnixTime) -> bool {
        self.granted.len() < 2 || self.granted.iter().any(|g| g.expires <= wall.plus(MARGIN))
    }

    /// Takes one in, and lets go of the farthest of three.
    fn take(&mut self, granted: Granted) {
        self.granted.retain(|known| known.by != granted.by);
        self.granted.push(granted);
        self.granted.sort_by_key(Granted::distance);
        self.granted.truncate(2);
    }
}

impl Granted {
    const fn distance(&self) -> Duration {
        let handicap = if self.is_home { Duration::ZERO } else { NEARER };
        self.round_trip.saturating_add(handicap)
    }
}

impl Peer {
    /// STUN and TURN servers for new paths, the better first.
    pub(super) fn relay_servers(&self) -> Vec<RelayServer> {
        let home = match &self.home {
            Home::Linked(home) => Some(home),
            Home::None | Home::Seeking(_) => None,
        };
        let is_restricted = self.reachability() == Some(Reachability::Restricted);
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

    /// The home is gone, and its relay perhaps with it: it is the last to be used, and the first to
    /// be let go.
    pub(super) fn relay_in_doubt(&mut self, of_home: &AgreeKey) {
        let granted = &mut self.relays.granted;
        if let Some(doubted) = granted.iter_mut().find(|known| known.by == *of_home) {
            doubted.round_trip = Duration::MAX;
        }
        granted.sort_by_key(Granted::distance);
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
        match answer {
            Some(Message::Nat(grant @ Nat::RelayGrant { .. })) => {
                if let Some((link, home)) = self.home_link() {
                    self.relay_granted(now, (link, home.key), grant);
                }
            }
            Some(Message::Nat(Nat::Refused { reason: NatRefusal::NoRelay })) => {
                self.forget_relay_of_home(now);
            }
            // Another answer, or none: it is asked again with the next refresh.
            Some(_) | None => return,
        }
        let is_compared = std::mem::replace(&mut self.relays.is_compared, true);
        if !is_compared || self.relays.is_ending(self.wall(now)) {
            self.relays.seek(None);
            self.ask_another_relay(now);
        }
    }

    fn relay_granted(&mut self, now: Instant, (link, by): (LinkId, AgreeKey), grant: Nat) {
        let Nat::RelayGrant { address, username, password, expires } = grant else { return };
        let server = RelayServer {
            address,
            transport: RelayTransport::Udp,
            username: username.as_str().to_owned(),
            password: password.as_str().to_owned(),
        };
        let is_home = self.home_link().is_some_and(|(_, home)| home.key == by);
        let round_trip = self.links.round_trip(link).unwrap_or(Duration::MAX);
        self.relays.take(Granted { by, is_home, round_trip, server, expires });
        self.surroundings_changed(now);
    }

    /// The home does not relay any more; calls that it carries go on.
    fn relay_withdrawn(&mut self, now: Instant) {
        let Some((_, home)) = self.home_link() else { return };
        let wait = self.entropy.jitter.below(SPREAD.as_millis() as u64 + 1);
        let relays = &mut self.relays;
        if relays.granted.iter().any(|known| known.by == home.key) {
            relays.due = Some(now + Duration::from_millis(wait));
        }
    }

    /// Asks elsewhere, where it is time to.
    pub(super) fn relays_due(&mut self, now: Instant) {
        if self.relays.due.take_if(|at| *at <= now).is_none() {
            return;
        }
        self.forget_relay_of_home(now);
        self.relays.seek(None);
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
    /// and knows none of its credentials. While we have no home nothing is known of relays; and
    /// where no datagram comes back it is no fault of a relay that was asked by one.
    pub(super) fn relay_failed(&mut self, now: Instant, relay: SocketAddr, by: RelayTransport) {
        if by == RelayTransport::Udp && !self.datagrams_work() {
            return;
        }
        let Some((link, home)) = self.home_link() else { return };
        let granted = self.relays.granted.iter().find(|known| known.server.address == relay);
        match granted.map(|known| known.by) {
            Some(by) if by == home.key => {
                self.ask(now, link, About::RelayCredentials, Nat::RelayCredentials);
            }
            Some(by) => {
                self.forget_relay(now, &by);
                self.relays.seek(Some(by));
                self.ask_another_relay(now);
            }
            None => {}
        }
    }

    fn ask_another_relay(&mut self, now: Instant) {
        let Home::Linked(home) = &self.home else { return };
        self.relays.seeks &= self.relays.asked.len() < ASKED_MAX;
        if !self.relays.seeks {
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
            self.relay_granted(now, (link, by), grant);
        }
        if is_ours {
            self.links.close(link);
        }
        self.ask_another_relay(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(number: u8, is_home: bool, ms: u64) -> Granted {
        let address = ([192, 0, 2, number], 4433).into();
        Granted {
            by: AgreeKey([number; 32]),
            is_home,
            round_trip: Duration::from_millis(ms),
            server: RelayServer::stun_only(address, RelayTransport::Udp),
            expires: UnixTime(0),
        }
    }

    fn kept(all: impl IntoIterator<Item = Granted>) -> Vec<u8> {
        let mut relays = Relays::default();
        all.into_iter().for_each(|granted| relays.take(granted));
        relays.granted.iter().map(|known| known.by.0[0]).collect()
    }

    #[test]
    fn the_two_nearest_are_kept_the_home_in_preference() {
        let home = |ms| granted(1, true, ms);
        assert_eq!(kept([home(50), granted(2, false, 20), granted(3, false, 90)]), [2, 1]);
        assert_eq!(kept([home(50), granted(2, false, 20), granted(3, false, 30)]), [2, 3]);
        assert_eq!(kept([home(50), granted(2, false, 45), granted(3, false, 90)]), [1, 2]);
        assert_eq!(kept([granted(2, false, 20), granted(3, false, 30), home(25)]), [1, 2]);
    }

    #[test]
    fn one_that_grants_again_takes_its_own_place() {
        let again = [granted(1, true, 50), granted(2, false, 20), granted(2, false, 90)];
        assert_eq!(kept(again), [1, 2]);
    }
}
