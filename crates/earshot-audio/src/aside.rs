//! Sound beside the calls: the ring and the tones of the line, and trying the devices out.
//!
//! Invariant: one thread for each, which sleeps until a device wants or gives something and ends
//! with it; nothing is cut off with a click.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::device::pace::Wake;
use crate::device::{Capture, DeviceError, DeviceNews, Direction, Microphone, Playback, Speaker};
use crate::frame::{BLOCK_SAMPLES, Block, SILENT_BLOCK};
use crate::level::{FLOOR_DBFS, Meter};
use crate::session::VoiceNews;
use crate::tune::Tune;

/// Who tries the microphone hears it so much later: 1 s, in blocks.
const ECHO_BLOCKS: usize = 100;
/// Blocks of silence behind a sound, so that a card has played all of it.
const TAIL_BLOCKS: u64 = 12;
/// Longest sleep: a net below the cards' wake-ups.
const SLEEP_MAX: Duration = Duration::from_millis(50);
/// News kept for the node to fetch.
const NEWS_MAX: usize = 8;

/// How often a tune is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounds {
    /// Once.
    Once,
    /// Until it is dropped.
    Endless,
}

/// How loud it is now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Levels {
    /// The microphone, dBFS.
    pub in_dbfs: f32,
    /// The loudspeaker, dBFS.
    pub out_dbfs: f32,
}

/// A sound, or a trial of devices. Dropping it ends it.
#[derive(Debug)]
pub struct Aside {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    over: AtomicBool,
    /// Bits of an `f32`.
    gain: AtomicU32,
    levels: Mutex<Levels>,
    news: Mutex<VecDeque<VoiceNews>>,
}

/// A panic in one holder leaves plain data behind that is still whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is played.
enum Source {
    Tune { tune: Tune, rounds: Rounds, place: u64 },
    Echo(VecDeque<Block>),
}

impl Aside {
    /// Plays a tune. `gain` is 0 to 1.
    ///
    /// # Errors
    /// What is wrong with the speaker.
    pub fn play(
        speaker: &Speaker,
        tune: Tune,
        rounds: Rounds,
        gain: f32,
    ) -> Result<Self, DeviceError> {
        let wake = Arc::new(Wake::default());
        let playback = playback(speaker, &wake)?;
        Self::begin(None, Some(playback), Source::Tune { tune, rounds, place: 0 }, gain, wake)
    }

    /// Measures a microphone.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn meter(microphone: &Microphone) -> Result<Self, DeviceError> {
        let wake = Arc::new(Wake::default());
        let capture = capture(microphone, &wake)?;
        Self::begin(Some(capture), None, Source::Echo(VecDeque::new()), 1.0, wake)
    }

    /// Plays what a microphone hears, a second later.
    ///
    /// # Errors
    /// What is wrong with one of the two.
    pub fn echo(microphone: &Microphone, speaker: &Speaker) -> Result<Self, DeviceError> {
        let wake = Arc::new(Wake::default());
        let (capture, playback) = (capture(microphone, &wake)?, playback(speaker, &wake)?);
        let source = Source::Echo(VecDeque::new());
        Self::begin(Some(capture), Some(playback), source, 1.0, wake)
    }

    /// Plays louder or softer.
    pub fn set_gain(&self, gain: f32) {
        self.shared.gain.store(gain.to_bits(), Ordering::Relaxed);
    }

    /// Whether it has come to its end.
    pub fn is_over(&self) -> bool {
        self.shared.over.load(Ordering::Relaxed)
    }

    /// How loud it is now.
    pub fn levels(&self) -> Levels {
        *locked(&self.shared.levels)
    }

    /// What the devices told since the last time.
    pub fn take_news(&self) -> Vec<VoiceNews> {
        locked(&self.shared.news).drain(..).collect()
    }

    fn begin(
        capture: Option<Capture>,
        playback: Option<Playback>,
        source: Source,
        gain: f32,
        wake: Arc<Wake>,
    ) -> Result<Self, DeviceError> {
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            over: AtomicBool::new(false),
            gain: AtomicU32::new(gain.to_bits()),
            levels: Mutex::new(Levels { in_dbfs: FLOOR_DBFS, out_dbfs: FLOOR_DBFS }),
            news: Mutex::default(),
        });
        let worker = Worker {
            shared: Arc::clone(&shared),
            capture,
            playback,
            source,
            gain,
            tail: 0,
            meters: (Meter::default(), Meter::default()),
        };
        let thread = thread::Builder::new().name("earshot-aside".to_owned());
        let thread = thread.spawn(move || {
            wake.adopt_this_thread();
            worker.run();
        });
        let thread = thread.map_err(|e| DeviceError::ServerGone { reason: e.to_string() })?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

