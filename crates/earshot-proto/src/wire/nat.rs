//! Am I reachable: device ↔ super-peer; where may I be relayed: peer ↔ its home; how does a NAT
//! behave: super-peer ↔ super-peer. DESIGN 2.12.

use std::net::SocketAddr;

use minicbor::{CborLen, Decode, Encode};

use super::Wire;
use super::bounded::{Bytes, Text};
use super::knock::TOKEN;
use crate::time::UnixTime;

/// What is said about addresses and relays.
#[derive(Clone, Debug, PartialEq, Encode, Decode, CborLen)]
pub enum Nat {
    /// Device → super-peer: connect back to my address, this port (≥ 1024, or 80, or 443).
    #[n(0)]
    DialBack {
        /// The port that the device listens on.
        #[n(0)]
        port: u16,
        /// What a [`Knock`](super::knock::Knock) to the same port is to show; absent: none is
        /// wanted. All 16 bytes.
        #[n(1)]
        token: Option<Bytes<TOKEN>>,
    },
    /// Super-peer → device: tried.
    #[n(1)]
    DialedBack {
        /// Whether the connection was accepted.
        #[n(0)]
        reached: bool,
        /// The address that was tried.
        #[n(1)]
        tried: SocketAddr,
        /// If it was not accepted: whether the address said so, or said nothing.
        #[n(2)]
        silent: Option<bool>,
    },
    /// Peer → home: relay credentials, please.
    #[n(2)]
    RelayCredentials,
    /// Home → peer: these, for its own relay.
    #[n(3)]
    RelayGrant {
        /// The relay's UDP address.
        #[n(0)]
        address: SocketAddr,
        /// TURN user name: a random session id, tied to the link's user.
        #[n(1)]
        username: Text<64>,
        /// TURN password.
        #[n(2)]
        password: Text<64>,
        /// New allocations are refused after this.
        #[n(3)]
        expires: UnixTime,
    },
    /// Super-peer → device: no.
    #[n(4)]
    Refused {
        /// Why.
        #[n(0)]
        reason: NatRefusal,
    },
    /// Super-peer → super-peer, unasked: I have this alternate UDP port (RFC 5780), and answer
    /// Binding questions in your stead.
    #[n(5)]
    Alternate {
        /// Its number.
        #[n(0)]
        port: u16,
    },
    /// Super-peer → super-peer: answer this Binding question, which I was asked, in my stead.
    #[n(6)]
    Turned {
        /// Who asked: the answer goes there.
        #[n(0)]
        to: SocketAddr,
        /// The question's transaction. All 12 bytes.
        #[n(1)]
        transaction: Bytes<12>,
        /// The question's length.
        #[n(2)]
        length: u16,
        /// Answer from the alternate port instead of the main port.
        #[n(3)]
        alternate: bool,
        /// I was asked at my alternate port instead of my main port.
        #[n(4)]
        asked_alternate: bool,
    },
}

/// Why a super-peer does not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(index_only)]
pub enum NatRefusal {
    /// That port is not one that is dialled back.
    #[n(0)]
    PortRefused,
    /// Asked too soon after the last time (10 s).
    #[n(1)]
    TooSoon,
    /// This super-peer does not relay.
    #[n(2)]
    NoRelay,
    /// The link has no certificate.
    #[n(3)]
    NotAllowed,
}

/// Whether super-peers dial that port for others: nobody can make a port scanner of them. DESIGN
/// 2.12.
#[must_use]
pub const fn is_dialled(port: u16) -> bool {
    port >= 1024 || port == 80 || port == 443
}

impl Wire for Nat {
    const NAME: &'static str = "nat";
    const MAX: usize = 512;
}
