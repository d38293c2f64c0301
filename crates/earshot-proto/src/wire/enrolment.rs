//! Enrolling super-peers: super-peer ↔ login authority. DESIGN 2.5, INTERFACES 2 (bootstrap).

use std::net::SocketAddr;

use minicbor::{CborLen, Decode, Encode};

use super::Wire;
use super::bounded::{Bytes, List};
use super::certificate::{Chain, HolderKeys, Signed};
use super::directory::NodeEntry;
use super::epoch::{EPOCHS_MAX, EpochSecret};
use super::policy::Policy;

/// Super-peers told at enrolment at most; the rest is learnt from them.
pub const ENROLMENT_NODES_MAX: usize = 64;

/// What super-peer and authority say to each other.
#[derive(Clone, Debug, PartialEq, Encode, Decode, CborLen)]
pub enum Enrolment {
    /// Super-peer: let me serve. Over a link without certificate and with a token, or, by an app
    /// that is promoted, over a link with its user's certificate: the user then owns the node.
    #[n(0)]
    Enrol {
        /// One-use token; absent on a link with a user's certificate.
        #[n(0)]
        token: Option<Bytes<32>>,
        /// Its keys.
        #[n(1)]
        keys: HolderKeys,
        /// Where it listens.
        #[n(2)]
        address: SocketAddr,
    },
    /// Super-peer, over a link with its node certificate: a new certificate, please (also for a new
    /// address).
    #[n(1)]
    Renew {
        /// Where it listens now.
        #[n(0)]
        address: SocketAddr,
    },
    /// Authority: you serve.
    #[n(2)]
    Enrolled {
        /// The node's chain.
        #[n(0)]
        chain: Chain,
        /// The network's policy, signed by the root.
        #[n(1)]
        policy: Signed<Policy>,
        /// Super-peers to join.
        #[n(2)]
        nodes: List<NodeEntry, ENROLMENT_NODES_MAX>,
        /// The secrets of the present epoch and the next.
        #[cbor(n(3), default)]
        epochs: List<EpochSecret, EPOCHS_MAX>,
    },
    /// Authority: no.
    #[n(3)]
    Refused {
        /// Why.
        #[n(0)]
        reason: EnrolmentRefusal,
    },
}

/// Why a super-peer is not enrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(index_only)]
pub enum EnrolmentRefusal {
    /// The token is unknown or used.
    #[n(0)]
    TokenRefused,
    /// The address may not serve this network (policy).
    #[n(1)]
    AddressRefused,
    /// The certificate shown is not a node's of this network.
    #[n(2)]
    CertificateRefused,
    /// The authority could not keep it.
    #[n(3)]
    Unavailable,
    /// Too many attempts from this address.
    #[n(4)]
    TooManyAttempts,
}

impl Wire for Enrolment {
    const NAME: &'static str = "enrolment";
    const MAX: usize = 96 * 1024;
}
