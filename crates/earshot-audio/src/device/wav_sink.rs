//! A WAV file as loudspeaker: 48 kHz, mono, 16 bit.
//!
//! Invariant: every half second the file is a whole WAV file up to there (its header is rewritten),
//! so that a process that dies leaves something to hear.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavSpec, WavWriter};

use super::DeviceError;
use crate::frame::{Block, SAMPLE_RATE_HZ};

/// Blocks between two headers: half a second.
const FLUSH_EVERY: u32 = 50;

/// A file being written.
pub struct WavSink {
    path: PathBuf,
    wav: WavWriter<BufWriter<File>>,
    unflushed: u32,
}

impl WavSink {
    /// Creates or empties the file.
    pub fn create(path: &Path) -> Result<Self, DeviceError> {
        let spec = WavSpec {
            channels: 1,
            sample_rate: SAMPLE_RATE_HZ,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let wav = WavWriter::create(path, spec).map_err(|error| unwritable(path, &error))?;
        Ok(Self { path: path.to_owned(), wav, unflushed: 0 })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends 10 ms.
    pub fn write(&mut self, block: &Block) -> Result<(), DeviceError> {
        let failed = |error: hound::Error| unwritable(&self.path, &error);
        for sample in block {
            let scaled = (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0);
            self.wav.write_sample(scaled as i16).map_err(failed)?;
        }
        self.unflushed += 1;
        if self.unflushed >= FLUSH_EVERY {
            self.unflushed = 0;
            self.wav.flush().map_err(failed)?;
        }
        Ok(())
    }

    /// Completes the file.
    pub fn finish(self) -> Result<(), DeviceError> {
        self.wav.finalize().map_err(|error| unwritable(&self.path, &error))
    }
}

impl std::fmt::Debug for WavSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WavSink").field("path", &self.path).finish_non_exhaustive()
    }
}

fn unwritable(path: &Path, error: &hound::Error) -> DeviceError {
    DeviceError::FileUnwritable { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A directory that goes with the test.
    pub(crate) struct Scratch(PathBuf);

    impl Scratch {
        pub(crate) fn new(name: &str) -> Self {
            let name = format!("earshot-audio-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        pub(crate) fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _gone_already = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_is_whole_up_to_the_last_half_second_even_if_never_finished() {
        let scratch = Scratch::new("unfinished");
        let path = scratch.path("out.wav");
        let mut sink = WavSink::create(&path).unwrap();
        for _ in 0..120 {
            sink.write(&[0.25; 480]).unwrap();
        }
        // Forgotten, as by a killed process: no destructor writes the header.
        std::mem::forget(sink);
        let mut wav = hound::WavReader::open(&path).unwrap();
        assert_eq!(wav.duration(), 100 * 480);
        assert!(wav.samples::<i16>().all(|s| s.unwrap() == 8_192));
    }

    #[test]
    fn loud_sound_is_cut_and_not_folded() {
        let scratch = Scratch::new("loud");
        let path = scratch.path("out.wav");
        let mut sink = WavSink::create(&path).unwrap();
        let mut block = [2.0; 480];
        block[0] = -2.0;
        sink.write(&block).unwrap();
        sink.finish().unwrap();
        let samples: Vec<i16> =
            hound::WavReader::open(&path).unwrap().samples().map(Result::unwrap).collect();
        assert_eq!((samples[0], samples[1]), (i16::MIN, i16::MAX));
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told() {
        let error = WavSink::create(Path::new("/proc/no/such.wav")).unwrap_err();
        assert!(matches!(error, DeviceError::FileUnwritable { .. }), "{error}");
    }
}
