//! From any sample rate to another, for files and devices that do not run at 48 kHz.
//!
//! Source: crate `rubato`, synchronous FFT resampler (a band-limited polyphase in the frequency
//! domain; 44.1 to 48 kHz delays by 5 ms and costs 3 µs per 10 ms).
//! Invariant: the start-up delay of the filter is cut off, so output sample `i` sounds at the same
//! moment as input sample `i · from / to`.

use audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _};

/// A rate that the resampler cannot take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot convert {from_hz} Hz to {to_hz} Hz")]
pub struct BadRate {
    /// Rate of the input.
    pub from_hz: u32,
    /// Rate of the output.
    pub to_hz: u32,
}

/// Converts one channel, piece by piece.
pub struct Resampler {
    fft: Fft<f32>,
    waiting: Vec<f32>,
    piece: Vec<f32>,
    /// Start-up samples still to be cut off.
    to_cut: usize,
}

impl Resampler {
    /// Prepares the filter for two rates, each from 8 to 384 kHz.
    pub fn new(from_hz: u32, to_hz: u32) -> Result<Self, BadRate> {
        let bad = BadRate { from_hz, to_hz };
        if [from_hz, to_hz].iter().any(|hz| !(8_000..=384_000).contains(hz)) {
            return Err(bad);
        }
        let ten_ms = from_hz as usize / 100;
        let fft = Fft::new(from_hz as usize, to_hz as usize, ten_ms, 1, FixedSync::Both)
            .map_err(|_| bad)?;
        let to_cut = fft.output_delay();
        Ok(Self { fft, waiting: Vec::new(), piece: Vec::new(), to_cut })
    }

    /// Takes samples and appends to `out` what is ready.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        self.waiting.extend_from_slice(samples);
        loop {
            let needed = self.fft.input_frames_next();
            if self.waiting.len() < needed {
                return;
            }
            let room = self.fft.output_frames_next();
            self.piece.clear();
            self.piece.resize(room, 0.0);
            let input = InterleavedSlice::new(&self.waiting[..needed], 1, needed)
                .expect("one channel of `needed` samples was sliced");
            let mut output = InterleavedSlice::new_mut(&mut self.piece, 1, room)
                .expect("the piece was resized to `room`");
            let (read, written) = self
                .fft
                .process_into_buffer(&input, &mut output, None)
                .expect("both buffers have the lengths that the resampler asked for");
            self.waiting.drain(..read);
            let cut = self.to_cut.min(written);
            self.to_cut -= cut;
            out.extend_from_slice(&self.piece[cut..written]);
        }
    }
}

impl std::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resampler").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate: f32, samples: usize) -> Vec<f32> {
        (0..samples).map(|i| (i as f32 * 997.0 / rate * std::f32::consts::TAU).sin()).collect()
    }

    #[test]
    fn a_tone_keeps_its_pitch_and_its_moment() {
        for rate in [8_000_u32, 16_000, 22_050, 44_100, 96_000] {
            let mut out = Vec::new();
            let mut resampler = Resampler::new(rate, 48_000).unwrap();
            for piece in tone(rate as f32, rate as usize).chunks(333) {
                resampler.push(piece, &mut out);
            }
            assert!(out.len() > 40_000, "{rate} Hz gave {}", out.len());
            let wanted = tone(48_000.0, out.len());
            let worst = out[2_000..38_000]
                .iter()
                .zip(&wanted[2_000..])
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            // A shift by one sample of 48 kHz would be 0.13.
            assert!(worst < 0.1, "{rate} Hz differs by {worst}");
        }
    }

    #[test]
    fn absurd_rates_are_refused() {
        assert!(Resampler::new(0, 48_000).is_err());
        assert!(Resampler::new(1_000_000, 48_000).is_err());
    }
}
