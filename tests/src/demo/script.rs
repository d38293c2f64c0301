//! What Alice and Bob say: recorded phrases, a different order for each.
//!
//! Both are sounding from their first sample on: faint noise lies under all, as in any room, so
//! that the first sound heard is the first packet and not the first word. The last
//! [`PAUSE_SECONDS`] hold nothing else, so that hanging up cuts no word.

use std::path::{Path, PathBuf};

use earshot_audio::frame::SAMPLE_RATE_HZ;

use super::sound::Recording;
use crate::speech::with_noise;

/// Recorded phrases that come with alsa-utils.
const PHRASES: &str = "/usr/share/sounds/alsa";
/// The one file there that nobody says.
const NO_PHRASE: &str = "Noise.wav";
/// Faint: −66 dBFS at its peaks.
const ROOM_PEAK: f32 = 0.000_5;
/// Silence after the last word: more than the way from mouth to ear.
const PAUSE_SECONDS: f64 = 0.4;

/// The texts of both.
#[derive(Debug)]
pub struct Script {
    /// Alice's.
    pub alice: Recording,
    /// Bob's.
    pub bob: Recording,
}

impl Script {
    /// `seconds` for each, from the given recording or from the system's phrases.
    ///
    /// # Errors
    /// What is missing, for people.
    pub fn of(speech: Option<&Path>, seconds: u32) -> Result<Self, String> {
        let phrases = match speech {
            Some(path) => halves(Recording::read(path)?.samples),
            None => recorded()?,
        };
        if phrases.iter().all(|phrase| phrase.is_empty()) {
            return Err("the recording is empty".to_owned());
        }
        let backwards = phrases.iter().rev().cloned().collect::<Vec<_>>();
        Ok(Self { alice: spoken(&phrases, seconds, 1), bob: spoken(&backwards, seconds, 2) })
    }
}

/// A recording in two pieces, so that Bob can begin with the second.
fn halves(mut samples: Vec<f32>) -> Vec<Vec<f32>> {
    let second = samples.split_off(samples.len() / 2);
    vec![samples, second]
}

/// The phrases of the system, in the order of their names.
pub(crate) fn recorded() -> Result<Vec<Vec<f32>>, String> {
    let missing = |error: &dyn std::fmt::Display| format!("{PHRASES}: {error}");
    let listed = std::fs::read_dir(PHRASES).map_err(|error| missing(&error))?;
    let mut paths: Vec<PathBuf> = listed
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "wav"))
        .filter(|path| path.file_name().is_some_and(|name| name != NO_PHRASE))
        .collect();
    paths.sort();
    if paths.is_empty() {
        return Err(missing(&"no recordings"));
    }
    paths.iter().map(|path| Recording::read(path).map(|read| read.samples)).collect()
}

fn spoken(phrases: &[Vec<f32>], seconds: u32, seed: u64) -> Recording {
    let length = seconds as usize * SAMPLE_RATE_HZ as usize;
    let words = length - (PAUSE_SECONDS * f64::from(SAMPLE_RATE_HZ)) as usize;
    let mut samples: Vec<f32> = phrases.iter().cycle().flatten().copied().take(words).collect();
    samples.resize(length, 0.0);
    Recording { samples: with_noise(&samples, seed, ROOM_PEAK), sample0_ns: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::Scratch;
    use crate::speech::speech;

    #[test]
    fn both_speak_as_long_as_asked_and_say_different_things() {
        let scratch = Scratch::new("script").unwrap();
        let path = scratch.join("said.wav");
        let said = Recording { samples: speech(1, 4, SAMPLE_RATE_HZ), sample0_ns: None };
        said.write(&path).unwrap();
        let script = Script::of(Some(&path), 5).unwrap();
        for person in [&script.alice, &script.bob] {
            assert_eq!(person.samples.len(), 5 * 48_000);
            let sounding = person.samples[..480].iter().filter(|sample| **sample != 0.0);
            assert!(sounding.count() > 400);
            let pause = &person.samples[person.samples.len() - 19_000..];
            assert!(pause.iter().all(|sample| sample.abs() <= ROOM_PEAK));
        }
        let same = script.alice.samples.iter().zip(&script.bob.samples);
        assert!(same.filter(|(a, b)| (*a - *b).abs() < 0.01).count() < 4 * 48_000);
    }

    #[test]
    fn a_recording_that_is_not_there_is_told() {
        assert!(Script::of(Some(Path::new("none.wav")), 5).unwrap_err().contains("none.wav"));
    }
}
