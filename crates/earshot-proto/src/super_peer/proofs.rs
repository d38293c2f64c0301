//! The certificates of those whom we know on the ring. DESIGN 2.5.
//!
//! Others name super-peers by entries, which carry no certificate; whoever answers could invent
//! some. So an entry counts as *proven* only while we hold the authority's statement that this node
//! has this address and this link key. Links show it; for all others it is asked for: under full
//! membership in batches from a neighbour, since it does not matter who tells what the authority
//! has signed, otherwise from the node itself. An entry that is not proven is good for asking, but
//! is named to nobody as a way on or as somebody to know, and after [`UNPROVEN_MAX`] the ring drops
//! it as if it were dead.
//!
//! Invariant: only who is known to the ring is held, at most [`HELD_MAX`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::ids::NodeId;
use crate::port::LinkId;
use crate::secure::identity::{Use, open_signed, verify_statement};
use crate::time::UnixTime;
use crate::wire::bounded::List;
use crate::wire::certificate::{AgreeKey, Chain, Signed, Statement, Subject};
use crate::wire::directory::NodeEntry;
use crate::wire::enrolment::{CERTIFICATES_MAX, Enrolment};
use crate::wire::invite::AlsoAt;

use super::ring::Mode;
use super::{About, SuperPeer};

/// How long an entry that nobody has proven stays once it was seen; with [`CALM`] two minutes. Our
/// choice: 4,096 members are proven in half of that.
const UNPROVEN_MAX: Duration = Duration::from_secs(100);
/// Certificates held at most: twice as many as full membership has members.
const HELD_MAX: usize = 8192;
/// How often those whom we know are looked through, while all are proven and while some are not.
const CALM: Duration = Duration::from_secs(20);
const BUSY: Duration = Duration::from_secs(1);
/// Batches that neighbours are asked for at a time. Our choice: 2,048 members are proven in some
/// twenty seconds.
const BATCHES: usize = 8;
/// Nodes that are asked themselves at a time.
const THEMSELVES: usize = 8;
/// How long a node's certificate is waited for before it is asked for again.
const AGAIN: Duration = Duration::from_secs(10);

/// The certificates, and whose are missing.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    held: BTreeMap<NodeId, Proof>,
    missing: BTreeMap<NodeId, Missing>,
    due: Option<Instant>,
}

#[derive(Debug)]
struct Proof {
    entry: NodeEntry,
    until: UnixTime,
    statement: Signed<Statement>,
}

/// An entry that is not proven.
#[derive(Debug)]
struct Missing {
    since: Instant,
    asked: u8,
    again: Instant,
}

/// What is to be done about those who are not proven.
#[derive(Debug, Default)]
struct Wanted {
    /// Neighbours may know these.
    of_neighbours: Vec<NodeId>,
    /// These are asked themselves.
    of_themselves: Vec<NodeEntry>,
    /// These have had their time.
    overdue: Vec<NodeId>,
}

impl Proofs {
    pub(super) const fn next_due(&self) -> Option<Instant> {
        self.due
    }

    /// Looks those known through soon.
    pub(super) fn hurry(&mut self, now: Instant) {
        let soon = now + BUSY;
        self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
    }

    pub(super) fn is_proven(&self, entry: &NodeEntry, wall: UnixTime) -> bool {
        let proof = self.held.get(&entry.node);
        proof.is_some_and(|proof| proof.entry == *entry && wall < proof.until)
    }

    fn hold(&mut self, proof: Proof) {
        let node = proof.entry.node;
        if self.held.len() < HELD_MAX || self.held.contains_key(&node) {
            self.held.insert(node, proof);
        }
    }

    /// Looks all known through: who is not proven, whom to ask about them, and whose time is up.
    fn look(&mut self, now: Instant, wall: UnixTime, known: &[NodeEntry], mode: Mode) -> Wanted {
        let nodes: BTreeSet<NodeId> = known.iter().map(|entry| entry.node).collect();
        self.held.retain(|node, _| nodes.contains(node));
        let mut wanted = Wanted::default();
        let mut missing = BTreeMap::new();
        for entry in known {
            if self.is_proven(entry, wall) {
                continue;
            }
            let new = Missing { since: now, asked: 0, again: now };
            let mut one = self.missing.remove(&entry.node).unwrap_or(new);
            if one.since + UNPROVEN_MAX <= now {
                wanted.overdue.push(entry.node);
                continue;
            }
            if one.again <= now {
                let first = one.asked == 0 && mode == Mode::Full;
                if first && wanted.of_neighbours.len() < BATCHES * CERTIFICATES_MAX {
                    wanted.of_neighbours.push(entry.node);
                    (one.asked, one.again) = (1, now + AGAIN);
                } else if !first && wanted.of_themselves.len() < THEMSELVES {
                    wanted.of_themselves.push(*entry);
                    (one.asked, one.again) = (one.asked.saturating_add(1), now + AGAIN);
                }
            }
            missing.insert(entry.node, one);
        }
        self.missing = missing;
        self.due = Some(now + if self.missing.is_empty() { CALM } else { BUSY });
        wanted
    }
}

