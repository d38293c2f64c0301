//! What the next path of a call is made of: for which purpose, over which addresses, and through
//! which relay.
//!
//! Source: DESIGN 2.10. Invariants: whoever hides shows no address of its own; the relay of a spare
//! path is not that of the path in use; a relay that has turned us down is asked again only with
//! other credentials, where there is no other, or where the other side opens a spare path.

use std::net::SocketAddr;

use super::Cx;
use super::signaling::{Privacy, Side};
use crate::port::{PathPolicy, RelayServer, RelayTransport};
use crate::wire::directory::Reachability;
use crate::wire::sealed::call::PathPurpose;

/// Refusals remembered. Our choice: four relays, each asked by datagrams and over TCP.
const REFUSALS_MAX: usize = 8;

/// What a path is made of.
#[derive(Clone, Debug)]
pub(super) struct Making {
    /// Its number, the same at both ends.
    pub(super) number: u32,
    pub(super) purpose: PathPurpose,
    pub(super) policy: PathPolicy,
    pub(super) servers: Vec<RelayServer>,
}

/// Says what paths to one device are made of.
#[derive(Debug)]
pub(super) struct Maker {
    privacy: Privacy,
    /// Of the next path that we open ourselves.
    next_number: u32,
    /// Relays that gave no relayed address, with what they were asked by; the oldest first.
    refusals: Vec<RelayServer>,
}

impl Maker {
    pub(super) const fn new(side: Side, privacy: Privacy) -> Self {
        let next_number = match side {
            Side::Caller => 2,
            Side::Callee => 1,
        };
        Self { privacy, next_number, refusals: Vec::new() }
    }

    /// Whether a path of this number is opened by us.
    pub(super) const fn is_ours(&self, number: u32) -> bool {
        number % 2 == self.next_number % 2
    }

    /// Whether we may show our addresses.
    pub(super) fn is_open(&self) -> bool {
        self.privacy == Privacy::Open
    }

    /// A relay gave no relayed address. Whether that is news.
    pub(super) fn refused(&mut self, relay: &RelayServer) -> bool {
        let is_news = !self.refusals.contains(relay);
        if is_news {
            if self.refusals.len() == REFUSALS_MAX {
                self.refusals.remove(0);
            }
            self.refusals.push(relay.clone());
        }
        is_news
    }

    /// The first path, which both sides open.
    pub(super) fn first(&self, cx: &Cx<'_>) -> Making {
        self.main(cx, 0)
    }

    /// Another in its place.
    pub(super) fn another(&mut self, cx: &Cx<'_>) -> Making {
        let number = self.number();
        self.main(cx, number)
    }

    /// One through no relay, where datagrams get through.
    pub(super) fn direct(&mut self, cx: &Cx<'_>) -> Option<Making> {
        let servers = stun(cx)?;
        Some(direct(self.number(), PathPurpose::Direct, servers))
    }

    /// One through another relay than this, if there is one.
    pub(super) fn spare(&mut self, cx: &Cx<'_>, relay: Option<SocketAddr>) -> Option<Making> {
        let is_of_use = |server: &&RelayServer| {
            let is_other = relay.is_none_or(|relay| !is_of(relay, server.address));
            server.relays() && is_other && !self.refusals.contains(server)
        };
        let server = cx.around.servers.iter().rev().find(is_of_use)?.clone();
        Some(relayed(self.number(), vec![server]))
    }

    /// Our end of a path that the other side opens; none where we would show what we hide.
    pub(super) fn answer(&self, cx: &Cx<'_>, number: u32, purpose: PathPurpose) -> Option<Making> {
        match (purpose, self.privacy, stun(cx)) {
            (PathPurpose::Main, _, _) => Some(self.main(cx, number)),
            (PathPurpose::Direct, Privacy::Hidden, _) => None,
            // Of a spare path one relay is enough, and theirs it is; but who hides shows no address
            // to it, and who cannot send datagrams needs one of its own.
            (PathPurpose::Direct | PathPurpose::Spare, Privacy::Open, Some(servers)) => {
                Some(direct(number, purpose, servers))
            }
            (PathPurpose::Direct, Privacy::Open, None) => None,
            (PathPurpose::Spare, _, _) => {
                let servers = cx.around.servers.iter().rev().take(1).cloned().collect();
                Some(relayed(number, servers))
            }
        }
    }

    fn main(&self, cx: &Cx<'_>, number: u32) -> Making {
        let policy = match self.privacy {
            Privacy::Open => PathPolicy::Any,
            Privacy::Hidden => PathPolicy::RelayOnly,
        };
        let servers = &cx.around.servers;
        let works = |server: &&RelayServer| !self.refusals.contains(server);
        let server = servers.iter().find(works).or_else(|| servers.first());
        let servers = server.into_iter().cloned().collect();
        Making { number, purpose: PathPurpose::Main, policy, servers }
    }

    const fn number(&mut self) -> u32 {
        let number = self.next_number;
        self.next_number += 2;
        number
    }
}

const fn direct(number: u32, purpose: PathPurpose, servers: Vec<RelayServer>) -> Making {
    Making { number, purpose, policy: PathPolicy::DirectOnly, servers }
}

const fn relayed(number: u32, servers: Vec<RelayServer>) -> Making {
    Making { number, purpose: PathPurpose::Spare, policy: PathPolicy::RelayOnly, servers }
}

/// Whether an address that is relayed may be of this super-peer: it is on the same host, unless
/// that is this computer, where many may be.
fn is_of(relay: SocketAddr, server: SocketAddr) -> bool {
    relay == server || (relay.ip() == server.ip() && !server.ip().is_loopback())
}

/// Whom to ask for our address; [`None`] where datagrams do not get through.
fn stun(cx: &Cx<'_>) -> Option<Vec<RelayServer>> {
    let is_udp = |server: &RelayServer| server.transport == RelayTransport::Udp;
    let nobody = cx.around.servers.is_empty();
    let server = cx.around.servers.iter().find(|server| is_udp(server));
    if cx.around.reachability == Reachability::Restricted || (server.is_none() && !nobody) {
        return None;
    }
    let only = |server: &RelayServer| RelayServer::stun_only(server.address, RelayTransport::Udp);
    Some(server.map(only).into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_super_peer_hands_out_is_on_its_own_host_and_on_this_computer_nobody_can_tell() {
        let at = |ip: [u8; 4], port: u16| SocketAddr::from((ip, port));
        let (near, far, here) = ([5, 2, 0, 2], [5, 3, 0, 2], [127, 0, 0, 1]);
        assert!(is_of(at(near, 50_766), at(near, 37_373)), "the other side's allocation there");
        assert!(!is_of(at(far, 50_766), at(near, 37_373)));
        assert!(is_of(at(here, 37_373), at(here, 37_373)));
        assert!(!is_of(at(here, 50_766), at(here, 37_373)));
    }
}
