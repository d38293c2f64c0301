//! Founding a network: the authority, the super-peers, the invite. And switching hosts off and on.

use std::net::SocketAddr;
use std::time::Duration;

use earshot_proto::authority::{
    Admits, Authority, AuthorityKeys, AuthorityState, Limits, Notice as AuthorityNotice, Order,
};
use earshot_proto::entropy::Entropy;
use earshot_proto::peer::{self, Peer};
use earshot_proto::port::{LinkDown, PathPolicy};
use earshot_proto::secure::identity::{Keys, LinkKey, SignKey};
use earshot_proto::secure::password::StretchCost;
use earshot_proto::super_peer::{self, Notice as SuperPeerNotice, SuperPeer};
use earshot_proto::wire::bounded::{List, Text};
use earshot_proto::wire::certificate::VerifyKey;
use earshot_proto::wire::invite::{Door, Invite};
use earshot_proto::wire::policy::{Admission, Policy};

use super::disk::UserDisk;
use super::host::{Blueprint, Nat, Role, Script, Skew};
use super::world::{Event, HostId, MachineId, World};

/// How long founding may take.
const FOUNDING: Duration = Duration::from_secs(30);

/// The network of a world.
#[derive(Clone, Debug)]
pub(super) struct Network {
    pub(super) root: VerifyKey,
    pub(super) authority: Door,
    pub(super) invite: Invite,
}

impl World {
    /// Founds a network with so many super-peers, on hosts of their own.
    #[must_use]
    pub fn network(mut self, super_peers: usize) -> Self {
        self.found(super_peers);
        self
    }

    fn found(&mut self, super_peers: usize) {
        let address = SocketAddr::from(([11, 0, 0, 1], 4433));
        let root = self.add_authority("authority", address);
        for number in 1..=super_peers {
            self.add_super_peer(&format!("super-{number}"), number);
        }
        let claim = move |w: &Self| (1..=super_peers).all(|n| w.serves(&format!("super-{n}")));
        self.run_until(claim, FOUNDING);
        let doors = (1..=super_peers).map(|n| self.door_of(&format!("super-{n}")));
        let super_peers = List::first_of(doors.collect::<Vec<_>>());
        let name = Text::new("the world").expect("short");
        if let Some(network) = &mut self.network {
            network.invite = Invite { name, root, super_peers, token: None, policy_version: 1 };
        }
        // Super-peers find each other before anybody comes.
        self.run_for(Duration::from_secs(2));
    }

    fn add_authority(&mut self, name: &str, address: SocketAddr) -> VerifyKey {
        let keys = AuthorityKeys::found(&mut self.seeds);
        let root = keys.root();
        let policy = Policy {
            version: 1,
            name: Text::new("the world").expect("short"),
            admission: Admission::Open,
            ranges: List::default(),
            ring_threshold: 2048,
            keepers: 4,
            successors: 16,
        };
        let rows = keys.first_rows(&policy, super::world::DAWN).expect("the founder has the root");
        let limits = Limits::default();
        let blueprint = Blueprint::Authority { keys: keys.to_bytes().to_vec(), limits };
        self.add(name, address, Nat::Open, blueprint);
        let id = self.id(name);
        self.machine_mut(id).disk.rows =
            rows.into_iter().map(|row| ((row.table(), row.key()), row)).collect();
        let authority = Door { address, key: keys.public().agree };
        let none = List::default();
        let name = Text::default();
        let invite = Invite { name, root, super_peers: none, token: None, policy_version: 1 };
        self.network = Some(Network { root, authority, invite });
        self.start_host(self.machine(id).host);
        root
    }

    /// Adds a super-peer, which enrols by a token of the authority's.
    pub fn add_super_peer(&mut self, name: &str, number: usize) {
        let token = self.node_token();
        let network = self.network.clone().expect("a network was founded");
        let (sign, link) = (SignKey::draw(&mut self.seeds), LinkKey::draw(&mut self.seeds));
        let blueprint = Blueprint::SuperPeer {
            sign: *sign.secret(),
            link: *link.secret(),
            root: network.root,
            authority: network.authority,
            token: Some(token),
            owner: None,
        };
        let address = SocketAddr::from(([11, 0, 1, number as u8], 4433));
        self.add(name, address, Nat::Open, blueprint);
        let host = self.machine(self.id(name)).host;
        self.start_host(host);
    }

