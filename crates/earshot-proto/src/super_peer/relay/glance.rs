//! A look at a STUN message without decoding it: what the data path needs, and no allocation.
//!
//! Source: RFC 8489, sections 5 and 14; RFC 8656, section 11. Requests to the relay itself are
//! decoded by stun-rs; this is for what passes through (Send indications, and the checks inside
//! them).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::stun::{
    BINDING, Data, Fingerprint, MAGIC_COOKIE, MESSAGE_HEADER_SIZE, MessageClass, MessageIntegrity,
    MessageType, SEND, StunAttributeType, Username, XorPeerAddress,
};

/// Attribute types from here on may be ignored by who does not know them. RFC 8489, section 14.
const OPTIONAL_FROM: u16 = 0x8000;

/// The name of one transaction.
pub(super) type Transaction = [u8; 12];

/// A message whose header is that of STUN and whose length is that of the datagram.
pub(super) struct Glance<'a> {
    pub(super) kind: MessageType,
    pub(super) transaction: Transaction,
    attributes: &'a [u8],
}

impl<'a> Glance<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        let (header, attributes) = bytes.split_first_chunk::<MESSAGE_HEADER_SIZE>()?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let is_stun = header[0] < 4
            && header[4..8] == MAGIC_COOKIE.as_u32().to_be_bytes()
            && length == attributes.len()
            && length.is_multiple_of(4);
        is_stun.then(|| Self {
            kind: MessageType::from(u16::from_be_bytes([header[0], header[1]])),
            transaction: header[8..].try_into().expect("twelve of twenty bytes are left"),
            attributes,
        })
    }

    /// The attributes in order; ends where they stop making sense.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let mut rest = self.attributes;
        std::iter::from_fn(move || {
            let ([a, b, c, d], after) = rest.split_first_chunk::<4>()?;
            let value = after.get(..usize::from(u16::from_be_bytes([*c, *d])))?;
            rest = after.get(value.len().next_multiple_of(4)..)?;
            Some((u16::from_be_bytes([*a, *b]), value))
        })
    }

    fn attribute<A: StunAttributeType>(&self) -> Option<&'a [u8]> {
        let wanted = A::get_type().as_u16();
        self.attributes().find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
    }

    /// The peer and payload of a Send indication; [`None`] if it is none, or asks for what we do
    /// not know (DONT-FRAGMENT): RFC 8656, section 11.2 has it dropped.
    pub(super) fn send_indication(&self) -> Option<(SocketAddr, &'a [u8])> {
        if self.kind.method() != SEND || self.kind.class() != MessageClass::Indication {
            return None;
        }
        let (mut peer, mut payload) = (None, None);
        for (kind, value) in self.attributes() {
            if kind == XorPeerAddress::get_type().as_u16() {
                peer = peer.or(Some(xor_address(value, &self.transaction)?));
            } else if kind == Data::get_type().as_u16() {
                payload = payload.or(Some(value));
            } else if kind < OPTIONAL_FROM {
                return None;
            }
        }
        peer.zip(payload)
    }

    /// Whether this is part of STUN's Binding method: a check, its answer, or a keep-alive.
    pub(super) fn is_check(&self) -> bool {
        self.kind.method() == BINDING
    }

    /// Whether this asks a peer for consent: a Binding request with a USERNAME of two fragments and
    /// integrity (RFC 8445, section 7.1.1).
    pub(super) fn asks_consent(&self) -> bool {
        let class = self.kind.class();
        self.is_check()
            && class == MessageClass::Request
            && self.attribute::<Username>().is_some_and(is_pair_of_fragments)
            && self.attribute::<MessageIntegrity>().is_some_and(|value| value.len() == 20)
    }

    /// Whether this may give consent: a Binding success response with integrity, which a public
    /// STUN server that answers anybody does not have.
    pub(super) fn gives_consent(&self) -> bool {
        let class = self.kind.class();
        self.is_check()
            && class == MessageClass::SuccessResponse
            && self.attribute::<MessageIntegrity>().is_some_and(|value| value.len() == 20)
            && self.attribute::<Fingerprint>().is_some()
    }
}

