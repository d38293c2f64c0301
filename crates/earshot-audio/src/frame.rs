//! The one shape of sound inside Earshot: 48 kHz, mono, `f32` in −1…1, in blocks of 10 ms.
//!
//! Source: RFC 7587 section 4.1 fixes the RTP clock of Opus at 48 kHz; 10 ms is the step of
//! WebRTC's audio processing and the finest at which we decide anything.
//! Invariant: devices of any other shape are converted at the edge (see [`crate::device`]); nothing
//! behind that edge knows another rate.

use std::time::Duration;

/// Samples per second everywhere inside. RFC 7587 section 4.1.
pub const SAMPLE_RATE_HZ: u32 = 48_000;
/// Samples in one block: 10 ms.
pub const BLOCK_SAMPLES: usize = 480;
/// How long one block sounds.
pub const BLOCK_DURATION: Duration = Duration::from_millis(10);

/// 10 ms of mono sound.
pub type Block = [f32; BLOCK_SAMPLES];
/// A block in which nothing sounds.
pub const SILENT_BLOCK: Block = [0.0; BLOCK_SAMPLES];

/// How much sound one packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameLength {
    /// 10 ms: less delay, about a third more bytes on the wire. For local networks.
    Ms10,
    /// 20 ms: the usual choice (RFC 7587 section 6.1, default `ptime`).
    Ms20,
}

impl FrameLength {
    /// Blocks of 10 ms in one frame.
    pub const fn blocks(self) -> usize {
        match self {
            Self::Ms10 => 1,
            Self::Ms20 => 2,
        }
    }

    /// Samples in one frame.
    pub const fn samples(self) -> usize {
        self.blocks() * BLOCK_SAMPLES
    }
}

/// How long `samples` sound, in whole nanoseconds.
pub const fn duration_of(samples: u64) -> Duration {
    let rate = SAMPLE_RATE_HZ as u64;
    let nanos = (samples % rate) * 1_000_000_000 / rate;
    // The remainder is below one second, so its nanoseconds fit.
    Duration::new(samples / rate, nanos as u32)
}

/// How many samples sound during `duration`, rounded down.
pub const fn samples_in(duration: Duration) -> i64 {
    let rate = SAMPLE_RATE_HZ as u64;
    (duration.as_secs() * rate + duration.subsec_nanos() as u64 * rate / 1_000_000_000) as i64
}

/// `samples` as milliseconds, for people and figures.
pub fn millis_of(samples: i64) -> f32 {
    samples as f32 * 1_000.0 / SAMPLE_RATE_HZ as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_and_its_duration_agree() {
        assert_eq!(duration_of(BLOCK_SAMPLES as u64), BLOCK_DURATION);
        assert_eq!(samples_in(BLOCK_DURATION), BLOCK_SAMPLES as i64);
    }

    #[test]
    fn a_day_of_samples_is_a_day() {
        let day = Duration::from_secs(86_400);
        assert_eq!(duration_of(samples_in(day) as u64), day);
    }
}
