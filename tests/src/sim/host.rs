//! A host: where it stands in the network, and the machine that runs on it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use earshot_proto::authority::{self, Authority};
use earshot_proto::ids::NearbyTag;
use earshot_proto::peer::Peer;
use earshot_proto::peer::command as peer;
use earshot_proto::port::{Input, LinkId, Machine, Output, PathId, RelayPortId, Service};
use earshot_proto::super_peer::budgets::Limits;
use earshot_proto::super_peer::{self, SuperPeer};
use earshot_proto::wire::bounded::Bytes;
use earshot_proto::wire::certificate::Chain;
use earshot_proto::wire::directory::Reachability;
use earshot_proto::wire::invite::Door;

use super::adversary::Adversary;
use super::disk::{Disk, Kept};
use super::net::Side;
use super::oracle::PathEnd;
use super::owner::Owner;
use super::world::{ConnId, HostId};

/// What stands between a host and the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// Nothing.
    Open,
    /// A NAT: nobody connects in; UDP out works, and its mapping serves everybody.
    Cone,
    /// A NAT whose mappings serve one destination each.
    Symmetric,
    /// A firewall: nobody connects in, and UDP is blocked.
    UdpBlocked,
}

impl Nat {
    pub(super) const fn lets_in(self) -> bool {
        match self {
            Self::Open => true,
            Self::Cone | Self::Symmetric | Self::UdpBlocked => false,
        }
    }

    pub(super) const fn lets_udp_out(self) -> bool {
        match self {
            Self::Open | Self::Cone | Self::Symmetric => true,
            Self::UdpBlocked => false,
        }
    }
}

/// A machine that only a test knows: it may do anything that the contract allows.
pub type Script = Box<dyn Machine<Notice = (), Record = ()>>;

/// What a machine says, whatever its role.
pub(super) enum Told {
    Peer(peer::Notice),
    SuperPeer(super_peer::Notice),
    Authority(authority::Notice),
    Script,
}

/// A machine of any role.
pub(super) enum Role {
    Peer(Box<Peer>),
    SuperPeer(Box<SuperPeer>),
    Authority(Box<Authority>),
    /// A super-peer that is hostile.
    Adversary(Box<Adversary>),
    Script(Script),
}

impl Role {
    pub(super) fn handle(&mut self, now: Instant, input: Input<'_>) {
        match self {
            Self::Peer(peer) => peer.handle(now, input),
            Self::SuperPeer(node) => node.handle(now, input),
            Self::Authority(authority) => authority.handle(now, input),
            Self::Adversary(node) => node.handle(now, input),
            Self::Script(script) => script.handle(now, input),
        }
    }

    pub(super) fn poll_output(&mut self) -> Output<Told, Kept> {
        match self {
            Self::Peer(peer) => of_any(peer.poll_output(), Told::Peer, Kept::Peer),
            Self::SuperPeer(node) => of_any(node.poll_output(), Told::SuperPeer, Kept::SuperPeer),
            Self::Authority(authority) => {
                of_any(authority.poll_output(), Told::Authority, Kept::Authority)
            }
            Self::Adversary(node) => of_any(node.poll_output(), Told::SuperPeer, Kept::SuperPeer),
            Self::Script(script) => {
                of_any(script.poll_output(), |()| Told::Script, |()| Kept::Script)
            }
        }
    }

    /// The super-peer that it is, honest or not.
    pub(super) fn super_peer(&self) -> Option<&SuperPeer> {
        match self {
            Self::SuperPeer(node) => Some(node),
            Self::Adversary(node) => Some(node.inner()),
            Self::Peer(_) | Self::Authority(_) | Self::Script(_) => None,
        }
    }

    /// Whether nothing readable may leave it.
    pub(super) const fn is_blind(&self) -> bool {
        match self {
            Self::SuperPeer(_) | Self::Authority(_) | Self::Adversary(_) => true,
            Self::Peer(_) | Self::Script(_) => false,
        }
    }
}

