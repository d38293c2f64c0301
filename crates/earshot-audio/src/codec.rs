//! Opus: the encoder, and what a packet tells before it is decoded.
//!
//! Source: RFC 6716 (Opus), RFC 7587 (its use in RTP), libopus 1.6 (`opus_defines.h`).
//! Invariant: every packet carries exactly one [`FrameLength`]; a packet of at most
//! [`DTX_PAYLOAD_MAX`] bytes says "silence goes on" (RFC 6716 section 2.1.9, discontinuous
//! transmission). Deep redundancy has an encoder of its own ([`crate::deep`]), made when it is
//! first wanted; whichever takes over has heard the frame before, so that the voice goes on
//! unbroken.

use crate::deep::DeepEncoder;
use crate::frame::{FrameLength, SAMPLE_RATE_HZ};

/// Bytes of the largest payload that only says "silence goes on": the table-of-contents byte, and
/// at most one more. Documentation of `opus_encode`: such a packet "does not need to be
/// transmitted".
pub const DTX_PAYLOAD_MAX: usize = 2;
/// The longest sound one Opus packet can hold: 120 ms (RFC 6716 section 3.2.5).
pub const PACKET_SAMPLES_MAX: usize = 5_760;
/// Bytes we let the encoder use for one packet: one Ethernet frame with room for IPv6, UDP, TURN,
/// RTP and the seal. At 128 kb/s a 20 ms frame takes 320 bytes, so the limit never bites.
pub const PAYLOAD_MAX: usize = 1_200;

/// Bits per second unless told otherwise. PESQ-WB 4.45 on recorded speech, at which more bits buy
/// little (4.53 at 48 kb/s).
pub const BITRATE_DEFAULT_BPS: u32 = 32_000;
/// The encoder's effort, 0 to 10. One 20 ms frame costs 0.2 ms at 9; 10 buys nothing for speech.
const ENCODER_COMPLEXITY: i32 = 9;
/// The least expected loss at which libopus sends redundancy at all at 24 kb/s.
const EXPECTED_LOSS_MIN_PCT: u8 = 10;

/// What libopus refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Opus: {call} answered {code}")]
pub struct CodecError {
    /// The function of libopus.
    pub call: &'static str,
    /// Its error code (`opus_defines.h`), negative.
    pub code: i32,
}

impl From<opus::Error> for CodecError {
    fn from(error: opus::Error) -> Self {
        Self { call: error.function(), code: error.code() as i32 }
    }
}

/// Whether packets repeat, coarsely, what was said before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redundancy {
    /// No repetition: all bits go into the sound.
    Off,
    /// In-band forward error correction (LBRR, RFC 6716 section 2.1.7), as if so many percent of
    /// the packets were lost.
    Inband {
        /// Percent of packets that the path loses, as the other end reports it.
        expected_loss_pct: u8,
    },
    /// Deep redundancy (DRED): up to a second, for losses in bursts.
    Deep {
        /// As above.
        expected_loss_pct: u8,
    },
    /// Both at once, for heavy losses one by one; from 48 kb/s on there is room for them.
    Both {
        /// As above.
        expected_loss_pct: u8,
    },
}

impl Redundancy {
    const fn is_deep(self) -> bool {
        match self {
            Self::Off | Self::Inband { .. } => false,
            Self::Deep { .. } | Self::Both { .. } => true,
        }
    }
}

/// Whether silence is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Every frame becomes a packet: a constant flow.
    Sent,
    /// Frames without speech are left out (discontinuous transmission), but for a sign of life
    /// every 400 ms.
    LeftOut,
}

/// How the voice is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderSettings {
    /// Sound per packet.
    pub frame: FrameLength,
    /// Target of the variable bit rate, bits per second, 6,000 to 128,000.
    pub bitrate_bps: u32,
    /// Repetition against loss.
    pub redundancy: Redundancy,
    /// What happens to silence.
    pub silence: Silence,
}

