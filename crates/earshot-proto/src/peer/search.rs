//! Finding a user by name: four nodes, then eight, then sixteen, until one knows. Lecture, slide
//! 31; DESIGN 2.5.
//!
//! [`Lookup`] decides whom to ask, beginning with the home; we ask, and verify what is answered. A
//! Restricted peer, which can open no connections of its own, has its home look. What was typed is
//! at the same time looked for as words of those who are listed (`by_words`). Every search ends,
//! and tells each user once, or again when more is known.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::ids::{CallId, NodeId, UserName};
use crate::lookup::{End, Fetched, Lookup, Near, Order, Outcome};
use crate::secure::location::open_location;
use crate::secure::registration::{Checked, is_late};
use crate::time::UnixTime;
use crate::wire::certificate::VerifyKey;
use crate::wire::directory::{Directory, Entry, NodeEntry, Reachability, Registration, Trail};
use crate::wire::forward::Address;
use crate::wire::invite::Door;
use crate::wire::ring::Question;

use super::by_words::ByWords;
use super::cards::Cards;
use super::command::{Answer, Failure, Notice, SearchEnd, SearchHit};
use super::home::{Home, door_of};
use super::listings::Query;
use super::{About, Peer};

/// How often somebody whom our request has not reached is looked up again, on average.
const REQUEST_EVERY: Duration = Duration::from_secs(30);
/// Super-peers that a search begins at besides the home. Our choice: if half of all lie, one of
/// eight is honest in 255 of 256 searches.
const STARTS_BESIDE_HOME: usize = 7;
/// Searches at once.
pub const SEARCHES_MAX: usize = 64;

/// What somebody typed to find people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sought {
    user: Option<UserName>,
    query: Option<Query>,
}

impl Sought {
    /// What was typed; none when it is neither a name nor has a word in it.
    #[must_use]
    pub fn new(typed: &str) -> Option<Self> {
        let sought = Self { user: UserName::new(typed).ok(), query: Query::new(typed) };
        (sought.user.is_some() || sought.query.is_some()).then_some(sought)
    }

    /// Somebody of exactly this name, and nobody else.
    #[must_use]
    pub const fn exactly(user: UserName) -> Self {
        Self { user: Some(user), query: None }
    }
}

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

    pub(super) fn next_due(&self) -> Option<Instant> {
        let exact = self.running.values().filter_map(|search| search.exact.as_ref());
        let lookups = exact.filter_map(|exact| exact.lookup.as_ref());
        lookups.filter_map(Lookup::poll_timeout).chain(self.next_requests).min()
    }

    fn exact(&mut self, id: u64) -> Option<&mut Exact> {
        self.running.get_mut(&id)?.exact.as_mut()
    }

    /// Whether any search looks for words.
    pub(super) fn looks_for_words(&self) -> bool {
        self.running.values().any(|search| search.by_words.is_some())
    }

    /// What is known of the exact name of a search: whether it was found; none: not yet.
    pub(super) fn is_named(&self, id: u64) -> Option<bool> {
        let search = self.running.get(&id)?;
        search.exact.is_none().then_some(search.is_named)
    }

    /// The part of a search that looks for words, while it does.
    pub(super) fn by_words(&mut self, id: u64) -> Option<&mut ByWords> {
        self.running.get_mut(&id)?.by_words.as_mut()
    }

    /// Somebody who might know did not answer.
    pub(super) fn no_answer(&mut self, id: u64) {
        if let Some(search) = self.running.get_mut(&id) {
            search.is_incomplete = true;
        }
    }

    /// How long a search has taken so far, in milliseconds.
    pub(super) fn running_ms(&self, now: Instant, id: u64) -> f64 {
        let started = self.running.get(&id).map_or(now, |search| search.started);
        now.saturating_duration_since(started).as_secs_f64() * 1000.0
    }
}

