//! The receiving half: packets in as they come, 10 ms of sound out whenever the speaker wants them.
//!
//! One clock rules: the sample that should sound now is the one sent `target` after the quickest
//! packet could have brought it (see [`crate::delay`]). Each pull compares what sounds with what
//! should: too late, and a period is left out; too early, and one is repeated; a gap is bridged
//! ([`repair`]); a silence that the sender announced is stretched or shortened for free. The
//! packets that are not there yet are waited for while that is cheaper than losing them; where
//! losses come in bursts and packets carry deep redundancy, playing lags by about a burst.
//!
//! Source: RFC 3550 (counts), RFC 7587 section 4.1; the division of labour follows NetEq (WebRTC).
//! Invariant: every pull gives exactly one block; no sample of a packet is played twice; what is
//! held is bounded by [`crate::jitter::HELD_MAX`] packets and a few frames of decoded sound.

mod repair;

use std::time::Instant;

use crate::arrivals::Arrivals;
use crate::bursts::Bursts;
use crate::codec::{self, CodecError};
use crate::counts::ReceiverStats;
use crate::decoder::VoiceDecoder;
use crate::delay::{DelayEstimator, Transit};
use crate::frame::{BLOCK_SAMPLES, Block, SAMPLE_RATE_HZ, SILENT_BLOCK, samples_in};
use crate::jitter::{Held, JitterBuffer};
use crate::sender::VoicePacket;
use crate::sequence::{Seen, TimestampUnfolder};
use crate::stretch;

const MS: i64 = SAMPLE_RATE_HZ as i64 / 1_000;
const BLOCK: i64 = BLOCK_SAMPLES as i64;
/// Waiting on a quiet network. One frame of 20 ms: a packet may be late by a whole frame.
pub const TARGET_FLOOR: i64 = 20 * MS;
/// While packets get lost, wait one frame and a block, so that the next packet is there to repair.
const TARGET_FLOOR_LOSSY: i64 = 30 * MS;
/// A loss makes the path lossy for so long.
const LOSSY_FOR: i64 = 10_000 * MS;
/// Half a block: a pull may start a stream that much early, since it cannot start between blocks.
const ROUNDING: i64 = 5 * MS;
/// Sound that plays later than wanted by more than this is shortened.
const TOO_LATE: i64 = 8 * MS;
/// Sound that plays earlier than wanted by more than this is lengthened.
const TOO_EARLY: i64 = 5 * MS;
/// Sound so much too late is shortened twice as often, and less choosily.
const MUCH_TOO_LATE: i64 = 80 * MS;
/// Blocks between two changes of length.
const STRETCH_EVERY: u32 = 4;
/// How alike two periods must be; NetEq accelerates at 0.9, decelerates at 0.85.
const LIKENESS: f32 = 0.85;
const LIKENESS_HASTY: f32 = 0.5;
/// Without any packet for so long nothing more is invented: the other side stopped sending.
const STALLED_AFTER: i64 = 500 * MS;
/// The same in a silence, in which a sign of life comes every 400 ms: two may be lost.
const STALLED_AFTER_IN_SILENCE: i64 = 1_500 * MS;
/// Sound so much too late is given up: the speaker itself stood still (a suspended machine, a lost
/// sound server), and nobody wants the past.
const LOST_TOUCH: i64 = 500 * MS;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing came yet, or the other side stopped: silence until the next packet's time.
    Waiting,
    /// Sound runs.
    Playing(Playing),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Playing {
    /// Media time behind the last decoded sample.
    next: i64,
    /// Sequence of the last packet played.
    sequence: i64,
    /// The last packet announced silence.
    quiet: bool,
    /// Samples invented since the last packet.
    invented: i64,
}

impl Playing {
    /// `packet` ends the silence that the last packet announced. It is never too late: nothing was
    /// said since.
    const fn is_onset(&self, packet: &Held) -> bool {
        self.quiet && packet.sequence == self.sequence + 1
    }
}

/// Decodes what comes.
pub struct Receiver {
    decoder: VoiceDecoder,
    buffer: JitterBuffer,
    delay: DelayEstimator,
    bursts: Bursts,
    arrivals: Arrivals,
    timestamps: TimestampUnfolder,
    state: State,
    epoch: Option<Instant>,
    /// Decoded and not yet played.
    pcm: Vec<f32>,
    /// Played last, at most [`stretch::LAG_MAX`].
    history: Vec<f32>,
    last_arrival: i64,
    last_loss: Option<i64>,
    /// When deep redundancy was last found.
    last_deep: Option<i64>,
    /// How far the deep redundancy of the packet with this sequence reaches.
    reach: Option<(i64, i64)>,
    since_stretch: u32,
    sounded: bool,
    stats: ReceiverStats,
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").field("state", &self.state).field("stats", &self.stats).finish()
    }
}

