//! The receiver in virtual time: networks of every mood, and what is heard behind them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use earshot_audio::codec::{EncoderSettings, Redundancy, Silence};
use earshot_audio::frame::{Block, FrameLength, SILENT_BLOCK, millis_of};
use earshot_audio::level::rms_dbfs;
use earshot_audio::receiver::Receiver;
use earshot_audio::sender::VoicePacket;
use proptest::prelude::*;
use support::{Dice, arriving, packets, voice};

const TICK: Duration = Duration::from_millis(10);

/// What a run left behind.
struct Heard {
    receiver: Receiver,
    sound: Vec<f32>,
    /// Added delay at each pull with sound, ms.
    delays: Vec<f32>,
}

impl Heard {
    fn delay_quantile(&self, q: f64) -> f32 {
        let mut sorted = self.delays.clone();
        sorted.sort_by(f32::total_cmp);
        sorted[((sorted.len() - 1) as f64 * q) as usize]
    }

    fn mean_delay(&self) -> f32 {
        self.delays.iter().sum::<f32>() / self.delays.len() as f32
    }
}

/// Plays `arrivals` from `start` on, pulling at a phase of 3 ms, until the last is played on a
/// quiet network.
fn play(start: Instant, arrivals: Vec<(Instant, VoicePacket)>) -> Heard {
    let mut receiver = Receiver::new().unwrap();
    let end = arrivals.iter().map(|(at, _)| *at).max().unwrap_or(start) + 3 * TICK;
    let mut arrivals = arrivals.into_iter().peekable();
    let (mut sound, mut delays) = (Vec::new(), Vec::new());
    let mut now = start + Duration::from_millis(3);
    while now < end {
        while let Some((at, packet)) = arrivals.next_if(|(at, _)| *at <= now) {
            receiver.push(at, packet);
        }
        sound.extend(receiver.pull(now));
        if receiver.stats().first_sound.is_some() && arrivals.peek().is_some() {
            delays.push(receiver.stats().buffer_ms());
        }
        now += TICK;
    }
    Heard { receiver, sound, delays }
}

fn plain() -> EncoderSettings {
    EncoderSettings { silence: Silence::Sent, ..EncoderSettings::default() }
}

#[test]
fn a_quiet_network_adds_one_frame_of_delay_and_loses_nothing() {
    let start = Instant::now();
    let sent = packets(&voice(1, 10), &plain());
    let heard = play(start, arriving(start, sent, |_| Some(Duration::from_millis(40))));
    let stats = heard.receiver.stats();
    assert_eq!((stats.lost, stats.late, stats.reordered), (0, 0, 0));
    assert_eq!(stats.voice_samples, 10 * 48_000);
    assert!(heard.delay_quantile(1.0) <= 25.0, "{}", heard.delay_quantile(1.0));
    assert_eq!(stats.accelerated_samples + stats.decelerated_samples, 0);
}

/// The trace of the issue: delays of a busy wireless network. Most packets take 0 to 15 ms more
/// than the quickest (exponential, mean 2.5 ms); one in fourteen is slow, with a Pareto tail from
/// 21 ms on whose 99th percentile over all packets lies at 30 ms; two in a hundred never come.
fn busy_wireless(seed: u64, count: usize) -> Vec<Option<Duration>> {
    let mut dice = Dice(seed);
    (0..count)
        .map(|_| {
            let (kind, size, lost) = (dice.unit(), dice.unit(), dice.unit() < 0.02);
            let ms = if kind < 0.07 {
                (21.0 * size.powf(-1.0 / 5.4)).min(200.0)
            } else {
                (-2.5 * size.ln()).min(15.0)
            };
            (!lost).then(|| Duration::from_secs_f64((30.0 + ms) / 1_000.0))
        })
        .collect()
}

