//! The door to stun-rs: all that the relay takes from it, and what there is to know about it.
//!
//! It is a codec of RFC 8489 and RFC 8656 messages and no more. Its traps: `StunMessageBuilder`
//! draws a transaction from the system's randomness where none is given, so we always give one; a
//! key has a telling `Debug`, so nothing that holds one is printed; attributes after the integrity
//! are left out by the decoder, as RFC 8489 wants.

pub(super) use stun_rs::attributes::discovery::{
    ChangeRequest, ChangeRequestFlags, OtherAddress, ResponseOrigin,
};
pub(super) use stun_rs::attributes::stun::{
    ErrorCode, Fingerprint, MappedAddress, MessageIntegrity, MessageIntegritySha256, Nonce,
    PasswordAlgorithm, Realm, UnknownAttributes, UserName as Username, XorMappedAddress,
};
pub(super) use stun_rs::attributes::turn::{
    AdditionalAddressFamily, AddressErrorCode, ChannelNumber, Data, EvenPort, LifeTime,
    RequestedAddressFamily, RequestedTrasport as RequestedTransport, ReservationToken,
    XorPeerAddress, XorRelayedAddress,
};
pub(super) use stun_rs::attributes::{StunAttribute, StunAttributeType, ice};
pub(super) use stun_rs::methods::{
    ALLOCATE, BINDING, CHANNEL_BIND, CREATE_PERMMISSION as CREATE_PERMISSION, DATA, REFRESH, SEND,
};
pub(super) use stun_rs::protocols::UDP;
pub(super) use stun_rs::{
    AddressFamily, Algorithm, AlgorithmId, ErrorCode as Code, HMACKey, MAGIC_COOKIE,
    MESSAGE_HEADER_SIZE, MessageClass, MessageMethod, MessageType, StunMessage, StunMessageBuilder,
    TransactionId, get_input_text,
};
use stun_rs::{MessageDecoderBuilder, MessageEncoderBuilder};

/// Room for any message of ours: the longest carries two IPv6 addresses and an integrity of 32
/// bytes.
const MESSAGE_MAX: usize = 512;

/// The message that these bytes are, if they are one.
pub(super) fn decode(bytes: &[u8]) -> Option<StunMessage> {
    let decoder = MessageDecoderBuilder::default().build();
    decoder.decode(bytes).ok().map(|(message, _)| message)
}

/// The bytes of a message of ours.
pub(super) fn encode(message: &StunMessage) -> Vec<u8> {
    let mut buffer = [0; MESSAGE_MAX];
    let encoder = MessageEncoderBuilder::default().build();
    let len = encoder.encode(&mut buffer, message).expect("MESSAGE_MAX is room for all we say");
    buffer[..len].to_vec()
}
