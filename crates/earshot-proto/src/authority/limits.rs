//! How often somebody may try: per name and per source address, in bounded tables.
//!
//! Generic cell rate (ITU-T I.371): each key has one number, the moment at which it will have
//! recovered. Invariant: a table never holds more than [`KEYS_MAX`] keys; when it is full, the key
//! nearest to recovery is forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Keys in one table at most. Our choice: 65,536 names under attack at once are some MB.
const KEYS_MAX: usize = 1 << 16;

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Attempts that may come at once.
    pub burst: u32,
    /// After how long one more is allowed.
    pub every: Duration,
}

/// The limits of an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Logins to one name. A right password gives its attempt back.
    pub logins_per_name: Rate,
    /// Logins from one address (IPv6: /64).
    pub logins_per_address: Rate,
    /// Registrations and enrolments from one address (IPv6: /64).
    pub joins_per_address: Rate,
    /// Questions of one holder of a certificate: the only limit that binds a device which proves
    /// its old key, and nobody else can use it up.
    pub questions_per_holder: Rate,
}

impl Default for Limits {
    /// Our choice: a person who has forgotten which password it was tries ten times; a guesser gets
    /// 1,440 guesses a day. A school behind one address logs in at eight o'clock, and a class
    /// joins in one lesson. A device asks for the lists of all its buddies at once.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            logins_per_name: Rate { burst: 10, every: seconds(60) },
            logins_per_address: Rate { burst: 300, every: seconds(1) },
            joins_per_address: Rate { burst: 100, every: seconds(10) },
            questions_per_holder: Rate { burst: 200, every: seconds(5) },
        }
    }
}

/// Recent attempts under one rate.
pub(super) struct Attempts<K> {
    rate: Rate,
    recovered: BTreeMap<K, Instant>,
    order: BTreeSet<(Instant, K)>,
}

impl<K: Ord + Clone> Attempts<K> {
    pub(super) const fn new(rate: Rate) -> Self {
        Self { rate, recovered: BTreeMap::new(), order: BTreeSet::new() }
    }

    /// Counts one attempt, or says after how long the next one is allowed.
    pub(super) fn take(&mut self, key: &K, now: Instant) -> Result<(), Duration> {
        let recovered = self.recovered.get(key).copied().unwrap_or(now).max(now);
        let room = self.rate.every.saturating_mul(self.rate.burst.saturating_sub(1));
        let ahead = recovered - now;
        if ahead > room {
            return Err(ahead - room);
        }
        self.set(key, recovered + self.rate.every, now);
        Ok(())
    }

    /// Gives one attempt back.
    pub(super) fn give_back(&mut self, key: &K, now: Instant) {
        if let Some(recovered) = self.recovered.get(key).copied() {
            self.set(key, recovered.checked_sub(self.rate.every).unwrap_or(now), now);
        }
    }

    fn set(&mut self, key: &K, recovered: Instant, now: Instant) {
        if let Some(before) = self.recovered.remove(key) {
            self.order.remove(&(before, key.clone()));
        }
        if recovered <= now {
            return;
        }
        while let Some((at, nearest)) = self.order.first().cloned()
            && (at <= now || self.order.len() >= KEYS_MAX)
        {
            self.order.pop_first();
            self.recovered.remove(&nearest);
        }
        self.order.insert((recovered, key.clone()));
        self.recovered.insert(key.clone(), recovered);
    }
}

/// The part of a source address that counts as one party: IPv4 whole, of IPv6 the /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source([u8; 16]);

impl Source {
    pub(super) fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self(ip.to_ipv6_mapped().octets()),
            IpAddr::V6(ip) => {
                let mut octets = ip.octets();
                octets[8..].fill(0);
                Self(octets)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an Instant has no other beginning")]
    fn start() -> Instant {
        Instant::now()
    }

    fn three_a_minute() -> Attempts<u32> {
        Attempts::new(Rate { burst: 3, every: Duration::from_secs(20) })
    }

    #[test]
    fn a_burst_is_allowed_then_one_at_a_time() {
        let (mut attempts, now) = (three_a_minute(), start());
        for _ in 0..3 {
            assert_eq!(attempts.take(&1, now), Ok(()));
        }
        let wait = attempts.take(&1, now).expect_err("the burst is used up");
        assert_eq!(wait, Duration::from_secs(20));
        assert_eq!(attempts.take(&2, now), Ok(()), "another key is another's");
        assert_eq!(attempts.take(&1, now + wait), Ok(()));
        assert!(attempts.take(&1, now + wait).is_err());
    }

    #[test]
    fn an_attempt_given_back_is_as_if_it_never_was() {
        let (mut attempts, now) = (three_a_minute(), start());
        for _ in 0..20 {
            assert_eq!(attempts.take(&1, now), Ok(()));
            attempts.give_back(&1, now);
        }
        assert!(attempts.recovered.is_empty() && attempts.order.is_empty());
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_nearest_to_recovery() {
        let (mut attempts, now) = (three_a_minute(), start());
        for _ in 0..3 {
            assert_eq!(attempts.take(&0, now), Ok(()));
        }
        for key in 1..=KEYS_MAX as u32 {
            assert_eq!(attempts.take(&key, now), Ok(()));
        }
        assert_eq!(attempts.recovered.len(), KEYS_MAX);
        assert_eq!(attempts.order.len(), KEYS_MAX);
        assert!(attempts.take(&0, now).is_err(), "who tried most is remembered longest");
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_party() {
        let source = |text: &str| Source::of(text.parse().expect("an address"));
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("192.0.2.1"), source("::ffff:192.0.2.1"));
    }
}
