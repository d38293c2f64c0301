//! A peer behind a NAT, and two super-peers, in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::super::behaviour::{Depth, Place};
use super::super::verdict::{Filtering, Mapping, NatView, Translation};
use super::super::watch::{Purpose, Seen, Watch};
use crate::entropy::Entropy;
use crate::port::Transmit;
use crate::stun_server::{Packet, Server};
use crate::time::UnixTime;

pub(super) const NOON: UnixTime = UnixTime(1_800_000_000_000);
/// From the peer to a super-peer, or back.
pub(super) const ONE_WAY: Duration = Duration::from_millis(20);
/// How long the model's NAT keeps what it maps and lets in. RFC 4787, REQ-5.
const NAT_KEEPS: Duration = Duration::from_secs(5 * 60);

/// One moment that all stories of a run start at.
pub(super) fn start() -> Instant {
    static START: LazyLock<Instant> = LazyLock::new(|| {
        #[expect(clippy::disallowed_methods, reason = "an Instant can be had from nowhere else")]
        Instant::now()
    });
    *START
}

pub(super) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// What stands between the peer and the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nat {
    /// None: a firewall, or nothing.
    pub(super) mapping: Option<Mapping>,
    pub(super) filtering: Filtering,
    pub(super) blocks_udp: bool,
}

pub(super) const MAPPINGS: [Mapping; 3] =
    [Mapping::EndpointIndependent, Mapping::AddressDependent, Mapping::AddressAndPortDependent];
pub(super) const FILTERINGS: [Filtering; 3] = [
    Filtering::EndpointIndependent,
    Filtering::AddressDependent,
    Filtering::AddressAndPortDependent,
];

pub(super) fn nat(mapping: usize, filtering: usize) -> Nat {
    let (mapping, filtering) = (Some(MAPPINGS[mapping]), FILTERINGS[filtering]);
    Nat { mapping, filtering, blocks_udp: false }
}

/// What a port outside stands for: ours, and to whom.
type Mapped = (u16, Option<IpAddr>, Option<u16>);
type Loses = Box<dyn FnMut(&Packet) -> bool>;

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) watch: Watch,
    pub(super) nat: Nat,
    /// Who is lost on the way.
    pub(super) loses: Loses,
    /// Whether questions reach the partner.
    pub(super) are_partners_linked: bool,
    /// What the peer sent.
    pub(super) sent: Vec<Transmit>,
    /// What came of the watch otherwise.
    pub(super) seen: Vec<Seen>,
    entropy: Entropy,
    inner: SocketAddr,
    outer: IpAddr,
    servers: [Server; 2],
    /// For each port outside, by what it is mapped for.
    mapped: BTreeMap<Mapped, (u16, Instant)>,
    next_port: u16,
    /// Where something was sent from a port outside, and when.
    opened: BTreeMap<(u16, SocketAddr), Instant>,
    flying: BTreeMap<(Instant, u64), Packet>,
    last: u64,
}

impl World {
    pub(super) fn new(nat: Nat) -> Self {
        Self::at(nat, ["192.168.1.2:37373", "203.0.113.7"], ["198.51.100.1", "198.51.100.2"])
    }

    /// With these addresses: inside, outside, and of both super-peers.
    pub(super) fn at(nat: Nat, [inner, outer]: [&str; 2], servers: [&str; 2]) -> Self {
        let at = |host: &str, port: u16| format!("{host}:{port}");
        let inner = addr(inner);
        let mut watch = Watch::default();
        watch.is_at(Some(inner.ip()));
        let mut servers = servers.map(|host| {
            let [main, alternate] = [37373, 37374].map(|port| addr(&at(host, port)));
            Server::new(start(), main, alternate)
        });
        servers.iter_mut().for_each(|server| assert!(server.drain(start()).is_empty()));
        let partner = &servers[1];
        let ports = [partner.main, partner.alternate];
        servers[0].relay.set_partner(Some(ports));
        let ports = [servers[0].main, servers[0].alternate];
        servers[1].relay.set_partner(Some(ports));
        Self {
            now: start(),
            watch,
            nat,
            loses: Box::new(|_| false),
            are_partners_linked: true,
            sent: Vec::new(),
            seen: Vec::new(),
            entropy: Entropy::new([5; 32]),
            inner,
            outer: outer.parse().unwrap(),
            servers,
            mapped: BTreeMap::new(),
            next_port: 40_000,
            opened: BTreeMap::new(),
            flying: BTreeMap::new(),
            last: 0,
        }
    }

