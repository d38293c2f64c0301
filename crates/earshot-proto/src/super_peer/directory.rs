//! Registering, finding and listing at a super-peer. Lecture, slides 31 and 36–38.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::ids::UserName;
use crate::port::LinkId;
use crate::secure::links::Who;
use crate::wire::bounded::{Bytes, List};
use crate::wire::certificate::{DEVICES_MAX, Signed};
use crate::wire::directory::{
    Directory, DirectoryRefusal, Entry, LOCATION_MAX, NODES_MAX, NodeEntry, Registration,
};
use crate::wire::forward::Address;

use super::clients::{Attaching, Client};
use super::keeper::{self, Checked};
use super::{About, SETTLE, SuperPeer};

/// Look-ups on behalf of clients that run at once, at most.
const LOOKUPS_MAX: usize = 4096;
/// Keepers that must have spoken before a look-up ends early: two, and the higher counter is taken.
/// DESIGN 2.5.
const FOUND_ENOUGH: usize = 2;

/// Look-ups that we make on behalf of clients.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    running: BTreeMap<u32, Lookup>,
    last: u32,
}

#[derive(Debug)]
struct Lookup {
    client: LinkId,
    ask: u32,
    waiting: usize,
    asked: u8,
    found: Vec<List<Entry, DEVICES_MAX>>,
}

impl Lookups {
    pub(super) fn len(&self) -> usize {
        self.running.len()
    }
}

impl SuperPeer {
    pub(super) fn handle_directory(
        &mut self,
        now: Instant,
        link: LinkId,
        who: &Who,
        ask: u32,
        message: Directory,
    ) {
        let member = matches!(who, Who::Device { .. } | Who::Node(_));
        match message {
            Directory::ListSuperPeers => self.list_super_peers(now, link, ask),
            Directory::Attach { registration, location } => {
                self.attach(now, link, who, ask, registration, location);
            }
            Directory::Put { registration, location, home } if matches!(who, Who::Node(_)) => {
                let kept = self.keep(now, registration, location, home);
                self.answer(now, link, ask, kept.map_or_else(refused, |()| Directory::Kept));
            }
            Directory::Nearest { key, width } if member => {
                let width = usize::from(width).min(NODES_MAX);
                let nodes = List::first_of(self.members.nearest(&key, width));
                self.answer(now, link, ask, Directory::Nodes { nodes });
            }
            Directory::Find { user } if member => {
                let answer = self.find(now, &user);
                self.answer(now, link, ask, answer);
            }
            Directory::FindForMe { user } if self.clients.has_link(link) => {
                self.find_for(now, link, ask, &user);
            }
            Directory::Kept
            | Directory::Found { .. }
            | Directory::NotHere { .. }
            | Directory::SuperPeers { .. }
            | Directory::Refused { .. } => self.directory_answer(now, link, ask, message),
            Directory::Put { .. }
            | Directory::Nearest { .. }
            | Directory::Find { .. }
            | Directory::FindForMe { .. }
            | Directory::Nodes { .. }
            | Directory::Attached { .. } => {
                self.answer(now, link, ask, refused(DirectoryRefusal::NotAllowed));
            }
        }
    }

    fn list_super_peers(&mut self, now: Instant, link: LinkId, ask: u32) {
        let nodes = List::first_of(self.members.live());
        let authority = self.config.authority;
        self.answer(now, link, ask, Directory::SuperPeers { nodes, authority });
    }

    fn attach(
        &mut self,
        now: Instant,
        link: LinkId,
        who: &Who,
        ask: u32,
        registration: Signed<Registration>,
        location: Bytes<LOCATION_MAX>,
    ) {
        let wall = self.wall(now);
        let checked = match keeper::check(registration, &self.config.root, wall) {
            Ok(checked) if who.is_device(&checked.address) => checked,
            Ok(_) => return self.answer(now, link, ask, refused(DirectoryRefusal::NotAllowed)),
            Err(reason) => return self.answer(now, link, ask, refused(reason)),
        };
        let Some(observed) = self.links.remote_address(link) else { return };
        let address = checked.address.clone();
        let client = Client::new(link, checked, location, observed);
        if let Some(old) = self.clients.attach(client) {
            self.links.close(old);
        }
        self.put_client(now, &address, Some(ask));
    }

