//! Does UDP get out and back, and through what? STUN Binding questions to our home and its partner.
//! RFC 8489; RFC 5780; lecture, slide 32; DESIGN 2.12.
//!
//! No answer to three questions: the peer is Restricted, as behind a firewall that blocks UDP. With
//! an answer we know where we are seen; and how the NAT behaves, where the home names another
//! address. Whether the address that is seen is our own shows the link to the home, which has one
//! of ours at its end; after the network has changed the next link does.

mod behaviour;
mod evidence;
mod question;
#[cfg(test)]
mod tests;
mod trail;
mod verdict;
mod watch;

use std::net::SocketAddr;
use std::time::Instant;

use crate::port::{LinkId, Output};
use crate::wire::knock;
use crate::wire::question::FIRST_BYTES;

use super::Peer;
use behaviour::{Depth, Place};
pub use verdict::{Filtering, Found, Mapping, NatView, Translation};
pub(super) use watch::Watch as NatWatch;
use watch::{Purpose, Seen};

impl Peer {
    /// We have a home, by this link: our end of it is our own address, but through a proxy on this
    /// machine.
    pub(super) fn nat_at_home(&mut self, now: Instant, link: LinkId) {
        let remote = self.links.remote_address(link);
        let is_here = |end: SocketAddr| end.ip().to_canonical().is_loopback();
        let own = self.links.local_address(link).filter(|own| {
            !own.ip().is_unspecified() && (!is_here(*own) || remote.is_some_and(is_here))
        });
        self.nat_watch.is_at(own.map(|own| own.ip()));
        self.drain_nat(now);
    }

    /// Starts the test at our home, which is new, or on a new network.
    pub(super) fn start_nat_test(&mut self, now: Instant) {
        self.measure_nat(now, Purpose::Arrival);
    }

    /// We moved to another home: perhaps it has a partner.
    pub(super) fn nat_at_another_home(&mut self, now: Instant) {
        let Some((link, home)) = self.home_link() else { return };
        self.nat_at_home(now, link);
        let server = self.links.datagrams_to(link, &home);
        let is_known = self.nat_watch.is_running() || self.nat_watch.is_of(server);
        if self.config.pretend.is_none() && !is_known {
            self.measure_nat(now, Purpose::Renewal);
        }
    }

    pub(super) fn nat_due(&mut self, now: Instant) {
        let wall = self.wall(now);
        if let Some(purpose) = self.nat_watch.handle_timeout(now, wall, &mut self.entropy) {
            self.measure_nat(now, purpose);
        }
        self.drain_nat(now);
    }

    fn measure_nat(&mut self, now: Instant, purpose: Purpose) {
        let Some((link, home)) = self.home_link() else { return };
        let server = self.links.datagrams_to(link, &home);
        // The port is also that of our own super-peer, of whose datagrams we know nothing.
        let depth = if self.serves() { Depth::Reach } else { Depth::Behaviour };
        let place = Place { server, depth };
        let wall = self.wall(now);
        self.nat_watch.start(now, wall, (purpose, place), &mut self.entropy);
        self.drain_nat(now);
    }

    fn drain_nat(&mut self, now: Instant) {
        while let Some(seen) = self.nat_watch.poll() {
            match seen {
                Seen::Send(transmit) => self.out.push_back(Output::Send(transmit)),
                Seen::Udp(answered) => self.udp_tested(now, answered),
                Seen::Changed => self.tell_network(),
            }
        }
    }

    /// A datagram came: its first byte says for whom.
    pub(super) fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        match bytes.first() {
            Some(first) if FIRST_BYTES.contains(first) => {
                self.handle_question_datagram(now, from, bytes);
            }
            Some(&knock::FIRST_BYTE) => self.handle_knock(now, bytes),
            Some(_) | None => {
                let wall = self.wall(now);
                self.nat_watch.handle_datagram(now, wall, (from, bytes), &mut self.entropy);
                self.drain_nat(now);
            }
        }
    }
}