impl SuperPeer {
    /// A node has shown this over a link, or somebody has told it.
    pub(super) fn prove(&mut self, now: Instant, statement: Signed<Statement>) {
        let wall = self.wall(now);
        let Some(Chain { authority, .. }) = self.config.enrolled.as_ref().map(|e| &e.chain) else {
            return;
        };
        let said = open_signed(authority, &self.config.root)
            .and_then(|authority| verify_statement(&statement, &authority, wall, Use::Present));
        let Ok(Statement { subject, not_after: until, .. }) = said else { return };
        if let Subject::Node { node, address, keys, v6, .. } = subject {
            let entry = NodeEntry { node, address, key: keys.agree };
            self.links.also_told(v6.map(|address| AlsoAt { key: entry.key, address }).as_slice());
            self.proofs.hold(Proof { entry, until, statement });
        }
    }

    /// The certificates that are held of these nodes, our own too.
    pub(super) fn certificates_of(&self, nodes: &[NodeId], most: usize) -> Enrolment {
        let own = self.config.enrolled.as_ref().and_then(|record| record.chain.holder.as_ref());
        let of = |node: &NodeId| match self.proofs.held.get(node) {
            Some(proof) => Some(&proof.statement),
            None => own.filter(|_| *node == self.ring.me().node),
        };
        Enrolment::Certificates {
            statements: List::first_of(nodes.iter().filter_map(of).take(most).cloned()),
        }
    }

    /// Somebody has told certificates that we lacked.
    pub(super) fn certificates_told(&mut self, now: Instant, statements: Vec<Signed<Statement>>) {
        for statement in statements {
            self.prove(now, statement);
        }
    }

    /// The nodes of these that are proven.
    pub(super) fn proven(&self, now: Instant, mut nodes: Vec<NodeEntry>) -> Vec<NodeEntry> {
        let wall = self.wall(now);
        nodes.retain(|entry| *entry == *self.ring.me() || self.proofs.is_proven(entry, wall));
        nodes
    }

    /// Asks for what is missing, and drops those whose time is up.
    pub(super) fn proofs_due(&mut self, now: Instant) {
        let mode = self.ring.mode();
        if self.proofs.due.is_none_or(|at| now < at) {
            return;
        }
        let (wall, known) = (self.wall(now), self.ring.known());
        if mode == Mode::Outside || known.is_empty() {
            // The ring tells when we are not alone any more.
            self.proofs.due = None;
            return;
        }
        let wanted = self.proofs.look(now, wall, &known, mode);
        let keys: BTreeSet<AgreeKey> = known.iter().map(|entry| entry.key).collect();
        let doors: Vec<AgreeKey> =
            self.config.doors.iter().chain(&self.config.authority).map(|door| door.key).collect();
        self.links.keep_also(|key| keys.contains(key) || doors.contains(key));
        for nodes in wanted.of_neighbours.chunks(CERTIFICATES_MAX) {
            if let Some(link) = self.contacts.any_linked(&mut self.entropy.jitter) {
                let nodes = List::first_of(nodes.iter().copied());
                self.ask(now, link, About::Certificates, Enrolment::CertificatesOf { nodes });
            }
        }
        for entry in wanted.of_themselves {
            let question = Enrolment::CertificatesOf { nodes: List::first_of([entry.node]) };
            self.question(now, &entry, About::Certificates, question.into());
        }
        for node in wanted.overdue {
            self.ring.handle_closed(now, &node);
        }
    }

