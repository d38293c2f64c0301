//! Local networks: hosts that see and reach each other whatever stands between them and the rest.
//!
//! In place of mDNS: whoever announces itself is seen by the others of its network a moment later,
//! and is gone from there when it says so or ends.

use std::time::Duration;

use earshot_proto::ids::NearbyTag;
use earshot_proto::port::{Input, Sighting};

use super::world::{Event, HostId, MachineId, World};

/// From an announcement to its sighting.
const SEEN_AFTER: Duration = Duration::from_millis(20);
/// How long an announcement holds that is not taken back. RFC 6762, section 10: 120 s.
const TTL: Duration = Duration::from_secs(120);

impl World {
    /// Puts the hosts of these machines on a local network of their own.
    pub fn share_lan(&mut self, names: &[&str]) {
        let lan = 1 + self.hosts.iter().filter_map(|host| host.lan).max().unwrap_or(0);
        for name in names {
            let host = self.machine(self.id(name)).host;
            self.hosts[host.0].lan = Some(lan);
        }
        let ids: Vec<MachineId> = names.iter().map(|name| self.id(name)).collect();
        ids.into_iter().for_each(|id| self.tell_lan(id));
    }

    /// The line from the local network of this machine to the rest of the world is dead.
    pub fn cut_lan_off(&mut self, name: &str) {
        let here = self.machine(self.id(name)).host;
        let lan = self.hosts[here.0].lan;
        let (inside, outside): (Vec<HostId>, Vec<HostId>) =
            (0..self.hosts.len()).map(HostId).partition(|host| self.hosts[host.0].lan == lan);
        for near in inside {
            self.cuts.extend(outside.iter().map(|far| (near.min(*far), near.max(*far))));
        }
    }

    /// How many connections a machine has dialled to devices near by.
    #[must_use]
    pub fn near_dials(&self, name: &str) -> u64 {
        self.machine(self.id(name)).near_dials
    }

    /// Whether two machines are on one local network.
    pub(super) fn are_near(&self, a: MachineId, b: MachineId) -> bool {
        let [a, b] = [a, b].map(|id| self.hosts[self.machine(id).host.0].lan);
        a.is_some() && a == b
    }

    /// A machine announces itself under another name than before, or no more.
    pub(super) fn announces(&mut self, id: MachineId, tag: Option<NearbyTag>) {
        let before = std::mem::replace(&mut self.machine_mut(id).announced, tag);
        if let Some(gone) = before {
            self.tell_gone(id, gone, SEEN_AFTER);
        }
        self.tell_lan(id);
    }

    /// A machine ends without a goodbye: it is seen for a while yet.
    pub(super) fn silenced(&mut self, id: MachineId) {
        if let Some(gone) = self.machine_mut(id).announced.take() {
            self.tell_gone(id, gone, TTL);
        }
    }

    fn tell_gone(&mut self, id: MachineId, gone: NearbyTag, after: Duration) {
        for other in self.neighbours(id) {
            self.sight(other, Sighting::Gone(gone), after);
        }
    }

    /// A machine and its neighbours see each other.
    fn tell_lan(&mut self, id: MachineId) {
        let Some(tag) = self.machine(id).announced else { return };
        let at = self.address_of(id);
        for other in self.neighbours(id) {
            self.sight(other, Sighting::Seen { tag, at }, SEEN_AFTER);
            if let Some(tag) = self.machine(other).announced {
                let at = self.address_of(other);
                self.sight(id, Sighting::Seen { tag, at }, SEEN_AFTER);
            }
        }
    }

    fn neighbours(&self, id: MachineId) -> Vec<MachineId> {
        let all = (0..self.machines.len()).map(MachineId);
        all.filter(|other| *other != id && self.are_near(id, *other)).collect()
    }

    fn sight(&mut self, id: MachineId, sighting: Sighting, after: Duration) {
        let life = self.machine(id).life;
        self.later(after, Event::Nearby(id, life, sighting));
    }

    pub(super) fn sighted(&mut self, id: MachineId, life: u32, sighting: Sighting) {
        let hears = self.machine(id).announced.is_some();
        if self.is_alive(id, life) && hears {
            self.give(id, "sighting", Input::Nearby(sighting));
        }
    }
}