    fn node_token(&mut self) -> earshot_proto::wire::bounded::Bytes<32> {
        let id = self.id("authority");
        let now = self.instant();
        let until = super::world::DAWN.plus(Duration::from_secs(365 * 86_400));
        let order = Order::MakeToken { admits: Admits::Node, uses: 1, until };
        let before = self.machine(id).owner.authority.len();
        let Some(Role::Authority(authority)) = &mut self.machine_mut(id).role else {
            panic!("the authority is down")
        };
        authority.order(now, order);
        self.drain(id);
        self.run_until(|w| w.machine(id).owner.authority.len() > before, FOUNDING);
        let told = &self.machine(id).owner.authority[before];
        let AuthorityNotice::TokenMade { token, .. } = told else { panic!("no token: {told:?}") };
        token.bytes()
    }

    /// Whether this super-peer serves.
    #[must_use]
    pub fn serves(&self, name: &str) -> bool {
        let told = &self.owner(name).super_peer;
        told.iter().any(|notice| matches!(notice, SuperPeerNotice::Serving { .. }))
    }

    fn door_of(&self, name: &str) -> Door {
        let told = self.owner(name).super_peer.iter();
        let entry = told.rev().find_map(|notice| match notice {
            SuperPeerNotice::Serving { entry, .. } => Some(*entry),
            SuperPeerNotice::NotEnrolled(_) => None,
        });
        let entry = entry.expect("it serves");
        Door { address: entry.address, key: entry.key }
    }

    /// The invite of the network.
    #[must_use]
    pub fn invite(&self) -> Invite {
        self.network.as_ref().expect("a network was founded").invite.clone()
    }

    /// Adds a machine of the test's own.
    pub fn add_script(&mut self, name: &str, address: SocketAddr, script: Script) {
        self.add(name, address, Nat::Open, Blueprint::Script);
        let id = self.id(name);
        self.machine_mut(id).role = Some(Role::Script(script));
        self.drain(id);
    }

    /// What a super-peer is doing.
    #[must_use]
    pub fn status(&self, name: &str) -> super_peer::Status {
        match &self.machine(self.id(name)).role {
            Some(Role::SuperPeer(node)) => node.status(),
            Some(Role::Peer(_) | Role::Authority(_) | Role::Script(_)) | None => {
                panic!("{name} is no living super-peer")
            }
        }
    }

    /// The process dies: what it had not flushed is torn, its connections break.
    pub fn crash(&mut self, name: &str) {
        let id = self.id(name);
        self.note(id, "crashes");
        self.end_life(id);
        let links: Vec<_> = self.machine(id).links.keys().copied().collect();
        for link in links {
            self.close(id, link, LinkDown::Broken);
        }
        self.end_paths(id);
    }

    /// The machine is cut off without a word: power, cable. Nobody is told.
    pub fn vanish(&mut self, name: &str) {
        let id = self.id(name);
        self.note(id, "vanishes");
        let host = self.machine(id).host;
        self.hosts[host.0].gone = true;
        self.end_life(id);
        self.machine_mut(id).links.clear();
        self.end_paths(id);
    }

    pub(super) fn end_life(&mut self, id: MachineId) {
        let resident = &mut self.machines[id.0];
        resident.life += 1;
        resident.wake += 1;
        resident.role = None;
        resident.deadline = None;
        resident.relay_ports.clear();
        resident.disk.crash(&mut self.lot);
        resident.owner.restart();
    }

    fn end_paths(&mut self, id: MachineId) {
        let paths: Vec<_> = self.machine(id).paths.keys().copied().collect();
        for path in paths {
            self.path_order(id, path, earshot_proto::port::PathOrder::Close);
        }
        self.machine_mut(id).paths.clear();
    }

