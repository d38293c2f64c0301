//! The longest silence in what was heard of a voice that never pauses.
//!
//! Invariant: a frame is silent by what the same ear heard before, not by a number for all.

use std::f64::consts::TAU;

use crate::demo::sound::Recording;
use crate::harness::ms_between;

const RATE_HZ: usize = 48_000;
/// Frames of 5 ms.
const FRAME: usize = 240;
const FRAME_MS: f64 = 5.0;
/// Below this share of what a frame usually has (−20 dB) nothing is heard.
const QUIET: f64 = 0.1;
/// What is heard of the usual loudness: before anything happened.
const USUAL_MS: f64 = 2_000.0;
/// Whoever hears nothing for the last of a call has not survived.
const END_MS: f64 = 500.0;

/// A voice that never pauses: a gliding pitch with its harmonics, a little louder and softer.
#[must_use]
pub fn hum(seconds: usize) -> Recording {
    let mut phase = 0.0;
    let samples = (0..seconds * RATE_HZ).map(|i| {
        let t = i as f64 / RATE_HZ as f64;
        let pitch = 150.0 + 35.0 * (TAU * 0.9 * t).sin() + 10.0 * (TAU * 2.3 * t).sin();
        phase += TAU * pitch / RATE_HZ as f64;
        let loudness = 0.8 + 0.2 * (TAU * 3.7 * t).sin();
        let harmonics: f64 = (1..16).map(|n| (phase * f64::from(n)).sin() / f64::from(n)).sum();
        (0.12 * loudness * harmonics) as f32
    });
    Recording { samples: samples.collect(), sample0_ns: None }
}

/// The longest time in milliseconds, from the moment on, in which nothing was heard; nothing where
/// that has no end, or nothing was heard before.
#[must_use]
pub fn longest(heard: &Recording, from_ns: u64) -> Option<f64> {
    let from_ms = ms_between(heard.sample0_ns?, from_ns);
    let frames: Vec<f64> = heard.samples.chunks_exact(FRAME).map(loudness).collect();
    let at = |ms: f64| ((ms / FRAME_MS).max(0.0) as usize).min(frames.len());
    let mut before = frames[at(from_ms - USUAL_MS)..at(from_ms)].to_vec();
    before.sort_by(f64::total_cmp);
    let usual = before.get(before.len() / 2).copied().filter(|usual| *usual > 0.0)?;
    let after = &frames[at(from_ms)..];
    let is_quiet = |frame: &f64| *frame < QUIET * usual;
    let last_heard = after.iter().rposition(|frame| !is_quiet(frame))?;
    if (after.len() - last_heard) as f64 * FRAME_MS > END_MS {
        return None;
    }
    let runs = after[..last_heard].split(|frame| !is_quiet(frame)).map(<[f64]>::len);
    Some(runs.max().unwrap_or(0) as f64 * FRAME_MS)
}

fn loudness(frame: &[f32]) -> f64 {
    let power: f64 = frame.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    (power / frame.len() as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_NS: u64 = 5_000_000_000;

    fn heard(silent_ms: std::ops::Range<usize>) -> Recording {
        let mut samples = hum(10).samples;
        samples[silent_ms.start * 48..silent_ms.end * 48].fill(0.0);
        Recording { samples, sample0_ns: Some(START_NS) }
    }

    fn after_s(seconds: u64) -> u64 {
        START_NS + seconds * 1_000_000_000
    }

    #[test]
    fn a_gap_is_as_long_as_it_was_made() {
        for long in [20, 200, 1_500] {
            let gap = longest(&heard(5_000..5_000 + long), after_s(4)).unwrap();
            assert!((gap - long as f64).abs() <= 10.0, "{long} ms became {gap} ms");
        }
    }

    #[test]
    fn without_a_gap_there_is_none_and_what_was_before_does_not_count() {
        assert!(longest(&heard(0..1), after_s(4)).unwrap() <= FRAME_MS);
        assert!(longest(&heard(3_000..3_500), after_s(4)).unwrap() <= FRAME_MS);
    }

    #[test]
    fn a_gap_without_an_end_is_no_gap_but_the_end() {
        assert_eq!(longest(&heard(5_000..10_000), after_s(4)), None);
        assert_eq!(longest(&heard(0..10_000), after_s(4)), None);
    }
}
