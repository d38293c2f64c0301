//! Our own look-ups on the ring: finding people for clients, and the keepers of clients'
//! registrations. Lecture, slide 31; DESIGN 2.5.
//!
//! Clients that want the same person at the same time share one look-up, and for [`FRESH`] its
//! answer; so does whoever asks us as one near the key. What was found is left with the nearest
//! that lacked it, so that the next search ends there. Invariant: an entry is taken, kept and
//! passed on only after its signatures were checked here; a keeper that gave any other counts as
//! silent.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ids::{NodeId, RingKey, UserName};
use crate::lookup::{End, Fetched, Lookup, Near, Order, Outcome};
use crate::port::LinkId;
use crate::secure::registration::Checked;
use crate::wire::bounded::List;
use crate::wire::certificate::DEVICES_MAX;
use crate::wire::directory::{Directory, DirectoryRefusal, Entry, NODES_MAX, NodeEntry, Trail};
use crate::wire::forward::Address;
use crate::wire::ring::Question;

use super::directory::refused;
use super::profiles::PageSearch;
use super::{About, SuperPeer};

/// Look-ups that run at once, at most.
const LOOKUPS_MAX: usize = 4096;
/// Clients that share one look-up at most.
const SHARERS_MAX: usize = 256;
/// How long an answer is given again. DESIGN 2.5: where somebody is, is known for a minute at most.
const FRESH: Duration = Duration::from_secs(60);
/// How long it is given again that nobody has a name. Our choice: who has just registered is found.
const FRESH_DENIAL: Duration = Duration::from_secs(5);
/// Nodes that lacked what was found, and are given it. DESIGN 2.5.
const LEFT_WITH: usize = 2;
/// Answers remembered at most: some 10 MB.
const REMEMBERED_MAX: usize = 4096;

/// Look-ups that run, and what came of the last ones.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    running: BTreeMap<u32, Running>,
    last: u32,
    remembered: BTreeMap<UserName, Remembered>,
}

#[derive(Debug)]
struct Running {
    lookup: Lookup,
    wanted: Wanted,
    /// What keepers have given, believed, and its counters.
    found: Vec<(u64, Entry)>,
}

#[derive(Debug)]
pub(super) enum Wanted {
    /// Where somebody is, for clients: their links and questions.
    Person { user: UserName, sharers: Vec<(LinkId, u32)> },
    /// The keepers of a client's registration.
    Keepers { client: Address },
    /// The keepers of a shard that a client's posting goes to.
    Shard { client: LinkId },
    /// Who is posted under a word.
    Page(Box<PageSearch>),
}

/// What came of a look-up.
#[derive(Debug)]
struct Remembered {
    entries: List<Entry, DEVICES_MAX>,
    trail: Trail,
    until: Instant,
}

impl Lookups {
    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    /// Whether no further look-up may begin.
    pub(super) fn is_full(&self) -> bool {
        self.running.len() >= LOOKUPS_MAX
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.running.values().filter_map(|running| running.lookup.poll_timeout()).min()
    }

    /// Somebody's registration has changed: what is remembered is no longer so.
    pub(super) fn forget(&mut self, user: &UserName) {
        self.remembered.remove(user);
    }

    fn start(&mut self, lookup: Lookup, wanted: Wanted) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.running.insert(self.last, Running { lookup, wanted, found: Vec::new() });
        self.last
    }

    fn share(&mut self, wanted: &UserName, sharer: (LinkId, u32)) -> bool {
        self.running.values_mut().any(|running| match &mut running.wanted {
            Wanted::Person { user, sharers } if user == wanted && sharers.len() < SHARERS_MAX => {
                sharers.push(sharer);
                true
            }
            Wanted::Person { .. }
            | Wanted::Keepers { .. }
            | Wanted::Shard { .. }
            | Wanted::Page(_) => false,
        })
    }

    /// The pages that are being put together.
    pub(super) fn pages(&mut self) -> impl Iterator<Item = &mut PageSearch> {
        self.running.values_mut().filter_map(|running| match &mut running.wanted {
            Wanted::Page(search) => Some(&mut **search),
            Wanted::Person { .. } | Wanted::Keepers { .. } | Wanted::Shard { .. } => None,
        })
    }

    /// The page that a look-up puts together.
    pub(super) fn page(&self, id: u32) -> Option<&PageSearch> {
        match &self.running.get(&id)?.wanted {
            Wanted::Page(search) => Some(search),
            Wanted::Person { .. } | Wanted::Keepers { .. } | Wanted::Shard { .. } => None,
        }
    }

    /// The same, to add to it.
    pub(super) fn page_mut(&mut self, id: u32) -> Option<&mut PageSearch> {
        match &mut self.running.get_mut(&id)?.wanted {
            Wanted::Page(search) => Some(search),
            Wanted::Person { .. } | Wanted::Keepers { .. } | Wanted::Shard { .. } => None,
        }
    }

    fn remember(&mut self, user: UserName, remembered: Remembered, now: Instant) {
        self.remembered.retain(|_, old| old.until > now);
        if self.remembered.len() >= REMEMBERED_MAX {
            let soonest = self.remembered.iter().min_by_key(|(_, old)| old.until);
            if let Some(soonest) = soonest.map(|(user, _)| user.clone()) {
                self.remembered.remove(&soonest);
            }
        }
        self.remembered.insert(user, remembered);
    }
}

