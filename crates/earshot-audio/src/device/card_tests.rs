//! Sound cards against real sound servers: a private PulseAudio or PipeWire whose cards are null
//! sinks.
//!
//! The server is found by environment variables, which a process sets best for its children: each
//! story runs again in a child of the test, with the variables pointing to a directory of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::card::{CardCapture, CardPlayback};
use super::list::devices;
use super::pace::Wake;
use super::wav_sink::tests::Scratch;
use super::{DeviceError, DeviceNews, Direction, list};
use crate::codec::EncoderSettings;
use crate::enhance::{Choice, EnhanceSettings};
use crate::frame::{BLOCK_DURATION, BLOCK_SAMPLES, Block};
use crate::level::rms_dbfs;
use crate::sender::StreamStart;
use crate::session::{VoiceNews, VoiceSession, VoiceSettings};

const HOME: &str = "EARSHOT_TEST_SOUND_SERVER";
const PATIENCE: Duration = Duration::from_secs(20);
const MICROPHONE: &str = "pulseaudio:spk.monitor";
const SPEAKER: &str = "pulseaudio:spk";
/// A null sink of 50 ms blocks; without `norewinds` it renders two seconds at a time.
const SINK: &str = "rate=48000 channels=1 channel_map=mono format=s16le norewinds=1";
/// Issue 3: sound is back within this time after its device.
const BACK_WITHIN: Duration = Duration::from_secs(2);

/// Which sound server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    PulseAudio,
    /// PipeWire, which speaks PulseAudio's protocol.
    PipeWire,
}

/// Runs `story` in a child process that finds a PulseAudio of its own. `name` is the test's path.
fn with_sound_server(name: &str, story: fn(&mut Server)) {
    with_server(Kind::PulseAudio, name, story);
}

fn with_server(kind: Kind, name: &str, story: fn(&mut Server)) {
    if let Some(home) = std::env::var_os(HOME) {
        story(&mut Server::start(kind, PathBuf::from(home)));
        return;
    }
    let scratch = Scratch::new(name.rsplit(':').next().unwrap());
    let home = scratch.path("");
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(HOME, &home)
        .env("PULSE_SERVER", format!("unix:{}", kind.socket(&home).display()))
        .env_remove("PULSE_RUNTIME_PATH")
        .env("PULSE_STATE_PATH", home.join("state"))
        .env("PULSE_CONFIG_PATH", home.join("config"))
        .env("PULSE_COOKIE", home.join("cookie"))
        .env("XDG_RUNTIME_DIR", &home)
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("XDG_STATE_HOME", home.join("state"))
        .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", home.join("bus").display()))
        .env_remove("DISPLAY")
        .status()
        .unwrap();
    assert!(status.success(), "the story failed, see above");
}

impl Kind {
    /// Where clients find it.
    fn socket(self, home: &Path) -> PathBuf {
        match self {
            Self::PulseAudio => home.join("native"),
            Self::PipeWire => home.join("pulse/native"),
        }
    }

    /// Its processes; each is waited for by the file that it makes, if it makes one.
    fn processes(self, home: &Path) -> Vec<(&'static str, Vec<String>, Option<PathBuf>)> {
        let socket = self.socket(home);
        let place = |name: &str| home.join(name).display().to_string();
        match self {
            Self::PulseAudio => {
                let native = format!("auth-anonymous=1 socket={}", socket.display());
                let load = format!("load-module module-native-protocol-unix {native}\n");
                std::fs::write(home.join("default.pa"), load).unwrap();
                let options = "-n --daemonize=no --exit-idle-time=-1 --use-pid-file=no \
                    --high-priority=no --realtime=no -F";
                let options = options.split_whitespace().map(str::to_owned);
                let arguments = options.chain([place("default.pa")]).collect();
                vec![("pulseaudio", arguments, Some(socket))]
            }
            Self::PipeWire => {
                let bus = format!("--address=unix:path={}", place("bus"));
                let bus = ["--session", "--nofork", "--nopidfile", &bus].map(str::to_owned);
                vec![
                    ("dbus-daemon", bus.into(), Some(home.join("bus"))),
                    ("pipewire", Vec::new(), Some(home.join("pipewire-0"))),
                    ("wireplumber", Vec::new(), None),
                    ("pipewire-pulse", Vec::new(), Some(socket)),
                ]
            }
        }
    }
}

struct Server {
    kind: Kind,
    home: PathBuf,
    processes: Vec<Child>,
}

