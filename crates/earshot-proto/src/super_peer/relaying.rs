//! Giving the relay what is its, without a look at the rest of the super-peer: thousands of packets
//! a second pass it, and touch nothing else.
//!
//! Invariant: whatever else an input may change is looked at for every input that is not the
//! relay's alone; what passes it can change only what was used of the month's traffic.

use std::time::Instant;

use crate::port::{Input, LinkEvent, LinkId, LinkOrder, Output, RelayPortEvent, Service};
use crate::wire::question::FIRST_BYTES;

use super::SuperPeer;
use super::relay::Relay;

/// Whether it is the relay's alone.
pub(super) fn is_relayed(input: &Input<'_>) -> bool {
    if let Input::Datagram { bytes, .. } = input {
        return bytes.first().is_some_and(|first| !FIRST_BYTES.contains(first));
    }
    matches!(input, Input::RelayPort(_, RelayPortEvent::Datagram { .. }))
}

impl SuperPeer {
    /// Takes what is the relay's alone.
    pub(super) fn handle_relayed(&mut self, now: Instant, input: Input<'_>) {
        let wall = self.wall(now);
        let Some(relay) = &mut self.relay else { return };
        if let Input::Datagram { from, bytes } = input {
            relay.handle_datagram(now, wall, from, bytes);
        } else if let Input::RelayPort(port, event) = input {
            relay.handle_relay_port(now, port, event);
        }
        let turned = self.turn_questions(now);
        self.only_relayed = !turned && self.terms_are_in_force();
        self.terms_in_force(now);
    }

    /// Takes the event if the link is that of a client of the relay, or is to be one.
    pub(super) fn handle_relay_link(
        &mut self,
        now: Instant,
        link: LinkId,
        event: &LinkEvent<'_>,
    ) -> bool {
        let is_new = matches!(event, LinkEvent::Accepted { service: Service::Relay, .. });
        let (wall, most) = (self.wall(now), self.budgets.limits().links);
        let has_room = !is_new || self.connections() < most;
        match &mut self.relay {
            Some(relay) if has_room && (is_new || relay.has_link(link)) => {
                relay.handle_link(now, wall, link, event);
            }
            Some(_) | None if is_new => {
                self.counters.turned_away += u64::from(!has_room);
                self.out.push_back(Output::Link(link, LinkOrder::Close));
            }
            Some(_) | None => return false,
        }
        true
    }

    /// When something is due. What only passes the relay leaves the rest as it was.
    pub(super) fn next_timeout(&mut self) -> Option<Instant> {
        if !std::mem::take(&mut self.only_relayed) {
            self.due_beside_relay = self.next_beside_relay();
        }
        let relay = self.relay.as_ref().and_then(Relay::poll_timeout);
        relay.into_iter().chain(self.due_beside_relay).min()
    }
}
