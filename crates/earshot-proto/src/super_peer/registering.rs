//! Registering clients: their registrations are put at the keepers. Lecture, slide 31; DESIGN 2.5.
//!
//! The keepers are looked for on the ring and given the registration, and those that do not take it
//! are replaced by others that were named. A keeper that has not answered for [`SLOW`] is not
//! waited for: the next are given it beside it, and a client that two hold is told so. Its patience
//! ends soon after.
//!
//! Invariant: what is put for an older registration of a client says nothing about its newest.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::ids::NodeId;
use crate::port::LinkId;
use crate::secure::links::Who;
use crate::secure::registration::{Checked, NotBelieved};
use crate::wire::bounded::{Bytes, List};
use crate::wire::certificate::Signed;
use crate::wire::directory::{Directory, DirectoryRefusal, LOCATION_MAX, NodeEntry, Registration};
use crate::wire::forward::Address;

use super::clients::{Attaching, Client};
use super::directory::refused;
use super::{About, SuperPeer};

/// Nodes that a registration is put to for each keeper that does not take it. Our choice: liars
/// may name nodes that do not exist, nearer to the key than any keeper; with three for one, the
/// keepers behind twelve such are reached at the second try.
const SPARE_EACH: usize = 3;
/// After so long a keeper that has not answered counts as one that does not. Our choice: a slow
/// line's round trip; three tries fit into a client's patience.
const SLOW: Duration = Duration::from_secs(1);
/// Keepers with which a client is registered, though others are silent: a search ends with two that
/// hold the same. DESIGN 2.5.
const ENOUGH: u8 = 2;

/// When keepers become slow, in order; of each client, and the counter of its registration.
#[derive(Debug, Default)]
pub(super) struct Slow(VecDeque<(Instant, Address, u64)>);

impl Slow {
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.front().map(|(at, ..)| *at)
    }
}

impl SuperPeer {
    /// A device wants to be registered, anew or for the first time.
    pub(super) fn attach(
        &mut self,
        now: Instant,
        link: LinkId,
        who: &Who,
        ask: u32,
        registration: Signed<Registration>,
        location: Bytes<LOCATION_MAX>,
    ) {
        let wall = self.wall(now);
        let checked = match Checked::new(registration, &self.config.root, wall) {
            Ok(checked) if who.is_device(&checked.address) => checked,
            Ok(_) => return self.not_yours(now, link, ask),
            Err(NotBelieved) => {
                let refusal = refused(DirectoryRefusal::RegistrationRefused);
                return self.answer(now, link, ask, refusal);
            }
        };
        let attached = self.clients.get_mut(&checked.address);
        let newest = attached.map_or(0, |client| client.registration.registration.counter);
        if checked.registration.counter < newest {
            return self.answer(now, link, ask, refused(DirectoryRefusal::Stale));
        }
        let Some(observed) = self.links.remote_address(link) else { return };
        let address = checked.address.clone();
        if self.clients.get(&address).is_none() && !self.has_room_for_a_client() {
            return self.send_elsewhere(now, link, ask);
        }
        let client = Client::new(link, checked, location, observed);
        if let Some(old) = self.clients.attach(client) {
            self.moving.gone(old);
            self.links.close(old);
        }
        self.lookups.forget(&address.user);
        if let Some(client) = self.clients.get_mut(&address) {
            client.attaching = Some(Attaching::new(ask));
        }
        self.find_keepers(now, &address);
    }

    /// The keepers of a client's registration are known, and nodes behind them: it is put there.
    pub(super) fn keepers_found(
        &mut self,
        now: Instant,
        address: &Address,
        mut keepers: Vec<NodeEntry>,
    ) {
        let count = usize::from(self.standing.keepers());
        let spare = keepers.split_off(keepers.len().min(count));
        let Some(client) = self.clients.get_mut(address) else { return };
        let link = client.link;
        match &mut client.attaching {
            Some(attaching) if keepers.is_empty() => {
                let ask = attaching.ask.take();
                client.attaching = None;
                if let Some(ask) = ask {
                    self.answer(now, link, ask, refused(DirectoryRefusal::Busy));
                }
                return;
            }
            Some(attaching) => attaching.spare = spare,
            None => {}
        }
        client.keepers.clear();
        self.put_to(now, address, keepers);
    }

