//! Enrolling super-peers: super-peer ↔ login authority, the super-peers that verify an address for
//! it, and the policy on its way to all. DESIGN 2.5, INTERFACES 2 (bootstrap).

use std::net::{SocketAddr, SocketAddrV6};

use minicbor::{CborLen, Decode, Encode};

use super::Wire;
use super::bounded::{Bytes, List};
use super::certificate::{AgreeKey, Chain, HolderKeys, Signed, Statement};
use super::directory::NodeEntry;
use super::epoch::{EPOCHS_MAX, EpochSecret};
use super::policy::Policy;
use crate::ids::NodeId;

/// Super-peers told at enrolment at most; the rest is learnt from them.
pub const ENROLMENT_NODES_MAX: usize = 64;

/// Certificates asked for at once at most. Our choice: some 3 kB, so that signaling is not held up.
pub const CERTIFICATES_MAX: usize = 12;

/// What super-peers and authority say to each other.
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
        /// Where it listens too.
        #[n(3)]
        v6: Option<SocketAddrV6>,
    },
    /// Super-peer, over a link with its node certificate: a new certificate, please (also for a new
    /// address).
    #[n(1)]
    Renew {
        /// Where it listens now.
        #[n(0)]
        address: SocketAddr,
        /// Where it listens too.
        #[n(1)]
        v6: Option<SocketAddrV6>,
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
    /// Authority, over a link that it has dialled, to a super-peer: is the holder of this key
    /// there?
    #[n(4)]
    Verify {
        /// Where to dial.
        #[n(0)]
        address: SocketAddr,
        /// The link key that has to answer there.
        #[n(1)]
        key: AgreeKey,
        /// To be signed by whoever is there.
        #[cbor(n(2), with = "minicbor::bytes")]
        nonce: [u8; 32],
    },
    /// The super-peer that was asked to verify: this came back.
    #[n(5)]
    Verified {
        /// The candidate's word; absent when it was not reached there.
        #[n(0)]
        proof: Option<Signed<AddressProof>>,
    },
    /// A verifier, over a link that it has dialled, to the candidate: sign this.
    #[n(6)]
    Prove {
        /// The authority's nonce.
        #[cbor(n(0), with = "minicbor::bytes")]
        nonce: [u8; 32],
    },
    /// The candidate: here I am.
    #[n(7)]
    Proof {
        /// Signed by the key that it wants certified.
        #[n(0)]
        proof: Signed<AddressProof>,
    },
    /// A super-peer to another, over a link or in a datagram: what has the authority signed for
    /// these?
    #[n(8)]
    CertificatesOf {
        /// They.
        #[n(0)]
        nodes: List<NodeId, CERTIFICATES_MAX>,
    },
    /// As far as it is known, this.
    #[n(9)]
    Certificates {
        /// In any order; fewer than asked for where some are not known.
        #[n(0)]
        statements: List<Signed<Statement>, CERTIFICATES_MAX>,
    },
    /// The authority, over a link that it has dialled, or a super-peer to another: this policy is
    /// in force. Put as a question it is answered.
    #[n(10)]
    Policy {
        /// Signed by the root; the highest version counts.
        #[n(0)]
        policy: Signed<Policy>,
    },
    /// The super-peer that was told: it follows this version.
    #[n(11)]
    PolicyKnown {
        /// The version.
        #[n(0)]
        version: u64,
    },
}

/// What a candidate signs on a connection that a verifier has dialled.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct AddressProof {
    /// The authority's nonce for this verifier.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub nonce: [u8; 32],
    /// Where the candidate says that it listens.
    #[n(1)]
    pub address: SocketAddr,
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
    /// Super-peers that the authority asked did not reach the candidate at the address.
    #[n(5)]
    NotReached,
    /// It is verified only where the question came from.
    #[n(6)]
    OtherAddress,
    /// Too few of the super-peers that could verify the address have answered.
    #[n(7)]
    NobodyVerified,
}

impl Wire for Enrolment {
    const NAME: &'static str = "enrolment";
    const MAX: usize = 96 * 1024;
}

impl Wire for AddressProof {
    const NAME: &'static str = "address proof";
    const MAX: usize = 128;
}