#[derive(Debug)]
struct Search {
    started: Instant,
    /// None: over.
    exact: Option<Exact>,
    /// None: over.
    by_words: Option<ByWords>,
    /// Whether somebody who might know did not answer.
    is_incomplete: bool,
    /// Whether somebody of exactly this name was found.
    is_named: bool,
    /// Who was found, as told.
    hits: BTreeMap<UserName, SearchHit>,
}

/// An entry that a keeper has given, verified.
#[derive(Debug)]
struct Given {
    counter: u64,
    /// Whether it should have been replaced by now.
    is_late: bool,
    entry: Entry,
}

/// The part of a search that looks for an exact name.
#[derive(Debug)]
struct Exact {
    user: UserName,
    /// None: the home looks.
    lookup: Option<Lookup>,
    /// What keepers have given, verified.
    found: Vec<Given>,
    /// Whether any of them had it from an earlier look-up.
    is_cached: bool,
}

impl Peer {
    /// The owner searches.
    pub(super) fn search(&mut self, now: Instant, ask: u64, sought: Sought) {
        if self.searches.running.len() >= SEARCHES_MAX {
            return self.fail(ask, Failure::TooMany { max: SEARCHES_MAX });
        }
        self.searches.last += 1;
        let id = self.searches.last;
        self.succeed(ask, Answer::Searching(id));
        let home = self.home_link();
        let is_restricted = self.is_restricted();
        let starts = self.starts();
        let exact = sought.user.zip(home).map(|(user, _)| {
            let start = Near::Closer(starts);
            let lookup = (!is_restricted).then(|| Lookup::new(now, user.ring_key(), None, start));
            Exact { user, lookup, found: Vec::new(), is_cached: false }
        });
        let by_words = sought.query.filter(|_| home.is_some());
        let by_words = by_words.map(|query| self.by_words(query));
        let for_us = exact.as_ref().filter(|_| is_restricted).map(|exact| exact.user.clone());
        let (is_incomplete, is_named, hits) = (false, false, BTreeMap::new());
        let search = Search { started: now, exact, by_words, is_incomplete, is_named, hits };
        self.searches.running.insert(id, search);
        if let (Some(user), Some((link, _))) = (for_us, home) {
            self.ask(now, link, About::SearchByHome(id), Directory::FindForMe { user });
        }
        self.turn_search(now, id);
        self.ask_pages(now, id);
        self.end_search(id);
    }

    /// Whom a search asks first: the home, and others, so that no home can lead it astray.
    fn starts(&mut self) -> Vec<NodeEntry> {
        let Some((_, home)) = self.home_link() else { return Vec::new() };
        let others = self.starts_besides(&home);
        std::iter::once(home).chain(others).collect()
    }

    /// Whom a look-up that goes past our home asks first.
    pub(super) fn starts_besides(&mut self, home: &NodeEntry) -> Vec<NodeEntry> {
        let jitter = &mut self.entropy.jitter;
        self.super_peers.starts(&door_of(home), STARTS_BESIDE_HOME, jitter)
    }

    /// A node that was asked who is near a key has answered, or was silent.
    pub(super) fn start_heard(&mut self, now: Instant, node: &NodeId, has_answered: bool) {
        let wall = self.wall(now);
        match has_answered {
            true => self.super_peers.answered(node, wall),
            false => self.super_peers.was_silent(node),
        }
    }

    /// Some super-peers besides the home, so that no home alone says what is found or posted; none
    /// where we can open no connections of our own.
    pub(super) fn other_super_peers(&mut self, most: usize) -> Vec<Door> {
        let home = self.home_link().filter(|_| !self.is_restricted());
        let Some((_, home)) = home else { return Vec::new() };
        let others = self.super_peers.starts(&door_of(&home), most, &mut self.entropy.jitter);
        others.iter().map(door_of).collect()
    }

    /// Whether we can ask nobody but our home: no datagram gets out; or none by IPv4, which most
    /// super-peers are known by.
    pub(super) fn is_restricted(&self) -> bool {
        let Home::Linked(home) = &self.home else { return false };
        let is_by_v6 = home.node.address.is_ipv4() && self.links.is_by_v6(home.link);
        is_by_v6 || self.reachability() == Some(Reachability::Restricted)
    }

