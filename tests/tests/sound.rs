//! A voice through a whole session at each end, judged as the demo judges it.

use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use earshot_audio::codec::EncoderSettings;
use earshot_audio::device::{Microphone, Speaker, sidecar_path};
use earshot_audio::enhance::EnhanceSettings;
use earshot_audio::frame::FrameLength;
use earshot_audio::sender::StreamStart;
use earshot_audio::session::{VoiceSession, VoiceSettings};
use earshot_tests::{align, speech::speech, stoi::stoi};

fn settings(microphone: Microphone, speaker: Speaker, frame: FrameLength) -> VoiceSettings {
    VoiceSettings {
        microphone,
        speaker,
        encoder: EncoderSettings { frame, ..EncoderSettings::default() },
        start: StreamStart::default(),
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
    let mut wav = hound::WavWriter::create(path, spec).expect("a temporary file");
    sound.iter().for_each(|x| wav.write_sample((x * 32_767.0) as i16).expect("room on the disk"));
    wav.finalize().expect("room on the disk");
}

fn read_wav(path: &Path) -> Vec<f32> {
    let mut wav = hound::WavReader::open(path).expect("the speaker wrote it");
    wav.samples::<i16>().map(|x| f32::from(x.expect("a whole file")) / 32_768.0).collect()
}

fn sample0_ns(wav: &Path) -> i64 {
    let note = std::fs::read_to_string(sidecar_path(wav)).expect("a note beside the file");
    let note: serde_json::Value = serde_json::from_str(&note).expect("JSON");
    note["sample0_monotonic_ns"].as_i64().expect("a number")
}

#[test]
fn what_is_said_is_understood_at_the_other_end_within_a_tenth_of_a_second() {
    let name = format!("earshot-sound-{}", std::process::id());
    let home = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&home).expect("a temporary directory");
    let (mouth, ear) = (home.join("alice-in.wav"), home.join("bob-out.wav"));
    let spoken = speech(41, 8, 48_000);
    write_wav(&mouth, &spoken);
    let frame = FrameLength::Ms20;
    let alice =
        VoiceSession::open(&settings(Microphone::File(mouth.clone()), Speaker::None, frame))
            .expect("files are always there");
    let bob = VoiceSession::open(&settings(Microphone::Silence, Speaker::File(ear.clone()), frame))
        .expect("files are always there");
    let (from_alice, to_bob) = mpsc::channel();
    bob.start(drop);
    alice.start(move |packet| drop(from_alice.send((Instant::now(), packet))));
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(8) {
        let (at, packet) = to_bob.recv_timeout(Duration::from_secs(5)).expect("alice speaks");
        bob.push(at, packet);
    }
    let stats = bob.stop();
    let heard = read_wav(&ear);
    let found = align::windows(&spoken, &heard, 14, 12_000, -2_400..=14_400);
    assert!(found.len() >= 10, "{} windows found again", found.len());
    let lag = align::median_lag(&found).expect("not empty");
    let clocks_ms = (sample0_ns(&ear) - sample0_ns(&mouth)) as f64 / 1e6;
    let mouth_to_ear_ms = lag as f64 / 48.0 + clocks_ms;
    // The last words are still on their way when the call ends.
    let length = spoken.len() - 9_600;
    let figure = stoi(&spoken[..length], &align::shifted(&heard, lag, length), 48_000);
    let figure = figure.expect("seconds of speech");
    println!("mouth to ear {mouth_to_ear_ms:.1} ms, STOI {figure:.4}, {:?}", stats.received);
    let _gone_already = std::fs::remove_dir_all(&home);
    assert_eq!(stats.received.lost, 0);
    assert!(figure > 0.9, "STOI {figure}");
    // Four times the figure to reach, since a busy machine must not fail.
    assert!((20.0..300.0).contains(&mouth_to_ear_ms), "{mouth_to_ear_ms} ms");
}