    /// Puts a client's registration to its keepers; with `ask`, tells the client when they have
    /// answered.
    fn put_client(&mut self, now: Instant, address: &Address, ask: Option<u32>) {
        let Some(client) = self.clients.get_mut(address) else { return };
        let keepers =
            self.members.nearest(&address.user.ring_key(), usize::from(self.standing.keepers()));
        if let Some(ask) = ask {
            client.attaching = Some(Attaching { ask, kept: 0, waiting: keepers.len() as u8 });
        }
        let (registration, location) = (client.registration.clone(), client.location.clone());
        let me = *self.members.me();
        for keeper in keepers {
            if keeper.node == me.node {
                let wall = self.wall(now);
                let kept = self.keeper.put(registration.clone(), location.clone(), Some(me), wall);
                self.keeper_answered(now, address, kept.is_ok());
            } else {
                let link = self.link_to(now, &keeper);
                let put = Directory::Put {
                    registration: registration.signed().clone(),
                    location: location.clone(),
                    home: Some(me),
                };
                self.ask(now, link, About::Put(address.clone()), put);
            }
        }
    }

    /// A client is gone: its keepers are told that it has no home any more.
    pub(super) fn put_away(&mut self, now: Instant, client: &Client) {
        let user = &client.registration.address.user;
        let keepers = self.members.nearest(&user.ring_key(), usize::from(self.standing.keepers()));
        for keeper in keepers {
            if keeper.node == self.members.me().node {
                let wall = self.wall(now);
                let (checked, location) = (client.registration.clone(), client.location.clone());
                // A newer registration, made elsewhere meanwhile, stays.
                let _ = self.keeper.put(checked, location, None, wall);
            } else if let Some(link) = self.members.link(&keeper.node) {
                let put = Directory::Put {
                    registration: client.registration.signed().clone(),
                    location: client.location.clone(),
                    home: None,
                };
                self.links.send(now, link, 0, put);
            }
        }
    }

    /// Puts all clients' registrations anew: the members have changed.
    pub(super) fn put_all(&mut self, now: Instant) {
        let addresses: Vec<Address> = self.clients.addresses().cloned().collect();
        for address in addresses {
            self.put_client(now, &address, None);
        }
    }

    /// The set of live members changed: registrations are put anew once it has settled.
    pub(super) fn members_changed(&mut self, now: Instant) {
        self.settle.get_or_insert(now + SETTLE);
    }

    pub(super) fn keeper_answered(&mut self, now: Instant, address: &Address, kept: bool) {
        let Some(client) = self.clients.get_mut(address) else { return };
        let Some(attaching) = &mut client.attaching else { return };
        attaching.waiting = attaching.waiting.saturating_sub(1);
        attaching.kept += u8::from(kept);
        if attaching.waiting == 0 {
            let (link, observed) = (client.link, client.observed);
            let Attaching { ask, kept, .. } = *attaching;
            client.attaching = None;
            self.answer(now, link, ask, Directory::Attached { keepers: kept, observed });
        }
    }

    fn keep(
        &mut self,
        now: Instant,
        registration: Signed<Registration>,
        location: Bytes<LOCATION_MAX>,
        home: Option<NodeEntry>,
    ) -> Result<(), DirectoryRefusal> {
        let wall = self.wall(now);
        let checked = keeper::check(registration, &self.config.root, wall)?;
        self.keeper.put(checked, location, home, wall)
    }

