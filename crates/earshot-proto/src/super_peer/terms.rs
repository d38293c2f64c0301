//! What its owner lets a super-peer do and use: two jobs, each with its switch, and caps. DESIGN
//! 2.12.
//!
//! *Directory* is being at home to clients, *relay* carrying their calls. Without the first,
//! clients are handed over and none is taken in; without the second, nobody is given credentials or
//! an allocation, and calls that are carried go on to their end. Its share of the ring a super-peer
//! keeps in any case: by that it is found.
//!
//! Every byte that goes in or out counts for the month, of links and datagrams, without the headers
//! of TCP, UDP and IP. At [`GIVE_UP_PERCENT`] of the cap both jobs are given up as if they had been
//! switched off; at the cap itself allocations end and no envelope is carried any more. Invariant:
//! what was counted is on disk every [`SAVE_EVERY`] and at a polite leave, so that a restart buys
//! nobody another month.

use std::time::{Duration, Instant};

use minicbor::{CborLen, Decode, Encode};

use crate::port::{Input, LinkEvent, LinkOrder, Output, RelayPortEvent, RelayPortOrder, SaveId};
use crate::time::UnixTime;
use crate::wire::nat::{Nat, NatRefusal};

use super::budgets::{Flow, Limits};
use super::relay::{RelayLimits, RelayOutput};
use super::{Record, SuperPeer, Work};

/// How long a month is: that of a cap begins with the first byte after the one before. Our choice:
/// bills have calendar months, but also time zones and days of their own on which they begin.
pub const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
/// From this part of the month's cap on the jobs are given up. Our choice: what is left lets the
/// calls that are carried end.
pub const GIVE_UP_PERCENT: u64 = 95;
/// How often what was counted is kept. Our choice: a power cut forgets so much traffic at most, and
/// a card of flash memory lives.
pub const SAVE_EVERY: Duration = Duration::from_secs(5 * 60);
/// Fewest connections that a cap may leave: those of neighbours on the ring, and as many clients.
pub const CONNECTIONS_MIN: u32 = 32;
/// Least bytes a second that a cap may leave: a relayed call, and an envelope now and then.
pub const BYTES_PER_S_MIN: u64 = 32_000;
/// Of bytes a second the part for envelopes, where calls are relayed too: one in four.
const ENVELOPES_SHARE: u64 = 4;
/// Bytes of envelopes at once, however little flows: the longest one.
const ENVELOPE_AT_ONCE: u32 = 128 * 1024;

/// What the owner decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whether clients may be at home here.
    pub directory: bool,
    /// Whether calls are relayed.
    pub relay: bool,
    /// Links that others have opened, at most; none: as [`Limits`] say. No fewer than
    /// [`CONNECTIONS_MIN`] count.
    pub connections: Option<u32>,
    /// Bytes of envelopes and relayed packets per second, at most. No fewer than
    /// [`BYTES_PER_S_MIN`] count.
    pub bytes_per_s: Option<u64>,
    /// Bytes in [`MONTH`], all together.
    pub bytes_a_month: Option<u64>,
}

impl Default for Terms {
    /// Both jobs, as much as a super-peer takes.
    fn default() -> Self {
        let (connections, bytes_per_s, bytes_a_month) = (None, None, None);
        Self { directory: true, relay: true, connections, bytes_per_s, bytes_a_month }
    }
}

impl Terms {
    /// Limits within the caps; without the first job there is no room for clients.
    fn limits(&self, most: Limits, directory: bool) -> Limits {
        let mut limits = most;
        if let Some(connections) = self.connections {
            let links = (connections.max(CONNECTIONS_MIN) as usize).min(most.links);
            let clients = (links / 2).min(most.clients);
            limits = Limits {
                links,
                stranger_links: (links / 4).min(most.stranger_links),
                links_each_stranger: (links / 8).min(most.links_each_stranger),
                clients,
                clients_high: (clients * 5 / 6).min(most.clients_high),
                clients_low: (clients * 3 / 4).min(most.clients_low),
                ..most
            };
        }
        if let Some(rate) = self.bytes_per_s {
            let share = if self.relay { ENVELOPES_SHARE } else { 1 };
            let share = u32::try_from(rate.max(BYTES_PER_S_MIN) / share).unwrap_or(u32::MAX);
            let Flow { bytes_per_s, bytes_at_once, .. } = most.overall;
            limits.overall.bytes_per_s = bytes_per_s.min(share);
            limits.overall.bytes_at_once =
                bytes_at_once.min(share.saturating_mul(2).max(ENVELOPE_AT_ONCE));
        }
        if !directory {
            (limits.clients, limits.clients_high, limits.clients_low) = (0, 0, 0);
        }
        limits
    }

