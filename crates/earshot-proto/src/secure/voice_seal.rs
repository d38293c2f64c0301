//! Sealing voice packets: SRTP with AEAD_AES_256_GCM (RFC 3711, RFC 7714), in place, once a packet.
//!
//! A packet is `RTP header (12) ‖ ciphertext ‖ tag (16)`; the header is authenticated. Nonce: salt
//! XOR `0000 ‖ SSRC ‖ rollover counter ‖ sequence` (RFC 7714, section 8.1). Invariants:
//! [`VoiceKeys`] are used up by making the one set of [`Seals`] of a call, and each sealer counts
//! by itself under a key of its own, so no nonce is used twice; a packet opens at most once.

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::aes::TAG;
use super::replay::{INDEX_END, Stale, Window};
use super::report_seal::{ReportOpener, ReportSealer};
use super::srtp::{Purpose, SALT, Session};
use crate::wire::DecodeError;
use crate::wire::voice::{HEADER, OPUS, PAYLOAD_MAX, RtpHeader};

/// Longest sealed packet in bytes: what a receiver's buffer must hold.
pub const PACKET_MAX: usize = HEADER + PAYLOAD_MAX + TAG;

/// The keys of both directions of one call.
pub struct VoiceKeys {
    /// What we seal with.
    pub send: StreamKeys,
    /// What the other side seals with.
    pub receive: StreamKeys,
}

/// SRTP's master key and salt of one direction, and the stream that they are for.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct StreamKeys {
    /// Master key.
    pub key: [u8; 32],
    /// Master salt.
    pub salt: [u8; SALT],
    /// The stream's SSRC.
    pub ssrc: u32,
}

/// What seals and opens in one call. All live as long as it does, over every change of path.
pub struct Seals {
    /// Seals our voice.
    pub sealer: Sealer,
    /// Opens theirs.
    pub opener: Opener,
    /// Seals our reports.
    pub report_sealer: ReportSealer,
    /// Opens theirs.
    pub report_opener: ReportOpener,
}

impl VoiceKeys {
    /// Uses the keys up.
    #[must_use]
    pub fn into_seals(self) -> Seals {
        Seals {
            sealer: Sealer { stream: Session::new(&self.send, Purpose::Voice), next: 0 },
            opener: Opener {
                stream: Session::new(&self.receive, Purpose::Voice),
                window: Window::default(),
                counts: OpenCounts::default(),
            },
            report_sealer: ReportSealer::new(&self),
            report_opener: ReportOpener::new(&self),
        }
    }
}

impl std::fmt::Debug for VoiceKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VoiceKeys(..)")
    }
}

impl std::fmt::Debug for StreamKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StreamKeys(..)")
    }
}

/// What the speaker says of a packet; the sealer adds the stream and the sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The first packet after silence.
    pub marker: bool,
    /// When its first sample was taken, in ticks of 48 kHz; wraps.
    pub timestamp: u32,
}

/// Why a packet is not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VoiceSealError {
    /// 2^48 packets were sealed: the key is used up.
    #[error("the voice key is spent")]
    Spent,
    /// More than [`PAYLOAD_MAX`] bytes.
    #[error("{got} bytes are no Opus packet")]
    TooLong {
        /// Bytes given.
        got: usize,
    },
}

/// Why a packet is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It came before.
    #[error("a packet that came before")]
    Replay,
    /// It is too far behind the newest to know whether it came before.
    #[error("a packet from long ago")]
    TooOld,
    /// Not sealed by the other side of this call, or changed.
    #[error("a packet that is not the other side's")]
    Forged,
    /// No packet of this kind at all.
    #[error("no packet of a call")]
    Malformed,
}

impl From<Stale> for OpenError {
    fn from(stale: Stale) -> Self {
        match stale {
            Stale::Replay => Self::Replay,
            Stale::TooOld => Self::TooOld,
        }
    }
}

/// Packets that were not opened, since the call began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenCounts {
    /// [`OpenError::Forged`].
    pub auth_failures: u64,
    /// [`OpenError::Replay`].
    pub replays: u64,
    /// [`OpenError::TooOld`].
    pub too_old: u64,
    /// [`OpenError::Malformed`].
    pub malformed: u64,
}

