//! Finding a user by name: four nodes, then eight, then sixteen, until one knows. Lecture, slide
//! 31; DESIGN 2.5.
//!
//! The home names the nodes nearest the name's key; we ask those that were not asked before. A
//! Restricted peer, which can open no connections of its own, has its home ask. Invariant: no node
//! is asked twice in one search, and every search ends.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::ids::{CallId, NodeId, UserName};
use crate::secure::identity::{Use, open_signed, verify_chain};
use crate::secure::location::open_location;
use crate::wire::Wire;
use crate::wire::certificate::Subject;
use crate::wire::directory::{Directory, Entry, NodeEntry, Reachability, Registration};
use crate::wire::forward::Address;

use super::command::{Answer, Failure, Notice, SearchEnd, SearchHit};
use super::home::Home;
use super::{About, Peer};

/// Widths of the rounds. Lecture, slide 31: four, then eight; we stop at sixteen.
pub const WIDTHS: [u8; 3] = [4, 8, 16];
/// How often somebody whom our request has not reached is looked up again, on average.
const REQUEST_EVERY: Duration = Duration::from_secs(30);
/// Searches at once.
pub const SEARCHES_MAX: usize = 64;

/// Searches under way.
#[derive(Debug, Default)]
pub(super) struct Searches {
    running: BTreeMap<u64, Search>,
    last: u64,
    /// Users that are being looked up for our own purposes.
    looking_up: BTreeSet<UserName>,
    /// Calls that wait for a look-up.
    pub(super) locating: Vec<(UserName, CallId)>,
    /// When those whom our request has not reached are looked up again.
    next_requests: Option<Instant>,
}

impl Searches {
    pub(super) fn len(&self) -> usize {
        self.running.len() + self.looking_up.len() + self.locating.len()
    }

    pub(super) const fn next_due(&self) -> Option<Instant> {
        self.next_requests
    }
}

#[derive(Debug)]
struct Search {
    user: UserName,
    started: Instant,
    round: usize,
    asked: BTreeSet<NodeId>,
    waiting: usize,
}

impl Peer {
    /// The owner searches.
    pub(super) fn search(&mut self, now: Instant, ask: u64, user: UserName) {
        if self.searches.running.len() >= SEARCHES_MAX {
            return self.fail(ask, Failure::TooMany { max: SEARCHES_MAX });
        }
        self.searches.last += 1;
        let id = self.searches.last;
        self.succeed(ask, Answer::Searching(id));
        let Some((link, _)) = self.home_link() else {
            return self.tell(Notice::SearchEnded {
                search: id,
                found: 0,
                reason: SearchEnd::Offline,
            });
        };
        let (asked, waiting) = (BTreeSet::new(), 1);
        let search = Search { user: user.clone(), started: now, round: 0, asked, waiting };
        self.searches.running.insert(id, search);
        if self.is_restricted() {
            self.ask(now, link, About::SearchByHome(id), Directory::FindForMe { user });
        } else {
            self.ask_for_nodes(now, id);
        }
    }

    fn is_restricted(&self) -> bool {
        let Home::Linked(home) = &self.home else { return false };
        home.reachability == Some(Reachability::Restricted)
    }

    fn ask_for_nodes(&mut self, now: Instant, id: u64) {
        let Some(search) = self.searches.running.get_mut(&id) else { return };
        let (key, width) = (search.user.ring_key(), WIDTHS[search.round]);
        search.waiting = 1;
        match self.home_link() {
            Some((link, _)) => {
                self.ask(now, link, About::Nearest(id), Directory::Nearest { key, width })
            }
            None => self.end_search(id, SearchEnd::Offline, 0),
        }
    }

    /// The home names nodes (none: it did not answer).
    pub(super) fn nodes_told(&mut self, now: Instant, id: u64, nodes: Option<&[NodeEntry]>) {
        let Some(nodes) = nodes else { return self.end_search(id, SearchEnd::Offline, 0) };
        let Some(search) = self.searches.running.get_mut(&id) else { return };
        let user = search.user.clone();
        let new: Vec<NodeEntry> =
            nodes.iter().filter(|node| search.asked.insert(node.node)).copied().collect();
        search.waiting = new.len();
        if new.is_empty() {
            return self.next_round(now, id);
        }
        for node in new {
            let link = self.link_to_node(now, &node);
            self.ask(now, link, About::Find(id), Directory::Find { user: user.clone() });
        }
    }

    /// A node answers (none: it did not).
    pub(super) fn find_answered(&mut self, now: Instant, id: u64, answer: Option<Directory>) {
        let Some(search) = self.searches.running.get_mut(&id) else { return };
        search.waiting = search.waiting.saturating_sub(1);
        let last = search.waiting == 0;
        let user = search.user.clone();
        if let Some(Directory::Found { entries, asked }) = answer
            && self.take_entries(now, &user, entries.into_vec()) > 0
        {
            return self.hit(now, id, asked);
        }
        if last {
            self.next_round(now, id);
        }
    }

