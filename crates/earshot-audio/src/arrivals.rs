//! Which packets of a stream came, and in which runs the others are missing.
//!
//! Source: RFC 3550 appendix A.1 and A.3 (expected and lost). Runs are our own: losses one by one
//! are repaired otherwise than losses in bursts, and a mere count does not tell them apart.
//! Invariant: a run is a stretch of missing packets between two that came; a late packet that fills
//! a gap shortens, splits or ends the run that it was in.

use crate::sequence::{Seen, SeenWindow, SequenceUnfolder};

/// What came of a stream.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    sequences: SequenceUnfolder,
    seen: SeenWindow,
    span: Option<Span>,
    received: u64,
    runs: u64,
}

/// The first and the newest packet that came.
#[derive(Clone, Copy, Debug)]
struct Span {
    first: i64,
    newest: i64,
}

/// A packet that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its unfolded sequence number.
    pub sequence: i64,
    /// How it stands to the others.
    pub seen: Seen,
    /// Packets that are missing just before it, when it follows all others.
    pub missing_before: i64,
}

impl Arrivals {
    /// Notes the packet with this sequence number.
    pub fn note(&mut self, sequence: u16) -> Arrival {
        let sequence = self.sequences.unfold(sequence);
        let seen = self.seen.note(sequence);
        let missing_before = match (seen, self.span) {
            (Seen::Again, _) => 0,
            (Seen::Ahead | Seen::Behind, None) => {
                self.span = Some(Span { first: sequence, newest: sequence });
                0
            }
            (Seen::Ahead | Seen::Behind, Some(span)) => self.extend(span, sequence),
        };
        if seen != Seen::Again {
            self.received += 1;
        }
        Arrival { sequence, seen, missing_before }
    }

    /// Packets that came, without duplicates.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Packets that should have come and have not.
    pub fn lost(&self) -> u64 {
        let Some(Span { first, newest }) = self.span else { return 0 };
        (newest - first + 1).unsigned_abs().saturating_sub(self.received)
    }

    /// Runs in which they are missing.
    pub const fn runs(&self) -> u64 {
        self.runs
    }

    /// The highest sequence number that came, with its rollovers (RFC 3550 section 6.4.1).
    pub fn highest(&self) -> u32 {
        self.span.map_or(0, |span| span.newest as u32)
    }

    /// Takes a new packet into the span, and says how many are missing just before it.
    fn extend(&mut self, Span { first, newest }: Span, sequence: i64) -> i64 {
        if sequence > newest {
            self.span = Some(Span { first, newest: sequence });
            let missing = sequence - newest - 1;
            self.runs += u64::from(missing > 0);
            return missing;
        }
        if sequence < first {
            self.span = Some(Span { first: sequence, newest });
            self.runs += u64::from(sequence + 1 < first);
            return 0;
        }
        let missing =
            |sequence: i64| (first..=newest).contains(&sequence) && !self.seen.is_settled(sequence);
        match (missing(sequence - 1), missing(sequence + 1)) {
            (true, true) => self.runs += 1,
            (false, false) => self.runs = self.runs.saturating_sub(1),
            (true, false) | (false, true) => {}
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(sequences: &[u16]) -> Arrivals {
        let mut arrivals = Arrivals::default();
        for sequence in sequences {
            arrivals.note(*sequence);
        }
        arrivals
    }

    fn counts(sequences: &[u16]) -> (u64, u64) {
        let arrivals = of(sequences);
        (arrivals.lost(), arrivals.runs())
    }

    #[test]
    fn losses_are_counted_by_packet_and_by_run() {
        assert_eq!(counts(&[10, 11, 12]), (0, 0));
        assert_eq!(counts(&[10, 12, 14]), (2, 2));
        assert_eq!(counts(&[10, 15, 16]), (4, 1));
        assert_eq!(counts(&[65_534, 1]), (2, 1), "over the fold");
        assert_eq!(of(&[65_534, 1]).highest(), 65_537);
    }

    #[test]
    fn a_late_packet_shortens_splits_or_ends_the_run_that_it_was_in() {
        assert_eq!(counts(&[10, 15, 11]), (3, 1), "at its edge");
        assert_eq!(counts(&[10, 15, 13]), (3, 2), "in its middle");
        assert_eq!(counts(&[10, 12, 11]), (0, 0), "all of it");
        assert_eq!(counts(&[10, 15, 13, 12, 11, 14]), (0, 0));
    }

    #[test]
    fn what_comes_before_the_first_or_again_is_counted_right() {
        assert_eq!(counts(&[10, 9]), (0, 0));
        assert_eq!(counts(&[10, 7]), (2, 1));
        assert_eq!(counts(&[10, 12, 12, 10]), (1, 1));
        assert_eq!(of(&[10, 10, 11]).received(), 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn it_agrees_with_a_list_of_all_that_came(
            order in prop::collection::vec(0_u16..80, 1..120),
        ) {
            let arrivals = of(&order);
            let (first, last) = (*order.iter().min().unwrap(), *order.iter().max().unwrap());
            let came: Vec<bool> = (first..=last).map(|n| order.contains(&n)).collect();
            let lost = came.iter().filter(|came| !**came).count() as u64;
            let runs = came.windows(2).filter(|pair| pair[0] && !pair[1]).count() as u64;
            prop_assert_eq!((arrivals.lost(), arrivals.runs()), (lost, runs));
            prop_assert_eq!(arrivals.received() + lost, came.len() as u64);
        }
    }
}
