//! The network that was joined, and our place in it. DESIGN 2.1, 2.2.

use std::time::Instant;

use crate::ids::NetworkId;
use crate::secure::identity::network;
use crate::wire::certificate::VerifyKey;
use crate::wire::invite::Invite;

use super::command::{Answer, Failure, NetworkView, Notice};
use super::home::Home;
use super::{OnSaved, Peer, Record};

/// The network that was joined.
pub(super) struct Joined {
    pub(super) invite: Invite,
    network: NetworkId,
}

impl Peer {
    /// Our place in the network; none before one was joined.
    #[must_use]
    pub fn network_view(&self) -> Option<NetworkView> {
        let joined = self.joined.as_ref()?;
        let (home, keepers) = match &self.home {
            Home::Linked(home) => (Some((home.node, home.since)), home.keepers),
            Home::None | Home::Seeking(_) => (None, None),
        };
        Some(NetworkView {
            network: joined.network,
            root: joined.invite.root,
            name: joined.invite.name.as_str().to_owned(),
            home,
            keepers: keepers.unwrap_or(0),
            super_peers: self.super_peers.len(),
            reachability: self.reachability().filter(|_| home.is_some()),
            reachability_at: self.believed.verdict().map(|(_, at)| at).filter(|_| home.is_some()),
            nat: self.nat_watch.view(),
            mapped: self.believed.mapped(),
            authority: self.authority,
            near: self.nearby.devices().cloned().collect(),
            links: self.links.open().collect(),
        })
    }

    /// The invite by which the network was joined.
    #[must_use]
    pub fn invite(&self) -> Option<&Invite> {
        self.joined.as_ref().map(|joined| &joined.invite)
    }

    pub(super) fn join(&mut self, ask: u64, invite: Invite) {
        let network = invite.network();
        match &self.joined {
            Some(joined) if joined.network != network => {
                return self.fail(ask, Failure::OtherNetwork);
            }
            Some(_) | None => {}
        }
        self.enter(invite);
        let told = self.network_view().map(|view| Box::new(Notice::Network(Box::new(view))));
        if let (Some(record), Some(told)) = (self.network_record(), told) {
            let then = OnSaved::Tell(ask, Answer::Joined(network), told);
            self.save(Record::Network(record), then);
        }
    }

    pub(super) fn enter(&mut self, invite: Invite) {
        self.super_peers.invited(&invite.super_peers);
        invite.also.iter().for_each(|also| self.links.also_told(also));
        self.links.join(invite.root);
        self.joined = Some(Joined { network: invite.network(), invite });
    }

    pub(super) fn root(&self) -> VerifyKey {
        self.joined.as_ref().map_or(VerifyKey([0; 32]), |joined| joined.invite.root)
    }

    pub(super) fn network_id(&self) -> NetworkId {
        network(&self.root())
    }

    pub(super) fn authority_seen(&mut self, now: Instant, reachable: bool) {
        if self.authority.is_none_or(|(was, _)| was != reachable) {
            self.authority = Some((reachable, self.wall(now)));
            self.tell_network();
        }
    }

    pub(super) fn tell_network(&mut self) {
        self.tell_session();
        if let Some(view) = self.network_view() {
            self.tell(Notice::Network(Box::new(view)));
        }
    }
}
