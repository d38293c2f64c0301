//! The oracle that stands for ICE: which paths come up between which kinds of NAT, when, and when
//! they are lost. DESIGN 3: an oracle over NAT kinds.

use std::net::SocketAddr;
use std::time::Duration;

use earshot_proto::port::{
    PathDown, PathEvent, PathFacts, PathId, PathKind, PathOrder, PathPolicy, RelayServer,
    RelayTransport,
};

use super::host::{Nat, Resident, Role};
use super::world::{Event, MachineId, World};

/// ICE gives a pair up after this.
const NO_PAIR: Duration = Duration::from_secs(8);
/// A path that gets nothing through is noticed to be silent after this, and is lost after that
/// (RFC 7675, section 5.1).
const SILENCE: Duration = Duration::from_millis(400);
const CONSENT: Duration = Duration::from_secs(30);
/// Checks between two ends that know each other.
const CHECKS: Duration = Duration::from_millis(60);

/// What the oracle says of all paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ice {
    /// What the NATs allow.
    #[default]
    ByNat,
    /// No pair is ever found.
    NoPair,
    /// Nothing is ever heard.
    Silent,
    /// No socket could be opened.
    Unavailable,
}

/// One end of a media path.
#[derive(Clone, Debug)]
pub(super) struct PathEnd {
    controlling: bool,
    servers: Vec<RelayServer>,
    policy: PathPolicy,
    /// The relay that it goes through, once it is up.
    relay: Option<SocketAddr>,
    open: bool,
    up: bool,
    with: Option<(MachineId, PathId)>,
}

impl World {
    /// All paths of this host go silent, for both sides.
    pub fn cut_paths(&mut self, name: &str) {
        let id = self.id(name);
        let open: Vec<_> = self.machine(id).paths.iter().filter(|(_, p)| p.open && p.up).collect();
        let ends: Vec<_> = open.into_iter().map(|(path, end)| (*path, end.with)).collect();
        for (path, with) in ends {
            self.lose(id, path);
            if let Some((other, path)) = with {
                self.lose(other, path);
            }
        }
    }

    /// All paths through the relay of a machine that has ended go silent.
    pub(super) fn lose_relayed_by(&mut self, relay: MachineId) {
        let address = self.address_of(relay);
        let ends = |machine: &Resident| -> Vec<PathId> {
            let through = machine.paths.iter().filter(|(_, end)| end.relay == Some(address));
            through.map(|(path, _)| *path).collect()
        };
        let lost: Vec<_> = self.machines.iter().map(ends).enumerate().collect();
        for (machine, paths) in lost {
            paths.into_iter().for_each(|path| self.lose(MachineId(machine), path));
        }
    }

    pub(super) fn lose(&mut self, id: MachineId, path: PathId) {
        let Some(end) = self.machine_mut(id).paths.get_mut(&path) else { return };
        if std::mem::take(&mut end.up) && end.open {
            self.later_path(SILENCE, id, path, PathEvent::Silent);
            self.later_path(CONSENT, id, path, PathEvent::Down(PathDown::Lost));
        }
    }

    fn later_path(&mut self, after: Duration, id: MachineId, path: PathId, event: PathEvent) {
        let life = self.machine(id).life;
        self.later(after, Event::Path(id, life, path, Box::new(event)));
    }

    pub(super) fn path_order(&mut self, id: MachineId, path: PathId, order: PathOrder) {
        match order {
            PathOrder::Open { controlling, servers, policy } => {
                let end = PathEnd {
                    controlling,
                    servers,
                    policy,
                    relay: None,
                    open: true,
                    up: false,
                    with: None,
                };
                let before = self.machine_mut(id).paths.insert(path, end);
                assert!(before.is_none(), "a path is opened twice");
                self.gather(id, path);
            }
            PathOrder::Remote { ufrag, .. } => {
                let (machine, theirs) = ufrag.split_once('/').expect("the oracle made it");
                let number = |text: &str| text.parse().expect("the oracle made it");
                let with = (MachineId(number(machine) as usize), PathId(number(theirs)));
                if let Some(end) = self.machine_mut(id).paths.get_mut(&path) {
                    assert!(end.open && end.with.is_none(), "credentials come once, while open");
                    end.with = Some(with);
                    self.check_pair((id, path), with);
                }
            }
            PathOrder::Candidate(_) => {}
            PathOrder::Close => {
                let Some(end) = self.machine_mut(id).paths.get_mut(&path) else { return };
                end.open = false;
                end.up = false;
                if let Some((other, path)) = end.with {
                    self.lose(other, path);
                }
            }
        }
    }