    pub(super) fn without_partner(mut self) -> Self {
        self.servers[0].relay.set_partner(None);
        self
    }

    pub(super) fn losing(mut self, loses: impl FnMut(&Packet) -> bool + 'static) -> Self {
        self.loses = Box::new(loses);
        self
    }

    pub(super) fn set_up(&mut self, server: usize, is_up: bool) {
        self.servers[server].is_up = is_up;
    }

    /// Nothing comes from a super-peer's alternate port any more.
    pub(super) fn mute_alternate(&mut self, server: usize) {
        self.servers[server].is_alternate_up = false;
    }

    pub(super) fn main(&self, server: usize) -> SocketAddr {
        self.servers[server].main
    }

    pub(super) fn alternate(&self, server: usize) -> SocketAddr {
        self.servers[server].alternate
    }

    fn wall(&self) -> UnixTime {
        NOON.plus(self.now - start())
    }

    /// Comes to the home, and lives until the measurement is over.
    pub(super) fn arrive(&mut self) -> NatView {
        self.measure(Purpose::Arrival);
        for _ in 0..31 {
            self.pass(Duration::from_secs(1));
            if !self.watch.is_running() {
                break;
            }
        }
        assert!(!self.watch.is_running());
        self.watch.view()
    }

    /// A link to the home shows our own address.
    pub(super) fn is_at(&mut self, own: Option<&str>) {
        self.watch.is_at(own.map(|own| own.parse().unwrap()));
        self.drain();
    }

    pub(super) fn measure(&mut self, purpose: Purpose) {
        let place = Place { server: self.servers[0].main, depth: Depth::Behaviour };
        let wall = self.wall();
        self.watch.start(self.now, wall, (purpose, place), &mut self.entropy);
        self.drain();
    }

    /// A look-up, or whatever else goes out from the same port.
    pub(super) fn sends(&mut self, to: SocketAddr) {
        self.watch.went_to(self.now, to);
        self.send(Transmit { to, bytes: vec![0xe0] });
    }

