//! Time for endpoints that have none of their own.
//!
//! Block `n` is due at start + `n` · 10 ms, an absolute deadline of CLOCK_MONOTONIC: a thread that
//! wakes late catches up, and nothing drifts. Which moment is which: a captured sample `i` is
//! *spoken* at start + `i`/48000, and its block is handed on when its last sample is spoken; a
//! played sample `i` is *heard* at start + `i`/48000, and its block is asked for when its first
//! sample is to be heard.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::{DeviceError, sidecar, wav_sink::WavSink};
use crate::frame::{BLOCK_DURATION, BLOCK_SAMPLES, Block, duration_of};

/// Wakes the voice thread from a device's callback, which must never wait.
#[derive(Debug, Default)]
pub struct Wake {
    sleeper: OnceLock<Thread>,
}

impl Wake {
    /// The calling thread is the one to be woken.
    pub(crate) fn adopt_this_thread(&self) {
        let _already_adopted = self.sleeper.set(std::thread::current());
    }

    /// Wakes it; before anyone sleeps this does nothing.
    pub(crate) fn wake(&self) {
        if let Some(thread) = self.sleeper.get() {
            thread.unpark();
        }
    }
}

/// Deadlines every 10 ms.
#[derive(Clone, Copy, Debug)]
struct Pace {
    start: Instant,
    blocks: u64,
}

impl Pace {
    /// When sample 0 of block `blocks + ahead` is spoken or heard.
    fn deadline(&self, ahead: u64) -> Instant {
        self.start + duration_of((self.blocks + ahead) * BLOCK_SAMPLES as u64)
    }
}

type Fill = Box<dyn FnMut() -> Result<Block, DeviceError> + Send>;

/// Without a sign of life for so long a card is gone.
pub(crate) const DEAD_AFTER: Duration = Duration::from_millis(500);

/// Lets time go by for a card that is gone.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StandIn {
    /// When the card last gave or took something.
    lived: Option<Instant>,
    /// The first moment that nothing was done about, once it is gone.
    missing: Option<Instant>,
}

impl StandIn {
    /// The card gives or takes something now.
    pub(crate) const fn lives(&mut self, now: Instant) {
        *self = Self { lived: Some(now), missing: None };
    }

    /// Whether it stands in.
    pub(crate) const fn stands_in(&self) -> bool {
        self.missing.is_some()
    }

    /// The beginning of 10 ms that have to go by.
    pub(crate) fn wants(&mut self, now: Instant) -> Option<Instant> {
        let lived = self.lived?;
        if self.missing.is_none() && now.saturating_duration_since(lived) >= DEAD_AFTER {
            self.missing = Some(lived);
        }
        self.missing.filter(|missing| *missing + BLOCK_DURATION <= now)
    }

    /// They have.
    pub(crate) fn passed(&mut self) {
        self.missing = self.missing.map(|missing| missing + BLOCK_DURATION);
    }

    /// When to ask again.
    pub(crate) fn due(&self) -> Option<Instant> {
        let next = self.missing.map(|missing| missing + BLOCK_DURATION);
        next.or_else(|| self.lived.map(|lived| lived + DEAD_AFTER))
    }
}

/// A microphone that is no sound card.
pub(crate) struct PacedCapture {
    fill: Fill,
    /// The file whose first moment is to be noted beside it.
    noted_beside: Option<PathBuf>,
    pace: Option<Pace>,
    due: Option<Instant>,
}

impl PacedCapture {
    pub(crate) fn new(fill: Fill, noted_beside: Option<PathBuf>) -> Self {
        Self { fill, noted_beside, pace: None, due: None }
    }

    pub(crate) fn start(&mut self, at: Instant) -> Result<(), DeviceError> {
        let pace = Pace { start: at, blocks: 0 };
        self.pace = Some(pace);
        self.due = Some(pace.deadline(1));
        self.noted_beside.as_deref().map_or(Ok(()), |path| sidecar::write(path, at))
    }

