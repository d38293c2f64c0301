//! Whom a super-peer lets in, and whom it sends elsewhere: its [`Budgets`](super::budgets::Budgets)
//! at work. DESIGN 2.12.
//!
//! Invariant: nobody is served above a limit. Who links too often loses the oldest of these links;
//! who asks too much is told so; who has come last to a crowded home is told of others, and is
//! served until it goes there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::port::{LinkId, LinkOrder, Output};
use crate::secure::links::Who;
use crate::wire::bounded::List;
use crate::wire::directory::{Directory, DirectoryRefusal, HOMES_MAX, NodeEntry};
use crate::wire::election::Election;
use crate::wire::enrolment::Enrolment;
use crate::wire::forward::{Forward, Undelivered};
use crate::wire::frame::Message;
use crate::wire::nat::{Nat, NatRefusal};
use crate::wire::posting::{PostingRefusal, Postings};

use super::SuperPeer;
use super::budgets::{Asker, Kind};
use super::directory::refused;
use super::leaving::Leaving;
use super::relay::Relay;

/// How long a client that was sent elsewhere may stay beyond its time. Our choice: that of a
/// handshake on a poor line.
const LINGER: Duration = Duration::from_secs(10);

/// The clients that were sent elsewhere: until when they are served; and whether all are.
#[derive(Debug, Default)]
pub(super) struct Moving {
    clients: BTreeMap<LinkId, Instant>,
    pub(super) leaving: Leaving,
}

impl Moving {
    /// Its link is down. Answers whether it was sent elsewhere.
    pub(super) fn gone(&mut self, link: LinkId) -> bool {
        self.clients.remove(&link).is_some()
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.clients.values().copied().chain(self.leaving.next_due()).min()
    }
}

impl SuperPeer {
    /// Connections that others have made: links, and those of the relay's clients.
    pub(super) fn connections(&self) -> usize {
        self.links.accepted().count() + self.relay.as_ref().map_or(0, Relay::links)
    }

    /// Whether somebody from there may link; else the link is closed.
    pub(super) fn admits_link(&mut self, link: LinkId, from: SocketAddr) -> bool {
        let limits = *self.budgets.limits();
        let household = Asker::stranger(from.ip());
        let (mut strangers, mut near) = (0, 0);
        for (_, remote, who) in self.links.accepted() {
            if asker_of(who).is_none() {
                strangers += 1;
                near += usize::from(Asker::stranger(remote.ip()) == household);
            }
        }
        let has_room = self.connections() < limits.links
            && strangers < limits.stranger_links
            && near < limits.links_each_stranger;
        if !has_room {
            self.counters.turned_away += 1;
            self.out.push_back(Output::Link(link, LinkOrder::Close));
        }
        has_room
    }

    /// It is known who has linked: the oldest links of theirs that are too many are closed.
    pub(super) fn named(&mut self, now: Instant, who: &Who) {
        let Some(asker) = asker_of(Some(who)) else { return };
        let theirs =
            self.links.accepted().filter(|(.., who)| asker_of(*who) == Some(asker.clone()));
        let links: Vec<LinkId> = theirs.map(|(link, ..)| link).collect();
        let excess = links.len().saturating_sub(self.budgets.limits().links_each);
        for link in links.into_iter().take(excess) {
            self.counters.turned_away += 1;
            self.hang_up(now, link);
        }
    }

    /// Whether a message that came is within the budgets; else its sender is told.
    pub(super) fn admits(
        &mut self,
        now: Instant,
        link: LinkId,
        who: &Who,
        ask: u32,
        message: &Message,
    ) -> bool {
        let Some(cost) = cost_of(message) else { return true };
        let asker = asker_of(Some(who))
            .or_else(|| self.links.remote_address(link).map(|from| Asker::stranger(from.ip())));
        let Some(busy) = asker.and_then(|asker| self.budgets.admit(now, cost, &asker).err()) else {
            return true;
        };
        self.counters.refused += 1;
        match message {
            Message::Directory(Directory::Attach { .. }) if !self.clients.has_link(link) => {
                self.move_on(now, link, ask, busy.retry_after);
            }
            Message::Directory(_) => self.answer(now, link, ask, refused(DirectoryRefusal::Busy)),
            Message::Forward(_) => {
                let reason = Undelivered::TooMuch;
                self.answer(now, link, ask, Forward::Undelivered { reason });
            }
            Message::Nat(_) => {
                let reason = NatRefusal::TooSoon;
                self.answer(now, link, ask, Nat::Refused { reason });
            }
            Message::Postings(_) => {
                let reason = PostingRefusal::Busy;
                self.answer(now, link, ask, Postings::Refused { reason });
            }
            // A neighbour on the ring counts silence as it counts a lost question.
            Message::RingQuestion(_) | Message::RingReply(_) => {}
            Message::Login(_) | Message::Enrolment(_) | Message::Election(_) => {}
        }
        false
    }

