//! Handing registrations and profiles over when the ring around us has changed. DESIGN 2.5: on
//! join, at a polite leave, and after a crash within 20 s.
//!
//! The first keeper of a key sees to it that the others hold it: at each change it offers what it
//! owns to the keepers behind it. What lies before our predecessor is not ours to own; it is
//! offered to the predecessor, who may be new there. An offer names records and counters; only what
//! the other lacks is sent. So a key's records come to its keepers whoever joins, leaves or dies,
//! and a copy that is one too many is offered once more and expires.
//!
//! Invariants: to one node one offer is under way; nothing is sent unasked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::ids::{NodeId, RingKey};
use crate::port::LinkId;
use crate::wire::bounded::List;
use crate::wire::directory::{Directory, NodeEntry, OFFERED_MAX, Offered};
use crate::wire::forward::Address;
use crate::wire::frame::Message;

use super::postings::PostingName;
use super::{About, SuperPeer, keeper};

/// Who has too much to do is offered again after such a pause at most, full jitter. Our choice:
/// budgets fill by the second.
const RESUME: Duration = Duration::from_secs(2);

/// Names a record that is kept here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kept {
    /// The registration of a device.
    Registration(Address),
    /// A profile under one of its words.
    Posting(PostingName),
}

impl Kept {
    fn ring_key(&self) -> RingKey {
        match self {
            Self::Registration(address) => address.user.ring_key(),
            Self::Posting(name) => name.ring_key(),
        }
    }

    fn record(&self) -> u64 {
        match self {
            Self::Registration(address) => keeper::record_of(address),
            Self::Posting(name) => name.record(),
        }
    }
}

/// What is being handed over, by the node that it goes to.
#[derive(Debug, Default)]
pub(super) struct Handings {
    running: BTreeMap<NodeId, Handing>,
}

#[derive(Debug)]
struct Handing {
    to: NodeEntry,
    /// Not offered yet.
    left: BTreeSet<Kept>,
    /// Offered, or sent and not acknowledged.
    offered: Vec<Kept>,
    unanswered: usize,
    /// The other has too much to do: when it is offered again.
    resumes: Option<Instant>,
}

impl Handings {
    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        let waiting = self.running.values().filter(|handing| handing.unanswered == 0);
        waiting.filter_map(|handing| handing.resumes).min()
    }
}

impl SuperPeer {
    /// The ring around us has changed: who should hold what we hold is offered it.
    pub(super) fn hand_over(&mut self, now: Instant) {
        let copies = usize::from(self.standing.keepers()).saturating_sub(1);
        let mut behind = self.ring.successors();
        behind.truncate(copies);
        let predecessor = self.ring.predecessor();
        let registrations = self.keeper.addresses().map(Kept::Registration);
        let profiles = self.profiles.store.names().map(Kept::Posting);
        let (owned, others): (Vec<Kept>, Vec<Kept>) =
            registrations.chain(profiles).partition(|kept| self.ring.owns(&kept.ring_key()));
        for node in &behind {
            self.hand(now, node, &owned);
        }
        if let Some(before) = predecessor
            && behind.iter().all(|node| node.node != before.node)
        {
            self.hand(now, &before, &others);
        }
    }

    /// A record has come that is not ours to own: it is passed on towards its owner, unless it came
    /// from there.
    pub(super) fn pass_back(&mut self, now: Instant, from: &NodeId, kept: &Kept) {
        let Some(before) = self.ring.predecessor() else { return };
        let came_from_behind = self.ring.successors().iter().any(|node| node.node == *from);
        if came_from_behind && before.node != *from && !self.ring.owns(&kept.ring_key()) {
            self.hand(now, &before, std::slice::from_ref(kept));
        }
    }

    fn counter_of(&self, kept: &Kept) -> Option<u64> {
        match kept {
            Kept::Registration(address) => self.keeper.counter(address),
            Kept::Posting(name) => self.profiles.store.counter(name),
        }
    }

    /// What another keeper is told to hold, if we hold it.
    fn put_of(&self, kept: &Kept) -> Option<Message> {
        match kept {
            Kept::Registration(address) => self.keeper.put_of(address).map(Message::from),
            Kept::Posting(name) => self.profiles.store.post_of(name).map(Message::from),
        }
    }

