//! The link to the home super-peer: finding one, registering there, staying registered. DESIGN 1,
//! 2.2, 2.5.
//!
//! One home at a time. Several doors are knocked at with staggered starts and the first that opens
//! is the home; when it is lost, the next is sought at once, then with growing, fully jittered
//! pauses. A home with too much to do names others, and serves us until one of them does
//! ([`moving`]).

mod moving;

use std::time::{Duration, Instant};

use crate::port::{LinkId, Service};
use crate::secure::link::Expect;
use crate::secure::links::Closed;
use crate::secure::location::seal_location;
use crate::secure::registration::{REFRESH, REGISTRATION_LIFE};
use crate::time::UnixTime;
use crate::wire::directory::{Directory, Location, NodeEntry, Reachability, Registration};
use crate::wire::epoch::EpochSecret;
use crate::wire::invite::{AlsoAt, Door};
use crate::wire::nat::Nat;

use super::{About, OnSaved, Peer, Record, super_peers};
use moving::Move;

/// Pause before the next door is knocked at while the others still think. RFC 8305, section 5: 250
/// ms.
const STAGGER: Duration = Duration::from_millis(250);
/// Doors knocked at in one go.
const KNOCKS_MAX: usize = 4;
/// First pause after nobody answered; doubles up to [`PAUSE_MAX`], full jitter.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// The longest pause while a call is under way. Our choice: it is given up after 45 s, and few are
/// in one.
const PAUSE_IN_CALL: Duration = Duration::from_secs(2);
/// Pause before a registration that failed is tried again. Our choice: a keeper that is being given
/// up by its neighbours is gone by then.
const ATTACH_RETRY: Duration = Duration::from_secs(5);

/// Where we stand with our home.
#[derive(Debug, Default)]
pub(super) enum Home {
    /// None, and none is sought: nobody is logged in.
    #[default]
    None,
    /// Knocking at doors.
    Seeking(Seeking),
    /// Linked.
    Linked(Box<Linked>),
}

/// The search for a home.
#[derive(Debug)]
pub(super) struct Seeking {
    /// Doors not tried yet, the most hopeful last.
    doors: Vec<Door>,
    knocking: Vec<(LinkId, Door)>,
    next_knock: Instant,
    /// Rounds in which nobody answered.
    rounds: u32,
}

/// The link to the home.
#[derive(Debug)]
pub(super) struct Linked {
    /// The link.
    pub(super) link: LinkId,
    /// The super-peer.
    pub(super) node: NodeEntry,
    /// Since when it is our home.
    pub(super) since: UnixTime,
    /// Keepers that hold our registration; none before the first answer.
    pub(super) keepers: Option<u8>,
    refresh: Instant,
    /// It has too much to do: where we are to go.
    moves: Option<Move>,
    /// The link to the home before this one, and how long it stays.
    left: Option<(LinkId, Instant)>,
    /// Rounds in which no home was found, and this one has not taken us in yet.
    rounds: u32,
}

impl Peer {
    /// Starts to look for a home.
    pub(super) fn seek_home(&mut self, now: Instant) {
        if !matches!(self.home, Home::None) || self.session.is_none() {
            return;
        }
        self.home = Home::Seeking(self.seeking(now, 0));
        self.knock(now);
    }

    fn seeking(&mut self, now: Instant, rounds: u32) -> Seeking {
        let mut doors = self.super_peers.by_hope(&mut self.entropy.jitter);
        doors.reverse();
        let next_knock = match rounds {
            0 => now,
            n => {
                let most = if self.current_call().is_some() { PAUSE_IN_CALL } else { PAUSE_MAX };
                let pause = PAUSE_FIRST.saturating_mul(1 << (n - 1).min(8)).min(most);
                let jitter = self.entropy.jitter.below(pause.as_millis() as u64 + 1);
                now + Duration::from_millis(jitter)
            }
        };
        Seeking { doors, knocking: Vec::new(), next_knock, rounds }
    }

    /// Knocks at the next door when it is time.
    pub(super) fn knock(&mut self, now: Instant) {
        let Home::Seeking(seeking) = &mut self.home else { return };
        if now < seeking.next_knock || seeking.knocking.len() >= KNOCKS_MAX {
            return;
        }
        let Some(door) = seeking.doors.pop() else {
            if seeking.knocking.is_empty() {
                let rounds = seeking.rounds.saturating_add(1);
                self.home = Home::Seeking(self.seeking(now, rounds));
            }
            return;
        };
        seeking.next_knock = now + STAGGER;
        let expect = Expect::Key(door.key);
        let link = self.links.dial(now, door.address, Service::SuperPeer, expect);
        seeking.knocking.push((link, door));
    }

    /// What kept doors shut is over: they are knocked at again, without a pause.
    pub(super) fn seek_at_once(&mut self, now: Instant) {
        if matches!(&self.home, Home::Seeking(seeking) if seeking.knocking.is_empty()) {
            self.home = Home::Seeking(self.seeking(now, 0));
            self.knock(now);
        }
    }