impl Receiver {
    /// Opens the decoder.
    pub fn new() -> Result<Self, CodecError> {
        Ok(Self {
            decoder: VoiceDecoder::new()?,
            buffer: JitterBuffer::default(),
            delay: DelayEstimator::default(),
            bursts: Bursts::default(),
            arrivals: Arrivals::default(),
            timestamps: TimestampUnfolder::default(),
            state: State::Waiting,
            epoch: None,
            pcm: Vec::new(),
            history: vec![0.0; stretch::LAG_MAX],
            last_arrival: 0,
            last_loss: None,
            last_deep: None,
            reach: None,
            since_stretch: 0,
            sounded: false,
            stats: ReceiverStats::default(),
        })
    }

    /// Takes a packet that came at `arrived`.
    pub fn push(&mut self, arrived: Instant, packet: VoicePacket) {
        let Ok(samples) = codec::packet_samples(&packet.payload) else {
            self.stats.refused += 1;
            return;
        };
        let arrival = self.arrivals.note(packet.sequence);
        match arrival.seen {
            Seen::Again => {
                self.stats.duplicates += 1;
                return;
            }
            Seen::Behind => self.stats.reordered += 1,
            Seen::Ahead => {}
        }
        let media = self.timestamps.unfold(packet.timestamp);
        let arrived = self.since_epoch(arrived);
        self.stats.received = self.arrivals.received();
        self.stats.lost = self.arrivals.lost();
        self.stats.loss_runs = self.arrivals.runs();
        self.stats.highest_sequence = self.arrivals.highest();
        match self.delay.note(arrived, media) {
            Transit::Plausible => {}
            Transit::Implausible => {
                self.stats.refused += 1;
                return;
            }
            Transit::Restarted => self.restart(),
        }
        if arrival.missing_before > 0 {
            self.bursts.note(arrived, arrival.missing_before.saturating_mul(samples as i64));
        }
        self.last_arrival = self.last_arrival.max(arrived);
        self.stats.jitter_samples = self.delay.jitter();
        let sequence = arrival.sequence;
        let held = Held { sequence, media, samples: samples as i64, payload: packet.payload };
        if self.missed(&held) || self.buffer.insert(held).is_some() {
            self.stats.late += 1;
        }
    }

    /// Gives the next 10 ms, of which the first sample is heard at `at`.
    pub fn pull(&mut self, at: Instant) -> Block {
        let now = self.since_epoch(at);
        if let State::Playing(play) = self.state
            && self.delay_now(&play, now) - self.target(now) > LOST_TOUCH
        {
            self.state = State::Waiting;
        }
        if self.state == State::Waiting {
            self.begin(now);
        }
        let State::Playing(mut play) = self.state else {
            return SILENT_BLOCK;
        };
        self.keep_time(&mut play, now);
        while self.pcm.len() < BLOCK_SAMPLES {
            self.fill(&mut play, now);
        }
        self.state = if self.stalled(&play, now) { State::Waiting } else { State::Playing(play) };
        self.stats.buffer_samples = self.delay_now(&play, now);
        if self.sounded && self.stats.first_sound.is_none() {
            self.stats.first_sound = Some(at);
        }
        self.emit()
    }

    /// What happened so far.
    pub const fn stats(&self) -> &ReceiverStats {
        &self.stats
    }

    /// Packets that wait.
    pub fn held_packets(&self) -> usize {
        self.buffer.len()
    }

    /// Samples that are decoded and wait.
    pub fn held_samples(&self) -> usize {
        self.pcm.len()
    }

    fn since_epoch(&mut self, at: Instant) -> i64 {
        let epoch = *self.epoch.get_or_insert(at);
        match at.checked_duration_since(epoch) {
            Some(after) => samples_in(after),
            None => -samples_in(epoch.duration_since(at)),
        }
    }

    /// Forgets the stream that was.
    fn restart(&mut self) {
        self.buffer.clear();
        self.state = State::Waiting;
    }

    /// Says whether the time of `packet` is over. In a silence it is not: nothing was said since.
    fn missed(&self, packet: &Held) -> bool {
        let State::Playing(play) = &self.state else { return false };
        packet.end() <= play.next && !play.is_onset(packet)
    }

    fn target(&self, now: i64) -> i64 {
        let lately = |at: Option<i64>| at.is_some_and(|at| now - at < LOSSY_FOR);
        let floor = match (lately(self.last_loss), lately(self.last_deep)) {
            (false, _) => TARGET_FLOOR,
            (true, false) => TARGET_FLOOR_LOSSY,
            // The packet behind a burst is to be there before the burst should sound.
            (true, true) => TARGET_FLOOR_LOSSY.max(self.bursts.wait() + TARGET_FLOOR),
        };
        self.delay.target(floor)
    }

