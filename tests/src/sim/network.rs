//! Founding a network: the authority, the super-peers, the invite. And switching hosts off and on.

use std::net::SocketAddr;
use std::time::Duration;

use earshot_proto::authority::{
    Admits, Authority, AuthorityKeys, AuthorityState, Limits, Notice as AuthorityNotice, Order,
};
use earshot_proto::entropy::Entropy;
use earshot_proto::peer::{self, Peer};
use earshot_proto::port::{Input, LinkDown, LinkEvent, PathPolicy};
use earshot_proto::secure::identity::{Keys, LinkKey, SignKey};
use earshot_proto::secure::password::StretchCost;
use earshot_proto::super_peer::budgets::Limits as SuperPeerLimits;
use earshot_proto::super_peer::ring::Ring;
use earshot_proto::super_peer::{self, Notice as SuperPeerNotice, SuperPeer};
use earshot_proto::wire::bounded::{List, Text};
use earshot_proto::wire::certificate::{Chain, VerifyKey};
use earshot_proto::wire::directory::NodeEntry;
use earshot_proto::wire::invite::{Door, Invite};
use earshot_proto::wire::policy::{Admission, Policy};

use super::adversary::Adversary;
use super::disk::UserDisk;
use super::host::{Blueprint, Nat, Role, Script, Skew};
use super::net::{Conn, End};
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
    /// Super-peers added from now on let others use so much.
    #[must_use]
    pub const fn limits(mut self, limits: SuperPeerLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The same, as a ring: of more super-peers than these.
    #[must_use]
    pub fn ring(mut self, super_peers: usize, threshold: u32) -> Self {
        self.ring_threshold = threshold;
        self.network(super_peers)
    }

    /// Founds a network with so many super-peers, on hosts of their own.
    #[must_use]
    pub fn network(mut self, super_peers: usize) -> Self {
        // Liars are among the first of a network: nobody verifies those.
        let exempt = (!self.vices.is_empty()).then_some(super_peers as u16);
        self.found(super_peers, exempt);
        self
    }

    /// Founds one in which super-peers verify each newcomer's address, after these.
    #[must_use]
    pub fn verifying_network(mut self, super_peers: usize) -> Self {
        self.found(super_peers, Some(super_peers as u16));
        self
    }

    fn found(&mut self, super_peers: usize, exempt: Option<u16>) {
        let address = SocketAddr::from(([11, 0, 0, 1], 4433));
        let root = self.add_authority("authority", address, exempt);
        for number in 1..=super_peers {
            self.add_super_peer(&format!("super-{number}"), number);
        }
        let claim = move |w: &Self| (1..=super_peers).all(|n| w.serves(&format!("super-{n}")));
        self.run_until(claim, FOUNDING);
        let doors = (1..=super_peers).map(|n| self.door_of(&format!("super-{n}")));
        let super_peers = List::first_of(doors.collect::<Vec<_>>());
        let name = Text::new("the world").expect("short");
        if let Some(network) = &mut self.network {
            network.invite =
                Invite { name, root, super_peers, token: None, policy_version: 1, also: None };
        }
        // Super-peers find each other before anybody comes.
        self.run_for(Duration::from_secs(2));
    }

    fn add_authority(
        &mut self,
        name: &str,
        address: SocketAddr,
        exempt_super_peers: Option<u16>,
    ) -> VerifyKey {
        let keys = AuthorityKeys::found(&mut self.seeds);
        let root = keys.root();
        let policy = Policy {
            version: 1,
            name: Text::new("the world").expect("short"),
            admission: Admission::Open,
            ranges: List::default(),
            ring_threshold: self.ring_threshold,
            keepers: 4,
            successors: 16,
            exempt_super_peers,
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
        let invite =
            Invite { name, root, super_peers: none, token: None, policy_version: 1, also: None };
        self.network = Some(Network { root, authority, invite });
        self.found_league(root, &keys);
        self.start_host(self.machine(id).host);
        root
    }

    /// Adds a super-peer, which enrols by a token of the authority's.
    pub fn add_super_peer(&mut self, name: &str, number: usize) {
        let address = SocketAddr::from(([11, 0, 1, number as u8], 4433));
        self.add_super_peer_at(name, address, Nat::Open, None);
    }

    /// Adds a super-peer that listens there behind `nat`, and may say that it listens elsewhere.
    pub fn add_super_peer_at(
        &mut self,
        name: &str,
        address: SocketAddr,
        nat: Nat,
        claims: Option<SocketAddr>,
    ) {
        let token = self.node_token();
        let network = self.network.clone().expect("a network was founded");
        let (sign, link) = (SignKey::draw(&mut self.seeds), LinkKey::draw(&mut self.seeds));
        let blueprint = Blueprint::SuperPeer {
            sign: *sign.secret(),
            link: *link.secret(),
            root: network.root,
            authority: network.authority,
            token: Some(token),
            claims,
            limits: Box::new(self.limits),
            owner: None,
        };
        if let Some(league) = &self.league {
            league.borrow_mut().lend(address, *link.secret());
        }
        self.add(name, address, nat, blueprint);
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
        // Others may be enrolled meanwhile.
        let made = |w: &Self| {
            w.machine(id).owner.authority[before..].iter().find_map(|told| match told {
                AuthorityNotice::TokenMade { token, .. } => Some(token.bytes()),
                AuthorityNotice::Registered { .. }
                | AuthorityNotice::DeviceCertified { .. }
                | AuthorityNotice::Enrolled { .. }
                | AuthorityNotice::PolicySet { .. }
                | AuthorityNotice::CertificateRenewed { .. }
                | AuthorityNotice::OrderRefused(_)
                | AuthorityNotice::NotKept(_) => None,
            })
        };
        self.run_until(|w| made(w).is_some(), FOUNDING);
        made(self).expect("it was made just now")
    }

    /// Whether this super-peer serves.
    #[must_use]
    pub fn serves(&self, name: &str) -> bool {
        let told = &self.owner(name).super_peer;
        told.iter().any(|notice| matches!(notice, SuperPeerNotice::Serving { .. }))
    }

    /// The keys and the certificate of a super-peer, as a thief finds them.
    #[must_use]
    pub fn stolen_from(&self, name: &str) -> (Keys, Chain) {
        let resident = self.machine(self.id(name));
        let Blueprint::SuperPeer { sign, link, .. } = &resident.blueprint else {
            panic!("{name} is no super-peer")
        };
        let keys = Keys { sign: SignKey::from_secret(sign), link: LinkKey::from_secret(link) };
        (keys, resident.disk.enrolled.clone().expect("it was enrolled").chain)
    }

    /// The entry of a super-peer.
    #[must_use]
    pub fn entry_of(&self, name: &str) -> NodeEntry {
        let told = self.owner(name).super_peer.iter();
        let entry = told.rev().find_map(|notice| match notice {
            SuperPeerNotice::Serving { entry, .. } => Some(*entry),
            SuperPeerNotice::NotEnrolled(_) | SuperPeerNotice::Deserted => None,
        });
        entry.expect("it serves")
    }

    fn door_of(&self, name: &str) -> Door {
        let entry = self.entry_of(name);
        Door { address: entry.address, key: entry.key }
    }

    /// From now on the invite leads to that super-peer alone. Answers the invite of before.
    pub(super) fn invites_to(&mut self, name: &str) -> Invite {
        let (before, door) = (self.invite(), self.door_of(name));
        self.invite_by(Invite { super_peers: List::first_of([door]), ..before.clone() });
        before
    }

    /// From now on the network has that invite.
    pub(super) fn invite_by(&mut self, invite: Invite) {
        self.network.as_mut().expect("a network was founded").invite = invite;
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
        self.node(name).status()
    }

    /// The place of a living super-peer on the ring.
    #[must_use]
    pub fn ring_of(&self, name: &str) -> &Ring {
        self.node(name).ring()
    }

    /// Who follows a living super-peer on the ring, as it knows.
    #[must_use]
    pub fn successors(&self, name: &str) -> Vec<String> {
        let name_at = |entry: &NodeEntry| {
            let is_there = |id: &&MachineId| self.address_of(**id) == entry.address;
            let id = self.names.values().find(is_there).expect("a super-peer is a host");
            self.machine(*id).name.clone()
        };
        self.ring_of(name).successors().iter().map(name_at).collect()
    }

    /// Whether a living super-peer holds the list of subscribers of that home.
    #[must_use]
    pub fn holds_list(&self, name: &str, home: &str) -> bool {
        self.node(name).holds_list_of(&self.entry_of(home).node)
    }

    /// Looks into a living super-peer, an honest one or not.
    #[must_use]
    pub fn node(&self, name: &str) -> &SuperPeer {
        self.node_of(name).unwrap_or_else(|| panic!("{name} is no living super-peer"))
    }

    pub(super) fn node_of(&self, name: &str) -> Option<&SuperPeer> {
        self.machine(self.id(name)).role.as_ref()?.super_peer()
    }

    /// The owner of a super-peer decides what it does and uses.
    pub fn set_terms(&mut self, name: &str, terms: super_peer::terms::Terms) {
        let (id, now) = (self.id(name), self.instant());
        match &mut self.machine_mut(id).role {
            Some(Role::SuperPeer(node)) => node.set_terms(now, terms),
            Some(Role::Adversary(_) | Role::Peer(_) | Role::Authority(_) | Role::Script(_))
            | None => {
                panic!("{name} is no living super-peer")
            }
        }
        self.drain(id);
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

    /// The process is told to stop: it says goodbye, and is gone.
    pub fn leave(&mut self, name: &str) {
        let (id, now) = (self.id(name), self.instant());
        self.note(id, "leaves");
        match &mut self.machine_mut(id).role {
            Some(Role::SuperPeer(node)) => node.leave(now),
            Some(Role::Peer(peer)) => peer.leave(now),
            Some(Role::Adversary(node)) => node.inner_mut().leave(now),
            Some(Role::Authority(_) | Role::Script(_)) | None => panic!("{name} says no goodbye"),
        }
        self.drain(id);
        self.machine_mut(id).disk.finish();
        self.crash(name);
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
        self.silenced(id);
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
        self.lose_relayed_by(id);
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
            Blueprint::SuperPeer { sign, link, root, authority, token, claims, limits, owner } => {
                let keys =
                    Keys { sign: SignKey::from_secret(&sign), link: LinkKey::from_secret(&link) };
                let config = super_peer::Config {
                    root,
                    keys,
                    address: claims.unwrap_or(address),
                    v6: None,
                    authority: Some(authority),
                    doors: Vec::new(),
                    also: Vec::new(),
                    enrolled: disk.enrolled.clone(),
                    token,
                    owner: owner.map(|chain| *chain),
                    relay_allow: Vec::new(),
                    own: Vec::new(),
                    both_families: false,
                    limits: *limits,
                    terms: super_peer::terms::Terms::default(),
                    traffic: disk.traffic,
                    wall,
                    seed,
                };
                let vice = self.vices.get(&resident.name).copied();
                let enrolled = config.enrolled.clone();
                let inner = SuperPeer::new(config, now).with_band(self.band);
                let Some(vice) = vice else { return Some(Role::SuperPeer(Box::new(inner))) };
                let league = self.league();
                let mask = self.seeds.bytes();
                let mut node =
                    Adversary::new(inner, vice, league, (address, link), (now, wall), mask);
                if let Some(record) = &enrolled {
                    node.enrolled(now, record);
                }
                Role::Adversary(Box::new(node.begun(now)))
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

    /// The connections between two machines break; new ones can be made.
    pub fn break_links(&mut self, a: &str, b: &str) {
        let (a, b) = (self.id(a), self.id(b));
        let between = |conn: &Conn| {
            let ends = [Some(conn.dialler), conn.listener].map(|end| end.map(|e| e.machine));
            ends.contains(&Some(a)) && ends.contains(&Some(b))
        };
        let broken: Vec<End> =
            self.conns.values().filter(|conn| between(conn)).map(|conn| conn.dialler).collect();
        for End { machine, life, link, .. } in broken {
            if self.is_alive(machine, life) {
                self.close(machine, link, LinkDown::Broken);
                self.deliver_link(machine, link, LinkEvent::Down(LinkDown::Broken));
            }
        }
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

    /// So long takes each way into the network from a host, from now on.
    pub fn set_lag(&mut self, name: &str, lag: Duration) {
        let host = self.machine(self.id(name)).host;
        self.hosts[host.0].lag = lag;
    }

    /// From now on this stands before a host; what was opened stays open.
    pub fn put_behind(&mut self, name: &str, nat: Nat) {
        let host = self.machine(self.id(name)).host;
        self.hosts[host.0].nat = nat;
    }

    /// A machine hears that its host is in another network, as after it slept.
    pub fn change_network(&mut self, name: &str) {
        self.give(self.id(name), "another network", Input::Network);
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
