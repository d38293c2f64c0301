//! Two voices in real time, files at both ends, wires between.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use earshot_audio::codec::EncoderSettings;
use earshot_audio::device::{DeviceError, Microphone, Speaker, sidecar_path};
use earshot_audio::enhance::EnhanceSettings;
use earshot_audio::frame::FrameLength;
use earshot_audio::sender::{StreamStart, VoicePacket};
use earshot_audio::session::{OpenError, VoiceSession, VoiceSettings, VoiceStats};
use support::{Scratch, voice};

const PATIENCE: Duration = Duration::from_secs(20);

fn settings(microphone: Microphone, speaker: Speaker, frame: FrameLength) -> VoiceSettings {
    VoiceSettings {
        microphone,
        speaker,
        encoder: EncoderSettings { frame, ..EncoderSettings::default() },
        start: StreamStart { sequence: 65_530, timestamp: 4_294_900_000 },
        enhance: EnhanceSettings::default(),
    }
}

fn write_wav(path: &Path, sound: &[f32]) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(path, spec).unwrap();
    sound.iter().for_each(|x| wav.write_sample((x * 32_767.0) as i16).unwrap());
    wav.finalize().unwrap();
}

fn read_wav(path: &Path) -> Vec<f32> {
    let mut wav = hound::WavReader::open(path).unwrap();
    wav.samples::<i16>().map(|x| f32::from(x.unwrap()) / 32_768.0).collect()
}