impl SuperPeer {
    /// What we can say about a key.
    pub(super) fn nearest(&self, key: &RingKey, width: u8) -> Near {
        self.ring.nearest(key, usize::from(width).min(NODES_MAX))
    }

    /// What came of the last look-up for a user, if that is fresh.
    pub(super) fn remembered(&self, now: Instant, user: &UserName) -> Option<Directory> {
        let remembered = self.lookups.remembered.get(user).filter(|old| old.until > now);
        let Remembered { entries, trail, .. } = remembered?;
        Some(answer_of(entries.clone(), Trail { cached: true, ..*trail }))
    }

    /// Finds somebody for a client.
    pub(super) fn find_for(&mut self, now: Instant, client: LinkId, ask: u32, user: UserName) {
        if let Some(answer) = self.remembered(now, &user) {
            return self.answer(now, client, ask, answer);
        }
        if self.lookups.share(&user, (client, ask)) {
            return;
        }
        if self.lookups.is_full() {
            return self.answer(now, client, ask, refused(DirectoryRefusal::Busy));
        }
        let key = user.ring_key();
        let start = self.nearest(&key, NODES_MAX as u8);
        let lookup = Lookup::new(now, key, self.ring.density(), start);
        self.look(now, lookup, Wanted::Person { user, sharers: vec![(client, ask)] });
    }

    /// Begins a look-up; answers its number.
    pub(super) fn look(&mut self, now: Instant, lookup: Lookup, wanted: Wanted) -> u32 {
        let id = self.lookups.start(lookup, wanted);
        self.turn_lookup(now, id);
        id
    }

    /// Finds the keepers of a client's registration; then it is put there.
    pub(super) fn find_keepers(&mut self, now: Instant, client: &Address) {
        let key = client.user.ring_key();
        let keepers = usize::from(self.standing.keepers());
        let start = self.nearest(&key, NODES_MAX as u8);
        let lookup = Lookup::of_keepers(now, key, keepers, self.ring.density(), start);
        self.look(now, lookup, Wanted::Keepers { client: client.clone() });
    }

    /// Does what a look-up wants, until it wants nothing.
    fn turn_lookup(&mut self, now: Instant, id: u32) {
        while let Some(running) = self.lookups.running.get_mut(&id) {
            let Some(order) = running.lookup.poll() else { return };
            let (key, me) = (running.lookup.key(), self.ring.me().node);
            match order {
                Order::Nearest { to, width } if to.node == me => {
                    let near = self.nearest(&key, width);
                    self.near_told(now, id, &me, Some(near));
                }
                Order::Nearest { to, width } => {
                    let question = Question::Nearest { key, width };
                    self.question(now, &to, About::Near(id, to.node), question.into());
                }
                Order::Fetch { to } => self.fetch(now, id, &to),
                Order::Done(outcome) => self.lookup_over(now, id, outcome),
            }
        }
    }

    fn fetch(&mut self, now: Instant, id: u32, from: &NodeEntry) {
        let user = match self.lookups.running.get(&id).map(|running| &running.wanted) {
            Some(Wanted::Person { user, .. }) => user.clone(),
            Some(Wanted::Page(search)) => {
                let page = search.page().clone();
                return self.fetch_page(now, id, page, from);
            }
            Some(Wanted::Keepers { .. } | Wanted::Shard { .. }) | None => return,
        };
        if from.node == self.ring.me().node {
            let held = self.keeper.find(&user, self.wall(now));
            let answer = answer_of(held.unwrap_or_default(), Trail::HERE);
            self.fetched(now, id, &from.node, Some(answer));
        } else {
            let about = About::Fetch(id, from.node);
            self.question(now, from, about, Directory::Find { user }.into());
        }
    }

