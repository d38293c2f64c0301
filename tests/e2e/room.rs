//! The room around a desktop: what is said into its microphone, and what its speaker plays.
//!
//! A microphone of the test's sound server hears what is played into the sink `room`; what comes
//! out of the speaker is heard at `spk.monitor`.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use earshot_audio::frame::SAMPLE_RATE_HZ;
use earshot_tests::demo::sound::Recording;
use earshot_tests::harness::Desktop;
use earshot_tests::{align, stoi};

/// Longest way from mouth to ear, with two sound servers and the start of the player.
const LAG_MAX: i64 = 3 * SAMPLE_RATE_HZ as i64;
const WINDOWS: usize = 24;
const WINDOW: usize = SAMPLE_RATE_HZ as usize / 2;

/// Of what was said, by STOI. The gate; a good line has over 0.9.
pub(crate) const UNDERSTOOD: f64 = 0.75;
/// A muted or held line is quieter than any voice.
pub(crate) const SILENCE: f64 = 0.001;
/// A tone is louder.
pub(crate) const AUDIBLE: f64 = 0.02;

/// Something that is being said.
pub(crate) struct Voice(Child);

/// Something that is being recorded.
pub(crate) struct Ear {
    recorder: Child,
    file: PathBuf,
}

/// Says a recording into the microphone.
pub(crate) fn say(desktop: &Desktop, name: &str, what: &Recording) -> Voice {
    let file = desktop.home().join(format!("{name}.wav"));
    what.write(&file).unwrap();
    let mut player = desktop.command("paplay");
    Voice(player.arg("--device=room").arg(file).spawn().unwrap())
}

impl Voice {
    /// Waits until it is said.
    pub(crate) fn said(mut self) {
        assert!(self.0.wait().unwrap().success(), "paplay failed");
    }
}

/// Begins to record what the speaker plays.
pub(crate) fn listen(desktop: &Desktop, name: &str) -> Ear {
    listen_at(desktop, "spk", name)
}

/// Begins to record what a sink plays.
pub(crate) fn listen_at(desktop: &Desktop, sink: &str, name: &str) -> Ear {
    let file = desktop.home().join(format!("{name}.raw"));
    let mut recorder: Command = desktop.command("parec");
    recorder
        .arg(format!("--device={sink}.monitor"))
        .args(["--rate=48000", "--channels=1", "--format=s16le", "--raw", "--latency-msec=20"])
        .stdout(Stdio::from(std::fs::File::create(&file).unwrap()));
    Ear { recorder: recorder.spawn().unwrap(), file }
}

impl Ear {
    /// What has been heard so far.
    pub(crate) fn so_far(&self) -> Recording {
        let bytes = std::fs::read(&self.file).unwrap();
        let pairs = bytes.as_chunks::<2>().0.iter();
        let samples = pairs.map(|pair| f32::from(i16::from_le_bytes(*pair)) / 32_768.0).collect();
        Recording { samples, sample0_ns: None }
    }

    /// Ends the recording.
    pub(crate) fn heard(mut self) -> Recording {
        self.recorder.kill().unwrap();
        self.recorder.wait().unwrap();
        self.so_far()
    }
}

/// How much of what was said can be understood in what was heard; `None` where none of it is there.
pub(crate) fn understood(said: &Recording, heard: &Recording) -> Option<f64> {
    let found = align::windows(&said.samples, &heard.samples, WINDOWS, WINDOW, -LAG_MAX..=LAG_MAX);
    let lag = align::median_lag(&found)?;
    let aligned = align::shifted(&heard.samples, lag, said.samples.len());
    stoi::stoi(&said.samples, &aligned, SAMPLE_RATE_HZ)
}

/// Loudness of the last second, as a fraction of the loudest possible.
pub(crate) fn loudness(heard: &Recording) -> f64 {
    let from = heard.samples.len().saturating_sub(SAMPLE_RATE_HZ as usize);
    let last = &heard.samples[from..];
    let power: f64 = last.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    (power / last.len().max(1) as f64).sqrt()
}
