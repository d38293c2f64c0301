//! Who asks: checking a request's long-term credentials, and sealing the answer.
//!
//! Source: RFC 8489, sections 9.2.4 and 14.5 to 14.7. SHA-1 (MESSAGE-INTEGRITY) and SHA-256
//! (MESSAGE-INTEGRITY-SHA256) are both taken; the answer is sealed as the question was. Invariant:
//! a [`Member`] exists only for a request whose integrity was verified with a nonce given to its
//! source.

use std::net::SocketAddr;
use std::time::Instant;

use super::answer::Problem;
use super::credentials::{Session, SessionId, Sessions};
use super::nonce::Nonces;
use super::stun::{
    AlgorithmId, ChannelNumber, EvenPort, Fingerprint, HMACKey, LifeTime, MessageIntegrity,
    MessageIntegritySha256, Nonce, PasswordAlgorithm, Realm, RequestedAddressFamily,
    RequestedTransport, ReservationToken, StunAttribute, StunAttributeType, StunMessage, Username,
    XorPeerAddress, get_input_text, ice,
};

/// How a message is sealed: by which HMAC, under a key made by which hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Integrity {
    /// MESSAGE-INTEGRITY under an MD5 key: what every TURN client does.
    Sha1,
    /// MESSAGE-INTEGRITY-SHA256 under an MD5 key.
    Sha256,
    /// MESSAGE-INTEGRITY-SHA256 under a SHA-256 key.
    Sha256Both,
}

/// Who sent a request, proven.
pub(super) struct Member {
    pub(super) id: SessionId,
    pub(super) session: Session,
    pub(super) integrity: Integrity,
    pub(super) key: HMACKey,
}

impl Integrity {
    const fn algorithm(self) -> AlgorithmId {
        match self {
            Self::Sha1 | Self::Sha256 => AlgorithmId::MD5,
            Self::Sha256Both => AlgorithmId::SHA256,
        }
    }

    /// The attribute that seals a message under this key.
    pub(super) fn seal(self, key: HMACKey) -> StunAttribute {
        match self {
            Self::Sha1 => MessageIntegrity::new(key).into(),
            Self::Sha256 | Self::Sha256Both => MessageIntegritySha256::new(key).into(),
        }
    }

    /// The key of this session for this kind of integrity.
    pub(super) fn key(self, sessions: &Sessions, id: &SessionId) -> Option<HMACKey> {
        sessions.key(id, self.algorithm())
    }

    /// What a request claims to be sealed by.
    fn claimed(message: &StunMessage) -> Option<Self> {
        if message.get::<MessageIntegritySha256>().is_none() {
            return message.get::<MessageIntegrity>().map(|_| Self::Sha1);
        }
        let algorithm = message.get::<PasswordAlgorithm>();
        let algorithm = algorithm.and_then(|algorithm| algorithm.as_password_algorithm().ok());
        let is_sha256 = algorithm.is_some_and(|a| a.algorithm() == AlgorithmId::SHA256);
        Some(if is_sha256 { Self::Sha256Both } else { Self::Sha256 })
    }

    fn is_right(self, message: &StunMessage, bytes: &[u8], key: &HMACKey) -> Option<bool> {
        Some(match self {
            Self::Sha1 => {
                let attribute = message.get::<MessageIntegrity>()?.as_message_integrity().ok()?;
                attribute.validate(&get_input_text::<MessageIntegrity>(bytes)?, key)
            }
            Self::Sha256 | Self::Sha256Both => {
                let attribute = message.get::<MessageIntegritySha256>()?;
                let attribute = attribute.as_message_integrity_sha256().ok()?;
                attribute.validate(&get_input_text::<MessageIntegritySha256>(bytes)?, key)
            }
        })
    }
}

/// Checks the credentials of a request in the order of RFC 8489, section 9.2.4.
pub(super) fn authenticate(
    sessions: &Sessions,
    nonces: &Nonces,
    now: Instant,
    (from, message, bytes): (SocketAddr, &StunMessage, &[u8]),
) -> Result<Member, Problem> {
    let integrity = Integrity::claimed(message).ok_or(Problem::Unauthorized)?;
    let username = message.get::<Username>().and_then(|a| a.as_user_name().ok());
    let nonce = message.get::<Nonce>().and_then(|a| a.as_nonce().ok());
    let (Some(username), Some(nonce)) = (username, nonce) else {
        return Err(Problem::BadRequest);
    };
    if !nonces.is_fresh(now, from, nonce.as_str()) {
        return Err(Problem::StaleNonce);
    }
    let (id, session) = sessions.find(username.as_str()).ok_or(Problem::Unauthorized)?;
    let key = integrity.key(sessions, &id).ok_or(Problem::Unauthorized)?;
    let is_right = integrity.is_right(message, bytes, &key).unwrap_or(false);
    is_right.then_some(Member { id, session, integrity, key }).ok_or(Problem::Unauthorized)
}

/// Whether the FINGERPRINT, where there is one, fits the message. RFC 8489, section 14.7.
pub(super) fn is_fingerprint_right(message: &StunMessage, bytes: &[u8]) -> bool {
    let Some(attribute) = message.get::<Fingerprint>() else { return true };
    let input = get_input_text::<Fingerprint>(bytes);
    let fingerprint = attribute.as_fingerprint().ok();
    fingerprint.zip(input).is_some_and(|(fingerprint, input)| fingerprint.validate(&input))
}

/// Attributes that this relay understands, of those that must be understood: RFC 8489, section 14.
/// What the library knows beside these (CHANGE-REQUEST, where it cannot be done; RFC 5780's
/// RESPONSE-PORT …) it answers as unknown, and so
/// DONT-FRAGMENT, which a relay that cannot set the DF bit must treat as unknown (RFC 8656, section
/// 7.2).
pub(super) fn not_understood(message: &StunMessage) -> Vec<u16> {
    let known = [
        Username::get_type(),
        MessageIntegrity::get_type(),
        MessageIntegritySha256::get_type(),
        Realm::get_type(),
        Nonce::get_type(),
        PasswordAlgorithm::get_type(),
        ice::Priority::get_type(),
        ice::UseCandidate::get_type(),
        ChannelNumber::get_type(),
        LifeTime::get_type(),
        XorPeerAddress::get_type(),
        RequestedAddressFamily::get_type(),
        EvenPort::get_type(),
        RequestedTransport::get_type(),
        ReservationToken::get_type(),
    ];
    let all = message.attributes().iter().map(StunAttribute::attribute_type);
    all.filter(|kind| kind.is_comprehension_required() && !known.contains(kind))
        .map(|kind| kind.as_u16())
        .take(UNKNOWN_TOLD_MAX)
        .collect()
}

/// Unknown attributes that an answer names at most, so that it stays short.
const UNKNOWN_TOLD_MAX: usize = 8;