    fn hit(&mut self, now: Instant, id: u64, asked_by_home: u8) {
        let Some(search) = self.searches.running.get(&id) else { return };
        let user = search.user.clone();
        let hit = SearchHit {
            search: id,
            display_name: self.buddies.display_name(&user).map(str::to_owned),
            online: match self.buddies.is_buddy(&user) {
                true => self.presences.is_online(&user),
                false => self.cards.at_home(&user).next().is_some(),
            },
            round: search.round as u8 + 1,
            asked_nodes: search.asked.len().max(usize::from(asked_by_home)),
            ms: now.saturating_duration_since(search.started).as_secs_f64() * 1000.0,
            user,
        };
        self.tell(Notice::Found(hit));
        self.end_search(id, SearchEnd::Found, 1);
    }

    fn next_round(&mut self, now: Instant, id: u64) {
        let restricted = self.is_restricted();
        let Some(search) = self.searches.running.get_mut(&id) else { return };
        if restricted || search.round + 1 == WIDTHS.len() {
            return self.end_search(id, SearchEnd::NotFound, 0);
        }
        search.round += 1;
        self.ask_for_nodes(now, id);
    }

    fn end_search(&mut self, id: u64, reason: SearchEnd, found: usize) {
        if self.searches.running.remove(&id).is_some() {
            self.tell(Notice::SearchEnded { search: id, found, reason });
        }
    }

    /// Looks a user up for our own purposes, through the home.
    pub(super) fn look_up(&mut self, now: Instant, user: &UserName) {
        let Some((link, _)) = self.home_link() else { return };
        if self.searches.looking_up.insert(user.clone()) {
            let find = Directory::FindForMe { user: user.clone() };
            self.ask(now, link, About::LookUp(user.clone()), find);
        }
    }

    /// A look-up was answered (none: it was not).
    pub(super) fn looked_up(&mut self, now: Instant, user: &UserName, answer: Option<Directory>) {
        self.searches.looking_up.remove(user);
        let found = match answer {
            Some(Directory::Found { entries, .. }) => {
                self.take_entries(now, user, entries.into_vec())
            }
            Some(_) | None => 0,
        };
        if found > 0 {
            self.user_found(now, user);
        }
        self.homeless_devices_gone(now, user);
        if self.buddies.undelivered().next().is_some() {
            let jitter = self.entropy.jitter.below(REQUEST_EVERY.as_millis() as u64);
            let pause = REQUEST_EVERY / 2 + Duration::from_millis(jitter);
            self.searches.next_requests.get_or_insert(now + pause);
        }
        self.call_located(now, user, found > 0);
    }

    /// Looks those up again whom our request has not reached.
    pub(super) fn requests_due(&mut self, now: Instant) {
        if self.searches.next_requests.is_some_and(|at| at <= now) {
            self.searches.next_requests = None;
            let users: Vec<UserName> = self.buddies.undelivered().cloned().collect();
            users.iter().for_each(|user| self.look_up(now, user));
        }
    }

    /// Writes cards from registrations that verify; answers how many did.
    fn take_entries(&mut self, now: Instant, user: &UserName, entries: Vec<Entry>) -> usize {
        let wall = self.wall(now);
        let mut good = 0;
        for entry in entries {
            let Some((address, registration)) = self.believe(now, &entry) else { continue };
            if address.user != *user {
                continue;
            }
            good += 1;
            let location = self.buddies.contact_key(user).and_then(|key| {
                open_location(key, &address.device, registration.counter, &entry.location).ok()
            });
            let Some(card) = self.cards.get(&address) else { continue };
            let fresher = card.home.is_none() || entry.home.is_some();
            if let (Some(location), Some(_)) = (&location, entry.home) {
                self.cards.located(&address, Some(location), wall);
            } else if fresher {
                self.cards.home_told(&address, entry.home);
            }
        }
        good
    }

    fn believe(&mut self, now: Instant, entry: &Entry) -> Option<(Address, Registration)> {
        let wall = self.wall(now);
        let claimed = Registration::from_bytes(&entry.registration.body).ok()?;
        let root = &self.session.as_ref()?.vault.root;
        let verified = verify_chain(&claimed.chain, root, wall, Use::Addressing).ok()?;
        let keys = verified.keys();
        let registration = open_signed(&entry.registration, &keys.verify).ok()?;
        let Subject::Device { user, device, identity, .. } = verified.statement.subject else {
            return None;
        };
        let address = Address { user, device };
        self.cards.certified(&address, identity, keys, wall);
        Some((address, registration))
    }
}
