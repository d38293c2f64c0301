//! Finding people: peer ↔ super-peer and super-peer ↔ super-peer. Lecture, slides 31 and 36–37;
//! DESIGN 2.5.

use std::net::SocketAddr;

use minicbor::{CborLen, Decode, Encode};

use super::Wire;
use super::bounded::{Bytes, List};
use super::certificate::{Chain, DEVICES_MAX, Signed};
use super::epoch::{EPOCHS_MAX, EpochSecret};
use crate::ids::{DeviceId, NodeId, UserName};
use crate::time::UnixTime;

/// Nodes in one answer at most: the widest round of a search asks sixteen. Lecture, slide 31 (four,
/// eight, …).
pub const NODES_MAX: usize = 16;
/// Super-peers in one list at most. Lecture, slide 15.
pub const SUPER_PEERS_MAX: usize = 200;
/// IPv6 addresses in one answer at most: theirs, and the authority's.
pub const ALSO_MAX: usize = SUPER_PEERS_MAX + 1;
/// Records in one offer at most. Our choice: what is wanted of it (1.2 kB each) stays far below
/// what a link may hold unwritten.
pub const OFFERED_MAX: usize = 256;
/// Homes that one is sent to at most.
pub const HOMES_MAX: usize = 4;
/// Longest sealed location, in bytes.
pub const LOCATION_MAX: usize = 512;

/// What is said about where people are.
#[derive(Clone, Debug, PartialEq, Encode, Decode, CborLen)]
pub enum Directory {
    /// Peer → its home: serve me; put my registration at the keepers.
    #[n(0)]
    Attach {
        /// Who I am, for everybody.
        #[n(0)]
        registration: Signed<Registration>,
        /// Where I am, for buddies.
        #[n(1)]
        location: Bytes<LOCATION_MAX>,
    },
    /// Home → peer: served, and kept by this many super-peers.
    #[n(1)]
    Attached {
        /// Keepers that hold the registration.
        #[n(0)]
        keepers: u8,
        /// The address that the home sees the peer at.
        #[n(1)]
        observed: SocketAddr,
        /// The secrets of the present epoch and the next.
        #[cbor(n(2), default)]
        epochs: List<EpochSecret, EPOCHS_MAX>,
    },
    /// Home → keeper: hold this.
    #[n(2)]
    Put {
        /// Signed by the device.
        #[n(0)]
        registration: Signed<Registration>,
        /// Sealed by the device.
        #[n(1)]
        location: Bytes<LOCATION_MAX>,
        /// The home that serves the device; absent: the device left politely.
        #[n(2)]
        home: Option<NodeEntry>,
    },
    /// Keeper → home: held.
    #[n(3)]
    Kept,
    /// Keeper → keeper: I hold these; which do you lack?
    #[n(4)]
    Offer {
        /// At most [`OFFERED_MAX`].
        #[n(0)]
        records: List<Offered, OFFERED_MAX>,
    },
    /// These places of the offer.
    #[n(5)]
    Wanted {
        /// Counted from 0.
        #[n(0)]
        places: List<u16, OFFERED_MAX>,
    },
    /// Do you hold this user?
    #[n(6)]
    Find {
        /// The prepared name.
        #[n(0)]
        user: UserName,
    },
    /// Peer → its home: find this user for me (a Restricted peer cannot ask itself; lecture, slide
    /// 31).
    #[n(7)]
    FindForMe {
        /// The prepared name.
        #[n(0)]
        user: UserName,
    },
    /// Held: one entry a device.
    #[n(8)]
    Found {
        /// The devices' entries.
        #[n(0)]
        entries: List<Entry, DEVICES_MAX>,
        /// How it was found.
        #[n(1)]
        trail: Trail,
    },
    /// Not held here, or nowhere.
    #[n(9)]
    NotHere {
        /// How that was found out.
        #[n(0)]
        trail: Trail,
    },
    /// Tell me super-peers.
    #[n(10)]
    ListSuperPeers,
    /// Some that the answerer knows.
    #[n(11)]
    SuperPeers {
        /// Live ones first.
        #[n(0)]
        nodes: List<NodeEntry, SUPER_PEERS_MAX>,
        /// Where the login authority is and which link key it has.
        #[n(1)]
        authority: Option<super::invite::Door>,
        /// The IPv6 addresses of these, as far as they have any besides.
        #[cbor(n(2), default)]
        also: List<super::invite::AlsoAt, ALSO_MAX>,
    },
    /// No.
    #[n(12)]
    Refused {
        /// Why.
        #[n(0)]
        reason: DirectoryRefusal,
    },
    /// Home → peer, unasked or in answer to *Attach*: I have too much to do; make one of these your
    /// home.
    #[n(13)]
    MoveOn {
        /// At most [`HOMES_MAX`], none where none is known.
        #[n(0)]
        homes: List<NodeEntry, HOMES_MAX>,
        /// Not before so many milliseconds have passed: each is told another time.
        #[n(1)]
        after_ms: u32,
    },
}