impl Default for EncoderSettings {
    fn default() -> Self {
        Self {
            frame: FrameLength::Ms20,
            bitrate_bps: BITRATE_DEFAULT_BPS,
            redundancy: Redundancy::Off,
            silence: Silence::LeftOut,
        }
    }
}

/// Turns frames of sound into Opus packets.
#[derive(Debug)]
pub struct VoiceEncoder {
    opus: opus::Encoder,
    deep: Option<DeepEncoder>,
    settings: EncoderSettings,
    /// The last frame that was encoded, for the encoder that takes over.
    last: Vec<f32>,
}

impl VoiceEncoder {
    /// Opens an encoder for 48 kHz mono speech with variable bit rate.
    pub fn new(settings: &EncoderSettings) -> Result<Self, CodecError> {
        let mono = opus::Channels::Mono;
        let mut opus = opus::Encoder::new(SAMPLE_RATE_HZ, mono, opus::Application::Voip)?;
        opus.set_complexity(ENCODER_COMPLEXITY)?;
        opus.set_vbr(true)?;
        opus.set_signal(opus::Signal::Voice)?;
        opus.set_dtx(settings.silence == Silence::LeftOut)?;
        let mut encoder = Self { opus, deep: None, settings: *settings, last: Vec::new() };
        encoder.protect(settings.redundancy, settings.bitrate_bps)?;
        Ok(encoder)
    }

    /// Sound per packet.
    pub const fn frame(&self) -> FrameLength {
        self.settings.frame
    }

    /// Switches repetition, and aims at another bit rate; what lies outside of 6 to 128 kb/s is
    /// brought inside. On an error the one before stays.
    pub fn protect(&mut self, redundancy: Redundancy, bitrate_bps: u32) -> Result<(), CodecError> {
        let bps = bitrate_bps.clamp(6_000, 128_000) as i32;
        match redundancy {
            Redundancy::Off => self.plain(bps, None),
            Redundancy::Inband { expected_loss_pct } => self.plain(bps, Some(expected_loss_pct)),
            Redundancy::Deep { expected_loss_pct } => self.deep(bps, 0, expected_loss_pct),
            Redundancy::Both { expected_loss_pct } => self.deep(bps, 1, expected_loss_pct),
        }?;
        (self.settings.redundancy, self.settings.bitrate_bps) = (redundancy, bitrate_bps);
        Ok(())
    }

    /// Samples by which the decoded sound lags behind the encoded one.
    pub fn lookahead(&mut self) -> Result<usize, CodecError> {
        Ok(self.opus.get_lookahead()?.unsigned_abs() as usize)
    }

    /// Encodes one frame, which must be of the length given in the settings.
    pub fn encode(&mut self, pcm: &[f32]) -> Result<Vec<u8>, CodecError> {
        self.last.clear();
        self.last.extend_from_slice(pcm);
        match &mut self.deep {
            Some(deep) if self.settings.redundancy.is_deep() => deep.encode(pcm, PAYLOAD_MAX),
            Some(_) | None => Ok(self.opus.encode_vec_float(pcm, PAYLOAD_MAX)?),
        }
    }

    /// `opus` encodes from now on.
    fn plain(&mut self, bps: i32, expected_loss_pct: Option<u8>) -> Result<(), CodecError> {
        self.opus.set_bitrate(opus::Bitrate::Bits(bps))?;
        self.opus.set_inband_fec(expected_loss_pct.is_some())?;
        self.opus.set_packet_loss_perc(expected_loss_pct.map_or(0, told))?;
        if self.settings.redundancy.is_deep() && !self.last.is_empty() {
            self.opus.encode_vec_float(&self.last, PAYLOAD_MAX)?;
        }
        Ok(())
    }

    /// `deep` encodes from now on.
    fn deep(&mut self, bps: i32, inband: i32, expected_loss_pct: u8) -> Result<(), CodecError> {
        let takes_over = !self.settings.redundancy.is_deep() && !self.last.is_empty();
        let leave_out_silence = i32::from(self.settings.silence == Silence::LeftOut);
        let deep = match &mut self.deep {
            Some(deep) => deep,
            none => none.insert(DeepEncoder::new(ENCODER_COMPLEXITY, leave_out_silence)?),
        };
        deep.set_bitrate(bps)?;
        deep.set_redundancy(inband, told(expected_loss_pct))?;
        if takes_over {
            deep.encode(&self.last, PAYLOAD_MAX)?;
        }
        Ok(())
    }
}

