//! A voice through our sender and our receiver over a line of virtual time: no clock, no socket, no
//! device, so that the figure is the same on every machine.

use std::time::{Duration, Instant};

use earshot_audio::codec::{CodecError, EncoderSettings};
use earshot_audio::counts::ReceiverStats;
use earshot_audio::frame::{BLOCK_DURATION, BLOCK_SAMPLES, Block};
use earshot_audio::receiver::Receiver;
use earshot_audio::reception::Reporter;
use earshot_audio::sender::{Sender, StreamStart};

use crate::speech::Dice;

/// The way of a packet: any constant does, since the receiver learns it.
const WAY: Duration = Duration::from_millis(20);
/// Playout does not beat in step with arrivals.
const PHASE: Duration = Duration::from_millis(3);
/// Blocks that are heard after the last was said: more than way and jitter buffer together.
const BLOCKS_AFTER: usize = 50;

/// Reports go back once a second, as in a call.
const BLOCKS_PER_REPORT: usize = 100;

/// A line and what it loses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    /// How the voice is coded, until reports change it.
    pub(super) encoder: EncoderSettings,
    /// What it loses.
    pub(super) loss: Loss,
    /// Whether the speaker learns of it.
    pub(super) reports: Reports,
    /// Which packets these are.
    pub(super) seed: u64,
}

/// How packets get lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// None does.
    Nothing,
    /// Each by itself.
    OneByOne {
        /// Of a hundred.
        pct: u8,
    },
    /// In runs (E. N. Gilbert, "Capacity of a Burst-Noise Channel", 1960, with a bad state that
    /// loses everything).
    InBursts {
        /// Of a hundred.
        pct: u8,
        /// Mean length of a run.
        packets: u8,
    },
}

/// What becomes of the listener's reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reports {
    /// The speaker hears and heeds them.
    Heeded,
    /// Nobody sends any.
    Absent,
}

/// The fates of the packets, one after the other.
struct Fates {
    loss: Loss,
    dice: Dice,
    in_burst: bool,
}

impl Fates {
    fn loses_next(&mut self) -> bool {
        let drawn = self.dice.unit();
        let chance = match self.loss {
            Loss::Nothing => 0.0,
            Loss::OneByOne { pct } => f64::from(pct) / 100.0,
            Loss::InBursts { pct, packets } => {
                let (part, length) = (f64::from(pct) / 100.0, f64::from(packets));
                if self.in_burst { 1.0 - 1.0 / length } else { part / (length * (1.0 - part)) }
            }
        };
        self.in_burst = drawn < chance;
        self.in_burst
    }
}

/// What came out at the other end.
#[derive(Debug)]
pub(super) struct Heard {
    /// From the first block that was played on.
    pub(super) sound: Vec<f32>,
    /// What the receiver counted.
    pub(super) stats: ReceiverStats,
    /// Payload that was sent, over the length of what was said.
    pub(super) payload_bps: f64,
}

impl Line {
    /// Says `spoken` at one end and gives what is heard at the other.
    ///
    /// # Errors
    /// Where Opus does not do what is asked of it.
    pub(super) fn carry(&self, spoken: &[f32]) -> Result<Heard, CodecError> {
        let start = Instant::now();
        let mut sender = Sender::new(&self.encoder, StreamStart::default())?;
        let mut receiver = Receiver::new()?;
        let dice = Dice::new(self.seed);
        let mut fates = Fates { loss: self.loss, dice, in_burst: false };
        let mut reporter = Reporter::default();
        let mut told = std::collections::VecDeque::new();
        let mut on_the_way = std::collections::VecDeque::new();
        let mut sound = Vec::with_capacity(spoken.len() + BLOCKS_AFTER * BLOCK_SAMPLES);
        let mut now = start;
        for n in 0..spoken.len().div_ceil(BLOCK_SAMPLES) + BLOCKS_AFTER {
            now += BLOCK_DURATION;
            while let Some((_, report)) = told.pop_front_if(|(at, _)| *at <= now) {
                sender.note_reception(&report)?;
            }
            if let Some(packet) = sender.push(&block(spoken, n))?
                && !fates.loses_next()
            {
                on_the_way.push_back((now + WAY, packet));
            }
            let played = now + PHASE;
            while on_the_way.front().is_some_and(|(at, _)| *at <= played)
                && let Some((at, packet)) = on_the_way.pop_front()
            {
                receiver.push(at, packet);
            }
            sound.extend(receiver.pull(played));
            if self.reports == Reports::Heeded
                && n % BLOCKS_PER_REPORT == 0
                && let Some(report) = reporter.report(receiver.stats())
            {
                told.push_back((played + WAY, report));
            }
        }
        let seconds = (now - start).as_secs_f64();
        let payload_bps = sender.stats().payload_bytes as f64 * 8.0 / seconds;
        Ok(Heard { sound, stats: *receiver.stats(), payload_bps })
    }
}

fn block(sound: &[f32], n: usize) -> Block {
    std::array::from_fn(|i| sound.get(n * BLOCK_SAMPLES + i).copied().unwrap_or(0.0))
}

#[cfg(test)]
mod tests;
