//! Moving to another home: the new one has taken us in before the old one is left. DESIGN 2.6,
//! 2.12.
//!
//! A home that has too much to do, or leaves, names others and says when to go. Then one of them is
//! linked and asked to take us in, while the old one goes on serving us. Once it has, it is our
//! home: the keepers hold a registration with a higher counter, and buddies are greeted from there.
//! The old link stays for [`STAY`], for what is on its way over it. A home that refuses says when
//! to come again; we stay until then and ask the next.
//!
//! Invariants: one other home is asked at a time; the old link is left only by us, and not before
//! the new home has answered; where the old one ends first, the new one is knocked at already.

use std::time::{Duration, Instant};

use crate::port::{LinkDown, LinkId, Service};
use crate::secure::link::Expect;
use crate::secure::links::Closed;
use crate::secure::registration::REFRESH;
use crate::wire::directory::{Directory, NodeEntry};
use crate::wire::epoch::EpochSecret;
use crate::wire::frame::Message;
use crate::wire::invite::Door;
use crate::wire::nat::Nat;

use super::super::{About, Peer};
use super::{Home, PAUSE_MAX, Seeking, door_of};

/// How long the old link stays after the new home has taken us in. Our choice: buddies have heard
/// of the new home by then, and what they sent before has come; a super-peer that leaves has little
/// longer.
const STAY: Duration = Duration::from_millis(500);

/// Where we are to go.
#[derive(Debug)]
pub(super) struct Move {
    /// Doors not tried yet, the next last: those named, then others that we know.
    pub(super) doors: Vec<Door>,
    /// When the next is tried.
    pub(super) next: Instant,
    trying: Option<Trying>,
}

/// The home that is asked to take us in.
#[derive(Debug)]
struct Trying {
    link: LinkId,
    door: Door,
    /// Known when the link is open; from then on it is asked.
    node: Option<NodeEntry>,
    /// What we are registered with has changed since it was asked.
    has_changed: bool,
}

impl Move {
    /// When something is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.trying.is_none().then_some(self.next)
    }

    /// Whether another home is being asked to register us: then the old one does not.
    pub(super) fn registers(&mut self) -> bool {
        let Some(trying) = self.trying.as_mut().filter(|trying| trying.node.is_some()) else {
            return false;
        };
        trying.has_changed = true;
        true
    }

    /// The link to the home that is asked.
    pub(super) fn link(&self) -> Option<LinkId> {
        self.trying.as_ref().map(|trying| trying.link)
    }
}

impl Peer {
    /// A home names others, and says when to go. If it serves us, we stay until another does; if it
    /// has not taken us in, we leave at once, and knock at that time.
    pub(in super::super) fn moved_on(
        &mut self,
        now: Instant,
        link: LinkId,
        homes: &[NodeEntry],
        after: Duration,
    ) {
        let next = now + after.min(PAUSE_MAX);
        let Home::Linked(home) = &mut self.home else { return };
        if home.link != link {
            if home.moves.as_ref().is_some_and(|moves| moves.link() == Some(link)) {
                self.not_moved_in(now, link, next);
            }
            return;
        }
        let mut doors: Vec<Door> = homes.iter().map(door_of).collect();
        if home.keepers.is_none() {
            home.moves = Some(Move { doors, next, trying: None });
            self.links.close(link);
            return self.link_closed(now, link, &Closed::Down(LinkDown::Closed));
        }
        if home.moves.as_ref().is_none_or(|moves| moves.trying.is_none()) {
            let own = door_of(&home.node);
            let mut others = self.super_peers.by_hope(&mut self.entropy.jitter);
            others.reverse();
            others.append(&mut doors);
            others.retain(|door| *door != own);
            home.moves = Some(Move { doors: others, next, trying: None });
        }
    }

    /// Seeks another home, as if ours had sent us on.
    pub(in super::super) fn move_away(&mut self, now: Instant) {
        let Some((link, home)) = self.home_link() else { return };
        self.super_peers.missed(&door_of(&home));
        self.moved_on(now, link, &[], Duration::ZERO);
    }

    /// Our links may be dead without having ended: that to our home is made anew while the old one
    /// stays, others when they are needed. Where there is no home, the next door is knocked at at
    /// once.
    pub(in super::super) fn doubt_home(&mut self, now: Instant) {
        self.doubt_roads(now);
        match &mut self.home {
            Home::Linked(home) if home.moves.is_none() => {
                let doors = vec![door_of(&home.node)];
                home.moves = Some(Move { doors, next: now, trying: None });
                self.moving_due(now);
            }
            Home::Seeking(seeking) if seeking.knocking.is_empty() => {
                seeking.next_knock = now;
                self.knock(now);
            }
            Home::Linked(_) | Home::Seeking(_) | Home::None => {}
        }
    }

    /// The addresses of this computer changed, or it slept.
    pub(in super::super) fn network_changed(&mut self, now: Instant) {
        self.nat_watch.forget();
        self.doubt_home(now);
        self.elsewhere();
        self.relays.in_another_network();
        if let Some(calls) = &mut self.calls {
            calls.handle_network(now);
        }
        if self.config.pretend.is_some() {
            return;
        }
        self.forget_reachability();
        if matches!(self.home, Home::Linked(_)) {
            self.start_nat_test(now);
            self.dial_back_again(now);
        }
    }

