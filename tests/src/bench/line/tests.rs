//! Lines that lose, and what reports do about it.

use earshot_audio::codec::{EncoderSettings, Redundancy};

use super::*;
use crate::align;
use crate::speech::speech;
use crate::stoi::stoi;

const NOTHING: Line = Line {
    encoder: EncoderSettings {
        frame: earshot_audio::frame::FrameLength::Ms20,
        bitrate_bps: earshot_audio::codec::BITRATE_DEFAULT_BPS,
        redundancy: Redundancy::Off,
        silence: earshot_audio::codec::Silence::LeftOut,
    },
    loss: Loss::Nothing,
    reports: Reports::Heeded,
    seed: 1,
};

#[test]
fn a_line_without_loss_brings_every_packet_in_time_and_reports_change_nothing() {
    let spoken = speech(5, 6, 48_000);
    let heard = NOTHING.carry(&spoken).unwrap();
    let stats = heard.stats;
    assert_eq!((stats.lost, stats.late, stats.concealed_samples), (0, 0, 0));
    assert!((20_000.0..44_000.0).contains(&heard.payload_bps), "{}", heard.payload_bps);
    let alone = Line { reports: Reports::Absent, ..NOTHING }.carry(&spoken).unwrap();
    assert_eq!(heard.sound, alone.sound);
}

#[test]
fn a_line_loses_what_it_is_told_to_and_the_same_again() {
    let redundancy = Redundancy::Inband { expected_loss_pct: 20 };
    let encoder = EncoderSettings { redundancy, ..NOTHING.encoder };
    let spoken = speech(5, 6, 48_000);
    for loss in [Loss::OneByOne { pct: 20 }, Loss::InBursts { pct: 20, packets: 5 }] {
        let carry = |seed| {
            let line = Line { encoder, loss, reports: Reports::Absent, seed };
            line.carry(&spoken).unwrap()
        };
        let (first, again) = (carry(3), carry(3));
        assert!((8.0..32.0).contains(&first.stats.loss_pct()), "{}", first.stats.loss_pct());
        assert_eq!(first.sound, again.sound);
        assert_ne!(first.sound, carry(4).sound);
    }
}

/// STOI and percent concealed.
fn judged(line: Line, spoken: &[f32]) -> (f64, f32, f64) {
    let heard = line.carry(spoken).unwrap();
    // Where bursts are waited for, the delay changes on the way.
    let aligned = align::followed(spoken, &heard.sound, 24_000, 0..=14_400);
    let aligned = aligned.expect("something is heard");
    let stoi = stoi(spoken, &aligned, 48_000).expect("seconds of speech");
    (stoi, heard.stats.concealed_pct(), heard.payload_bps)
}

#[test]
fn reports_make_a_lossy_line_better_understood() {
    let spoken = speech(6, 14, 48_000);
    let single = [5, 10, 20].map(|pct| (Loss::OneByOne { pct }, 0.5));
    let bursts = [10, 20, 30].map(|pct| (Loss::InBursts { pct, packets: 5 }, 0.6));
    for (loss, concealed_most) in single.into_iter().chain(bursts) {
        // One fate tells little of bursts: two together are judged.
        let (mut gained, mut better, mut worse) = (0.0, 0.0, 0.0);
        for seed in 1..=2 {
            let line = Line { loss, seed, ..NOTHING };
            let (with, concealed, bps) = judged(line, &spoken);
            let alone = Line { reports: Reports::Absent, ..line };
            let (without, concealed_alone, _) = judged(alone, &spoken);
            println!(
                "{loss:?} seed {seed}: STOI {without:.4} → {with:.4}, concealed \
                 {concealed_alone:.1} → {concealed:.1} %, {bps:.0} b/s"
            );
            gained += with - without;
            better += concealed;
            worse += concealed_alone;
        }
        assert!(gained > 0.0, "{loss:?}: STOI changed by {gained}");
        assert!(better < concealed_most * worse, "{loss:?}: {better} of {worse} % concealed");
    }
}