#[test]
fn on_a_busy_wireless_network_at_most_three_percent_are_invented_with_little_delay() {
    for seed in 1..=2 {
        let start = Instant::now();
        let sent = packets(&voice(seed, 90), &plain());
        let trace = busy_wireless(seed, sent.len());
        let mut spread: Vec<f64> =
            trace.iter().flatten().map(|d| d.as_secs_f64() * 1_000.0 - 30.0).collect();
        spread.sort_by(f64::total_cmp);
        let p99 = spread[spread.len() * 99 / 100] as f32;
        assert!((27.0..33.0).contains(&p99), "the trace has p99 {p99} ms");
        let heard = play(start, arriving(start, sent, |n| trace[n]));
        let stats = heard.receiver.stats();
        let reordered = stats.reordered as f32 * 100.0 / stats.received as f32;
        println!(
            "seed {seed}: p99 {p99:.1} ms, reordered {reordered:.1} %, lost {:.2} %, concealed {:.2} %, \
             delay mean {:.1} p95 {:.1} max {:.1} ms, late {}, accelerated {:.0} ms, decelerated {:.0} ms",
            stats.loss_pct(),
            stats.concealed_pct(),
            heard.mean_delay(),
            heard.delay_quantile(0.95),
            heard.delay_quantile(1.0),
            stats.late,
            millis_of(stats.accelerated_samples as i64),
            millis_of(stats.decelerated_samples as i64),
        );
        assert!((4.0..6.5).contains(&reordered), "the trace has {reordered} % reordered");
        assert!((1.5..2.7).contains(&stats.loss_pct()), "the trace loses {}", stats.loss_pct());
        assert!(stats.concealed_pct() <= 3.0, "concealed {} %", stats.concealed_pct());
        assert!(heard.mean_delay() <= p99 + 20.0, "mean {} ms", heard.mean_delay());
        assert!(heard.delay_quantile(0.95) <= p99 + 20.0, "p95 {}", heard.delay_quantile(0.95));
    }
}

#[test]
fn redundancy_repairs_most_single_losses() {
    let start = Instant::now();
    let redundancy = Redundancy::Inband { expected_loss_pct: 10 };
    let sent = packets(&voice(4, 30), &EncoderSettings { redundancy, ..plain() });
    let mut dice = Dice(4);
    let heard = play(
        start,
        arriving(start, sent, |_| (dice.unit() > 0.05).then_some(Duration::from_millis(20))),
    );
    let stats = heard.receiver.stats();
    assert!(stats.loss_pct() > 3.5);
    assert!(stats.concealed_pct() < 0.4 * stats.loss_pct(), "{} %", stats.concealed_pct());
    assert!(stats.recovered_samples > stats.concealed_samples);
}

#[test]
fn announced_silence_is_neither_loss_nor_concealment() {
    let start = Instant::now();
    let mut sound = voice(5, 3);
    sound.extend(std::iter::repeat_n(0.0, 3 * 48_000));
    sound.extend(voice(6, 3));
    let sent = packets(&sound, &EncoderSettings::default());
    assert!(sent.len() < 380, "{} packets", sent.len());
    let heard = play(start, arriving(start, sent, |_| Some(Duration::from_millis(5))));
    let stats = heard.receiver.stats();
    assert_eq!((stats.lost, stats.late, stats.concealed_samples), (0, 0, 0));
    assert!(stats.quiet_samples > 2 * 48_000);
    let (before, silence) = (&heard.sound[48_000..96_000], &heard.sound[4 * 48_000..5 * 48_000]);
    let after = &heard.sound[7 * 48_000..8 * 48_000];
    assert!(rms_dbfs(before) > -30.0 && rms_dbfs(after) > -30.0);
    assert!(rms_dbfs(silence) < -60.0, "{}", rms_dbfs(silence));
}