    /// Looks on where answers are slow.
    pub(super) fn searches_due(&mut self, now: Instant) {
        let mut turned = Vec::new();
        for (id, search) in &mut self.searches.running {
            if let Some(Exact { lookup: Some(lookup), .. }) = &mut search.exact
                && lookup.poll_timeout().is_some_and(|at| at <= now)
            {
                lookup.handle_timeout(now);
                turned.push(*id);
            }
        }
        turned.into_iter().for_each(|id| self.turn_search(now, id));
    }

    /// Does what the look-up of a search wants, until it wants nothing.
    fn turn_search(&mut self, now: Instant, id: u64) {
        while let Some(exact) = self.searches.exact(id) {
            let Some(lookup) = &mut exact.lookup else { return };
            let Some(order) = lookup.poll() else { return };
            let (key, user) = (lookup.key(), exact.user.clone());
            match order {
                Order::Nearest { to, width } => {
                    let question = Question::Nearest { key, width };
                    self.question(now, &to, About::Near(id, to.node), question.into());
                }
                Order::Fetch { to } => {
                    let find = Directory::Find { user };
                    self.question(now, &to, About::Find(id, to.node), find.into());
                }
                Order::Done(outcome) => self.search_over(now, id, outcome),
            }
        }
    }

    /// A node has said who is near, or was silent.
    pub(super) fn near_told(&mut self, now: Instant, id: u64, from: &NodeId, near: Option<Near>) {
        self.start_heard(now, from, near.is_some());
        let Some(exact) = self.searches.exact(id) else { return };
        if let Some(lookup) = &mut exact.lookup {
            lookup.handle_near(now, from, near);
            self.turn_search(now, id);
        }
    }

    /// A keeper has answered, or was silent. One that gives anything that does not verify counts as
    /// silent.
    pub(super) fn find_answered(
        &mut self,
        now: Instant,
        id: u64,
        from: &NodeId,
        answer: Option<Directory>,
    ) {
        let Some(exact) = self.searches.exact(id) else { return };
        let user = exact.user.clone();
        let mut is_cached = false;
        let (fetched, found) = match answer {
            Some(Directory::Found { entries, trail }) => {
                match self.verified(now, &user, &entries) {
                    Some(found) => {
                        is_cached = trail.cached;
                        let records = found.iter().map(|found| (found.counter, found.is_late));
                        (Fetched::of_records(records).unwrap_or(Fetched::Failed), found)
                    }
                    None => (Fetched::Failed, Vec::new()),
                }
            }
            Some(Directory::NotHere { .. }) => (Fetched::NotHere, Vec::new()),
            Some(_) | None => (Fetched::Failed, Vec::new()),
        };
        let Some(exact) = self.searches.exact(id) else { return };
        exact.found.extend(found);
        exact.is_cached |= is_cached;
        if let Some(lookup) = &mut exact.lookup {
            lookup.handle_fetched(now, from, fetched);
            self.turn_search(now, id);
        }
    }

    /// All entries, if there are any and each of them verifies.
    fn verified(&mut self, now: Instant, user: &UserName, entries: &[Entry]) -> Option<Vec<Given>> {
        let wall = self.wall(now);
        let root = &self.session.as_ref()?.vault.root;
        verified(&mut self.cards, root, wall, user, entries)
    }

    fn search_over(&mut self, now: Instant, id: u64, outcome: Outcome) {
        let Some(exact) = self.searches.exact(id) else { return };
        let (user, mut found) = (exact.user.clone(), std::mem::take(&mut exact.found));
        let cached = exact.is_cached;
        // The newest last: it has the last word.
        found.sort_by_key(|found| (found.counter, found.entry.home.is_some()));
        let Outcome { asked, round, .. } = outcome;
        let trail = Trail { asked, round, cached };
        match outcome.end {
            End::Found { .. } => {
                for Given { counter, entry, .. } in &found {
                    self.write_card(now, &user, *counter, entry);
                }
                self.hit(now, id, trail);
            }
            End::NotFound => {}
            End::Placed | End::Inconclusive => self.searches.no_answer(id),
        }
        self.exact_over(now, id);
    }

