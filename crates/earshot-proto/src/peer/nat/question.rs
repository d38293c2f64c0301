//! One Binding question, and its repetitions. RFC 8489, section 6.2.1; RFC 5780, section 7.2.
//!
//! Every question carries a FINGERPRINT, since other protocols share the port (RFC 8489, section
//! 7); without those eight bytes OTHER-ADDRESS would not fit into an answer of three times as many
//! by IPv6 (DESIGN 2.12). Invariant: a question is sent at most as often as it has waits.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use stun_rs::attributes::discovery::{ChangeRequest, ChangeRequestFlags, OtherAddress};
use stun_rs::attributes::stun::{Fingerprint, XorMappedAddress};
use stun_rs::methods::BINDING;
use stun_rs::{
    MessageClass, MessageDecoder, MessageEncoder, StunMessage, StunMessageBuilder, TransactionId,
};

use crate::entropy::Stream;
use crate::port::{Transmit, canonical};

/// Waits after each of three questions. RFC 8489, section 6.2.1: the first 500 ms, then doubled.
pub(super) const WAITS: &[Duration] =
    &[Duration::from_millis(500), Duration::from_millis(1000), Duration::from_millis(2000)];
/// The same where silence is to say something. Our choice: where one datagram in ten is lost, five
/// questions in four thousand are all lost by chance; RFC 8489's seven take 40 s.
pub(super) const SILENCE_WAITS: &[Duration] = &[
    Duration::from_millis(500),
    Duration::from_millis(1000),
    Duration::from_millis(2000),
    Duration::from_millis(4000),
    Duration::from_millis(4000),
];

/// From where the answer is to come. RFC 5780, section 7.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// From where it was asked.
    Nothing,
    /// From the same address and the other port.
    Port,
    /// From the other address and the other port.
    AddressAndPort,
}

/// A question under way.
#[derive(Debug)]
pub(super) struct Question {
    to: SocketAddr,
    change: Change,
    transaction: [u8; 12],
    waits: &'static [Duration],
    sent: usize,
    due: Instant,
}

/// What is due of a question.
#[derive(Debug)]
pub(super) enum Due {
    Again(Transmit),
    /// It was sent as often as it may be, and nothing came.
    Silence,
}

/// What answers a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// It is a success.
    pub(super) is_success: bool,
    /// XOR-MAPPED-ADDRESS: where we are seen. RFC 8489, section 14.2.
    pub(super) mapped: Option<SocketAddr>,
    /// OTHER-ADDRESS. RFC 5780, section 7.4.
    pub(super) other: Option<SocketAddr>,
}

impl Question {
    /// To be sent as often as there are `waits`.
    pub(super) fn new(
        now: Instant,
        (to, change): (SocketAddr, Change),
        waits: &'static [Duration],
        secrets: &mut Stream,
    ) -> Self {
        Self { to, change, transaction: secrets.bytes(), waits, sent: 0, due: now }
    }

    /// How often it was sent.
    pub(super) const fn sent(&self) -> usize {
        self.sent
    }

    pub(super) const fn next_due(&self) -> Instant {
        self.due
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Due> {
        if now < self.due {
            return None;
        }
        let Some(wait) = self.waits.get(self.sent) else { return Some(Due::Silence) };
        self.sent += 1;
        self.due = now + *wait;
        Some(Due::Again(Transmit { to: self.to, bytes: self.encode() }))
    }

    /// What the datagram says to it: nothing, unless it has the same transaction and comes from
    /// where it was asked, or from wherever where another address was asked for.
    pub(super) fn reply(&self, from: SocketAddr, message: &StunMessage) -> Option<Reply> {
        let is_from_there = self.change != Change::Nothing || from == canonical(self.to);
        let is_answer = message.method() == BINDING
            && *message.transaction_id() == TransactionId::from(self.transaction);
        if !is_from_there || !is_answer {
            return None;
        }
        let is_success = match message.class() {
            MessageClass::SuccessResponse => true,
            // Who was asked says that it cannot; nobody else can say so.
            MessageClass::ErrorResponse if from == canonical(self.to) => false,
            MessageClass::ErrorResponse | MessageClass::Request | MessageClass::Indication => {
                return None;
            }
        };
        let mapped = message.get::<XorMappedAddress>();
        let mapped = mapped.and_then(|mapped| mapped.as_xor_mapped_address().ok());
        let other = message.get::<OtherAddress>();
        let other = other.and_then(|other| other.as_other_address().ok());
        Some(Reply {
            is_success,
            mapped: mapped.map(|mapped| canonical(*mapped.socket_address())),
            other: other.map(|other| canonical(*other.socket_address())),
        })
    }

    fn encode(&self) -> Vec<u8> {
        let flags = match self.change {
            Change::Nothing => None,
            Change::Port => Some(ChangeRequestFlags::ChangePort.into()),
            Change::AddressAndPort => {
                Some(ChangeRequestFlags::ChangeIp | ChangeRequestFlags::ChangePort)
            }
        };
        let mut builder = StunMessageBuilder::new(BINDING, MessageClass::Request)
            .with_transaction_id(TransactionId::from(self.transaction));
        if flags.is_some() {
            builder = builder.with_attribute(ChangeRequest::new(flags));
        }
        let message = builder.with_attribute(Fingerprint::default()).build();
        let mut bytes = vec![0; 64];
        let length = MessageEncoder::default().encode(&mut bytes, &message);
        bytes.truncate(length.expect("a header of 20 bytes and two attributes of 8 fit"));
        bytes
    }
}

/// The message that these bytes are, if they are one.
pub(super) fn decode(bytes: &[u8]) -> Option<StunMessage> {
    MessageDecoder::default().decode(bytes).ok().map(|(message, _)| message)
}
