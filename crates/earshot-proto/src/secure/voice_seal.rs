//! Sealing voice packets: SRTP with AEAD_AES_256_GCM (RFC 3711, RFC 7714), in place, once a packet.
//!
//! A packet is `RTP header (12) ‖ ciphertext ‖ tag (16)`; the header is authenticated. Session key
//! and salt come from the master ones by AES_256_CM_PRF (RFC 3711, section 4.3; RFC 6188) with a
//! key derivation rate of 0, as any SRTP implementation does. Nonce: salt XOR `0000 ‖ SSRC ‖
//! rollover counter ‖ sequence` (RFC 7714, section 8.1). Invariants: [`VoiceKeys`] are used up by
//! making the one [`Sealer`] and the one [`Opener`] of a call, and the sealer counts by itself, so
//! no nonce is used twice; a packet opens at most once.

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::aes::{Blocks, Gcm, TAG};
use super::replay::{INDEX_END, Stale, Window};
use crate::wire::DecodeError;
use crate::wire::voice::{HEADER, OPUS, PAYLOAD_MAX, RtpHeader};

/// Longest sealed packet in bytes: what a receiver's buffer must hold.
pub const PACKET_MAX: usize = HEADER + PAYLOAD_MAX + TAG;

const SALT: usize = 12;
/// Labels of what is derived from a master key (RFC 3711, section 4.3.1).
const LABEL_KEY: u8 = 0;
const LABEL_SALT: u8 = 2;

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

impl VoiceKeys {
    /// Uses the keys up: what seals our voice, and what opens theirs. Both live as long as the
    /// call, over every change of path.
    #[must_use]
    pub fn into_seals(self) -> (Sealer, Opener) {
        let sealer = Sealer { stream: Stream::new(&self.send), next: 0 };
        let opener = Opener {
            stream: Stream::new(&self.receive),
            window: Window::default(),
            counts: OpenCounts::default(),
        };
        (sealer, opener)
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
    /// No voice packet at all.
    #[error("no voice packet")]
    Malformed,
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
    stream: Stream,
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
        self.stream.seal(index, &header.to_bytes(), payload, packet);
        Ok(())
    }
}

/// Opens the other side's voice.
pub struct Opener {
    stream: Stream,
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
        match &opened {
            Ok(_) => {}
            Err(OpenError::Replay) => self.counts.replays += 1,
            Err(OpenError::TooOld) => self.counts.too_old += 1,
            Err(OpenError::Forged) => self.counts.auth_failures += 1,
            Err(OpenError::Malformed) => self.counts.malformed += 1,
        }
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
        let index = self.window.index(header.sequence).map_err(|stale| match stale {
            Stale::Replay => OpenError::Replay,
            Stale::TooOld => OpenError::TooOld,
        })?;
        let payload = self.stream.open(index, packet).ok_or(OpenError::Forged)?;
        self.window.record(index);
        Ok(Voice { header, index, payload })
    }
}

/// The session keys of one direction. AES and GHASH wipe themselves.
struct Stream {
    cipher: Gcm,
    salt: Zeroizing<[u8; SALT]>,
    ssrc: u32,
}

impl Stream {
    fn new(keys: &StreamKeys) -> Self {
        let mut master_salt = Zeroizing::new([0; 14]);
        master_salt[..SALT].copy_from_slice(&keys.salt);
        let mut key = Zeroizing::new([0; 32]);
        derive(&keys.key, &master_salt, LABEL_KEY, &mut *key);
        let mut salt = Zeroizing::new([0; SALT]);
        derive(&keys.key, &master_salt, LABEL_SALT, &mut *salt);
        Self { cipher: Gcm::new(&key), salt, ssrc: keys.ssrc }
    }

    fn nonce(&self, index: u64) -> [u8; 12] {
        let mut nonce = *self.salt;
        let index = index.to_be_bytes();
        let mask = self.ssrc.to_be_bytes().into_iter().chain(index.into_iter().skip(2));
        for (byte, mask) in nonce.iter_mut().skip(2).zip(mask) {
            *byte ^= mask;
        }
        nonce
    }

    fn seal(&self, index: u64, header: &[u8; HEADER], payload: &[u8], packet: &mut Vec<u8>) {
        packet.reserve(HEADER + payload.len() + TAG);
        packet.extend_from_slice(header);
        packet.extend_from_slice(payload);
        let tag = self.cipher.seal(self.nonce(index), header, &mut packet[HEADER..]);
        packet.extend_from_slice(&tag);
    }

    fn open<'p>(&self, index: u64, packet: &'p mut [u8]) -> Option<&'p [u8]> {
        let (header, sealed) = packet.split_at_mut_checked(HEADER)?;
        let (body, tag) = sealed.split_last_chunk_mut::<TAG>()?;
        self.cipher.open(self.nonce(index), header, body, tag).ok()?;
        Some(body)
    }
}

/// AES_256_CM_PRF: counter mode of AES-256 from `(salt XOR label · 2^48) · 2^16` (RFC 3711,
/// sections 4.3.1 and 4.3.3; RFC 6188). A salt of 96 bits is filled up with zeros (RFC 7714,
/// section 11).
fn derive(key: &[u8; 32], salt: &[u8; 14], label: u8, out: &mut [u8]) {
    let aes = Blocks::new(key);
    let mut input = Zeroizing::new([0; 16]);
    input[..14].copy_from_slice(salt);
    input[7] ^= label;
    for (counter, chunk) in (0u16..).zip(out.chunks_mut(16)) {
        input[14..].copy_from_slice(&counter.to_be_bytes());
        aes.encrypt(&input, chunk);
    }
}

#[cfg(test)]
mod tests;