    /// Whether a question that came in a datagram is within the budgets; else it stays unanswered.
    pub(super) fn admits_datagram(&mut self, now: Instant, from: SocketAddr) -> bool {
        let asker = Asker::stranger(from.ip());
        let is_admitted = self.budgets.admit(now, Kind::Question, &asker).is_ok();
        self.counters.refused += u64::from(!is_admitted);
        is_admitted
    }

    /// Whether one client more may come.
    pub(super) fn has_room_for_a_client(&self) -> bool {
        let is_open = !self.moving.leaving.is_under_way() && !self.lookups.is_full();
        is_open && self.clients.len() < self.budgets.limits().clients
    }

    /// Somebody wants to be at home here, and there is no room.
    pub(super) fn send_elsewhere(&mut self, now: Instant, link: LinkId, ask: u32) {
        self.counters.refused += 1;
        let after = self.budgets.refuse(now);
        self.move_on(now, link, ask, after);
    }

    fn move_on(&mut self, now: Instant, link: LinkId, ask: u32, after: Duration) {
        let homes = List::first_of(self.others_by_lot(now, HOMES_MAX));
        let after_ms = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
        self.links.send(now, link, ask, Directory::MoveOn { homes, after_ms });
    }

    /// Some other super-peers.
    fn others_by_lot(&mut self, now: Instant, most: usize) -> Vec<NodeEntry> {
        let me = self.ring.me().node;
        let some = self.some_members(now);
        some.into_iter().filter(|node| node.node != me).take(most).collect()
    }

    /// Hands clients over when there are too many, and lets go those that were handed over and have
    /// not gone.
    pub(super) fn shed_due(&mut self, now: Instant) {
        let late: Vec<LinkId> = self
            .moving
            .clients
            .iter()
            .filter(|(_, until)| **until <= now)
            .map(|(l, _)| *l)
            .collect();
        for link in late {
            self.hang_up(now, link);
        }
        self.leaving_due(now);
        let waits = self.budgets.poll_shed(now, self.staying());
        if self.ring.known().is_empty() {
            return;
        }
        let newest = self.clients.newest().filter(|link| !self.moving.clients.contains_key(link));
        let leaving: Vec<(LinkId, Duration)> = newest.zip(waits).collect();
        for (link, wait) in leaving {
            self.hand_on(now, link, wait, now + wait + LINGER);
        }
    }

    /// Tells a client of others, and to go to one after a while; it is served until then.
    pub(super) fn hand_on(&mut self, now: Instant, link: LinkId, wait: Duration, until: Instant) {
        self.counters.handed_over += 1;
        self.moving.clients.insert(link, until);
        self.move_on(now, link, 0, wait);
    }

    pub(super) fn next_shed(&self) -> Option<Instant> {
        let shed = self.budgets.poll_timeout(self.staying());
        shed.into_iter().chain(self.moving.next_due()).min()
    }

    /// Clients that were not sent elsewhere.
    fn staying(&self) -> usize {
        self.clients.len() - self.moving.clients.len()
    }
}

fn asker_of(who: Option<&Who>) -> Option<Asker> {
    match who? {
        Who::Device { address, .. } => Some(Asker::Device(address.clone())),
        Who::Node(entry) => Some(Asker::Node(entry.node)),
        Who::Authority | Who::Guest(_) => None,
    }
}