    /// A super-peer's link is open: perhaps our home.
    pub(super) fn home_opened(&mut self, now: Instant, link: LinkId, node: NodeEntry) -> bool {
        if self.new_home_opened(now, link, node) {
            return true;
        }
        let Home::Seeking(seeking) = &mut self.home else { return false };
        if !seeking.knocking.iter().any(|(id, _)| *id == link) {
            return false;
        }
        let others: Vec<LinkId> =
            seeking.knocking.iter().map(|(id, _)| *id).filter(|id| *id != link).collect();
        others.into_iter().for_each(|id| self.links.close(id));
        let rounds = seeking.rounds;
        let since = self.wall(now);
        self.home = Home::Linked(Box::new(Linked {
            link,
            node,
            since,
            keepers: None,
            refresh: now + REFRESH,
            moves: None,
            left: None,
            rounds,
        }));
        self.relays.at_another_home();
        self.home_asked();
        self.settle_in(now, link);
        true
    }

    /// What is said to a new home, all at once: nothing waits for anything.
    fn settle_in(&mut self, now: Instant, link: LinkId) {
        self.attach(now);
        self.ask(now, link, About::RelayCredentials, Nat::RelayCredentials);
        self.ask(now, link, About::SuperPeers, Directory::ListSuperPeers);
        self.ask_dial_back(now);
        if self.config.pretend.is_none() {
            self.nat_at_home(now, link);
            self.start_nat_test(now);
        }
        self.surroundings_changed(now);
        self.at_home(now);
    }

    /// Registers, or refreshes the registration: not while another home is asked to.
    pub(super) fn attach(&mut self, now: Instant) {
        let Home::Linked(home) = &mut self.home else { return };
        home.refresh = now + REFRESH;
        if home.moves.as_mut().is_some_and(Move::registers) {
            return;
        }
        let (link, node) = (home.link, home.node);
        if let Some(attach) = self.attach_at(now, node) {
            self.ask(now, link, About::Attach, attach);
        }
    }

    /// What registers us at a home.
    fn attach_at(&mut self, now: Instant, node: NodeEntry) -> Option<Directory> {
        let wall = self.wall(now);
        let location = Location { home: node, ..self.location()? };
        let session = self.session.as_mut()?;
        let counter = session.next_counter(wall);
        let registration = session.vault.keys.sign.sign(&Registration {
            chain: session.vault.chain.clone(),
            devices_version: session.devices_version(),
            counter,
            expires: wall.plus(REGISTRATION_LIFE),
        });
        let device = session.address.device;
        let secrets = &mut self.entropy.secrets;
        let location =
            seal_location(&session.vault.contact_key, &device, counter, &location, secrets);
        Some(Directory::Attach { registration, location })
    }

    /// Our own location, to be told to buddies.
    pub(super) fn location(&self) -> Option<Location> {
        let Home::Linked(home) = &self.home else { return None };
        Some(Location {
            home: home.node,
            direct: self.believed.direct(),
            reachability: self.reachability().unwrap_or(Reachability::Natted),
        })
    }

    /// The home's link, when there is one.
    pub(super) fn home_link(&self) -> Option<(LinkId, NodeEntry)> {
        match &self.home {
            Home::Linked(home) => Some((home.link, home.node)),
            Home::None | Home::Seeking(_) => None,
        }
    }

    /// Whether that link is our home's, or that of the home before, which stays for a while.
    pub(super) fn is_of_home(&self, link: LinkId) -> bool {
        match &self.home {
            Home::Linked(home) => {
                home.link == link || home.left.is_some_and(|(left, _)| left == link)
            }
            Home::None | Home::Seeking(_) => false,
        }
    }

    /// Whether a home has registered us.
    pub(super) fn is_taken_in(&self) -> bool {
        match &self.home {
            Home::Linked(home) => home.keepers.is_some(),
            Home::None | Home::Seeking(_) => false,
        }
    }