    /// Asks the next home, and leaves the old link, when it is time.
    pub(super) fn moving_due(&mut self, now: Instant) {
        let Home::Linked(home) = &mut self.home else { return };
        if let Some((old, _)) = home.left.take_if(|(_, until)| *until <= now) {
            self.let_go(now, old);
        }
        let Home::Linked(home) = &mut self.home else { return };
        let Some(moves) = home.moves.as_mut().filter(|m| m.trying.is_none() && m.next <= now)
        else {
            return;
        };
        let Some(door) = moves.doors.pop() else {
            home.moves = None;
            return;
        };
        let expect = Expect::Key(door.key);
        let link = self.links.dial(now, door.address, Service::SuperPeer, expect);
        moves.trying = Some(Trying { link, door, node: None, has_changed: false });
    }

    /// A super-peer's link is open: perhaps that of the home that is to be ours.
    pub(super) fn new_home_opened(&mut self, now: Instant, link: LinkId, node: NodeEntry) -> bool {
        let Home::Linked(home) = &mut self.home else { return false };
        let trying = home.moves.as_mut().and_then(|moves| moves.trying.as_mut());
        let Some(trying) = trying.filter(|trying| trying.link == link) else { return false };
        trying.node = Some(node);
        if let Some(attach) = self.attach_at(now, node) {
            self.ask(now, link, About::MoveIn(link), attach);
        }
        true
    }

    /// The home that we asked has answered, or was silent.
    pub(in super::super) fn move_in_answered(
        &mut self,
        now: Instant,
        link: LinkId,
        answer: Option<Message>,
    ) {
        match answer {
            Some(Message::Directory(Directory::Attached { keepers, epochs, .. }))
                if keepers > 0 =>
            {
                self.moved_in(now, link, keepers, &epochs);
            }
            Some(_) | None => self.not_moved_in(now, link, now),
        }
    }

    /// It has taken us in.
    fn moved_in(&mut self, now: Instant, link: LinkId, keepers: u8, epochs: &[EpochSecret]) {
        let since = self.wall(now);
        let Home::Linked(home) = &mut self.home else { return };
        let Some(moves) = home.moves.take_if(|moves| moves.link() == Some(link)) else { return };
        let Some(Trying { node: Some(node), has_changed, .. }) = moves.trying else { return };
        let old = std::mem::replace(&mut home.link, link);
        (home.node, home.since, home.refresh) = (node, since, now + REFRESH);
        home.keepers = None;
        self.relays.at_another_home();
        let Home::Linked(home) = &mut self.home else { return };
        let older = home.left.replace((old, now + STAY));
        if let Some((older, _)) = older {
            self.let_go(now, older);
        }
        self.attached(now, keepers, epochs);
        self.ask(now, link, About::RelayCredentials, Nat::RelayCredentials);
        self.ask(now, link, About::SuperPeers, Directory::ListSuperPeers);
        self.surroundings_changed(now);
        self.nat_at_another_home(now);
        if has_changed {
            self.attach(now);
        }
        self.greet_all(now);
    }

    /// It has not: the next is asked at that time. Perhaps it has told the keepers of us already;
    /// the old home tells them anew.
    fn not_moved_in(&mut self, now: Instant, link: LinkId, next: Instant) {
        let Home::Linked(home) = &mut self.home else { return };
        let Some(moves) = home.moves.as_mut().filter(|moves| moves.link() == Some(link)) else {
            return;
        };
        let was_asked = moves.trying.take().is_some_and(|trying| trying.node.is_some());
        moves.next = next;
        self.let_go(now, link);
        if was_asked {
            self.attach(now);
        }
    }

    /// A link is gone: perhaps that of the home that we have left, or are to go to.
    pub(super) fn other_home_closed(&mut self, now: Instant, link: LinkId) -> bool {
        let Home::Linked(home) = &mut self.home else { return false };
        if home.left.take_if(|(left, _)| *left == link).is_some() {
            return true;
        }
        let trying = home.moves.as_ref().and_then(|moves| moves.trying.as_ref());
        let Some(trying) = trying.filter(|trying| trying.link == link) else { return false };
        let door = trying.door;
        self.super_peers.missed(&door);
        self.not_moved_in(now, link, now);
        true
    }

    /// The old home has ended before another had taken us in: whoever is asked already is knocked
    /// at first. Answers it when its link is open.
    pub(super) fn move_hurries(seeking: &mut Seeking, moves: Move) -> Option<(LinkId, NodeEntry)> {
        if !moves.doors.is_empty() {
            seeking.doors = moves.doors;
        }
        let Trying { link, door, node, .. } = moves.trying?;
        seeking.knocking.push((link, door));
        node.map(|node| (link, node))
    }

    /// Closes a link that nothing more is expected of.
    pub(in super::super) fn let_go(&mut self, now: Instant, link: LinkId) {
        self.links.close(link);
        for about in self.asks.link_down(link) {
            self.answered(now, about, None);
        }
    }
}
