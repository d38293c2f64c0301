//! Clients that are handed over, and what is seen of it.

use std::time::Duration;

use earshot_proto::super_peer::Notice;

use super::host::Role;
use super::world::World;

impl World {
    /// A super-peer begins to hand its clients over, within that time.
    pub fn hands_over(&mut self, name: &str, within: Duration) {
        let (id, now) = (self.id(name), self.instant());
        self.note(id, "hands over");
        let Some(Role::SuperPeer(node)) = &mut self.machine_mut(id).role else {
            panic!("{name} is no living super-peer")
        };
        node.hand_over_clients(now, within);
        self.drain(id);
    }

    /// Whether all its clients have gone, or their time is over.
    #[must_use]
    pub fn is_deserted(&self, name: &str) -> bool {
        self.owner(name).super_peer.last() == Some(&Notice::Deserted)
    }

    /// Whether a peer has a home that has taken it in, as it sees that itself.
    #[must_use]
    pub fn has_home(&self, name: &str) -> bool {
        let view = self.peer(name).network_view();
        view.is_some_and(|view| view.home.is_some() && view.keepers > 0)
    }

    /// Devices that somebody shows as they were although their homes were lost.
    #[must_use]
    pub fn held(&self, name: &str) -> usize {
        self.peer(name).load().held
    }

    /// How often somebody's window was told how a buddy is.
    #[must_use]
    pub fn presences_told(&self, name: &str) -> usize {
        self.owner(name).presences
    }
}
