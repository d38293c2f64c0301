//! Wall time as an argument.
//!
//! Monotonic time is [`std::time::Instant`], given to every `handle_*`; wall time is [`UnixTime`],
//! given to the constructor and corrected by [`Input::Clock`](crate::port::Input::Clock). Nothing
//! in this crate reads a clock.

use std::time::{Duration, Instant};

use minicbor::{CborLen, Decode, Encode};

/// A moment of civil time: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted
/// (POSIX).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, CborLen,
)]
#[cbor(transparent)]
pub struct UnixTime(#[n(0)] pub u64);

impl UnixTime {
    /// The moment `later` after this one; stays at the end of time instead of overflowing.
    #[must_use]
    pub const fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(millis(later)))
    }

    /// The moment `earlier` before this one; stays at 1970 instead of underflowing.
    #[must_use]
    pub const fn minus(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(millis(earlier)))
    }

    /// How long after `earlier` this moment is; zero when it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

const fn millis(duration: Duration) -> u64 {
    let ms = duration.as_millis();
    if ms > u64::MAX as u128 { u64::MAX } else { ms as u64 }
}

/// Tells wall time at any monotonic instant, from one pair of both.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    anchor: Instant,
    wall: UnixTime,
}

impl WallClock {
    /// A clock that says `wall` at `anchor`.
    #[must_use]
    pub const fn new(anchor: Instant, wall: UnixTime) -> Self {
        Self { anchor, wall }
    }

    /// The civil time at `now`. An instant before the anchor reads as the anchor.
    #[must_use]
    pub fn at(&self, now: Instant) -> UnixTime {
        self.wall.plus(now.saturating_duration_since(self.anchor))
    }
}
