//! How payloads travel between the relay and its client: ChannelData and Data indications.
//!
//! Source: RFC 8656, sections 11.4, 12.4 and 12.5; RFC 8489, section 6.2.2. Each is built with one
//! allocation and one copy of the payload.

use std::net::{IpAddr, SocketAddr};

use super::glance::{Transaction, xor_mask};
use super::stun::{
    DATA, Data, MAGIC_COOKIE, MESSAGE_HEADER_SIZE, MessageClass, MessageType, StunAttributeType,
    XorPeerAddress,
};

/// The channels that a client may bind. RFC 8656 ends them at 0x4FFF, since QUIC came to live
/// above; RFC 5766 went to 0x7FFF, and clients older than 2020 (coturn's among them) still draw
/// from there. We share the port with no QUIC.
pub(super) const CHANNELS: std::ops::RangeInclusive<u16> = 0x4000..=0x7fff;
/// Channel number and length.
const CHANNEL_HEADER: usize = 4;
/// Largest UDP payload over IPv4: what is longer cannot be sent to a client.
const DATAGRAM_MAX: usize = 65_507;

/// Longest message that is taken from a stream. Our choice: twice the longest datagram that is
/// read, and no more need be held for a client that never sends the rest.
pub(super) const STREAM_MESSAGE_MAX: usize = 4096;

/// The length of the message that a stream goes on with, and the length with padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// In bytes, its header included.
    pub message: usize,
    /// To where the next one begins.
    pub padded: usize,
}

/// No message of TURN begins so, or it is too long.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are not TURN")]
pub struct NotTurn;

/// How far the message reaches that these bytes of a stream begin with; [`None`] while too few have
/// come to know. RFC 8489, section 6.2.2; RFC 8656, section 12.5.
///
/// # Errors
/// [`NotTurn`], and the stream is of no use any more.
pub fn extent(bytes: &[u8]) -> Result<Option<Extent>, NotTurn> {
    let Some(([first, _, c, d], _)) = bytes.split_first_chunk::<CHANNEL_HEADER>() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([*c, *d]));
    let message = match first >> 6 {
        0 if length.is_multiple_of(4) => MESSAGE_HEADER_SIZE + length,
        1 => CHANNEL_HEADER + length,
        _ => return Err(NotTurn),
    };
    let padded = message.next_multiple_of(4);
    if padded > STREAM_MESSAGE_MAX {
        return Err(NotTurn);
    }
    Ok(Some(Extent { message, padded }))
}

/// The channel and payload of a ChannelData message; over UDP what follows the payload is padding.
pub(super) fn read_channel_data(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let ([a, b, c, d], rest) = bytes.split_first_chunk::<CHANNEL_HEADER>()?;
    let number = u16::from_be_bytes([*a, *b]);
    let payload = rest.get(..usize::from(u16::from_be_bytes([*c, *d])))?;
    CHANNELS.contains(&number).then_some((number, payload))
}

/// A ChannelData message; [`None`] if the payload is too long for one.
pub(super) fn channel_data(number: u16, payload: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(payload.len()).ok()?;
    let total = CHANNEL_HEADER + payload.len();
    if total > DATAGRAM_MAX {
        return None;
    }
    let mut bytes = Vec::with_capacity(total);
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(payload);
    Some(bytes)
}

/// A Data indication; [`None`] if the payload is too long for one.
pub(super) fn data_indication(
    transaction: &Transaction,
    peer: SocketAddr,
    payload: &[u8],
) -> Option<Vec<u8>> {
    let length = u16::try_from(payload.len()).ok()?;
    let address_len: u16 = if peer.is_ipv4() { 8 } else { 20 };
    let attributes = 4 + usize::from(address_len) + 4 + payload.len().next_multiple_of(4);
    let total = MESSAGE_HEADER_SIZE + attributes;
    if total > DATAGRAM_MAX {
        return None;
    }
    let cookie = MAGIC_COOKIE.as_u32();
    let mut bytes = Vec::with_capacity(total);
    let kind = MessageType::new(DATA, MessageClass::Indication).as_u16();
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&(attributes as u16).to_be_bytes());
    bytes.extend_from_slice(&cookie.to_be_bytes());
    bytes.extend_from_slice(transaction);
    bytes.extend_from_slice(&XorPeerAddress::get_type().as_u16().to_be_bytes());
    bytes.extend_from_slice(&address_len.to_be_bytes());
    bytes.extend_from_slice(&[0, if peer.is_ipv4() { 1 } else { 2 }]);
    bytes.extend_from_slice(&(peer.port() ^ (cookie >> 16) as u16).to_be_bytes());
    match peer.ip() {
        IpAddr::V4(ip) => bytes.extend_from_slice(&(ip.to_bits() ^ cookie).to_be_bytes()),
        IpAddr::V6(ip) => {
            bytes.extend_from_slice(&(ip.to_bits() ^ xor_mask(transaction)).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&Data::get_type().as_u16().to_be_bytes());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes.resize(total, 0);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_indication_is_read_by_stun_rs_as_it_was_meant() {
        for peer in ["203.0.113.9:4660", "[2a00::9]:4660"] {
            let peer: SocketAddr = peer.parse().unwrap();
            let bytes = data_indication(&[9; 12], peer, b"hello").unwrap();
            let message = crate::super_peer::relay::stun::decode(&bytes).unwrap();
            assert_eq!(message.method(), DATA);
            let got = message.get::<XorPeerAddress>().unwrap().as_xor_peer_address().unwrap();
            assert_eq!(*got.socket_address(), peer);
            let got = message.get::<Data>().unwrap().as_data().unwrap();
            assert_eq!(got.as_bytes(), b"hello");
        }
    }

    #[test]
    fn channel_data_comes_back_and_its_padding_is_not_payload() {
        let mut bytes = channel_data(0x4001, b"hello").unwrap();
        assert_eq!(read_channel_data(&bytes), Some((0x4001, b"hello".as_slice())));
        bytes.extend_from_slice(&[0; 3]);
        assert_eq!(read_channel_data(&bytes), Some((0x4001, b"hello".as_slice())));
        assert_eq!(read_channel_data(&bytes[..8]), None);
        assert_eq!(read_channel_data(&[0x80, 0, 0, 0]), None);
    }

    #[test]
    fn a_stream_is_cut_into_messages_and_what_is_none_ends_it() {
        let extent_of = |bytes: &[u8]| extent(bytes).map(|e| e.map(|e| (e.message, e.padded)));
        assert_eq!(extent_of(&[0, 1, 0]), Ok(None));
        assert_eq!(extent_of(&[0, 1, 0, 8]), Ok(Some((28, 28))));
        assert_eq!(extent_of(&[0x40, 1, 0, 5, 1]), Ok(Some((9, 12))));
        assert_eq!(extent_of(&[0, 1, 0, 7]), Err(NotTurn));
        assert_eq!(extent_of(&[0x40, 1, 0xff, 0xff]), Err(NotTurn));
        assert_eq!(extent_of(b"GET / HTTP/1.1"), Err(NotTurn));
        assert_eq!(extent_of(&[0x80, 0, 0, 0]), Err(NotTurn));
    }

    #[test]
    fn a_payload_too_long_for_a_datagram_is_not_framed() {
        assert!(channel_data(0x4000, &vec![0; DATAGRAM_MAX]).is_none());
        let peer = "[2a00::9]:4660".parse().unwrap();
        assert!(data_indication(&[0; 12], peer, &vec![0; DATAGRAM_MAX - 40]).is_none());
    }
}
