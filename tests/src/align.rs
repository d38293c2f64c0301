//! By how many samples one recording lags behind another.
//!
//! Source: normalised cross-correlation, first on every sixth sample (smoothed) to find the place,
//! then on every sample around it.
//! Invariant: a lag `l` means that `heard[i + l]` is `spoken[i]`; what is silent or resembles
//! nothing has no lag rather than a wrong one.

use std::ops::RangeInclusive;

/// Coarse search on 8 kHz when the sound is at 48 kHz.
const COARSE: usize = 6;
/// A window quieter than −50 dBFS says nothing.
const QUIET_RMS: f64 = 0.003;
/// Below this correlation two pieces are not the same sound.
const LIKENESS_MIN: f64 = 0.5;

/// Where a piece was found again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    /// First sample of the piece in `spoken`.
    pub at: usize,
    /// Samples by which it lags in `heard`.
    pub lag: i64,
    /// Normalised correlation, up to 1.
    pub likeness: f64,
}

/// Finds `spoken[at..at + window]` again in `heard`, at one of `lags`.
pub fn find(
    spoken: &[f32],
    heard: &[f32],
    at: usize,
    window: usize,
    lags: RangeInclusive<i64>,
) -> Option<Match> {
    let piece = spoken.get(at..at + window)?;
    if (power(piece) / window.max(1) as f64).sqrt() < QUIET_RMS {
        return None;
    }
    let first = at as i64 + lags.start();
    let last = at as i64 + lags.end();
    let coarse_piece = thinned(piece, 0, window / COARSE);
    let places = usize::try_from((last - first) / COARSE as i64 + 1).ok()?;
    let coarse_heard = thinned(heard, first, places + window / COARSE);
    let best = best_place(&coarse_piece, &coarse_heard)?.0;
    let near = first + (best * COARSE) as i64 - 2 * COARSE as i64;
    let fine_heard: Vec<f32> =
        (near..near + (window + 4 * COARSE) as i64).map(|i| sample(heard, i)).collect();
    let (place, likeness) = best_place(piece, &fine_heard)?;
    let lag = near + place as i64 - at as i64;
    (likeness >= LIKENESS_MIN).then_some(Match { at, lag, likeness })
}

/// Finds as many windows again as can be: `count` of them spread evenly over `spoken`, without the
/// silent and the lost.
pub fn windows(
    spoken: &[f32],
    heard: &[f32],
    count: usize,
    window: usize,
    lags: RangeInclusive<i64>,
) -> Vec<Match> {
    let room = spoken.len().saturating_sub(window);
    (0..count)
        .map(|n| room * n / count.max(1))
        .filter_map(|at| find(spoken, heard, at, window, lags.clone()))
        .collect()
}

/// The lag in the middle of all.
pub fn median_lag(matches: &[Match]) -> Option<i64> {
    let mut lags: Vec<i64> = matches.iter().map(|found| found.lag).collect();
    lags.sort_unstable();
    lags.get(lags.len() / 2).copied()
}

/// `heard` moved so that it lies under `spoken`: `lag` samples earlier, silence where there is
/// none.
pub fn shifted(heard: &[f32], lag: i64, length: usize) -> Vec<f32> {
    (lag..lag + length as i64).map(|i| sample(heard, i)).collect()
}

/// A lag that differs from the one before by less, 1 ms at 48 kHz, is the same: finding it is no
/// more exact.
const SAME_LAG: i64 = 48;
/// Above this correlation no better place is looked for.
const LIKENESS_SURE: f64 = 0.8;

/// `heard` moved so that each piece of `window` samples lies under the one that was spoken: the
/// delay may change on the way, as a jitter buffer changes it. A piece that is not found again has
/// the lag of the one before.
pub fn followed(
    spoken: &[f32],
    heard: &[f32],
    window: usize,
    lags: RangeInclusive<i64>,
) -> Option<Vec<f32>> {
    let starts = || (0..spoken.len()).step_by(window.max(1));
    let anywhere = |at| find(spoken, heard, at, window, lags.clone());
    let mut lag = starts().find_map(anywhere)?.lag;
    let pieces = starts().map(|at| {
        // Most pieces lie where the one before lay, and looking there only is quick.
        let near = find(spoken, heard, at, window, lag - SAME_LAG..=lag + SAME_LAG);
        let near = near.filter(|found| found.likeness > LIKENESS_SURE);
        let found = near.or_else(|| anywhere(at)).map(|found| found.lag);
        lag = found.filter(|found| found.abs_diff(lag) > SAME_LAG as u64).unwrap_or(lag);
        let length = window.min(spoken.len() - at);
        shifted(heard, lag + at as i64, length)
    });
    Some(pieces.flatten().collect())
}

