//! STOI: how much of a clean voice can still be understood after it went through something.
//!
//! Source: C. H. Taal, R. C. Hendriks, R. Heusdens, J. Jensen, "An Algorithm for Intelligibility
//! Prediction of Time-Frequency Weighted Noisy Speech", IEEE TASLP 19 (2011); details that the
//! paper leaves open follow `pystoi` 0.4.1, with which `tests/vectors/stoi.json` was made.
//! Invariant: 1 for identical signals, near 0 for unrelated ones; the louder of the two does not
//! win, since levels are normalised.

use earshot_audio::resample::Resampler;

/// The paper's sample rate.
const RATE_HZ: u32 = 10_000;
/// 25.6 ms per frame, half overlapping.
const FRAME: usize = 256;
const HOP: usize = FRAME / 2;
const FFT: usize = 512;
/// One-third octaves from 150 Hz on.
const BANDS: usize = 15;
const LOWEST_HZ: f64 = 150.0;
/// Frames per segment: 384 ms.
const SEGMENT: usize = 30;
/// Lower bound of the signal-to-distortion ratio: −15 dB.
const CLIP: f64 = 5.623_413_251_903_491;
/// Frames quieter than the loudest by more than this are not speech.
const DYNAMIC_RANGE_DB: f64 = 40.0;

/// A band's energy in each frame.
type Bands = [f64; BANDS];

/// The intelligibility of `heard` against `clean`, both at `rate_hz` and aligned to the sample. The
/// longer one is cut. `None` when less than 384 ms of speech is left or the rate is unusable.
pub fn stoi(clean: &[f32], heard: &[f32], rate_hz: u32) -> Option<f64> {
    let length = clean.len().min(heard.len());
    let clean = at_paper_rate(&clean[..length], rate_hz)?;
    let heard = at_paper_rate(&heard[..length], rate_hz)?;
    let (clean, heard) = without_silence(&clean, &heard);
    let (clean, heard) = (spectrogram(&clean), spectrogram(&heard));
    if clean.len() < SEGMENT {
        return None;
    }
    let segments = clean.windows(SEGMENT).zip(heard.windows(SEGMENT));
    let sum: f64 =
        segments.map(|(x, y)| (0..BANDS).map(|band| similarity(x, y, band)).sum::<f64>()).sum();
    Some(sum / ((clean.len() - SEGMENT + 1) * BANDS) as f64)
}

fn at_paper_rate(sound: &[f32], rate_hz: u32) -> Option<Vec<f64>> {
    if rate_hz == RATE_HZ {
        return Some(sound.iter().copied().map(f64::from).collect());
    }
    let mut out = Vec::new();
    let mut resampler = Resampler::new(rate_hz, RATE_HZ).ok()?;
    resampler.push(sound, &mut out);
    // Silence behind the end brings out what the filter still holds.
    resampler.push(&vec![0.0; rate_hz as usize / 10], &mut out);
    out.truncate((sound.len() as u64 * u64::from(RATE_HZ)).div_ceil(u64::from(rate_hz)) as usize);
    Some(out.into_iter().map(f64::from).collect())
}

fn hann() -> [f64; FRAME] {
    std::array::from_fn(|i| {
        let turn = (i + 1) as f64 / (FRAME + 1) as f64;
        0.5 - 0.5 * (std::f64::consts::TAU * turn).cos()
    })
}

/// Where frames begin; the last one ends before the end, as in the reference.
fn frames(length: usize) -> impl Iterator<Item = usize> {
    (0..length.saturating_sub(FRAME)).step_by(HOP)
}

/// Leaves out the frames in which the clean voice is silent, and joins the rest by overlapping.
fn without_silence(clean: &[f64], heard: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let window = hann();
    let loudness = |start: usize| {
        let power: f64 = (0..FRAME).map(|i| (window[i] * clean[start + i]).powi(2)).sum();
        20.0 * (power.sqrt() + f64::EPSILON).log10()
    };
    let levels: Vec<(usize, f64)> =
        frames(clean.len()).map(|start| (start, loudness(start))).collect();
    let loudest = levels.iter().map(|(_, level)| *level).fold(f64::MIN, f64::max);
    let kept: Vec<usize> = levels
        .into_iter()
        .filter(|(_, level)| loudest - DYNAMIC_RANGE_DB - level < 0.0)
        .map(|(start, _)| start)
        .collect();
    let join = |sound: &[f64]| {
        let mut joined = vec![0.0; kept.len().saturating_sub(1) * HOP + FRAME];
        for (n, start) in kept.iter().enumerate() {
            for i in 0..FRAME {
                joined[n * HOP + i] += window[i] * sound[start + i];
            }
        }
        joined
    };
    (join(clean), join(heard))
}

