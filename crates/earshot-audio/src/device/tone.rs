//! A steady sine: something to hear where there is no voice.

use std::f64::consts::TAU;

use crate::frame::{Block, SAMPLE_RATE_HZ};

/// −20 dBFS peak: as loud as speech, and no pain in a headset.
const AMPLITUDE: f64 = 0.1;

/// The sine and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tone {
    step: f64,
    phase: f64,
}

impl Tone {
    pub(crate) fn new(hz: f32) -> Self {
        Self { step: f64::from(hz) / f64::from(SAMPLE_RATE_HZ), phase: 0.0 }
    }

    pub(crate) fn next_block(&mut self) -> Block {
        std::array::from_fn(|_| {
            let sample = (AMPLITUDE * (TAU * self.phase).sin()) as f32;
            self.phase = (self.phase + self.step).fract();
            sample
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::rms_dbfs;

    #[test]
    fn a_tone_runs_on_over_the_blocks() {
        let mut tone = Tone::new(1_000.0);
        let sound: Vec<f32> = (0..10).flat_map(|_| tone.next_block()).collect();
        let crossings = sound.windows(2).filter(|w| w[0] < 0.0 && w[1] >= 0.0).count();
        assert!((99..=100).contains(&crossings), "{crossings}");
        assert!((rms_dbfs(&sound) + 23.0).abs() < 0.1);
    }
}