    /// The home has looked for us (none: it did not answer).
    pub(super) fn home_searched(&mut self, now: Instant, id: u64, answer: Option<Directory>) {
        let Some(exact) = self.searches.exact(id) else { return };
        let user = exact.user.clone();
        match answer {
            Some(Directory::Found { entries, trail }) => {
                if self.take_entries(now, &user, entries.into_vec()) > 0 {
                    self.hit(now, id, trail);
                }
            }
            Some(_) => {}
            None => self.searches.no_answer(id),
        }
        self.exact_over(now, id);
    }

    fn hit(&mut self, now: Instant, id: u64, trail: Trail) {
        let ms = self.searches.running_ms(now, id);
        let Some(search) = self.searches.running.get_mut(&id) else { return };
        let Some(exact) = &search.exact else { return };
        let user = exact.user.clone();
        search.is_named = true;
        self.tell_hit(SearchHit {
            search: id,
            display_name: self.buddies.display_name(&user).map(str::to_owned),
            online: Some(match self.buddies.is_buddy(&user) {
                true => self.presences.is_online(&user),
                false => self.cards.reachable(&user).next().is_some(),
            }),
            round: trail.round,
            asked_nodes: usize::from(trail.asked),
            from_cache: trail.cached,
            ms,
            about: Vec::new(),
            user,
        });
    }

    /// Tells who was found; who was told before, only if more is known now.
    pub(super) fn tell_hit(&mut self, hit: SearchHit) {
        let Some(search) = self.searches.running.get_mut(&hit.search) else { return };
        let told = match search.hits.get(&hit.user) {
            Some(before) => SearchHit {
                display_name: hit.display_name.or_else(|| before.display_name.clone()),
                online: hit.online.or(before.online),
                about: if hit.about.is_empty() { before.about.clone() } else { hit.about },
                ..before.clone()
            },
            None => hit,
        };
        if search.hits.get(&told.user) != Some(&told) {
            search.hits.insert(told.user.clone(), told.clone());
            self.tell(Notice::Found(told));
        }
    }

    fn exact_over(&mut self, now: Instant, id: u64) {
        if let Some(search) = self.searches.running.get_mut(&id) {
            search.exact = None;
        }
        self.ask_pages(now, id);
        self.end_search(id);
    }

    /// The words were looked for, or could not be to the end.
    pub(super) fn words_over(&mut self, id: u64, is_incomplete: bool) {
        if let Some(search) = self.searches.running.get_mut(&id) {
            search.by_words = None;
            search.is_incomplete |= is_incomplete;
        }
        self.errand_done();
        self.end_search(id);
    }

    /// Ends a search of which nothing goes on any more.
    fn end_search(&mut self, id: u64) {
        let is_over = |search: &Search| search.exact.is_none() && search.by_words.is_none();
        if !self.searches.running.get(&id).is_some_and(is_over) {
            return;
        }
        let Some(search) = self.searches.running.remove(&id) else { return };
        let found = search.hits.len();
        let reason = match (found, self.home_link()) {
            (1.., _) => SearchEnd::Found,
            (0, None) => SearchEnd::Offline,
            (0, Some(_)) if search.is_incomplete => SearchEnd::NoAnswer,
            (0, Some(_)) => SearchEnd::NotFound,
        };
        self.tell(Notice::SearchEnded { search: id, found, reason });
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
        let mut good = 0;
        for entry in entries {
            let Some((address, registration)) = self.believe(now, &entry) else { continue };
            if address.user != *user {
                continue;
            }
            good += 1;
            self.write_card(now, user, registration.counter, &entry);
        }
        good
    }

