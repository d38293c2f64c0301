//! The world: virtual time, one queue of events, and the machines that live in it.
//!
//! Everything that DESIGN 3 says "in tests by the simulated world" is here: time, randomness, bytes,
//! disks. Invariant: what happens depends on the seed and on what the story does, on nothing else.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use earshot_proto::entropy::{Entropy, Stream};
use earshot_proto::port::{
    Input, LinkEvent, LinkId, Output, PathEvent, PathId, RelayPortEvent, RelayPortId,
    RelayPortOrder, SaveFailure, SaveId, Sighting, Transmit, WorkId,
};
use earshot_proto::secure::password::Worked;
use earshot_proto::super_peer::budgets::Limits;
use earshot_proto::super_peer::election::Band;
use earshot_proto::time::UnixTime;

use super::adversary::{League, Vice};
use super::disk::Kept;
use super::host::{Blueprint, Host, Nat, Resident, Role, Skew, Told};
use super::journal::Journal;
use super::net::{Conn, Side};
use super::network::Network;
use super::oracle::Ice;
use super::owner::Owner;
use super::spy::Spy;

/// When the world begins: 22 November 2026.
pub(super) const DAWN: UnixTime = UnixTime(1_795_305_600_000);
/// Virtual time that a long computation takes.
const WORK_COST: Duration = Duration::from_millis(250);
/// Wakes at one moment after which a machine counts as spinning.
const SPINS_MAX: u32 = 200;

/// A host of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HostId(pub(super) usize);
/// A machine of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MachineId(pub(super) usize);
/// A connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConnId(pub(super) u64);

/// Something that will happen.
pub(super) enum Event {
    Wake(MachineId, u32, u64),
    Dialled(ConnId),
    Arrive(ConnId, Side),
    Datagram { from: SocketAddr, to: SocketAddr, bytes: Vec<u8> },
    Saved(MachineId, u32, SaveId),
    Worked(MachineId, u32, WorkId, Box<Worked>),
    Path(MachineId, u32, PathId, Box<PathEvent>),
    RelayPort(MachineId, u32, RelayPortId, Option<SocketAddr>),
    Nearby(MachineId, u32, Sighting),
    Start(HostId),
}

/// The world.
pub struct World {
    base: Instant,
    pub(super) now: Duration,
    queue: BTreeMap<(Duration, u64), Event>,
    last_event: u64,
    /// The world's own stream: latencies, cuts, losses, what a crash tears.
    pub(super) lot: Stream,
    /// Seeds for the machines.
    pub(super) seeds: Stream,
    pub(super) hosts: Vec<Host>,
    pub(super) machines: Vec<Resident>,
    pub(super) names: BTreeMap<String, MachineId>,
    pub(super) conns: BTreeMap<ConnId, Conn>,
    pub(super) last_conn: u64,
    /// Pairs of hosts that do not hear each other.
    pub(super) cuts: BTreeSet<(HostId, HostId)>,
    /// Datagrams lost in a hundred.
    pub(super) datagram_loss: u64,
    pub(super) ice: Ice,
    /// How many clients a super-peer is to have, from its next start on.
    pub(super) band: Band,
    pub(super) journal: Journal,
    pub(super) spy: Spy,
    pub(super) network: Option<Network>,
    /// What each super-peer lets others use.
    pub(super) limits: Limits,
    /// Super-peers above which a network is a ring.
    pub(super) ring_threshold: u32,
    /// The super-peers that are hostile, and how.
    pub(super) vices: BTreeMap<String, Vice>,
    /// What those know together.
    pub(super) league: Option<Rc<RefCell<League>>>,
    /// Envelope-carrying links that a peer dialled to another peer.
    pub(super) straight_dials: u64,
    events: u64,
}

