//! Leaving without leaving anybody behind: the clients are handed over first. DESIGN 2.12.
//!
//! Each is told of others, and to go within the first quarter of the time that there is, so that
//! not all knock at once; who comes is sent on. When nobody is left, or the time is over, the owner
//! is told, and takes leave ([`SuperPeer::leave`]). Where no other super-peer is known, nobody is
//! sent anywhere.

use std::time::{Duration, Instant};

use crate::port::{LinkId, Output};

use super::{Notice, SuperPeer};

/// Whether we are leaving.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    until: Option<Instant>,
    is_told: bool,
}

impl Leaving {
    /// Whether clients are handed over and nobody is taken in.
    pub(super) const fn is_under_way(&self) -> bool {
        self.until.is_some()
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.until.filter(|_| !self.is_told)
    }
}

impl SuperPeer {
    /// Hands all clients over to others within that time; [`Notice::Deserted`] follows.
    pub fn hand_over_clients(&mut self, now: Instant, within: Duration) {
        if self.moving.leaving.is_under_way() {
            return;
        }
        let is_alone = self.ring.known().is_empty();
        self.moving.leaving.until = Some(if is_alone { now } else { now + within });
        let clients: Vec<LinkId> = self.clients.newest().collect();
        for link in clients.into_iter().filter(|_| !is_alone) {
            let wait = self.entropy.jitter.below(within.as_millis() as u64 / 4 + 1);
            self.hand_on(now, link, Duration::from_millis(wait), now + within);
        }
        self.leaving_due(now);
    }

    /// Tells the owner when nobody is left, or the time is over.
    pub(super) fn leaving_due(&mut self, now: Instant) {
        let Some(until) = self.moving.leaving.next_due() else { return };
        if self.clients.is_empty() || until <= now {
            self.moving.leaving.is_told = true;
            self.out.push_back(Output::Notify(Notice::Deserted));
        }
    }
}