#[test]
fn the_room_goes_on_sounding_while_its_noise_is_left_out() {
    let start = Instant::now();
    let mut dice = Dice(12);
    let mut sound = voice(12, 3);
    sound.extend(std::iter::repeat_n(0.0, 4 * 48_000));
    sound.iter_mut().for_each(|x| *x += (dice.unit() - 0.5) as f32 * 0.004);
    let room = rms_dbfs(&sound[5 * 48_000..]);
    let sent = packets(&sound, &EncoderSettings::default());
    assert!(sent.len() < 250, "{} packets", sent.len());
    let heard = play(start, arriving(start, sent, |_| Some(Duration::from_millis(5))));
    let levels: Vec<f32> =
        heard.sound[5 * 48_000..6 * 48_000].chunks(4_800).map(rms_dbfs).collect();
    println!("room {room:.1} dBFS, heard {levels:.1?}");
    assert!(levels.iter().all(|level| (level - room).abs() < 12.0), "{room}: {levels:?}");
}

#[test]
fn a_stall_delays_speech_instead_of_dropping_it_and_the_delay_is_worked_off() {
    let start = Instant::now();
    let sent = packets(&voice(7, 30), &plain());
    // From packet 500 on nothing comes for 100 ms, then all of it at once.
    let heard = play(
        start,
        arriving(start, sent, |n| {
            Some(Duration::from_millis(match n {
                500..=505 => 100 - 20 * (n as u64 - 500),
                _ => 0,
            }))
        }),
    );
    let stats = heard.receiver.stats();
    assert_eq!((stats.lost, stats.late), (0, 0));
    assert_eq!(stats.voice_samples, 30 * 48_000, "every frame was played");
    assert!(millis_of(stats.concealed_samples as i64) <= 100.0);
    let tail = &heard.delays[heard.delays.len() - 100..];
    assert!(tail.iter().all(|d| *d < 45.0), "still {} ms", tail[0]);
}

#[test]
fn a_sender_that_falls_silent_for_ten_seconds_is_heard_again_at_once() {
    let start = Instant::now();
    let sent = packets(&voice(8, 20), &plain());
    let heard = play(
        start,
        arriving(start, sent, |n| (!(250..750).contains(&n)).then_some(Duration::from_millis(10))),
    );
    let stats = heard.receiver.stats();
    assert_eq!(stats.late, 0);
    assert!(millis_of(stats.concealed_samples as i64) < 700.0);
    let again = &heard.sound[(15.1 * 48_000.0) as usize..16 * 48_000];
    assert!(rms_dbfs(again) > -30.0);
}

#[test]
fn clocks_that_drift_stay_together() {
    let start = Instant::now();
    let sent = packets(&voice(9, 60), &plain());
    // The sender's clock is slow by 500 ppm: after a minute its packets come 30 ms later.
    let heard = play(start, arriving(start, sent, |n| Some(Duration::from_micros(n as u64 * 10))));
    let stats = heard.receiver.stats();
    assert!(stats.decelerated_samples >= 120);
    assert!(stats.concealed_pct() < 0.1, "{}", stats.concealed_pct());
    assert!(heard.delay_quantile(1.0) < 45.0);
}

#[test]
fn nothing_is_heard_before_the_first_packet_and_its_time_is_told() {
    let mut receiver = Receiver::new().unwrap();
    let start = Instant::now();
    assert_eq!(receiver.pull(start), SILENT_BLOCK);
    assert_eq!(receiver.stats().first_sound, None);
    let sent = packets(&voice(10, 1), &plain());
    receiver.push(start + TICK, sent[0].1.clone());
    let played = (2..10).map(|n| start + n * TICK).find(|at| {
        receiver.pull(*at);
        receiver.stats().first_sound.is_some()
    });
    assert_eq!(receiver.stats().first_sound, played);
    assert_eq!(played, Some(start + 3 * TICK), "20 ms after the packet came");
}

/// Which packets survive losses in bursts of five, until `last`.
fn bursty(seed: u64, last: usize) -> impl FnMut(usize) -> Option<Duration> {
    let mut dice = Dice(seed);
    let mut lost = false;
    move |n| {
        lost = n < last && dice.unit() < if lost { 0.8 } else { 0.05 };
        (!lost).then_some(Duration::from_millis(20))
    }
}

