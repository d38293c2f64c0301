//! Sound cards against a real sound server: a private PulseAudio whose cards are null sinks.
//!
//! The server is found by environment variables, which a process sets best for its children: each
//! story runs again in a child of the test, with the variables pointing to a directory of its own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::card::{CardCapture, CardPlayback};
use super::list::devices;
use super::pace::Wake;
use super::wav_sink::tests::Scratch;
use super::{DeviceError, Direction, list};
use crate::codec::EncoderSettings;
use crate::enhance::{Choice, EnhanceSettings};
use crate::frame::{BLOCK_DURATION, BLOCK_SAMPLES, Block};
use crate::sender::StreamStart;
use crate::session::{VoiceSession, VoiceSettings};

const HOME: &str = "EARSHOT_TEST_SOUND_SERVER";
const PATIENCE: Duration = Duration::from_secs(20);
const MICROPHONE: &str = "pulseaudio:spk.monitor";
const SPEAKER: &str = "pulseaudio:spk";

/// Runs `story` in a child process that finds its own sound server. `name` is the test's path.
fn with_sound_server(name: &str, story: fn(&mut Server)) {
    if let Some(home) = std::env::var_os(HOME) {
        story(&mut Server::start(PathBuf::from(home)));
        return;
    }
    let scratch = Scratch::new(name.rsplit(':').next().unwrap());
    let home = scratch.path("");
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(HOME, &home)
        .env("PULSE_SERVER", format!("unix:{}", home.join("native").display()))
        .env("PULSE_RUNTIME_PATH", home.join("run"))
        .env("PULSE_STATE_PATH", home.join("state"))
        .env("PULSE_CONFIG_PATH", home.join("config"))
        .env("PULSE_COOKIE", home.join("cookie"))
        .env("XDG_RUNTIME_DIR", &home)
        .env_remove("DISPLAY")
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .status()
        .unwrap();
    assert!(status.success(), "the story failed, see above");
}

struct Server {
    home: PathBuf,
    process: Child,
}

impl Server {
    fn start(home: PathBuf) -> Self {
        let socket = home.join("native");
        let script = home.join("default.pa");
        let _none_before = std::fs::remove_file(&socket);
        let sink = "rate=48000 channels=1 channel_map=mono format=s16le norewinds=1";
        let text = format!(
            "load-module module-native-protocol-unix auth-anonymous=1 socket={}\n\
             load-module module-null-sink sink_name=other {sink}\n\
             load-module module-null-sink sink_name=spk {sink}\n\
             load-module module-remap-source source_name=voice master=other.monitor\n\
             set-default-sink spk\nset-default-source voice\n",
            socket.display()
        );
        std::fs::write(&script, text).unwrap();
        let process = Command::new("pulseaudio")
            .args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"])
            .args(["--high-priority=no", "--realtime=no", "-F"])
            .arg(&script)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { home, process };
        eventually("the server listens and has its cards", || {
            list::find(SPEAKER, Direction::Playback).is_ok()
        });
        server
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn restart(&mut self) {
        *self = Self::start(self.home.clone());
    }

    /// Pulls out the card that `argument` made.
    fn pull_out(&self, argument: &str) {
        let listed = Command::new("pactl").args(["list", "short", "modules"]).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        let line = listed.lines().find(|line| line.contains(argument)).unwrap();
        let index = line.split_whitespace().next().unwrap();
        let status = Command::new("pactl").args(["unload-module", index]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _dead_already = self.process.kill();
        let _waited_already = self.process.wait();
    }
}

/// Waits for something that others do.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::park_timeout(BLOCK_DURATION);
    }
}

fn wake() -> Arc<Wake> {
    let wake = Arc::new(Wake::default());
    wake.adopt_this_thread();
    wake
}

/// A signal in which every sample tells its place: 1, 2, … 30000, 1, … of 16 bits, never silent.
fn ramp(block: usize) -> Block {
    std::array::from_fn(|i| (1 + (block * BLOCK_SAMPLES + i) % 30_000) as f32 / 32_768.0)
}

/// Plays the ramp for `blocks` blocks and answers all that the card's monitor heard meanwhile.
fn played_and_captured(blocks: usize) -> (Vec<f32>, u64) {
    let wake = wake();
    let mut capture = CardCapture::open(MICROPHONE, &wake).unwrap();
    let mut playback = CardPlayback::open(SPEAKER, &wake).unwrap();
    let (mut heard, mut given) = (Vec::new(), 0);
    let last = ramp(blocks - 1)[BLOCK_SAMPLES - 1];
    eventually("the last sample comes back", || {
        while given < blocks && playback.wants(Instant::now()).is_some() {
            playback.put(&ramp(given));
            given += 1;
        }
        while let Some(block) = capture.take() {
            heard.extend(block);
        }
        given == blocks && heard.iter().rev().take(4_800).any(|x| *x == last)
    });
    (heard, playback.underruns())
}

