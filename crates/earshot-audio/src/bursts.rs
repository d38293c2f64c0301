//! How long the bursts are in which packets get lost: what deep redundancy must be waited for.
//!
//! A burst can be repaired only if the packet behind it comes before its time is over, so playing
//! must lag by about a burst. Measured at 30 % loss in bursts of 100 ms, 32 kb/s (PESQ-WB): waiting
//! for three frames gives 1.54, for the whole burst 2.29.
//! Invariant: at most [`BURSTS_MAX`] bursts are remembered; times are samples of 48 kHz.

use std::collections::VecDeque;

use crate::frame::SAMPLE_RATE_HZ;

const MS: i64 = SAMPLE_RATE_HZ as i64 / 1_000;
/// How long a burst is remembered. As long as transits are ([`crate::delay`]).
const MEMORY: i64 = 20_000 * MS;
/// Bursts remembered at most.
const BURSTS_MAX: usize = 64;
/// So many of a hundred bursts are to be repaired; the longest cost everybody's delay for few.
const REPAIRED_PCT: usize = 80;
/// No wait beyond this. With a frame besides it is 160 ms, above which a path of usual length comes
/// to more than people talk over with ease (ITU-T G.114).
pub const WAIT_MAX: i64 = 140 * MS;

/// The bursts of the last seconds.
#[derive(Clone, Debug, Default)]
pub struct Bursts {
    /// When each ended and how much sound was lost in it, oldest first.
    recent: VecDeque<(i64, i64)>,
    typical: i64,
}

impl Bursts {
    /// Notes that `lost` samples are missing before a packet that came at `arrived`.
    pub fn note(&mut self, arrived: i64, lost: i64) {
        while self.recent.front().is_some_and(|(at, _)| arrived - at > MEMORY)
            || self.recent.len() >= BURSTS_MAX
        {
            self.recent.pop_front();
        }
        self.recent.push_back((arrived, lost));
        let mut lengths: Vec<i64> = self.recent.iter().map(|(_, lost)| *lost).collect();
        lengths.sort_unstable();
        self.typical = lengths[(lengths.len() - 1) * REPAIRED_PCT / 100];
    }

    /// How long to wait for the packet behind a burst, when the last was not long ago.
    pub fn wait(&self) -> i64 {
        self.typical.min(WAIT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_covers_four_of_five_bursts_and_has_a_limit() {
        let mut bursts = Bursts::default();
        assert_eq!(bursts.wait(), 0);
        for (n, ms) in [20, 40, 60, 100, 900].into_iter().enumerate() {
            bursts.note(n as i64 * 1_000 * MS, ms * MS);
        }
        assert_eq!(bursts.wait(), 100 * MS);
        bursts.note(6_000 * MS, 800 * MS);
        bursts.note(7_000 * MS, 700 * MS);
        assert_eq!(bursts.wait(), WAIT_MAX);
    }

    #[test]
    fn old_bursts_are_forgotten_and_their_number_is_bounded() {
        let mut bursts = Bursts::default();
        (0..100).for_each(|n| bursts.note(n * 20 * MS, 140 * MS));
        assert!(bursts.recent.len() <= BURSTS_MAX);
        bursts.note(30_000 * MS, 20 * MS);
        assert_eq!(bursts.wait(), 20 * MS);
    }
}