    fn find(&mut self, now: Instant, user: &UserName) -> Directory {
        match self.keeper.find(user, self.wall(now)) {
            Some(entries) => {
                self.counters.found += 1;
                Directory::Found { entries, asked: 1 }
            }
            None => {
                self.counters.not_here += 1;
                Directory::NotHere { asked: 1 }
            }
        }
    }

    fn find_for(&mut self, now: Instant, client: LinkId, ask: u32, user: &UserName) {
        if self.lookups.running.len() >= LOOKUPS_MAX {
            return self.answer(now, client, ask, refused(DirectoryRefusal::Busy));
        }
        let keepers = self.members.nearest(&user.ring_key(), usize::from(self.standing.keepers()));
        self.lookups.last = self.lookups.last.wrapping_add(1);
        let id = self.lookups.last;
        let lookup = Lookup {
            client,
            ask,
            waiting: keepers.len(),
            asked: keepers.len() as u8,
            found: Vec::new(),
        };
        self.lookups.running.insert(id, lookup);
        for keeper in keepers {
            if keeper.node == self.members.me().node {
                let held = self.keeper.find(user, self.wall(now));
                self.lookup_answered(now, id, held);
            } else {
                let link = self.link_to(now, &keeper);
                self.ask(now, link, About::Lookup(id), Directory::Find { user: user.clone() });
            }
        }
    }

    pub(super) fn lookup_answered(
        &mut self,
        now: Instant,
        id: u32,
        found: Option<List<Entry, DEVICES_MAX>>,
    ) {
        let Some(lookup) = self.lookups.running.get_mut(&id) else { return };
        lookup.waiting = lookup.waiting.saturating_sub(1);
        lookup.found.extend(found);
        if lookup.waiting > 0 && lookup.found.len() < FOUND_ENOUGH {
            return;
        }
        let Some(lookup) = self.lookups.running.remove(&id) else { return };
        let asked = lookup.asked;
        let entries = newest(lookup.found);
        let answer = if entries.is_empty() {
            Directory::NotHere { asked }
        } else {
            Directory::Found { entries, asked }
        };
        self.answer(now, lookup.client, lookup.ask, answer);
    }

    fn directory_answer(&mut self, now: Instant, link: LinkId, ask: u32, message: Directory) {
        if let Directory::SuperPeers { authority, .. } = &message
            && self.is_asking_door(link)
        {
            return self.door_answered(now, link, *authority);
        }
        let Some(about) = self.asks.answered(link, ask) else { return };
        match (about, message) {
            (About::Put(client), message) => {
                self.keeper_answered(now, &client, matches!(message, Directory::Kept));
            }
            (About::Lookup(id), Directory::Found { entries, .. }) => {
                self.lookup_answered(now, id, Some(entries));
            }
            (About::Lookup(id), _) => self.lookup_answered(now, id, None),
            (About::Members, Directory::SuperPeers { nodes, .. }) => {
                let news = nodes.iter().filter(|entry| self.members.learn(**entry, now)).count();
                if news > 0 {
                    self.members_changed(now);
                    self.join_due(now);
                }
            }
            (About::Members, _) => {}
            (about @ About::Carry(..), _) => self.ask_failed(now, about),
        }
    }
}

/// Of several keepers' answers, each device's entry with the highest counter.
fn newest(answers: Vec<List<Entry, DEVICES_MAX>>) -> List<Entry, DEVICES_MAX> {
    let mut best: BTreeMap<crate::ids::DeviceId, (u64, Entry)> = BTreeMap::new();
    for entry in answers.into_iter().flat_map(List::into_vec) {
        let counter = Checked::counter_of(&entry.registration);
        match best.get(&entry.device) {
            Some((known, _)) if *known >= counter => {}
            Some(_) | None => {
                best.insert(entry.device, (counter, entry));
            }
        }
    }
    List::first_of(best.into_values().map(|(_, entry)| entry))
}

fn refused(reason: DirectoryRefusal) -> Directory {
    Directory::Refused { reason }
}
