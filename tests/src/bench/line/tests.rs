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

/// By then the speaker has heard enough reports, and the listener waits for bursts. Before, there
/// is little to gain: where 10 % are lost in bursts, a talk of 14 s may gain nothing.
const LEARNT: usize = 8 * 48_000;

/// How a line was heard.
struct Judged {
    /// STOI of all of it.
    whole: f64,
    /// STOI from [`LEARNT`] on.
    learnt: f64,
    concealed_pct: f32,
    payload_bps: f64,
}

fn judged(line: Line, spoken: &[f32]) -> Judged {
    let heard = line.carry(spoken).unwrap();
    // Where bursts are waited for, the delay changes on the way.
    let aligned = align::followed(spoken, &heard.sound, 24_000, 0..=14_400);
    let aligned = aligned.expect("something is heard");
    let stoi = |from: usize| stoi(&spoken[from..], &aligned[from..], 48_000);
    Judged {
        whole: stoi(0).expect("seconds of speech"),
        learnt: stoi(LEARNT).expect("seconds of speech"),
        concealed_pct: heard.stats.concealed_pct(),
        payload_bps: heard.payload_bps,
    }
}

#[test]
fn reports_make_a_lossy_line_better_understood() {
    let spoken = speech(6, 24, 48_000);
    let single = [5, 10, 20].map(|pct| (Loss::OneByOne { pct }, 0.5));
    let bursts = [10, 20, 30].map(|pct| (Loss::InBursts { pct, packets: 5 }, 0.6));
    for (loss, concealed_most) in single.into_iter().chain(bursts) {
        for seed in 1..=2 {
            let line = Line { loss, seed, ..NOTHING };
            let with = judged(line, &spoken);
            let without = judged(Line { reports: Reports::Absent, ..line }, &spoken);
            println!(
                "{loss:?} seed {seed}: STOI {:.3} → {:.3}, once learnt {:.3} → {:.3}, \
                 concealed {:.1} → {:.1} %, {:.0} b/s",
                without.whole,
                with.whole,
                without.learnt,
                with.learnt,
                without.concealed_pct,
                with.concealed_pct,
                with.payload_bps,
            );
            assert!(with.whole > without.whole, "{loss:?}, seed {seed}");
            assert!(with.learnt > without.learnt + 0.01, "{loss:?}, seed {seed}");
            let most = concealed_most * without.concealed_pct;
            assert!(with.concealed_pct < most, "{loss:?}, seed {seed}");
        }
    }
}