    fn gather(&mut self, id: MachineId, path: PathId) {
        let ms = Duration::from_millis;
        if self.ice == Ice::Unavailable {
            return self.later_path(ms(1), id, path, PathEvent::Down(PathDown::Unavailable));
        }
        let ufrag = format!("{}/{}", id.0, path.0);
        let password = "password".to_owned();
        self.later_path(ms(1), id, path, PathEvent::Local { ufrag, password });
        let candidate = |n: u64, kind| format!("{n} 1 udp {n} 192.0.2.{} 50000 typ {kind}", id.0);
        let policy = self.machine(id).paths[&path].policy;
        let is_refused = self.is_refused_by_relay(id, path);
        if policy != PathPolicy::RelayOnly {
            self.later_path(ms(2), id, path, PathEvent::Candidate(candidate(1, "host")));
            self.later_path(ms(30), id, path, PathEvent::Candidate(candidate(2, "srflx")));
        }
        if is_refused {
            self.later_path(ms(40), id, path, PathEvent::NoRelay);
        } else if policy != PathPolicy::DirectOnly {
            self.later_path(ms(40), id, path, PathEvent::Candidate(candidate(3, "relay")));
        }
        if is_refused && policy == PathPolicy::RelayOnly {
            return self.later_path(ms(41), id, path, PathEvent::Down(PathDown::Unavailable));
        }
        self.later_path(ms(41), id, path, PathEvent::EndOfCandidates);
    }

    /// Whether there is a relay that this end may use, and does not get anything of it: then it has
    /// none.
    fn is_refused_by_relay(&mut self, id: MachineId, path: PathId) -> bool {
        let stopped: Vec<SocketAddr> = self
            .machines
            .iter()
            .filter(|machine| {
                let node = machine.role.as_ref().and_then(Role::super_peer);
                node.is_some_and(|node| !node.status().work.relay)
            })
            .map(|machine| self.hosts[machine.host.0].address)
            .collect();
        let end = self.machine_mut(id).paths.get_mut(&path).expect("it was just opened");
        let had = has_relay(end);
        end.servers.retain(|server| !stopped.contains(&server.address));
        had && !has_relay(end)
    }

    /// Once both ends know each other the oracle decides.
    fn check_pair(&mut self, here: (MachineId, PathId), there: (MachineId, PathId)) {
        let ours = self.machine(here.0).paths[&here.1].clone();
        let Some(theirs) = self.machine(there.0).paths.get(&there.1).cloned() else { return };
        if theirs.with != Some(here) {
            return;
        }
        assert_ne!(ours.controlling, theirs.controlling, "exactly one end controls");
        let nats = match self.are_near(here.0, there.0) {
            true => (Nat::Open, Nat::Open),
            false => (self.nat_of(here.0), self.nat_of(there.0)),
        };
        let kind = match self.ice {
            Ice::ByNat => kind_between(&ours, &theirs, nats),
            Ice::NoPair => None,
            Ice::Silent | Ice::Unavailable => return,
        };
        for ((id, path), other) in [(here, there.0), (there, here.0)] {
            match kind {
                Some(kind) => {
                    // The relay of whoever controls, or the other's where that one has none.
                    let of = |end: &PathEnd| end.servers.first().map(|server| server.address);
                    let mut ends = [&ours, &theirs];
                    ends.sort_by_key(|end| !end.controlling);
                    let relay = ends.into_iter().filter(|end| has_relay(end)).find_map(of);
                    let facts = self.facts(id, other, kind, relay);
                    let after = CHECKS + self.one_way(id, other) * 2;
                    self.later_path(after, id, path, PathEvent::Up(facts));
                    let round_trip = self.one_way(id, other) * 2;
                    let rtt_ms = round_trip.as_secs_f64() * 1000.0;
                    let lively = PathEvent::Lively { rtt_ms };
                    self.later_path(after + round_trip, id, path, lively);
                }
                None => self.later_path(NO_PAIR, id, path, PathEvent::Down(PathDown::NoPair)),
            }
        }
    }

