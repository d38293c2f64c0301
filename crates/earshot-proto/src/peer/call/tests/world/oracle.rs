//! The oracle that stands for ICE: which paths come up, when, and when they are lost.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Event, Ice, MS, Path, PathKey, World};
use crate::port::{PathDown, PathEvent, PathFacts, PathId, PathKind, PathOrder, PathPolicy};

/// A path that gets nothing through is noticed to be silent after this, and is lost after that.
const SILENCE: Duration = Duration::from_millis(400);
const CONSENT: Duration = Duration::from_secs(30);
/// The first probe of a path that came up is answered after this.
const PROBED: Duration = Duration::from_millis(60);

impl World {
    pub(super) fn open_paths(&self, at: usize) -> Vec<PathKey> {
        let open = self.devices[at].paths.iter().filter(|(_, p)| p.open);
        open.map(|(id, _)| *id).collect()
    }

    /// The path that a device's voice goes over goes silent, for both sides.
    pub(in super::super) fn cut_path_in_use(&mut self, name: &str) {
        let at = self.at(name);
        let current = self.devices[at].calls.current().expect("in a call");
        let used = self.devices[at].voices[&current.id].route.send[0];
        let path = (self.devices[at].runs, used.0);
        let with = self.devices[at].paths[&path].with;
        for (device, path) in std::iter::once((at, path)).chain(with) {
            self.lose(device, path);
        }
    }

    /// The policies of the paths that a device has open.
    pub(in super::super) fn open_policies(&self, name: &str) -> Vec<PathPolicy> {
        let at = self.at(name);
        self.open_paths(at).iter().map(|path| self.devices[at].paths[path].policy).collect()
    }

    /// All paths of a device go silent, for both sides.
    pub(in super::super) fn cut_paths(&mut self, name: &str) {
        let at = self.at(name);
        for path in self.open_paths(at) {
            let with = self.devices[at].paths[&path].with;
            for (device, path) in std::iter::once((at, path)).chain(with) {
                self.lose(device, path);
            }
        }
    }

    pub(super) fn lose(&mut self, device: usize, path: PathKey) {
        let Some(end) = self.devices[device].paths.get_mut(&path) else { return };
        if end.open && std::mem::take(&mut end.up) {
            self.push(SILENCE, Event::Path(device, path, PathEvent::Silent));
            let lost = PathEvent::Down(PathDown::Lost);
            self.push(CONSENT, Event::Path(device, path, lost));
        }
    }

    pub(super) fn close_path(&mut self, at: usize, path: PathKey) {
        let Some(closed) = self.devices[at].paths.get_mut(&path) else { return };
        closed.open = false;
        let with = closed.with;
        if let Some((other, path)) = with {
            self.lose(other, path);
        }
    }

    pub(super) fn path(&mut self, at: usize, id: PathId, order: PathOrder) {
        let id: PathKey = (self.devices[at].runs, id.0);
        match order {
            PathOrder::Open { controlling, policy, servers } => {
                let relay = servers.first().filter(|server| server.relays());
                let relay = relay.map(|server| server.address);
                let refused = relay.filter(|relay| self.refusing.contains(relay)).is_some();
                let relay = relay.filter(|_| !refused);
                let path = Path { policy, controlling, relay, open: true, up: false, with: None };
                assert!(self.devices[at].paths.insert(id, path).is_none(), "opened twice");
                if self.ice == Ice::Unavailable {
                    let down = PathEvent::Down(PathDown::Unavailable);
                    return self.push(MS, Event::Path(at, id, down));
                }
                let local = PathEvent::Local {
                    ufrag: format!("{at}/{}/{}", id.0, id.1),
                    password: "password".into(),
                };
                self.push(MS, Event::Path(at, id, local));
                if policy != PathPolicy::DirectOnly && refused {
                    self.push(30 * MS, Event::Path(at, id, PathEvent::NoRelay));
                } else if policy != PathPolicy::DirectOnly {
                    let relayed = "1 1 udp 1 10.0.0.9 50000 typ relay".to_owned();
                    self.push(30 * MS, Event::Path(at, id, PathEvent::Candidate(relayed)));
                }
                if policy != PathPolicy::RelayOnly {
                    for n in 0..4 {
                        let host = format!("{n} 1 udp 1 192.0.2.{at} {} typ host", 50_000 + n);
                        self.push(2 * MS, Event::Path(at, id, PathEvent::Candidate(host)));
                    }
                }
                let end = match policy {
                    PathPolicy::RelayOnly if refused => PathEvent::Down(PathDown::Unavailable),
                    PathPolicy::RelayOnly | PathPolicy::Any | PathPolicy::DirectOnly => {
                        PathEvent::EndOfCandidates
                    }
                };
                self.push(31 * MS, Event::Path(at, id, end));
            }
            PathOrder::Remote { ufrag, .. } => {
                let parts = ufrag.split('/').map(|part| part.parse().expect("made above"));
                let [device, run, path] = parts.collect::<Vec<u32>>()[..] else {
                    panic!("made above")
                };
                let with = (device as usize, (run as u8, path));
                let own = self.devices[at].paths.get_mut(&id).expect("opened before");
                assert!(own.open && own.with.is_none(), "credentials once, while open");
                own.with = Some(with);
                self.check(at, id);
            }
            PathOrder::Candidate(_) => {
                let own = &self.devices[at].paths[&id];
                assert!(own.open && own.with.is_some(), "candidates after credentials");
            }
            PathOrder::Close => self.close_path(at, id),
        }
    }

