//! Partners: super-peers that answer Binding questions in each other's stead, so that a NAT's
//! behaviour shows from two addresses.
//!
//! Source: RFC 5780; DESIGN 2.12. Who is linked to another super-peer and has an alternate port
//! tells it; of those with the same two numbers and another address of the same family, one is the
//! partner. The link is the token: a question is taken only from a super-peer that told us of its
//! own alternate port, and whose certificate is known. Invariant: no partner has us answer more
//! than [`PER_SECOND`] questions a second.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use crate::port::LinkId;
use crate::secure::links::Who;
use crate::wire::bounded::Bytes;
use crate::wire::nat::Nat;

use super::SuperPeer;
use super::relay::quota::Bucket;
use super::relay::{Side, Turned};

/// Questions that are answered for one other. Our choice: a test is four, so that a dozen devices
/// test at once.
const PER_SECOND: u64 = 50;

/// Who has an alternate port, by its link.
#[derive(Default)]
pub(super) struct Partners {
    known: BTreeMap<LinkId, Partner>,
    /// Whether our own alternate port was told.
    told: Option<SocketAddr>,
    /// Whom questions are turned to.
    chosen: Option<LinkId>,
}

struct Partner {
    /// Main and alternate port.
    ports: [SocketAddr; 2],
    budget: Bucket,
}

impl SuperPeer {
    /// Tells all that we are linked to, as soon as our alternate port is open.
    pub(super) fn tell_alternate(&mut self, now: Instant) {
        let alternate = self.relay.as_ref().and_then(super::Relay::alternate);
        if alternate == self.partners.told {
            return;
        }
        self.partners.told = alternate;
        for link in self.contacts.open_links() {
            self.tell_alternate_to(now, link);
        }
        self.choose_partner();
    }

    /// Tells one of our alternate port.
    pub(super) fn tell_alternate_to(&mut self, now: Instant, link: LinkId) {
        if let Some(alternate) = self.partners.told {
            self.links.send(now, link, 0, Nat::Alternate { port: alternate.port() });
        }
    }

    pub(super) fn partner_told(&mut self, now: Instant, link: LinkId, who: &Who, port: u16) {
        let Who::Node(entry) = who else { return };
        let alternate = SocketAddr::new(entry.address.ip(), port);
        let budget = Bucket::new(now, PER_SECOND, PER_SECOND);
        let partner = Partner { ports: [entry.address, alternate], budget };
        self.partners.known.insert(link, partner);
        self.choose_partner();
    }

    pub(super) fn partner_gone(&mut self, link: LinkId) {
        if self.partners.known.remove(&link).is_some() {
            self.choose_partner();
        }
    }

    /// The one that serves stays; else the first that may.
    fn choose_partner(&mut self) {
        let Some(alternate) = self.partners.told else { return };
        let ours = [self.config.address, alternate];
        let known = &self.partners.known;
        let may = |link: &&LinkId| known.get(*link).is_some_and(|p| is_partner(ours, p.ports));
        let chosen = self.partners.chosen.as_ref().filter(may);
        let chosen = chosen.or_else(|| known.keys().find(may)).copied();
        self.partners.chosen = chosen;
        let ports = chosen.and_then(|link| known.get(&link)).map(|partner| partner.ports);
        if let Some(relay) = &mut self.relay {
            relay.set_partner(ports);
        }
    }

    /// Hands on what the partner is to answer; whether there was something.
    pub(super) fn turn_questions(&mut self, now: Instant) -> bool {
        let mut turned_any = false;
        while let Some(turned) = self.relay.as_mut().and_then(super::Relay::poll_turned) {
            turned_any = true;
            let Some(link) = self.partners.chosen else { continue };
            let Turned { to, transaction, question_len: length, asked, from } = turned;
            let transaction = Bytes::new(transaction.to_vec()).expect("it is twelve bytes long");
            let (alternate, asked_alternate) = (from == Side::Alternate, asked == Side::Alternate);
            let turned = Nat::Turned { to, transaction, length, alternate, asked_alternate };
            self.links.send(now, link, 0, turned);
        }
        turned_any
    }

    /// Answers in the stead of another.
    pub(super) fn turned_here(&mut self, now: Instant, link: LinkId, turned: Turned) {
        let Some(partner) = self.partners.known.get_mut(&link) else { return };
        if !partner.budget.has(now, 1) {
            return;
        }
        partner.budget.take(1);
        if let Some(relay) = &mut self.relay {
            relay.answer_turned(now, turned);
        }
    }
}

/// Whether two super-peers make the four addresses of RFC 5780: two addresses, two numbers.
fn is_partner(ours: [SocketAddr; 2], theirs: [SocketAddr; 2]) -> bool {
    let numbers = |[main, alternate]: [SocketAddr; 2]| (main.port(), alternate.port());
    let [our, their] = [ours[0].ip(), theirs[0].ip()];
    numbers(ours) == numbers(theirs) && our != their && our.is_ipv4() == their.is_ipv4()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partners_have_the_same_numbers_at_different_addresses_of_one_family() {
        let pair = |ip: &str, main, alternate| {
            let ip = ip.parse().unwrap();
            [SocketAddr::new(ip, main), SocketAddr::new(ip, alternate)]
        };
        let ours = pair("192.0.2.1", 37373, 37374);
        assert!(is_partner(ours, pair("192.0.2.2", 37373, 37374)));
        assert!(!is_partner(ours, pair("192.0.2.1", 37373, 37374)));
        assert!(!is_partner(ours, pair("192.0.2.2", 37373, 40000)));
        assert!(!is_partner(ours, pair("192.0.2.2", 4433, 4434)));
        assert!(!is_partner(ours, pair("2001:db8::2", 37373, 37374)));
    }
}
