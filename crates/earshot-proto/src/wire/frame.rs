//! What travels on a link: one frame a message. DESIGN 2.4.
//!
//! A frame is `family (1 byte) ‖ ask (4 bytes, big-endian) ‖ CBOR`. An answer carries the `ask` of
//! its question; 0 means that no answer is expected. Inside a link, frames are cut into records of
//! at most 4 kB, the urgent before the rest (see [`secure::link`](crate::secure::link)).

use super::{DecodeError, families};

families! {
    /// A message between two processes.
    Message {
        /// Registering and logging in.
        1 => Login(super::login::Login),
        /// Enrolling super-peers.
        2 => Enrolment(super::enrolment::Enrolment),
        /// Finding people.
        3 => Directory(super::directory::Directory),
        /// Carrying envelopes.
        4 => Forward(super::forward::Forward),
        /// Reachability and relays.
        5 => Nat(super::nat::Nat),
        /// Asking about the ring.
        6 => RingQuestion(super::ring::Question),
        /// What is answered about the ring.
        7 => RingReply(super::ring::Reply),
        /// Being found by name or word.
        8 => Postings(super::posting::Postings),
        /// Need of super-peers, and invitations to serve.
        9 => Election(super::election::Election),
    }
}

/// The fixed header in bytes.
const HEADER: usize = 5;
/// The longest frame in bytes: the longest family and the header.
pub const FRAME_MAX: usize = 96 * 1024 + HEADER;

/// A message and the question it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Joins an answer to its question; 0: none.
    pub ask: u32,
    /// What is said.
    pub message: Message,
}

impl Frame {
    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let body = self.message.body();
        let mut bytes = Vec::with_capacity(HEADER + body.len());
        bytes.push(self.message.tag());
        bytes.extend_from_slice(&self.ask.to_be_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    /// Reads one frame that fills `bytes` exactly.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong with the bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let Some(([tag, ask @ ..], body)) = bytes.split_first_chunk::<HEADER>() else {
            return Err(DecodeError::TooShort { got: bytes.len() });
        };
        Ok(Self { ask: u32::from_be_bytes(*ask), message: Message::read(*tag, body)? })
    }

    /// Whether it goes before the rest: all but enrolment lists and long envelopes.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        match &self.message {
            Message::Forward(super::forward::Forward::Deliver { sealed, .. })
            | Message::Forward(super::forward::Forward::ThroughYou { sealed, .. }) => {
                sealed.len() <= URGENT_ENVELOPE_MAX
            }
            Message::Forward(_) | Message::Nat(_) | Message::Login(_) => true,
            Message::RingQuestion(_) | Message::RingReply(_) => true,
            Message::Enrolment(_)
            | Message::Directory(_)
            | Message::Postings(_)
            | Message::Election(_) => false,
        }
    }
}

/// Envelopes up to this length go first: call signaling and short messages. Our choice: an offer
/// with its certificate and a dozen candidates fits.
const URGENT_ENVELOPE_MAX: usize = 4096;
