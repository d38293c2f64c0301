//! At most ten of something in any second for each of many, in bounded memory.
//!
//! Source: DESIGN 2.12 (ten answers a second to an unverified address, ten checks a second to a
//! peer). Invariant: exact, not on average: no window of one second holds an eleventh. When the
//! table is full of addresses that were active within the last second, a new one gets nothing.

use std::collections::BTreeMap;
use std::time::Instant;

/// How many in a second. DESIGN 2.12.
pub(super) const PER_SECOND: usize = 10;
const SECOND_MS: u64 = 1000;

pub(super) struct PerSecond<K> {
    start: Instant,
    keys_max: usize,
    recent: BTreeMap<K, Recent>,
    swept_ms: u64,
}

/// The last ten times, oldest at `next`; 0 is never.
#[derive(Clone, Copy)]
struct Recent {
    times_ms: [u64; PER_SECOND],
    next: u8,
}

impl<K: Ord + Copy> PerSecond<K> {
    pub(super) const fn new(start: Instant, keys_max: usize) -> Self {
        Self { start, keys_max, recent: BTreeMap::new(), swept_ms: 0 }
    }

    /// Counts one for `key` and tells whether it may happen.
    pub(super) fn admit(&mut self, now: Instant, key: K) -> bool {
        let now_ms = self.millis(now);
        if let Some(recent) = self.recent.get_mut(&key) {
            return recent.admit(now_ms);
        }
        if self.recent.len() >= self.keys_max {
            self.sweep(now_ms);
            if self.recent.len() >= self.keys_max {
                return false;
            }
        }
        let mut recent = Recent { times_ms: [0; PER_SECOND], next: 0 };
        let admitted = recent.admit(now_ms);
        self.recent.insert(key, recent);
        admitted
    }

    /// Forgets who was silent for a second; looks through the table at most once a second, so that
    /// a flood of new addresses costs each of them only a look-up.
    fn sweep(&mut self, now_ms: u64) {
        if now_ms < self.swept_ms + SECOND_MS {
            return;
        }
        self.swept_ms = now_ms;
        self.recent.retain(|_, recent| recent.newest_ms() + SECOND_MS >= now_ms);
    }

    /// Counted from two seconds before the start, so that no time is 0 and the first sweep is not
    /// too early.
    fn millis(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_millis() as u64 + 2 * SECOND_MS
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.recent.len()
    }
}

impl Recent {
    /// Milliseconds are rounded down, so a difference of more than 1000 is more than a second.
    const fn admit(&mut self, now_ms: u64) -> bool {
        let oldest = &mut self.times_ms[self.next as usize];
        if *oldest + SECOND_MS >= now_ms && *oldest != 0 {
            return false;
        }
        *oldest = now_ms;
        self.next = (self.next + 1) % PER_SECOND as u8;
        true
    }

    const fn newest_ms(&self) -> u64 {
        self.times_ms[(self.next as usize + PER_SECOND - 1) % PER_SECOND]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::super_peer::relay::tests::start;

    proptest! {
        #[test]
        fn no_second_ever_holds_an_eleventh(gaps in prop::collection::vec(0u64..400, 1..200)) {
            let mut limit = PerSecond::new(start(), 4);
            let mut now = start();
            let mut admitted: Vec<Instant> = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                if limit.admit(now, 1) {
                    admitted.push(now);
                }
            }
            for eleven in admitted.windows(PER_SECOND + 1) {
                prop_assert!(eleven[PER_SECOND] - eleven[0] > Duration::from_secs(1));
            }
        }
    }

    #[test]
    fn a_full_table_admits_nobody_new_until_somebody_was_silent_for_a_second() {
        let mut limit = PerSecond::new(start(), 3);
        assert!((0..3).all(|key| limit.admit(start(), key)));
        assert!(!limit.admit(start(), 3));
        assert!(limit.admit(start() + Duration::from_millis(1500), 3));
        assert_eq!(limit.len(), 1);
    }
}
