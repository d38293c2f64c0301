//! How long packets take, and so how long to wait for them.
//!
//! Every packet has a transit time: arrival less timestamp, on two clocks whose offset nobody knows
//! and nobody needs. The smallest transit of the last seconds is the quiet path; what a packet took
//! beyond it is its *spread*; the target is the spread that nearly all packets keep within. A
//! window of real transits, not a forgetting histogram: when the path itself gets longer or
//! shorter, or the clocks drift, smallest and spread move together and nothing has to be unlearnt.
//!
//! Source: the idea of a delay quantile is NetEq's (WebRTC); jitter is RFC 3550 section 6.4.1.
//! Invariant: times are samples of 48 kHz; the target lies between the floor and [`TARGET_MAX`].

use std::collections::VecDeque;

use crate::frame::SAMPLE_RATE_HZ;

const MS: i64 = SAMPLE_RATE_HZ as i64 / 1_000;
/// How long a transit is remembered. Our choice: 20 s hold some 1,000 packets, enough for a stable
/// quantile, and a bad moment costs delay for no longer than that.
const MEMORY: i64 = 20_000 * MS;
/// Transits remembered at most: 20 s of 10 ms packets.
const MEMORY_PACKETS: usize = 2_000;
/// One packet in so many may come too late. Six bad ones in twenty seconds raise the target; a
/// single straggler does not, once the call has run for some seconds.
const LATE_ONE_IN: usize = 200;
/// No target beyond this: with more, people talk over each other (ITU-T G.114 advises against a
/// one-way delay above 400 ms).
pub const TARGET_MAX: i64 = 400 * MS;
/// A transit so far above the smallest is no jitter: the stream or its clock was broken off.
const SPREAD_MAX: i64 = 1_000 * MS;
/// So many implausible packets in a row, half a second of them, mean that the stream began anew.
const BROKEN_OFF_AFTER: u32 = 25;
/// A path that suddenly gets faster than this was another path, or another clock.
const LEAP: i64 = 200 * MS;

/// What a packet's transit says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transit {
    /// It belongs to the stream.
    Plausible,
    /// Far off; ignore the packet.
    Implausible,
    /// The stream began anew with this packet: what was measured before is forgotten.
    Restarted,
}

/// Measures transits.
#[derive(Clone, Debug, Default)]
pub struct DelayEstimator {
    /// Arrival and transit, oldest first.
    recent: VecDeque<(i64, i64)>,
    smallest: i64,
    spread: i64,
    implausible_run: u32,
    previous: Option<i64>,
    /// RFC 3550 jitter, samples × 16.
    jitter_times_16: i64,
    scratch: Vec<i64>,
}

impl DelayEstimator {
    /// Notes a packet of media time `media` that came at `arrived` (both samples).
    pub fn note(&mut self, arrived: i64, media: i64) -> Transit {
        let transit = arrived - media;
        let mut verdict = Transit::Plausible;
        if !self.recent.is_empty() {
            if transit - self.smallest > SPREAD_MAX {
                self.implausible_run += 1;
                if self.implausible_run < BROKEN_OFF_AFTER {
                    return Transit::Implausible;
                }
                verdict = Transit::Restarted;
            } else if self.smallest - transit > LEAP {
                verdict = Transit::Restarted;
            }
        }
        if verdict == Transit::Restarted {
            self.recent.clear();
            self.previous = None;
        }
        self.implausible_run = 0;
        self.note_jitter(transit);
        while self.recent.front().is_some_and(|(at, _)| arrived - at > MEMORY)
            || self.recent.len() >= MEMORY_PACKETS
        {
            self.recent.pop_front();
        }
        self.recent.push_back((arrived, transit));
        self.measure();
        verdict
    }

    /// The transit of the quiet path.
    pub const fn smallest(&self) -> i64 {
        self.smallest
    }

    /// How long after its quickest possible arrival a sample should be played.
    pub fn target(&self, floor: i64) -> i64 {
        self.spread.max(floor).min(TARGET_MAX)
    }

    /// Interarrival jitter of RFC 3550, samples.
    pub const fn jitter(&self) -> i64 {
        self.jitter_times_16 / 16
    }

    fn note_jitter(&mut self, transit: i64) {
        let change = (transit - self.previous.unwrap_or(transit)).abs();
        self.previous = Some(transit);
        self.jitter_times_16 += change - (self.jitter_times_16 + 8) / 16;
    }

    fn measure(&mut self) {
        self.scratch.clear();
        self.scratch.extend(self.recent.iter().map(|(_, transit)| *transit));
        let count = self.scratch.len();
        let rank = count - 1 - count / LATE_ONE_IN;
        let (below, quantile, _) = self.scratch.select_nth_unstable(rank);
        let quantile = *quantile;
        self.smallest = below.iter().copied().min().unwrap_or(quantile).min(quantile);
        self.spread = quantile - self.smallest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(estimator: &mut DelayEstimator, from: i64, transits: impl IntoIterator<Item = i64>) {
        for (n, transit) in (from..).zip(transits) {
            let media = n * 960;
            assert_eq!(estimator.note(media + transit, media), Transit::Plausible);
        }
    }

    #[test]
    fn a_quiet_path_asks_for_the_floor_only() {
        let mut estimator = DelayEstimator::default();
        feed(&mut estimator, 0, std::iter::repeat_n(7_777, 500));
        assert_eq!(estimator.target(20 * MS), 20 * MS);
        assert_eq!(estimator.jitter(), 0);
    }

    #[test]
    fn one_straggler_changes_nothing_but_several_do_and_are_forgotten() {
        let mut estimator = DelayEstimator::default();
        feed(&mut estimator, 0, std::iter::repeat_n(0, 400));
        feed(&mut estimator, 400, [80 * MS]);
        feed(&mut estimator, 401, std::iter::repeat_n(0, 40));
        assert_eq!(estimator.target(0), 0);
        feed(&mut estimator, 441, [80 * MS, 70 * MS, 60 * MS, 60 * MS]);
        assert!(estimator.target(0) >= 60 * MS);
        feed(&mut estimator, 445, std::iter::repeat_n(0, 1_010));
        assert_eq!(estimator.target(0), 0);
    }

    #[test]
    fn a_longer_path_moves_the_base_and_not_the_target() {
        let mut estimator = DelayEstimator::default();
        feed(&mut estimator, 0, std::iter::repeat_n(0, 500));
        feed(&mut estimator, 500, std::iter::repeat_n(100 * MS, 1_002));
        assert_eq!(estimator.smallest(), 100 * MS);
        assert_eq!(estimator.target(0), 0);
    }

    #[test]
    fn a_stream_that_leaps_begins_anew_after_half_a_second() {
        let mut estimator = DelayEstimator::default();
        feed(&mut estimator, 0, std::iter::repeat_n(0, 10));
        let far = 5_000 * MS;
        let verdicts: Vec<_> = (10..40).map(|n| estimator.note(n * 960 + far, n * 960)).collect();
        assert!(verdicts[..24].iter().all(|v| *v == Transit::Implausible));
        assert_eq!(verdicts[24], Transit::Restarted);
        assert_eq!(verdicts[25], Transit::Plausible);
        assert_eq!(estimator.note(40 * 960, 40 * 960), Transit::Restarted, "quicker again");
    }

    #[test]
    fn jitter_follows_the_rfc() {
        let mut estimator = DelayEstimator::default();
        feed(&mut estimator, 0, (0..2_000).map(|n| if n % 2 == 0 { 0 } else { 10 * MS }));
        assert!((estimator.jitter() - 10 * MS).abs() < 10, "{}", estimator.jitter());
    }
}
