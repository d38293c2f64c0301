//! Where datagrams of ours went lately: a NAT lets in from there, whatever it does otherwise.
//!
//! RFC 5780, section 4.4, wants a port that never sent anything elsewhere. The peer has one port,
//! and asks super-peers from it all the time, so it remembers whom. Invariant: at most
//! [`PLACES_MAX`] places; while there were more, everywhere counts as one of them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// How long a NAT may let in from where something went. RFC 4787, section 4.3 (REQ-5): two minutes
/// at least, five or more recommended; we allow twice that.
pub(super) const OPEN_FOR: Duration = Duration::from_secs(10 * 60);
/// Places remembered at most. Our choice: those that a day's searches ask in ten minutes, for 16
/// kB.
pub(super) const PLACES_MAX: usize = 256;

/// The places.
#[derive(Debug, Default)]
pub(super) struct Trail {
    sent: BTreeMap<SocketAddr, Instant>,
    /// Until when there are more than are remembered.
    blurred: Option<Instant>,
}

impl Trail {
    pub(super) fn note(&mut self, now: Instant, to: SocketAddr) {
        if self.sent.len() >= PLACES_MAX && !self.sent.contains_key(&to) {
            self.sent.retain(|_, at| now < *at + OPEN_FOR);
            if self.sent.len() >= PLACES_MAX {
                self.blurred = Some(now + OPEN_FOR);
                return;
            }
        }
        self.sent.insert(to, now);
    }

    /// Whether something went to that address and port.
    pub(super) fn leads_to(&self, now: Instant, place: SocketAddr) -> bool {
        let is_known = self.sent.get(&place).is_some_and(|at| now < *at + OPEN_FOR);
        is_known || self.is_blurred(now)
    }

    /// Whether something went to any port of that address.
    pub(super) fn leads_to_any_of(&self, now: Instant, ip: IpAddr) -> bool {
        let ports = SocketAddr::new(ip, 0)..=SocketAddr::new(ip, u16::MAX);
        let mut known = self.sent.range(ports);
        known.any(|(place, at)| place.ip() == ip && now < *at + OPEN_FOR) || self.is_blurred(now)
    }

    fn is_blurred(&self, now: Instant) -> bool {
        self.blurred.is_some_and(|until| now < until)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.sent.len()
    }
}
