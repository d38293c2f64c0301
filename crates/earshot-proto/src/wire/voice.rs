//! The header of a voice packet: RTP (RFC 3550, section 5.1), with Opus inside (RFC 7587).
//!
//! Our packets have no padding, no extension and no contributing sources, so the header is always
//! 12 bytes. Plain functions, called once a packet; sealing is
//! [`secure::voice_seal`](crate::secure::voice_seal).

use super::{DecodeError, Family};

/// The header in bytes.
pub const HEADER: usize = 12;
/// The payload type of Opus, from the dynamic range (RFC 3551, section 6); both sides are ours, so
/// it is fixed.
pub const OPUS: u8 = 111;
/// Ticks of the time stamp in a second, whatever the coded bandwidth (RFC 7587, section 4.1).
pub const CLOCK_HZ: u32 = 48_000;
/// Longest payload: one Opus frame and its first byte (RFC 6716, section 3.2.1).
pub const PAYLOAD_MAX: usize = 1276;

const NAME: &str = "voice.rtp";
/// Version 2, no padding, no extension, no contributing sources.
const FIRST: u8 = 0x80;
const MARKER: u8 = 0x80;

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpHeader {
    /// The first packet after silence (RFC 3551, section 4.1).
    pub marker: bool,
    /// What is inside: [`OPUS`].
    pub payload_type: u8,
    /// Grows by one with each packet, and wraps.
    pub sequence: u16,
    /// When its first sample was taken, in ticks of [`CLOCK_HZ`]; wraps.
    pub timestamp: u32,
    /// The stream.
    pub ssrc: u32,
}

impl RtpHeader {
    /// Its bytes. The payload type has seven bits.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER] {
        let marker = if self.marker { MARKER } else { 0 };
        let mut bytes = [0; HEADER];
        bytes[0] = FIRST;
        bytes[1] = marker | (self.payload_type & !MARKER);
        bytes[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        bytes[8..].copy_from_slice(&self.ssrc.to_be_bytes());
        bytes
    }

    /// Reads the header that `packet` begins with.
    ///
    /// # Errors [`DecodeError::TooShort`], or [`DecodeError::Malformed`] when the first byte is not
    /// that of our packets.
    pub fn from_bytes(packet: &[u8]) -> Result<Self, DecodeError> {
        let Some([first, kind, s0, s1, t0, t1, t2, t3, ssrc @ ..]) = packet.first_chunk::<HEADER>()
        else {
            return Err(DecodeError::TooShort { got: packet.len() });
        };
        if *first != FIRST {
            return Err(DecodeError::Malformed { family: NAME, at: Some(0) });
        }
        Ok(Self {
            marker: kind & MARKER != 0,
            payload_type: kind & !MARKER,
            sequence: u16::from_be_bytes([*s0, *s1]),
            timestamp: u32::from_be_bytes([*t0, *t1, *t2, *t3]),
            ssrc: u32::from_be_bytes(*ssrc),
        })
    }
}

/// The row of [`ALL`](super::ALL): a header by itself.
pub(super) const FAMILY: Family = Family {
    name: NAME,
    max: HEADER,
    read: |bytes| alone(bytes).map(|_| ()),
    rewrite: |bytes| alone(bytes).map(|header| header.to_bytes().to_vec()),
};

fn alone(bytes: &[u8]) -> Result<RtpHeader, DecodeError> {
    if bytes.len() > HEADER {
        return Err(DecodeError::TooLong { got: bytes.len(), max: HEADER });
    }
    RtpHeader::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_lies_as_rfc_3550_draws_it() {
        let header = RtpHeader {
            marker: true,
            payload_type: OPUS,
            sequence: 0x0102,
            timestamp: 0x0304_0506,
            ssrc: 0x0708_090A,
        };
        assert_eq!(header.to_bytes(), [0x80, 0xEF, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(RtpHeader::from_bytes(&header.to_bytes()), Ok(header));
    }

    #[test]
    fn what_our_packets_never_have_is_refused() {
        let malformed = Err(DecodeError::Malformed { family: NAME, at: Some(0) });
        for first in [0x00, 0x40, 0xC0, 0x90, 0xA0, 0x81] {
            let mut packet = [0; HEADER];
            packet[0] = first;
            assert_eq!(RtpHeader::from_bytes(&packet), malformed);
        }
        assert_eq!(RtpHeader::from_bytes(&[0x80; 11]), Err(DecodeError::TooShort { got: 11 }));
    }
}