    /// Writes where a device is, from an entry that was believed; an older one changes nothing.
    fn write_card(&mut self, now: Instant, user: &UserName, counter: u64, entry: &Entry) {
        let address = Address { user: user.clone(), device: entry.device };
        let card = self.cards.get(&address).filter(|card| card.counter <= counter);
        let Some(fresher) = card.map(|card| card.home.is_none() || entry.home.is_some()) else {
            return;
        };
        let location = self
            .buddies
            .contact_key(user)
            .and_then(|key| open_location(key, &entry.device, counter, &entry.location).ok());
        if let (Some(location), Some(_)) = (&location, entry.home) {
            let wall = self.wall(now);
            self.cards.located(&address, Some(location), wall);
        } else if fresher {
            self.cards.home_told(&address, entry.home);
        }
    }

    /// Believes an entry and writes the card of its device. One that is older than what we know is
    /// replayed, and not believed.
    fn believe(&mut self, now: Instant, entry: &Entry) -> Option<(Address, Registration)> {
        let wall = self.wall(now);
        let root = &self.session.as_ref()?.vault.root;
        believe(&mut self.cards, root, wall, entry)
    }
}

fn verified(
    cards: &mut Cards,
    root: &VerifyKey,
    wall: UnixTime,
    user: &UserName,
    entries: &[Entry],
) -> Option<Vec<Given>> {
    let mut found = Vec::new();
    for entry in entries {
        let (address, registration) = believe(cards, root, wall, entry)?;
        if address.user != *user {
            return None;
        }
        let is_late = is_late(registration.expires, wall);
        found.push(Given { counter: registration.counter, is_late, entry: entry.clone() });
    }
    (!found.is_empty()).then_some(found)
}

fn believe(
    cards: &mut Cards,
    root: &VerifyKey,
    wall: UnixTime,
    entry: &Entry,
) -> Option<(Address, Registration)> {
    let Checked { address, identity, keys, registration, .. } =
        Checked::of_entry(entry, root, wall).ok()?;
    let known = cards.get(&address).map_or(0, |card| card.counter);
    if registration.counter < known {
        return None;
    }
    cards.certified(&address, identity, keys, wall).counter = registration.counter;
    Some((address, registration))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secure::registration::REGISTRATION_LIFE;
    use crate::secure::testing::{NOW, Network, entry};

    #[test]
    fn a_stale_forged_expired_or_replayed_registration_is_no_answer_to_a_search() {
        let (mut network, mut other) = (Network::new(1), Network::new(2));
        let (alice, mallory) = (network.device("alice"), network.device("mallory"));
        let stranger = other.device("alice");
        let later = NOW.plus(REGISTRATION_LIFE);
        let mut cards = Cards::default();
        let root = network.root();
        let mut found = |wall, entries: &[Entry]| {
            verified(&mut cards, &root, wall, &alice.user, entries).map(|found| found.len())
        };
        let good = entry(&alice, &alice, 7, later);
        assert_eq!(found(NOW, std::slice::from_ref(&good)), Some(1));
        for (how, bad) in [
            ("forged", entry(&mallory, &alice, 8, later)),
            ("of another network", entry(&stranger, &stranger, 8, later)),
            ("of somebody else", entry(&mallory, &mallory, 8, later)),
            ("expired", entry(&alice, &alice, 8, NOW)),
            ("endless", entry(&alice, &alice, 8, NOW.plus(REGISTRATION_LIFE * 3))),
            ("named for another device", Entry { device: mallory.id, ..good.clone() }),
            ("stale", entry(&alice, &alice, 6, later)),
        ] {
            assert_eq!(found(NOW, std::slice::from_ref(&bad)), None, "{how}");
            assert_eq!(found(NOW, &[good.clone(), bad]), None, "{how}, beside a good one");
        }
        assert_eq!(found(NOW, &[entry(&alice, &alice, 8, later)]), Some(1), "a newer one");
        assert_eq!(found(NOW, std::slice::from_ref(&good)), None, "replayed");
        assert_eq!(found(later, &[entry(&alice, &alice, 9, later)]), None, "by then expired");
        assert_eq!(found(NOW, &[]), None, "nothing");
    }
}
