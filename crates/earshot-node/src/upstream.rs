//! How fast this machine has been seen to send: a lower bound of its upstream that costs nobody a
//! speed test. DESIGN 2.12.
//!
//! What counts is what TCP took towards addresses of the whole Internet within [`WINDOW`]: TCP
//! sends no faster than it is answered, but for what its buffers hold, which is little beside so
//! long a window. Datagrams do not count: nobody knows which of them arrive, and whoever has us
//! relay could make us look fast. Nor does what goes to the network at home. Invariant: the highest
//! rate of
//! [`LIFE`] is told; it was reached once, so the line can do it.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Over so long a rate is taken. Our choice: ten times what four megabytes in a socket's buffer
/// take on a line of 10 Mb/s.
pub const WINDOW: Duration = Duration::from_secs(30);
/// How long the highest rate is remembered: people change their lines.
pub const LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// The window slides in steps of so much.
const STEP: Duration = Duration::from_secs(5);

/// A count of what is sent, shared by all that send.
#[derive(Clone, Debug, Default)]
pub struct Upstream(Arc<Mutex<Meter>>);

#[derive(Debug, Default)]
struct Meter {
    /// When each step began, and the bytes of it; the oldest first, no longer than the window.
    steps: VecDeque<(Instant, u64)>,
    best: Option<(u64, Instant)>,
}

impl Upstream {
    /// TCP has taken so many bytes for that address.
    pub fn sent(&self, now: Instant, to: SocketAddr, bytes: usize) {
        if is_beyond_home(to.ip()) {
            self.lock().count(now, bytes as u64);
        }
    }

    /// The highest rate lately, in bits per second; none while nothing was sent.
    #[must_use]
    pub fn seen_bps(&self, now: Instant) -> Option<u64> {
        let best = self.lock().best;
        best.filter(|(_, at)| now < *at + LIFE).map(|(bps, _)| bps)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Meter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Meter {
    fn count(&mut self, now: Instant, bytes: u64) {
        while self.steps.front().is_some_and(|(since, _)| *since + WINDOW <= now) {
            self.steps.pop_front();
        }
        match self.steps.back_mut().filter(|(since, _)| now < *since + STEP) {
            Some((_, counted)) => *counted += bytes,
            None => self.steps.push_back((now, bytes)),
        }
        let sum: u64 = self.steps.iter().map(|(_, counted)| counted).sum();
        let bps = sum * 8 / WINDOW.as_secs();
        if self.best.is_none_or(|(best, at)| best < bps || at + LIFE <= now) {
            self.best = Some((bps, now));
        }
    }
}

/// Whether an address lies beyond the line that is measured.
pub(crate) fn is_beyond_home(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => !(ip.is_private() || ip.is_loopback() || ip.is_link_local()),
        IpAddr::V6(ip) => !(ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn far() -> SocketAddr {
        SocketAddr::from(([203, 0, 113, 1], 4433))
    }

    #[test]
    fn the_highest_rate_of_a_window_is_told_and_a_burst_is_not() {
        let (start, upstream) = (Instant::now(), Upstream::default());
        assert_eq!(upstream.seen_bps(start), None);
        upstream.sent(start, far(), 4_000_000);
        assert_eq!(upstream.seen_bps(start), Some(4_000_000 * 8 / 30), "a full buffer");
        let steady = start + 60 * SECOND;
        for second in 0..120 {
            upstream.sent(steady + second * SECOND, far(), 500_000);
        }
        let seen = upstream.seen_bps(steady + 120 * SECOND).expect("much was sent");
        assert!((3_900_000..=4_000_000).contains(&seen), "{seen}");
        let later = steady + 3600 * SECOND;
        upstream.sent(later, far(), 100);
        assert_eq!(upstream.seen_bps(later), Some(seen));
        assert_eq!(upstream.seen_bps(later + LIFE), None);
    }

    #[test]
    fn what_stays_at_home_does_not_count() {
        let (now, upstream) = (Instant::now(), Upstream::default());
        for near in ["127.0.0.1:1", "192.168.1.2:1", "[fe80::1]:1", "[fd00::1]:1", "10.0.0.1:1"] {
            upstream.sent(now, near.parse().expect("an address"), 1_000_000);
        }
        assert_eq!(upstream.seen_bps(now), None);
    }
}
