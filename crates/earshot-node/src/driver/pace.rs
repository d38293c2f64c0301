//! How often a loop that relays looks for datagrams: the busier it is, the more it takes at once.
//!
//! Source: interrupt moderation, as network cards and their drivers do it. Waking up costs more
//! than passing on a packet, and a packet of voice may wait for a small part of what it took to
//! record.
//! Invariant: a loop that does not relay for many never rests.

use std::time::{Duration, Instant};

/// Datagrams a second from which on the loop rests. Our choice: what twenty relayed calls bring, of
/// a hundred each.
const BUSY_PER_S: u32 = 2_000;
/// Over so long they are counted.
const WINDOW: Duration = Duration::from_millis(20);
/// How long it rests after a turn. Our choice: a fortieth of a packet's 20 ms; at ten thousand
/// datagrams a second each turn then takes five.
const REST: Duration = Duration::from_micros(500);

/// Counts datagrams.
pub(super) struct Pace {
    since: Instant,
    counted: u32,
    busy: bool,
}

impl Pace {
    pub(super) const fn new(now: Instant) -> Self {
        Self { since: now, counted: 0, busy: false }
    }

    /// A turn took so many; how long to rest before the next.
    pub(super) fn took(&mut self, now: Instant, datagrams: usize) -> Option<Duration> {
        let passed = now.saturating_duration_since(self.since);
        if passed >= WINDOW {
            let for_second = f64::from(self.counted) / passed.as_secs_f64();
            self.busy = for_second >= f64::from(BUSY_PER_S);
            (self.since, self.counted) = (now, 0);
        }
        self.counted = self.counted.saturating_add(u32::try_from(datagrams).unwrap_or(u32::MAX));
        self.busy.then_some(REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_relays_for_many_rests_and_no_longer_than_they_do() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let ms = |ms: u64| start + Duration::from_millis(ms);
        // A thousand a second, then five thousand, then silence.
        assert!((0..1000).all(|n| pace.took(ms(n), 1).is_none()));
        let rested = (1000..2000).filter(|n| pace.took(ms(*n), 5).is_some()).count();
        assert!((970..1000).contains(&rested), "{rested}");
        assert_eq!(pace.took(ms(5000), 1), None);
    }
}