    /// No path comes up with somebody who is gone meanwhile.
    pub(super) fn with_somebody(&self, at: usize, id: PathKey, event: PathEvent) -> PathEvent {
        let path = self.devices[at].paths.get(&id);
        let theirs = path.and_then(|path| path.with).and_then(|(other, remote)| {
            self.devices[other].paths.get(&remote).filter(|_| self.devices[other].alive)
        });
        let there = theirs.is_some_and(|path| path.open);
        match event {
            PathEvent::Up(_) if !there => PathEvent::Down(PathDown::NoPair),
            PathEvent::Up(_)
            | PathEvent::Lively { .. }
            | PathEvent::Silent
            | PathEvent::Tried(_)
            | PathEvent::NoRelay
            | PathEvent::Local { .. }
            | PathEvent::Candidate(_)
            | PathEvent::EndOfCandidates
            | PathEvent::Down(_) => event,
        }
    }

    /// Both sides know each other: the oracle decides.
    pub(super) fn check(&mut self, at: usize, path: PathKey) {
        let own = &self.devices[at].paths[&path];
        let Some((other, remote)) = own.with else { return };
        let Some(theirs) = self.devices[other].paths.get(&remote) else { return };
        if theirs.with != Some((at, path)) {
            return;
        }
        assert_ne!(own.controlling, theirs.controlling, "exactly one side controls");
        let policies = [own.policy, theirs.policy];
        let relayed = policies.contains(&PathPolicy::RelayOnly);
        let direct = policies.contains(&PathPolicy::DirectOnly);
        let [first, second] = if own.controlling { [own, theirs] } else { [theirs, own] };
        let relay = first.relay.or(second.relay);
        let direct = direct || relay.is_none();
        let ice = if direct && !relayed { self.direct.unwrap_or(self.ice) } else { self.ice };
        let relayed = relayed || (self.direct.is_some() && !direct);
        let relay = relay.filter(|_| relayed);
        for (device, path, peer) in [(at, path, other), (other, remote, at)] {
            let one_way = self.one_way();
            match ice {
                Ice::After(after) => {
                    let facts = facts(device, peer, relay);
                    let after = after + one_way;
                    self.push(after, Event::Path(device, path, PathEvent::Up(facts)));
                    let lively = PathEvent::Lively { rtt_ms: 40.0 };
                    self.push(after + PROBED, Event::Path(device, path, lively));
                }
                Ice::Never(after) => {
                    let down = PathEvent::Down(PathDown::NoPair);
                    self.push(after + one_way, Event::Path(device, path, down));
                }
                Ice::Silent | Ice::Unavailable => return,
            }
        }
    }
}

fn facts(device: usize, peer: usize, relay: Option<SocketAddr>) -> PathFacts {
    PathFacts {
        kind: if relay.is_some() { PathKind::RelayUdp } else { PathKind::Host },
        local: ([192, 0, 2, device as u8], 50_000).into(),
        remote: ([192, 0, 2, peer as u8], 50_000).into(),
        relay,
        rtt_ms: None,
    }
}