/// How an answer was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Trail {
    /// Nodes that were asked for the record; 1 when the answerer looked into what it keeps itself.
    #[n(0)]
    pub asked: u8,
    /// The round it ended in: 1 (four nodes), 2 (eight) or 3 (sixteen).
    #[n(1)]
    pub round: u8,
    /// Whether the answerer had it from an earlier look-up.
    #[n(2)]
    pub cached: bool,
}

impl Trail {
    /// The answerer looked into what it keeps itself.
    pub const HERE: Self = Self { asked: 1, round: 1, cached: false };
}

/// A record that one keeper offers to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
pub struct Offered {
    /// Names it: the first eight bytes of SHA-1 over device id and key.
    #[n(0)]
    pub record: u64,
    /// Its counter.
    #[n(1)]
    pub counter: u64,
}

/// Why a directory says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(index_only)]
pub enum DirectoryRefusal {
    /// The registration does not verify, or is not the link holder's own.
    #[n(0)]
    RegistrationRefused,
    /// An older counter than the one held.
    #[n(1)]
    Stale,
    /// This link may not ask that (no certificate, or no super-peer's).
    #[n(2)]
    NotAllowed,
    /// Over a budget; ask somebody else.
    #[n(3)]
    Busy,
}

/// The public part of a registration, signed by the device.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Registration {
    /// The device's chain: name, K_u, device keys.
    #[n(0)]
    pub chain: Chain,
    /// Version of the device list that holds the device.
    #[n(1)]
    pub devices_version: u64,
    /// Grows with each registration of this device; the highest wins.
    #[n(2)]
    pub counter: u64,
    /// Not to be held after this.
    #[n(3)]
    pub expires: UnixTime,
}

/// The location part, sealed under the contact key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Location {
    /// The home that serves the device.
    #[n(0)]
    pub home: NodeEntry,
    /// Where the device itself takes calls by TCP, when it is Public.
    #[n(1)]
    pub direct: Option<SocketAddr>,
    /// How it can be reached. Lecture, slide 32.
    #[n(2)]
    pub reachability: Reachability,
}

/// How a peer can be reached: what decides the signaling case (lecture, slide 32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, CborLen)]
#[cbor(index_only)]
pub enum Reachability {
    /// Others can open connections to it.
    #[n(0)]
    Public,
    /// It opens connections; none can be opened to it.
    #[n(1)]
    Natted,
    /// It cannot open connections of its own except to its home.
    #[n(2)]
    Restricted,
}

/// One device of a user as a keeper holds it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Entry {
    /// The device.
    #[n(0)]
    pub device: DeviceId,
    /// The public part.
    #[n(1)]
    pub registration: Signed<Registration>,
    /// The location part.
    #[n(2)]
    pub location: Bytes<LOCATION_MAX>,
    /// Its home, while it is served: contact requests of strangers go there.
    #[n(3)]
    pub home: Option<NodeEntry>,
}

/// A super-peer as others know it. What it claims is proved by its certificate when a link opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct NodeEntry {
    /// Its place on the ring.
    #[n(0)]
    pub node: NodeId,
    /// Where it listens (TCP and UDP).
    #[n(1)]
    pub address: SocketAddr,
    /// Its link key.
    #[n(2)]
    pub key: super::certificate::AgreeKey,
}

impl Wire for Directory {
    const NAME: &'static str = "directory";
    const MAX: usize = 64 * 1024;
}

impl Wire for Registration {
    const NAME: &'static str = "directory.registration";
    const MAX: usize = 3072;
}

impl Wire for Location {
    const NAME: &'static str = "directory.location";
    const MAX: usize = LOCATION_MAX;
}
