//! Time-scale modification: leaving out or repeating one pitch period where nobody hears it.
//!
//! Source: WSOLA (Verhelst and Roelands, ICASSP 1993) in the form that NetEq uses: find the lag at
//! which the sound resembles itself best, cross-fade over it.
//! Invariant: either nothing happens, or the length changes by exactly the answered lag and the
//! first and last samples join their neighbours without a step.

/// Shortest lag: 2.5 ms, the period of a voice of 400 Hz.
pub const LAG_MIN: usize = 120;
/// Longest lag: 15 ms, the period of a voice of 67 Hz.
pub const LAG_MAX: usize = 720;
/// The piece that is compared and cross-faded: 5 ms.
pub const FADE: usize = 240;
/// Samples that [`accelerate`] wants to see.
pub const ACCELERATE_NEEDS: usize = LAG_MAX + FADE;
/// Below this mean amplitude (−50 dBFS) any lag will do.
const QUIET_POWER: f32 = 1e-5;
/// Step of the coarse search; 12 kHz is plenty for the pitch.
const COARSE: usize = 4;

/// Leaves one period of at most `most` samples out of the beginning of `pcm` when the sound
/// resembles itself by at least `likeness` (−1…1). Answers how many samples were left out.
pub fn accelerate(pcm: &mut Vec<f32>, likeness: f32, most: usize) -> Option<usize> {
    if pcm.len() < ACCELERATE_NEEDS {
        return None;
    }
    let lag = best_lag(likeness, most, &pcm[..FADE], |lag| &pcm[lag..lag + FADE])?;
    for i in 0..FADE {
        pcm[i] = fade(pcm[i], pcm[i + lag], i);
    }
    pcm.drain(FADE..FADE + lag);
    Some(lag)
}

/// Repeats one period of `history` (what was played last) before the beginning of `pcm`. Answers
/// how many samples were put in.
pub fn decelerate(history: &[f32], pcm: &mut Vec<f32>, likeness: f32) -> Option<usize> {
    if history.len() < LAG_MAX || pcm.len() < FADE {
        return None;
    }
    let joined = [&history[history.len() - LAG_MAX..], &pcm[..FADE]].concat();
    let back = |lag: usize| &joined[LAG_MAX - lag..LAG_MAX - lag + FADE];
    let lag = best_lag(likeness, LAG_MAX, &pcm[..FADE], back)?;
    let repeated: Vec<f32> = (0..lag.max(FADE))
        .map(|i| {
            let old = if i < lag { joined[LAG_MAX - lag + i] } else { pcm[i - lag] };
            if i < FADE { fade(pcm[i], old, i) } else { old }
        })
        .collect();
    // Behind the repeated piece the sound goes on `lag` samples late.
    let resume = repeated.len() - lag;
    pcm.splice(..resume, repeated);
    Some(lag)
}

/// From `a` to `b` along the fade.
fn fade(a: f32, b: f32, i: usize) -> f32 {
    let weight = (i as f32 + 1.0) / (FADE as f32 + 1.0);
    a + (b - a) * weight
}

/// The lag whose piece resembles `reference` best, if well enough.
fn best_lag<'a>(
    likeness: f32,
    most: usize,
    reference: &[f32],
    piece: impl Fn(usize) -> &'a [f32],
) -> Option<usize> {
    let most = most.clamp(LAG_MIN, LAG_MAX);
    let power = |x: &[f32]| x.iter().map(|s| s * s).sum::<f32>() / x.len() as f32;
    if power(reference) < QUIET_POWER && power(piece(most)) < QUIET_POWER {
        return Some(most);
    }
    let score = |lag: usize, step: usize| correlation(reference, piece(lag), step);
    let best = |lags: &mut dyn Iterator<Item = usize>, step: usize| {
        lags.map(|lag| (score(lag, step), lag)).max_by(|a, b| a.0.total_cmp(&b.0))
    };
    let (_, coarse) = best(&mut (LAG_MIN..=most).step_by(COARSE), COARSE)?;
    let near = coarse.saturating_sub(COARSE).max(LAG_MIN)..=(coarse + COARSE).min(most);
    let (found, lag) = best(&mut near.into_iter(), 1)?;
    (found >= likeness).then_some(lag)
}

/// Normalised correlation, −1…1, over every `step`th sample.
fn correlation(a: &[f32], b: &[f32], step: usize) -> f32 {
    let (mut dot, mut power_a, mut power_b) = (0.0_f32, 0.0_f32, 0.0_f32);
    for (x, y) in a.iter().step_by(step).zip(b.iter().step_by(step)) {
        dot += x * y;
        power_a += x * x;
        power_b += y * y;
    }
    dot / (power_a * power_b).sqrt().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::TAU;

    fn voiced(samples: std::ops::Range<usize>) -> Vec<f32> {
        samples
            .map(|i| {
                let phase = i as f32 / 48_000.0 * 140.0 * TAU;
                0.3 * phase.sin() + 0.15 * (2.0 * phase).sin() + 0.1 * (5.0 * phase).sin()
            })
            .collect()
    }

    fn steepest(pcm: &[f32]) -> f32 {
        pcm.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_voiced_sound_loses_whole_periods_without_a_step() {
        let original = voiced(0..2_400);
        let mut pcm = original.clone();
        let lag = accelerate(&mut pcm, 0.85, LAG_MAX).unwrap();
        assert_eq!(pcm.len(), original.len() - lag);
        let periods = lag as f32 * 140.0 / 48_000.0;
        assert!((periods - periods.round()).abs() < 0.05, "{periods} periods");
        assert!(steepest(&pcm) < 1.2 * steepest(&original));
        assert_eq!(pcm.last(), original.last());
    }

    #[test]
    fn a_voiced_sound_gains_whole_periods_without_a_step() {
        let all = voiced(0..3_000);
        let (history, rest) = all.split_at(1_000);
        let mut pcm = rest.to_vec();
        let lag = decelerate(history, &mut pcm, 0.85).unwrap();
        assert_eq!(pcm.len(), rest.len() + lag);
        let mut joined = history.to_vec();
        joined.extend(&pcm);
        assert!(steepest(&joined) < 1.2 * steepest(&all));
        assert_eq!(&pcm[FADE.max(lag)..], &rest[FADE.max(lag) - lag..]);
    }

    #[test]
    fn noise_is_left_alone_and_silence_gives_the_most() {
        let mut state = 1_u32;
        let noise: Vec<f32> = (0..2_400)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 24) as f32 - 0.5
            })
            .collect();
        assert_eq!(accelerate(&mut noise.clone(), 0.85, LAG_MAX), None);
        assert_eq!(accelerate(&mut vec![0.0; 2_400], 0.85, LAG_MAX), Some(LAG_MAX));
        assert_eq!(accelerate(&mut vec![0.0; 2_400], 0.85, 300), Some(300), "as much as wanted");
        assert_eq!(decelerate(&[0.0; 720], &mut vec![0.0; 480], 0.85), Some(LAG_MAX));
    }

    #[test]
    fn too_little_sound_is_left_alone() {
        assert_eq!(accelerate(&mut vec![0.0; ACCELERATE_NEEDS - 1], 0.0, LAG_MAX), None);
        assert_eq!(decelerate(&[0.0; 100], &mut vec![0.0; 480], 0.0), None);
        assert_eq!(decelerate(&[0.0; 720], &mut vec![0.0; FADE - 1], 0.0), None);
    }
}