    /// What of the limits of a relay the owner grants.
    pub(super) fn relay_limits(&self, most: RelayLimits, relay: bool) -> RelayLimits {
        let mut limits = most;
        if let Some(rate) = self.bytes_per_s {
            let rate = rate.max(BYTES_PER_S_MIN);
            let rate = if self.directory { rate - rate / ENVELOPES_SHARE } else { rate };
            limits.total_bytes_per_second = limits.total_bytes_per_second.min(rate);
        }
        if !relay {
            limits.allocations_max = 0;
        }
        limits
    }
}

/// What went in and out in a month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Traffic {
    /// When the month began.
    #[n(0)]
    pub since: UnixTime,
    /// Bytes since.
    #[n(1)]
    pub bytes: u64,
}

/// How much of the month's cap is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spent {
    /// Less than [`GIVE_UP_PERCENT`], or there is no cap.
    Little,
    /// So much that the jobs are given up until the next month.
    Most,
    /// All.
    All,
}

/// The terms in force, and what was used.
#[derive(Debug, Default)]
pub(super) struct Owned {
    pub(super) terms: Terms,
    pub(super) traffic: Traffic,
    /// How much was spent when the terms were put in force.
    in_force: Option<Spent>,
    /// What of it is on disk.
    saved: Traffic,
    next: Option<Instant>,
}

impl Owned {
    pub(super) fn new(terms: Terms, traffic: Option<Traffic>) -> Self {
        let traffic = traffic.unwrap_or_default();
        Self { terms, traffic, saved: traffic, ..Self::default() }
    }

    pub(super) fn work(&self) -> Work {
        let (directory, relay) = (self.is_directory(), self.is_relay());
        let (terms, traffic, spent) = (self.terms, self.traffic, self.spent());
        Work { terms, directory, relay, traffic, spent }
    }

    pub(super) const fn next_due(&self) -> Option<Instant> {
        self.next
    }

    /// How much of the month's cap is used.
    pub(super) fn spent(&self) -> Spent {
        let Some(cap) = self.terms.bytes_a_month else { return Spent::Little };
        if self.traffic.bytes >= cap {
            return Spent::All;
        }
        let most = u128::from(cap) * u128::from(GIVE_UP_PERCENT) / 100;
        if u128::from(self.traffic.bytes) >= most { Spent::Most } else { Spent::Little }
    }

    /// Whether clients are taken in now.
    pub(super) fn is_directory(&self) -> bool {
        self.terms.directory && self.spent() == Spent::Little
    }

    /// Whether new calls are relayed now.
    pub(super) fn is_relay(&self) -> bool {
        self.terms.relay && self.spent() == Spent::Little
    }

    const fn count(&mut self, bytes: usize) {
        self.traffic.bytes = self.traffic.bytes.saturating_add(bytes as u64);
    }
}

impl SuperPeer {
    /// The owner has decided anew.
    pub fn set_terms(&mut self, now: Instant, terms: Terms) {
        let before = self.owned.is_relay();
        self.owned.terms = terms;
        self.owned.in_force = None;
        self.terms_in_force(now);
        self.tell_no_relay(now, before);
    }

    /// Counts what came in.
    pub(super) fn count_input(&mut self, input: &Input<'_>) {
        match input {
            Input::Datagram { bytes, .. }
            | Input::Link(_, LinkEvent::Bytes(bytes))
            | Input::RelayPort(_, RelayPortEvent::Datagram { bytes, .. }) => {
                self.owned.count(bytes.len());
            }
            Input::Link(..)
            | Input::RelayPort(..)
            | Input::Timeout
            | Input::Clock(_)
            | Input::Network
            | Input::Mapped(..)
            | Input::Nearby(_)
            | Input::Path(..)
            | Input::Voice(..)
            | Input::Worked(..)
            | Input::Saved(_)
            | Input::NotSaved(..) => {}
        }
    }

    /// Counts what goes out over a link.
    pub(super) fn count_order(&mut self, order: &LinkOrder) {
        if let LinkOrder::Bytes(bytes) | LinkOrder::Media(bytes) = order {
            self.owned.count(bytes.len());
        }
    }

    /// Counts what the relay sends.
    pub(super) fn count_relayed(&mut self, output: &RelayOutput) {
        match output {
            RelayOutput::Send(sent) | RelayOutput::RelayPort(_, RelayPortOrder::Send(sent)) => {
                self.owned.count(sent.bytes.len());
            }
            RelayOutput::Link(_, order) => self.count_order(order),
            RelayOutput::RelayPort(
                _,
                RelayPortOrder::Open { .. } | RelayPortOrder::OpenAlternate | RelayPortOrder::Close,
            ) => {}
        }
    }

