//! Our place on the ring: the ring's questions are put, its neighbours are linked, and what it says
//! of others is kept. DESIGN 2.5.
//!
//! [`Ring`] decides; this room carries. A super-peer counts as dead when it cannot be reached by a
//! new connection, or leaves a question unanswered; a link that closes is no death by itself, since
//! whoever opened it may have let it go.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::ids::{NodeId, RingKey};
use crate::lookup::Near;
use crate::port::{LinkId, Service};
use crate::secure::link::Expect;
use crate::secure::links::{Closed, Who};
use crate::wire::directory::{Directory, NodeEntry, SUPER_PEERS_MAX};
use crate::wire::ring::{Question, Reply};

use super::contacts::Lost;
use super::ring::{Mode, Order, Ring};
use super::{About, SETTLE, SuperPeer};

/// How often, on average, a super-peer is asked whom it knows. Our choice: two halves of a network
/// that have one member in common are one again within minutes, for a few kB.
const GOSSIP_EVERY: Duration = Duration::from_secs(60);
/// How often idle links are looked for.
const LET_GO_EVERY: Duration = Duration::from_secs(20);

/// A question of the ring that is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RingAsk {
    /// The ring's own number for it.
    ask: u32,
    to: NodeEntry,
    question: Question,
    /// Whether it was put a second time, because the first link closed under it.
    again: bool,
}

/// What this room has to do next.
#[derive(Debug, Default)]
pub(super) struct Chores {
    /// When registrations are handed over, after a change around us.
    settle: Option<Instant>,
    /// When somebody is asked next whom it knows.
    gossip: Option<Instant>,
    /// When idle links are let go next.
    let_go: Option<Instant>,
}

impl Chores {
    pub(super) fn next_due(&self) -> Option<Instant> {
        [self.settle, self.gossip, self.let_go].into_iter().flatten().min()
    }
}

impl SuperPeer {
    /// Takes our place: from now on we are a member, or will soon be one.
    pub(super) fn take_place(&mut self, now: Instant, ring: Ring, doors: &[NodeEntry]) {
        self.ring = ring;
        // Those with our key are ourselves, at addresses of before.
        let me = self.ring.me().key;
        let others: Vec<NodeEntry> = doors.iter().filter(|door| door.key != me).copied().collect();
        self.ring.start(now, &others);
        self.gossip_later(now);
    }

    /// Does what the ring wants, until it wants nothing.
    pub(super) fn turn_ring(&mut self, now: Instant) {
        while let Some(order) = self.ring.poll() {
            match order {
                Order::Ask { ask, to, question } => {
                    self.put_ring_question(now, RingAsk { ask, to, question, again: false });
                }
                Order::Changed => {
                    self.chores.settle.get_or_insert(now + SETTLE);
                    self.watching.changed(now);
                    self.proofs.hurry(now);
                    self.link_neighbours(now);
                }
                Order::Gone(node) => self.keeper_gone(now, &node),
            }
        }
    }

    fn put_ring_question(&mut self, now: Instant, asked: RingAsk) {
        let (to, question) = (asked.to, asked.question.clone());
        let about = About::Ring(Box::new(asked));
        match question {
            Question::Nearest { .. } if self.ring.mode() != Mode::Outside => {
                self.question(now, &to, about, question.into());
            }
            // The others are believed because of who says them; and who joins is in a hurry: a
            // connection is refused at once where a datagram is lost.
            Question::Nearest { .. }
            | Question::State { .. }
            | Question::Rectify
            | Question::Leaving { .. }
            | Question::News { .. }
            | Question::Changed => {
                let link = self.link_to(now, &to);
                self.ask(now, link, about, question);
            }
        }
    }

    /// A question of the ring was answered.
    pub(super) fn ring_answered(&mut self, now: Instant, asked: &RingAsk, reply: Option<Reply>) {
        self.ring.handle_reply(now, asked.ask, reply);
    }

    /// The link closed under a question of the ring: it is put once more if the link was open.
    pub(super) fn ring_link_closed(&mut self, now: Instant, asked: RingAsk, was_open: bool) {
        if was_open && !asked.again {
            self.put_ring_question(now, RingAsk { again: true, ..asked });
        } else {
            self.ring_answered(now, &asked, None);
        }
    }

    pub(super) fn handle_ring_question(
        &mut self,
        now: Instant,
        link: LinkId,
        who: &Who,
        ask: u32,
        question: Question,
    ) {
        let reply = match (who, question) {
            (Who::Node(_), Question::Nearest { .. }) if self.ring.mode() == Mode::Outside => {
                Reply::Outside
            }
            (Who::Node(_) | Who::Device { .. }, Question::Nearest { key, width }) => {
                self.nearest_proven(now, &key, width)
            }
            (Who::Node(from), question) => {
                if matches!(question, Question::Leaving { .. }) {
                    self.watching.home_left(&from.node);
                }
                self.ring.handle_question(now, *from, question)
            }
            (Who::Device { .. } | Who::Guest(_) | Who::Authority, _) => Reply::Outside,
        };
        self.answer(now, link, ask, reply);
    }

    /// What we say to others about a key: the way on leads by those who are proven.
    pub(super) fn nearest_proven(&self, now: Instant, key: &RingKey, width: u8) -> Reply {
        match self.nearest(key, width) {
            Near::Closer(nodes) if self.ring.mode() == Mode::Chord => {
                Near::Closer(self.proven(now, nodes)).into_reply()
            }
            near @ (Near::Closer(_) | Near::Keepers(_)) => near.into_reply(),
        }
    }