impl Server {
    fn start(kind: Kind, home: PathBuf) -> Self {
        let mut processes = Vec::new();
        for (program, arguments, socket) in kind.processes(&home) {
            if let Some(socket) = &socket {
                let _none_before = std::fs::remove_file(socket);
            }
            let mut command = Command::new(program);
            command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
            processes.push(command.spawn().unwrap());
            eventually(program, || socket.as_ref().is_none_or(|socket| socket.exists()));
        }
        let server = Self { kind, home, processes };
        eventually("the server answers", || {
            Command::new("pactl").arg("info").output().is_ok_and(|done| done.status.success())
        });
        server.plug_in("other");
        server.plug_in("spk");
        server.pactl(&[
            "load-module",
            "module-remap-source",
            "source_name=voice",
            "master=other.monitor",
        ]);
        eventually("the cards are there and chosen", || {
            // The server may not know the cards yet, or how one is chosen.
            let choices = [["set-default-sink", "spk"], ["set-default-source", "voice"]];
            if !choices.iter().all(|choice| ask(choice).status.success()) {
                return false;
            }
            let chosen = |direction| list::find("default", direction).map(|found| found.id);
            chosen(Direction::Playback).is_ok_and(|id| id == SPEAKER)
                && chosen(Direction::Capture).is_ok_and(|id| id == "pulseaudio:voice")
        });
        server
    }

    fn kill(&mut self) {
        for mut process in self.processes.drain(..).rev() {
            let _dead_already = process.kill();
            let _waited_already = process.wait();
        }
    }

    fn restart(&mut self) {
        *self = Self::start(self.kind, self.home.clone());
    }

    /// What a person does at a terminal; its first line of answer.
    fn pactl(&self, arguments: &[&str]) -> String {
        let done = ask(arguments);
        assert!(done.status.success(), "pactl {arguments:?}");
        String::from_utf8(done.stdout).unwrap().lines().next().unwrap_or_default().to_owned()
    }

    /// Plugs in a speaker of that name.
    fn plug_in(&self, name: &str) {
        self.pactl(&["load-module", "module-null-sink", &format!("sink_name={name}"), SINK]);
    }

    /// Pulls out the card that `argument` made.
    fn pull_out(&self, argument: &str) {
        let listed = ask(&["list", "short", "modules"]);
        let listed = String::from_utf8(listed.stdout).unwrap();
        let line = listed.lines().find(|line| line.contains(argument)).unwrap();
        self.pactl(&["unload-module", line.split_whitespace().next().unwrap()]);
    }
}

/// What the server says to it.
fn ask(arguments: &[&str]) -> Output {
    Command::new("pactl").args(arguments).output().unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
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

fn capture(id: &str, wake: &Arc<Wake>) -> CardCapture {
    let (capture, trouble) = CardCapture::open(id, wake).unwrap();
    assert_eq!(trouble, None);
    capture
}

fn playback(id: &str, wake: &Arc<Wake>) -> CardPlayback {
    let (playback, trouble) = CardPlayback::open(id, wake).unwrap();
    assert_eq!(trouble, None);
    playback
}

/// A signal in which every sample tells its place: 1, 2, … 30000, 1, … of 16 bits, never silent.
fn ramp(block: usize) -> Block {
    std::array::from_fn(|i| (1 + (block * BLOCK_SAMPLES + i) % 30_000) as f32 / 32_768.0)
}

/// Plays the ramp for `blocks` blocks and answers all that the card's monitor heard meanwhile.
fn played_and_captured(blocks: usize) -> (Vec<f32>, u64) {
    let wake = wake();
    let mut capture = capture(MICROPHONE, &wake);
    let mut playback = playback(SPEAKER, &wake);
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
        let settings = |microphone: &str, speaker: &str| VoiceSettings {
            microphone: microphone.parse().unwrap(),
            speaker: speaker.parse().unwrap(),
            encoder: EncoderSettings::default(),
            start: StreamStart::default(),
            enhance: off(),
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
        assert_eq!(bob.take_news(), []);
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
        drop(capture("default", &wake()));
    });
}

fn off() -> EnhanceSettings {
    EnhanceSettings { echo: Choice::Off, noise: Choice::Off, gain: Choice::Off }
}

/// A call in which a tone is heard on `speaker` and nothing but it is spoken from `microphone`.
struct Call {
    bob: Arc<VoiceSession>,
    _alice: VoiceSession,
}

impl Call {
    fn begin(microphone: &str, speaker: &str) -> Self {
        let settings = |microphone: &str, speaker: &str| VoiceSettings {
            microphone: microphone.parse().unwrap(),
            speaker: speaker.parse().unwrap(),
            encoder: EncoderSettings::default(),
            start: StreamStart::default(),
            enhance: off(),
        };
        let bob = Arc::new(VoiceSession::open(&settings(microphone, speaker)).unwrap());
        let alice = VoiceSession::open(&settings("tone:300", "none")).unwrap();
        let to_bob = Arc::downgrade(&bob);
        bob.start(drop);
        alice.start(move |packet| {
            if let Some(session) = to_bob.upgrade() {
                session.push(Instant::now(), packet);
            }
        });
        Self { bob, _alice: alice }
    }

    /// Waits for the next news of that end, and answers how long that took.
    fn news(&self, of: Direction) -> (DeviceNews, Duration) {
        let began = Instant::now();
        let mut told = None;
        eventually("the device tells", || {
            let news = self.bob.take_news();
            told = told.take().or_else(|| news.into_iter().find(|news| news.direction == of));
            told.is_some()
        });
        (told.unwrap().news, began.elapsed())
    }
}