#[test]
fn bursts_are_waited_for_and_repaired_while_packets_remember_what_was_said() {
    let start = Instant::now();
    let hear = |redundancy| {
        let settings = EncoderSettings { redundancy, bitrate_bps: 40_000, ..plain() };
        let sent = packets(&voice(12, 55), &settings);
        play(start, arriving(start, sent, bursty(12, 1_500)))
    };
    let copies = hear(Redundancy::Inband { expected_loss_pct: 20 });
    let deep = hear(Redundancy::Deep { expected_loss_pct: 20 });
    let (with, without) =
        (deep.receiver.stats().concealed_pct(), copies.receiver.stats().concealed_pct());
    let (waited, quick) = (deep.delay_quantile(0.5), copies.delay_quantile(0.5));
    println!("concealed {without:.1} → {with:.1} %, delay {quick:.0} → {waited:.0} ms");
    assert_eq!(deep.receiver.stats().lost, copies.receiver.stats().lost);
    assert!(with < 0.5 * without, "{with} % of {without} %");
    assert!(waited <= 170.0, "{waited} ms");
    // A burst that is longer than most is waited for by 120 ms more, as without redundancy.
    let longest = deep.delay_quantile(1.0);
    assert!(longest < 300.0, "{longest} ms");
    let at_the_end = *deep.delays.last().unwrap();
    assert!(at_the_end < 45.0, "still {at_the_end} ms after the bursts are over");
}

fn any_settings() -> impl Strategy<Value = EncoderSettings> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(short, fec, dtx)| EncoderSettings {
        frame: if short { FrameLength::Ms10 } else { FrameLength::Ms20 },
        redundancy: if fec {
            Redundancy::Inband { expected_loss_pct: 20 }
        } else {
            Redundancy::Off
        },
        silence: if dtx { Silence::LeftOut } else { Silence::Sent },
        ..EncoderSettings::default()
    })
}

/// What a hostile network does to one packet: loss, delay, a copy, foreign bytes.
fn any_fates() -> impl Strategy<Value = Vec<(u8, u16, bool, u8)>> {
    prop::collection::vec(any::<(u8, u16, bool, u8)>(), 300)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_comes_each_sample_is_played_once_and_what_is_held_is_bounded(
        settings in any_settings(),
        fates in any_fates(),
        calm in 0_u8..=255,
    ) {
        let start = Instant::now();
        let sent = packets(&voice(11, 3), &settings);
        let mut arrivals = Vec::new();
        for ((leaves, mut packet), (loss, delay, copy, spoil)) in sent.into_iter().zip(fates) {
            if loss > 240 {
                continue;
            }
            let delay = u64::from(delay) % (1 + 4 * u64::from(255 - calm));
            let at = start + leaves + Duration::from_millis(delay);
            if spoil > 250 {
                packet.payload = vec![spoil; usize::from(spoil - 250)];
            }
            if copy {
                arrivals.push((at + TICK, packet.clone()));
            }
            arrivals.push((at, packet));
        }
        arrivals.sort_by_key(|(at, _)| *at);
        let heard = play(start, arrivals);
        let stats = heard.receiver.stats();
        prop_assert!(stats.voice_samples <= 3 * 48_000);
        prop_assert!(heard.receiver.held_packets() <= earshot_audio::jitter::HELD_MAX);
        prop_assert!(heard.receiver.held_samples() <= 4 * 5_760);
        prop_assert!(heard.sound.iter().all(|x| x.is_finite()));
    }

    #[test]
    fn foreign_packets_never_break_the_receiver(
        packets in prop::collection::vec(
            (any::<u16>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..60), 0_u16..2_000),
            0..200,
        ),
    ) {
        let mut receiver = Receiver::new().unwrap();
        let mut now = Instant::now();
        for (sequence, timestamp, payload, wait_ms) in packets {
            receiver.push(now, VoicePacket { sequence, timestamp, marker: false, payload });
            let block: Block = receiver.pull(now);
            prop_assert!(block.iter().all(|x| x.is_finite()));
            now += Duration::from_millis(u64::from(wait_ms) / 20);
        }
        prop_assert!(receiver.held_packets() <= earshot_audio::jitter::HELD_MAX);
    }
}