    /// The media time that should sound at `now`.
    fn scheduled(&self, now: i64) -> i64 {
        now - self.delay.smallest() - self.target(now)
    }

    /// How long after its quickest possible arrival the front of `pcm` sounds.
    fn delay_now(&self, play: &Playing, now: i64) -> i64 {
        now - self.delay.smallest() - (play.next - self.pcm.len() as i64)
    }

    fn begin(&mut self, now: i64) {
        let scheduled = self.scheduled(now);
        while self.buffer.first().is_some_and(|packet| packet.end() + ROUNDING < scheduled) {
            self.buffer.take();
            self.stats.late += 1;
        }
        let Some(first) = self.buffer.first() else { return };
        if scheduled + ROUNDING < first.media {
            return;
        }
        self.pcm.clear();
        let (next, sequence) = (first.media, first.sequence - 1);
        self.state = State::Playing(Playing { next, sequence, quiet: false, invented: 0 });
    }

    fn stalled(&self, play: &Playing, now: i64) -> bool {
        let limit = if play.quiet { STALLED_AFTER_IN_SILENCE } else { STALLED_AFTER };
        self.buffer.is_empty() && now - self.last_arrival > limit
    }

    /// Shortens or lengthens what is about to sound when it is off its time.
    fn keep_time(&mut self, play: &mut Playing, now: i64) {
        self.stats.target_samples = self.target(now);
        self.since_stretch = self.since_stretch.saturating_add(1);
        let off = self.delay_now(play, now) - self.stats.target_samples;
        let hasty = off > MUCH_TOO_LATE;
        let every = if hasty { STRETCH_EVERY / 2 } else { STRETCH_EVERY };
        if play.quiet || self.since_stretch < every || (-TOO_EARLY..=TOO_LATE).contains(&off) {
            return;
        }
        let needed = if off > 0 { stretch::ACCELERATE_NEEDS } else { stretch::FADE };
        while self.pcm.len() < needed && self.decode_next(play) {}
        if off > 0 {
            let likeness = if hasty { LIKENESS_HASTY } else { LIKENESS };
            let Some(lag) = stretch::accelerate(&mut self.pcm, likeness, off as usize) else {
                return;
            };
            self.stats.accelerated_samples += lag as u64;
        } else {
            let Some(lag) = stretch::decelerate(&self.history, &mut self.pcm, LIKENESS) else {
                return;
            };
            self.stats.decelerated_samples += lag as u64;
        }
        self.since_stretch = 0;
    }

    /// Appends something to `pcm`: the next packet, its repair, comfort in a silence, or invention.
    fn fill(&mut self, play: &mut Playing, now: i64) {
        while self.buffer.first().is_some_and(|p| p.end() <= play.next && !play.is_onset(p)) {
            self.buffer.take();
            self.stats.late += 1;
        }
        if self.decode_next(play) {
            return;
        }
        if play.quiet && self.gap_is_silence(play) {
            self.comfort(play, now);
        } else {
            self.bridge(play, now);
        }
    }

    /// Decodes the next packet if its time follows what is decoded already.
    fn decode_next(&mut self, play: &mut Playing) -> bool {
        let Some(first) = self.buffer.first() else { return false };
        if first.media > play.next {
            return false;
        }
        let onset = play.is_onset(first);
        if first.end() <= play.next && !onset {
            return false;
        }
        let Some(packet) = self.buffer.take() else { return false };
        let overlap = if onset { 0 } else { (play.next - packet.media) as usize };
        let start = self.pcm.len();
        play.sequence = packet.sequence;
        play.next = packet.end();
        play.quiet = codec::is_dtx(&packet.payload);
        if self.decoder.decode(&packet.payload, &mut self.pcm).is_err() {
            self.stats.refused += 1;
            play.invented += self.invent(packet.samples as usize - overlap);
            return true;
        }
        self.pcm.drain(start..(start + overlap).min(self.pcm.len()));
        play.invented = 0;
        let gained = (self.pcm.len() - start) as u64;
        if play.quiet {
            self.stats.quiet_samples += gained;
        } else {
            self.stats.voice_samples += gained;
        }
        self.sounded = true;
        true
    }

    fn emit(&mut self) -> Block {
        let mut block = SILENT_BLOCK;
        block.copy_from_slice(&self.pcm[..BLOCK_SAMPLES]);
        self.pcm.drain(..BLOCK_SAMPLES);
        self.history.drain(..BLOCK_SAMPLES);
        self.history.extend_from_slice(&block);
        block
    }
}
