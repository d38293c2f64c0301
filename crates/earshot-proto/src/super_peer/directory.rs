//! What is kept here of the directory: keeping, finding and listing. Lecture, slides 31 and 36–38.

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

use crate::wire::invite::AlsoAt;

use super::SuperPeer;
use super::handover::Kept;

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

    pub(super) fn not_yours(&mut self, now: Instant, link: LinkId, ask: u32) {
        self.answer(now, link, ask, refused(DirectoryRefusal::NotAllowed));
    }

    fn list_super_peers(&mut self, now: Instant, link: LinkId, ask: u32) {
        let (nodes, authority) = (self.some_members(now), self.config.authority);
        let mut also = self.links.also_of(&nodes, authority.as_ref().map(|door| &door.key));
        let me = self.ring.me().key;
        also.extend(self.config.v6.map(|address| AlsoAt { key: me, address }));
        let (nodes, also) = (List::first_of(nodes), List::first_of(also));
        self.answer(now, link, ask, Directory::SuperPeers { nodes, authority, also });
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
    use crate::wire::forward::Address;

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