impl Drop for Aside {
    /// The sound fades within a tenth of a second.
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _it_panicked_and_said_so = thread.join();
        }
    }
}

fn capture(microphone: &Microphone, wake: &Arc<Wake>) -> Result<Capture, DeviceError> {
    let (capture, trouble) = Capture::open(microphone, wake)?;
    trouble.map_or(Ok(capture), Err)
}

fn playback(speaker: &Speaker, wake: &Arc<Wake>) -> Result<Playback, DeviceError> {
    let (playback, trouble) = Playback::open(speaker, wake)?;
    trouble.map_or(Ok(playback), Err)
}

/// The thread's own.
struct Worker {
    shared: Arc<Shared>,
    capture: Option<Capture>,
    playback: Option<Playback>,
    source: Source,
    /// What the last block ended with.
    gain: f32,
    /// Blocks played since the end was known.
    tail: u64,
    /// Microphone and speaker.
    meters: (Meter, Meter),
}

impl Worker {
    fn run(mut self) {
        let now = Instant::now();
        let begun = self.capture.as_mut().map_or(Ok(()), |capture| capture.start(now));
        self.judge(Direction::Capture, begun);
        let begun = self.playback.as_mut().map_or(Ok(()), |playback| playback.start(now));
        self.judge(Direction::Playback, begun);
        let mut stopped = None;
        loop {
            if self.shared.stop.load(Ordering::Relaxed) {
                let since = *stopped.get_or_insert_with(Instant::now);
                // A speaker that does not take the fading is not waited for.
                if self.playback.is_none() || since.elapsed() > 2 * SLEEP_MAX {
                    break;
                }
            }
            self.hear();
            self.sound();
            self.publish();
            if self.tail > TAIL_BLOCKS {
                break;
            }
            self.sleep();
        }
        let finished = self.playback.as_mut().map_or(Ok(()), Playback::finish);
        self.judge(Direction::Playback, finished);
        self.shared.over.store(true, Ordering::Relaxed);
    }

    fn hear(&mut self) {
        let now = Instant::now();
        let Some(capture) = &mut self.capture else { return };
        loop {
            match capture.take(now) {
                Ok(Some(block)) => {
                    self.meters.0.feed(&block);
                    if let (Source::Echo(waiting), Some(_)) = (&mut self.source, &self.playback) {
                        waiting.push_back(block);
                    }
                }
                Ok(None) => break,
                Err(problem) => return self.judge(Direction::Capture, Err(problem)),
            }
        }
        while capture.owes(now) {
            self.meters.0.feed(&SILENT_BLOCK);
        }
    }

    fn sound(&mut self) {
        let now = Instant::now();
        while self.playback.as_mut().and_then(|playback| playback.wants(now)).is_some() {
            let block = self.next_block();
            self.meters.1.feed(&block);
            let put = self.playback.as_mut().map_or(Ok(()), |playback| playback.put(&block));
            self.judge(Direction::Playback, put);
        }
    }

    fn next_block(&mut self) -> Block {
        let stopped = self.shared.stop.load(Ordering::Relaxed);
        let mut over = stopped;
        let mut block = match &mut self.source {
            Source::Tune { tune, rounds: Rounds::Once, place } if *place >= tune.blocks() => {
                over = true;
                SILENT_BLOCK
            }
            Source::Tune { tune, place, .. } => {
                *place += 1;
                tune.block(*place - 1)
            }
            Source::Echo(waiting) => {
                // The microphone runs a little quicker than the speaker, or stood still.
                while waiting.len() > ECHO_BLOCKS + 10 {
                    waiting.pop_front();
                }
                let due = waiting.len() > ECHO_BLOCKS;
                due.then(|| waiting.pop_front()).flatten().unwrap_or(SILENT_BLOCK)
            }
        };
        self.tail += u64::from(over);
        let goal = f32::from_bits(self.shared.gain.load(Ordering::Relaxed));
        let goal = if stopped { 0.0 } else { goal };
        let step = (goal - self.gain) / BLOCK_SAMPLES as f32;
        for sample in &mut block {
            self.gain += step;
            *sample *= self.gain;
        }
        self.gain = goal;
        block
    }