    /// A node has said who is near, or was silent.
    pub(super) fn near_told(&mut self, now: Instant, id: u32, from: &NodeId, near: Option<Near>) {
        if let Some(near) = &near {
            self.ring.heard(near.nodes());
        }
        if let Some(running) = self.lookups.running.get_mut(&id) {
            running.lookup.handle_near(now, from, near);
            self.turn_lookup(now, id);
        }
    }

    /// A keeper has answered, or was silent.
    pub(super) fn fetched(
        &mut self,
        now: Instant,
        id: u32,
        from: &NodeId,
        answer: Option<Directory>,
    ) {
        let wall = self.wall(now);
        let root = self.config.root;
        let Some(running) = self.lookups.running.get_mut(&id) else { return };
        let Wanted::Person { user, .. } = &running.wanted else { return };
        let believed = |entry: &Entry| {
            let checked = Checked::of_entry(entry, &root, wall).ok()?;
            // One that we keep a newer one of is replayed.
            let newer = self.keeper.counter(&checked.address);
            let counter = checked.registration.counter;
            let is_new = newer.is_none_or(|newer| newer <= counter);
            let found = (counter, entry.clone());
            (checked.address.user == *user && is_new).then(|| (checked.is_late(wall), found))
        };
        let fetched = match answer {
            Some(Directory::Found { entries, .. }) => {
                let all: Option<Vec<_>> = entries.iter().map(believed).collect();
                let found = all.unwrap_or_default();
                let records = found.iter().map(|(is_late, (counter, _))| (*counter, *is_late));
                let fetched = Fetched::of_records(records).unwrap_or(Fetched::Failed);
                running.found.extend(found.into_iter().map(|(_, found)| found));
                fetched
            }
            Some(Directory::NotHere { .. }) => Fetched::NotHere,
            Some(_) | None => Fetched::Failed,
        };
        self.lookup_fetched(now, id, from, fetched);
    }

    /// A keeper was asked, and this came of it.
    pub(super) fn lookup_fetched(
        &mut self,
        now: Instant,
        id: u32,
        from: &NodeId,
        fetched: Fetched,
    ) {
        if let Some(running) = self.lookups.running.get_mut(&id) {
            running.lookup.handle_fetched(now, from, fetched);
            self.turn_lookup(now, id);
        }
    }

    fn lookup_over(&mut self, now: Instant, id: u32, outcome: Outcome) {
        let Some(Running { lookup, wanted, found }) = self.lookups.running.remove(&id) else {
            return;
        };
        let count = usize::from(self.standing.keepers());
        match wanted {
            Wanted::Keepers { client } => {
                self.keepers_found(now, &client, lookup.to_write_at(count));
            }
            Wanted::Shard { client } => {
                self.shard_found(now, client, lookup.keepers().take(count).copied().collect());
            }
            Wanted::Page(search) => self.page_over(now, *search, outcome),
            Wanted::Person { user, sharers } => {
                let Outcome { asked, round, end, .. } = outcome;
                let trail = Trail { asked, round, cached: false };
                let entries = newest(found);
                self.leave_with(now, &lookup, &entries);
                let is_sure = match end {
                    End::Found { .. } | End::NotFound => true,
                    End::Placed | End::Inconclusive => false,
                };
                // That nobody has a client's name is true for the moment of registering only.
                let is_denied = entries.is_empty() && self.clients.serves(&user);
                if is_sure && !is_denied {
                    let fresh = if entries.is_empty() { FRESH_DENIAL } else { FRESH };
                    let entries = entries.clone();
                    let remembered = Remembered { entries, trail, until: now + fresh };
                    self.lookups.remember(user, remembered, now);
                }
                for (link, ask) in sharers {
                    self.answer(now, link, ask, answer_of(entries.clone(), trail));
                }
            }
        }
    }

