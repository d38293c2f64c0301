//! A voice through our sender and our receiver over a line of virtual time: no clock, no socket, no
//! device, so that the figure is the same on every machine.

use std::time::{Duration, Instant};

use earshot_audio::codec::{CodecError, EncoderSettings};
use earshot_audio::counts::ReceiverStats;
use earshot_audio::frame::{BLOCK_DURATION, BLOCK_SAMPLES, Block};
use earshot_audio::receiver::Receiver;
use earshot_audio::sender::{Sender, StreamStart};

use crate::speech::Dice;

/// The way of a packet: any constant does, since the receiver learns it.
const WAY: Duration = Duration::from_millis(20);
/// Playout does not beat in step with arrivals.
const PHASE: Duration = Duration::from_millis(3);
/// Blocks that are heard after the last was said: more than way and jitter buffer together.
const BLOCKS_AFTER: usize = 50;

/// A line and what it loses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    /// How the voice is coded.
    pub(super) encoder: EncoderSettings,
    /// Chance of each packet to be lost, by itself.
    pub(super) loss_pct: u8,
    /// Which packets these are.
    pub(super) seed: u64,
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
        let mut dice = Dice::new(self.seed);
        let mut on_the_way = std::collections::VecDeque::new();
        let mut sound = Vec::with_capacity(spoken.len() + BLOCKS_AFTER * BLOCK_SAMPLES);
        let mut now = start;
        for n in 0..spoken.len().div_ceil(BLOCK_SAMPLES) + BLOCKS_AFTER {
            now += BLOCK_DURATION;
            if let Some(packet) = sender.push(&block(spoken, n))?
                && dice.unit() * 100.0 >= f64::from(self.loss_pct)
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
mod tests {
    use earshot_audio::codec::Redundancy;

    use super::*;
    use crate::speech::speech;

    fn carry(loss_pct: u8, redundancy: Redundancy, seed: u64) -> Heard {
        let encoder = EncoderSettings { redundancy, ..EncoderSettings::default() };
        Line { encoder, loss_pct, seed }.carry(&speech(5, 6, 48_000)).unwrap()
    }

    #[test]
    fn a_line_without_loss_brings_every_packet_in_time() {
        let heard = carry(0, Redundancy::Off, 1);
        let stats = heard.stats;
        assert_eq!((stats.lost, stats.late, stats.concealed_samples), (0, 0, 0));
        assert!((20_000.0..44_000.0).contains(&heard.payload_bps), "{}", heard.payload_bps);
    }

    #[test]
    fn a_line_loses_what_it_is_told_to_and_the_same_again() {
        let fec = Redundancy::Inband { expected_loss_pct: 20 };
        let (first, again) = (carry(20, fec, 3), carry(20, fec, 3));
        assert!((10.0..30.0).contains(&first.stats.loss_pct()), "{}", first.stats.loss_pct());
        assert_eq!(first.sound, again.sound);
        assert_ne!(first.sound, carry(20, fec, 4).sound);
    }
}