fn spectrogram(sound: &[f64]) -> Vec<Bands> {
    let window = hann();
    let edges = band_edges();
    frames(sound.len())
        .map(|start| {
            let mut real = [0.0; FFT];
            let mut imaginary = [0.0; FFT];
            for i in 0..FRAME {
                real[i] = window[i] * sound[start + i];
            }
            fft(&mut real, &mut imaginary);
            std::array::from_fn(|band| {
                let (low, high) = edges[band];
                let power: f64 = (low..high).map(|k| real[k].powi(2) + imaginary[k].powi(2)).sum();
                power.sqrt()
            })
        })
        .collect()
}

/// The first bin and the one behind the last of each band.
fn band_edges() -> [(usize, usize); BANDS] {
    let nearest = |hz: f64| (hz * FFT as f64 / f64::from(RATE_HZ)).round() as usize;
    std::array::from_fn(|band| {
        let octaves = |sixths: f64| LOWEST_HZ * (sixths / 6.0).exp2();
        let sixths = 2.0 * band as f64;
        (nearest(octaves(sixths - 1.0)), nearest(octaves(sixths + 1.0)))
    })
}

/// In-place radix-2 Fourier transform (Cooley and Tukey 1965).
fn fft(real: &mut [f64; FFT], imaginary: &mut [f64; FFT]) {
    for i in 0..FFT {
        let mirrored = i.reverse_bits() >> (usize::BITS - FFT.trailing_zeros());
        if i < mirrored {
            real.swap(i, mirrored);
            imaginary.swap(i, mirrored);
        }
    }
    let mut half = 1;
    while half < FFT {
        for offset in 0..half {
            let angle = -std::f64::consts::PI * offset as f64 / half as f64;
            let (sin, cos) = angle.sin_cos();
            for a in (offset..FFT).step_by(2 * half) {
                let b = a + half;
                let re = real[b] * cos - imaginary[b] * sin;
                let im = real[b] * sin + imaginary[b] * cos;
                (real[b], imaginary[b]) = (real[a] - re, imaginary[a] - im);
                (real[a], imaginary[a]) = (real[a] + re, imaginary[a] + im);
            }
        }
        half *= 2;
    }
}

/// How one band of one segment resembles the clean one: the correlation of their envelopes, after
/// levelling and clipping.
fn similarity(clean: &[Bands], heard: &[Bands], band: usize) -> f64 {
    let norm = |v: &[f64; SEGMENT]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    let centred = |v: [f64; SEGMENT]| {
        let mean = v.iter().sum::<f64>() / SEGMENT as f64;
        let mut centred = v.map(|x| x - mean);
        let length = norm(&centred) + f64::EPSILON;
        centred.iter_mut().for_each(|x| *x /= length);
        centred
    };
    let x: [f64; SEGMENT] = std::array::from_fn(|i| clean[i][band]);
    let y: [f64; SEGMENT] = std::array::from_fn(|i| heard[i][band]);
    let gain = norm(&x) / (norm(&y) + f64::EPSILON);
    let y = std::array::from_fn(|i| (y[i] * gain).min(x[i] * (1.0 + CLIP)));
    centred(x).iter().zip(&centred(y)).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::{clipped, speech, with_dropouts, with_noise};

    #[derive(serde::Deserialize)]
    struct Row {
        rate: u32,
        seed: u64,
        seconds: usize,
        kind: String,
        amount: f64,
        stoi: f64,
    }

    #[test]
    fn the_reference_implementation_agrees() {
        let rows: Vec<Row> = serde_json::from_str(include_str!("../vectors/stoi.json")).unwrap();
        assert!(rows.len() >= 12);
        for Row { rate, seed, seconds, kind, amount, stoi: expected } in rows {
            let clean = speech(seed, seconds, rate);
            let heard = match kind.as_str() {
                "none" => clean.clone(),
                "noise" => with_noise(&clean, seed + 100, amount as f32),
                "clip" => clipped(&clean, amount as f32),
                "dropouts" => with_dropouts(&clean, seed + 100, rate as usize / 50, amount),
                other => panic!("unknown damage {other}"),
            };
            let got = stoi(&clean, &heard, rate).unwrap();
            // At 48 kHz the reference resamples by another filter.
            let allowed = if rate == RATE_HZ { 1e-4 } else { 5e-3 };
            assert!(
                (got - expected).abs() < allowed,
                "{kind} {amount} at {rate} Hz: {got}, the reference says {expected}"
            );
        }
    }

    #[test]
    fn another_voice_is_not_understood_and_loudness_does_not_matter() {
        let clean = speech(1, 3, 48_000);
        assert!(stoi(&clean, &speech(2, 3, 48_000), 48_000).unwrap() < 0.35);
        let quiet: Vec<f32> = clean.iter().map(|x| x * 0.01).collect();
        assert!(stoi(&clean, &quiet, 48_000).unwrap() > 0.999);
    }

    #[test]
    fn too_little_speech_has_no_figure() {
        assert_eq!(stoi(&[0.1; 1_000], &[0.1; 1_000], RATE_HZ), None);
        assert_eq!(stoi(&[], &[], 48_000), None);
        assert_eq!(stoi(&[0.1; 1_000], &[0.1; 1_000], 1), None);
    }
}