    /// Another super-peer is linked.
    pub(super) fn node_linked(&mut self, now: Instant, entry: NodeEntry, link: LinkId) {
        if self.contacts.dialled_for(link).is_some_and(|wanted| *wanted != entry) {
            return self.nobody_such(now, link);
        }
        if let Some(statement) = self.links.statement(link).cloned() {
            self.prove(now, statement);
        }
        if self.contacts.opened(entry, link, now) {
            self.ring.found_again(now, entry);
        }
        self.tell_load(now, link);
        self.tell_policy(now, link);
        self.tell_alternate_to(now, link);
    }

    /// There is no link to a super-peer any more. A neighbour is dialled at once: only if that
    /// fails it is dead.
    pub(super) fn node_gone(&mut self, now: Instant, lost: &Lost, why: &Closed) {
        let node = &lost.entry.node;
        self.watches_lost(now, node, why);
        self.electing.node_gone(node);
        self.handing_lost(node);
        if !lost.was_open {
            let jitter = &mut self.entropy.jitter;
            self.contacts.lost(lost.entry, now, jitter);
            self.ring.handle_closed(now, node);
            self.home_dead(now, node);
        } else if self.is_neighbour(node) || self.watching.holds_list_of(node) {
            self.link_to(now, &lost.entry);
        }
    }

    fn link_neighbours(&mut self, now: Instant) {
        for neighbour in self.neighbours() {
            self.link_to(now, &neighbour);
        }
    }

    fn neighbours(&self) -> Vec<NodeEntry> {
        self.ring.predecessor().into_iter().chain(self.ring.successors()).collect()
    }

    fn is_neighbour(&self, node: &NodeId) -> bool {
        self.neighbours().iter().any(|neighbour| neighbour.node == *node)
    }

    /// A link to that super-peer: the one there is, or a new one (what is sent waits for it).
    pub(super) fn link_to(&mut self, now: Instant, entry: &NodeEntry) -> LinkId {
        if let Some(link) = self.contacts.road(&entry.node, now) {
            return link;
        }
        let expect = Expect::Key(entry.key);
        let link = self.links.dial(now, entry.address, Service::SuperPeer, expect);
        self.contacts.dialling(*entry, link, now);
        self.chores.let_go.get_or_insert(now + LET_GO_EVERY);
        link
    }

    /// What is due here.
    pub(super) fn chores_due(&mut self, now: Instant) {
        for entry in self.contacts.due(now) {
            self.link_to(now, &entry);
        }
        if self.chores.settle.is_some_and(|at| at <= now) {
            self.chores.settle = None;
            self.hand_over(now);
            self.keep_members(now);
        }
        if self.chores.gossip.is_some_and(|at| at <= now) {
            self.gossip_later(now);
            if let Some(link) = self.contacts.any_linked(&mut self.entropy.jitter) {
                self.ask(now, link, About::Members, Directory::ListSuperPeers);
            }
        }
        if self.chores.let_go.is_some_and(|at| at <= now) {
            self.chores.let_go = None;
            self.let_go(now);
        }
    }

    fn gossip_later(&mut self, now: Instant) {
        let jitter = self.entropy.jitter.below(GOSSIP_EVERY.as_millis() as u64);
        self.chores.gossip = Some(now + GOSSIP_EVERY / 2 + Duration::from_millis(jitter));
    }

    /// Closes links that nobody needs: neither ring nor watches.
    fn let_go(&mut self, now: Instant) {
        let mut held: BTreeSet<NodeId> = self.neighbours().iter().map(|n| n.node).collect();
        held.extend(self.watching.homes());
        held.extend(self.clients.watching_homes());
        held.extend(self.handing_to());
        for link in self.contacts.let_go(now, &held) {
            for about in self.asks.link_down(link) {
                self.ask_failed(now, about);
            }
            self.links.close(link);
        }
        if self.contacts.has_dialled() {
            self.chores.let_go = Some(now + LET_GO_EVERY);
        }
    }

    /// Another super-peer has told whom it knows.
    pub(super) fn members_told(&mut self, nodes: &[NodeEntry]) {
        self.ring.remember(nodes);
        self.ring.heard(nodes);
    }

    /// Super-peers that we know, ourselves first, the rest by lot.
    pub(super) fn some_members(&mut self, now: Instant) -> Vec<NodeEntry> {
        let mut known = self.proven(now, self.ring.known());
        // The first of a shuffle (Fisher and Yates) that is broken off.
        for at in 0..known.len().min(SUPER_PEERS_MAX - 1) {
            let lot = self.entropy.jitter.below((known.len() - at) as u64) as usize;
            known.swap(at, at + lot);
        }
        known.truncate(SUPER_PEERS_MAX - 1);
        known.insert(0, *self.ring.me());
        known
    }

    /// Writes down whom we know, so that a restart finds them without the authority.
    fn keep_members(&mut self, now: Instant) {
        let mut nodes = self.proven(now, self.ring.known());
        nodes.truncate(SUPER_PEERS_MAX);
        let Some(record) = &mut self.config.enrolled else { return };
        if !nodes.is_empty() && record.nodes != nodes {
            record.nodes = nodes;
            let record = record.clone();
            self.save_enrolment(record);
        }
    }
}
