//! What the relay has done and refused, in numbers: for tests, status and the owner's caps.
//!
//! Invariant: every packet that is dropped and every request that is refused is counted under one
//! reason.

/// Why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Refusal {
    /// The bytes are neither STUN nor ChannelData, or break their rules.
    Malformed,
    /// No valid credentials (401), or others than the allocation's (441).
    Unauthorized,
    /// The nonce is too old or was given to another address (438).
    StaleNonce,
    /// A request that is well-formed and cannot be granted as it stands (400, 420, 437, 440, 442,
    /// 443).
    BadRequest,
    /// The peer address may not be relayed to (403).
    ForbiddenPeer,
    /// The user has as many allocations as allowed (486).
    Quota,
    /// The relay, or an allocation's tables, are full (508).
    Capacity,
    /// Data for or from somebody without an allocation, channel or permission.
    NoPermission,
    /// Data to a peer that has not consented, or lost its consent.
    NoConsent,
    /// More than ten checks in a second to a peer that has not consented.
    CheckRate,
    /// An address of our own that is no live relayed address.
    OwnAddress,
    /// The user's or the relay's bytes per second are spent.
    ByteRate,
    /// An unverified address has had its ten answers in this second.
    AnswerRate,
    /// The answer would have been longer than three times the question.
    AnswerSize,
    /// As many connections without an allocation as allowed, in all or from one address.
    Connections,
    /// A connection made no allocation in time, or spoke no TURN.
    Idle,
}

const REFUSALS: usize = Refusal::Idle as usize + 1;

/// What the relay has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayCounters {
    /// Allocations alive now.
    pub allocations: u32,
    /// Allocations ever made.
    pub allocated: u64,
    /// Payloads passed on, both directions; one through two of our own allocations counts twice.
    pub relayed_packets: u64,
    /// Bytes of these payloads.
    pub relayed_bytes: u64,
    /// Payloads that went between two of our own allocations without touching the network.
    pub looped_packets: u64,
    /// STUN answers sent.
    pub answers: u64,
    refused: [u64; REFUSALS],
}

impl RelayCounters {
    /// How often something was refused for this reason.
    #[must_use]
    pub const fn refused(&self, why: Refusal) -> u64 {
        self.refused[why as usize]
    }

    pub(super) const fn refuse(&mut self, why: Refusal) {
        self.refused[why as usize] += 1;
    }

    pub(super) const fn relayed(&mut self, bytes: usize) {
        self.relayed_packets += 1;
        self.relayed_bytes += bytes as u64;
    }
}