    /// Whether nothing has changed in what may be used.
    pub(super) fn terms_are_in_force(&self) -> bool {
        self.owned.in_force == Some(self.owned.spent())
    }

    /// Puts the terms in force, where what may be used has changed.
    pub(super) fn terms_in_force(&mut self, now: Instant) {
        if self.terms_are_in_force() {
            return;
        }
        let spent = self.owned.spent();
        let before = self.owned.in_force == Some(Spent::Little) && self.owned.terms.relay;
        self.owned.in_force = Some(spent);
        let (directory, is_relay) = (self.owned.is_directory(), self.owned.is_relay());
        let mut limits = self.owned.terms.limits(self.config.limits, directory);
        if spent == Spent::All {
            (limits.overall.bytes_per_s, limits.overall.bytes_at_once) = (0, 0);
        }
        self.budgets.set_limits(now, limits);
        if let Some(relay) = &mut self.relay {
            let most = self.config.limits.relay;
            relay.set_limits(now, self.owned.terms.relay_limits(most, is_relay));
            if spent == Spent::All {
                relay.end_all();
            }
        }
        self.tell_no_relay(now, before);
        if spent != Spent::Little {
            tracing::info!(bytes = self.owned.traffic.bytes, "The month's traffic is used up");
        }
    }

    /// Clients look for a relay elsewhere, if they had one here and stay.
    fn tell_no_relay(&mut self, now: Instant, before: bool) {
        if !before || self.owned.is_relay() || !self.owned.is_directory() {
            return;
        }
        for link in self.clients.newest().collect::<Vec<_>>() {
            self.links.send(now, link, 0, Nat::Refused { reason: NatRefusal::NoRelay });
        }
    }

    /// Keeps what was counted, and begins the next month.
    pub(super) fn traffic_due(&mut self, now: Instant) {
        let is_due = self.owned.next.is_none_or(|at| at <= now);
        if !is_due || !self.standing.is_serving() {
            return;
        }
        self.owned.next = Some(now + SAVE_EVERY);
        let wall = self.wall(now);
        let since = self.owned.traffic.since;
        // A clock that was set back must not make a month of years.
        if wall >= since.plus(MONTH) || since > wall {
            let is_new = since == UnixTime(0);
            let bytes = if is_new || since > wall { self.owned.traffic.bytes } else { 0 };
            self.owned.traffic = Traffic { since: wall, bytes };
        }
        self.terms_in_force(now);
        self.save_traffic();
    }