#[test]
fn every_sample_goes_through_the_cards_once_and_unchanged() {
    with_sound_server(
        "device::card_tests::every_sample_goes_through_the_cards_once_and_unchanged",
        |_| {
            let blocks = 400;
            let (heard, underruns) = played_and_captured(blocks);
            let places: Vec<i64> =
                heard.iter().map(|x| (x * 32_768.0) as i64).filter(|place| *place > 0).collect();
            let steps = places.windows(2).map(|pair| (pair[1] - pair[0]).rem_euclid(30_000) - 1);
            let lost: i64 = steps.sum::<i64>();
            println!("{} samples, {lost} lost, {underruns} underruns", places.len());
            assert_eq!(places.first(), Some(&1), "the beginning is there");
            assert!(places.len() as i64 + lost >= (blocks * BLOCK_SAMPLES) as i64);
            // A busy machine may stop the server longer than its queue holds: 40 ms in 4 s pass.
            assert!(lost <= 1_920, "{lost} samples lost");
        },
    );
}

#[test]
fn a_call_is_heard_on_a_card_and_spoken_from_one() {
    with_sound_server("device::card_tests::a_call_is_heard_on_a_card_and_spoken_from_one", |_| {
        let off = EnhanceSettings { echo: Choice::Off, noise: Choice::Off, gain: Choice::Off };
        let settings = |microphone: &str, speaker: &str| VoiceSettings {
            microphone: microphone.parse().unwrap(),
            speaker: speaker.parse().unwrap(),
            encoder: EncoderSettings::default(),
            start: StreamStart::default(),
            enhance: off,
        };
        // Alice sends a tone; Bob plays it on a card, whose monitor is his microphone.
        let alice = VoiceSession::open(&settings("tone:300", "none")).unwrap();
        let bob_settings = settings(&format!("device:{MICROPHONE}"), &format!("device:{SPEAKER}"));
        let bob = Arc::new(VoiceSession::open(&bob_settings).unwrap());
        let alice = Arc::new(alice);
        let (to_alice, to_bob) = (Arc::downgrade(&alice), Arc::downgrade(&bob));
        let deliver = |to: Weak<VoiceSession>| {
            move |packet| {
                if let Some(session) = to.upgrade() {
                    session.push(Instant::now(), packet);
                }
            }
        };
        bob.start(deliver(to_alice));
        alice.start(deliver(to_bob));
        eventually("the tone comes back through the card", || {
            alice.stats().level_out_dbfs > -25.0 && bob.stats().level_in_dbfs > -25.0
        });
        let stats = bob.stats();
        println!("underruns {}, buffer {} ms", stats.underrun_samples, stats.received.buffer_ms());
        assert!(stats.received.first_sound.is_some());
        assert_eq!(bob.take_problems(), []);
    });
}

#[test]
fn the_picker_shows_cards_but_no_monitors() {
    with_sound_server("device::card_tests::the_picker_shows_cards_but_no_monitors", |_| {
        let found = devices();
        let ids = |all: &[list::DeviceEntry]| all.iter().map(|d| d.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&found.microphones), ["pulseaudio:voice"]);
        assert_eq!(ids(&found.speakers), ["pulseaudio:other", "pulseaudio:spk"]);
        assert!(found.microphones[0].is_default);
        assert!(found.speakers[1].is_default && !found.speakers[0].is_default);
        let refused = CardCapture::open("pulseaudio:nothing", &wake()).unwrap_err();
        assert_eq!(refused, DeviceError::NoSuchDevice { id: "pulseaudio:nothing".to_owned() });
        assert!(CardCapture::open("default", &wake()).is_ok());
    });
}

#[test]
fn a_card_that_is_pulled_out_does_not_end_the_sound() {
    with_sound_server(
        "device::card_tests::a_card_that_is_pulled_out_does_not_end_the_sound",
        |server| {
            let mut capture = CardCapture::open(MICROPHONE, &wake()).unwrap();
            eventually("sound comes", || capture.take().is_some());
            server.pull_out("sink_name=spk");
            while capture.take().is_some() {}
            let mut blocks = 0;
            eventually("the server gives us another card", || {
                blocks += usize::from(capture.take().is_some());
                blocks > 20
            });
            assert_eq!(capture.take_problem(), None);
        },
    );
}

#[test]
fn a_sound_server_that_dies_is_told_and_found_again() {
    with_sound_server(
        "device::card_tests::a_sound_server_that_dies_is_told_and_found_again",
        |server| {
            let wake = wake();
            let mut capture = CardCapture::open(MICROPHONE, &wake).unwrap();
            let mut playback = CardPlayback::open(SPEAKER, &wake).unwrap();
            eventually("sound comes", || capture.take().is_some());
            server.kill();
            let (mut microphone, mut speaker) = (None, None);
            eventually("both ends tell that it is gone", || {
                microphone = microphone.take().or_else(|| capture.take_problem());
                speaker = speaker.take().or_else(|| playback.take_problem());
                microphone.is_some() && speaker.is_some()
            });
            assert!(matches!(microphone, Some(DeviceError::ServerGone { .. })), "{microphone:?}");
            assert!(matches!(speaker, Some(DeviceError::ServerGone { .. })), "{speaker:?}");
            let refused = CardCapture::open("default", &wake).unwrap_err();
            let told =
                matches!(refused, DeviceError::ServerGone { .. } | DeviceError::NoDevice { .. });
            assert!(told, "{refused:?}");
            server.restart();
            while capture.take().is_some() {}
            eventually("the microphone is back", || capture.take().is_some());
            let mut blocks = 0;
            eventually("the speaker takes sound again", || {
                while playback.wants(Instant::now()).is_some() {
                    playback.put(&ramp(blocks));
                    blocks += 1;
                }
                blocks > 100
            });
        },
    );
}
