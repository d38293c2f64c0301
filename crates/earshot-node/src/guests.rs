//! Who may sit here: bounds on connections from outside, in all and for one address.
//!
//! Source: DESIGN 2.4 (everything that a stranger can make us hold is bounded). Invariant: a
//! [`Seat`] is given back exactly when it is dropped, whatever became of the connection.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Bounds on connections from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestLimits {
    /// Accepted connections in all.
    pub all_max: usize,
    /// Accepted connections of one IPv4 address or IPv6 /64.
    pub address_max: usize,
    /// Connections that have not yet said what they want; more are dropped.
    pub pending_max: usize,
}

impl Default for GuestLimits {
    /// A super-peer serves some thousand clients. Behind one address live a family, a club or a
    /// school's carrier-grade NAT; a quarter of the house is enough for it. One address alone
    /// cannot fill the hall.
    fn default() -> Self {
        Self { all_max: 4096, address_max: 256, pending_max: 512 }
    }
}

/// The house's count of its guests.
pub(crate) struct Guests {
    limits: GuestLimits,
    seated: Arc<Mutex<Seated>>,
}

#[derive(Default)]
struct Seated {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection's place.
pub(crate) struct Seat {
    key: IpAddr,
    seated: Arc<Mutex<Seated>>,
}

impl Guests {
    pub(crate) fn new(limits: GuestLimits) -> Self {
        Self { limits, seated: Arc::default() }
    }

    /// A seat for a connection from `from`, if there is one.
    pub(crate) fn seat(&self, from: IpAddr) -> Option<Seat> {
        let key = prefix(from);
        let mut seated = self.seated.lock().unwrap_or_else(PoisonError::into_inner);
        if seated.all >= self.limits.all_max {
            return None;
        }
        let here = seated.by_address.get(&key).copied().unwrap_or(0);
        if here >= self.limits.address_max {
            return None;
        }
        seated.by_address.insert(key, here + 1);
        seated.all += 1;
        Some(Seat { key, seated: Arc::clone(&self.seated) })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seated = self.seated.lock().unwrap_or_else(PoisonError::into_inner);
        seated.all -= 1;
        if let Some(here) = seated.by_address.get_mut(&self.key) {
            *here -= 1;
            if *here == 0 {
                seated.by_address.remove(&self.key);
            }
        }
    }
}

/// What counts as one address: a host is given a whole IPv6 /64 (RFC 4291, section 2.5.4).
fn prefix(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) & (u128::MAX << 64)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_address_gets_its_share_and_gives_it_back() {
        let guests = Guests::new(GuestLimits { all_max: 3, address_max: 2, pending_max: 1 });
        let first = guests.seat(ip("192.0.2.1"));
        let _second = guests.seat(ip("192.0.2.1")).expect("two fit");
        assert!(guests.seat(ip("192.0.2.1")).is_none());
        drop(first);
        assert!(guests.seat(ip("192.0.2.1")).is_some());
    }

    #[test]
    fn a_whole_ipv6_network_counts_as_one_address() {
        let guests = Guests::new(GuestLimits { all_max: 9, address_max: 1, pending_max: 1 });
        let _seat = guests.seat(ip("2001:db8::1")).expect("one fits");
        assert!(guests.seat(ip("2001:db8::ffff:2")).is_none());
        assert!(guests.seat(ip("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn a_full_house_seats_nobody() {
        let guests = Guests::new(GuestLimits { all_max: 1, address_max: 1, pending_max: 1 });
        let _seat = guests.seat(ip("192.0.2.1")).expect("one fits");
        assert!(guests.seat(ip("192.0.2.2")).is_none());
    }
}