    /// Gives what was found to the nearest keepers that lacked it. A device without a home is not
    /// worth it.
    fn leave_with(&mut self, now: Instant, lookup: &Lookup, entries: &[Entry]) {
        let me = self.ring.me().node;
        let lacking = lookup.lacking().filter(|node| node.node != me).take(LEFT_WITH);
        for node in lacking.copied().collect::<Vec<_>>() {
            for entry in entries.iter().filter(|entry| entry.home.is_some()) {
                let Entry { registration, location, home, .. } = entry.clone();
                let link = self.link_to(now, &node);
                self.links.send(now, link, 0, Directory::Put { registration, location, home });
            }
        }
    }

    pub(super) fn lookups_due(&mut self, now: Instant) {
        let due =
            |running: &&mut Running| running.lookup.poll_timeout().is_some_and(|at| at <= now);
        let mut turned = Vec::new();
        for (id, running) in &mut self.lookups.running {
            if due(&running) {
                running.lookup.handle_timeout(now);
                turned.push(*id);
            }
        }
        turned.into_iter().for_each(|id| self.turn_lookup(now, id));
    }
}

fn answer_of(entries: List<Entry, DEVICES_MAX>, trail: Trail) -> Directory {
    match entries.is_empty() {
        true => Directory::NotHere { trail },
        false => Directory::Found { entries, trail },
    }
}