    /// The host starts (again), from what is on its disk.
    pub fn start(&mut self, name: &str) {
        let host = self.machine(self.id(name)).host;
        self.start_host(host);
    }

    /// The host starts after a while.
    pub fn start_later(&mut self, name: &str, after: Duration) {
        let host = self.machine(self.id(name)).host;
        self.later(after, Event::Start(host));
    }

    pub(super) fn start_host(&mut self, host: HostId) {
        self.hosts[host.0].gone = false;
        let residents = (0..self.machines.len()).map(MachineId);
        let here: Vec<_> = residents.filter(|id| self.machine(*id).host == host).collect();
        for id in here {
            if self.machine(id).role.is_none() {
                self.note(id, "starts");
                let role = self.build(id);
                self.machine_mut(id).role = role;
                self.drain(id);
            }
        }
    }

    fn build(&mut self, id: MachineId) -> Option<Role> {
        let (now, seed) = (self.instant(), self.seeds.bytes());
        let wall = self.wall_of(self.machine(id).host);
        let address = self.address_of(id);
        let resident = self.machine(id);
        let disk = &resident.disk;
        Some(match resident.blueprint.clone() {
            Blueprint::Peer { listens, pretend } => {
                let config = peer::Config {
                    listen_port: if listens { address.port() } else { 0 },
                    pretend,
                    cost: StretchCost::LEAST,
                    addresses: PathPolicy::Any,
                    network: disk.network.clone(),
                    users: disk.users.values().filter_map(UserDisk::read).collect(),
                    wall,
                    seed,
                };
                Role::Peer(Box::new(Peer::new(config, now)))
            }
            Blueprint::SuperPeer { sign, link, root, authority, token, owner } => {
                let keys =
                    Keys { sign: SignKey::from_secret(&sign), link: LinkKey::from_secret(&link) };
                let config = super_peer::Config {
                    root,
                    keys,
                    address,
                    authority: Some(authority),
                    doors: Vec::new(),
                    enrolled: disk.enrolled.clone(),
                    token,
                    owner: owner.map(|chain| *chain),
                    relay_allow: Vec::new(),
                    wall,
                    seed,
                };
                Role::SuperPeer(Box::new(SuperPeer::new(config, now).with_band(self.band)))
            }
            Blueprint::Authority { keys, limits } => {
                let keys = AuthorityKeys::from_bytes(&keys).expect("its own bytes");
                let rows = disk.rows.values().cloned();
                let state = AuthorityState::load(rows, &keys.root()).expect("its own rows");
                let entropy = Entropy::new(seed);
                Role::Authority(Box::new(Authority::new(keys, state, limits, now, wall, entropy)))
            }
            Blueprint::Script => return None,
        })
    }

    /// From now on these two hosts do not hear each other.
    pub fn cut(&mut self, a: &str, b: &str) {
        let (a, b) = (self.machine(self.id(a)).host, self.machine(self.id(b)).host);
        self.cuts.insert((a.min(b), a.max(b)));
    }

    /// All hosts hear each other again.
    pub fn heal(&mut self) {
        self.cuts.clear();
        self.resume_pipes();
    }

    /// The wall clock of a host is wrong from its next start on.
    pub fn set_skew(&mut self, name: &str, skew: Skew) {
        let host = self.machine(self.id(name)).host;
        self.hosts[host.0].skew = skew;
    }

    /// The disk of a host takes nothing more.
    pub fn fill_disk(&mut self, name: &str) {
        let id = self.id(name);
        self.machine_mut(id).disk.full = true;
    }

    /// So many datagrams of a hundred are lost from now on.
    pub const fn set_datagram_loss(&mut self, percent: u64) {
        self.datagram_loss = percent;
    }

    /// What the oracle says of media paths from now on.
    pub const fn set_ice(&mut self, ice: super::oracle::Ice) {
        self.ice = ice;
    }
}
