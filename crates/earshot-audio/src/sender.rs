//! The sending half: microphone blocks in, RTP-ready packets out.
//!
//! Source: RFC 3550 section 5.1 (sequence, timestamp), RFC 3551 section 4.1 (marker on the first
//! packet after a silence), RFC 7587 section 4 (48 kHz timestamps, silence may be left out).
//! Invariant: the timestamp advances by the sound that passed, sent or not; the sequence only by
//! packets sent. So a gap in timestamps without one in sequence is silence, not loss.

use crate::adaptation::{Adaptation, Protection};
use crate::codec::{self, CodecError, EncoderSettings, VoiceEncoder};
use crate::frame::{BLOCK_SAMPLES, Block};
use crate::level::Meter;
use crate::reception::Reception;

/// How often the beginning of a silence is told before sending stops: twice, so that one lost
/// packet does not make the other side take silence for loss.
const SILENCE_ANNOUNCEMENTS: u32 = 2;

/// One packet of voice, before sealing or after opening.
#[derive(Clone, PartialEq, Eq)]
pub struct VoicePacket {
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp of the first sample, 48 kHz.
    pub timestamp: u32,
    /// First packet after a silence.
    pub marker: bool,
    /// One Opus packet.
    pub payload: Vec<u8>,
}

impl std::fmt::Debug for VoicePacket {
    /// Tells everything but what is said.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VoicePacket")
            .field("sequence", &self.sequence)
            .field("timestamp", &self.timestamp)
            .field("marker", &self.marker)
            .field("bytes", &self.payload.len())
            .finish()
    }
}

/// Where a stream of packets begins. Random, RFC 3550 section 5.1: drawn by the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamStart {
    /// Sequence number of the first packet.
    pub sequence: u16,
    /// Timestamp of the first sample.
    pub timestamp: u32,
}

/// What was sent so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderStats {
    /// Packets.
    pub packets: u64,
    /// Opus bytes in them, without any header.
    pub payload_bytes: u64,
}

/// Encodes the microphone.
#[derive(Debug)]
pub struct Sender {
    encoder: VoiceEncoder,
    adaptation: Adaptation,
    pending: Vec<f32>,
    next: StreamStart,
    muted: bool,
    /// Gain at the end of the last block: slides within 10 ms, so that muting does not click.
    gain: f32,
    silence_run: u32,
    after_silence: bool,
    meter: Meter,
    stats: SenderStats,
}

impl Sender {
    /// Opens the encoder.
    pub fn new(settings: &EncoderSettings, start: StreamStart) -> Result<Self, CodecError> {
        Ok(Self {
            encoder: VoiceEncoder::new(settings)?,
            adaptation: Adaptation::new(settings.bitrate_bps),
            pending: Vec::with_capacity(settings.frame.samples()),
            next: start,
            muted: false,
            gain: 1.0,
            silence_run: 0,
            after_silence: true,
            meter: Meter::default(),
            stats: SenderStats::default(),
        })
    }

    /// Takes 10 ms from the microphone. Answers a packet when a frame is full and worth sending.
    pub fn push(&mut self, block: &Block) -> Result<Option<VoicePacket>, CodecError> {
        self.meter.feed(block);
        self.append(block);
        if self.pending.len() < self.encoder.frame().samples() {
            return Ok(None);
        }
        let payload = self.encoder.encode(&self.pending);
        let timestamp = self.next.timestamp;
        self.next.timestamp = timestamp.wrapping_add(self.pending.len() as u32);
        self.pending.clear();
        Ok(self.packet(timestamp, payload?))
    }

    /// Lets 10 ms pass without sending (a held call): the timestamp runs on.
    pub fn pass(&mut self) {
        let passed = self.pending.len() + BLOCK_SAMPLES;
        self.pending.clear();
        self.next.timestamp = self.next.timestamp.wrapping_add(passed as u32);
        self.after_silence = true;
        self.silence_run = 0;
    }

    /// Replaces the microphone by silence, or gives it back.
    pub fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// Takes the other side's report: from then on the voice is protected against the loss that it
    /// tells of. Until the first such change it is coded as the settings say.
    pub fn note_reception(&mut self, reception: &Reception) -> Result<(), CodecError> {
        let Some(Protection { redundancy, bitrate_bps }) = self.adaptation.note(reception) else {
            return Ok(());
        };
        tracing::debug!(?redundancy, bitrate_bps, "Voice protected");
        self.encoder.protect(redundancy, bitrate_bps)
    }

    /// How loud the microphone is, muted or not, dBFS.
    pub const fn level_dbfs(&self) -> f32 {
        self.meter.dbfs()
    }

    /// What was sent so far.
    pub const fn stats(&self) -> SenderStats {
        self.stats
    }

    fn append(&mut self, block: &Block) {
        let goal = if self.muted { 0.0 } else { 1.0 };
        let step = (goal - self.gain) / BLOCK_SAMPLES as f32;
        let mut gain = self.gain;
        self.pending.extend(block.iter().map(|sample| {
            gain += step;
            sample * gain
        }));
        self.gain = goal;
    }

