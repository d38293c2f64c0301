//! Registering, finding and listing at a super-peer. Lecture, slides 31 and 36–38.

use std::time::Instant;

use crate::ids::{NodeId, UserName};
use crate::port::LinkId;
use crate::secure::links::Who;
use crate::secure::registration::{Checked, NotBelieved};
use crate::wire::bounded::{Bytes, List};
use crate::wire::certificate::Signed;
use crate::wire::directory::{
    Directory, DirectoryRefusal, LOCATION_MAX, NodeEntry, Registration, Trail,
};
use crate::wire::forward::Address;

use super::clients::{Attaching, Client};
use super::handover::Kept;
use super::{About, SuperPeer};

/// Nodes that a registration is put to for each keeper that does not take it. Our choice: liars
/// may name nodes that do not exist, nearer to the key than any keeper; with three for one, the
/// keepers behind twelve such are reached within one patience time.
const SPARE_EACH: usize = 3;

impl SuperPeer {
    /// The highest counter of the registrations of this user that are held here.
    #[must_use]
    pub fn kept_counter(&self, user: &UserName) -> Option<u64> {
        self.keeper.newest(user)
    }

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
            Directory::Put { registration, location, home } => {
                let Who::Node(from) = who else { return self.not_yours(now, link, ask) };
                let kept = self.keep(now, &from.node, registration, location, home);
                self.answer(now, link, ask, kept.map_or_else(refused, |()| Directory::Kept));
            }
            Directory::Offer { records } if matches!(who, Who::Node(_)) => {
                self.handle_offer(now, link, ask, &records);
            }
            Directory::Find { user } if member => {
                let answer = self.find(now, &user);
                self.answer(now, link, ask, answer);
            }
            Directory::FindForMe { user } if self.clients.has_link(link) => {
                self.find_for(now, link, ask, user);
            }
            Directory::Kept
            | Directory::Wanted { .. }
            | Directory::Found { .. }
            | Directory::NotHere { .. }
            | Directory::SuperPeers { .. }
            | Directory::Refused { .. } => self.directory_answer(now, link, ask, message),
            Directory::Offer { .. }
            | Directory::Find { .. }
            | Directory::FindForMe { .. }
            | Directory::Attached { .. }
            | Directory::MoveOn { .. } => self.not_yours(now, link, ask),
        }
    }

    fn not_yours(&mut self, now: Instant, link: LinkId, ask: u32) {
        self.answer(now, link, ask, refused(DirectoryRefusal::NotAllowed));
    }

    fn list_super_peers(&mut self, now: Instant, link: LinkId, ask: u32) {
        let nodes = List::first_of(self.some_members(now));
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
            client.attaching = Some(Attaching { ask, kept: 0, waiting: 0, spare: Vec::new() });
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
                let ask = attaching.ask;
                client.attaching = None;
                return self.answer(now, link, ask, refused(DirectoryRefusal::Busy));
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
        if let Some(attaching) = &mut client.attaching {
            attaching.waiting = attaching.waiting.saturating_add(keepers.len() as u8);
        }
        client.keepers.extend(&keepers);
        let (registration, location) = (client.registration.clone(), client.location.clone());
        let me = *self.ring.me();
        for keeper in keepers {
            if keeper.node == me.node {
                let wall = self.wall(now);
                let kept = self.keeper.put(registration.clone(), location.clone(), Some(me), wall);
                self.keeper_answered(now, address, kept.is_ok());
            } else {
                let put = Directory::Put {
                    registration: registration.signed().clone(),
                    location: location.clone(),
                    home: Some(me),
                };
                let link = self.link_to(now, &keeper);
                self.ask(now, link, About::Put(address.clone()), put);
            }
        }
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

    pub(super) fn keeper_answered(&mut self, now: Instant, address: &Address, kept: bool) {
        let Some(client) = self.clients.get_mut(address) else { return };
        let Some(attaching) = &mut client.attaching else { return };
        attaching.waiting = attaching.waiting.saturating_sub(1);
        attaching.kept += u8::from(kept);
        let lacking = self.standing.keepers().saturating_sub(attaching.kept);
        if attaching.waiting == 0 && lacking > 0 && !attaching.spare.is_empty() {
            let many = attaching.spare.len().min(usize::from(lacking) * SPARE_EACH);
            let next = attaching.spare.drain(..many).collect();
            return self.put_to(now, address, next);
        }
        if attaching.waiting == 0 || lacking == 0 {
            let (link, observed) = (client.link, client.observed);
            let Attaching { ask, kept, .. } = *attaching;
            client.attaching = None;
            let epochs = List::first_of(self.questions.epochs().to_vec());
            let attached = Directory::Attached { keepers: kept, observed, epochs };
            self.answer(now, link, ask, attached);
        }
    }

    pub(super) fn keep(
        &mut self,
        now: Instant,
        from: &NodeId,
        registration: Signed<Registration>,
        location: Bytes<LOCATION_MAX>,
        home: Option<NodeEntry>,
    ) -> Result<(), DirectoryRefusal> {
        let wall = self.wall(now);
        let checked = Checked::new(registration, &self.config.root, wall)
            .map_err(|NotBelieved| DirectoryRefusal::RegistrationRefused)?;
        let address = checked.address.clone();
        self.keeper.put(checked, location, home, wall)?;
        self.lookups.forget(&address.user);
        self.pass_back(now, from, &Kept::Registration(address));
        Ok(())
    }

    /// What is kept here of a user, or was found not long ago.
    pub(super) fn find(&mut self, now: Instant, user: &UserName) -> Directory {
        let kept = self.keeper.find(user, self.wall(now));
        let kept = kept.map(|entries| Directory::Found { entries, trail: Trail::HERE });
        let found = kept.or_else(|| {
            let answer = self.remembered(now, user);
            answer.filter(|answer| matches!(answer, Directory::Found { .. }))
        });
        self.counters.found += u64::from(found.is_some());
        self.counters.not_here += u64::from(found.is_none());
        found.unwrap_or(Directory::NotHere { trail: Trail::HERE })
    }

    /// The answer to a question of ours came over a link.
    fn directory_answer(&mut self, now: Instant, link: LinkId, ask: u32, message: Directory) {
        if let Directory::SuperPeers { authority, .. } = &message
            && self.is_asking_door(link)
        {
            return self.door_answered(now, link, *authority);
        }
        self.link_answered(now, link, ask, message);
    }
}