/// What libopus is told of the loss.
fn told(expected_loss_pct: u8) -> i32 {
    i32::from(expected_loss_pct.clamp(EXPECTED_LOSS_MIN_PCT, 100))
}

/// Samples of sound in a packet, or the reason why it is not Opus.
pub fn packet_samples(payload: &[u8]) -> Result<usize, CodecError> {
    Ok(opus::packet::get_nb_samples(payload, SAMPLE_RATE_HZ)?)
}

/// Says whether a packet only continues a silence.
pub const fn is_dtx(payload: &[u8]) -> bool {
    payload.len() <= DTX_PAYLOAD_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decoder::VoiceDecoder;
    use crate::frame::SILENT_BLOCK;

    /// A tone whose loudness swings like speech, so that the encoder hears a voice.
    fn murmur(samples: usize) -> Vec<f32> {
        (0..samples)
            .map(|i| {
                let t = i as f32 / SAMPLE_RATE_HZ as f32;
                let pitch = (t * 150.0).fract() - 0.5;
                pitch * 0.3 * (1.1 + (t * 25.0).sin())
            })
            .collect()
    }

    #[test]
    fn libopus_is_the_version_that_the_figures_were_taken_with() {
        assert!(opus::version().starts_with("libopus 1.6"), "{}", opus::version());
    }

    #[test]
    fn a_frame_survives_the_codec_at_its_lag() {
        let mut encoder = VoiceEncoder::new(&EncoderSettings::default()).unwrap();
        let mut decoder = VoiceDecoder::new().unwrap();
        let sent = murmur(48_000);
        let mut heard = Vec::new();
        for frame in sent.chunks_exact(960) {
            let packet = encoder.encode(frame).unwrap();
            assert_eq!(packet_samples(&packet), Ok(960));
            decoder.decode(&packet, &mut heard).unwrap();
        }
        assert_eq!(heard.len(), sent.len());
        let best = (0..600)
            .max_by(|a, b| likeness(&sent, &heard[*a..]).total_cmp(&likeness(&sent, &heard[*b..])))
            .unwrap();
        assert!(best.abs_diff(encoder.lookahead().unwrap()) <= 4, "lag {best}");
        // The codec rebuilds the upper bands in power only, so a wave form never agrees fully.
        assert!(likeness(&sent, &heard[best..]) > 0.75);
    }

    fn likeness(sent: &[f32], heard: &[f32]) -> f32 {
        let (mut dot, mut sent_power, mut heard_power) = (0.0, 0.0, 0.0);
        for (s, h) in sent[4_800..24_000].iter().zip(&heard[4_800..]) {
            dot += s * h;
            sent_power += s * s;
            heard_power += h * h;
        }
        dot / (sent_power * heard_power).sqrt()
    }

    #[test]
    fn silence_shrinks_to_dtx_packets_only_when_it_may_be_left_out() {
        for (silence, expected) in [(Silence::LeftOut, true), (Silence::Sent, false)] {
            let settings =
                EncoderSettings { frame: FrameLength::Ms10, silence, ..EncoderSettings::default() };
            let mut encoder = VoiceEncoder::new(&settings).unwrap();
            let any_dtx = (0..100).any(|_| is_dtx(&encoder.encode(&SILENT_BLOCK).unwrap()));
            assert_eq!(any_dtx, expected, "{silence:?}");
        }
    }

    #[test]
    fn a_lost_frame_is_recovered_from_its_successor() {
        let settings = EncoderSettings {
            redundancy: Redundancy::Inband { expected_loss_pct: 20 },
            ..EncoderSettings::default()
        };
        let mut encoder = VoiceEncoder::new(&settings).unwrap();
        let packets: Vec<_> =
            murmur(48_000).chunks_exact(960).map(|f| encoder.encode(f).unwrap()).collect();
        let redundant = packets.iter().filter(|p| crate::decoder::has_redundancy(p)).count();
        assert!(redundant > 30, "{redundant} of {}", packets.len());
        let mut decoder = VoiceDecoder::new().unwrap();
        let mut out = Vec::new();
        decoder.decode(&packets[20], &mut out).unwrap();
        out.clear();
        decoder.recover(&packets[22], 960, &mut out).unwrap();
        assert_eq!(out.len(), 960);
        assert!(crate::level::rms_dbfs(&out) > -40.0);
    }

    fn encoded(encoder: &mut VoiceEncoder, sound: &[f32]) -> Vec<Vec<u8>> {
        sound.chunks_exact(960).map(|frame| encoder.encode(frame).unwrap()).collect()
    }

    #[test]
    fn a_lost_burst_is_recovered_from_the_packet_behind_it() {
        let settings = EncoderSettings {
            redundancy: Redundancy::Deep { expected_loss_pct: 20 },
            bitrate_bps: 40_000,
            ..EncoderSettings::default()
        };
        let packets = encoded(&mut VoiceEncoder::new(&settings).unwrap(), &murmur(96_000));
        let mut decoder = VoiceDecoder::new().unwrap();
        let mut out = Vec::new();
        for packet in &packets[..60] {
            decoder.decode(packet, &mut out).unwrap();
        }
        out.clear();
        // Six frames are lost: 60 to 65.
        assert!(decoder.deep_reach(&packets[66]) >= 6 * 960);
        for back in (1..=6).rev() {
            decoder.recover_deep(back * 960, 960, &mut out).unwrap();
        }
        assert_eq!(out.len(), 6 * 960);
        let last = &out[5 * 960..];
        assert!(crate::level::rms_dbfs(last) > -35.0, "{}", crate::level::rms_dbfs(last));
        assert_eq!(decoder.deep_reach(&[0]), 0);
        assert_eq!(decoder.deep_reach(&[]), 0);
    }

    #[test]
    fn the_voice_goes_on_unbroken_when_the_encoder_changes() {
        let mut encoder = VoiceEncoder::new(&EncoderSettings::default()).unwrap();
        let mut decoder = VoiceDecoder::new().unwrap();
        let (mut plain, mut changing) = (Vec::new(), Vec::new());
        let sound = murmur(96_000);
        for packet in encoded(&mut encoder, &sound) {
            decoder.decode(&packet, &mut plain).unwrap();
        }
        let mut encoder = VoiceEncoder::new(&EncoderSettings::default()).unwrap();
        let mut decoder = VoiceDecoder::new().unwrap();
        for (n, frame) in sound.chunks_exact(960).enumerate() {
            match n {
                30 => encoder.protect(Redundancy::Deep { expected_loss_pct: 20 }, 40_000).unwrap(),
                60 => encoder.protect(Redundancy::Off, 32_000).unwrap(),
                _ => {}
            }
            decoder.decode(&encoder.encode(frame).unwrap(), &mut changing).unwrap();
        }
        // Around each change, 20 ms by 20 ms, it is as loud as it would have been.
        for n in (28..34).chain(58..64) {
            let piece = n * 960..(n + 1) * 960;
            let loud = |sound: &[f32]| crate::level::rms_dbfs(&sound[piece.clone()]);
            let (plain, changing) = (loud(&plain), loud(&changing));
            assert!((plain - changing).abs() < 3.0, "frame {n}: {plain} and {changing} dBFS");
        }
    }

    #[test]
    fn bytes_that_are_no_packet_are_refused() {
        assert!(packet_samples(&[]).is_err());
        assert!(packet_samples(&[0xff, 0xff]).is_err());
        let mut decoder = VoiceDecoder::new().unwrap();
        assert!(decoder.decode(&[0xff, 0xff, 1, 2, 3], &mut Vec::new()).is_err());
    }
}