impl OpenCounts {
    /// These and `other` together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            auth_failures: self.auth_failures + other.auth_failures,
            replays: self.replays + other.replays,
            too_old: self.too_old + other.too_old,
            malformed: self.malformed + other.malformed,
        }
    }

    pub(super) fn note(&mut self, refused: Option<&OpenError>) {
        match refused {
            None => {}
            Some(OpenError::Replay) => self.replays += 1,
            Some(OpenError::TooOld) => self.too_old += 1,
            Some(OpenError::Forged) => self.auth_failures += 1,
            Some(OpenError::Malformed) => self.malformed += 1,
        }
    }
}

/// An opened packet.
#[derive(Debug, PartialEq, Eq)]
pub struct Voice<'p> {
    /// Its header.
    pub header: RtpHeader,
    /// Its sequence number with the rollovers counted: 0 is the first of the call, and it never
    /// wraps.
    pub index: u64,
    /// The Opus packet.
    pub payload: &'p [u8],
}

/// Seals our voice.
pub struct Sealer {
    stream: Session,
    next: u64,
}

impl Sealer {
    /// Seals one Opus packet into `packet`, whose old content is dropped and whose memory is used
    /// again.
    ///
    /// # Errors
    /// [`VoiceSealError`]; `packet` is empty then.
    pub fn seal(
        &mut self,
        stamp: Stamp,
        payload: &[u8],
        packet: &mut Vec<u8>,
    ) -> Result<(), VoiceSealError> {
        packet.clear();
        if payload.len() > PAYLOAD_MAX {
            return Err(VoiceSealError::TooLong { got: payload.len() });
        }
        let index = self.next;
        if index >= INDEX_END {
            return Err(VoiceSealError::Spent);
        }
        self.next = index + 1;
        let header = RtpHeader {
            marker: stamp.marker,
            payload_type: OPUS,
            sequence: index as u16,
            timestamp: stamp.timestamp,
            ssrc: self.stream.ssrc,
        };
        seal(&self.stream, index, &header.to_bytes(), payload, packet);
        Ok(())
    }
}

/// Opens the other side's voice.
pub struct Opener {
    stream: Session,
    window: Window,
    counts: OpenCounts,
}

impl Opener {
    /// Opens one packet in place.
    ///
    /// # Errors
    /// [`OpenError`], each counted.
    pub fn open<'p>(&mut self, packet: &'p mut [u8]) -> Result<Voice<'p>, OpenError> {
        let opened = self.try_open(packet);
        self.counts.note(opened.as_ref().err());
        opened
    }

    /// What was not opened so far.
    #[must_use]
    pub const fn counts(&self) -> OpenCounts {
        self.counts
    }

    fn try_open<'p>(&mut self, packet: &'p mut [u8]) -> Result<Voice<'p>, OpenError> {
        let header =
            RtpHeader::from_bytes(packet).map_err(|_: DecodeError| OpenError::Malformed)?;
        if packet.len() < HEADER + TAG || packet.len() > PACKET_MAX {
            return Err(OpenError::Malformed);
        }
        if header.ssrc != self.stream.ssrc {
            return Err(OpenError::Forged);
        }
        let index = self.window.index(header.sequence)?;
        let payload = open(&self.stream, index, packet).ok_or(OpenError::Forged)?;
        self.window.record(index);
        Ok(Voice { header, index, payload })
    }
}

fn seal(stream: &Session, index: u64, header: &[u8; HEADER], payload: &[u8], packet: &mut Vec<u8>) {
    packet.reserve(HEADER + payload.len() + TAG);
    packet.extend_from_slice(header);
    packet.extend_from_slice(payload);
    let tag = stream.cipher.seal(stream.nonce(index), header, &mut packet[HEADER..]);
    packet.extend_from_slice(&tag);
}

fn open<'p>(stream: &Session, index: u64, packet: &'p mut [u8]) -> Option<&'p [u8]> {
    let (header, sealed) = packet.split_at_mut_checked(HEADER)?;
    let (body, tag) = sealed.split_last_chunk_mut::<TAG>()?;
    stream.cipher.open(stream.nonce(index), header, body, tag).ok()?;
    Some(body)
}

#[cfg(test)]
mod tests;
