//! How well one heard what the other said: judged from the two recordings and their time stamps
//! alone, so that anybody can do it again from the files.

use std::path::Path;

use earshot_audio::device::{sidecar_path, wav_source::WavSource};
use earshot_audio::frame::{BLOCK_SAMPLES, SAMPLE_RATE_HZ};

use crate::align;
use crate::stoi::stoi;

/// Samples in a millisecond.
const PER_MS: f64 = SAMPLE_RATE_HZ as f64 / 1_000.0;
/// Delays that are looked for. The demo passes from 0 to 500 ms; beyond both ends there is room
/// to see that it does not.
const DELAYS_MS: std::ops::RangeInclusive<f64> = -50.0..=600.0;
/// Windows of half a second in which the delay is looked for.
const WINDOW: usize = SAMPLE_RATE_HZ as usize / 2;
const WINDOWS: usize = 24;
/// With fewer a delay is no figure. INTERFACES 1.
pub const WINDOWS_MIN: usize = 10;

/// A recording at 48 kHz, mono, and the moment of its first sample if that was noted.
#[derive(Clone, Debug)]
pub struct Recording {
    /// −1 to 1.
    pub samples: Vec<f32>,
    /// On CLOCK_MONOTONIC.
    pub sample0_ns: Option<u64>,
}

impl Recording {
    /// Reads a WAV of any kind that a microphone may be, and the note beside it.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn read(path: &Path) -> Result<Self, String> {
        let unreadable = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let wav = hound::WavReader::open(path).map_err(|error| unreadable(&error))?;
        let ratio = f64::from(SAMPLE_RATE_HZ) / f64::from(wav.spec().sample_rate);
        let length = (f64::from(wav.duration()) * ratio) as usize;
        let mut source = WavSource::open(path).map_err(|error| unreadable(&error))?;
        let mut samples = Vec::with_capacity(length + BLOCK_SAMPLES);
        while samples.len() < length {
            samples.extend(source.next_block().map_err(|error| unreadable(&error))?);
        }
        samples.truncate(length);
        Ok(Self { samples, sample0_ns: sample0_ns(path) })
    }

    /// Writes it as 48 kHz mono 16 bit.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: SAMPLE_RATE_HZ,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let write = || {
            let mut wav = hound::WavWriter::create(path, spec)?;
            for sample in &self.samples {
                wav.write_sample((sample * 32_767.0).round() as i16)?;
            }
            wav.finalize()
        };
        write().map_err(|error: hound::Error| format!("{}: {error}", path.display()))
    }

    /// The moment of its first sample that is not silence: nothing that was not decoded from a
    /// packet sounds.
    #[must_use]
    pub fn first_sound_ns(&self) -> Option<u64> {
        let first = self.samples.iter().position(|sample| *sample != 0.0)?;
        Some(self.sample0_ns? + (first as f64 / PER_MS * 1e6) as u64)
    }
}

fn sample0_ns(wav: &Path) -> Option<u64> {
    let note = std::fs::read(sidecar_path(wav)).ok()?;
    serde_json::from_slice::<serde_json::Value>(&note).ok()?["sample0_monotonic_ns"].as_u64()
}

/// One way of the call, judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// From mouth to ear, of each window that was found again, ms.
    pub delays_ms: Vec<f64>,
    /// Intelligibility at the median of these delays; absent if nothing was found again.
    pub stoi: Option<f64>,
    /// Length of what was heard over the length of what was said.
    pub length_ratio: f64,
}

impl Judgement {
    /// Compares what was said with what was heard.
    #[must_use]
    pub fn of(said: &Recording, heard: &Recording) -> Self {
        let length_ratio = heard.samples.len() as f64 / said.samples.len().max(1) as f64;
        let (Some(said_ns), Some(heard_ns)) = (said.sample0_ns, heard.sample0_ns) else {
            return Self { delays_ms: Vec::new(), stoi: None, length_ratio };
        };
        let apart = (i128::from(heard_ns) - i128::from(said_ns)) as f64 / 1e6;
        let lag_of = |delay_ms: f64| ((delay_ms - apart) * PER_MS) as i64;
        let lags = lag_of(*DELAYS_MS.start())..=lag_of(*DELAYS_MS.end());
        let found = align::windows(&said.samples, &heard.samples, WINDOWS, WINDOW, lags);
        let delays_ms = found.iter().map(|found| apart + found.lag as f64 / PER_MS).collect();
        let stoi = align::median_lag(&found).and_then(|lag| {
            let aligned = align::shifted(&heard.samples, lag, said.samples.len());
            stoi(&said.samples, &aligned, SAMPLE_RATE_HZ)
        });
        Self { delays_ms, stoi, length_ratio }
    }