fn is_pair_of_fragments(username: &[u8]) -> bool {
    let mut parts = username.split(|byte| *byte == b':');
    let pair = (parts.next(), parts.next(), parts.next());
    matches!(pair, (Some([_, ..]), Some([_, ..]), None))
}

/// The address in the value of an XOR-…-ADDRESS attribute. RFC 8489, section 14.2.
fn xor_address(value: &[u8], transaction: &Transaction) -> Option<SocketAddr> {
    let ([_, family, port @ ..], address) = value.split_first_chunk::<4>()?;
    let cookie = MAGIC_COOKIE.as_u32();
    let port = u16::from_be_bytes(*port) ^ (cookie >> 16) as u16;
    let ip = match (family, address.len()) {
        (1, 4) => {
            let bits = u32::from_be_bytes(address.try_into().ok()?);
            IpAddr::V4(Ipv4Addr::from_bits(bits ^ cookie))
        }
        (2, 16) => {
            let bits = u128::from_be_bytes(address.try_into().ok()?);
            IpAddr::V6(Ipv6Addr::from_bits(bits ^ xor_mask(transaction)))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// What IPv6 addresses are turned by: the cookie and the transaction.
pub(super) fn xor_mask(transaction: &Transaction) -> u128 {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC_COOKIE.as_u32().to_be_bytes());
    mask[4..].copy_from_slice(transaction);
    u128::from_be_bytes(mask)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::super_peer::relay::stun::{StunMessageBuilder, TransactionId, encode};

    fn send(peer: SocketAddr, payload: &[u8]) -> StunMessageBuilder {
        StunMessageBuilder::new(SEND, MessageClass::Indication)
            .with_transaction_id(TransactionId::from([3; 12]))
            .with_attribute(XorPeerAddress::from(peer))
            .with_attribute(Data::new(payload))
    }

    #[test]
    fn a_send_indication_is_read_as_stun_rs_wrote_it() {
        for peer in ["203.0.113.9:4660", "[2a00::9]:4660"] {
            let peer: SocketAddr = peer.parse().unwrap();
            let bytes = encode(&send(peer, b"hello").build());
            let glance = Glance::of(&bytes).unwrap();
            assert_eq!(glance.send_indication(), Some((peer, b"hello".as_slice())));
        }
    }

    #[test]
    fn a_send_indication_that_forbids_fragments_is_not_obeyed() {
        let dont = stun_rs::attributes::turn::DontFragment::default();
        let message = send("203.0.113.9:1".parse().unwrap(), b"x").with_attribute(dont).build();
        let bytes = encode(&message);
        assert_eq!(Glance::of(&bytes).unwrap().send_indication(), None);
    }

    #[test]
    fn only_a_username_of_two_fragments_asks_for_consent() {
        assert!(is_pair_of_fragments(b"abcd:efgh"));
        for bad in [b"abcd".as_slice(), b":efgh", b"abcd:", b"a:b:c", b""] {
            assert!(!is_pair_of_fragments(bad));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_glanced_at(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200),
            fix: bool,
        ) {
            if fix && bytes.len() >= 20 {
                let length = (bytes.len() - 20) as u16 & !3;
                bytes.truncate(20 + usize::from(length));
                bytes[0] &= 3;
                bytes[2..4].copy_from_slice(&length.to_be_bytes());
                bytes[4..8].copy_from_slice(&MAGIC_COOKIE.as_u32().to_be_bytes());
            }
            if let Some(glance) = Glance::of(&bytes) {
                glance.send_indication();
                glance.asks_consent();
                glance.gives_consent();
                let read: usize = glance.attributes().map(|(_, value)| value.len() + 4).sum();
                prop_assert!(read <= bytes.len());
            }
        }
    }
}