fn of_any<N, R>(
    output: Output<N, R>,
    told: impl Fn(N) -> Told,
    kept: impl Fn(R) -> Kept,
) -> Output<Told, Kept> {
    match output {
        Output::Send(transmit) => Output::Send(transmit),
        Output::Link(id, order) => Output::Link(id, order),
        Output::Path(id, order) => Output::Path(id, order),
        Output::RelayPort(id, order) => Output::RelayPort(id, order),
        Output::Voice(call, order) => Output::Voice(call, order),
        Output::Nearby(tag) => Output::Nearby(tag),
        Output::Save(id, record) => Output::Save(id, kept(record)),
        Output::Work(id, work) => Output::Work(id, work),
        Output::Notify(notice) => Output::Notify(told(notice)),
        Output::Wait(deadline, reason) => Output::Wait(deadline, reason),
    }
}

/// What a machine is made of at every start of its host, beside its disk.
#[derive(Clone)]
pub(super) enum Blueprint {
    Peer {
        listens: bool,
        pretend: Option<Reachability>,
    },
    SuperPeer {
        sign: [u8; 32],
        link: [u8; 32],
        root: earshot_proto::wire::certificate::VerifyKey,
        authority: Door,
        token: Option<Bytes<32>>,
        /// Where it says that it listens; absent, where it does.
        claims: Option<SocketAddr>,
        limits: Box<Limits>,
        /// The certificate of the device that it is on.
        owner: Option<Box<Chain>>,
    },
    Authority {
        keys: Vec<u8>,
        limits: authority::Limits,
    },
    Script,
}

impl Blueprint {
    pub(super) const fn services(&self) -> &'static [Service] {
        match self {
            Self::Peer { listens: true, .. } => &[Service::Peer, Service::Nearby],
            Self::Peer { listens: false, .. } => &[],
            Self::SuperPeer { .. } => &[Service::SuperPeer, Service::Relay],
            Self::Authority { .. } => &[Service::Authority],
            Self::Script => &[Service::Peer, Service::SuperPeer, Service::Authority],
        }
    }
}

/// A host.
pub(super) struct Host {
    pub(super) address: SocketAddr,
    pub(super) nat: Nat,
    /// The local network that it is on, if others are there too.
    pub(super) lan: Option<u32>,
    /// One way from here into the network.
    pub(super) lag: Duration,
    /// How wrong its wall clock is.
    pub(super) skew: Skew,
    /// Cut off without a word: nothing comes or goes.
    pub(super) gone: bool,
}

/// How wrong a wall clock is.
#[derive(Clone, Copy, Debug, Default)]
pub enum Skew {
    /// Right.
    #[default]
    None,
    /// Ahead.
    Ahead(Duration),
    /// Behind.
    Behind(Duration),
}

/// A machine on a host, in this or a former life.
pub(super) struct Resident {
    pub(super) host: HostId,
    pub(super) name: String,
    pub(super) blueprint: Blueprint,
    pub(super) role: Option<Role>,
    pub(super) life: u32,
    pub(super) deadline: Option<Duration>,
    pub(super) wake: u64,
    /// Wakes in a row at one moment, for the stall detector.
    pub(super) spins: (Duration, u32),
    pub(super) accepted: u32,
    /// Bytes that came over links.
    pub(super) heard: u64,
    /// Bytes of links and datagrams that came and went.
    pub(super) traffic: u64,
    /// Connections dialled.
    pub(super) dials: u64,
    /// Those of them to devices near by.
    pub(super) near_dials: u64,
    pub(super) links: BTreeMap<LinkId, (ConnId, Side)>,
    pub(super) paths: BTreeMap<PathId, PathEnd>,
    pub(super) relay_ports: BTreeMap<RelayPortId, SocketAddr>,
    /// What it calls itself on its local network.
    pub(super) announced: Option<NearbyTag>,
    pub(super) disk: Disk,
    pub(super) owner: Owner,
}