pub(super) const fn refused(reason: DirectoryRefusal) -> Directory {
    Directory::Refused { reason }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
mod tests {
    use super::super::testing::serving;
    use super::*;
    use crate::port::{Input, LinkEvent, Machine, Service};
    use crate::secure::registration::REGISTRATION_LIFE;
    use crate::secure::testing::{Device, NOW, Network};
    use crate::time::UnixTime;

    const LINK: LinkId = LinkId::Accepted(1);

    fn signed(by: &Device, of: &Device, counter: u64, expires: UnixTime) -> Signed<Registration> {
        let chain = of.chain.clone();
        by.keys.sign.sign(&Registration { chain, devices_version: 1, counter, expires })
    }

    #[test]
    fn a_stale_forged_expired_or_foreign_registration_attaches_nobody() {
        let now = Instant::now();
        let mut network = Network::new(1);
        let mut machine = serving(&mut network, now);
        let (alice, mallory) = (network.device("alice"), network.device("mallory"));
        let address = Address { user: alice.user.clone(), device: alice.id };
        let (identity, keys) = (alice.identity, alice.keys.public());
        let who = Who::Device { address: address.clone(), identity, keys };
        let from = std::net::SocketAddr::from(([192, 0, 2, 9], 4433));
        let accepted = LinkEvent::Accepted { from, service: Service::SuperPeer };
        machine.handle(now, Input::Link(LINK, accepted));
        let mut attach = |registration| {
            let location = Bytes::new(Vec::new()).expect("empty");
            machine.attach(now, LINK, &who, 1, registration, location);
            let client = machine.clients.get_mut(&address);
            client.map(|client| client.registration.registration.counter)
        };
        let later = NOW.plus(REGISTRATION_LIFE);
        for (how, bad) in [
            ("forged", signed(&mallory, &alice, 7, later)),
            ("of somebody else", signed(&mallory, &mallory, 7, later)),
            ("expired", signed(&alice, &alice, 7, NOW)),
            ("endless", signed(&alice, &alice, 7, NOW.plus(REGISTRATION_LIFE * 3))),
        ] {
            assert_eq!(attach(bad), None, "{how}");
        }
        let first = signed(&alice, &alice, 7, later);
        assert_eq!(attach(first.clone()), Some(7));
        assert_eq!(attach(signed(&alice, &alice, 8, later)), Some(8));
        assert_eq!(attach(first), Some(8), "replayed");
        assert_eq!(attach(signed(&alice, &alice, 6, later)), Some(8), "stale");
    }
}