    fn facts(
        &self,
        id: MachineId,
        other: MachineId,
        kind: PathKind,
        relay: Option<SocketAddr>,
    ) -> PathFacts {
        let relay = match kind {
            PathKind::RelayUdp | PathKind::RelayTcp => relay,
            PathKind::Host | PathKind::ServerReflexive | PathKind::PeerReflexive => None,
        };
        let (local, remote) = (self.address_of(id), self.address_of(other));
        PathFacts { kind, local, remote, relay, rtt_ms: None }
    }

    /// A path event is about to be given: the oracle notes what it means.
    pub(super) fn path_event_due(
        &mut self,
        id: MachineId,
        path: PathId,
        event: &PathEvent,
    ) -> bool {
        let Some(end) = self.machine_mut(id).paths.get_mut(&path).filter(|end| end.open) else {
            return false;
        };
        match event {
            PathEvent::Up(facts) => (end.up, end.relay) = (true, facts.relay),
            PathEvent::Down(_) => (end.up, end.open) = (false, false),
            // It went silent meanwhile.
            PathEvent::Lively { .. } if !end.up => return false,
            PathEvent::Lively { .. }
            | PathEvent::Silent
            | PathEvent::Tried(_)
            | PathEvent::NoRelay
            | PathEvent::Local { .. }
            | PathEvent::Candidate(_)
            | PathEvent::EndOfCandidates => {}
        }
        let lost_meanwhile = matches!(event, PathEvent::Up(_))
            && end.with.is_some_and(|(other, path)| {
                self.machine(other).paths.get(&path).is_none_or(|theirs| !theirs.open)
            });
        if lost_meanwhile {
            self.lose(id, path);
        }
        true
    }
}

fn kind_between(ours: &PathEnd, theirs: &PathEnd, nats: (Nat, Nat)) -> Option<PathKind> {
    let is_direct = goes_direct(ours, nats.0) && goes_direct(theirs, nats.1);
    let through = |a: &PathEnd, (nat_a, b, nat_b): (Nat, &PathEnd, Nat)| {
        is_relayed(a, nat_a) && (is_relayed(b, nat_b) || goes_direct(b, nat_b))
    };
    let is_relayed =
        through(ours, (nats.0, theirs, nats.1)) || through(theirs, (nats.1, ours, nats.0));
    let by_stream = |end: &PathEnd| end.servers.iter().any(|s| s.transport == RelayTransport::Tcp);
    let is_tcp = by_stream(ours) || by_stream(theirs);
    let relayed = if is_tcp { PathKind::RelayTcp } else { PathKind::RelayUdp };
    let relayed = is_relayed.then_some(relayed);
    let direct = match nats {
        (Nat::Open, Nat::Open) => Some(PathKind::Host),
        (Nat::Symmetric, Nat::Symmetric | Nat::Cone) | (Nat::Cone, Nat::Symmetric) => None,
        (Nat::Symmetric, Nat::Open) | (Nat::Open, Nat::Symmetric) => Some(PathKind::PeerReflexive),
        (Nat::Open | Nat::Cone, Nat::Cone) | (Nat::Cone, Nat::Open) => {
            Some(PathKind::ServerReflexive)
        }
        (Nat::UdpBlocked, _) | (_, Nat::UdpBlocked) => None,
    };
    direct.filter(|_| is_direct).or(relayed)
}

/// Whether an end may use a relay of its own.
fn has_relay(end: &PathEnd) -> bool {
    let granted = end.servers.iter().any(RelayServer::relays);
    granted && end.policy != PathPolicy::DirectOnly
}

/// Whether an end offers and takes addresses of its own.
fn goes_direct(end: &PathEnd, nat: Nat) -> bool {
    nat != Nat::UdpBlocked && end.policy != PathPolicy::RelayOnly
}

/// Whether an end has a relayed address: where datagrams are blocked, by a stream.
fn is_relayed(end: &PathEnd, nat: Nat) -> bool {
    let reaches = |server: &RelayServer| {
        let by_stream = server.transport == RelayTransport::Tcp;
        server.relays() && (by_stream || nat != Nat::UdpBlocked)
    };
    end.policy != PathPolicy::DirectOnly && end.servers.iter().any(reaches)
}