    /// Has what was counted written down.
    pub(super) fn save_traffic(&mut self) {
        if self.owned.saved != self.owned.traffic && self.standing.is_serving() {
            self.owned.saved = self.owned.traffic;
            self.saves += 1;
            let record = Record::Traffic(self.owned.traffic);
            self.out.push_back(Output::Save(SaveId(self.saves), record));
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
mod tests {
    use super::super::testing::serving;
    use super::*;
    use crate::ids::UserName;
    use crate::port::{LinkId, Machine, Service};
    use crate::secure::testing::Network;

    const GIGABYTE: u64 = 1_000_000_000;

    fn machine(terms: Terms) -> (SuperPeer, Instant) {
        let now = Instant::now();
        let mut machine = serving(&mut Network::new(1), now);
        machine.set_terms(now, terms);
        (machine, now)
    }

    fn grants(machine: &mut SuperPeer, now: Instant) -> bool {
        let user = UserName::new("alice").expect("a name");
        let wall = machine.wall(now);
        let relay = machine.relay.as_mut().filter(|_| machine.owned.is_relay());
        relay.is_some_and(|relay| relay.grant(now, wall, &user).is_ok())
    }

    fn saved(machine: &mut SuperPeer) -> Option<Traffic> {
        let mut saved = None;
        loop {
            match machine.poll_output() {
                Output::Save(_, Record::Traffic(traffic)) => saved = Some(traffic),
                Output::Wait(..) => return saved,
                Output::Save(..)
                | Output::Link(..)
                | Output::Send(_)
                | Output::RelayPort(..)
                | Output::Notify(_)
                | Output::Path(..)
                | Output::Voice(..)
                | Output::Nearby(_)
                | Output::Work(..) => {}
            }
        }
    }

    #[test]
    fn each_job_has_a_switch_of_its_own() {
        let both = Terms::default();
        let (mut machine, now) = machine(both);
        assert!(machine.has_room_for_a_client() && grants(&mut machine, now));
        machine.set_terms(now, Terms { directory: false, ..both });
        assert!(!machine.has_room_for_a_client() && grants(&mut machine, now));
        assert_eq!(machine.budgets.poll_shed(now, 20).len(), 20, "all are handed over");
        machine.set_terms(now, Terms { relay: false, ..both });
        assert!(machine.has_room_for_a_client() && !grants(&mut machine, now));
        machine.set_terms(now, both);
        assert!(machine.has_room_for_a_client() && grants(&mut machine, now));
    }

    #[test]
    fn caps_leave_less_and_never_more_than_a_super_peer_takes() {
        let most = Limits::default();
        let capped =
            Terms { connections: Some(100), bytes_per_s: Some(64_000), ..Terms::default() };
        let limits = capped.limits(most, true);
        assert_eq!((limits.links, limits.clients), (100, 50));
        assert!(limits.clients_low < limits.clients_high && limits.clients_high < limits.clients);
        assert!(limits.stranger_links + limits.clients <= limits.links);
        assert_eq!(limits.overall.bytes_per_s, 16_000);
        assert_eq!(capped.relay_limits(most.relay, true).total_bytes_per_second, 48_000);
        let alone = Terms { directory: false, ..capped };
        assert_eq!(alone.relay_limits(most.relay, true).total_bytes_per_second, 64_000);
        let generous =
            Terms { connections: Some(u32::MAX), bytes_per_s: Some(u64::MAX), ..Terms::default() };
        let limits = generous.limits(most, true);
        assert_eq!((limits.links, limits.overall), (most.links, most.overall));
        assert_eq!(generous.relay_limits(most.relay, true), RelayLimits::default());
    }

    #[test]
    fn no_more_connections_are_taken_than_the_cap_says() {
        let (mut machine, now) = machine(Terms { connections: Some(40), ..Terms::default() });
        for number in 0..100_u8 {
            let from = std::net::SocketAddr::from(([198, 51, number, 1], 9));
            let event = LinkEvent::Accepted { from, service: Service::SuperPeer };
            machine.handle(now, Input::Link(LinkId::Accepted(number.into()), event));
        }
        assert_eq!(machine.links.accepted().count(), 10, "a quarter is for strangers");
    }

    #[test]
    fn the_relays_clients_by_tcp_are_connections_too() {
        let (mut machine, now) = machine(Terms { connections: Some(40), ..Terms::default() });
        let mut come = |service, numbers: std::ops::Range<u8>| {
            for number in numbers {
                let from = std::net::SocketAddr::from(([198, 51, number, 1], 9));
                let event = LinkEvent::Accepted { from, service };
                machine.handle(now, Input::Link(LinkId::Accepted(number.into()), event));
            }
            machine.connections()
        };
        assert_eq!(come(Service::SuperPeer, 0..5), 5);
        assert_eq!(come(Service::Relay, 5..100), 40);
        assert_eq!(come(Service::SuperPeer, 100..110), 40);
    }

    #[test]
    fn near_the_months_cap_both_jobs_are_given_up_until_the_next_month() {
        let terms = Terms { bytes_a_month: Some(GIGABYTE), ..Terms::default() };
        let (mut machine, now) = machine(terms);
        machine.owned.count(usize::try_from(GIGABYTE * 94 / 100).expect("64 bits"));
        machine.handle(now, Input::Timeout);
        assert!(machine.has_room_for_a_client() && grants(&mut machine, now));
        machine.owned.count(usize::try_from(GIGABYTE / 100).expect("64 bits"));
        machine.handle(now, Input::Timeout);
        assert!(!machine.has_room_for_a_client() && !grants(&mut machine, now));
        assert!(machine.budgets.limits().overall.bytes_per_s > 0, "what is carried is carried on");
        machine.owned.count(usize::try_from(GIGABYTE / 20).expect("64 bits"));
        machine.handle(now, Input::Timeout);
        assert_eq!(machine.budgets.limits().overall.bytes_per_s, 0);
        assert_eq!(machine.status().work.spent, Spent::All);
        let next = now + MONTH;
        machine.handle(next, Input::Timeout);
        assert_eq!(machine.status().work.spent, Spent::Little);
        assert!(machine.has_room_for_a_client());
    }

    #[test]
    fn what_was_counted_outlives_the_process() {
        let terms = Terms { bytes_a_month: Some(GIGABYTE), ..Terms::default() };
        let (mut before, now) = machine(terms);
        saved(&mut before);
        before.handle(now, Input::Datagram { from: ([192, 0, 2, 9], 9).into(), bytes: &[0; 700] });
        before.leave(now);
        let traffic = saved(&mut before).expect("it is kept at the end");
        assert!(traffic.bytes >= 700 && traffic.since > UnixTime(0));
        let owned = Owned::new(terms, Some(Traffic { bytes: GIGABYTE, ..traffic }));
        assert_eq!(owned.spent(), Spent::All, "a restart buys nobody another month");
    }
}
