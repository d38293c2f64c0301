//! What the tests of sound share: a seeded generator, a voice, a network.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::time::{Duration, Instant};

use earshot_audio::codec::EncoderSettings;
use earshot_audio::frame::{BLOCK_SAMPLES, Block, SAMPLE_RATE_HZ};
use earshot_audio::sender::{Sender, StreamStart, VoicePacket};

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers from the same seed everywhere.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In 0…1, neither of them.
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }
}

/// A voice: syllables of a gliding pitch with formant-like harmonics, short pauses between.
pub(crate) fn voice(seed: u64, seconds: usize) -> Vec<f32> {
    let mut dice = Dice(seed);
    let mut sound = Vec::with_capacity(seconds * SAMPLE_RATE_HZ as usize);
    let mut phase = 0.0_f64;
    while sound.len() < seconds * SAMPLE_RATE_HZ as usize {
        let length = (0.08 + 0.25 * dice.unit()) * 48_000.0;
        let (from, to) = (100.0 + 80.0 * dice.unit(), 100.0 + 80.0 * dice.unit());
        let formants = [300.0 + 500.0 * dice.unit(), 900.0 + 1_500.0 * dice.unit()];
        let gains: Vec<f64> = (1..25)
            .map(|h| {
                let f = (from + to) / 2.0 * f64::from(h);
                0.02 + formants.iter().map(|c| (-((f - c) / 150.0).powi(2)).exp()).sum::<f64>()
            })
            .collect();
        for i in 0..length as usize {
            let along = i as f64 / length;
            phase += (from + (to - from) * along) / 48_000.0;
            let loud = (along * std::f64::consts::PI).sin() * 0.2;
            let harmonics: f64 = (1..)
                .zip(&gains)
                .map(|(h, gain)| gain * (std::f64::consts::TAU * phase * f64::from(h)).sin())
                .sum();
            sound.push((loud * harmonics) as f32);
        }
        let pause = (0.15 * dice.unit() * 48_000.0) as usize;
        sound.extend((0..pause).map(|_| (dice.unit() - 0.5) as f32 * 1e-3));
    }
    sound.truncate(seconds * SAMPLE_RATE_HZ as usize);
    sound
}

pub(crate) fn block(sound: &[f32], n: usize) -> Block {
    std::array::from_fn(|i| sound.get(n * BLOCK_SAMPLES + i).copied().unwrap_or(0.0))
}

/// Packets of `sound` with the moment at which each leaves.
pub(crate) fn packets(sound: &[f32], settings: &EncoderSettings) -> Vec<(Duration, VoicePacket)> {
    let start = StreamStart { sequence: 65_000, timestamp: u32::MAX - 48_000 };
    let mut sender = Sender::new(settings, start).unwrap();
    let blocks = sound.len() / BLOCK_SAMPLES;
    (0..blocks)
        .filter_map(|n| {
            let leaves = Duration::from_millis(10) * (n as u32 + 1);
            Some((leaves, sender.push(&block(sound, n)).unwrap()?))
        })
        .collect()
}

/// Packets in the order of arrival.
pub(crate) fn arriving(
    start: Instant,
    packets: Vec<(Duration, VoicePacket)>,
    mut delay: impl FnMut(usize) -> Option<Duration>,
) -> Vec<(Instant, VoicePacket)> {
    let mut all: Vec<_> = packets
        .into_iter()
        .enumerate()
        .filter_map(|(n, (leaves, packet))| Some((start + leaves + delay(n)?, packet)))
        .collect();
    all.sort_by_key(|(at, _)| *at);
    all
}

/// A directory that goes with the test.
pub(crate) struct Scratch(std::path::PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("earshot-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone_already = std::fs::remove_dir_all(&self.0);
    }
}
