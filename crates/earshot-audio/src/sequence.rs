//! Unfolding the numbers that RTP folds: 16-bit sequence and 32-bit timestamp become running ones.
//!
//! Source: RFC 3550 appendix A.1 (extended sequence).
//! Invariant: a number is taken as the one nearest to the last that moved the count forward, so a
//! late packet unfolds backwards and never counts as a new round.

/// Unfolds 16-bit sequence numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SequenceUnfolder {
    newest: Option<i64>,
}

impl SequenceUnfolder {
    /// The running number of `sequence`.
    pub fn unfold(&mut self, sequence: u16) -> i64 {
        let Some(newest) = self.newest else {
            self.newest = Some(i64::from(sequence));
            return i64::from(sequence);
        };
        let step = sequence.wrapping_sub(newest as u16) as i16;
        let unfolded = newest + i64::from(step);
        self.newest = Some(newest.max(unfolded));
        unfolded
    }
}

/// Unfolds 32-bit timestamps.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimestampUnfolder {
    newest: Option<i64>,
}

impl TimestampUnfolder {
    /// The running time of `timestamp`, samples.
    pub fn unfold(&mut self, timestamp: u32) -> i64 {
        let Some(newest) = self.newest else {
            self.newest = Some(i64::from(timestamp));
            return i64::from(timestamp);
        };
        let step = timestamp.wrapping_sub(newest as u32) as i32;
        let unfolded = newest + i64::from(step);
        self.newest = Some(newest.max(unfolded));
        unfolded
    }
}

/// How far back duplicates are recognised: 20 s of 20 ms packets, as much as the replay window of
/// the seal below (RFC 3711 section 3.3.2 wants at least 64).
const WINDOW: usize = 1_024;

/// Which of the last [`WINDOW`] packets were seen.
#[derive(Clone, Debug)]
pub struct SeenWindow {
    newest: Option<i64>,
    bits: [u64; WINDOW / 64],
}

impl Default for SeenWindow {
    fn default() -> Self {
        Self { newest: None, bits: [0; WINDOW / 64] }
    }
}

/// What the window says about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It follows all others.
    Ahead,
    /// It is new, but a later one came before it.
    Behind,
    /// It was seen, or is too old to tell.
    Again,
}

impl SeenWindow {
    /// Notes `sequence` (unfolded).
    pub fn note(&mut self, sequence: i64) -> Seen {
        let Some(newest) = self.newest else {
            self.newest = Some(sequence);
            self.mark(sequence);
            return Seen::Ahead;
        };
        if sequence > newest {
            let forgotten = (sequence - newest).min(WINDOW as i64);
            (1..=forgotten).for_each(|step| self.clear(newest + step));
            self.newest = Some(sequence);
            if forgotten == WINDOW as i64 {
                self.bits = [0; WINDOW / 64];
            }
            self.mark(sequence);
            return Seen::Ahead;
        }
        if newest - sequence >= WINDOW as i64 || self.is_marked(sequence) {
            return Seen::Again;
        }
        self.mark(sequence);
        Seen::Behind
    }

    /// Says whether `sequence` came, or is so old that nobody knows any more.
    pub fn is_settled(&self, sequence: i64) -> bool {
        self.newest.is_some_and(|newest| newest - sequence >= WINDOW as i64)
            || self.is_marked(sequence)
    }

    fn place(sequence: i64) -> (usize, u64) {
        let slot = sequence.rem_euclid(WINDOW as i64) as usize;
        (slot / 64, 1 << (slot % 64))
    }

    fn mark(&mut self, sequence: i64) {
        let (word, bit) = Self::place(sequence);
        self.bits[word] |= bit;
    }

    fn clear(&mut self, sequence: i64) {
        let (word, bit) = Self::place(sequence);
        self.bits[word] &= !bit;
    }

    fn is_marked(&self, sequence: i64) -> bool {
        let (word, bit) = Self::place(sequence);
        self.bits[word] & bit != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_run_on_over_the_fold_and_late_ones_go_back() {
        let mut sequence = SequenceUnfolder::default();
        let unfolded: Vec<_> = [65_534, 65_535, 1, 0, 65_533, 2].map(|n| sequence.unfold(n)).into();
        assert_eq!(unfolded, [65_534, 65_535, 65_537, 65_536, 65_533, 65_538]);
        let mut time = TimestampUnfolder::default();
        assert_eq!(time.unfold(u32::MAX), i64::from(u32::MAX));
        assert_eq!(time.unfold(959), i64::from(u32::MAX) + 960);
    }

    #[test]
    fn each_packet_is_new_once() {
        let mut window = SeenWindow::default();
        assert_eq!(window.note(10), Seen::Ahead);
        assert_eq!(window.note(12), Seen::Ahead);
        assert_eq!(window.note(11), Seen::Behind);
        assert_eq!(window.note(11), Seen::Again);
        assert_eq!(window.note(12), Seen::Again);
        assert_eq!(window.note(12 + WINDOW as i64), Seen::Ahead);
        assert_eq!(window.note(12), Seen::Again, "too old to tell");
        assert_eq!(window.note(13), Seen::Behind, "the slot of a forgotten packet is free");
        assert_eq!(window.note(12 + 9 * WINDOW as i64), Seen::Ahead);
        assert_eq!(window.note(11 + 9 * WINDOW as i64), Seen::Behind);
    }
}