    fn publish(&mut self) {
        let levels = Levels { in_dbfs: self.meters.0.dbfs(), out_dbfs: self.meters.1.dbfs() };
        *locked(&self.shared.levels) = levels;
        let heard = self.capture.as_mut().map(Capture::take_news).unwrap_or_default();
        let played = self.playback.as_mut().map(Playback::take_news).unwrap_or_default();
        heard.into_iter().for_each(|news| self.note(Direction::Capture, news));
        played.into_iter().for_each(|news| self.note(Direction::Playback, news));
    }

    fn judge(&self, direction: Direction, done: Result<(), DeviceError>) {
        if let Err(problem) = done {
            self.note(direction, DeviceNews::Trouble(problem));
        }
    }

    fn note(&self, direction: Direction, news: DeviceNews) {
        let mut all = locked(&self.shared.news);
        if all.len() == NEWS_MAX {
            all.pop_front();
        }
        all.push_back(VoiceNews { direction, news });
    }

    fn sleep(&self) {
        let capture = self.capture.as_ref().and_then(Capture::due);
        let due = [capture, self.playback.as_ref().and_then(Playback::due)];
        let due = due.into_iter().flatten().min();
        let now = Instant::now();
        let wait = due.map_or(SLEEP_MAX, |due| due.saturating_duration_since(now).min(SLEEP_MAX));
        if !wait.is_zero() {
            thread::park_timeout(wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::wav_sink::tests::Scratch;
    use crate::level::rms_dbfs;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < PATIENCE, "waited in vain: {what}");
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    fn read(path: &std::path::Path) -> Vec<f32> {
        let mut wav = hound::WavReader::open(path).unwrap();
        wav.samples::<i16>().map(|x| f32::from(x.unwrap()) / 32_768.0).collect()
    }

    #[test]
    fn a_tune_is_played_once_and_whole() {
        let scratch = Scratch::new("tune-once");
        let path = scratch.path("out.wav");
        let speaker = Speaker::File(path.clone());
        let aside = Aside::play(&speaker, Tune::HungUp, Rounds::Once, 0.5).unwrap();
        eventually("it ends by itself", || aside.is_over());
        let sound = read(&path);
        let played = sound[..Tune::HungUp.blocks() as usize * BLOCK_SAMPLES].iter();
        let written = (0..Tune::HungUp.blocks()).flat_map(|place| Tune::HungUp.block(place));
        let worst = played.zip(written).map(|(a, b)| (a - 0.5 * b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-3, "{worst}");
        assert_eq!(aside.take_news(), []);
    }

    #[test]
    fn a_ring_goes_on_until_it_is_dropped_and_fades() {
        let scratch = Scratch::new("tune-endless");
        let path = scratch.path("out.wav");
        let speaker = Speaker::File(path.clone());
        let aside = Aside::play(&speaker, Tune::Ring, Rounds::Endless, 1.0).unwrap();
        eventually("it is heard", || aside.levels().out_dbfs > -20.0);
        drop(aside);
        let sound = read(&path);
        assert!(rms_dbfs(&sound[sound.len() - BLOCK_SAMPLES..]) < -60.0, "it was cut off");
    }

    #[test]
    fn who_tries_the_microphone_hears_it_a_second_later() {
        let scratch = Scratch::new("echo");
        let path = scratch.path("out.wav");
        let speaker = Speaker::File(path.clone());
        let aside = Aside::echo(&Microphone::Tone(440.0), &speaker).unwrap();
        eventually("the tone comes back", || aside.levels().out_dbfs > -25.0);
        assert!(aside.levels().in_dbfs > -25.0);
        drop(aside);
        let sound = read(&path);
        let first = sound.iter().position(|x| x.abs() > 0.01).unwrap() as f32 / 48_000.0;
        assert!((0.9..1.5).contains(&first), "after {first} s");
    }

    #[test]
    fn a_microphone_is_measured_without_any_speaker() {
        let aside = Aside::meter(&Microphone::Tone(440.0)).unwrap();
        eventually("the level is shown", || aside.levels().in_dbfs > -25.0);
        assert_eq!(aside.levels().out_dbfs, FLOOR_DBFS);
        let missing = Aside::meter(&Microphone::File("/nonexistent.wav".into())).unwrap_err();
        assert!(matches!(missing, DeviceError::FileUnreadable { .. }));
    }
}