fn sample0_ns(wav: &Path) -> i64 {
    let note = std::fs::read_to_string(sidecar_path(wav)).unwrap();
    let (_, value) = note.split_once("\"sample0_monotonic_ns\":").unwrap();
    let digits: String = value.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// Samples by which `heard` lags behind `spoken` around `at`, by cross-correlation of half a
/// second.
fn lag(spoken: &[f32], heard: &[f32], at: usize, range: std::ops::Range<i64>) -> i64 {
    let piece = &spoken[at..at + 24_000];
    let score = |lag: i64, step: usize| -> f32 {
        piece
            .iter()
            .enumerate()
            .step_by(step)
            .map(|(i, x)| {
                let there = usize::try_from((at + i) as i64 + lag).ok();
                x * there.and_then(|j| heard.get(j)).copied().unwrap_or(0.0)
            })
            .sum()
    };
    let best = |lags: &mut dyn Iterator<Item = i64>, step| {
        lags.max_by(|a, b| score(*a, step).total_cmp(&score(*b, step))).unwrap()
    };
    let coarse = best(&mut range.step_by(8), 4);
    best(&mut (coarse - 10..coarse + 10), 1)
}

struct Call {
    alice: VoiceStats,
    bob: VoiceStats,
    alice_in: PathBuf,
    bob_out: PathBuf,
}

/// Alice speaks `sound` from a file, Bob listens into a file; `wire` delays each packet.
fn call(scratch: &Scratch, sound: &[f32], frame: FrameLength, wire: Duration) -> Call {
    let (alice_in, bob_out) = (scratch.path("alice-in.wav"), scratch.path("bob-out.wav"));
    write_wav(&alice_in, sound);
    let (from_alice, to_bob) = mpsc::channel();
    let alice_settings = settings(Microphone::File(alice_in.clone()), Speaker::None, frame);
    let alice = VoiceSession::open(&alice_settings).unwrap();
    let bob_settings = settings(Microphone::Tone(440.0), Speaker::File(bob_out.clone()), frame);
    let bob = VoiceSession::open(&bob_settings).unwrap();
    let alice = Arc::new(alice);
    let back: Arc<OnceLock<Arc<VoiceSession>>> = Arc::default();
    back.set(Arc::clone(&alice)).unwrap();
    bob.start(move |packet| back.wait().push(Instant::now(), packet));
    let began = Instant::now();
    alice.start(move |packet| from_alice.send((Instant::now(), packet)).unwrap());
    let length = Duration::from_secs_f64(sound.len() as f64 / 48_000.0);
    while began.elapsed() < length {
        let (sent_at, packet) = to_bob.recv_timeout(PATIENCE).unwrap();
        bob.push(sent_at + wire, packet);
    }
    let bob_stats = bob.stop();
    let alice_stats = alice.stats();
    Call { alice: alice_stats, bob: bob_stats, alice_in, bob_out }
}

#[test]
fn what_alice_says_bob_hears_soon_and_whole() {
    for (frame, most_ms) in [(FrameLength::Ms20, 75.0), (FrameLength::Ms10, 60.0)] {
        let scratch = Scratch::new("call");
        let sound = voice(21, 4);
        let call = call(&scratch, &sound, frame, Duration::ZERO);
        let heard = read_wav(&call.bob_out);
        let clocks = (sample0_ns(&call.bob_out) - sample0_ns(&call.alice_in)) * 48 / 1_000_000;
        let mut lags: Vec<i64> = (0..10)
            .map(|n| 24_000 + n * 12_000)
            .map(|at| lag(&sound, &heard, at, -2_400..9_600) + clocks)
            .collect();
        lags.sort_unstable();
        let mouth_to_ear = lags[5] as f32 / 48.0;
        let stats = call.bob.received;
        println!("{frame:?}: mouth to ear {mouth_to_ear} ms, {:?} {stats:?}", call.alice.sent);
        assert_eq!((stats.lost, stats.late, stats.refused), (0, 0, 0));
        assert!(mouth_to_ear > 20.0, "quicker than the codec can: {mouth_to_ear} ms");
        assert!(mouth_to_ear < 4.0 * most_ms, "{mouth_to_ear} ms");
        assert!(stats.first_sound.is_some());
        assert!(call.bob.level_in_dbfs > -25.0, "the tone");
        assert!(call.alice.received.received > 50, "the way back");
    }
}

#[test]
fn a_slower_wire_moves_the_delay_by_as_much() {
    // Arrival times are data, so a wire can be any length; only when sound plays shows it.
    let scratch = Scratch::new("wire");
    let sound = voice(22, 3);
    let mut delays = Vec::new();
    for wire in [0, 50] {
        let call = call(&scratch, &sound, FrameLength::Ms20, Duration::from_millis(wire));
        let heard = read_wav(&call.bob_out);
        let clocks = (sample0_ns(&call.bob_out) - sample0_ns(&call.alice_in)) * 48 / 1_000_000;
        delays.push(lag(&sound, &heard, 60_000, -2_400..14_400) + clocks);
    }
    let moved = (delays[1] - delays[0]) as f32 / 48.0;
    assert!((30.0..70.0).contains(&moved), "{moved} ms");
}

#[test]
fn before_the_start_and_while_held_nothing_is_sent() {
    let (packets_to, packets) = mpsc::channel();
    let silent = settings(Microphone::Tone(300.0), Speaker::None, FrameLength::Ms10);
    let session = VoiceSession::open(&silent).unwrap();
    assert_eq!(session.stats(), VoiceStats::default());
    session.start(move |packet| packets_to.send(packet).unwrap());
    let first = packets.recv_timeout(PATIENCE).unwrap();
    assert_eq!((first.sequence, first.timestamp), (65_530, 4_294_900_000));
    session.set_held(true);
    // What the voice thread hears of, it hears of after it obeyed.
    has_heard(&session, &first, 1);
    let sent_before = packets.try_iter().count();
    let quiet = Duration::from_millis(100);
    assert_eq!(packets.recv_timeout(quiet), Err(mpsc::RecvTimeoutError::Timeout));
    has_heard(&session, &first, 2);
    session.set_held(false);
    let again = packets.recv_timeout(PATIENCE).unwrap();
    assert!(again.marker);
    assert_eq!(again.sequence, first.sequence.wrapping_add(sent_before as u16 + 1));
    assert!(again.timestamp.wrapping_sub(first.timestamp) > 4_800, "time ran on");
}

/// Gives the session its `nth` packet and waits until it was taken.
fn has_heard(session: &VoiceSession, packet: &VoicePacket, nth: u16) {
    let sequence = packet.sequence.wrapping_add(nth);
    session.push(Instant::now(), VoicePacket { sequence, ..packet.clone() });
    let began = Instant::now();
    while session.stats().received.received < u64::from(nth) {
        assert!(began.elapsed() < PATIENCE, "packet {nth} was not taken");
        std::thread::yield_now();
    }
}

#[test]
fn devices_change_in_a_running_call() {
    let scratch = Scratch::new("change");
    let path = scratch.path("later.wav");
    let (packets_to, packets) = mpsc::channel();
    let session =
        VoiceSession::open(&settings(Microphone::Silence, Speaker::None, FrameLength::Ms10))
            .unwrap();
    session.start(move |packet| packets_to.send(packet.payload.len()).unwrap());
    packets.recv_timeout(PATIENCE).unwrap();
    let missing = Microphone::File(scratch.path("missing.wav"));
    let refused = session.set_microphone(&missing);
    assert!(matches!(refused, Err(DeviceError::FileUnreadable { .. })), "{refused:?}");
    session.set_microphone(&Microphone::Tone(440.0)).unwrap();
    session.set_speaker(&Speaker::File(path.clone())).unwrap();
    let began = Instant::now();
    while session.stats().level_in_dbfs < -30.0 {
        assert!(began.elapsed() < PATIENCE);
        packets.recv_timeout(PATIENCE).unwrap();
    }
    session.stop();
    assert!(!read_wav(&path).is_empty());
}

#[test]
fn a_device_that_cannot_be_opened_is_told_with_facts() {
    let missing = PathBuf::from("/nonexistent/hello.wav");
    let bad = settings(Microphone::File(missing.clone()), Speaker::None, FrameLength::Ms20);
    let error = VoiceSession::open(&bad).unwrap_err();
    let OpenError::Device(DeviceError::FileUnreadable { path, .. }) = error else {
        panic!("{error:?}");
    };
    assert_eq!(path, missing);
}