/// Of several keepers' answers, each device's entry with the highest counter; of two with the same,
/// one that has a home: a keeper that lies can hide nobody by it.
fn newest(entries: Vec<(u64, Entry)>) -> List<Entry, DEVICES_MAX> {
    let mut best: BTreeMap<crate::ids::DeviceId, ((u64, bool), Entry)> = BTreeMap::new();
    for (counter, entry) in entries {
        let rank = (counter, entry.home.is_some());
        match best.get(&entry.device) {
            Some((known, _)) if *known >= rank => {}
            Some(_) | None => {
                best.insert(entry.device, (rank, entry));
            }
        }
    }
    List::first_of(best.into_values().map(|(_, entry)| entry))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
mod tests {
    use std::net::SocketAddr;

    use super::super::testing::serving;
    use super::*;
    use crate::secure::registration::REGISTRATION_LIFE;
    use crate::secure::testing::{Device, NOW, Network};
    use crate::time::UnixTime;
    use crate::wire::bounded::Bytes;
    use crate::wire::certificate::AgreeKey;
    use crate::wire::directory::Registration;

    fn entry_of(device: &Device, signer: &Device, counter: u64, expires: UnixTime) -> Entry {
        let chain = device.chain.clone();
        let registration = Registration { chain, devices_version: 1, counter, expires };
        let registration = signer.keys.sign.sign(&registration);
        let location = Bytes::new(Vec::new()).expect("empty");
        Entry { device: device.id, registration, location, home: None }
    }

    fn keeper(number: u8) -> NodeEntry {
        let address = SocketAddr::from(([192, 0, 2, number], 4433));
        NodeEntry { node: NodeId([number; 20]), address, key: AgreeKey([number; 32]) }
    }

    /// What a look-up takes from a keeper that answers so.
    fn taken(machine: &mut SuperPeer, user: &UserName, given: Vec<Entry>) -> usize {
        let now = Instant::now();
        let start = Near::Keepers(vec![keeper(10), keeper(20), keeper(30)]);
        let lookup = Lookup::new(now, user.ring_key(), None, start);
        let wanted = Wanted::Person { user: user.clone(), sharers: Vec::new() };
        let id = machine.lookups.start(lookup, wanted);
        machine.turn_lookup(now, id);
        let entries = List::first_of(given);
        let answer = Directory::Found { entries, trail: Trail::HERE };
        let asked = machine.lookups.running[&id].lookup.keepers().next().expect("three").node;
        machine.fetched(now, id, &asked, Some(answer));
        machine.lookups.running[&id].found.len()
    }

    #[test]
    fn a_keeper_that_gives_a_forged_expired_or_replayed_registration_gives_nothing() {
        let mut network = Network::new(1);
        let mut machine = serving(&mut network, Instant::now());
        let (alice, mallory) = (network.device("alice"), network.device("mallory"));
        let later = NOW.plus(REGISTRATION_LIFE);
        let right = entry_of(&alice, &alice, 2, later);
        assert_eq!(taken(&mut machine, &alice.user, vec![right.clone()]), 1);
        let forged = entry_of(&alice, &mallory, 3, later);
        let expired = entry_of(&alice, &alice, 3, NOW);
        let another = entry_of(&mallory, &mallory, 3, later);
        for bad in [forged, expired, another] {
            assert_eq!(taken(&mut machine, &alice.user, vec![bad.clone()]), 0);
            assert_eq!(
                taken(&mut machine, &alice.user, vec![right.clone(), bad]),
                0,
                "not in part"
            );
        }
        let (root, location) = (network.root(), right.location.clone());
        let newer = entry_of(&alice, &alice, 4, later).registration;
        let newer = Checked::new(newer, &root, NOW).expect("it is right");
        machine.keeper.put(newer, location, None, NOW).expect("room");
        assert_eq!(taken(&mut machine, &alice.user, vec![right]), 0, "replayed");
    }

    #[test]
    fn a_keeper_takes_no_forged_expired_or_replayed_registration_from_another() {
        let now = Instant::now();
        let mut network = Network::new(1);
        let mut machine = serving(&mut network, now);
        let (alice, mallory) = (network.device("alice"), network.device("mallory"));
        let later = NOW.plus(REGISTRATION_LIFE);
        let mut keep = |entry: Entry| {
            let Entry { registration, location, .. } = entry;
            machine.keep(now, &keeper(10).node, registration, location, None)
        };
        let refused = Err(DirectoryRefusal::RegistrationRefused);
        assert_eq!(keep(entry_of(&alice, &mallory, 1, later)), refused, "forged");
        assert_eq!(keep(entry_of(&alice, &alice, 1, NOW)), refused, "expired");
        assert_eq!(keep(entry_of(&alice, &alice, 2, later)), Ok(()));
        let replayed = keep(entry_of(&alice, &alice, 1, later));
        assert_eq!(replayed, Err(DirectoryRefusal::Stale));
    }

    #[test]
    fn what_was_found_is_left_with_who_lacked_it_and_told_to_whoever_asks() {
        let now = Instant::now();
        let mut network = Network::new(1);
        let mut machine = serving(&mut network, now);
        let alice = network.device("alice");
        let mut entry = entry_of(&alice, &alice, 2, NOW.plus(REGISTRATION_LIFE));
        entry.home = Some(keeper(40));
        let start = Near::Keepers(vec![keeper(10), keeper(20), keeper(30)]);
        let lookup = Lookup::new(now, alice.user.ring_key(), None, start);
        let wanted = Wanted::Person { user: alice.user.clone(), sharers: Vec::new() };
        let id = machine.lookups.start(lookup, wanted);
        machine.turn_lookup(now, id);
        let known = machine.lookups.running[&id].lookup.keepers();
        let [first, others @ ..] = &known.map(|keeper| keeper.node).collect::<Vec<_>>()[..] else {
            panic!("three are known")
        };
        let lacks = Directory::NotHere { trail: Trail::HERE };
        machine.fetched(now, id, first, Some(lacks));
        for holder in others {
            let entries = List::first_of([entry.clone()]);
            let holds = Directory::Found { entries, trail: Trail::HERE };
            machine.fetched(now, id, holder, Some(holds));
        }
        assert!(machine.lookups.running.is_empty(), "it is over");
        assert!(machine.contacts.road(first, now).is_some(), "it is given it");
        let told = machine.find(now, &alice.user);
        let Directory::Found { trail, .. } = told else { panic!("found: {told:?}") };
        assert!(trail.cached);
        let told = machine.find(now + FRESH, &alice.user);
        assert_eq!(told, Directory::NotHere { trail: Trail::HERE });
    }

    #[test]
    fn what_was_found_is_told_again_until_it_changes_or_is_old() {
        let now = Instant::now();
        let mut network = Network::new(1);
        let mut machine = serving(&mut network, now);
        let alice = network.device("alice");
        let entry = entry_of(&alice, &alice, 2, NOW.plus(REGISTRATION_LIFE));
        machine.find_for(now, LinkId::Accepted(1), 1, alice.user.clone());
        assert_eq!(machine.lookups.remembered.len(), 1, "that nobody has the name");
        let Entry { registration, location, .. } = entry;
        machine.keep(now, &keeper(10).node, registration, location, None).expect("it is right");
        assert_eq!(machine.lookups.remembered.len(), 0);
        machine.find_for(now, LinkId::Accepted(1), 2, alice.user.clone());
        let remembered = &machine.lookups.remembered[&alice.user];
        assert_eq!((remembered.entries.len(), remembered.until), (1, now + FRESH));
    }
}