    /// A link is gone: perhaps the home's, or a door that stayed shut.
    pub(super) fn home_closed(&mut self, now: Instant, link: LinkId, why: &Closed) {
        if self.other_home_closed(now, link) {
            return;
        }
        match &mut self.home {
            Home::Linked(home) if home.link == link => {
                let home_key = home.node.key;
                // A super-peer that lets us go before it took us in is as good as a shut door.
                let rounds = match home.keepers {
                    Some(_) => 0,
                    None => {
                        self.super_peers.missed(&door_of(&home.node));
                        home.rounds.saturating_add(1)
                    }
                };
                let (moves, was_in) = (home.moves.take(), home.keepers.is_some());
                if let Some((left, _)) = home.left.take() {
                    self.links.close(left);
                }
                let mut seeking = self.seeking(now, rounds);
                let mut hurried = None;
                match moves {
                    Some(moves) if was_in => hurried = Self::move_hurries(&mut seeking, moves),
                    Some(moves) => {
                        seeking.next_knock = moves.next;
                        // Where the next one sends us on again, we choose ourselves, so that
                        // nobody leads us about.
                        if rounds <= 1 {
                            seeking.doors.extend(moves.doors);
                        }
                    }
                    None => {}
                }
                self.relay_in_doubt(&home_key);
                self.home = Home::Seeking(seeking);
                self.homeless(now, why);
                self.surroundings_changed(now);
                self.tell_network();
                match hurried {
                    Some((link, node)) => {
                        self.home_opened(now, link, node);
                    }
                    None => self.knock(now),
                }
            }
            Home::Seeking(seeking) => {
                let Some(place) = seeking.knocking.iter().position(|(id, _)| *id == link) else {
                    return;
                };
                let (_, door) = seeking.knocking.swap_remove(place);
                if seeking.rounds == 0 || !seeking.doors.is_empty() {
                    seeking.next_knock = now;
                }
                self.super_peers.missed(&door);
                self.knock(now);
            }
            Home::None | Home::Linked(_) => {}
        }
    }

    /// Leaves the home: the session is over.
    pub(super) fn leave_home(&mut self) {
        self.forget_relays();
        self.nat_watch.stop();
        match std::mem::take(&mut self.home) {
            Home::Linked(home) => {
                let other = home.moves.and_then(|moves| moves.link());
                let left = home.left.map(|(left, _)| left);
                let links = [Some(home.link), other, left];
                links.into_iter().flatten().for_each(|link| self.links.close(link));
            }
            Home::Seeking(seeking) => {
                seeking.knocking.into_iter().for_each(|(link, _)| self.links.close(link));
            }
            Home::None => {}
        }
    }

    /// Our registration is kept by so many.
    pub(super) fn attached(&mut self, now: Instant, keepers: u8, epochs: &[EpochSecret]) {
        let wall = self.wall(now);
        let (root, entropy) = (self.root(), &mut self.entropy);
        let (secrets, jitter) = (&mut entropy.secrets, &mut entropy.jitter);
        self.questions.epochs_told(&root, wall, epochs, secrets, jitter);
        if let Home::Linked(home) = &mut self.home {
            let is_first = home.keepers.replace(keepers).is_none();
            self.super_peers.met_at(&home.node, wall);
            self.registration_kept(now, is_first);
            self.ended_leave(now);
            self.tell_network();
        }
    }

    /// The home did not register us: it is asked again soon, and left in the end.
    pub(super) fn not_attached(&mut self, now: Instant) {
        if self.registration_not_kept(now) {
            return;
        }
        if let Home::Linked(home) = &mut self.home {
            home.refresh = home.refresh.min(now + ATTACH_RETRY);
        }
    }

    /// A super-peer tells of others, and of the authority.
    pub(super) fn super_peers_told(
        &mut self,
        now: Instant,
        nodes: &[NodeEntry],
        authority: Option<Door>,
        also: &[AlsoAt],
    ) {
        let home = match &self.home {
            Home::Linked(home) => Some(door_of(&home.node)),
            Home::None | Home::Seeking(_) => None,
        };
        match home {
            Some(teller) => {
                let wall = self.wall(now);
                self.super_peers.told(&teller, nodes, wall, &super_peers::ANY_PRIVATE);
            }
            None => self.super_peers.heard(nodes),
        }
        self.authority_told(authority);
        self.also_told(also);
        if let Some(record) = self.network_record() {
            self.save(Record::Network(record), OnSaved::Nothing);
        }
        self.tell_network();
    }

    /// What is due at home: the next knock, the refresh, new credentials.
    pub(super) fn home_due(&mut self, now: Instant) {
        self.knock(now);
        self.moving_due(now);
        self.relays_due(now);
        let Home::Linked(home) = &self.home else { return };
        let (link, refresh) = (home.link, home.refresh);
        if refresh <= now {
            self.attach(now);
            self.refresh_relays(now, link);
        }
    }

    pub(super) fn home_timeout(&self) -> Option<Instant> {
        match &self.home {
            Home::None => None,
            Home::Seeking(seeking) => {
                let more = !seeking.doors.is_empty() || seeking.knocking.is_empty();
                (more && seeking.knocking.len() < KNOCKS_MAX).then_some(seeking.next_knock)
            }
            Home::Linked(home) => {
                let moves = home.moves.as_ref().and_then(Move::next_due);
                let left = home.left.map(|(_, until)| until);
                let others = [moves, left, self.relays.next_due()].into_iter().flatten();
                others.chain([home.refresh]).min()
            }
        }
    }
}

pub(super) const fn door_of(node: &NodeEntry) -> Door {
    Door { address: node.address, key: node.key }
}