    /// Whoever answers a link that we dialled is not the node that we were told of: there is none
    /// such.
    pub(super) fn nobody_such(&mut self, now: Instant, link: LinkId) {
        self.links.close(link);
        for about in self.asks.link_down(link) {
            self.ask_failed(now, about);
        }
        if let Some(lost) = self.contacts.closed(link) {
            self.ring.handle_closed(now, &lost.entry.node);
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
mod tests {
    use std::net::SocketAddr;

    use super::super::testing::serving;
    use super::*;
    use crate::entropy::Entropy;
    use crate::port::{Input, LinkDown, LinkEvent, LinkOrder, Machine, Output, Service};
    use crate::secure::identity::{Keys, LinkKey};
    use crate::secure::link::Welcome;
    use crate::secure::links::Links;
    use crate::secure::testing::{NOW, Network};
    use crate::super_peer::ring::{Config, Ring};

    /// A super-peer that the authority has certified, and what it signed.
    fn certified(network: &mut Network, number: u16) -> (NodeEntry, Keys, Chain) {
        let keys = Keys::draw(&mut network.secrets);
        let address = SocketAddr::from(([198, 51, 100, 7], number));
        let node = NodeId::of(address, &[1; 16]);
        let subject = Subject::Node { node, address, keys: keys.public(), owner: None, v6: None };
        (NodeEntry { node, address, key: keys.public().agree }, keys, network.certify(subject))
    }

    /// A super-peer that was told of these: as one of so few that all are members, or of a ring.
    fn told(network: &mut Network, now: Instant, others: &[NodeEntry], up: u16) -> SuperPeer {
        let mut machine = serving(network, now);
        let me = *machine.ring.me();
        let mut all: Vec<NodeEntry> = others.iter().copied().chain([me]).collect();
        all.sort_by_key(|entry| entry.node);
        let config = Config::with_thresholds(up, up / 2);
        machine.ring = Ring::among(now, config, me, Entropy::new([5; 32]).jitter, &all);
        machine.proofs.hurry(now);
        machine
    }

    /// Lets time pass in a world in which nobody answers; no dial is told to have failed.
    fn pass(machine: &mut SuperPeer, now: Instant, time: Duration) {
        for second in 0..=time.as_secs() {
            machine.proofs_due(now + Duration::from_secs(second));
        }
        while !matches!(machine.poll_output(), Output::Wait(..)) {}
    }

    #[test]
    fn members_that_nobody_proves_are_told_to_nobody_and_dropped() {
        let now = Instant::now();
        let mut network = Network::new(1);
        let (real, _, chain) = certified(&mut network, 5000);
        let mut other = Network::new(2);
        let (foreign, _, forged) = certified(&mut other, 5001);
        let invented = (6000..6100).map(|number| certified(&mut other, number).0);
        let others: Vec<NodeEntry> = invented.chain([real, foreign]).collect();
        let mut machine = told(&mut network, now, &others, 2048);
        assert_eq!(machine.ring.known().len(), 102);
        for statement in [chain, forged] {
            machine.prove(now, statement.holder.expect("a node's"));
        }
        let me = *machine.ring.me();
        assert_eq!(machine.some_members(now), [me, real]);
        pass(&mut machine, now, UNPROVEN_MAX + BUSY * 2);
        assert_eq!(machine.ring.known(), [real], "who is proven stays");
        assert!(machine.proofs.missing.is_empty());
        machine.ring.handle_closed(now, &real.node);
        machine.proofs_due(now + UNPROVEN_MAX * 2);
        assert_eq!(machine.proofs.next_due(), None, "who is alone looks at nobody");
    }

    #[test]
    fn in_a_ring_only_proven_fingers_are_named_as_a_way_on() {
        let now = Instant::now();
        let mut network = Network::new(1);
        let nodes: Vec<_> = (5000..5100).map(|number| certified(&mut network, number)).collect();
        let others: Vec<NodeEntry> = nodes.iter().map(|(entry, ..)| *entry).collect();
        let mut machine = told(&mut network, now, &others, 32);
        assert_eq!(machine.ring.mode(), Mode::Chord);
        let key = crate::ids::RingKey(machine.ring.me().node.0.map(|byte| byte ^ 0x80));
        let named = |machine: &SuperPeer| {
            let near = crate::lookup::Near::of_reply(machine.nearest_proven(now, &key, 8));
            near.expect("it is one").nodes().to_vec()
        };
        let closest = machine.nearest(&key, 8).nodes().to_vec();
        assert!(closest.len() > 4);
        assert!(named(&machine).is_empty());
        for (_, _, chain) in nodes {
            machine.prove(now, chain.holder.expect("a node's"));
        }
        pass(&mut machine, now, BUSY * 2);
        assert_eq!(named(&machine), closest);
    }

    #[test]
    fn a_statement_proves_its_own_node_alone_and_while_it_holds() {
        let now = Instant::now();
        let mut network = Network::new(1);
        let (entry, _, chain) = certified(&mut network, 5000);
        let device = network.device("alice").chain;
        let mut machine = told(&mut network, now, &[entry], 2048);
        for statement in [chain.holder, device.holder, Some(chain.authority.clone())] {
            machine.prove(now, statement.expect("they are there"));
        }
        let is_proven = |entry, wall| machine.proofs.is_proven(&entry, wall);
        assert!(is_proven(entry, NOW));
        assert_eq!(machine.proofs.held.len(), 1);
        let elsewhere = SocketAddr::from(([198, 51, 100, 7], 5001));
        assert!(!is_proven(NodeEntry { address: elsewhere, ..entry }, NOW));
        assert!(!is_proven(NodeEntry { key: machine.ring.me().key, ..entry }, NOW));
        assert!(!is_proven(entry, NOW.plus(Duration::from_secs(15 * 86_400))), "it has ended");
        let Enrolment::Certificates { statements } =
            machine.certificates_of(&[entry.node, machine.ring.me().node, NodeId([7; 20])], 12)
        else {
            panic!("no certificates")
        };
        assert_eq!(statements.len(), 2, "its and our own");
        let size = minicbor::len(&statements[0]);
        assert!((150..260).contains(&size), "docs/decisions.md says what one costs: {size} bytes");
    }

    /// Carries bytes between a super-peer and the one that it dials, who holds `keys`.
    fn meet(machine: &mut SuperPeer, now: Instant, root: &Network, keys: &Keys, chain: Chain) {
        let welcomes = vec![(Service::SuperPeer, Welcome::Certified)];
        let key = LinkKey::from_secret(&keys.link.secret());
        let secrets = Entropy::new([9; 32]).secrets;
        let mut there = Links::new(key, Some(root.root()), welcomes, secrets);
        there.certify(chain);
        let (here, from) = (LinkId::Accepted(1), SocketAddr::from(([192, 0, 2, 1], 4433)));
        loop {
            match machine.poll_output() {
                Output::Link(id, LinkOrder::Dial { service, .. }) => {
                    let accepted = LinkEvent::Accepted { from, service };
                    there.handle(now, NOW, here, accepted);
                    machine.handle(now, Input::Link(id, LinkEvent::Connected { local: from }));
                }
                Output::Link(id, LinkOrder::Bytes(bytes)) => {
                    there.handle(now, NOW, here, LinkEvent::Bytes(&bytes));
                    while let Some((_, order)) = there.poll_order() {
                        let bytes = match &order {
                            LinkOrder::Bytes(bytes) | LinkOrder::Media(bytes) => {
                                LinkEvent::Bytes(bytes)
                            }
                            LinkOrder::Dial { .. } | LinkOrder::Close => {
                                LinkEvent::Down(LinkDown::Closed)
                            }
                        };
                        machine.handle(now, Input::Link(id, bytes));
                    }
                }
                Output::Wait(..) => return,
                Output::Link(_, LinkOrder::Close | LinkOrder::Media(_))
                | Output::Send(_)
                | Output::Path(..)
                | Output::RelayPort(..)
                | Output::Voice(..)
                | Output::Nearby(_)
                | Output::Save(..)
                | Output::Work(..)
                | Output::Notify(_) => {}
            }
        }
    }

    #[test]
    fn a_forged_place_with_a_real_key_ends_at_the_handshake() {
        let now = Instant::now();
        let mut network = Network::new(1);
        let (real, keys, chain) = certified(&mut network, 5000);
        let forged = NodeEntry { node: NodeId([0x77; 20]), ..real };
        let mut machine = told(&mut network, now, &[forged], 2048);
        machine.link_to(now, &forged);
        meet(&mut machine, now, &network, &keys, chain.clone());
        assert!(machine.ring.known().is_empty(), "there is no such node");
        assert_eq!(machine.contacts.open(&forged.node), None);
        let mut machine = told(&mut network, now, &[real], 2048);
        machine.link_to(now, &real);
        meet(&mut machine, now, &network, &keys, chain);
        assert!(machine.contacts.open(&real.node).is_some());
        assert_eq!(machine.proven(now, machine.ring.known()), [real], "its link has proven it");
    }
}
