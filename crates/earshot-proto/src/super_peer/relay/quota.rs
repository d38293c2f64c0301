//! How much one user may use: sessions, allocations, bytes per second.
//!
//! Source: DESIGN 2.12 (quotas per user). Invariant: a user is remembered only while it has a
//! session.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::slab::{Key, Slab};
use crate::ids::UserName;

/// A bucket that fills by a number of pieces (bytes, questions) a second, up to what it holds.
pub(in crate::super_peer) struct Bucket {
    per_second: u64,
    holds: u64,
    left: u64,
    /// Up to when it is filled: the start of the piece that is still flowing in.
    filled: Instant,
}

/// Nanoseconds in a second.
const NANOS: u128 = 1_000_000_000;

impl Bucket {
    pub(in crate::super_peer) const fn new(now: Instant, per_second: u64, holds: u64) -> Self {
        Self { per_second, holds, left: holds, filled: now }
    }

    /// Whether so many pieces are left.
    pub(in crate::super_peer) fn has(&mut self, now: Instant, pieces: usize) -> bool {
        self.fill(now);
        self.left >= pieces as u64
    }

    /// Whether it is full.
    pub(in crate::super_peer) fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.left == self.holds
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_nanos();
        let gained = u128::from(self.per_second) * passed / NANOS;
        if gained > 0 {
            let left = u128::from(self.left) + gained;
            self.left = left.min(u128::from(self.holds)) as u64;
            let took = (gained * NANOS).div_ceil(u128::from(self.per_second));
            self.filled += Duration::from_nanos(took.min(u128::from(u64::MAX)) as u64);
        }
    }

    /// Takes them; to be called after [`Self::has`].
    pub(in crate::super_peer) const fn take(&mut self, pieces: usize) {
        self.left = self.left.saturating_sub(pieces as u64);
    }
}

pub(super) struct User {
    name: UserName,
    pub(super) sessions: u32,
    pub(super) allocations: u32,
    pub(super) bucket: Bucket,
}

pub(super) struct Users {
    kept: Slab<User>,
    by_name: BTreeMap<UserName, Key>,
    bytes_per_second: u64,
}

impl Users {
    pub(super) const fn new(bytes_per_second: u64) -> Self {
        Self { kept: Slab::new(), by_name: BTreeMap::new(), bytes_per_second }
    }

    pub(super) fn find(&self, name: &UserName) -> Option<Key> {
        self.by_name.get(name).copied()
    }

    /// The user of this name, remembered from now on; [`None`] if there is no place left.
    pub(super) fn meet(&mut self, now: Instant, name: &UserName) -> Option<Key> {
        if let Some(key) = self.find(name) {
            return Some(key);
        }
        let bucket = Bucket::new(now, self.bytes_per_second, self.bytes_per_second);
        let user = User { name: name.clone(), sessions: 0, allocations: 0, bucket };
        let key = self.kept.insert(user)?;
        self.by_name.insert(name.clone(), key);
        Some(key)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut User> {
        self.kept.get_mut(key)
    }

    /// Notes that a session of the user is gone, and forgets the user with its last one.
    pub(super) fn session_gone(&mut self, key: Key) {
        let Some(user) = self.kept.get_mut(key) else { return };
        user.sessions = user.sessions.saturating_sub(1);
        if user.sessions == 0 {
            self.by_name.remove(&user.name);
            self.kept.remove(key);
        }
    }

    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.kept.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::super_peer::relay::tests::start;

    #[test]
    fn a_bucket_gives_a_second_at_once_and_then_its_rate() {
        let mut bucket = Bucket::new(start(), 1000, 1000);
        assert!(bucket.has(start(), 1000));
        bucket.take(1000);
        assert!(!bucket.has(start(), 1));
        let mut taken = 0;
        for ms in 1..=2000 {
            let now = start() + Duration::from_millis(ms);
            if bucket.has(now, 10) {
                bucket.take(10);
                taken += 10;
            }
        }
        assert_eq!(taken, 2000);
    }

    #[test]
    fn steps_of_time_too_small_for_a_byte_are_not_lost() {
        let mut bucket = Bucket::new(start(), 10, 10);
        assert!(bucket.has(start(), 10));
        bucket.take(10);
        let filled = (1..=1000).any(|ms| bucket.has(start() + Duration::from_millis(ms), 9));
        assert!(filled);
    }
}
