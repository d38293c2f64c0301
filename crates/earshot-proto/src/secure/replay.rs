//! Which packet a sequence number means, and whether it came before. RFC 3711, sections 3.3.1,
//! 3.3.2 and 3.4, appendix A.
//!
//! Invariant: an index is recorded only after its packet was authenticated, and opens at most once.

/// Packets behind the newest that are still taken. DESIGN 2.11; 20 s of packets of 20 ms.
pub(super) const WINDOW: u64 = 1024;
/// Indices of one key: 2^48 (RFC 3711, section 9.2).
pub(super) const INDEX_END: u64 = 1 << 48;

const WORD: u64 = u64::BITS as u64;
const HALF: u16 = 1 << 15;

/// The newest index and which of those behind it came.
#[derive(Default)]
pub(super) struct Window {
    newest: Option<u64>,
    /// Index `i` has bit `i mod 1024`.
    came: [u64; (WINDOW / WORD) as usize],
}

/// Why an index is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stale {
    /// It came before.
    Replay,
    /// It is behind the window.
    TooOld,
}

impl Window {
    /// The index of 48 bits that `sequence` most likely means, if it may be taken.
    pub(super) fn index(&self, sequence: u16) -> Result<u64, Stale> {
        let Some(newest) = self.newest else {
            return Ok(u64::from(sequence));
        };
        let (rollovers, last) = (newest >> 16, newest as u16);
        let rollovers = if last < HALF && sequence.saturating_sub(last) > HALF {
            rollovers.checked_sub(1).ok_or(Stale::TooOld)?
        } else if last >= HALF && last - HALF > sequence {
            rollovers + 1
        } else {
            rollovers
        };
        let index = rollovers << 16 | u64::from(sequence);
        // Beyond the end no sender of ours goes: an index there is a lie about an old one.
        if index >= INDEX_END {
            return Err(Stale::TooOld);
        }
        self.fresh(index)?;
        Ok(index)
    }

    /// Says whether an index that the packet itself tells may be taken (RFC 3711, section 3.4).
    pub(super) fn fresh(&self, index: u64) -> Result<(), Stale> {
        let Some(newest) = self.newest.filter(|newest| index <= *newest) else { return Ok(()) };
        if newest - index >= WINDOW {
            return Err(Stale::TooOld);
        }
        let (word, bit) = place(index);
        if self.came[word] & bit == 0 { Ok(()) } else { Err(Stale::Replay) }
    }

    /// Records an index that may be taken and whose packet is authentic.
    pub(super) fn record(&mut self, index: u64) {
        let newest = self.newest.unwrap_or(0);
        if index > newest {
            let first = (newest + 1).max(index.saturating_sub(WINDOW - 1));
            for passed in first..=index {
                let (word, bit) = place(passed);
                self.came[word] &= !bit;
            }
        }
        let (word, bit) = place(index);
        self.came[word] |= bit;
        self.newest = Some(newest.max(index));
    }
}

const fn place(index: u64) -> (usize, u64) {
    let bit = index % WINDOW;
    ((bit / WORD) as usize, 1 << (bit % WORD))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn at(newest: u64) -> Window {
        let mut window = Window::default();
        window.record(newest);
        window
    }

    #[test]
    fn a_packet_is_taken_once() {
        let mut window = at(70_000);
        let index = window.index(4_200).expect("within the window");
        assert_eq!(index, 65_536 + 4_200);
        window.record(index);
        assert_eq!(window.index(4_200), Err(Stale::Replay));
        assert_eq!(window.index(4_201), Ok(index + 1));
    }

    #[test]
    fn the_window_is_1024_wide() {
        let window = at(5_000);
        assert_eq!(window.index(5_000), Err(Stale::Replay));
        assert_eq!(window.index(5_000 - 1_023), Ok(5_000 - 1_023));
        assert_eq!(window.index(5_000 - 1_024), Err(Stale::TooOld));
    }

    #[test]
    fn sequence_numbers_wrap_both_ways() {
        assert_eq!(at(65_535).index(0), Ok(65_536));
        assert_eq!(at(65_536).index(65_535), Ok(65_535));
        assert_eq!(at(3).index(65_535), Err(Stale::TooOld), "before the first there is none");
        assert_eq!(at(INDEX_END - 1).index(0), Err(Stale::TooOld), "after the last there is none");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn it_agrees_with_a_set_of_all_that_came(
            start in 0u64..200_000,
            steps in prop::collection::vec(-1_300i64..1_300, 1..300),
        ) {
            let (mut window, mut came, mut newest) = (at(start), BTreeSet::from([start]), start);
            for step in steps {
                let Some(index) = newest.checked_add_signed(step) else { continue };
                let expected = if newest.saturating_sub(index) >= WINDOW {
                    Err(Stale::TooOld)
                } else if came.contains(&index) {
                    Err(Stale::Replay)
                } else {
                    Ok(index)
                };
                prop_assert_eq!(window.index(index as u16), expected);
                if expected.is_ok() {
                    window.record(index);
                    came.insert(index);
                    newest = newest.max(index);
                }
            }
        }
    }
}