    fn hand(&mut self, now: Instant, to: &NodeEntry, records: &[Kept]) {
        if records.is_empty() {
            return;
        }
        let handing = self.handings.running.entry(to.node).or_insert_with(|| Handing {
            to: *to,
            left: BTreeSet::new(),
            offered: Vec::new(),
            unanswered: 0,
            resumes: None,
        });
        let is_idle = handing.unanswered == 0 && handing.resumes.is_none();
        handing.left.extend(records.iter().cloned());
        if is_idle {
            self.offer(now, &to.node);
        }
    }

    /// Offers the next records.
    fn offer(&mut self, now: Instant, to: &NodeId) {
        let Some(mut handing) = self.handings.running.remove(to) else { return };
        let (mut records, mut offered) = (Vec::new(), Vec::new());
        while records.len() < OFFERED_MAX {
            let Some(kept) = handing.left.pop_first() else { break };
            if let Some(counter) = self.counter_of(&kept) {
                records.push(Offered { record: kept.record(), counter });
                offered.push(kept);
            }
        }
        if records.is_empty() {
            return;
        }
        (handing.offered, handing.unanswered) = (offered, 1);
        let to = handing.to;
        self.handings.running.insert(to.node, handing);
        let link = self.link_to(now, &to);
        let records = List::first_of(records);
        self.ask(now, link, About::Offer(to.node), Directory::Offer { records });
    }

    /// Which of an offer we lack.
    pub(super) fn handle_offer(
        &mut self,
        now: Instant,
        link: LinkId,
        ask: u32,
        records: &[Offered],
    ) {
        let lacks = |(_, offered): &(usize, &Offered)| {
            self.keeper.lacks(offered) && !self.profiles.store.has(offered)
        };
        let places = records.iter().enumerate().filter(lacks).map(|(at, _)| at as u16);
        let places = List::first_of(places.collect::<Vec<u16>>());
        self.answer(now, link, ask, Directory::Wanted { places });
    }

    /// An offer was answered (none: it was not).
    pub(super) fn offer_answered(&mut self, now: Instant, to: &NodeId, places: Option<&[u16]>) {
        let Some(handing) = self.handings.running.get_mut(to) else { return };
        handing.unanswered = 0;
        let Some(places) = places else {
            self.handings.running.remove(to);
            return;
        };
        let offered = std::mem::take(&mut handing.offered);
        let entry = handing.to;
        let mut wanted: Vec<u16> = places.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let puts: Vec<Message> =
            wanted.iter().filter_map(|at| self.put_of(offered.get(usize::from(*at))?)).collect();
        if let Some(handing) = self.handings.running.get_mut(to) {
            handing.unanswered = puts.len();
            handing.offered = offered;
        }
        let link = self.link_to(now, &entry);
        for put in &puts {
            self.ask(now, link, About::Handed(*to), put.clone());
        }
        if puts.is_empty() {
            self.offer(now, to);
        }
    }

    /// A record that we sent was taken, or was not: when all were answered, the next are offered.
    pub(super) fn handed(&mut self, now: Instant, to: &NodeId) {
        let Some(handing) = self.handings.running.get_mut(to) else { return };
        handing.unanswered = handing.unanswered.saturating_sub(1);
        if handing.unanswered == 0 && handing.resumes.is_none() {
            self.offer(now, to);
        }
    }

    /// The other has too much to do: what it was offered last is offered again later.
    pub(super) fn handing_busy(&mut self, now: Instant, to: &NodeId) {
        let Some(handing) = self.handings.running.get_mut(to) else { return };
        handing.unanswered = handing.unanswered.saturating_sub(1);
        handing.left.extend(handing.offered.drain(..));
        let pause = self.entropy.jitter.below(RESUME.as_millis() as u64 + 1);
        handing.resumes.get_or_insert(now + Duration::from_millis(pause));
    }

    pub(super) fn handings_due(&mut self, now: Instant) {
        let is_due = |handing: &Handing| {
            handing.unanswered == 0 && handing.resumes.is_some_and(|at| at <= now)
        };
        let due = self.handings.running.iter_mut().filter(|(_, handing)| is_due(handing));
        let due: Vec<NodeId> = due
            .map(|(node, handing)| {
                handing.resumes = None;
                *node
            })
            .collect();
        for node in due {
            self.offer(now, &node);
        }
    }

    /// The link to a node is gone: if it lives, the next change begins anew.
    pub(super) fn handing_lost(&mut self, to: &NodeId) {
        self.handings.running.remove(to);
    }

    /// Nodes that something is being handed to.
    pub(super) fn handing_to(&self) -> impl Iterator<Item = NodeId> {
        self.handings.running.keys().copied()
    }
}