    /// A datagram comes to the peer's socket.
    pub(super) fn receives(&mut self, from: SocketAddr, bytes: &[u8]) {
        let wall = self.wall();
        self.watch.handle_datagram(self.now, wall, (from, bytes), &mut self.entropy);
        self.drain();
    }

    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let flight = self.flying.first_key_value().map(|((at, _), _)| *at);
            let next = flight.into_iter().chain(self.watch.next_due()).min();
            let Some(at) = next.filter(|at| *at <= end) else { break };
            self.now = self.now.max(at);
            if flight == Some(at) {
                let (_, packet) = self.flying.pop_first().unwrap();
                self.land(packet);
            } else {
                let wall = self.wall();
                let due = self.watch.handle_timeout(self.now, wall, &mut self.entropy);
                if let Some(purpose) = due {
                    self.measure(purpose);
                }
                self.drain();
            }
        }
        self.now = end;
    }

    fn drain(&mut self) {
        while let Some(seen) = self.watch.poll() {
            match seen {
                Seen::Send(transmit) => {
                    self.sent.push(transmit.clone());
                    self.send(transmit);
                }
                Seen::Udp(_) | Seen::Changed => self.seen.push(seen),
            }
        }
    }

    /// Out through the NAT.
    fn send(&mut self, Transmit { to, bytes }: Transmit) {
        if self.nat.blocks_udp {
            return;
        }
        let from = self.map(to);
        self.opened.insert((from.port(), to), self.now);
        self.fly(Packet { from, to, bytes, at: self.now });
    }

    fn fly(&mut self, packet: Packet) {
        if !(self.loses)(&packet) {
            self.last += 1;
            self.flying.insert((packet.at + ONE_WAY, self.last), packet);
        }
    }

    fn map(&mut self, to: SocketAddr) -> SocketAddr {
        let inner = self.inner.port();
        let key = match self.nat.mapping {
            None => return SocketAddr::new(self.outer, inner),
            Some(Mapping::EndpointIndependent) => (inner, None, None),
            Some(Mapping::AddressDependent) => (inner, Some(to.ip()), None),
            Some(Mapping::AddressAndPortDependent) => (inner, Some(to.ip()), Some(to.port())),
        };
        let now = self.now;
        self.mapped.retain(|_, (_, at)| now < *at + NAT_KEEPS);
        let next = &mut self.next_port;
        let (port, at) = self.mapped.entry(key).or_insert_with(|| {
            *next += 1;
            (*next, now)
        });
        *at = now;
        SocketAddr::new(self.outer, *port)
    }

    fn lets_in(&self, port: u16, from: SocketAddr) -> bool {
        let open = self
            .opened
            .iter()
            .filter(|((mine, _), at)| *mine == port && self.now < **at + NAT_KEEPS);
        let mut open = open.map(|((_, to), _)| to);
        match self.nat.filtering {
            Filtering::EndpointIndependent => open.next().is_some(),
            Filtering::AddressDependent => open.any(|to| to.ip() == from.ip()),
            Filtering::AddressAndPortDependent => open.any(|to| *to == from),
        }
    }

    fn land(&mut self, mut packet: Packet) {
        packet.at = self.now;
        if packet.to.ip() == self.outer {
            if self.lets_in(packet.to.port(), packet.from) {
                self.receives(packet.from, &packet.bytes);
            }
            return;
        }
        let Some(at) = self.servers.iter().position(|s| s.main.ip() == packet.to.ip()) else {
            return;
        };
        self.servers[at].handle(&packet);
        while let Some(turned) = self.servers[at].relay.poll_turned() {
            if self.are_partners_linked && self.servers[1 - at].is_up {
                self.servers[1 - at].relay.answer_turned(self.now, turned);
            }
        }
        let answers = self.servers.iter_mut().flat_map(|server| server.drain(packet.at));
        let answers: Vec<Packet> = answers.collect();
        answers.into_iter().for_each(|answer| self.fly(answer));
    }

    /// What should be found.
    pub(super) fn truth(&self) -> Held {
        let translation = match self.nat.mapping {
            Some(_) => Translation::Present,
            None => Translation::Absent,
        };
        Held {
            translation: Some(translation),
            mapping: Some(self.nat.mapping.unwrap_or(Mapping::EndpointIndependent)),
            filtering: Some(self.nat.filtering),
        }
    }
}

/// What is held true, without the address and when it was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) translation: Option<Translation>,
    pub(super) mapping: Option<Mapping>,
    pub(super) filtering: Option<Filtering>,
}

pub(super) fn held(view: &NatView) -> Held {
    Held {
        translation: view.translation.map(|found| found.what),
        mapping: view.mapping.map(|found| found.what),
        filtering: view.filtering.map(|found| found.what),
    }
}

/// Every kind of NAT, and a firewall of every kind.
pub(super) fn every_kind() -> Vec<World> {
    let kinds = (0..3).flat_map(|mapping| (0..3).map(move |filtering| nat(mapping, filtering)));
    let natted = kinds.map(World::new);
    let open = (0..3).map(|filtering| {
        let nat = Nat { mapping: None, ..nat(0, filtering) };
        World::at(nat, ["203.0.113.7:37373", "203.0.113.7"], ["198.51.100.1", "198.51.100.2"])
    });
    natted.chain(open).collect()
}

/// Loses every datagram once: what was sent again is another only where nothing of it differs.
pub(super) fn each_once() -> impl FnMut(&Packet) -> bool {
    let mut known = BTreeSet::new();
    move |packet| known.insert((packet.from, packet.to, packet.bytes.clone()))
}
