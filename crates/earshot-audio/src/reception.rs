//! How a stream came, as one side tells the other: the numbers of a report block.
//!
//! Source: RFC 3550 section 6.4.1 and appendix A.3. Invariant: what was told is kept apart from
//! what was counted, so reports may be made at any pace, and a lost report loses no count.

use crate::counts::ReceiverStats;

/// The numbers of a report block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reception {
    /// Lost since the report before, in 256ths of what was sent.
    pub fraction_lost: u8,
    /// Lost since the stream began.
    pub lost: i32,
    /// The highest sequence number that came, with its rollovers.
    pub highest_sequence: u32,
    /// Interarrival jitter, samples.
    pub jitter: u32,
    /// Runs of lost packets since the stream began.
    pub loss_runs: u32,
}

/// Makes the report blocks of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reporter {
    expected: u64,
    lost: u64,
}

impl Reporter {
    /// The next report on what the receiver counted; `None` before anything came.
    pub fn report(&mut self, stats: &ReceiverStats) -> Option<Reception> {
        if stats.received == 0 {
            return None;
        }
        let expected = stats.received + stats.lost;
        let sent = expected.saturating_sub(self.expected);
        // Packets that came late after all can make it less than nothing.
        let lost = stats.lost.saturating_sub(self.lost);
        (self.expected, self.lost) = (expected, stats.lost);
        let fraction = (lost * 256).checked_div(sent).unwrap_or(0);
        Some(Reception {
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            lost: i32::try_from(stats.lost).unwrap_or(i32::MAX),
            highest_sequence: stats.highest_sequence,
            jitter: stats.jitter_samples.clamp(0, i64::from(u32::MAX)) as u32,
            loss_runs: stats.loss_runs as u32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(received: u64, lost: u64) -> ReceiverStats {
        ReceiverStats { received, lost, ..ReceiverStats::default() }
    }

    fn fractions(counts: &[(u64, u64)]) -> Vec<Option<u8>> {
        let mut reporter = Reporter::default();
        let each = counts.iter().map(|(received, lost)| {
            reporter.report(&stats(*received, *lost)).map(|report| report.fraction_lost)
        });
        each.collect()
    }

    #[test]
    fn the_fraction_is_of_what_was_sent_since_the_last_report() {
        let counts = [(0, 0), (50, 0), (90, 10), (140, 10), (140, 10), (145, 50)];
        let expected = [None, Some(0), Some(51), Some(0), Some(0), Some(227)];
        assert_eq!(fractions(&counts), expected);
    }

    #[test]
    fn packets_that_came_late_after_all_are_no_negative_loss() {
        assert_eq!(fractions(&[(40, 10), (55, 5)]), [Some(51), Some(0)]);
    }

    #[test]
    fn the_other_numbers_are_those_of_the_receiver() {
        let stats = ReceiverStats {
            highest_sequence: 65_540,
            loss_runs: 3,
            jitter_samples: 96,
            ..stats(100, 7)
        };
        let report = Reporter::default().report(&stats).unwrap();
        assert_eq!((report.lost, report.highest_sequence), (7, 65_540));
        assert_eq!((report.loss_runs, report.jitter), (3, 96));
    }
}
