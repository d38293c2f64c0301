//! A sound card as microphone and as loudspeaker, in blocks of 10 ms.
//!
//! Callbacks bring and want any number of samples; here they are cut to blocks, and brought to
//! 48 kHz mono where a card insists on something else. The loudspeaker's ring is kept at a *level*:
//! as little as the card takes at once, a little more after each time it ran empty.
//!
//! Invariant: the ring never holds more than its level and one block, so no delay creeps in.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rtrb::{Consumer, Producer};

use super::card_stream::{Line, Supervised, open_capture, open_playback};
use super::pace::Wake;
use super::{DeviceNews, Opened};
use crate::frame::{BLOCK_SAMPLES, Block, SAMPLE_RATE_HZ, SILENT_BLOCK, duration_of};
use crate::resample::Resampler;

/// How much the level grows when the ring ran empty: 5 ms.
const LEVEL_STEP: usize = BLOCK_SAMPLES / 2;
/// The level never exceeds 60 ms: from there on gaps are less bad than delay.
const LEVEL_MAX: usize = 6 * BLOCK_SAMPLES;
/// Blocks without a gap after which the level shrinks again: 20 s.
const CALM: u32 = 2_000;

/// A microphone.
pub(crate) struct CardCapture {
    stream: Supervised<Consumer<f32>>,
    line: Option<Line<Consumer<f32>>>,
    resampler: Option<Resampler>,
    ready: Vec<f32>,
}

impl CardCapture {
    /// Opens the card, or waits for it.
    pub(crate) fn open(id: &str, wake: &Arc<Wake>) -> Opened<Self> {
        let (stream, trouble) = open_capture(id, wake)?;
        Ok((Self { stream, line: None, resampler: None, ready: Vec::new() }, trouble))
    }

    /// Drops what was heard and not taken.
    pub(crate) fn forget(&mut self) {
        self.gather();
        self.ready.clear();
    }

    pub(crate) fn take(&mut self) -> Option<Block> {
        self.gather();
        let first = self.ready.get(..BLOCK_SAMPLES)?;
        let mut block = SILENT_BLOCK;
        block.copy_from_slice(first);
        self.ready.drain(..BLOCK_SAMPLES);
        Some(block)
    }

    pub(crate) fn take_news(&self) -> Vec<DeviceNews> {
        self.stream.take_news()
    }

    fn gather(&mut self) {
        if let Some(line) = self.stream.new_line() {
            self.resampler = converter(line.shape.rate_hz, SAMPLE_RATE_HZ);
            self.line = Some(line);
        }
        let Some(line) = &mut self.line else { return };
        let channels = line.shape.channels.max(1);
        let whole = line.ring.slots() / channels * channels;
        let Ok(chunk) = line.ring.read_chunk(whole) else { return };
        let interleaved: Vec<f32> = chunk.into_iter().collect();
        let mono: Vec<f32> = interleaved
            .chunks_exact(channels)
            .map(|all| all.iter().sum::<f32>() / channels as f32)
            .collect();
        match &mut self.resampler {
            Some(resampler) => resampler.push(&mono, &mut self.ready),
            None => self.ready.extend(mono),
        }
    }
}

/// A loudspeaker.
pub(crate) struct CardPlayback {
    stream: Supervised<Producer<f32>>,
    line: Option<Line<Producer<f32>>>,
    resampler: Option<Resampler>,
    converted: Vec<f32>,
    level: Level,
}

impl CardPlayback {
    /// Opens the card, or waits for it.
    pub(crate) fn open(id: &str, wake: &Arc<Wake>) -> Opened<Self> {
        let (stream, trouble) = open_playback(id, wake)?;
        let level = Level::default();
        let card = Self { stream, line: None, resampler: None, converted: Vec::new(), level };
        Ok((card, trouble))
    }

    pub(crate) fn wants(&mut self, now: Instant) -> Option<Instant> {
        if let Some(line) = self.stream.new_line() {
            self.resampler = converter(SAMPLE_RATE_HZ, line.shape.rate_hz);
            self.stream.signs.primed.store(false, Ordering::Relaxed);
            self.line = Some(line);
        }
        let line = self.line.as_ref()?;
        let to_ours = |samples: usize| {
            samples / line.shape.channels.max(1) * SAMPLE_RATE_HZ as usize
                / line.shape.rate_hz.max(1) as usize
        };
        let filled = to_ours(line.ring.buffer().capacity() - line.ring.slots());
        let callback = to_ours(self.stream.signs.largest.load(Ordering::Relaxed));
        if filled >= self.level.goal(callback) {
            return None;
        }
        Some(now + duration_of(filled as u64))
    }

    pub(crate) fn put(&mut self, block: &Block) {
        self.level.note(self.underruns());
        let Some(line) = &mut self.line else { return };
        self.converted.clear();
        match &mut self.resampler {
            Some(resampler) => resampler.push(block, &mut self.converted),
            None => self.converted.extend_from_slice(block),
        }
        let channels = line.shape.channels.max(1);
        let fits = (self.converted.len() * channels).min(line.ring.slots() / channels * channels);
        if let Ok(chunk) = line.ring.write_chunk_uninit(fits) {
            let all = self.converted.iter().flat_map(|x| std::iter::repeat_n(*x, channels));
            chunk.fill_from_iter(all);
            self.stream.signs.primed.store(true, Ordering::Relaxed);
        }
    }

    /// Samples that the card wanted and did not get.
    pub(crate) fn underruns(&self) -> u64 {
        self.stream.signs.underruns.load(Ordering::Relaxed)
    }

    pub(crate) fn take_news(&self) -> Vec<DeviceNews> {
        self.stream.take_news()
    }
}

/// How full the ring is kept.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    extra: usize,
    gaps_seen: u64,
    calm: u32,
}

impl Level {
    /// Samples to hold ready for a card that takes `callback` at once.
    fn goal(&self, callback: usize) -> usize {
        (callback.max(BLOCK_SAMPLES) + self.extra).min(LEVEL_MAX.max(callback))
    }

    /// One block went by; the card has missed `gaps` samples in all.
    fn note(&mut self, gaps: u64) {
        if gaps > self.gaps_seen {
            self.gaps_seen = gaps;
            self.calm = 0;
            self.extra = (self.extra + LEVEL_STEP).min(LEVEL_MAX);
            return;
        }
        self.calm += 1;
        if self.calm >= CALM {
            self.calm = 0;
            self.extra = self.extra.saturating_sub(LEVEL_STEP);
        }
    }
}

/// A resampler where the rates differ and can be converted.
fn converter(from_hz: u32, to_hz: u32) -> Option<Resampler> {
    if from_hz == to_hz { None } else { Resampler::new(from_hz, to_hz).ok() }
}

impl fmt::Debug for CardCapture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CardCapture").field("ready", &self.ready.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for CardPlayback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CardPlayback").field("level", &self.level).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_grows_with_gaps_and_shrinks_in_calm() {
        let mut level = Level::default();
        assert_eq!(level.goal(100), 480);
        assert_eq!(level.goal(512), 512);
        level.note(30);
        assert_eq!(level.goal(480), 720);
        (0..100).for_each(|more| level.note(31 + more));
        assert_eq!(level.goal(480), LEVEL_MAX);
        (0..u64::from(CALM)).for_each(|_| level.note(130));
        assert!(level.extra < LEVEL_MAX);
    }
}