    fn packet(&mut self, timestamp: u32, payload: Vec<u8>) -> Option<VoicePacket> {
        if codec::is_dtx(&payload) {
            self.silence_run += 1;
            if self.silence_run > SILENCE_ANNOUNCEMENTS {
                self.after_silence = true;
                return None;
            }
        } else {
            self.silence_run = 0;
        }
        let marker = std::mem::replace(&mut self.after_silence, false);
        let sequence = self.next.sequence;
        self.next.sequence = sequence.wrapping_add(1);
        self.stats.packets += 1;
        self.stats.payload_bytes += payload.len() as u64;
        Some(VoicePacket { sequence, timestamp, marker, payload })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Silence;
    use crate::frame::{FrameLength, SILENT_BLOCK};

    const START: StreamStart = StreamStart { sequence: 0xffff, timestamp: u32::MAX - 100 };

    fn speaking(n: usize) -> Block {
        std::array::from_fn(|i| {
            let t = (n * BLOCK_SAMPLES + i) as f32 / 48_000.0;
            ((t * 150.0).fract() - 0.5) * 0.3 * (1.1 + (t * 25.0).sin())
        })
    }

    fn send(sender: &mut Sender, blocks: usize, sound: fn(usize) -> Block) -> Vec<VoicePacket> {
        (0..blocks).filter_map(|n| sender.push(&sound(n)).unwrap()).collect()
    }

    #[test]
    fn a_packet_leaves_as_soon_as_its_frame_is_full() {
        for (frame, packets) in [(FrameLength::Ms10, 10), (FrameLength::Ms20, 5)] {
            let settings = EncoderSettings { frame, ..EncoderSettings::default() };
            let mut sender = Sender::new(&settings, START).unwrap();
            assert_eq!(send(&mut sender, 10, speaking).len(), packets);
        }
    }

    #[test]
    fn sequence_and_timestamp_wrap_and_only_the_first_packet_is_marked() {
        let mut sender = Sender::new(&EncoderSettings::default(), START).unwrap();
        let packets = send(&mut sender, 6, speaking);
        assert_eq!(packets.iter().map(|p| p.sequence).collect::<Vec<_>>(), [0xffff, 0, 1]);
        assert_eq!(packets[1].timestamp, START.timestamp.wrapping_add(960));
        assert_eq!(packets.iter().map(|p| p.marker).collect::<Vec<_>>(), [true, false, false]);
    }

    #[test]
    fn in_silence_time_runs_on_but_sequence_does_not() {
        let mut sender = Sender::new(&EncoderSettings::default(), START).unwrap();
        let before = send(&mut sender, 100, speaking);
        let quiet = send(&mut sender, 300, |_| SILENT_BLOCK);
        let after = send(&mut sender, 20, speaking);
        assert!(quiet.len() < 60, "{} packets in three silent seconds", quiet.len());
        let (last, next) = (quiet.last().unwrap(), after.first().unwrap());
        assert_eq!(next.sequence, last.sequence.wrapping_add(1));
        let passed = after.last().unwrap().timestamp.wrapping_sub(before[0].timestamp);
        assert_eq!(passed, 418 * 480);
        assert!(next.marker);
    }

    #[test]
    fn a_muted_microphone_sends_silence_but_its_level_is_still_shown() {
        let settings = EncoderSettings { silence: Silence::Sent, ..EncoderSettings::default() };
        let mut sender = Sender::new(&settings, START).unwrap();
        send(&mut sender, 10, speaking);
        sender.set_muted(true);
        let packets = send(&mut sender, 100, speaking);
        assert_eq!(packets.len(), 50);
        let mut decoder = crate::decoder::VoiceDecoder::new().unwrap();
        let mut heard = Vec::new();
        for packet in &packets {
            decoder.decode(&packet.payload, &mut heard).unwrap();
        }
        assert!(crate::level::rms_dbfs(&heard[24_000..]) < -60.0);
        assert!(sender.level_dbfs() > -30.0);
    }

    #[test]
    fn held_time_passes_without_packets() {
        let mut sender = Sender::new(&EncoderSettings::default(), START).unwrap();
        send(&mut sender, 3, speaking);
        for _ in 0..5 {
            sender.pass();
        }
        let packets = send(&mut sender, 2, speaking);
        assert_eq!(packets[0].timestamp, START.timestamp.wrapping_add(8 * 480));
        assert_eq!(packets[0].sequence, 0);
        assert!(packets[0].marker);
    }

    #[test]
    fn a_packet_does_not_print_what_is_said() {
        let mut sender = Sender::new(&EncoderSettings::default(), START).unwrap();
        let packet = send(&mut sender, 2, speaking).remove(0);
        assert!(!format!("{packet:?}").contains("payload"));
    }
}