fn sample(sound: &[f32], at: i64) -> f32 {
    usize::try_from(at).ok().and_then(|i| sound.get(i)).copied().unwrap_or(0.0)
}

fn power(sound: &[f32]) -> f64 {
    sound.iter().map(|x| f64::from(*x).powi(2)).sum()
}

/// `count` means of [`COARSE`] samples each, from `first` on.
fn thinned(sound: &[f32], first: i64, count: usize) -> Vec<f32> {
    (0..count as i64)
        .map(|n| {
            let start = first + n * COARSE as i64;
            (start..start + COARSE as i64).map(|i| sample(sound, i)).sum::<f32>() / COARSE as f32
        })
        .collect()
}

/// Where `piece` fits best in `sound`, and how well.
fn best_place(piece: &[f32], sound: &[f32]) -> Option<(usize, f64)> {
    let places = (sound.len() + 1).checked_sub(piece.len())?;
    let piece_power = power(piece);
    let mut under = power(&sound[..piece.len()]);
    let mut best: Option<(usize, f64)> = None;
    for place in 0..places {
        let there = &sound[place..place + piece.len()];
        let dot: f32 = piece.iter().zip(there).map(|(a, b)| a * b).sum();
        let likeness = f64::from(dot) / (piece_power * under.max(1e-9)).sqrt();
        if best.is_none_or(|(_, most)| likeness > most) {
            best = Some((place, likeness));
        }
        let entering = sound.get(place + piece.len()).copied().unwrap_or(0.0);
        under += f64::from(entering).powi(2) - f64::from(there[0]).powi(2);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::{speech, with_noise};

    const HALF_SECOND: usize = 24_000;

    #[test]
    fn a_shifted_voice_is_found_to_the_sample_even_in_noise() {
        let spoken = speech(3, 3, 48_000);
        for lag in [-700, 0, 1, 5, 3_333] {
            let heard = with_noise(&shifted(&spoken, -lag, spoken.len() + 5_000), 4, 0.02);
            let found = find(&spoken, &heard, 48_000, HALF_SECOND, -2_400..=24_000).unwrap();
            assert_eq!(found.lag, lag);
            assert!(found.likeness > 0.8);
        }
    }

    #[test]
    fn the_middle_of_many_windows_does_not_mind_a_jump() {
        let spoken = speech(5, 6, 48_000);
        let mut heard = shifted(&spoken, -2_000, spoken.len());
        let jumped = shifted(&spoken, -2_400, spoken.len());
        heard[240_000..].copy_from_slice(&jumped[240_000..]);
        let found = windows(&spoken, &heard, 12, HALF_SECOND, 0..=24_000);
        assert!(found.len() >= 10, "{}", found.len());
        assert_eq!(median_lag(&found), Some(2_000));
        assert_eq!(found.last().map(|m| m.lag), Some(2_400));
    }

    #[test]
    fn a_delay_that_changes_on_the_way_is_followed_and_a_hair_is_not() {
        let spoken = speech(5, 6, 48_000);
        let mut heard = shifted(&spoken, -2_000, spoken.len() + 10_000);
        for (from, lag) in [(98_000, 2_020), (148_000, 6_000)] {
            let jumped = shifted(&spoken, -lag, heard.len());
            heard[from..].copy_from_slice(&jumped[from..]);
        }
        let moved = followed(&spoken, &heard, HALF_SECOND, 0..=24_000).unwrap();
        assert_eq!(moved.len(), spoken.len());
        assert!(moved[..96_000] == spoken[..96_000]);
        assert!(moved[96_020..120_000] == spoken[96_000..119_980], "a hair");
        assert!(moved[168_000..] == spoken[168_000..]);
        assert_eq!(followed(&spoken, &[0.0; 48_000], HALF_SECOND, 0..=100), None);
    }

    #[test]
    fn silence_and_strangers_have_no_lag() {
        let spoken = speech(6, 2, 48_000);
        let stranger = speech(7, 2, 48_000);
        assert_eq!(find(&spoken, &stranger, 10_000, HALF_SECOND, 0..=24_000), None);
        assert_eq!(find(&[0.0; 48_000], &spoken, 0, HALF_SECOND, 0..=2_400), None);
        assert_eq!(find(&spoken, &[], 0, HALF_SECOND, 0..=2_400), None);
        assert_eq!(find(&spoken, &spoken, 95_000, HALF_SECOND, 0..=2_400), None);
        assert_eq!(median_lag(&[]), None);
    }
}
