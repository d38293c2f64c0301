//! What the receiver counts, for the call's statistics and for the sender's adaptation.
//!
//! Source: RFC 3550 section 6.4.1 (loss, jitter); concealment in the sense of W3C webrtc-stats
//! `concealedSamples`, but silence that the sender announced is neither voice nor concealment.
//! Invariant: counters only grow, but for `lost` and `loss_runs`, which may fall when a missing
//! packet comes after all.

use std::time::Instant;

use crate::frame::millis_of;

/// What happened on the way, in packets and samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReceiverStats {
    /// Packets that came, without duplicates.
    pub received: u64,
    /// Packets that should have come and have not (RFC 3550 section 6.4.1).
    pub lost: u64,
    /// Runs in which they are missing.
    pub loss_runs: u64,
    /// The highest sequence number that came, with its rollovers (RFC 3550 section 6.4.1).
    pub highest_sequence: u32,
    /// Packets that came after their time.
    pub late: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Packets that were no Opus, or far off in time.
    pub refused: u64,
    /// Samples from packets or repaired from their redundancy.
    pub voice_samples: u64,
    /// Of these, repaired from a following packet.
    pub recovered_samples: u64,
    /// Samples that had to be invented in place of voice.
    pub concealed_samples: u64,
    /// Samples of announced silence.
    pub quiet_samples: u64,
    /// Samples left out to catch up.
    pub accelerated_samples: u64,
    /// Samples repeated to wait.
    pub decelerated_samples: u64,
    /// How long after its quickest possible arrival sound plays now, samples.
    pub buffer_samples: i64,
    /// What that delay should be, samples.
    pub target_samples: i64,
    /// Interarrival jitter (RFC 3550), samples.
    pub jitter_samples: i64,
    /// When the first sound of a packet was to be heard.
    pub first_sound: Option<Instant>,
}

impl ReceiverStats {
    /// Part of the time with voice in which it had to be invented, percent.
    pub fn concealed_pct(&self) -> f32 {
        let all = self.voice_samples + self.concealed_samples;
        self.concealed_samples as f32 * 100.0 / (all.max(1)) as f32
    }

    /// Part of the packets that were lost, percent.
    pub fn loss_pct(&self) -> f32 {
        self.lost as f32 * 100.0 / (self.received + self.lost).max(1) as f32
    }

    /// What was counted of loss and concealment since `earlier`; the rest is as it is now. What was
    /// lost then and came since counts as nothing lost.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            received: self.received.saturating_sub(earlier.received),
            lost: self.lost.saturating_sub(earlier.lost),
            voice_samples: self.voice_samples.saturating_sub(earlier.voice_samples),
            concealed_samples: self.concealed_samples.saturating_sub(earlier.concealed_samples),
            ..*self
        }
    }

    /// Delay that the buffer adds now, ms.
    pub fn buffer_ms(&self) -> f32 {
        millis_of(self.buffer_samples)
    }

    /// Interarrival jitter, ms.
    pub fn jitter_ms(&self) -> f32 {
        millis_of(self.jitter_samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_lately_is_told_apart_from_the_whole_call() {
        let voice = |voice_samples, concealed_samples, received, lost| ReceiverStats {
            voice_samples,
            concealed_samples,
            received,
            lost,
            ..ReceiverStats::default()
        };
        let (earlier, now) = (voice(900, 100, 90, 10), voice(1_880, 120, 188, 12));
        let recent = now.since(&earlier);
        assert_eq!((now.concealed_pct(), now.loss_pct()), (6.0, 6.0));
        assert_eq!((recent.concealed_pct(), recent.loss_pct()), (2.0, 2.0));
        let found_again = voice(2_000, 120, 200, 8).since(&now);
        assert_eq!((found_again.received, found_again.lost), (12, 0));
        assert_eq!(now.since(&now).loss_pct(), 0.0, "of nothing, nothing");
    }
}