impl World {
    /// An empty world.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let Entropy { secrets, jitter } = Entropy::new(bytes);
        Self {
            base: Instant::now(),
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            last_event: 0,
            lot: jitter,
            seeds: secrets,
            hosts: Vec::new(),
            machines: Vec::new(),
            names: BTreeMap::new(),
            conns: BTreeMap::new(),
            last_conn: 0,
            cuts: BTreeSet::new(),
            datagram_loss: 0,
            ice: Ice::default(),
            band: Band::default(),
            journal: Journal::default(),
            spy: Spy::default(),
            limits: Limits::default(),
            network: None,
            ring_threshold: 2048,
            vices: BTreeMap::new(),
            league: None,
            straight_dials: 0,
            events: 0,
        }
    }

    /// Virtual time since the world began.
    #[must_use]
    pub const fn now(&self) -> Duration {
        self.now
    }

    /// Events so far.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// The hash of everything that was decided so far.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.journal.hash()
    }

    /// Lines of the log so far.
    #[must_use]
    pub const fn lines(&self) -> u64 {
        self.journal.lines()
    }

    /// What happened last, for whoever looks for the cause of a failure.
    #[must_use]
    pub fn tail(&self) -> String {
        self.journal.tail()
    }

    /// Lets time pass until the claim holds; gives the time that it took.
    ///
    /// # Panics
    /// When it does not hold within `limit`, or when nothing is under way any more.
    pub fn run_until(&mut self, claim: impl Fn(&Self) -> bool, limit: Duration) -> Duration {
        let start = self.now;
        while !claim(self) {
            let Some((at, _)) = self.queue.first_key_value().map(|(key, _)| *key) else {
                panic!("stalled: nothing is under way any more\n{}", self.tail());
            };
            assert!(
                at <= start + limit,
                "it does not come true within {limit:?}\n{}\n{}",
                self.tail(),
                self.standings()
            );
            self.step();
        }
        self.now - start
    }

    /// Whether the claim comes to hold within `limit`.
    pub fn comes_true(&mut self, claim: impl Fn(&Self) -> bool, limit: Duration) -> bool {
        let end = self.now + limit;
        loop {
            if claim(self) {
                return true;
            }
            if self.queue.first_key_value().is_none_or(|((at, _), _)| *at > end) {
                self.now = end;
                return claim(self);
            }
            self.step();
        }
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        self.comes_true(|_| false, time);
    }

    /// Lets so many events happen; answers how many did.
    pub fn run_events(&mut self, count: u64) -> u64 {
        let before = self.events;
        while self.events - before < count && !self.queue.is_empty() {
            self.step();
        }
        self.events - before
    }

    /// A line for each machine: what it waits for.
    fn standings(&self) -> String {
        let line = |r: &Resident| {
            let state = if r.role.is_some() { "up" } else { "down" };
            let (links, open) = (r.links.len(), r.owner.open.len());
            format!(
                "{} {state}, {links} links, {open} open commands, until {:?}",
                r.name, r.deadline
            )
        };
        self.machines.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// The moment as machines see it.
    #[must_use]
    pub fn instant(&self) -> Instant {
        self.base + self.now
    }

    /// The right wall time.
    #[must_use]
    pub const fn wall(&self) -> UnixTime {
        DAWN.plus(self.now)
    }

    /// Wall time by the clock of a host.
    pub(super) fn wall_of(&self, host: HostId) -> UnixTime {
        let right = self.wall();
        match self.hosts[host.0].skew {
            Skew::None => right,
            Skew::Ahead(by) => right.plus(by),
            Skew::Behind(by) => right.minus(by),
        }
    }

    pub(super) fn id(&self, name: &str) -> MachineId {
        *self.names.get(name).unwrap_or_else(|| panic!("there is no {name} in this world"))
    }

    pub(super) fn machine(&self, id: MachineId) -> &Resident {
        &self.machines[id.0]
    }

    pub(super) fn machine_mut(&mut self, id: MachineId) -> &mut Resident {
        &mut self.machines[id.0]
    }

    pub(super) fn nat_of(&self, id: MachineId) -> Nat {
        self.hosts[self.machine(id).host.0].nat
    }

    pub(super) fn address_of(&self, id: MachineId) -> SocketAddr {
        self.hosts[self.machine(id).host.0].address
    }

    /// What the owner of a machine knows.
    #[must_use]
    pub fn owner(&self, name: &str) -> &Owner {
        &self.machine(self.id(name)).owner
    }

    /// How many links a machine has, open or opening.
    #[must_use]
    pub fn links(&self, name: &str) -> usize {
        self.machine(self.id(name)).links.len()
    }

    /// All machines' names, in order.
    pub fn everybody(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    pub(super) fn later(&mut self, after: Duration, event: Event) {
        self.last_event += 1;
        self.queue.insert((self.now + after, self.last_event), event);
    }

    pub(super) fn at(&mut self, at: Duration, event: Event) {
        self.last_event += 1;
        self.queue.insert((at.max(self.now), self.last_event), event);
    }

    /// Takes the next event.
    fn step(&mut self) {
        let Some(((at, _), event)) = self.queue.pop_first() else { return };
        self.now = self.now.max(at);
        self.events += 1;
        match event {
            Event::Wake(id, life, wake) => {
                if self.machine(id).life == life && self.machine(id).wake == wake {
                    self.count_spin(id);
                    self.give(id, "timeout", Input::Timeout);
                }
            }
            Event::Dialled(conn) => self.dialled(conn),
            Event::Arrive(conn, side) => self.arrive(conn, side),
            Event::Datagram { from, to, bytes } => self.datagram_arrives(from, to, &bytes),
            Event::Saved(id, life, save) => {
                if self.is_alive(id, life) {
                    self.saved(id, save);
                }
            }
            Event::Worked(id, life, work, worked) => {
                if self.is_alive(id, life) {
                    self.give(id, "worked", Input::Worked(work, worked));
                }
            }
            Event::Path(id, life, path, event) => {
                if self.is_alive(id, life) && self.path_event_due(id, path, &event) {
                    self.give(id, "path", Input::Path(path, *event));
                }
            }
            Event::RelayPort(id, life, port, opened) => {
                if self.is_alive(id, life) {
                    let event = opened.map_or(RelayPortEvent::Failed, RelayPortEvent::Opened);
                    self.give(id, "relay port", Input::RelayPort(port, event));
                }
            }
            Event::Nearby(id, life, sighting) => self.sighted(id, life, sighting),
            Event::Start(host) => self.start_host(host),
        }
    }

    pub(super) fn is_alive(&self, id: MachineId, life: u32) -> bool {
        let resident = self.machine(id);
        resident.life == life && resident.role.is_some()
    }

    /// A machine that wakes at one moment again and again without an end is a bug of its own.
    fn count_spin(&mut self, id: MachineId) {
        let now = self.now;
        let resident = self.machine_mut(id);
        let (at, count) = resident.spins;
        resident.spins = if at == now { (at, count + 1) } else { (now, 0) };
        if count > SPINS_MAX {
            let name = resident.name.clone();
            panic!("{name} spins: it wants to be woken at {now:?} for ever\n{}", self.tail());
        }
    }

    fn saved(&mut self, id: MachineId, save: SaveId) {
        let now = self.instant();
        let resident = self.machine_mut(id);
        if resident.disk.full {
            resident.disk.drop_write(save);
            return self.give(id, "not saved", Input::NotSaved(save, SaveFailure::DiskFull));
        }
        if let Some(story) = resident.disk.written(save) {
            resident.owner.screen = story.screen();
            if let Some(Role::Peer(peer)) = &mut resident.role {
                peer.load_history(now, story.history());
            }
        }
        self.give(id, "saved", Input::Saved(save));
    }

    /// Gives a machine one input and does all that comes of it.
    pub(super) fn give(&mut self, id: MachineId, what: &str, input: Input<'_>) {
        let now = self.instant();
        let at = self.now;
        let resident = &mut self.machines[id.0];
        let Some(role) = &mut resident.role else { return };
        self.journal.note(at, &resident.name, what);
        role.handle(now, input);
        self.drain(id);
    }

    /// Does what a machine says until it waits.
    pub(super) fn drain(&mut self, id: MachineId) {
        loop {
            let resident = &mut self.machines[id.0];
            let Some(role) = &mut resident.role else { return };
            let blind = role.is_blind();
            match role.poll_output() {
                Output::Send(transmit) => self.send_datagram(id, transmit, blind),
                Output::Link(link, order) => self.link_order(id, link, order, blind),
                Output::Path(path, order) => self.path_order(id, path, order),
                Output::RelayPort(port, order) => self.relay_port(id, port, order),
                Output::Voice(call, order) => {
                    let order = format!("{order:?}");
                    self.note(id, &format!("voice {order}"));
                    self.machine_mut(id).owner.voice.push((call, order));
                }
                Output::Nearby(tag) => self.announces(id, tag),
                Output::Save(save, record) => self.save(id, save, record, blind),
                Output::Work(work, order) => {
                    let life = self.machine(id).life;
                    self.note(id, "work");
                    let worked = Box::new(order.run());
                    self.later(WORK_COST, Event::Worked(id, life, work, worked));
                }
                Output::Notify(told) => self.told(id, told),
                Output::Wait(deadline, _) => {
                    let deadline = deadline.map(|at| at.saturating_duration_since(self.base));
                    return self.waits(id, deadline);
                }
            }
        }
    }

    fn waits(&mut self, id: MachineId, deadline: Option<Duration>) {
        let now = self.now;
        let resident = self.machine_mut(id);
        let deadline = deadline.map(|at| at.max(now));
        resident.deadline = deadline;
        resident.wake += 1;
        let (life, wake) = (resident.life, resident.wake);
        if let Some(at) = deadline {
            self.at(at, Event::Wake(id, life, wake));
        }
    }

    fn save(&mut self, id: MachineId, save: SaveId, record: Kept, blind: bool) {
        self.note(id, &format!("save {}", record.word()));
        self.spy.looks_at(&record.bytes(), blind, &self.machines[id.0].name, "a record");
        let slow = Duration::from_micros(1500 + self.lot.below(2000));
        let resident = self.machine_mut(id);
        resident.disk.write(save, record);
        let life = resident.life;
        // One disk writes in order.
        let after = self.machines[id.0].disk.queue(self.now, slow);
        self.at(after, Event::Saved(id, life, save));
    }

    fn told(&mut self, id: MachineId, told: Told) {
        let owner = &mut self.machine_mut(id).owner;
        let word = match told {
            Told::Peer(notice) => owner.told(notice),
            Told::SuperPeer(notice) => {
                owner.super_peer.push(notice);
                "super-peer notice".to_owned()
            }
            Told::Authority(notice) => {
                owner.authority.push(notice);
                "authority notice".to_owned()
            }
            Told::Script => "script notice".to_owned(),
        };
        self.note(id, &word);
    }

    pub(super) fn note(&mut self, id: MachineId, what: &str) {
        self.journal.note(self.now, &self.machines[id.0].name, what);
    }

    fn relay_port(&mut self, id: MachineId, port: RelayPortId, order: RelayPortOrder) {
        match order {
            RelayPortOrder::Open { .. } | RelayPortOrder::OpenAlternate => {
                let main = self.address_of(id);
                let is_alternate = order == RelayPortOrder::OpenAlternate;
                let drawn = 49_152 + (port.0 % 16_000) as u16;
                let number = if is_alternate { main.port() + 1 } else { drawn };
                let address = SocketAddr::new(main.ip(), number);
                let resident = self.machine_mut(id);
                resident.relay_ports.insert(port, address);
                let life = resident.life;
                let event = Event::RelayPort(id, life, port, Some(address));
                self.later(Duration::from_millis(1), event);
            }
            RelayPortOrder::Send(Transmit { to, bytes }) => {
                if let Some(from) = self.machine(id).relay_ports.get(&port).copied() {
                    self.spy.looks_at(&bytes, true, &self.machines[id.0].name, "a relayed packet");
                    self.carry_datagram(id, from, to, bytes);
                }
            }
            RelayPortOrder::Close => {
                self.machine_mut(id).relay_ports.remove(&port);
            }
        }
    }

    /// The time from one host to another, as it is just now.
    pub(super) fn one_way(&mut self, from: MachineId, to: MachineId) -> Duration {
        let lag = |id: MachineId| self.hosts[self.machine(id).host.0].lag;
        let lag = lag(from) + lag(to);
        lag + Duration::from_micros(self.lot.below(2000))
    }

    pub(super) fn are_cut(&self, a: MachineId, b: MachineId) -> bool {
        let (a, b) = (self.machine(a).host, self.machine(b).host);
        let gone = self.hosts[a.0].gone || self.hosts[b.0].gone;
        gone || self.cuts.contains(&(a.min(b), a.max(b)))
    }

    pub(super) fn deliver_link(&mut self, id: MachineId, link: LinkId, event: LinkEvent<'_>) {
        let word = match &event {
            LinkEvent::Accepted { service, .. } => format!("accepted {service:?}"),
            LinkEvent::Connected { .. } => "connected".to_owned(),
            LinkEvent::Bytes(bytes) => {
                self.machines[id.0].heard += bytes.len() as u64;
                self.machines[id.0].traffic += bytes.len() as u64;
                format!("{link:?} in {}", bytes.len())
            }
            LinkEvent::Down(why) => format!("{link:?} {why:?}"),
        };
        self.give(id, &word, Input::Link(link, event));
    }

    /// A new machine on a new host.
    pub(super) fn add(&mut self, name: &str, address: SocketAddr, nat: Nat, blueprint: Blueprint) {
        let lag = Duration::from_micros(4000 + self.lot.below(12_000));
        let host = HostId(self.hosts.len());
        let skew = Skew::None;
        self.hosts.push(Host { address, nat, lan: None, lag, skew, gone: false });
        self.house(host, name, blueprint);
    }

    /// A new machine on a host that is there.
    pub(super) fn house(&mut self, host: HostId, name: &str, blueprint: Blueprint) {
        let id = MachineId(self.machines.len());
        assert!(self.names.insert(name.to_owned(), id).is_none(), "{name} is there already");
        self.machines.push(Resident {
            host,
            name: name.to_owned(),
            blueprint,
            role: None,
            life: 0,
            deadline: None,
            wake: 0,
            spins: (Duration::ZERO, 0),
            accepted: 0,
            heard: 0,
            traffic: 0,
            dials: 0,
            near_dials: 0,
            links: BTreeMap::new(),
            paths: BTreeMap::new(),
            relay_ports: BTreeMap::new(),
            announced: None,
            disk: super::disk::Disk::default(),
            owner: Owner::default(),
        });
    }
}
