//! A WAV file as microphone.
//!
//! Source: RIFF WAVE, PCM of 8 to 32 bit integers or 32-bit floats, any rate from 8 to 384 kHz,
//! any number of channels (mixed to one).
//! Invariant: 48 kHz mono 16 bit comes through bit for bit; the file is read as it plays, never as
//! a whole; behind its end there is silence.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavReader};

use super::DeviceError;
use crate::frame::{BLOCK_SAMPLES, Block, SAMPLE_RATE_HZ, SILENT_BLOCK};
use crate::resample::Resampler;

/// An open file.
pub struct WavSource {
    path: PathBuf,
    wav: WavReader<BufReader<File>>,
    resampler: Option<Resampler>,
    /// At 48 kHz mono, not yet played.
    ready: Vec<f32>,
    ended: bool,
}

impl WavSource {
    /// Opens the file and checks that it can be played.
    pub fn open(path: &Path) -> Result<Self, DeviceError> {
        let wav = WavReader::open(path).map_err(|error| refused(path, error))?;
        let spec = wav.spec();
        let resampler = if spec.sample_rate == SAMPLE_RATE_HZ {
            None
        } else {
            let resampler = Resampler::new(spec.sample_rate, SAMPLE_RATE_HZ)
                .map_err(|bad| unsupported(path, &bad))?;
            Some(resampler)
        };
        Ok(Self { path: path.to_owned(), wav, resampler, ready: Vec::new(), ended: false })
    }

    /// The next 10 ms; silence behind the end.
    pub fn next_block(&mut self) -> Result<Block, DeviceError> {
        while self.ready.len() < BLOCK_SAMPLES && !self.ended {
            if let Err(error) = self.read_more() {
                self.ended = true;
                return Err(error);
            }
        }
        let mut block = SILENT_BLOCK;
        let samples = self.ready.len().min(BLOCK_SAMPLES);
        block[..samples].copy_from_slice(&self.ready[..samples]);
        self.ready.drain(..samples);
        Ok(block)
    }

    fn read_more(&mut self) -> Result<(), DeviceError> {
        let spec = self.wav.spec();
        let channels = usize::from(spec.channels).max(1);
        let wanted = (spec.sample_rate as usize / 100) * channels;
        let read: Result<Vec<f32>, hound::Error> = match spec.sample_format {
            SampleFormat::Float => self.wav.samples::<f32>().take(wanted).collect(),
            SampleFormat::Int => {
                let full_scale = (1_i64 << (spec.bits_per_sample - 1)) as f32;
                let samples = self.wav.samples::<i32>().take(wanted);
                samples.map(|sample| sample.map(|s| s as f32 / full_scale)).collect()
            }
        };
        let mut read = read.map_err(|error| refused(&self.path, error))?;
        if read.len() < wanted {
            self.ended = true;
            // Silence pushes the last sound out of the resampler.
            let tail = if self.resampler.is_some() { 4 * wanted } else { 0 };
            read.resize(read.len() + tail, 0.0);
        }
        let mono: Vec<f32> =
            read.chunks(channels).map(|all| all.iter().sum::<f32>() / channels as f32).collect();
        match &mut self.resampler {
            Some(resampler) => resampler.push(&mono, &mut self.ready),
            None => self.ready.extend(mono),
        }
        Ok(())
    }
}

impl std::fmt::Debug for WavSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WavSource").field("path", &self.path).finish_non_exhaustive()
    }
}

fn refused(path: &Path, error: hound::Error) -> DeviceError {
    match error {
        hound::Error::IoError(error) => {
            DeviceError::FileUnreadable { path: path.to_owned(), reason: error.to_string() }
        }
        error @ (hound::Error::FormatError(_)
        | hound::Error::TooWide
        | hound::Error::UnfinishedSample
        | hound::Error::Unsupported
        | hound::Error::InvalidSampleFormat) => unsupported(path, &error),
    }
}

fn unsupported(path: &Path, reason: &dyn std::error::Error) -> DeviceError {
    DeviceError::UnsupportedWav { path: path.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::wav_sink::tests::Scratch;

    fn write(path: &Path, spec: hound::WavSpec, samples: &[f32]) {
        let mut writer = hound::WavWriter::create(path, spec).unwrap();
        let full_scale = (1_i64 << (spec.bits_per_sample - 1)) as f32;
        for sample in samples {
            for _ in 0..spec.channels {
                match spec.sample_format {
                    SampleFormat::Float => writer.write_sample(*sample).unwrap(),
                    SampleFormat::Int => {
                        writer.write_sample((sample * full_scale) as i32).unwrap();
                    }
                }
            }
        }
        writer.finalize().unwrap();
    }

    #[test]
    fn every_kind_of_wav_sounds_alike() {
        let scratch = Scratch::new("kinds");
        for (rate, bits, sample_format, channels) in [
            (48_000, 16, SampleFormat::Int, 1),
            (48_000, 24, SampleFormat::Int, 2),
            (44_100, 16, SampleFormat::Int, 2),
            (16_000, 32, SampleFormat::Float, 1),
            (8_000, 8, SampleFormat::Int, 1),
        ] {
            let path = scratch.path("sound.wav");
            let spec = hound::WavSpec {
                channels,
                sample_rate: rate,
                bits_per_sample: bits,
                sample_format,
            };
            let tone = |i: usize, rate: u32| {
                (i as f32 * 300.0 / rate as f32 * std::f32::consts::TAU).sin() * 0.5
            };
            let sound: Vec<f32> = (0..rate as usize / 2).map(|i| tone(i, rate)).collect();
            write(&path, spec, &sound);
            let mut source = WavSource::open(&path).unwrap();
            let heard: Vec<f32> = (0..60).flat_map(|_| source.next_block().unwrap()).collect();
            let worst =
                (2_000..20_000).map(|i| (heard[i] - tone(i, 48_000)).abs()).fold(0.0, f32::max);
            assert!(worst < 0.02, "{spec:?} differs by {worst}");
            assert!(heard[26_000..].iter().all(|x| x.abs() < 0.02), "{spec:?} has no end");
        }
    }

    #[test]
    fn a_missing_file_and_no_wav_are_told_apart() {
        let scratch = Scratch::new("missing");
        let missing = WavSource::open(&scratch.path("no.wav")).unwrap_err();
        assert!(matches!(missing, DeviceError::FileUnreadable { .. }), "{missing}");
        let path = scratch.path("text.wav");
        std::fs::write(&path, "This is no sound, but it is long enough for a header.").unwrap();
        let text = WavSource::open(&path).unwrap_err();
        assert!(matches!(text, DeviceError::UnsupportedWav { .. }), "{text}");
    }
}