/// Waits until the sink of that name plays the tone, and answers how long that took.
fn heard_on(sink: &str) -> Duration {
    let began = Instant::now();
    let mut monitor = None;
    eventually("the tone is heard on the card", || {
        if monitor.is_none() {
            let opened = CardCapture::open(&format!("pulseaudio:{sink}.monitor"), &wake());
            monitor = opened.ok().filter(|(_, trouble)| trouble.is_none()).map(|(card, _)| card);
        }
        let block = monitor.as_mut().and_then(CardCapture::take);
        block.is_some_and(|block| rms_dbfs(&block) > -30.0)
    });
    began.elapsed()
}

fn pulled_out_and_plugged_in(server: &mut Server) {
    let call = Call::begin("silence", &format!("device:{SPEAKER}"));
    heard_on("spk");
    server.pull_out("sink_name=spk");
    let gone = DeviceError::NoSuchDevice { id: SPEAKER.to_owned() };
    assert_eq!(call.news(Direction::Playback).0, DeviceNews::Trouble(gone));
    println!("on the other card: {:?}", heard_on("other"));
    server.plug_in("spk");
    let back = heard_on("spk");
    println!("back: {back:?}");
    assert!(back < BACK_WITHIN, "{back:?}");
    assert_eq!(call.news(Direction::Playback).0, DeviceNews::Well);
}

#[test]
fn a_speaker_pulled_out_and_plugged_in_again_is_used_again_in_mid_call() {
    with_sound_server(
        "device::card_tests::a_speaker_pulled_out_and_plugged_in_again_is_used_again_in_mid_call",
        pulled_out_and_plugged_in,
    );
}

#[test]
fn on_pipewire_a_speaker_plugged_in_again_is_used_again_in_mid_call() {
    with_server(
        Kind::PipeWire,
        "device::card_tests::on_pipewire_a_speaker_plugged_in_again_is_used_again_in_mid_call",
        pulled_out_and_plugged_in,
    );
}

#[test]
fn a_call_follows_what_the_system_chooses() {
    with_sound_server("device::card_tests::a_call_follows_what_the_system_chooses", |server| {
        let call = Call::begin("silence", "device:default");
        heard_on("spk");
        server.pactl(&["set-default-sink", "other"]);
        let moved = heard_on("other");
        println!("moved: {moved:?}");
        assert!(moved < BACK_WITHIN, "{moved:?}");
        assert_eq!(call.bob.take_news(), []);
    });
}

#[test]
fn without_a_microphone_a_call_is_heard_until_one_is_plugged_in() {
    with_sound_server(
        "device::card_tests::without_a_microphone_a_call_is_heard_until_one_is_plugged_in",
        |server| {
            server.pull_out("module-remap-source");
            let call = Call::begin("device:default", &format!("device:{SPEAKER}"));
            let missing = DeviceError::NoDevice { direction: Direction::Capture };
            assert_eq!(call.news(Direction::Capture).0, DeviceNews::Trouble(missing));
            heard_on("spk");
            server.pactl(&[
                "load-module",
                "module-remap-source",
                "source_name=voice",
                "master=spk.monitor",
            ]);
            let (news, after) = call.news(Direction::Capture);
            assert_eq!(news, DeviceNews::Well);
            assert!(after < BACK_WITHIN, "{after:?}");
            eventually("it is heard", || call.bob.stats().level_in_dbfs > -30.0);
        },
    );
}

fn dies_and_comes_back(server: &mut Server) {
    let call = Call::begin(&format!("device:{MICROPHONE}"), &format!("device:{SPEAKER}"));
    heard_on("spk");
    server.kill();
    let mut told = Vec::new();
    let is_gone =
        |news: &VoiceNews| matches!(news.news, DeviceNews::Trouble(DeviceError::ServerGone { .. }));
    eventually("both ends tell that it is gone", || {
        told.extend(call.bob.take_news().into_iter().filter(is_gone).map(|news| news.direction));
        told.contains(&Direction::Capture) && told.contains(&Direction::Playback)
    });
    server.restart();
    let back = heard_on("spk");
    println!("back: {back:?}");
    assert!(back < BACK_WITHIN, "{back:?}");
    let is_well = |news: &VoiceNews| news.news == DeviceNews::Well;
    eventually("it is well", || call.bob.take_news().iter().any(is_well));
    eventually("it is spoken again", || call.bob.stats().level_in_dbfs > -30.0);
}

#[test]
fn a_sound_server_that_dies_in_mid_call_is_told_and_found_again() {
    with_sound_server(
        "device::card_tests::a_sound_server_that_dies_in_mid_call_is_told_and_found_again",
        dies_and_comes_back,
    );
}

#[test]
fn on_pipewire_a_server_that_dies_in_mid_call_is_told_and_found_again() {
    with_server(
        Kind::PipeWire,
        "device::card_tests::on_pipewire_a_server_that_dies_in_mid_call_is_told_and_found_again",
        dies_and_comes_back,
    );
}
