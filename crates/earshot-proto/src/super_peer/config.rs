//! What a super-peer is started with, and what it keeps on disk.

use std::net::{SocketAddr, SocketAddrV6};

use crate::secure::identity::Keys;
use crate::time::UnixTime;
use crate::wire::bounded::Bytes;
use crate::wire::certificate::{Chain, Signed, VerifyKey};
use crate::wire::directory::NodeEntry;
use crate::wire::epoch::EpochSecret;
use crate::wire::invite::{AlsoAt, Door};
use crate::wire::policy::{Policy, Range};

use super::budgets::Limits;
use super::terms::{Terms, Traffic};

/// What a super-peer is started with.
pub struct Config {
    /// The network's root key.
    pub root: VerifyKey,
    /// Our own keys.
    pub keys: Keys,
    /// Where others reach us (TCP and UDP).
    pub address: SocketAddr,
    /// Where they reach us too, if `address` is of IPv4.
    pub v6: Option<SocketAddrV6>,
    /// Where the login authority is, and its link key; unknown to whoever comes by an invite.
    pub authority: Option<Door>,
    /// Super-peers that can tell where it is.
    pub doors: Vec<Door>,
    /// Where these and the authority listen too.
    pub also: Vec<AlsoAt>,
    /// What was enrolled before, if anything.
    pub enrolled: Option<EnrolmentRecord>,
    /// The token to enrol with, if nothing was.
    pub token: Option<Bytes<32>>,
    /// Or the certificate of the device that it is on, whose keys are then the node's: the user
    /// owns the node.
    pub owner: Option<Chain>,
    /// Ranges that the owner lets the relay reach though they are private.
    pub relay_allow: Vec<Range>,
    /// Addresses of this machine and networks of its owner: the relay never sends there.
    pub own: Vec<Range>,
    /// Whether relayed addresses can be had of IPv4 and IPv6; else of the family of `address`.
    pub both_families: bool,
    /// What others may use.
    pub limits: Limits,
    /// What of it the owner grants.
    pub terms: Terms,
    /// What went in and out before.
    pub traffic: Option<Traffic>,
    /// Wall time at the start.
    pub wall: UnixTime,
    /// 32 bytes of true randomness.
    pub seed: [u8; 32],
}

/// What a super-peer keeps on disk.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "given away as soon as it is made, and seldom")]
pub enum Record {
    /// The enrolment: replaces the one before.
    Enrolment(EnrolmentRecord),
    /// What went in and out this month: replaces what was before.
    Traffic(Traffic),
}

/// A successful enrolment.
#[derive(Clone, Debug, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct EnrolmentRecord {
    /// The node's chain.
    #[n(0)]
    pub chain: Chain,
    /// The policy as the root signed it.
    #[n(1)]
    pub policy: Signed<Policy>,
    /// Members known then.
    #[n(2)]
    pub nodes: Vec<NodeEntry>,
    /// The secrets of the present epoch and the next.
    #[cbor(n(3), default)]
    pub epochs: Vec<EpochSecret>,
}