/// What a message costs; nothing, when it is an answer or only an authority sends it.
fn cost_of(message: &Message) -> Option<Kind> {
    match message {
        Message::Directory(message) => match message {
            Directory::Attach { .. }
            | Directory::Find { .. }
            | Directory::FindForMe { .. }
            | Directory::ListSuperPeers => Some(Kind::Question),
            Directory::Put { .. } | Directory::Offer { .. } => Some(Kind::Upkeep),
            Directory::Attached { .. }
            | Directory::Kept
            | Directory::Wanted { .. }
            | Directory::Found { .. }
            | Directory::NotHere { .. }
            | Directory::SuperPeers { .. }
            | Directory::Refused { .. }
            | Directory::MoveOn { .. } => None,
        },
        Message::Forward(message) => match message {
            Forward::Deliver { sealed, .. } | Forward::ThroughYou { sealed, .. } => {
                Some(Kind::Envelope(sealed.len()))
            }
            Forward::Watch { .. } => Some(Kind::Question),
            Forward::Gone { .. }
            | Forward::Lost { .. }
            | Forward::Subscribers { .. }
            | Forward::HomeDead { .. }
            | Forward::Subscribed { .. }
            | Forward::Unwatch { .. } => Some(Kind::Upkeep),
            Forward::Delivered
            | Forward::Undelivered { .. }
            | Forward::Watching
            | Forward::Copied => None,
        },
        Message::Nat(message) => match message {
            Nat::DialBack { .. } | Nat::RelayCredentials => Some(Kind::Question),
            Nat::Turned { .. } => Some(Kind::Upkeep),
            Nat::DialedBack { .. }
            | Nat::RelayGrant { .. }
            | Nat::Refused { .. }
            | Nat::Alternate { .. } => None,
        },
        Message::Postings(message) => match message {
            Postings::FindWord { .. } | Postings::PostForMe { .. } | Postings::FindForMe { .. } => {
                Some(Kind::Question)
            }
            Postings::Post { .. } => Some(Kind::Upkeep),
            Postings::Posted { .. } | Postings::Listed { .. } | Postings::Refused { .. } => None,
        },
        Message::Election(message) => match message {
            Election::Ask { .. } => Some(Kind::Question),
            Election::Load { .. } => Some(Kind::Upkeep),
            Election::Around { .. } | Election::Invited => None,
        },
        Message::RingQuestion(_) => Some(Kind::Upkeep),
        Message::Enrolment(Enrolment::CertificatesOf { .. } | Enrolment::Policy { .. }) => {
            Some(Kind::Upkeep)
        }
        Message::Enrolment(_) | Message::RingReply(_) | Message::Login(_) => None,
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
mod tests {
    use super::super::testing::serving;
    use super::*;
    use crate::port::{Input, LinkEvent, Machine, Service};
    use crate::secure::testing::{Device, Network};
    use crate::super_peer::budgets::{Budgets, Limits};
    use crate::wire::bounded::Bytes;
    use crate::wire::forward::Address;
    use crate::wire::ring::Question;

    /// How many links of these addresses are taken.
    fn taken(
        machine: &mut SuperPeer,
        now: Instant,
        from: impl Iterator<Item = SocketAddr>,
    ) -> usize {
        for (number, from) in from.enumerate() {
            let event = LinkEvent::Accepted { from, service: Service::SuperPeer };
            machine.handle(now, Input::Link(LinkId::Accepted(number as u32), event));
        }
        machine.links.accepted().count()
    }

    #[test]
    fn strangers_take_a_part_of_the_links_and_one_address_a_part_of_that() {
        let now = Instant::now();
        let mut network = Network::new(1);
        let Limits { stranger_links, links_each_stranger, .. } = Limits::default();
        let mut machine = serving(&mut network, now);
        let one = (0..1000).map(|port| SocketAddr::from(([198, 51, 100, 1], port)));
        assert_eq!(taken(&mut machine, now, one), links_each_stranger);
        let mut machine = serving(&mut network, now);
        let many =
            (0..1000).map(|at: u16| SocketAddr::from(([198, 51, (at >> 8) as u8, at as u8], 9)));
        assert_eq!(taken(&mut machine, now, many), stranger_links);
        assert_eq!(machine.counters.turned_away as usize, 1000 - stranger_links);
    }

    fn device(network: &mut Network, number: u32) -> Who {
        let Device { user, id, identity, keys, .. } = network.device(&format!("user{number}"));
        Who::Device { address: Address { user, device: id }, identity, keys: keys.public() }
    }

    #[test]
    fn each_is_refused_above_its_limit_all_above_theirs_and_the_ring_is_not() {
        let now = Instant::now();
        let mut network = Network::new(1);
        let mut machine = serving(&mut network, now);
        machine.budgets =
            Budgets::new(now, Limits::default().for_questions(50), machine.entropy.jitter.split());
        let who = device(&mut network, 0);
        let Who::Device { address: to, .. } = who.clone() else { panic!("it is one") };
        let sealed = Bytes::new(vec![0; 60_000]).expect("short");
        let envelope = Message::from(Forward::Deliver { to, sealed });
        let question = Message::from(Directory::ListSuperPeers);
        let upkeep = Message::from(Question::State { known: 0 });
        let (link, mut carried) = (LinkId::Accepted(1), 0);
        while machine.admits(now, link, &who, 1, &envelope) {
            carried += 1;
        }
        assert_eq!(carried, Limits::default().each_device.bytes_at_once / 60_000);
        assert!(machine.admits(now, link, &who, 1, &question), "it is the bytes that are too many");
        let others = (1..200).filter(|number| {
            let other = device(&mut network, *number);
            machine.admits(now, link, &other, 1, &question)
        });
        assert_eq!(others.count() as u32 + carried + 1, 100, "twice a second's worth at once");
        let node = Who::Node(*machine.ring.me());
        assert!(!machine.admits(now, link, &node, 1, &question));
        assert!(machine.admits(now, link, &node, 1, &upkeep));
    }
}