    /// The delay in the middle, if enough windows were found.
    #[must_use]
    pub fn delay_ms(&self) -> Option<f64> {
        (self.delays_ms.len() >= WINDOWS_MIN).then(|| median(&self.delays_ms))?
    }
}

/// The number in the middle.
#[must_use]
pub fn median(numbers: &[f64]) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::Scratch;
    use crate::speech::{speech, with_noise};

    const START_NS: u64 = 7_000_000_000;

    fn said() -> Recording {
        Recording { samples: speech(11, 8, SAMPLE_RATE_HZ), sample0_ns: Some(START_NS) }
    }

    /// Heard after so many ms, by a recorder that was started 30 ms after the speaker.
    fn heard_after(said: &Recording, delay_ms: i64) -> Recording {
        let lag = (delay_ms - 30) * 48;
        let samples = align::shifted(&said.samples, -lag, said.samples.len());
        Recording {
            samples: with_noise(&samples, 5, 0.001),
            sample0_ns: Some(START_NS + 30_000_000),
        }
    }

    #[test]
    fn the_delay_comes_from_both_time_stamps_and_the_lag() {
        let said = said();
        for delay_ms in [5, 62, 480] {
            let judged = Judgement::of(&said, &heard_after(&said, delay_ms));
            let delay = judged.delay_ms().unwrap();
            assert!((delay - delay_ms as f64).abs() < 0.1, "{delay} is not {delay_ms}");
            // The last 480 ms are cut off.
            assert!(judged.stoi.unwrap() > 0.95, "{judged:?}");
            assert!((judged.length_ratio - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn fifty_milliseconds_of_silence_before_what_was_heard_are_fifty_more() {
        let said = said();
        let mut heard = heard_after(&said, 60);
        let before = Judgement::of(&said, &heard).delay_ms().unwrap();
        heard.samples.splice(0..0, [0.0; 50 * 48]);
        let after = Judgement::of(&said, &heard).delay_ms().unwrap();
        assert!((after - before - 50.0).abs() < 5.0, "{before} {after}");
    }

    #[test]
    fn silence_a_stranger_and_a_missing_note_have_no_figure() {
        let said = said();
        let mut heard = heard_after(&said, 60);
        heard.sample0_ns = None;
        assert_eq!(Judgement::of(&said, &heard).delay_ms(), None);
        let silence = Recording { samples: vec![0.0; 8 * 48_000], sample0_ns: Some(START_NS) };
        assert_eq!(silence.first_sound_ns(), None);
        let stranger = Recording { samples: speech(12, 8, 48_000), sample0_ns: Some(START_NS) };
        for heard in [silence, stranger] {
            let judged = Judgement::of(&said, &heard);
            assert_eq!((judged.delay_ms(), judged.stoi.filter(|stoi| *stoi > 0.5)), (None, None));
        }
    }

    #[test]
    fn the_first_sound_is_the_first_sample_that_is_not_zero() {
        let mut heard = Recording { samples: vec![0.0; 48_000], sample0_ns: Some(START_NS) };
        heard.samples[480] = -1e-4;
        assert_eq!(heard.first_sound_ns(), Some(START_NS + 10_000_000));
    }

    #[test]
    fn what_was_written_is_read_again_with_its_note() {
        let scratch = Scratch::new("recording").unwrap();
        let path = scratch.join("a.wav");
        let said = said();
        said.write(&path).unwrap();
        std::fs::write(scratch.join("a.json"), "{\"sample0_monotonic_ns\":7000000000}").unwrap();
        let read = Recording::read(&path).unwrap();
        assert_eq!((read.samples.len(), read.sample0_ns), (said.samples.len(), said.sample0_ns));
        let pairs = read.samples.iter().zip(&said.samples);
        assert!(pairs.clone().all(|(a, b)| (a - b).abs() < 1e-4));
        assert!(Recording::read(&scratch.join("none.wav")).is_err());
    }
}
