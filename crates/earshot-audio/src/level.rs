//! How loud: decibels relative to full scale (dBFS), for level meters and for finding quiet
//! moments.
//!
//! 0 dBFS is a signal whose samples are ±1 throughout, so a full-scale sine reads −3 dB.
//! Invariant: a level lies in [`FLOOR_DBFS`] … 0, also for samples that are not numbers.

use crate::frame::Block;

/// What silence reads. Our choice: below the noise floor of 16-bit sound (−98 dB).
pub const FLOOR_DBFS: f32 = -100.0;

/// How many dB a meter falls per block of 10 ms once the sound ends: 20 dB in about half a second,
/// near the return time of a peak programme meter (IEC 60268-10: 20 dB in 1.5 to 1.7 s), but
/// quicker, since a window and not an engineer looks at it.
const METER_FALL_DB_PER_BLOCK: f32 = 0.4;

/// Mean power of `samples` as dBFS.
pub fn rms_dbfs(samples: &[f32]) -> f32 {
    if samples.is_empty() {
        return FLOOR_DBFS;
    }
    let power = samples.iter().map(|x| x * x).sum::<f32>() / samples.len() as f32;
    decibels(power.sqrt())
}

/// The largest sample of `samples` as dBFS.
pub fn peak_dbfs(samples: &[f32]) -> f32 {
    decibels(samples.iter().fold(0.0, |peak, x| x.abs().max(peak)))
}

fn decibels(amplitude: f32) -> f32 {
    if !amplitude.is_finite() {
        return 0.0;
    }
    (20.0 * amplitude.max(1e-10).log10()).clamp(FLOOR_DBFS, 0.0)
}

/// A needle: jumps up at once, falls slowly.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    shown_dbfs: f32,
}

impl Default for Meter {
    fn default() -> Self {
        Self { shown_dbfs: FLOOR_DBFS }
    }
}

impl Meter {
    /// Takes the next 10 ms.
    pub fn feed(&mut self, block: &Block) {
        let fallen = (self.shown_dbfs - METER_FALL_DB_PER_BLOCK).max(FLOOR_DBFS);
        self.shown_dbfs = rms_dbfs(block).max(fallen);
    }

    /// What the needle shows, dBFS.
    pub const fn dbfs(&self) -> f32 {
        self.shown_dbfs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::SILENT_BLOCK;

    #[test]
    fn full_scale_is_zero_and_silence_is_the_floor() {
        assert_eq!(rms_dbfs(&[1.0; 480]), 0.0);
        assert_eq!(peak_dbfs(&[0.5, -1.0]), 0.0);
        assert_eq!(rms_dbfs(&SILENT_BLOCK), FLOOR_DBFS);
        assert_eq!(rms_dbfs(&[]), FLOOR_DBFS);
        assert_eq!(rms_dbfs(&[f32::NAN; 3]), 0.0);
    }

    #[test]
    fn half_the_amplitude_is_six_decibels_less() {
        assert!((rms_dbfs(&[0.5; 480]) + 6.02).abs() < 0.01);
    }

    #[test]
    fn a_meter_jumps_up_and_falls_slowly() {
        let mut meter = Meter::default();
        meter.feed(&[1.0; 480]);
        assert_eq!(meter.dbfs(), 0.0);
        for _ in 0..50 {
            meter.feed(&SILENT_BLOCK);
        }
        assert!((meter.dbfs() + 20.0).abs() < 0.1, "{}", meter.dbfs());
    }
}
