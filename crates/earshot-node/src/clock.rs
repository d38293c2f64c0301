//! What time it is, and whether somebody set the clock.
//!
//! Source: DESIGN, section 3 (wall time enters a machine as `Input::Clock`). Monotonic time stands
//! still while the computer sleeps and wall time does not, so waking up looks like a clock that was
//! set: the machines want to know of both. Nothing ticks here; the driver looks when it is awake
//! anyway.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use earshot_proto::time::{UnixTime, WallClock};

/// A jump below this is the daily work of a time server, which slews. Our choice: certificates and
/// leases reckon in minutes, and machines compute wall time from the monotonic clock in between.
const JUMP: Duration = Duration::from_secs(2);

/// The wall clock now. A clock before 1970 reads as 1970.
#[must_use]
pub fn unix_now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime::default().plus(since)
}

/// Notices that the wall clock was set.
pub(crate) struct ClockWatch {
    expected: WallClock,
}

impl ClockWatch {
    pub(crate) fn new(now: Instant, wall: UnixTime) -> Self {
        Self { expected: WallClock::new(now, wall) }
    }

    /// The new wall time, if it is not what has passed since the last jump.
    pub(crate) fn jumped(&mut self, now: Instant, wall: UnixTime) -> Option<UnixTime> {
        let expected = self.expected.at(now);
        if wall.since(expected).max(expected.since(wall)) < JUMP {
            return None;
        }
        self.expected = WallClock::new(now, wall);
        Some(wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_is_noticed_once() {
        let (start, noon) = (Instant::now(), UnixTime(1_700_000_000_000));
        let second = Duration::from_secs(1);
        let mut watch = ClockWatch::new(start, noon);
        assert_eq!(watch.jumped(start + second, noon.plus(second)), None);
        let back = noon.minus(Duration::from_secs(3600));
        assert_eq!(watch.jumped(start + second, back), Some(back));
        assert_eq!(watch.jumped(start + second * 2, back.plus(second)), None);
    }
}
