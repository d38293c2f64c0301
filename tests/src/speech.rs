//! An artificial voice and what a bad line does to it, the same everywhere from the same seed.
//!
//! For checks that need something like speech where none may be committed: syllables of a gliding
//! pitch with formant-like harmonics, pauses with faint noise between. `tests/vectors/stoi.py`
//! makes the same signals for the reference values.

use std::f64::consts::{PI, TAU};

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Numbers that follow from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next number between 0 and 1, neither of them.
    pub const fn unit(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }
}

/// `seconds` of voice at `rate_hz`, about −25 dBFS.
pub fn speech(seed: u64, seconds: usize, rate_hz: u32) -> Vec<f32> {
    let rate = f64::from(rate_hz);
    let length = seconds * rate_hz as usize;
    let mut dice = Dice::new(seed);
    let mut sound = Vec::with_capacity(length + rate_hz as usize);
    let mut phase = 0.0;
    while sound.len() < length {
        let syllable = (0.08 + 0.25 * dice.unit()) * rate;
        let (from, to) = (100.0 + 80.0 * dice.unit(), 100.0 + 80.0 * dice.unit());
        let formants = [300.0 + 500.0 * dice.unit(), 900.0 + 1_500.0 * dice.unit()];
        let gains: Vec<f64> = (1..25)
            .map(|harmonic| {
                let pitch = (from + to) / 2.0 * f64::from(harmonic);
                let near = |formant: &f64| (-((pitch - formant) / 150.0).powi(2)).exp();
                0.02 + formants.iter().map(near).sum::<f64>()
            })
            .collect();
        for i in 0..syllable as usize {
            let along = i as f64 / syllable;
            phase += (from + (to - from) * along) / rate;
            let harmonics: f64 = (1..)
                .zip(&gains)
                .map(|(harmonic, gain)| gain * (TAU * phase * f64::from(harmonic)).sin())
                .sum();
            sound.push((0.2 * (along * PI).sin() * harmonics) as f32);
        }
        let pause = (0.15 * dice.unit() * rate) as usize;
        sound.extend((0..pause).map(|_| ((dice.unit() - 0.5) * 1e-3) as f32));
    }
    sound.truncate(length);
    sound
}

/// Adds white noise of at most `peak` (−`peak` … `peak`).
pub fn with_noise(sound: &[f32], seed: u64, peak: f32) -> Vec<f32> {
    let mut dice = Dice::new(seed);
    sound.iter().map(|x| x + peak * (2.0 * dice.unit() - 1.0) as f32).collect()
}

/// Cuts everything beyond ±`limit`.
pub fn clipped(sound: &[f32], limit: f32) -> Vec<f32> {
    sound.iter().map(|x| x.clamp(-limit, limit)).collect()
}

/// Silences pieces of `piece` samples, each with the given chance.
pub fn with_dropouts(sound: &[f32], seed: u64, piece: usize, chance: f64) -> Vec<f32> {
    let mut dice = Dice::new(seed);
    let mut out = sound.to_vec();
    for part in out.chunks_mut(piece) {
        if dice.unit() < chance {
            part.fill(0.0);
        }
    }
    out
}
