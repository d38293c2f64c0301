//! Answers to requests: success and the errors of TURN, never longer than the question allows.
//!
//! Source: RFC 8489, sections 6.3 and 14.8; RFC 8656, section 19; DESIGN 2.12 (answers ≤ 3.0 × the
//! question to an unverified address). Invariant: an answer within a budget gives up its reason
//! phrase, its FINGERPRINT and what else can be done without before it is not sent at all.

use std::net::SocketAddr;

use crate::port::canonical;

use super::config::REALM;
use super::counters::Refusal;
use super::stun::{
    self, Code, ErrorCode, Fingerprint, MessageClass, Nonce, Realm, StunAttribute, StunMessage,
    StunMessageBuilder, UnknownAttributes, XorMappedAddress,
};

/// Times the question that an answer to an unverified address may be long. DESIGN 2.12.
pub(super) const AMPLIFICATION_MAX: usize = 3;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    BadRequest,
    Unauthorized,
    Forbidden,
    /// These attributes are not understood.
    Unknown(Vec<u16>),
    AllocationMismatch,
    StaleNonce,
    FamilyNotSupported,
    WrongCredentials,
    TransportNotSupported,
    PeerFamilyMismatch,
    QuotaReached,
    InsufficientCapacity,
}

impl Problem {
    const fn code(&self) -> (u16, &'static str) {
        match self {
            Self::BadRequest => (400, "Bad Request"),
            Self::Unauthorized => (401, "Unauthorized"),
            Self::Forbidden => (403, "Forbidden"),
            Self::Unknown(_) => (420, "Unknown Attribute"),
            Self::AllocationMismatch => (437, "Allocation Mismatch"),
            Self::StaleNonce => (438, "Stale Nonce"),
            Self::FamilyNotSupported => (440, "Address Family not Supported"),
            Self::WrongCredentials => (441, "Wrong Credentials"),
            Self::TransportNotSupported => (442, "Unsupported Transport Protocol"),
            Self::PeerFamilyMismatch => (443, "Peer Address Family Mismatch"),
            Self::QuotaReached => (486, "Allocation Quota Reached"),
            Self::InsufficientCapacity => (508, "Insufficient Capacity"),
        }
    }

    pub(super) const fn refusal(&self) -> Refusal {
        match self {
            Self::Unauthorized | Self::WrongCredentials => Refusal::Unauthorized,
            Self::StaleNonce => Refusal::StaleNonce,
            Self::Forbidden => Refusal::ForbiddenPeer,
            Self::QuotaReached => Refusal::Quota,
            Self::InsufficientCapacity => Refusal::Capacity,
            Self::BadRequest
            | Self::Unknown(_)
            | Self::AllocationMismatch
            | Self::FamilyNotSupported
            | Self::TransportNotSupported
            | Self::PeerFamilyMismatch => Refusal::BadRequest,
        }
    }

    /// Whether the answer must name realm and nonce: RFC 8489, section 9.2.4.
    pub(super) const fn asks_for_credentials(&self) -> bool {
        matches!(self, Self::Unauthorized | Self::StaleNonce)
    }

    /// The error code for an attribute, in words where `with_reason`.
    pub(super) fn to_code(&self, with_reason: Reason) -> Code {
        let (code, reason) = self.code();
        let reason = if with_reason == Reason::Told { reason } else { "" };
        Code::new(code, reason).expect("all our codes lie between 300 and 699")
    }
}

/// Whether an error is put into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Told,
    Untold,
}

/// An answer in the making.
pub(super) struct Answer<'a> {
    question: &'a StunMessage,
    outcome: Result<Vec<StunAttribute>, Problem>,
    /// Attributes of a success, the last, that can be done without; the last of them first.
    spare: usize,
    nonce: Option<String>,
    seal: Option<StunAttribute>,
}

impl<'a> Answer<'a> {
    pub(super) fn new(
        question: &'a StunMessage,
        outcome: Result<Vec<StunAttribute>, Problem>,
    ) -> Self {
        Self { question, outcome, spare: 0, nonce: None, seal: None }
    }

    /// Of whose attributes so many, the last, can be done without.
    pub(super) const fn sparing(mut self, spare: usize) -> Self {
        self.spare = spare;
        self
    }

    /// With realm and nonce, for the client to come back with.
    pub(super) fn challenging(mut self, nonce: String) -> Self {
        self.nonce = Some(nonce);
        self
    }

    /// Sealed by this attribute.
    pub(super) fn sealed(mut self, seal: Option<StunAttribute>) -> Self {
        self.seal = seal;
        self
    }

    /// Its bytes, however long.
    pub(super) fn encode(&self) -> Vec<u8> {
        self.encode_with(Reason::Told, 0, Some(Fingerprint::default()))
    }

    /// Its bytes, if they fit; without what can be done without where that makes them fit.
    pub(super) fn encode_within(&self, budget: usize) -> Option<Vec<u8>> {
        let fingerprint = || Some(Fingerprint::default());
        let whole = self.encode_with(Reason::Told, 0, fingerprint());
        if whole.len() <= budget {
            return Some(whole);
        }
        let short = self.encode_with(Reason::Untold, 0, fingerprint());
        if short.len() <= budget {
            return Some(short);
        }
        let mut bare =
            (0..=self.spare).map(|spared| self.encode_with(Reason::Untold, spared, None));
        bare.find(|bare| bare.len() <= budget)
    }

    fn encode_with(
        &self,
        reason: Reason,
        spared: usize,
        fingerprint: Option<Fingerprint>,
    ) -> Vec<u8> {
        let (class, attributes) = match &self.outcome {
            Ok(attributes) => {
                let told = attributes.len().saturating_sub(spared);
                (MessageClass::SuccessResponse, attributes[..told].to_vec())
            }
            Err(problem) => (MessageClass::ErrorResponse, problem_attributes(problem, reason)),
        };
        let mut builder = StunMessageBuilder::new(self.question.method(), class)
            .with_transaction_id(*self.question.transaction_id());
        for attribute in attributes {
            builder = builder.with_attribute(attribute);
        }
        if let Some(nonce) = &self.nonce {
            let realm = Realm::new(REALM).expect("the realm is quoted-string text");
            let nonce = Nonce::new(nonce).expect("base64url is quoted-string text");
            builder = builder.with_attribute(realm).with_attribute(nonce);
        }
        if let Some(seal) = &self.seal {
            builder = builder.with_attribute(seal.clone());
        }
        if let Some(fingerprint) = fingerprint {
            builder = builder.with_attribute(fingerprint);
        }
        stun::encode(&builder.build())
    }
}

fn problem_attributes(problem: &Problem, reason: Reason) -> Vec<StunAttribute> {
    let mut attributes: Vec<StunAttribute> = vec![ErrorCode::new(problem.to_code(reason)).into()];
    if let Problem::Unknown(kinds) = problem {
        attributes.push(UnknownAttributes::from(kinds.as_slice()).into());
    }
    attributes
}

/// Where the asker is, as seen from here: IPv4 also where a socket of both families saw it as
/// mapped.
pub(super) fn mapped(from: SocketAddr) -> StunAttribute {
    XorMappedAddress::from(canonical(from)).into()
}
