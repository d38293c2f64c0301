//! The sounds of the phone itself: it rings, it rings elsewhere, it is busy, it was hung up.
//!
//! Made from sines, so that nobody else's recording is in them. The tones of the line are those of
//! the Finnish network (ETSI TR 101 041, 425 Hz); the ring is ours: three bells upwards, twice.
//! Invariant: a sample depends on its place alone, and lies within ±0.6.

use std::f32::consts::TAU;

use crate::frame::{BLOCK_SAMPLES, Block, SAMPLE_RATE_HZ};

/// A sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tune {
    /// Somebody calls.
    Ring,
    /// It rings at theirs.
    RingBack,
    /// They talk to somebody else, or do not want to talk.
    Busy,
    /// The call is over.
    HungUp,
}

/// A bell: when it is struck, in seconds, and its pitch in hertz.
type Stroke = (f32, f32);

/// B4, E5, G♯5: an open chord that small loudspeakers carry.
const RING: &[Stroke] =
    &[(0.0, 493.88), (0.15, 659.26), (0.3, 830.61), (0.9, 493.88), (1.05, 659.26), (1.2, 830.61)];
const FALL: &[Stroke] = &[(0.0, 659.26), (0.13, 493.88)];
/// Partials of a bell: how many times its pitch, how loud.
const PARTIALS: &[(f32, f32)] = &[(1.0, 1.0), (2.0, 0.3), (3.01, 0.12)];
/// A bell fades to a third in this time, seconds.
const FADE_S: f32 = 0.22;
/// From here on a bell is not heard any more, seconds.
const SILENT_AFTER_S: f32 = 6.0 * FADE_S;
/// No click at a beginning or an end, seconds.
const RAMP_S: f32 = 0.005;
const BELL: f32 = 0.3;
/// −20 dBFS: as loud as a voice.
const TONE: f32 = 0.1;
const TONE_HZ: f32 = 425.0;

impl Tune {
    /// How long one round sounds, with the silence at its end: blocks of 10 ms.
    #[must_use]
    pub const fn blocks(self) -> u64 {
        match self {
            Self::Ring => 320,
            Self::RingBack => 500,
            Self::Busy => 160,
            Self::HungUp => 150,
        }
    }

    /// Block `place` of it; rounds follow each other.
    #[must_use]
    pub fn block(self, place: u64) -> Block {
        let first = (place % self.blocks()) as usize * BLOCK_SAMPLES;
        std::array::from_fn(|i| self.sample((first + i) as f32 / SAMPLE_RATE_HZ as f32))
    }

    /// The sample at `at` seconds.
    fn sample(self, at: f32) -> f32 {
        match self {
            Self::Ring => bells(RING, at),
            Self::HungUp => bells(FALL, at),
            Self::RingBack => tone(at, 1.0),
            // Three times 300 ms, then the rest of the round is silent.
            Self::Busy if at < 1.5 => tone(at % 0.6, 0.3),
            Self::Busy => 0.0,
        }
    }
}

fn bells(strokes: &[Stroke], at: f32) -> f32 {
    let heard = strokes.iter().filter(|(struck, _)| (0.0..SILENT_AFTER_S).contains(&(at - struck)));
    heard.map(|(struck, hz)| bell(at - struck, *hz)).sum()
}

fn bell(since: f32, hz: f32) -> f32 {
    let loud = BELL * (since / RAMP_S).min(1.0) * (-since / FADE_S).exp();
    let partial = |(times, share): &(f32, f32)| share * (TAU * hz * times * since).sin();
    loud * PARTIALS.iter().map(partial).sum::<f32>()
}

/// A tone that ends after `long` seconds.
fn tone(at: f32, long: f32) -> f32 {
    let ramp = (at / RAMP_S).min((long - at) / RAMP_S).clamp(0.0, 1.0);
    TONE * ramp * (TAU * TONE_HZ * at).sin()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::{peak_dbfs, rms_dbfs};

    const ALL: [Tune; 4] = [Tune::Ring, Tune::RingBack, Tune::Busy, Tune::HungUp];

    fn round(tune: Tune) -> Vec<f32> {
        (0..tune.blocks()).flat_map(|place| tune.block(place)).collect()
    }

    #[test]
    fn every_sound_is_loud_enough_never_clips_and_ends_in_silence() {
        for tune in ALL {
            let sound = round(tune);
            let peak = peak_dbfs(&sound);
            assert!((-20.5..-4.4).contains(&peak), "{tune:?}: {peak} dBFS");
            assert!(rms_dbfs(&sound[sound.len() - 480..]) < -60.0, "{tune:?} is cut off");
        }
    }

    #[test]
    fn no_sound_clicks() {
        for tune in ALL {
            let twice: Vec<f32> = (0..2 * tune.blocks()).flat_map(|n| tune.block(n)).collect();
            let steepest = twice.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
            assert!(steepest < 0.12, "{tune:?}: {steepest}");
        }
    }

    #[test]
    fn rounds_are_alike() {
        assert_eq!(Tune::Ring.block(3), Tune::Ring.block(3 + Tune::Ring.blocks()));
    }
}