    pub(crate) fn take(&mut self, now: Instant) -> Result<Option<Block>, DeviceError> {
        let (Some(pace), Some(due)) = (&mut self.pace, self.due) else { return Ok(None) };
        if now < due {
            return Ok(None);
        }
        pace.blocks += 1;
        self.due = Some(pace.deadline(1));
        (self.fill)().map(Some)
    }

    pub(crate) const fn due(&self) -> Option<Instant> {
        self.due
    }
}

impl std::fmt::Debug for PacedCapture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PacedCapture").field("pace", &self.pace).finish_non_exhaustive()
    }
}

/// A speaker that is no sound card.
#[derive(Debug)]
pub(crate) struct PacedPlayback {
    file: Option<WavSink>,
    pace: Option<Pace>,
    due: Option<Instant>,
}

impl PacedPlayback {
    pub(crate) const fn new(file: Option<WavSink>) -> Self {
        Self { file, pace: None, due: None }
    }

    pub(crate) fn start(&mut self, at: Instant) -> Result<(), DeviceError> {
        self.pace = Some(Pace { start: at, blocks: 0 });
        self.due = Some(at);
        self.file.as_ref().map_or(Ok(()), |file| sidecar::write(file.path(), at))
    }

    pub(crate) fn wants(&self, now: Instant) -> Option<Instant> {
        self.due.filter(|due| *due <= now)
    }

    pub(crate) fn put(&mut self, block: &Block) -> Result<(), DeviceError> {
        if let Some(pace) = &mut self.pace {
            pace.blocks += 1;
            self.due = Some(pace.deadline(0));
        }
        let written = self.file.as_mut().map_or(Ok(()), |file| file.write(block));
        if written.is_err() {
            // What is written stays; a full disk is told once and not a hundred times a second.
            self.file = None;
        }
        written
    }

    pub(crate) const fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(crate) fn finish(&mut self) -> Result<(), DeviceError> {
        self.file.take().map_or(Ok(()), WavSink::finish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::SILENT_BLOCK;

    #[test]
    fn for_a_card_that_is_gone_time_goes_by_and_the_gap_is_made_up() {
        let start = Instant::now();
        let mut stand_in = StandIn::default();
        assert_eq!((stand_in.wants(start), stand_in.due()), (None, None));
        stand_in.lives(start);
        assert_eq!(stand_in.wants(start + DEAD_AFTER / 2), None);
        assert_eq!(stand_in.due(), Some(start + DEAD_AFTER));
        let gone = start + DEAD_AFTER;
        let mut blocks = 0;
        while stand_in.wants(gone).is_some() {
            stand_in.passed();
            blocks += 1;
        }
        assert_eq!(blocks, 50);
        assert_eq!(stand_in.due(), Some(gone + BLOCK_DURATION));
        stand_in.lives(gone);
        assert!(!stand_in.stands_in());
    }

    #[test]
    fn a_block_is_ready_when_its_last_sample_is_spoken() {
        let start = Instant::now();
        let mut capture = PacedCapture::new(Box::new(|| Ok(SILENT_BLOCK)), None);
        assert_eq!(capture.take(start), Ok(None), "not started");
        capture.start(start).unwrap();
        assert_eq!(capture.take(start + BLOCK_DURATION / 2), Ok(None));
        assert!(capture.take(start + BLOCK_DURATION).unwrap().is_some());
        assert_eq!(capture.due(), Some(start + 2 * BLOCK_DURATION));
    }

    #[test]
    fn a_late_thread_catches_up_and_nothing_drifts() {
        let start = Instant::now();
        let mut capture = PacedCapture::new(Box::new(|| Ok(SILENT_BLOCK)), None);
        let mut playback = PacedPlayback::new(None);
        capture.start(start).unwrap();
        playback.start(start).unwrap();
        let late = start + 7 * BLOCK_DURATION;
        let taken = std::iter::from_fn(|| capture.take(late).unwrap()).count();
        assert_eq!(taken, 7);
        let mut heard = Vec::new();
        while let Some(at) = playback.wants(late) {
            heard.push(at);
            playback.put(&SILENT_BLOCK).unwrap();
        }
        assert_eq!(heard, (0..=7).map(|n| start + n * BLOCK_DURATION).collect::<Vec<_>>());
    }
}
