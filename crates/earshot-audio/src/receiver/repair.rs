//! What is played where no packet is: comfort in a silence, repair of a gap, invention.
//!
//! A gap before a packet that is there already is repaired as well as that packet allows: by deep
//! redundancy as far as it reaches, the last frame by the in-band copy, and only the rest is
//! invented. While nothing is there sound is invented without letting time run on, up to
//! [`PATIENCE`]: what comes late is then still played, or repaired.
//! Invariant: each call appends something or moves `play.next` on.

use super::{BLOCK, MS, Playing, ROUNDING, Receiver, TOO_LATE};
use crate::codec::CodecError;
use crate::decoder::{CONCEAL_STEP, has_redundancy};
use crate::frame::FrameLength;

/// How far beyond the target an empty buffer is waited for before time is allowed to run on.
const PATIENCE: i64 = 120 * MS;
/// Concealment has faded to nothing by then; it is not worth asking for more.
const INVENTED_MAX: i64 = 120 * MS;
/// Steps in which libopus conceals and repairs.
const STEP: i64 = CONCEAL_STEP as i64;
/// Repaired at once at most: a frame.
const REPAIR_MAX: i64 = FrameLength::Ms20.samples() as i64;

impl Receiver {
    /// Nothing is missing between the last packet and the next, or nothing came since.
    pub(super) fn gap_is_silence(&self, play: &Playing) -> bool {
        self.buffer.first().is_none_or(|next| next.sequence == play.sequence + 1)
    }

    /// An announced silence goes on. Time is elastic here: the silence absorbs every correction.
    pub(super) fn comfort(&mut self, play: &mut Playing, now: i64) {
        let until = self.buffer.first().map_or(i64::MAX, |next| next.media);
        let scheduled = self.scheduled(now) + self.pcm.len() as i64;
        let samples = if scheduled + ROUNDING < play.next {
            BLOCK
        } else {
            play.next = play.next.max(scheduled).min(until);
            let samples = (until - play.next).min(BLOCK);
            play.next += samples;
            samples
        };
        if samples == 0 {
            return;
        }
        if self.decoder.comfort(samples as usize, &mut self.pcm).is_err() {
            self.pcm.resize(self.pcm.len() + samples as usize, 0.0);
        }
        self.stats.quiet_samples += samples as u64;
    }

    /// A packet is missing: waits for it, repairs it, or invents its sound.
    pub(super) fn bridge(&mut self, play: &mut Playing, now: i64) {
        let off = self.delay_now(play, now) - self.target(now);
        let Some(next) = self.buffer.first() else {
            let invented = self.invent_more(play, BLOCK);
            if off >= PATIENCE {
                play.next += invented;
            }
            return;
        };
        self.last_loss = Some(now);
        let (sequence, payload) = (next.sequence, next.payload.clone());
        let copied = if has_redundancy(&payload) { next.samples } else { 0 };
        let mut gap = next.media - play.next;
        if gap <= copied && gap % STEP == 0 {
            let copy = self.repaired(play, gap, |receiver| {
                receiver.decoder.recover(&payload, gap as usize, &mut receiver.pcm)
            });
            if copy.is_ok() {
                return;
            }
        }
        if off > TOO_LATE {
            // What is repaired or invented anyway may as well be shorter.
            let skipped = off.min(gap - BLOCK).max(0);
            let skipped = skipped - skipped % STEP;
            play.next += skipped;
            gap -= skipped;
        }
        let deep = self.deep_reach(sequence, &payload, now);
        let before_copy = if gap > copied { gap - copied } else { gap };
        if gap <= deep && gap % STEP == 0 {
            let piece = before_copy.min(REPAIR_MAX);
            let past = self.repaired(play, piece, |receiver| {
                receiver.decoder.recover_deep(gap as usize, piece as usize, &mut receiver.pcm)
            });
            if past.is_ok() {
                return;
            }
        }
        let beyond = if gap > deep { before_copy.min(gap - deep) } else { before_copy };
        play.next += self.invent_more(play, beyond.min(BLOCK));
    }

    /// How many samples before the packet its deep redundancy reaches; it is read once.
    fn deep_reach(&mut self, sequence: i64, payload: &[u8], now: i64) -> i64 {
        if let Some((of, reach)) = self.reach
            && of == sequence
        {
            return reach;
        }
        let reach = self.decoder.deep_reach(payload) as i64;
        if reach > 0 {
            self.last_deep = Some(now);
        }
        self.reach = Some((sequence, reach));
        reach
    }

    /// Appends `samples` of a gap that `repair` gives, and counts them.
    fn repaired(
        &mut self,
        play: &mut Playing,
        samples: i64,
        repair: impl FnOnce(&mut Self) -> Result<usize, CodecError>,
    ) -> Result<(), CodecError> {
        let gained = repair(self)? as u64;
        self.stats.voice_samples += gained;
        self.stats.recovered_samples += gained;
        play.next += samples;
        Ok(())
    }

    fn invent_more(&mut self, play: &mut Playing, samples: i64) -> i64 {
        let invented = if play.invented < INVENTED_MAX {
            self.invent(samples as usize)
        } else {
            self.pcm.resize(self.pcm.len() + samples as usize, 0.0);
            self.stats.concealed_samples += samples as u64;
            samples
        };
        play.invented += invented;
        invented
    }

    /// Appends concealment.
    pub(super) fn invent(&mut self, samples: usize) -> i64 {
        if self.decoder.conceal(samples, &mut self.pcm).is_err() {
            self.pcm.resize(self.pcm.len() + samples, 0.0);
        }
        self.stats.concealed_samples += samples as u64;
        samples as i64
    }
}