    /// Puts a client's registration at these super-peers.
    fn put_to(&mut self, now: Instant, address: &Address, keepers: Vec<NodeEntry>) {
        let Some(client) = self.clients.get_mut(address) else { return };
        let counter = client.registration.registration.counter;
        if let Some(attaching) = &mut client.attaching {
            attaching.waiting = attaching.waiting.saturating_add(keepers.len() as u8);
            self.slow.0.push_back((now + SLOW, address.clone(), counter));
        }
        client.keepers.extend(&keepers);
        let (registration, location) = (client.registration.clone(), client.location.clone());
        let me = *self.ring.me();
        for keeper in keepers {
            if keeper.node == me.node {
                let wall = self.wall(now);
                let kept = self.keeper.put(registration.clone(), location.clone(), Some(me), wall);
                self.keeper_answered(now, address, counter, kept.is_ok());
            } else {
                let put = Directory::Put {
                    registration: registration.signed().clone(),
                    location: location.clone(),
                    home: Some(me),
                };
                let link = self.link_to(now, &keeper);
                self.ask(now, link, About::Put(address.clone(), counter), put);
            }
        }
    }

    /// A keeper has taken a registration with that counter, or has not.
    pub(super) fn keeper_answered(
        &mut self,
        now: Instant,
        address: &Address,
        counter: u64,
        kept: bool,
    ) {
        let Some(attaching) = self.attaching(address, counter) else { return };
        attaching.waiting = attaching.waiting.saturating_sub(1);
        attaching.kept += u8::from(kept);
        let is_last = attaching.waiting == 0;
        self.register_on(now, address, counter, is_last);
    }

    /// Keepers that were asked some time ago and have not answered are passed by.
    pub(super) fn slow_due(&mut self, now: Instant) {
        while let Some((_, address, counter)) = self.slow.0.pop_front_if(|(at, ..)| *at <= now) {
            let Some(attaching) = self.attaching(&address, counter) else { continue };
            if attaching.kept >= ENOUGH {
                self.say_attached(now, &address);
            }
            self.register_on(now, &address, counter, true);
        }
    }

    fn attaching(&mut self, address: &Address, counter: u64) -> Option<&mut Attaching> {
        let client = self.clients.get_mut(address)?;
        let is_newest = client.registration.registration.counter == counter;
        client.attaching.as_mut().filter(|_| is_newest)
    }

    /// Puts a registration that too few hold to the next nodes, if nobody else is waited for; tells
    /// its client when enough do, or when there is nobody left.
    fn register_on(&mut self, now: Instant, address: &Address, counter: u64, is_next: bool) {
        let wanted = self.standing.keepers();
        let Some(attaching) = self.attaching(address, counter) else { return };
        let lacking = wanted.saturating_sub(attaching.kept);
        if lacking > 0 && !attaching.spare.is_empty() {
            if is_next {
                let many = attaching.spare.len().min(usize::from(lacking) * SPARE_EACH);
                let next = attaching.spare.drain(..many).collect();
                self.put_to(now, address, next);
            }
        } else if lacking == 0 || attaching.waiting == 0 {
            self.say_attached(now, address);
            if let Some(client) = self.clients.get_mut(address) {
                client.attaching = None;
            }
        }
    }

    /// Tells a client that waits for it how many keep its registration.
    fn say_attached(&mut self, now: Instant, address: &Address) {
        let Some(client) = self.clients.get_mut(address) else { return };
        let (link, observed) = (client.link, client.observed);
        let Some(attaching) = &mut client.attaching else { return };
        let keepers = attaching.kept;
        let Some(ask) = attaching.ask.take() else { return };
        let epochs = List::first_of(self.questions.epochs().to_vec());
        self.answer(now, link, ask, Directory::Attached { keepers, observed, epochs });
    }

    /// A super-peer is gone. A registration all of whose keepers are is put anew; as long as one
    /// lives, it sees to the copies.
    pub(super) fn keeper_gone(&mut self, now: Instant, keeper: &NodeId) {
        for client in self.clients.keeper_gone(keeper) {
            self.find_keepers(now, &client);
        }
    }

    /// A client is gone: its keepers are told that it has no home any more.
    pub(super) fn put_away(&mut self, now: Instant, client: &Client) {
        let address = &client.registration.address;
        self.lookups.forget(&address.user);
        for keeper in &client.keepers {
            if keeper.node == self.ring.me().node {
                let wall = self.wall(now);
                let (checked, location) = (client.registration.clone(), client.location.clone());
                // A newer registration, made elsewhere meanwhile, stays.
                let _ = self.keeper.put(checked, location, None, wall);
            } else {
                let put = Directory::Put {
                    registration: client.registration.signed().clone(),
                    location: client.location.clone(),
                    home: None,
                };
                let link = self.link_to(now, keeper);
                self.links.send(now, link, 0, put);
            }
        }
    }
}
